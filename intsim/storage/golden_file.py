"""The golden file: the tensors a correct implementation must produce, in HDF5.

Root attributes: those of the model file (``config``, ``dialect``, ``provenance``), ``format`` "intsim-golden", ``version``,
``level``, ``layers``, ``left_out``, ``model_sha256``, ``image_sha256``, ``content_sha256`` and ``hdf5`` (the version of the
library that wrote it), and ``stimulus``, a node's name, where the tensors are values for this node and not of a picture.
Dataset ``graph``: JSON, all nodes of the model in order, including those that ``left_out`` lists. Then one dataset per
tensor in execution order, such as the input picture first unless left out, named after its node, with attributes shape,
format, scale, sha256, min and max. ``image_sha256`` is the SHA-256 of the values of the only input (of the picture); of
several inputs it is that of the JSON object of their names and these hashes, with sorted keys and without spaces. Level
``steps`` adds datasets ``node:step`` with intermediate values of operators. At level ``digest`` the datasets are empty and
have attributes only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..arith import Format, IntArray, Scale, format_named
from ..engine.graph import Graph, digest, hash_of
from ..engine.inputs import Inputs, checked_inputs
from ..engine.interpreter import Alteration, Progress, run
from ..engine.names import TensorName, chooses, require_matches
from ..errors import FileError, IntsimError
from . import digest_file, hdf5
from .files import require_file
from .golden_writer import FORMAT, VERSION, writing_golden

LEVELS = {
    "boundary": "inputs, the output, and every tensor between operators that is not an accumulator (u8, i8, i16)",
    "full": "level boundary, and the i32 accumulators",
    "steps": "level full, and intermediate values of operators: maximum, exponentials, sum, factor, square root",
    "digest": "hashes of level full, no values",
}


def golden(
    graph: Graph,
    inputs: Inputs,
    path: str | Path,
    level: str = "boundary",
    layers: Sequence[str] = (),
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    alter: Alteration | None = None,
    remarks: Mapping[str, str] | None = None,
    hashes: list[list[Any]] | None = None,
) -> str:
    """Run `graph` on `inputs` (see `run`) and write its tensors to `path`; returns the file's content hash.

    A `path` that ends in ``.json`` takes level ``digest`` alone, the hashes of level boundary (see `digest_file`), and is
    the fastest. `level` is a key of `LEVELS`; `layers` are globs of node names, ``!glob`` excludes names (empty: all nodes).
    The same arguments give the same content hash on any machine, and the same bytes with the same HDF5 library.
    `progress(name)` is called after each node, whether it is written or not. With `alter` (see `run`) the file is not a
    golden file but a device's dump with a known fault; `remarks` are root attributes that record this. Name, format, shape
    and SHA-256 of every tensor are added to `hashes`.
    """
    if level not in LEVELS:
        raise IntsimError(f"{level!r} is not a level; the levels are: {', '.join(LEVELS)}")
    given = checked_inputs(graph, inputs)
    if Path(path).suffix == digest_file.SUFFIX:
        if level != "digest" or alter is not None:
            raise IntsimError(f"{path}: JSON holds digests alone; a golden file with values is HDF5, as in golden.h5")
        nodes = chosen_nodes(graph, "boundary", layers)
        return digest_file.write_digests(graph, given, inputs_sha256(given), Path(path), nodes, layers, threads, hashes)
    chosen = chosen_nodes(graph, level, layers)
    with writing_golden(path, graph, chosen, level != "digest") as writer:

        def write_steps(name: str, steps: dict[str, IntArray]) -> None:
            if name in chosen:
                for step, value in steps.items():
                    if step != "out":
                        writer.step(TensorName.of_step(name, step), value)

        writer.file.attrs.update(remarks or {})
        run(
            graph,
            given,
            writer.tensor,
            nodes=chosen,
            observe_steps=write_steps if level == "steps" else None,
            alter=alter,
            progress=progress,
            threads=threads,
        )
        left_out = [node.name for node in graph.nodes if node.name not in chosen]
        content = writer.finish(level, layers, inputs_sha256(given), left_out)
        if hashes is not None:
            hashes += writer.hashes
        return content


def inputs_sha256(given: Mapping[str, IntArray]) -> str:
    """The SHA-256 of the inputs of a run, as ``image_sha256`` has it."""
    hashes = {name: digest(value) for name, value in given.items()}
    return next(iter(hashes.values())) if len(hashes) == 1 else hash_of(hashes)


def store_stimulus(graph: Graph, name: str, tensors: Mapping[str, IntArray], path: str | Path) -> str:
    """Write a golden file that no picture gave: values for the inputs of the node called `name`, and its output.

    `tensors` are these by name. The file has the attribute ``stimulus``, the node's name, and is otherwise as of level
    ``full`` with the other nodes left out. Returns its content hash.
    """
    chosen = [node.name for node in graph.nodes if node.name in tensors]
    with writing_golden(path, graph, chosen, True) as writer:
        writer.file.attrs["stimulus"] = name
        for tensor in chosen:
            writer.tensor(tensor, np.asarray(tensors[tensor]))
        image = hash_of([digest(np.asarray(tensors[tensor])) for tensor in chosen])
        return writer.finish("full", chosen, image, [n.name for n in graph.nodes if n.name not in tensors])


def chosen_nodes(graph: Graph, level: str, layers: Sequence[str] = ()) -> set[str]:
    """The nodes that a golden file of this level contains for these globs. A glob that matches nothing is an IntsimError."""
    names = [node.name for node in graph.nodes]
    require_matches(layers, names)
    chosen = {name for name in names if chooses(layers, name)}
    if level == "boundary":
        kept = (graph.output.name, *(node.name for node in graph.inputs))  # an input cannot be computed again
        chosen = {n for n in chosen if graph.tensors[n].fmt.dtype.itemsize <= 2 or n in kept}
    if not chosen:
        raise IntsimError(f"level {level!r} and the globs {' '.join(layers)!r} leave no tensor to write")
    return chosen


@dataclass(frozen=True)
class GoldenTensor:
    """One tensor of a golden file. `values` is None at level digest, which has hashes only. `scale` is None if there is
    none, and an array if there is one per channel.
    """

    name: str
    shape: tuple[int, ...]
    fmt: Format
    sha256: str
    scale: Scale | None
    values: hdf5.Values | None

    def verified(self) -> IntArray | None:
        """Its values, or None if the file has none; a FileError if they do not match the recorded hash."""
        if self.values is None:
            return None
        array = self.values[()]
        if digest(array) != self.sha256:
            raise FileError(f"{self.values.path}: {self.name} does not match its recorded hash; the file was altered")
        return array


@dataclass(frozen=True)
class GoldenFile:
    """An open golden file: its header, its tensors in execution order, the model's nodes and the names of those left out."""

    path: Path
    level: str
    layers: tuple[str, ...]
    model_sha256: str
    image_sha256: str
    content_sha256: str
    hdf5: str
    nodes: list[dict[str, Any]]
    left_out: list[str]
    tensors: dict[str, GoldenTensor]
    stimulus: str = ""  # the node whose inputs these tensors are, where they are of no picture

    @cached_property
    def altered(self) -> str:
        """Why its list of tensors is not the one it was written with; "" where it is. No value is read for that."""
        left_out = {name for name in self.left_out if isinstance(name, str)}
        for node in self.nodes:
            if node["name"] not in self.tensors and node["name"] not in left_out:
                return f"{node['name']} is missing, and not among those that the file says it leaves out"
        listed = [[tensor.name, str(tensor.fmt), list(tensor.shape), tensor.sha256] for tensor in self.tensors.values()]
        content = hash_of({"model": self.model_sha256, "image": self.image_sha256, "tensors": listed})
        return "" if content == self.content_sha256 else "does not match its own content hash"


