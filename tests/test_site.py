"""The pages of the site that need no Sphinx to be judged: operators, commands, schemas, examples and notebooks."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

import intsim
from intsim.cli.main import COMMANDS
from intsim.dialects import CHOICES
from intsim.ops import REGISTRY

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

import api_pages  # noqa: E402
import command_page  # noqa: E402
import operator_pages  # noqa: E402
import operator_plots  # noqa: E402
import repository_pages  # noqa: E402
import schema_pages  # noqa: E402

PYCON = re.compile(r"^```pycon\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HAND_WRITTEN = [
    path
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if not any(p in path.parts for p in ("operators", "api", "schemas", "repository"))
]
SESSIONS = [path for path in HAND_WRITTEN if PYCON.search(path.read_text(encoding="utf-8"))]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.md"))


@pytest.fixture(scope="module")
def operators() -> dict[str, str]:
    return operator_pages.pages()


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_operator_has_its_page(operators: dict[str, str], name: str) -> None:
    op, page = REGISTRY[name], operators[f"{operator_pages.FOLDER}/{name}.md"]
    assert page.startswith(f"# {name}\n")
    for argument in (*op.inputs, *op.params):
        assert f"\n| `{argument}` | " in page
    for choice in op.choices:
        values = [value for value in CHOICES[choice] if isinstance(CHOICES[choice], type)]
        assert f"\n### {choice}\n" in page
        assert all(f"\n- `{value}`" in page for value in values)
    assert f"| [`{name}`]({name}.md) |" in operators[f"{operator_pages.FOLDER}/index.md"]
    assert re.search(r"\n## Bugs that the vectors catch\n.*?\n\| .* \| `\w[^`]*` \| \d+ \|", page, re.DOTALL)
    assert f">>> ops.{name}(" in page


@pytest.mark.parametrize("name", sorted(name for name, op in REGISTRY.items() if not op.moves))
def test_an_approximation_is_drawn_and_near(operators: dict[str, str], name: str) -> None:
    op = REGISTRY[name]
    found = operator_plots.sweep(op)
    if op.approximates in operator_plots.EXACT:
        assert found is None
        return
    assert found is not None
    assert operators[f"{operator_pages.FOLDER}/{name}.svg"].startswith("<svg")
    reach = float(abs(found.reals).max())
    assert float(abs(found.error).max()) < max(0.06 * reach, 1.0 if name in ("requant", "residual_add", "mean") else 0)


def test_every_command_has_its_section() -> None:
    page = command_page.pages()[command_page.FILE]
    for name in COMMANDS:
        assert f"\n(intsim-{name})=\n## intsim {name}\n" in page
    assert "\n### intsim vectors gen\n" in page
    assert "| `-o, --output PATH` |" in page


def test_every_schema_has_its_page() -> None:
    pages = schema_pages.pages()
    assert len(pages) == len(list((ROOT / "docs").glob("*.schema.json")))
    assert "**`culprits`**" in pages[f"{schema_pages.FOLDER}/diff-v1.md"]


def test_every_public_module_has_its_page() -> None:
    pages = api_pages.pages()
    page = pages[f"{api_pages.FOLDER}/intsim.md"]
    assert [name for name in intsim.__all__ if not name.startswith("__") and f":: intsim.{name}\n" not in page] == []
    assert ".. autoclass:: intsim.ops.Param\n   :members:" in pages[f"{api_pages.FOLDER}/ops.md"]
    for module in api_pages.MODULES:
        assert api_pages.names_of(module), module


def test_links_out_of_the_docs_lead_to_pages() -> None:
    text = "[a](../golden/README.md#vectors) `[b](../x)` [c](debugging.md) [d](https://example.org)"
    moved = repository_pages.relinked(text, "docs/vectors.md", "docs/vectors.md")
    assert moved == "[a](repository/golden.md#vectors) `[b](../x)` [c](debugging.md) [d](https://example.org)"
    with pytest.raises(FileNotFoundError, match="leads to nothing"):
        repository_pages.relinked("[a](nowhere.md)", "docs/vectors.md", "docs/vectors.md")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('<a href="b.html#there">', ""),
        ('<a href="https://example.org">', ""),
        ('<a href="b.html#nowhere">', "a.html: b.html#nowhere has no such anchor"),
        ('<a href="c.html">', "a.html: c.html does not exist"),
        ('<script src="https://example.org/x.js"></script>', "a.html: loads https://example.org/x.js"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "a.html: loads //example.org/x.css"),
        ("<style>@import url('https://example.org/x.css')</style>", "a.html: requests https://example.org/x.css"),
    ],
)
def test_a_site_is_checked(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "a.html").write_text(content)
    (tmp_path / "b.html").write_text('<h1 id="there">')
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "check_site.py", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == bool(said), done.stdout + done.stderr
    assert done.stdout.startswith(said or "2 pages, ")


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
def test_examples_on_a_page_give_what_it_shows(path: Path) -> None:
    session = "\n".join(PYCON.findall(path.read_text(encoding="utf-8")))
    test = doctest.DocTestParser().get_doctest(session, {}, path.name, str(path), 0)
    assert test.examples
    said: list[str] = []
    assert doctest.DocTestRunner().run(test, out=said.append).failed == 0, "".join(said)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_asserts(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = CELL.findall(path.read_text(encoding="utf-8"))
    names: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"{path.name}, cell {number}", "exec"), names)
    assert sum("assert" in cell for cell in cells) >= 5
    assert capsys.readouterr().out
