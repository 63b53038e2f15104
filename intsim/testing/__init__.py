"""Tools for teams that test their own arithmetic: `check_op` searches for the smallest counterexample of a function,
`strategies` generates the inputs it is searched on, `plugin` gives pytest tests access to the tensors of a golden file.

`check_op` and `strategies` need Hypothesis, which ``pip install 'intsim[testing]'`` installs; the plugin does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import strategies
    from .calls import Call
    from .checking import check_op
    from .failures import Counterexample, Difference

_HOMES = {"Call": "calls", "Counterexample": "failures", "Difference": "failures", "check_op": "checking"}

__all__ = ["Call", "Counterexample", "Difference", "check_op", "strategies"]


def __getattr__(name: str) -> Any:
    if name == "strategies":
        return import_module(".strategies", __name__)
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module 'intsim.testing' has no attribute {name!r}")
