"""Names chosen by globs, as ``--layers`` takes them: ``encoder.*`` chooses, ``!*.requant`` leaves out; none: all."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from ..errors import IntsimError


def chooses(globs: Sequence[str], *names: str) -> bool:
    """Whether globs choose what bears any of these names."""
    wanted = [glob for glob in globs if not glob.startswith("!")] or ["*"]
    unwanted = [glob[1:] for glob in globs if glob.startswith("!")]
    return matches(names, *wanted) and not matches(names, *unwanted)


def require_matches(globs: Sequence[str], names: Iterable[str]) -> None:
    """An IntsimError for a glob that matches none of the names."""
    known = list(names)
    for glob in globs:
        if not matches(known, glob.removeprefix("!")):
            raise IntsimError(f"--layers {glob!r} matches no node; 'intsim inspect' lists their names")


def matches(names: Iterable[str], *globs: str) -> bool:
    """Whether any glob matches any name."""
    known = list(names)
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs for name in known)
