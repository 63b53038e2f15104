"""Model and golden files: round trips, reproducible bytes, and atomic writing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

import intsim
from intsim import dialects
from intsim.engine.graph import Graph
from intsim.errors import FileError
from intsim.storage import files, new_hdf5
from intsim.storage.golden_file import LEVELS, open_golden
from intsim.storage.pictures import read_picture

from networks import TINY, tiny_graph


def contents(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below `folder`, including hidden ones."""
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


def same_scale(a: object, b: object) -> bool:
    """Whether two scales (None, a number, or one per channel) are equal."""
    return (a is None) == (b is None) and (a is None or np.array_equal(np.asarray(a), np.asarray(b)))


@pytest.mark.parametrize("dialect", list(dialects.DIALECTS.values()), ids=list(dialects.DIALECTS))
def test_model_round_trip(dialect: dialects.Dialect, tmp_path: Path) -> None:
    """Nodes, parameters, scales, dialect, configuration and provenance survive saving and loading."""
    graph = tiny_graph(dialect)
    intsim.save(graph, tmp_path / "model.h5")
    back = intsim.load(tmp_path / "model.h5")

    assert back.content_hash == graph.content_hash
    assert back.dialect == dialect
    assert (back.config, back.provenance) == (graph.config, graph.provenance)
    assert [(n.name, n.op, n.inputs, n.integers()) for n in back.nodes] == [
        (n.name, n.op, n.inputs, n.integers()) for n in graph.nodes
    ]
    assert back.tensors == graph.tensors, "shapes, formats and proven bounds"
    for ours, theirs in zip(graph.nodes, back.nodes, strict=True):
        assert ours.arrays().keys() == theirs.arrays().keys(), ours.name
        for key, array in ours.arrays().items():
            assert theirs.params[key].dtype == array.dtype, f"{ours.name}: {key}"
            assert np.array_equal(theirs.params[key], array), f"{ours.name}: {key}"
            assert same_scale(theirs.scales.get(key), ours.scales.get(key)), f"{ours.name}: scale of {key}"
        assert same_scale(back.scales[ours.name], graph.scales[ours.name]), f"{ours.name}: scale"


def test_a_loaded_model_computes_the_same(graph: Graph, model_file: Path, image: np.ndarray) -> None:
    assert np.array_equal(intsim.run(intsim.load(model_file), image), intsim.run(graph, image))


def test_content_hash_sees_every_change(graph: Graph) -> None:
    """A different weight, integer parameter, name, order of inputs or rule changes the hash; a different scale does not."""

    def changed(position: int, **changes: object) -> str:
        nodes = list(graph.nodes)
        nodes[position] = dataclasses.replace(nodes[position], **changes)
        return Graph(nodes, graph.dialect).content_hash

    ops = [node.op for node in graph.nodes]
    linear, add = ops.index("linear"), ops.index("residual_add")
    weight = graph.nodes[linear].params["weight"].copy()
    weight[0, 0] ^= 1
    residual = graph.nodes[add]
    hashes = {
        graph.content_hash,
        changed(linear, params={**graph.nodes[linear].params, "weight": weight}),
        changed(add, params={**residual.params, "ea": residual.params["ea"] + 1}),
        changed(add, inputs=residual.inputs[::-1]),
        changed(len(ops) - 1, name="answer"),
        Graph(list(graph.nodes), graph.dialect.replace(requant_rounding="half_up")).content_hash,
    }
    assert len(hashes) == 6
    assert changed(add, scale=1.0) == graph.content_hash
    assert Graph(list(graph.nodes), graph.dialect, {"name": "other"}).content_hash == graph.content_hash


def test_files_are_reproducible(graph: Graph, image: np.ndarray, tmp_path: Path) -> None:
    """No times and no random order: more than a second later, from a new or loaded graph, the bytes are the same."""
    intsim.save(graph, tmp_path / "a.h5")
    intsim.golden(graph, image, tmp_path / "a.golden.h5", "steps")
    time.sleep(1.1)
    intsim.save(tiny_graph(), tmp_path / "b.h5")
    intsim.golden(intsim.load(tmp_path / "a.h5"), image, tmp_path / "b.golden.h5", "steps")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert (tmp_path / "a.golden.h5").read_bytes() == (tmp_path / "b.golden.h5").read_bytes()


