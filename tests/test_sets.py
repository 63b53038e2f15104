"""Golden sets: many pictures through one model, in parts, interrupted, on vanishing workers, and against dumps."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
from PIL import Image

import intsim
from intsim import ops
from intsim.cluster import Work, parallel
from intsim.errors import FileError, IntsimError
from intsim.sets import compare_sets, golden_set, merge, picture_files, read_index, verify
from intsim.sets import making as making
from intsim.sets.campaign import campaign
from intsim.storage.golden_file import golden, open_golden

Cli = Callable[[str], tuple[int, str, str]]
SIDES = (24, 40)  # of the tiny Segmenter's pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight random pictures, one of them in a folder, with a label map, and one file that is no picture."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(7)
    (folder / "more").mkdir()
    for i in range(8):
        path = folder / ("more" if i == 7 else "") / f"p{i}.png"
        Image.fromarray(rng.integers(0, 256, (*SIDES, 3)).astype(np.uint8)).save(path)
    Image.fromarray(np.zeros(SIDES, np.uint8)).save(folder / "p0_labels.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def made(pictures: Path, model_file: Path, tmp_path: Path) -> Path:
    """A set of all of them."""
    golden_set([pictures], tmp_path / "set", model_file, cluster="local:1")
    return tmp_path / "set"


def index_of(folder: Path) -> bytes:
    return (folder / "set.json").read_bytes()


# --- making -------------------------------------------------------------------------------------------------------------


def test_a_set_is_the_golden_files_of_its_pictures(made: Path, pictures: Path, model_file: Path, tmp_path: Path) -> None:
    index = read_index(made)
    assert [entry.name for entry in index.pictures] == ["broken", "more/p7", *(f"p{i}" for i in range(7))]
    (failed,) = index.failed
    assert failed.error.startswith("broken.png: not a picture")
    graph = intsim.load(model_file)
    for entry in index.pictures[1:]:
        alone = tmp_path / "alone.h5"
        content = golden(graph, intsim.read_picture(pictures / f"{entry.name}.png"), alone)
        assert entry.content_sha256 == content
        assert (made / f"{entry.name}.h5").read_bytes() == alone.read_bytes()
        with open_golden(alone) as found:
            assert entry.digests == tuple(tensor.sha256 for tensor in found.tensors.values())
            assert index.tensors == tuple(found.tensors)
            assert entry.image_sha256 == found.image_sha256


@pytest.mark.parametrize("cluster", ["local", "local:3"])
def test_workers_make_the_same_index(cluster: str, made: Path, pictures: Path, model_file: Path, tmp_path: Path) -> None:
    golden_set([pictures], tmp_path / "other", model_file, cluster=cluster)
    assert index_of(tmp_path / "other") == index_of(made)


def test_a_set_of_digests(made: Path, pictures: Path, model_file: Path, tmp_path: Path) -> None:
    """Hashes alone, in JSON: those, and the content hash, of the golden files at level boundary."""
    out = tmp_path / "digests"
    golden_set([pictures], out, model_file, level="digest", cluster="local:1")
    found, whole = read_index(out), read_index(made)
    assert found.pictures == whole.pictures
    assert found.tensors == whole.tensors
    assert not list(out.rglob("*.h5"))
    assert verify(out, cluster="local:1") == []
    assert golden_set([pictures], out, model_file, level="digest", cluster="local:1").found == 8
    right = compare_sets(out, made, model_file, cluster="local:1")
    assert right.identical
    assert len(right.pictures) == 8
    text = (out / "p1.json").read_text()
    with open_golden(out / "p1.json") as one:
        first = next(iter(one.tensors.values())).sha256
    (out / "p1.json").write_text(text.replace(first, "0" * 64))
    with (
        pytest.raises(FileError, match="does not match its own content hash; the file was altered"),
        open_golden(out / "p1.json"),
    ):
        pass
    assert [fault.name for fault in verify(out, cluster="local:1")] == ["p1"]
    with pytest.raises(IntsimError, match="JSON holds digests alone"):
        golden(intsim.load(model_file), intsim.read_picture(pictures / "p1.png"), tmp_path / "x.json")


def test_what_is_there_is_kept(made: Path, pictures: Path, model_file: Path) -> None:
    before = index_of(made)
    (made / "p1.h5").write_bytes((made / "p1.h5").read_bytes()[:5000])  # cut off
    (made / "p2.h5").unlink()
    shutil.copy(made / "p4.h5", made / "p3.h5")  # the file of another picture
    (made / "set.json").unlink()
    times = {path.name: path.stat().st_mtime_ns for path in made.glob("*.h5")}
    again = golden_set([pictures], made, model_file, cluster="local:1")
    assert again.found == 5
    assert index_of(made) == before
    kept = {path.name for path in made.glob("*.h5") if times.get(path.name) == path.stat().st_mtime_ns}
    assert kept == {"p0.h5", "p4.h5", "p5.h5", "p6.h5"}


def test_killed_at_any_moment_it_goes_on(pictures: Path, model_file: Path, made: Path, tmp_path: Path) -> None:
    """SIGKILL to the whole group when some files are there; nothing half-written counts, and the index is the same."""
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "intsim", "golden", str(pictures), "-m", str(model_file), "-o", str(out)]
    for least in (1, 3):
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(out.rglob("*.h5"))) < least:
            time.sleep(0.01)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert index_of(out) == index_of(made)
    assert not [path for path in out.rglob("*") if path.suffix not in (".h5", ".json") and path.is_file()]


def test_shards_make_the_same_index(made: Path, pictures: Path, model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    for i in (2, 1, 3):
        golden_set([pictures], out, model_file, shard=(i, 3), cluster="local:1")
    with pytest.raises(FileError, match=r"has no set\.json; its shards are not merged: intsim set merge"):
        read_index(out)
    merge(out)
    assert index_of(out) == index_of(made)
    assert not list(out.glob("set.*-of-*.json"))


def test_shards_that_do_not_fit(pictures: Path, model_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    with pytest.raises(FileError, match="has no shards to merge"):
        merge(pictures)
    golden_set([pictures], out, model_file, shard=(1, 2), cluster="local:1")
    with pytest.raises(IntsimError, match="shard 2 of 2 is missing"):
        merge(out)
    with pytest.raises(FileError, match="is shard 1 of 2, not of 3"):
        golden_set([pictures], out, model_file, shard=(2, 3), cluster="local:1")
    golden_set([pictures / "p0.png"], tmp_path / "other", model_file, shard=(1, 2), cluster="local:1")
    golden_set(
        [pictures / "broken.png", pictures / "p0.png"], tmp_path / "other", model_file, shard=(2, 2), cluster="local:1"
    )
    shutil.copy(tmp_path / "other" / "set.2-of-2.json", out)
    second = read_index(out / "set.2-of-2.json")
    first = read_index(out / "set.1-of-2.json")
    assert {entry.name for entry in first.pictures} & {entry.name for entry in second.pictures} == {"p0"}
    with pytest.raises(IntsimError, match="p0 is in another shard, too"):
        merge(out)
    for key, word in (("model_sha256", "model"), ("dialect", "dialect"), ("level", "level"), ("numerics", "version of")):
        other = type(second)(**{**vars(second), key: "0" * 64})
        other.write(out)
        with pytest.raises(IntsimError, match=f"is of another {word}"):
            merge(out)


def test_a_folder_of_another_set(made: Path, pictures: Path, model_file: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is a set of another level; write to another folder"):
        golden_set([pictures], made, model_file, level="full", cluster="local:1")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file: is not a folder; a set has one"):
        golden_set([pictures], tmp_path / "file", model_file, cluster="local:1")


def test_names_of_pictures(pictures: Path, tmp_path: Path) -> None:
    assert list(picture_files([pictures / "p1.png", pictures / "more"])) == ["p1", "p7"]
    shutil.copy(pictures / "p1.png", tmp_path / "p1.png")
    with pytest.raises(FileError, match=r"p1\.png: has the same name as .*; rename one, or give their folder"):
        picture_files([pictures / "p1.png", tmp_path / "p1.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="empty: is a folder, not a picture, and contains none"):
        picture_files([tmp_path / "empty"])


def test_a_full_disk_stops_it_and_keeps_what_is_made(
    pictures: Path, model_file: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, real = [0], making.golden

    def full(*args: Any, **kwargs: Any) -> str:
        count[0] += 1
        if count[0] == 4:
            raise FileError("p3.h5: the disk is full")
        return real(*args, **kwargs)

    monkeypatch.setattr(making, "golden", full)
    out = tmp_path / "full"
    with pytest.raises(IntsimError, match=r"the disk is full; what was made is kept, the same command goes on"):
        golden_set([pictures], out, model_file, cluster="local:1")
    assert len(list(out.rglob("*.h5"))) == 3
    assert not (out / "set.json").exists()
    assert golden_set([pictures], out, model_file, cluster="local:1").found == 3
    assert index_of(out) == index_of(made)


# --- workers ------------------------------------------------------------------------------------------------------------


def begin(folder: str) -> Path:
    return Path(folder)


def do(state: Path, task: int) -> int:
    """Ends its process: task 3 the first time, task 5 always."""
    if task == 5 or (task == 3 and not (state / "once").exists()):
        (state / "once").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if task == 6:
        raise IntsimError("six")
    return task * task


def test_workers_that_vanish(tmp_path: Path) -> None:
    found = {done.index: done for done in parallel(Work(do, begin, (str(tmp_path),)), range(8), "local:2")}
    assert sorted(found) == list(range(8))
    assert found[5].error == "its worker vanished 3 times; is there enough memory?"
    assert found[6].error == "six"
    others = [i for i in range(8) if i not in (5, 6) and not found[i].error]
    assert {3, 0, 1, 2} <= set(others)
    assert all(found[i].value == i * i for i in others)


# --- verifying ----------------------------------------------------------------------------------------------------------


def test_what_is_wrong_with_a_set(made: Path) -> None:
    assert verify(made, cluster="local:1") == []
    data = bytearray((made / "p1.h5").read_bytes())
    with h5py.File(made / "p1.h5") as file:
        chunk = next(d.id.get_chunk_info(0) for d in file.values() if d.chunks)
    data[chunk.byte_offset + chunk.size // 2] ^= 0x10
    (made / "p1.h5").write_bytes(data)
    (made / "p2.h5").unlink()
    shutil.copy(made / "p4.h5", made / "p3.h5")
    shutil.copy(made / "p4.h5", made / "stray.h5")
    faults = {fault.name: fault.reason for fault in verify(made, cluster="local:1")}
    assert faults.pop("p2") == "no such file"
    assert faults.pop("p3") == "is of other content than the index says"
    assert faults.pop("stray.h5") == "is not in the index"
    assert set(faults) == {"p1"}


def test_an_index_that_was_altered(made: Path, cli: Cli) -> None:
    path = made / "set.json"
    for old, new in (('"level":"boundary"', '"level":"full"'), ('"p1"', '"q1"'), ("a", "b")):
        text = path.read_text()
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(FileError, match=r"does not match its own hash; it was altered|is not the index of a set"):
            read_index(made)
        path.write_text(text)
    for damaged in (b"", b"{}", b"[]", b"\xff", b'{"schema": "intsim-set"}', b'{"schema": "intsim-set", "version": 9}'):
        path.write_bytes(damaged)
        with pytest.raises(FileError):
            read_index(made)
    code, _, err = cli(f"set verify {made}")
    assert (code, err.count("\n")) == (2, 1)
    record = {"schema": "intsim-set", "version": 1, "pictures": [{"name": "../outside", "error": "no"}]}
    path.write_text(json.dumps(record))
    with pytest.raises(FileError, match="is not the index of a set"):
        read_index(made)


# --- comparing ----------------------------------------------------------------------------------------------------------

FAULT = "encoder.blocks.1.mlp.act.requant", "requant_rounding=floor"
OTHER = "encoder.blocks.0.attn.softmax", "half_bit=dropped"


@pytest.fixture
def dumps(made: Path, model_file: Path, tmp_path: Path, cli: Cli) -> Path:
    """Of a device with one fault in three pictures and another in one; one dump is junk, one right, two are missing."""
    out = tmp_path / "dumps"
    (out / "more").mkdir(parents=True)
    faults = {"p0": FAULT, "p1": FAULT, "more/p7": FAULT, "p2": OTHER}
    for name, (node, rule) in faults.items():
        code, _, err = cli(f"synth-fault {made}/{name}.h5 --node {node} --rule {rule} -m {model_file} -o {out}/{name}.h5")
        assert code == 0, err
    shutil.copy(made / "p3.h5", out / "p3.h5")
    (out / "p4.h5").write_bytes(b"junk")
    return out


def test_culprits_of_a_set(made: Path, dumps: Path, model_file: Path) -> None:
    found = compare_sets(made, dumps, model_file, isolated=True, cluster="local:2")
    first, second = found.culprits()
    assert (first.node, first.rule, first.pictures) == (*FAULT, ("more/p7", "p0", "p1"))
    assert (second.node, second.rule, second.pictures) == (*OTHER, ("p2",))
    by_name = {picture.name: picture for picture in found.pictures}
    assert by_name["p3"].identical
    assert "not an HDF5 file" in by_name["p4"].error
    assert set(by_name) == {"more/p7", "p0", "p1", "p2", "p3", "p4"}
    fewest = min((w.differing, p.name) for p in found.pictures for w in p.wrong if w.node == FAULT[0] and w.culprit)
    assert (first.differing, first.smallest) == fewest
    complete = compare_sets(made, dumps, model_file, complete=True, cluster="local:1")
    assert {p.name for p in complete.pictures if p.error == "has no dump"} == {"p5", "p6"}
    assert complete.culprits()[0].rule == ""


def test_the_commands_of_sets(made: Path, dumps: Path, model_file: Path, cli: Cli, tmp_path: Path) -> None:
    line = f"diff {made} {dumps} -m {model_file} --isolated --cluster local:1"
    code, out, _ = cli(f"{line} --html page.html --junit cases.xml")
    assert code == 1
    assert out.splitlines()[0] == "4 of 6 pictures differ, 1 could not be compared"
    assert FAULT[0] in out
    cases = ElementTree.parse(tmp_path / "cases.xml").getroot()
    assert [case.get("name") for case in cases.iter("testcase")] == ["p7", "p0", "p1", "p2", "p3", "p4"]
    assert len(list(cases.iter("failure"))) == 5
    page = (tmp_path / "page.html").read_text()
    assert "data:image/png;base64," in page
    assert "http" not in page.replace("http-equiv", "")
    code, out, _ = cli(f"{line} --json")
    record = json.loads(out)
    assert record["schema"] == "intsim-set-diff"
    assert record["culprits"][0]["pictures"] == ["more/p7", "p0", "p1"]
    assert cli(f"diff {made} {made}")[:2][0] == 0
    code, out, _ = cli(f"set verify {made} --json")
    assert (code, json.loads(out)["faults"]) == (0, [])
    code, out, err = cli(f"golden {dumps.parent}/set {made} -m {model_file}")
    assert (code, err.count("\n")) == (2, 1)


BAD = {
    "golden {pictures} -o out --shard 0/2": "shard '0/2': I/N with I from 1 to N is expected",
    "golden {pictures} -o out --shard 3/2": "shard '3/2': I/N",
    "golden {pictures} -o out --shard two": "shard 'two': I/N",
    "golden --shard 1/2": "Missing argument 'DIR'",
    "golden {pictures} -o out --cluster moon": "cluster 'moon' is none of local, local:N, dask:ADDRESS",
    "golden {pictures} -o out --cluster local:0": "cluster 'local:0' is none of",
    "golden {pictures} -o out --threads 1": "--threads is of a single golden file, not of a set",
    "golden {pictures} --input x.npy -o out": "--input is of a single golden file, not of a set",
    "golden nowhere.png other.png -o out": "",  # entries of a set, with exit code 1
    "set merge nowhere": "nowhere: no such folder",
    "set verify nowhere": "nowhere: no such file",
    "diff {set} nowhere": "nowhere: no such folder; a set is compared with one",
    "diff {set} {pictures}": "has no dump that is called like a picture of the set",
    "diff {set} {set} --score x.json": "--score is of a single golden file",
    "diff {pictures} {set}": "has no set.json",
}


@pytest.mark.parametrize("line", BAD)
def test_bad_input_is_one_line(line: str, made: Path, pictures: Path, cli: Cli, tmp_path: Path) -> None:
    given = line.format(pictures=pictures, set=made)
    command = given if given.startswith(("set", "diff")) else f"{given} -m {tmp_path}/model.h5"
    code, _, err = cli(command)
    if not BAD[line]:
        assert code == 1
        assert err.count("\n") == 2
        return
    assert code == 2
    assert BAD[line] in err
    assert err.count("\n") == 1
    assert not list((tmp_path / "out").rglob("*.h5")) if (tmp_path / "out").exists() else True


# --- campaigns ----------------------------------------------------------------------------------------------------------


def test_a_campaign_finds_nothing(tmp_path: Path) -> None:
    found = campaign(range(2), tmp_path / "out", operators=["requant", "shiftmax"], examples=10, cluster="local:1")
    assert (found.calls, found.failures) == (2 * 2 * 4 * 10, ())
    assert not (tmp_path / "out").exists()


def test_a_campaign_keeps_the_smallest_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fast form that is wrong above 100: found, shrunk, and kept as vectors that the reference answers."""
    real = ops.REGISTRY["upsample_nearest"].fast

    def wrong(x: Any, factor: int, dialect: Any, out: Any) -> Any:
        result = real(x, factor=factor, dialect=dialect, out=out)
        result = out if result is None else result
        return np.where(result > 100, result - 1, result)

    monkeypatch.setattr(ops.REGISTRY["upsample_nearest"], "fast", wrong)
    found = campaign([0], tmp_path / "out", operators=["upsample_nearest"], examples=50, cluster="local:1")
    (failure,) = found.failures
    assert "101" in failure.text
    assert Path(failure.file).read_text().startswith("the fast implementation is not upsample_nearest")
    kept = json.loads((tmp_path / "out" / "upsample_nearest-0.json").read_text())
    assert np.size(kept["cases"][0]["args"]["x"]) <= 4


