"""What users of Python libraries expect: quiet logging, types, ``python -m``, completion, honest metadata."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import intsim
from intsim.testing import __all__ as testing_names

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def said(*command: str, **environment: str) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, *command], env=os.environ | environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not done.stderr
    return done.stdout


def test_the_library_is_silent_unless_logging_is_configured() -> None:
    levels = re.findall(
        r"LOG(?:GER)?\.(\w+)\(", "".join(path.read_text(encoding="utf-8") for path in (ROOT / "intsim").rglob("*.py"))
    )
    assert sorted(levels) == ["info", "info", "warning"]  # the warning is that of a missing Numba
    code = "import logging, intsim; logging.getLogger('intsim.arith').info('unasked')"
    assert said("-c", code) == ""  # and nothing on stderr
    shown = f"import logging, sys; logging.basicConfig(stream=sys.stdout, level='INFO'); {code}"
    assert said("-c", shown) == "INFO:intsim.arith:unasked\n"


def test_python_m_is_the_command() -> None:
    assert said("-m", "intsim", "--version") == f"intsim, version {intsim.__version__}\n"


@pytest.mark.parametrize(
    ("typed", "offered"), [("gol", "golden"), ("golden --le", "--level"), ("golden --level bou", "boundary")]
)
def test_a_shell_completes(typed: str, offered: str) -> None:
    words = f"intsim {typed}"
    given = {"_INTSIM_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    start = "from intsim.cli.main import main; main(prog_name='intsim')"
    assert said("-c", start, **given) == f"plain,{offered}\n"


def test_types_are_shipped_and_every_public_name_is_checked() -> None:
    assert (ROOT / "intsim" / "py.typed").exists()
    assert "Typing :: Typed" in PROJECT["classifiers"]
    client = (ROOT / "examples" / "typed_client.py").read_text(encoding="utf-8")
    missing = [name for name in (*intsim.__all__, *testing_names) if not re.search(rf"\b{name}\b", client)]
    assert not missing, f"examples/typed_client.py uses neither of: {', '.join(missing)}"
    runpy.run_path(str(ROOT / "examples" / "typed_client.py"))


def test_the_citation_and_the_hooks_are_current() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {intsim.__version__}\n" in citation
    assert f"\nlicense: {PROJECT['license']}\n" in citation
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"entry: \.venv/bin/(\w+)", hooks)) <= {
        re.match(r"[\w-]+", name)[0]
        for name in PROJECT["optional-dependencies"]["dev"]  # type: ignore[index]
    }


@pytest.mark.parametrize(("command", "code"), [("--version", 0), ("inspect", 0), ("diff golden/scenes.h5 nowhere.h5", 2)])
def test_closed_standard_streams_change_no_exit_code(command: str, code: int) -> None:
    """Exit code 1 means that a difference was found, and a traceback a bug."""
    for closed in (">&-", ">&- 2>&-"):
        done = subprocess.run(
            f"{sys.executable} -m intsim {command} {closed}", shell=True, cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == code
        assert "Traceback" not in done.stderr
