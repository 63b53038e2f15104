"""The pages in docs/ show what the commands on them print; what is written by a tool is current."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SPEC = importlib.util.spec_from_file_location("run_docs", ROOT / "tools" / "run_docs.py")
assert SPEC is not None
assert SPEC.loader is not None
run_docs = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(run_docs)


# Pages that show what a package of this version finds, or its version.
SHOWN = {
    "testing.md": ["hypothesis"],
    "own-operator.md": ["hypothesis"],
    "own-approximation.md": ["hypothesis"],
    "compilers.md": ["onnx", "onnxruntime"],
}
PINNED = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line
)


@pytest.mark.parametrize("page", run_docs.PAGES, ids=lambda page: page.name)
def test_outputs_are_up_to_date(page: Path, tmp_path: Path) -> None:
    for package in SHOWN.get(page.name, []):
        if (installed := version(package)) != PINNED[package]:
            pytest.skip(f"its outputs are those of {package} {PINNED[package]}, here is {installed}")
    text = page.read_text(encoding="utf-8")
    assert run_docs.renewed(text, tmp_path) == text, "run 'make docs' and read what has changed"


@pytest.mark.parametrize("tool", ["arithmetic_page.py", "make_stubs.py"])
def test_what_a_tool_writes_is_current(tool: str) -> None:
    command = [sys.executable, str(ROOT / "tools" / tool), "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
