"""Operators as JavaScript modules: a file an operator, the arithmetic they share, an index, and a self-test for node."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._version import __version__
from ..dialects import RTL, Dialect
from ..errors import IntsimError
from ..ops import REGISTRY
from ..storage.templates import template
from ..symbols.shapes import Form
from ..vectors import generate
from ..vectors.document import INVALID
from .c_library import comment, documentation
from .js_operator import JsOperator

ARITHMETIC = "intsim_arithmetic.mjs"
JOINED = 4  # arrays that a call of concat may have
SAFE = 1 << 53  # what a number of JavaScript counts exactly


def functions_of(op: str) -> tuple[Form, ...]:
    """The shapes of an operator's functions."""
    operator = REGISTRY[op]
    counts = range(1, JOINED + 1) if operator.variadic else (1,)
    return tuple(form for count in counts for form in operator.forms(count))


class JsLibrary:
    """The functions of some operators in some dialects. An operator without choices has one for all of them."""

    def __init__(self, ops: Sequence[str], dialects: Sequence[Dialect]) -> None:
        self.ops, self.dialects = list(ops), list(dialects)
        self.functions: dict[str, list[JsOperator]] = {}
        for op in self.ops:
            rules = self.dialects if REGISTRY[op].choices else self.dialects[:1]
            self.functions[op] = [JsOperator(op, form, dialect) for dialect in rules for form in functions_of(op)]
        names = Counter(function.name for found in self.functions.values() for function in found)
        if twice := [name for name, count in names.items() if count > 1]:
            raise IntsimError(f"two functions would be called {twice[0]}; rename a dialect")

    def files(self) -> dict[str, str]:
        """The text of every file, by name."""
        context: dict[str, Any] = {"version": __version__}
        found = {
            ARITHMETIC: arithmetic(),
            "intsim.mjs": self._rendered("intsim.mjs.j2", ops=self.ops, table=self.table(), **context),
            "selftest.mjs": self._rendered("selftest.mjs.j2"),
            "vectors.json": self.vectors(),
        }
        for op in self.ops:
            own = self.functions[op]
            needed = sorted({call for function in own for call in function.calls})
            specifications = list(dict.fromkeys(function.specification() for function in own))
            texts = [(_choices(function), function.text()) for function in own]
            about = comment(documentation(op))
            parts = {"op": op, "about": about, "needed": needed, "specifications": specifications, "texts": texts}
            found[f"intsim_{op}.mjs"] = self._rendered("operator.mjs.j2", **parts, **context)
        return found

    def table(self) -> dict[str, dict[str, str]]:
        """The functions of every operator, by dialect: an expression each."""
        return {op: {rule.name: self._function(op, rule) for rule in self.dialects} for op in self.ops}

    def _function(self, op: str, rule: Dialect) -> str:
        names = [f.name for f in self.functions[op] if f.dialect is None or f.dialect.name == rule.name]
        return names[0] if len(names) == 1 else f"either({', '.join(names)})"

    def vectors(self) -> str:
        """The conformance vectors of every operator and dialect; integers that a number does not count are strings."""
        cases = []
        for op in self.ops:
            for rule in self.dialects if REGISTRY[op].choices else self.dialects[:1]:
                for case in generate(op, rule if REGISTRY[op].choices else RTL, 1, 0).cases:
                    due = None if case.expected == INVALID else written(case.expected)
                    args = {name: written(value) for name, value in case.args.items()}
                    about = f"{case.id} {case.note or ' '.join(case.flags)}"
                    cases.append({"op": op, "dialect": rule.name, "case": about, "args": args, "due": due})
        return "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"

    def _rendered(self, name: str, **context: object) -> str:
        return template(__package__, name, markup=False).render(**context).rstrip() + "\n"


def arithmetic() -> str:
    """The operations on arrays."""
    return template(__package__, ARITHMETIC, markup=False).render()


def written(value: Any) -> Any:
    """Arrays as lists, and integers beyond 53 bits as strings."""
    if isinstance(value, np.ndarray | np.generic):
        return written(value.tolist())
    if isinstance(value, list | tuple):
        return [written(part) for part in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= SAFE:
        return str(value)
    return value


def _choices(function: JsOperator) -> str:
    """The choices of a function's dialect, in words."""
    rules = function.dialect
    listed = [] if rules is None else [f"{key} = {getattr(rules, key)}" for key in function.operator.choices]
    return ", ".join(listed)
