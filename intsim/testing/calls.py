"""One call of an operator: its arguments, its expected result, and its Python source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..arith import IntArray
from ..dialects import DIALECTS, Dialect
from ..errors import IntsimError
from ..ops import REGISTRY, Op

SPELLED = 8  # arrays of equal elements are spelled out up to this size


def unknown_operator(name: str, known: Iterable[str]) -> IntsimError:
    """The error for an operator name that is not among the `known` ones."""
    return IntsimError(f"there is no operator {name!r}; there are: {', '.join(known)}")


def copied(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by name, with copies of their arrays."""
    return {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in params.items()}


@dataclass(frozen=True, eq=False)
class Call:
    """A call of the operator `op`: arrays in the types of its ports, integer parameters, and the dialect (None if the
    operator uses none). Its repr is Python: ``ops.shiftmax(np.array([[0, 1]], np.int8), x0=-1, n=1, b=2, dialect="rtl")``.
    """

    op: str
    inputs: tuple[IntArray, ...]
    params: Mapping[str, Any]
    dialect: Dialect | None

    @property
    def operator(self) -> Op:
        """The operator itself."""
        return REGISTRY[self.op]

    @property
    def _dialect_argument(self) -> dict[str, Dialect]:
        return {} if self.dialect is None else {"dialect": self.dialect}

    @cached_property
    def _outcome(self) -> IntArray | str:
        try:
            return self.operator.ref(*self.inputs, **self.params, **self._dialect_argument)
        except ValueError as error:
            return str(error)

    @property
    def expected(self) -> IntArray:
        """The result of the reference. Raises a ValueError if the reference refuses the call."""
        if isinstance(self._outcome, str):
            raise ValueError(self._outcome)
        return self._outcome

    @property
    def refusal(self) -> str:
        """Why the reference refuses the call; "" if it does not."""
        return self._outcome if isinstance(self._outcome, str) else ""

    @property
    def accepted(self) -> bool:
        """Whether the reference accepts the call and its result fits 64 bits."""
        return not isinstance(self._outcome, str) and self._outcome.dtype != object

    @property
    def arguments(self) -> dict[str, Any]:
        """Inputs, parameters and dialect by name; the inputs of a variadic operator are a list."""
        names = list(self.operator.inputs)
        inputs = {names[0]: list(self.inputs)} if self.operator.variadic else dict(zip(names, self.inputs, strict=True))
        return {**inputs, **self.params, **self._dialect_argument}

    def apply(self, function: Callable[..., Any]) -> Any:
        """``function(*inputs, **params)``, without the dialect; the function gets copies, which it may modify."""
        return function(*(x.copy() for x in self.inputs), **copied(self.params))

    def __repr__(self) -> str:
        words = [_array(x) for x in self.inputs] + [f"{key}={_value(v)}" for key, v in self.params.items()]
        if self.dialect is not None:
            words.append(f"dialect={dialect_source(self.dialect)}")
        return f"ops.{self.op}({', '.join(words)})"


def _value(value: Any) -> str:
    return _array(value) if isinstance(value, np.ndarray) else repr(value)


def _array(x: IntArray) -> str:
    if x.size > SPELLED and (x == x.flat[0]).all():
        return f"np.full({x.shape}, {int(x.flat[0])}, np.{x.dtype})"
    return f"np.array({x.tolist()}, np.{x.dtype})"


def dialect_source(dialect: Dialect) -> str:
    """Python source for a dialect: the name of a built-in one, or the nearest built-in one with the choices that differ."""
    own = dialect.choices()
    departures = {
        base: {key: value for key, value in own.items() if known.choices()[key] != value} for base, known in DIALECTS.items()
    }
    base = min(departures, key=lambda name: len(departures[name]))
    if not departures[base]:
        return f'"{base}"'
    choices = ", ".join(f"{key}={value!r}" for key, value in departures[base].items())
    return f'dialects.DIALECTS["{base}"].replace({choices})'
