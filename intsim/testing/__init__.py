"""Tools for teams that test their own arithmetic: `check_op` searches for the smallest counterexample of a function, and
`prove_op` proves that there is none; `check_operator` checks an operator of one's own; `strategies` generates the inputs of
the search; `plugin` gives pytest tests access to the tensors of a golden file.

`check_op`, `check_operator` and `strategies` need Hypothesis (``pip install 'intsim[testing]'``), `prove_op` needs Bitwuzla
(``pip install 'intsim[prove]'``); the plugin needs neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import strategies
    from .calls import Call
    from .checking import check_op
    from .failures import Counterexample, Difference
    from .operators import CheckedDialect, CheckedOperator, check_operator
    from .proving import Proof, Undecided, prove_op

_HOMES = {
    "Call": "calls",
    "CheckedDialect": "operators",
    "CheckedOperator": "operators",
    "Counterexample": "failures",
    "Difference": "failures",
    "Proof": "proving",
    "Undecided": "proving",
    "check_op": "checking",
    "check_operator": "operators",
    "prove_op": "proving",
}

__all__ = [
    "Call",
    "CheckedDialect",
    "CheckedOperator",
    "Counterexample",
    "Difference",
    "Proof",
    "Undecided",
    "check_op",
    "check_operator",
    "prove_op",
    "strategies",
]


def __getattr__(name: str) -> Any:
    if name == "strategies":
        return import_module(".strategies", __name__)
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module 'intsim.testing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, "strategies"})