def test_saving_a_loaded_model_gives_the_same_bytes(model_file: Path, tmp_path: Path) -> None:
    intsim.save(intsim.load(model_file), tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == model_file.read_bytes()


def test_content_hash_is_independent_of_packing(
    graph: Graph, image: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The golden content hash covers names, shapes, formats and values, not how they are stored."""
    packed = intsim.golden(graph, image, tmp_path / "packed.h5", "full")

    def contiguous(group: h5py.Group, name: str, array: np.ndarray) -> h5py.Dataset:
        return group.create_dataset(name, data=array)

    monkeypatch.setattr(new_hdf5, "store", contiguous)
    plain = intsim.golden(graph, image, tmp_path / "plain.h5", "full")
    assert (tmp_path / "packed.h5").read_bytes() != (tmp_path / "plain.h5").read_bytes()
    assert packed == plain
    with open_golden(tmp_path / "packed.h5") as a, open_golden(tmp_path / "plain.h5") as b:
        assert a.content_sha256 == b.content_sha256 == packed
        assert {n: t.sha256 for n, t in a.tensors.items()} == {n: t.sha256 for n, t in b.tensors.items()}


def test_content_hash_sees_picture_model_and_choice(graph: Graph, image: np.ndarray, tmp_path: Path) -> None:
    def content(g: Graph, picture: np.ndarray, level: str, layers: tuple[str, ...] = ()) -> str:
        return intsim.golden(g, picture, tmp_path / "g.h5", level, layers)

    whole = content(graph, image, "full")
    assert content(graph, image, "digest") == whole
    others = {
        content(graph, image ^ 1, "full"),
        content(tiny_graph(dialects.RTL), image, "full"),
        content(graph, image, "boundary"),
        content(graph, image, "full", ("labels",)),
        content(graph, image, "steps"),
    }
    assert len(others) == 5
    assert whole not in others


@pytest.mark.parametrize("level", LEVELS)
def test_recorded_hashes_are_those_of_the_values(level: str, graph: Graph, image: np.ndarray, tmp_path: Path) -> None:
    """sha256, min, max and shape of every dataset are correct; at level digest there are hashes but no values."""
    intsim.golden(graph, image, tmp_path / "g.h5", level)
    values: dict[str, np.ndarray] = {}
    intsim.run(graph, image, lambda name, value: values.__setitem__(name, value.copy()))
    with h5py.File(tmp_path / "g.h5") as file:
        names = [name for name in file if name != "graph"]
        assert any(":" in name for name in names) == (level == "steps")
        for name in names:
            dataset, attributes = file[name], file[name].attrs
            value = values.get(name)
            if value is None:  # an intermediate value of an operator
                value = dataset[()]
                assert value.dtype == np.int64, name
            if level == "digest":
                assert dataset.shape is None, name
            else:
                assert dataset.dtype == value.dtype, name
                assert np.array_equal(dataset[()], value), name
            little = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
            assert attributes["sha256"] == hashlib.sha256(little.tobytes()).hexdigest(), name
            assert tuple(attributes["shape"]) == value.shape, name
            assert (attributes["min"], attributes["max"]) == (value.min(), value.max()), name


@pytest.mark.parametrize("level", LEVELS)
def test_the_content_hash_can_be_recomputed_from_the_values(
    level: str, graph: Graph, image: np.ndarray, tmp_path: Path
) -> None:
    """With only h5py and hashlib; at level digest, from the recorded hashes."""
    content = intsim.golden(graph, image, tmp_path / "g.h5", level, ("encoder.*",))
    with h5py.File(tmp_path / "g.h5") as file:
        tensors = []
        for name in (name for name in file if name != "graph"):
            attributes, values = file[name].attrs, file[name][()]
            sha256 = attributes["sha256"] if level == "digest" else hashlib.sha256(values.tobytes()).hexdigest()
            tensors.append([name, attributes["format"], attributes["shape"].tolist(), sha256])
    canonical = {"model": graph.content_hash, "image": hashlib.sha256(image.tobytes()).hexdigest(), "tensors": tensors}
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == content


def test_replacing_replaces_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    with files.replacing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old", "the old file remains until the new one is complete"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_new_file_has_default_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with files.replacing(tmp_path / "file") as temporary:
            temporary.write_text("new")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
def test_replacing_keeps_the_old_file_when_the_block_fails(error: type[BaseException], tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def interrupted() -> None:
        with files.replacing(target) as temporary:
            temporary.write_text("half of the n")
            raise error

    with pytest.raises(error):
        interrupted()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_replacing_refuses_targets_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is a folder"), files.replacing(tmp_path):
        pytest.fail("the block must not run")
    with pytest.raises(FileError, match="does not exist"), files.replacing(tmp_path / "no" / "file"):
        pytest.fail("the block must not run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_an_interrupted_golden_run_leaves_no_files(
    error: type[BaseException], existing: bool, graph: Graph, image: np.ndarray, tmp_path: Path
) -> None:
    target = tmp_path / "golden.h5"
    if existing:
        target.write_text("old")
    before = contents(tmp_path)
    seen: list[str] = []

    def stop(name: str) -> None:
        seen.append(name)
        if len(seen) == 50:
            raise error

    with pytest.raises(error):
        intsim.golden(graph, image, target, "full", progress=stop)
    assert len(seen) == 50
    assert contents(tmp_path) == before


@pytest.mark.parametrize("level", LEVELS)
def test_files_written_by_threads_equal_those_of_hdf5_alone(
    level: str, graph: Graph, image: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deflated in other threads, or by HDF5's own filters if the two zlibs differ: the same bytes."""
    written = []
    for alike in (True, False):
        monkeypatch.setattr(new_hdf5, "deflates_alike", lambda alike=alike: alike)
        path = tmp_path / f"{alike}.h5"
        intsim.golden(graph, image, path, level)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_comparing_zlibs_is_thread_safe() -> None:
    new_hdf5.deflates_alike.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        answers = {answer.result() for answer in [pool.submit(new_hdf5.deflates_alike.__wrapped__) for _ in range(64)]}
    assert len(answers) == 1


@pytest.mark.parametrize("shape", [(512,), (70_000,), (3, 700_001), (257, 5000), (5, 600, 601), (1, 1_200_000)])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "i8"])
def test_chunks_deflated_outside_hdf5_are_read_back(shape: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)

    with h5py.File(tmp_path / "inside.h5", "w") as inside, h5py.File(tmp_path / "outside.h5", "w") as outside:
        theirs, ours = new_hdf5.create_chunked(inside, "x", array), new_hdf5.create_chunked(outside, "x", array)
        theirs[...] = array
        rows = ours.chunks[0]
        for first in range(0, len(array), rows):
            new_hdf5.put_chunk(ours, first, new_hdf5.deflated(array, first, rows))
            place = (first, *[0] * (array.ndim - 1))
            if new_hdf5.deflates_alike():
                assert ours.id.read_direct_chunk(place) == theirs.id.read_direct_chunk(place)
        np.testing.assert_array_equal(ours[()], array)


