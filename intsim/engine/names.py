"""Names of tensors, and their selection by globs: ``encoder.*`` selects, ``!*.requant`` excludes, no glob selects all."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from ..errors import UnmatchedGlob


class TensorName(str):
    """The name of a tensor in all files and reports.

    The output of a node has the name of the node, a step inside its operator is ``node:step``, a parameter
    ``node/parameter``.
    """

    __slots__ = ()

    @classmethod
    def of_step(cls, node: str, step: str) -> TensorName:
        """The name of a step inside the operator of a node."""
        return cls(f"{node}:{step}")

    @classmethod
    def of_parameter(cls, node: str, parameter: str) -> TensorName:
        """The name of a parameter of a node."""
        return cls(f"{node}/{parameter}")

    @property
    def node(self) -> str:
        """The node that the tensor belongs to."""
        return self.partition("/")[0].partition(":")[0]

    @property
    def step(self) -> str:
        """The step inside the operator of the node; "" if the tensor is not a step."""
        return self.partition(":")[2]

    @property
    def file_stem(self) -> str:
        """A file name without extension; unambiguous, as names of nodes contain no dash."""
        return self.replace(":", "-").replace("/", "-")


def chooses(globs: Sequence[str], *names: str) -> bool:
    """Whether the globs select something that has these names."""
    wanted = [glob for glob in globs if not glob.startswith("!")] or ["*"]
    unwanted = [glob[1:] for glob in globs if glob.startswith("!")]
    return matches(names, *wanted) and not matches(names, *unwanted)


def require_matches(globs: Sequence[str], names: Iterable[str]) -> None:
    """Raise IntsimError for a glob that matches none of the names."""
    known = list(names)
    for glob in globs:
        if not matches(known, glob.removeprefix("!")):
            raise UnmatchedGlob(glob)


def matches(names: Iterable[str], *globs: str) -> bool:
    """Whether any glob matches any name."""
    known = list(names)
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs for name in known)
