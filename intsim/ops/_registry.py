"""The registry of operators by name: those of this folder, and those that other packages and files add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import IntsimError
from ..plugins import OPERATORS, missing

if TYPE_CHECKING:
    from ._op import Op


RESERVED = ("input", "constant", "graph")  # what is no operator in a graph


class Registry(dict[str, "Op"]):
    """Operators by name. A name that is not there is looked for among the installed plugins, which are imported for it."""

    def add(self, operator: Op) -> None:
        """Register an operator. Raises IntsimError where another module has one of this name."""
        known = self[operator.name] if dict.__contains__(self, operator.name) else None
        if known is not None and known.home != operator.home:  # the same function, defined again, replaces itself
            raise IntsimError(f"two operators are called {operator.name!r}, {known.home} and {operator.home}; rename one")
        self[operator.name] = operator

    def __contains__(self, name: object) -> bool:
        if dict.__contains__(self, name):
            return True
        if not isinstance(name, str) or name in RESERVED:
            return False
        return missing(OPERATORS, lambda: dict.__contains__(self, name))

    def __missing__(self, name: str) -> Op:
        if name in self:
            return self[name]
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The operator of a name, or `default`."""
        try:
            return self[name]
        except KeyError:
            return default


REGISTRY = Registry()
