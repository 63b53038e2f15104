"""Check a built site: every link and anchor inside it leads somewhere, no page requests anything from elsewhere.

    python tools/check_site.py build/site

Links that a reader may follow to other sites are counted, not followed.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"img": "src", "script": "src", "source": "src", "iframe": "src", "video": "src", "audio": "src", "link": "href"}
STYLE_REQUEST = re.compile(r"""(?:@import\s+(?:url\()?|url\()\s*['"]?((?:https?:)?//[^'")\s]+)""")
SCRIPT_REQUEST = re.compile(r"""(?:\bimport\b|\bfetch\(|\bimportScripts\(|\.src\s*=)\s*\(?['"]((?:https?:)?//[^'"]+)""")
NOT_LOADED = {"next", "prev", "index", "search", "canonical", "author", "copyright"}  # links in the head that tell only


class Page(HTMLParser):
    """The anchors of a page, what it links to, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        text = path.read_text(encoding="utf-8")
        self.requests = [*STYLE_REQUEST.findall(text), *SCRIPT_REQUEST.findall(text)]
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[key] for key in ("id", "name") if key in values}
        self.anchors |= set(values.get("data-views", "").split())  # which a page's script shows
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in LOADED and LOADED[tag] in values and values.get("rel", "") not in NOT_LOADED:
            self.loads.append(values[LOADED[tag]])


def main() -> None:
    """Report what is wrong, and end with exit code 1 where something is."""
    root = Path(sys.argv[1]).resolve()
    page_at = cache(Page)
    wrong: list[str] = []
    inside = outside = 0
    pages = sorted(root.rglob("*.html"))
    for path in pages:
        page, shown = page_at(path), path.relative_to(root)
        wrong += [f"{shown}: requests {url}" for url in page.requests]
        for target in page.loads + page.links:
            url = urlsplit(target)
            if url.scheme == "data":
                continue
            if url.scheme or url.netloc:
                outside += 1
                if target in page.loads:
                    wrong.append(f"{shown}: loads {target}")
                continue
            inside += 1
            file = (path.parent / unquote(url.path)).resolve() if url.path else path
            file = file / "index.html" if file.is_dir() else file
            if not file.exists():
                wrong.append(f"{shown}: {target} does not exist")
            elif url.fragment and file.suffix == ".html" and unquote(url.fragment) not in page_at(file).anchors:
                wrong.append(f"{shown}: {target} has no such anchor")
    for path in sorted({*root.rglob("*.css"), *root.rglob("*.js")}):
        text = path.read_text(encoding="utf-8", errors="replace")
        pattern = STYLE_REQUEST if path.suffix == ".css" else SCRIPT_REQUEST
        wrong += [f"{path.relative_to(root)}: requests {url}" for url in pattern.findall(text)]
    print(*dict.fromkeys(wrong), sep="\n", end="\n" if wrong else "")
    print(f"{len(pages)} pages, {inside:,} links inside the site checked; {outside} links to other sites not followed")
    sys.exit(bool(wrong) or not pages)


if __name__ == "__main__":
    main()