@contextmanager
def open_golden(path: str | Path, *, altered: bool = False) -> Iterator[GoldenFile]:
    """Open a golden file for reading; FileError if it is not valid. Values are read only on access.

    With `altered`, a file whose list of tensors was changed is opened, too; see `GoldenFile.altered`.
    """
    path = Path(path)
    if path.suffix == digest_file.SUFFIX:
        require_file(path, "a golden file")
        yield _whole(_of_digests(digest_file.read_digests(path), path), altered)
        return
    with hdf5.reading(path, FORMAT, VERSION) as (file, datasets):
        with hdf5.damage_named(path):
            golden_file = _golden_file(file, datasets, path)
        yield _whole(golden_file, altered)


def _whole(golden_file: GoldenFile, altered: bool) -> GoldenFile:
    """The file itself; FileError where it was altered and that is not allowed."""
    if not altered and (reason := golden_file.altered):
        raise FileError(f"{golden_file.path}: {reason}; the file was altered")
    return golden_file


def _golden_file(file: h5py.File, datasets: dict[str, h5py.Dataset], path: Path) -> GoldenFile:
    nodes = hdf5.load_json(datasets, "graph", path)
    if not isinstance(nodes, list) or not all(_is_node(node) for node in nodes):
        raise FileError(f"{path}: its graph is not a list of nodes; the file is damaged")
    order = {node["name"]: i for i, node in enumerate(nodes)}
    names = [name for name in datasets if name != "graph"]
    names.sort(key=lambda name: order.get(TensorName(name).node, len(order)))  # a stable sort keeps steps with their node
    tensors = {name: _record(name, datasets[name], path) for name in names}
    stated = ("level", "model_sha256", "image_sha256", "content_sha256", "hdf5")
    texts = {name: hdf5.text_attribute(file, name, path) for name in stated}
    layers = tuple(str(glob) for glob in hdf5.json_attribute(file, "layers", path, list))
    left_out = hdf5.json_attribute(file, "left_out", path, list)
    stimulus = hdf5.text(file.attrs.get("stimulus")) or ""
    return GoldenFile(path=path, layers=layers, nodes=nodes, left_out=left_out, tensors=tensors, stimulus=stimulus, **texts)


