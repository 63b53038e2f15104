"""Pages of the repository that are not in docs/, as pages of the site, and the links to and from them.

Markdown files keep the links that a code host follows. Here a link that leaves docs/ is led to the page made of that file,
or, where the file is no page, becomes its path as code.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDER = "repository"
SOURCES = {
    "README.md": "readme",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "golden/README.md": "golden",
    "weights/README.md": "weights",
    "examples/rtl/README.md": "rtl",
    "examples/stimuli/README.md": "stimuli",
}
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(#[^)\s]*)?(?=\))")
FENCE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def pages() -> dict[str, str]:
    """Every page by its path below docs/."""
    return {
        f"{FOLDER}/{name}.md": relinked((ROOT / source).read_text(encoding="utf-8"), source, f"docs/{FOLDER}/{name}.md")
        for source, name in SOURCES.items()
    }


def relinked(text: str, source: str, place: str) -> str:
    """The text of the file `source` with its links as they must be at `place`; both are paths in the repository."""

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        if not (ROOT / target).exists():
            raise FileNotFoundError(f"{source}: the link to {match[1]} leads to nothing")
        if target in SOURCES:
            target = f"docs/{FOLDER}/{SOURCES[target]}.md"
        return posixpath.relpath(target, posixpath.dirname(place)) + (match[2] or "")

    parts = FENCE.split(text)
    return "".join(part if i % 2 else LINK.sub(link, part) for i, part in enumerate(parts))
