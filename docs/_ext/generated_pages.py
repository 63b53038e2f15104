"""The Sphinx extension: before a build, write the generated pages; while reading, lead links out of docs/ to their pages.

They are written below docs/ where git ignores them, only where they have changed, so that a second build is quick.
"""

from __future__ import annotations

from pathlib import Path

import api_pages
import command_page
import operator_pages
import repository_pages
import schema_pages
from sphinx.application import Sphinx

MAKERS = (operator_pages, api_pages, command_page, schema_pages, repository_pages)
MADE = (operator_pages.FOLDER, api_pages.FOLDER, command_page.FILE, schema_pages.FOLDER, repository_pages.FOLDER)


def write(app: Sphinx) -> None:
    """Write every generated page, and remove what is no longer made."""
    docs = Path(app.srcdir)
    made = {docs / name: text for maker in MAKERS for name, text in maker.pages().items()}
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for folder in MADE:
        for path in (docs / folder).rglob("*.*"):
            if path not in made:
                path.unlink()


def relink(app: Sphinx, name: str, content: list[str]) -> None:
    """Lead the links of a page that leave docs/ to the pages made of their targets."""
    if not any(name.startswith(folder.removesuffix(".md")) for folder in MADE):
        page = f"docs/{name}.md"
        content[0] = repository_pages.relinked(content[0], page, page)


def with_factories(app: Sphinx, what: str, name: str, value: object, options: object, signature: str, returned: str):
    """A signature in which the default of a dataclass's field reads as Python, so that its types become links."""
    return (signature.replace("<factory>", "..."), returned) if signature else None


def setup(app: Sphinx) -> dict[str, object]:
    app.connect("builder-inited", write)
    app.connect("source-read", relink)
    app.connect("autodoc-process-signature", with_factories)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
