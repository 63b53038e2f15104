"""The outputs shown in docs/ are those of the commands."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SPEC = importlib.util.spec_from_file_location("run_docs", ROOT / "tools" / "run_docs.py")
assert SPEC is not None
assert SPEC.loader is not None
run_docs = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(run_docs)


@pytest.mark.parametrize("page", run_docs.PAGES, ids=lambda page: page.name)
def test_outputs_are_up_to_date(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert run_docs.renewed(text, tmp_path) == text, "an output has changed; run 'make docs' and review the difference"