def _of_digests(found: digest_file.DigestFile, path: Path) -> GoldenFile:
    if not all(_is_node(node) for node in found.graph):
        raise FileError(f"{path}: its graph is not a list of nodes; the file is damaged")
    return GoldenFile(
        path=path,
        level=found.level,
        layers=tuple(map(str, found.layers)),
        model_sha256=found.model_sha256,
        image_sha256=found.image_sha256,
        content_sha256=found.content_sha256,
        hdf5="",
        nodes=found.graph,
        left_out=found.left_out,
        tensors={
            name: GoldenTensor(name, tuple(shape), format_named(fmt), sha256, None, None)
            for name, fmt, shape, sha256 in found.tensors
        },
    )


def _is_node(node: Any) -> bool:
    return (
        isinstance(node, dict)
        and isinstance(node.get("name"), str)
        and isinstance(node.get("op"), str)
        and isinstance(node.get("inputs"), list)
    )


def _record(name: str, dataset: h5py.Dataset, path: Path) -> GoldenTensor:
    try:
        attributes = dataset.attrs
        shape = tuple(int(size) for size in attributes["shape"])
        if min(shape, default=1) < 1:
            raise ValueError("an empty tensor")
        fmt, sha256 = format_named(str(hdf5.text(attributes["format"]))), str(hdf5.text(attributes["sha256"]))
        scale = hdf5.scale_of(np.asarray(attributes["scale"], np.float64)) if "scale" in attributes else None
    except (KeyError, TypeError, ValueError):
        raise FileError(
            f"{path}: {name} has a missing or invalid shape, format or sha256; intsim did not write this file"
        ) from None
    if dataset.shape is None:
        return GoldenTensor(name, shape, fmt, sha256, scale, None)
    if dataset.shape != shape or dataset.dtype.kind not in "iu":
        raise FileError(
            f"{path}: {name} is {dataset.dtype} {list(dataset.shape)}, but its attributes say {fmt} {list(shape)}; "
            "the file is damaged"
        )
    return GoldenTensor(name, shape, fmt, sha256, scale, hdf5.Values(dataset, path, name))
