"""The architecture as the documents show it: rooms in the order that import-linter enforces, names that do not collide."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import intsim

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LAYERS = [layer.split(" | ") for layer in PROJECT["tool"]["importlinter"]["contracts"][0]["layers"][1:]]  # below __main__
ROOMS = {path.stem if path.is_file() else path.name for path in (ROOT / "intsim").iterdir() if not path.name.startswith("_")}
NOT_CODE = {"py", "shipped"}  # py.typed, and what a wheel carries


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_picture_of_the_rooms_is_the_order_of_imports(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    picture = next(block for block in re.findall(r"```text\n(.*?)```", text, re.DOTALL) if " testbench " in block)
    drawn = [sorted(set(re.findall(r"\w+", line[16:51])) & ROOMS) for line in picture.splitlines()]
    assert drawn == [sorted(room for room in layer if not room.startswith("_")) for layer in LAYERS]


def test_every_room_has_its_line_in_the_guide() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = {name for line in text.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)(?:/|\.py)`", line)}
    assert {room for layer in LAYERS for room in layer if not room.startswith("_")} <= rows


def test_the_guide_names_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for line in text.splitlines():
        if found := re.match(r"\| `(\w+)/` \|", line):
            for name in re.findall(r"`(\w+\.py|\w+/)`", line.split("|", 2)[2]):
                assert (ROOT / "intsim" / found[1] / name).exists(), f"{found[1]}/{name}"


def test_no_module_has_the_name_of_a_public_function() -> None:
    functions = {name for name in intsim.__all__ if name.islower() and callable(getattr(intsim, name))}
    assert functions >= {"run", "golden", "diff", "quantize", "synth", "trace", "export", "evaluate", "load", "save"}
    assert not functions & ROOMS


def test_importing_every_room_leaves_the_public_functions_in_place() -> None:
    code = (
        "import pkgutil, importlib, intsim\n"
        "for m in pkgutil.iter_modules(intsim.__path__): m.name[0] == '_' or importlib.import_module('intsim.' + m.name)\n"
        "assert all(callable(getattr(intsim, n)) for n in intsim.__all__ if n.islower() and not n.startswith('_'))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version_is_the_same_wherever_it_is_read() -> None:
    version = intsim.__version__
    citation, changes = ((ROOT / name).read_text(encoding="utf-8") for name in ("CITATION.cff", "CHANGELOG.md"))
    assert "version" in PROJECT["project"]["dynamic"]
    assert f"\nversion: {version}\n" in citation
    first = re.search(r"^## (\S+) \((\d{4}-\d{2}-\d{2})\)$", changes, re.MULTILINE)
    assert first is not None
    assert first[1] == version
    assert f"date-released: {first[2]}\n" in citation


def test_python_m_intsim_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "intsim", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"intsim, version {intsim.__version__}\n"


def test_library_messages_name_no_option_of_a_command() -> None:
    allowed = {"cli", "testing"}  # the plugin names its own options
    for path in (ROOT / "intsim").rglob("*.py"):
        if path.relative_to(ROOT / "intsim").parts[0] not in allowed:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                quoted = re.search(r"""["'][^"']*(?<![\w-])--[a-z][\w-]*[^"']*["']""", line)
                assert quoted is None or "``" in line, f"{path}:{number}: {line.strip()}"
