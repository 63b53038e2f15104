"""What is asked about: an operator or a primitive, for arrays of some shapes and values within some ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arith import I64, TensorBound, divide, round_shift, saturate, signed
from ..dialects import ISEGMENTER, Dialect
from ..ops import REGISTRY
from ..rules import Computation
from ..rules.admitted import with_slips
from ..rules.equations import DEVIATING_EQUATIONS
from ..rules.rule import Alteration
from ..symbols import Expression, NotTraceable, Traced
from ..symbols.sizes import Size
from ..symbols.symbol import Tape
from .arrays import TypedArray
from .cells import Cells, Elements

Range = tuple[int, int]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Primitive:
    """A function of intsim.arith on single values: its arguments with their ranges, the first an array.

    `sizes` are arguments that the reference takes as plain integers.
    """

    ranges: Mapping[str, Range]
    choices: tuple[str, ...]
    body: Callable[..., Any]
    sizes: tuple[str, ...] = ()


PRIMITIVES: dict[str, Primitive] = {
    "round_shift": Primitive(
        {"p": (I64.lo, I64.hi), "e": (0, 62)},
        ("requant_rounding",),
        lambda p, e, dialect: round_shift(p, e, dialect.requant_rounding),
    ),
    "saturate": Primitive({"x": (I64.lo, I64.hi), "b": (2, 32)}, (), lambda x, b, dialect: saturate(x, signed(b)), ("b",)),
    "divide": Primitive(
        {"a": (-(1 << 31), (1 << 31) - 1), "d": (-(1 << 20), -1)},
        ("quotient",),
        lambda a, d, dialect: divide(a, d, dialect.quotient),
    ),
}


@dataclass
class Traces:
    """The elements of a call, and of the reference's result. Shapes of arrays, and ranges of arrays and plain integers.

    A plain integer of one value is part of the equation.
    """

    op: str
    dialect: Dialect | None
    shapes: Mapping[str, Shape]
    ranges: Mapping[str, Range]
    fixed: Mapping[str, Any] = field(default_factory=dict)  # arrays of parameters with known values, and other parameters

    def __post_init__(self) -> None:
        self.tape = Tape()
        self.cells = Cells(self.tape.build)
        self.names = argument_names(self.op, self.shapes)
        self.given: dict[str, Elements] = {}
        for name, shape in self.shapes.items():
            self.given[name] = self.cells.input(name, shape, *self.ranges[name])
        for name, (lo, hi) in self.ranges.items():
            if name not in self.shapes and lo != hi:
                self.given[name] = self.cells.input(name, (), lo, hi)

    def reference(self, alter: Alteration = lambda computation: computation) -> Elements:
        """The elements of the reference's result, or of an altered computation; what it refuses is assumed not to be called.

        Raises NotTraceable where the equation cannot be traced, ValueError where every call is refused.
        """
        tape, before = self.tape, len(self.tape.refusals)
        out = self._altered(alter)
        found = self.cells.of([tape.expression(out), *tape.refusals[before:]])
        for refused in found[1:]:
            self.cells.assumed += [x for x in refused.flat if x.scalar != 0]
        return found[0]

    def _arguments(self) -> dict[str, Any]:
        """What the equation is called with: symbols of arrays, sizes or numbers for plain integers."""
        tape, build = self.tape, self.tape.build
        sized = PRIMITIVES[self.op].sizes if self.op in PRIMITIVES else plain_integers(self.op)
        arguments: dict[str, Any] = {}
        for name, (lo, hi) in self.ranges.items():
            made = build.input(name, self.shapes.get(name, ()), lo, hi) if name in self.shapes or lo != hi else None
            if made is None:
                arguments[name] = lo
            else:
                arguments[name] = Size.made(tape, min(max(7, lo), hi), made) if name in sized else tape.symbol(made)
        for name, value in self.fixed.items():
            arguments[name] = tape.symbol(build.constant(value)) if np.ndim(value) else int(value)
        return arguments

    def _altered(self, alter: Alteration) -> Any:
        arguments = self._arguments()
        if self.op in PRIMITIVES:
            return PRIMITIVES[self.op].body(**arguments, dialect=self.dialect)
        arrays = [arguments.pop(name) for name in self.names]
        computation = alter(Computation(self.op, arguments, self.dialect or ISEGMENTER))
        operator, params, rules = REGISTRY[computation.op], dict(computation.params), computation.dialect
        params = {name: value for name, value in params.items() if name in operator.params}
        if computation.deviations:
            if {"layout", "bit"} & set(computation.deviations) or (
                operator.built_in and computation.op not in DEVIATING_EQUATIONS
            ):
                raise NotTraceable("a fault in the place of values, or in single bits")
            if not operator.built_in:

                def steps() -> dict[str, Expression]:
                    found = operator.steps(*arrays, **params, dialect=rules)
                    return {name: self.tape.expression(value) for name, value in found.items()}

                found = Traced(operator.name, rules, {}, steps(), (), self.tape.build)
                return self.tape.symbol(with_slips(found, computation.deviations, lambda: steps()["out"]))
            return DEVIATING_EQUATIONS[computation.op](arrays, params, rules, computation.deviations)
        out = operator.steps(*arrays, **params, dialect=rules)["out"]
        if operator.infer is not None and not operator.moves:
            bounds = [
                TensorBound(self.shapes[name], operator.port(i), *self.ranges[name]) for i, name in enumerate(self.names)
            ]
            with suppress(NotTraceable):  # what reads the values of arrays requires nothing of plain parameters
                operator.infer(*bounds, **params, dialect=rules)
        return out

    def arrays(self, types: Mapping[str, np.dtype[Any]]) -> tuple[list[TypedArray], dict[str, Any], list[Any]]:
        """What a function of others is called with: arrays, parameters, and where it writes down what raises an error."""
        raises: list[Any] = []

        def made(name: str) -> Any:
            if name in self.given:
                python = name not in self.shapes
                return TypedArray(self.cells, self.given[name].copy(), None if python else types[name], raises)
            return self.ranges[name][0] if name in self.ranges else self.fixed[name]

        others = [name for name in (*self.shapes, *self.ranges, *self.fixed) if name not in self.names]
        return [made(name) for name in self.names], {name: made(name) for name in dict.fromkeys(others)}, raises


def plain_integers(op: str) -> list[str]:
    """The parameters that are never one value a channel."""
    return [name for name, param in REGISTRY[op].params.items() if param.ndim == (0,)]


def argument_names(op: str, shapes: Mapping[str, Shape]) -> list[str]:
    """The names of the arrays that are passed by position."""
    if op in PRIMITIVES:
        return [name for name in PRIMITIVES[op].ranges if name in shapes]
    operator = REGISTRY[op]
    if operator.variadic:
        return [name for name in shapes if name not in operator.params]
    return list(operator.inputs)
