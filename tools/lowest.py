"""Print the lowest versions that pyproject.toml allows, as constraints for pip: every ``>=`` as ``==``.

python tools/lowest.py test > constraints.txt
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
BOUND = re.compile(r">=([\w.]+)")


def lowest(extras: list[str]) -> dict[str, str]:
    """The lower bound of every requirement by its name; a ValueError for one without a bound, or with two."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    found: dict[str, str] = {}
    for requirement in [
        *project["dependencies"],
        *(line for extra in extras for line in project["optional-dependencies"][extra]),
    ]:
        parsed = Requirement(requirement)
        if parsed.marker is not None and not parsed.marker.evaluate():
            continue
        match = BOUND.fullmatch(str(parsed.specifier))
        if match is None:
            raise ValueError(f"{requirement}: expected NAME>=VERSION")
        if found.setdefault(parsed.name, match[1]) != match[1]:
            raise ValueError(f"{parsed.name}: bounds {found[parsed.name]} and {match[1]}")
    return found


if __name__ == "__main__":
    print(*(f"{name}=={version}" for name, version in lowest(sys.argv[1:]).items()), sep="\n")
