"""What a trace needs to know of an operator. The operators themselves are in `intsim.ops`, which imports this room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..arith import Format, IntArray, Overflow, TensorBound
from ..dialects import Dialect


class Parameter(Protocol):
    """An integer parameter: its range, and the numbers of axes that it may have."""

    @property
    def fmt(self) -> Format: ...

    @property
    def ndim(self) -> tuple[int, ...]: ...


class Equation(Protocol):
    """An operator: its equation in NumPy, the formats of its inputs, its parameters, and the choices that it depends on."""

    @property
    def name(self) -> str: ...

    @property
    def steps(self) -> Callable[..., dict[str, IntArray]]: ...

    @property
    def inputs(self) -> Mapping[str, Format]: ...

    @property
    def params(self) -> Mapping[str, Parameter]: ...

    @property
    def choices(self) -> tuple[str, ...]: ...

    @property
    def variadic(self) -> bool: ...

    @property
    def moves(self) -> bool: ...

    @property
    def infer(self) -> Callable[..., TensorBound] | None: ...

    @property
    def built_in(self) -> bool: ...

    def format_of(self, params: Mapping[str, Any]) -> Format:
        """The format of the result that is said instead of `infer`."""

    def port(self, position: int) -> Format:
        """The widest format that the input at `position` accepts."""

    def overflow(self, dialect: Dialect | None) -> Overflow:
        """The rule for results outside their format."""

    def output(self, inputs: list[TensorBound], params: dict[str, Any], dialect: Dialect | None) -> TensorBound:
        """Shape, format and bounds of the result; a ValueError where inputs and parameters do not match."""
