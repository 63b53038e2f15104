"""The fuzzer sees what it is there to see: crashes, loops, exit codes, several lines, what is left behind."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="its workers are forked")


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz", ROOT / "tools" / "fuzz.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PROCESSOR_SECONDS", 0.1)
    monkeypatch.setattr(module, "WALL_SECONDS", 5)
    return module


class Misbehaving:
    """Commands that end in every way in which none may."""

    def main(self, args: Sequence[str], **_: Any) -> None:
        match args[0]:
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "loop":
                while True:
                    pass
            case "wait":
                os.read(os.pipe()[0], 1)
            case "leave":
                Path("x.part").touch()
                raise SystemExit(0)
            case "chatter":
                sys.stderr.write("intsim: one\nintsim: two\n")
                sys.stderr.flush()
                raise SystemExit(2)
            case "raise":
                raise RuntimeError
            case _:
                sys.stderr.write("intsim: refused\n")
                sys.stderr.flush()
                raise SystemExit(2)


SAID = {
    "crash": "killed by signal 11",
    "loop": "over 0.1 s of processor time",
    "wait": "it waits for ever",
    "leave": "left behind: x.part",
    "chatter": "more than one line: intsim: one\nintsim: two\n",
    "raise": "exit code 70: ",
}


def test_every_case_is_tried_and_failures_are_told(
    fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "intsim_command", Misbehaving())
    commands = {**{f"{name}.bin": [name] for name in SAID}, "good.bin": ["good"]}
    monkeypatch.setattr(fuzz, "COMMANDS", commands)
    monkeypatch.setattr(fuzz, "DRAWN", [*commands, *["good.bin"] * 3])
    whole = tmp_path / "whole"
    whole.mkdir()
    for name in commands:
        (whole / name).write_bytes(bytes(range(64)))
    cases = fuzz.Cases(1, whole)
    tried, failures = fuzz.run(cases, range(60), 60, 2, tmp_path)
    assert tried == 60
    due = [(number, SAID[name]) for number in range(60) if (name := cases.case(number)[2]) != "good"]
    assert {said for _, said in due} == set(SAID.values()), "the draw of these cases has all kinds"
    assert sorted(failures) == due


def test_a_case_is_the_same_every_time(fuzz: ModuleType, tmp_path: Path) -> None:
    fuzz.seeds(tmp_path)
    one, two = fuzz.Cases(3, tmp_path), fuzz.Cases(3, tmp_path)
    numbers = [number for number in range(200) if not one.left_out(number)]  # those of a kind that needs torch
    damaged = [one.case(number) for number in numbers]
    assert damaged == [two.case(number) for number in numbers]
    assert len(numbers) > 190
    assert sum(content != one.content[file] for file, content, _ in damaged) > 180


def test_what_needs_torch_is_left_out_and_said(
    fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Cases keep their numbers; where torch is missing those of its files are counted, and nothing is run for them."""
    monkeypatch.setattr("fuzz_files.HAS_TORCH", False)
    monkeypatch.setattr(fuzz, "whole_files_do", lambda *_: None)
    fuzz.seeds(tmp_path)
    assert not (tmp_path / fuzz.PYTORCH).exists()
    cases = fuzz.Cases(0, tmp_path)
    first = next(number for number in range(10_000) if cases.left_out(number))
    assert cases.run(first, tmp_path / "no folder") == ""
    arguments = ["--first", str(first), "--cases", "1", "--workers", "1", "--keep", str(tmp_path / "kept")]
    assert fuzz.main(arguments, standalone_mode=False) == 0
    said, total = capsys.readouterr().out.splitlines()
    assert said == "1 cases of c.pth left out: torch is not installed (pip install 'intsim[torch]')"
    assert total.startswith(f"0 cases of {len(fuzz.COMMANDS) - 1} kinds of files in ")
    assert total.endswith(" s: 0 failures")


def test_a_few_cases(fuzz: ModuleType, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    fuzz.PROCESSOR_SECONDS, fuzz.WALL_SECONDS = 60, 240
    fuzz.seeds(whole)
    assert fuzz.run(fuzz.Cases(0, whole), range(60), 600, 2, tmp_path) == (60, [])
