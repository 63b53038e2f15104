"""What files say of themselves: names with control characters, numbers that are none, places that are not there."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest

import intsim
from intsim.cli._output import put_json, say
from intsim.engine.graph import Graph, hash_of
from intsim.storage.golden_file import open_golden

ROOT = Path(__file__).parent.parent
Cli = Callable[..., tuple[int, str, str]]
EVIL = "\x1b[31m\x01\u202e\x9b2J"
NODE = "encoder.patches"


def lines_are_safe(*texts: str) -> None:
    for text in texts:
        for line in text.split("\n"):
            assert line.isprintable(), repr(line)


@pytest.fixture
def evil(cli: Cli, graph: Graph, image: np.ndarray) -> Cli:
    """evil.h5: a model whose names are evil; of it g.h5, and device.h5 with evil tensors besides, one of them wrong."""
    config = {**graph.config, "name": f"net{EVIL}", "class_names": [f"class{i}{EVIL}" for i in range(5)]}
    dialect = dataclasses.replace(graph.dialect, name=f"rules{EVIL}")
    model = Graph(graph.nodes, dialect, config, {**graph.provenance, "remark": EVIL})
    intsim.save(model, "evil.h5")
    for name in ("g.h5", "device.h5"):
        intsim.golden(model, image, name, "full")
    with h5py.File("device.h5", "r+") as file:
        values, about = file[NODE][()], dict(file[NODE].attrs)
        for name in (f"{NODE}:{EVIL}", EVIL):
            file[name] = values
            file[name].attrs.update(about)
        file[NODE][...] = values ^ 1
        nodes = [*json.loads(file["graph"][()].tobytes()), {"name": EVIL, "op": EVIL, "inputs": [EVIL]}]
        del file["graph"]
        file["graph"] = np.frombuffer(json.dumps(nodes).encode(), np.uint8)
        file.attrs["layers"] = json.dumps([EVIL])
    return cli


SHOWN = {
    "inspect -m evil.h5": "net\\x1b[31m\\x01\\u202e\\x9b2J",
    "inspect -m evil.h5 -o report.txt": "",
    "run picture.png -m evil.h5 -o labels.png": "class0\\x1b[31m",
    "diff g.h5 device.h5 -m evil.h5 --isolated": "encoder.patches:\\x1b[31m",
    "diff g.h5 device.h5 -m evil.h5 -o report.txt": "",
    "diff device.h5 g.h5 --force": "\\x1b[31m",
    "demo -m evil.h5 -o demo": "rules\\x1b[31m",
    "synth --dialect evil.toml -o s.h5 seg-t16-mask@32": "evil\\x1b[31m",
}


@pytest.mark.parametrize(("line", "escaped"), SHOWN.items(), ids=SHOWN)
def test_control_characters_never_reach_the_terminal(line: str, escaped: str, evil: Cli) -> None:
    choices = {**intsim.dialects.RTL.choices(), "name": f"evil{EVIL}"}
    Path("evil.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in choices.items()))
    code, out, err = evil(line)
    assert code in (0, 1), err
    lines_are_safe(out, err)
    assert escaped in out
    if Path("report.txt").exists():
        lines_are_safe(Path("report.txt").read_text(encoding="utf-8"))


def test_not_on_a_real_terminal_either(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """click removes escape sequences from what is no terminal: here they would pass."""
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    say(f"a{EVIL}\nb")
    out = capsys.readouterr().out
    assert out == "a\\x1b[31m\\x01\\u202e\\x9b2J\nb\n"


def test_junit_is_valid_whatever_the_names(evil: Cli) -> None:
    for line in ("diff g.h5 device.h5 -m evil.h5 --isolated", "diff device.h5 g.h5 --force"):
        assert evil(f"{line} --junit report.xml --html report.html --json")[0] == 1
        names = [case.get("name") for case in ElementTree.parse("report.xml").iter("testcase")]
        assert any("\\x1b[31m" in str(name) for name in names)


def test_json_keeps_the_names(evil: Cli) -> None:
    record = json.loads(evil("inspect -m evil.h5 --json")[1])
    assert record["config"]["name"] == f"net{EVIL}"


def test_names_that_a_manifest_does_not_have_are_not_exported(evil: Cli) -> None:
    with open_golden("device.h5", altered=True) as found:  # with a content hash made anew, or it would be refused for that
        listed = [[t.name, str(t.fmt), list(t.shape), t.sha256] for t in found.tensors.values()]
        content = hash_of({"model": found.model_sha256, "image": found.image_sha256, "tensors": listed})
    with h5py.File("device.h5", "r+") as file:
        file.attrs["content_sha256"] = content
    code, _, err = evil("export device.h5 -o tb")
    assert code == 2
    assert "is not the name of a tensor; intsim did not write this file" in err
    lines_are_safe(err)
    assert not Path("tb").exists()


def test_names_that_are_no_text(cli: Cli) -> None:
    name = os.fsdecode(b"n\xff")
    Path("golden.h5").rename(f"{name}.h5")
    for line in (f"--html {name}.html", f"--junit {name}.xml", f"-o {name}.txt", "--json"):
        code, _, err = cli(f"diff {name}.h5 {name}.h5 {line}")
        assert code == 0, err
    assert cli(f"vectors gen requant --dialect rtl -o {name}.json")[0] == 0
    assert cli(f"vectors check {name}.json -o {name}.txt")[0] == 0
    assert cli(f"export {name}.h5 --layers {NODE} -o {name}.tb --json")[0] == 0


# --- numbers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_a_scale_that_is_not_finite_is_refused(value: float, cli: Cli) -> None:
    with h5py.File("golden.h5", "r+") as file:
        file[NODE].attrs["scale"] = value
    for line in (f"export golden.h5 --layers {NODE} -o tb", "diff golden.h5 golden.h5 --json"):
        code, out, err = cli(line)
        assert (code, out) == (2, "")
        assert f"golden.h5: {NODE} has a missing or invalid" in err
    with h5py.File("model.h5", "r+") as file:
        found: list[h5py.Dataset] = []
        file.visititems(lambda _, item: found.append(item) if "scale" in item.attrs else None)
        found[0].attrs["scale"] = np.full_like(found[0].attrs["scale"], value)
    assert cli("inspect -m model.h5 --json")[0] == 2


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999"])
def test_json_in_a_file_has_finite_numbers_alone(text: str, cli: Cli) -> None:
    with h5py.File("model.h5", "r+") as file:
        config = str(file.attrs["config"])
        file.attrs["config"] = f'{{"norm_eps": {text}, {config[1:]}'
    code, _, err = cli("inspect -m model.h5 --json")
    assert (code, err) == (2, "intsim: model.h5: its attribute 'config' is missing or damaged\n")


def test_what_commands_print_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    put_json({"a": [float("nan"), 1.5, {"b": float("inf")}]}, None)

    def refuse(name: str) -> Any:
        raise AssertionError(name)

    assert json.loads(capsys.readouterr().out, parse_constant=refuse) == {"a": [None, 1.5, {"b": None}]}


# --- places -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["golden picture.png -m model.h5 -o link", "inspect -m model.h5 -o link"])
def test_a_dangling_link_is_told_with_the_folder_it_leads_to(line: str, cli: Cli) -> None:
    Path("link").symlink_to("nowhere/x.h5")
    code, _, err = cli(line)
    place = Path("nowhere").absolute()
    assert code == 2
    assert err == f"intsim: link: leads to {place / 'x.h5'}; its folder {place} does not exist; create it first\n"


@pytest.fixture
def within_a_minute() -> Iterator[None]:
    def late(number: int, frame: object) -> None:
        raise TimeoutError("it waits for ever")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("within_a_minute")
@pytest.mark.parametrize(
    "line",
    [
        "import pipe.json -o t.npz",
        "import duts --manifest pipe.json -o t.npz",
        "synth --config pipe.json -o s.h5",
        "synth --config pipe.yml -o s.h5",
        "synth --dialect pipe.toml -o s.h5 seg-t16-mask@32",
        "vectors check pipe.json",
        "vectors score pipe.json",
        "vectors gen requant --dialect pipe.toml -o v.json",
        "export golden.h5 --layout pipe.toml -o tb",
        "diff golden.h5 golden.h5 --map pipe.toml",
        "diff pipe.json golden.h5",
        "execute pipe.onnx picture.png -o e.h5",
        "golden --input pipe.npy -m model.h5 -o g.h5",
        "score pipe.h5",
        "set verify pipe.json",
        "quantize pipe.safetensors --config pipe.json --calibrate picture.png -o q.h5",
    ],
)
def test_a_pipe_is_no_file(line: str, cli: Cli) -> None:
    Path("duts").mkdir()
    for suffix in ("json", "yml", "toml", "onnx", "npy", "h5", "safetensors"):
        os.mkfifo(f"pipe.{suffix}")
    code, out, err = cli(line)
    assert (code, out) == (2, "")
    assert "pipe." in err
    assert len(err.splitlines()) == 1


@pytest.mark.usefixtures("within_a_minute")
def test_a_library_call_does_not_wait_for_a_pipe_either(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(intsim.IntsimError, match="not a regular file"):
        intsim.dialects.load(tmp_path / "pipe.toml")


def ended(command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, shell=True, executable="/bin/bash", env=environment, text=True, **options)


INTSIM = f"{sys.executable} -m intsim"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_full_streams_change_no_exit_code(cli: Cli) -> None:
    assert ended(f"{INTSIM} diff golden.h5 missing.h5 2> /dev/full").returncode == 2, "1 would say: a difference was found"
    done = ended(f"{INTSIM} diff golden.h5 golden.h5 > /dev/full", stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (2, "intsim: standard output: No space left on device\n")


@pytest.mark.parametrize("size", [400, 480, 500, 560, 600, 660, 700])
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits the address space")
def test_a_limit_on_the_address_space(size: int, cli: Cli) -> None:
    """Enough, or told: no bug, no signal, no half-written file."""
    assert ended(f"{INTSIM} golden picture.png -m model.h5 -o warm.h5", capture_output=True).returncode == 0
    done = ended(
        f"ulimit -v {size * 1000}; {INTSIM} golden picture.png -m model.h5 -o g.h5", capture_output=True, timeout=60
    )
    assert not list(Path().glob(".*.part"))
    if done.returncode == 0:
        assert Path("g.h5").read_bytes() == Path("warm.h5").read_bytes()
    else:
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("intsim: not enough memory")
        assert len(done.stderr.splitlines()) == 1
        assert not Path("g.h5").exists()