DEVICE = """
import json, sys
import intsim.ops as ops
document = json.load(sys.stdin)
for case in document["cases"]:
    arguments = dict(case["args"])
    try:
        values = ops.residual_add.ref(arguments.pop("a"), arguments.pop("c"), **arguments, dialect={dialect!r}).tolist()
    except ValueError:
        values = "invalid"
    case["got"] = values
json.dump(document, sys.stdout)
"""


def test_a_campaign_against_a_device(tmp_path: Path) -> None:
    """A device that rounds half up, whatever the dialect, is right in one dialect of four."""
    (tmp_path / "device.py").write_text(DEVICE.format(dialect="rtl"))
    command = f"{shlex.quote(sys.executable)} {tmp_path}/device.py"
    found = campaign([0], tmp_path / "out", operators=["residual_add"], device=command, cluster="local:2")
    wrong = {failure.dialect for failure in found.failures}
    assert "rtl" not in wrong
    assert "ivit" in wrong
    (failure,) = (failure for failure in found.failures if failure.dialect == "ivit")
    assert "expected" in failure.text
    assert failure.text.startswith("ops.residual_add(")


def test_a_device_that_fails(tmp_path: Path, cli: Cli) -> None:
    for command, told in (
        ("false", "failed: exit code 1"),
        ("/no/such/device", "cannot be run"),
        ("echo hello", "begins with 'hello'"),
    ):
        code, _, err = cli(f"campaign --seeds 0 --only grid --device '{command}' -o out --cluster local:1")
        assert (code, err.count("\n")) == (2, 1)
        assert told in err
    for line, told in (
        ("campaign --seeds 3-1", "FIRST-LAST"),
        ("campaign --only nothing", "there is no operator 'nothing'"),
    ):
        code, _, err = cli(line)
        assert code == 2
        assert told in err


def test_random_graphs_of_a_campaign(tmp_path: Path) -> None:
    from intsim.sets.campaign import GRAPHS, Task, _do

    tried, left, failure = _do(None, Task(GRAPHS, None, 0, 3))
    assert (left, failure) == (0, None)
    assert tried >= 3


# --- other commands on workers ------------------------------------------------------------------------------------------


def test_accuracy_and_scores_by_workers(cli: Cli, tmp_path: Path) -> None:
    """The same report as in one process."""
    examples = Path(__file__).parent.parent / "examples" / "scenes"
    for command in (f"eval {examples} -m {intsim.resources.model()} --integers", "vectors score a.json b.json"):
        if command.startswith("vectors"):
            for name, op in (("a", "requant"), ("b", "grid")):
                assert cli(f"vectors gen {op} -o {name}.json")[0] == 0
        alone, parted = cli(command), cli(f"{command} --cluster local:2")
        assert parted == alone
        code, _, err = cli(f"{command} --cluster moon")
        assert (code, err.count("\n")) == (2, 1)
    code, _, err = cli("vectors score model.h5 --cluster local:2")
    assert (code, err.count("\n")) == (2, 1)