def test_an_unsuitable_picture_leaves_no_files(graph: Graph, image: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(intsim.IntsimError, match="24 x 40 x 3"):
        intsim.golden(graph, image[:-1], tmp_path / "golden.h5")
    with pytest.raises(intsim.IntsimError, match="uint8"):
        intsim.golden(graph, image.astype(np.int16), tmp_path / "golden.h5")
    assert not contents(tmp_path)


def test_a_failed_save_keeps_the_old_model(
    graph: Graph, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model.h5"
    shutil.copy(model_file, target)
    before = contents(tmp_path)
    calls = 0
    begin = new_hdf5.begin

    def failing(group: h5py.Group, name: str, array: np.ndarray) -> Any:
        nonlocal calls
        calls += 1
        if calls == 10:
            raise OSError("no space left")
        return begin(group, name, array)

    monkeypatch.setattr(new_hdf5, "begin", failing)
    with pytest.raises(OSError, match="no space left"):
        intsim.save(graph, target)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("array", "chunks"),
    [
        (np.int8(5).reshape(()), None),
        (np.zeros(511, np.int8), None),
        (np.zeros(512, np.int8), (512,)),
        (np.zeros((3, 1 << 20), np.int8), (1, 1 << 20)),
        (np.zeros((5, 1 << 19), np.int8), (2, 1 << 19)),
        (np.zeros((2, 2, 300), np.int32).transpose(1, 0, 2), (2, 2, 300)),
        (np.zeros((0, 7), np.int8), None),
    ],
)
def test_store_writes_chunks_of_one_mebibyte(array: np.ndarray, chunks: tuple[int, ...] | None, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        dataset = new_hdf5.store(file, "x", array)
        assert dataset.chunks == chunks
        assert dataset.dtype == array.dtype
        assert np.array_equal(dataset[()], array)


def test_the_tiny_model_has_all_formats(graph: Graph) -> None:
    """These tests assume it: all four levels differ for this model."""
    formats = {str(t.fmt) for t in graph.tensors.values()}
    assert {"u8", "i8", "i16", "i32"} <= formats
    assert graph.tensors["labels"].shape == tuple(TINY["image_size"])


MODES = {"p.png": "P", "l.png": "L", "la.png": "LA", "one.png": "1", "cmyk.jpg": "CMYK", "rgba.png": "RGBA"}


@pytest.mark.parametrize("name", [*MODES, "i16.png", "g.gif", "w.webp"])
def test_pictures_of_every_kind_are_read(name: str, tmp_path: Path) -> None:
    """Palettes, grey, CMYK, 16 bits, alpha: eight bits of red, green and blue, near what they show."""
    rows, columns = np.indices((16, 24))
    pixels = np.stack([rows * 16, columns * 10, 255 - rows * 8], axis=-1).astype(np.uint8)
    picture = Image.fromarray(pixels)
    expected = pixels.astype(int)
    if name == "i16.png":
        Image.fromarray((pixels[..., 0].astype(np.uint16) << 8) | 255).save(tmp_path / name)
        expected = np.repeat(pixels[..., :1], 3, axis=-1).astype(int)
    else:
        saved = picture.convert(MODES[name]) if name in MODES else picture
        saved.save(tmp_path / name, quality=98, lossless=True)
        if name in ("l.png", "la.png", "one.png"):
            expected = np.repeat(np.asarray(saved.convert("L"))[..., None], 3, axis=-1).astype(int)
    found = read_picture(tmp_path / name)
    assert (found.shape, found.dtype) == ((16, 24, 3), np.uint8)
    assert np.abs(found.astype(int) - expected).mean() < 20


@pytest.mark.parametrize(("dtype", "words"), [(np.float32, "floating-point"), (np.int32, "32-bit")])
def test_pixels_of_an_unknown_range_are_refused(dtype: type, words: str, tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 200, dtype)).save(tmp_path / "wide.tif")
    with pytest.raises(FileError, match=f"has {words} pixels, whose range is not known; convert it to 8 bits per channel"):
        read_picture(tmp_path / "wide.tif")
