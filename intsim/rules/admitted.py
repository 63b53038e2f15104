"""The mistakes that an equation admits: one of its operations done in another way, and everything after it as it is.

They are read off the operator's expressions, for operators for which `tables` has none: an operator of another package. A
mistake is called after the named step in which it happens, ``sum.bits=32`` or ``exp.shift=trunc``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from ..arith import I32, I64, IntArray, TensorBound, signed
from ..dialects import Dialect
from ..ops import REGISTRY, Op
from ..symbols import Expression, NotTraceable, evaluate
from ..symbols.build import Expressions
from ..symbols.expression import CONSTANT, INPUT, in_order
from ..symbols.trace import Traced, traced

WIDTHS = (32, 24, 16)  # of registers that may be too short
ARITHMETIC = ("add", "subtract", "multiply", "left_shift", "sum", "matmul")
KEPT: dict[Any, tuple[Op, Traced]] = {}
MOST_KEPT = 16
LOCK = Lock()  # of expressions that are shared, while an equation is run again
ALIKE = 4  # mistakes of a kind in one step: an unrolled root has a hundred shifts
Make = Callable[[Expressions, Expression], Expression]


@dataclass(frozen=True)
class Slip:
    """One operation of an equation done in another way: the rule's key and value, what is right, and how it is altered."""

    key: str
    value: str
    instead: str
    operation: Expression
    make: Make


def admitted(op: str, shapes: Sequence[tuple[int, ...]], params: Mapping[str, Any], dialect: Dialect) -> list[Slip]:
    """The mistakes of an operator's equation for inputs of these shapes; none where it cannot be traced."""
    try:
        return list(_slips(_expressions(REGISTRY[op], shapes, params, dialect)))
    except (NotTraceable, ValueError):
        return []


def altered(
    op: str, inputs: Sequence[IntArray], params: Mapping[str, Any], dialect: Dialect, deviations: Mapping[str, Any]
) -> IntArray:
    """The result of an equation with mistakes, by key and value. ValueError where it does not admit one of them here."""
    operator = REGISTRY[op]
    found = _expressions(operator, [x.shape for x in inputs], params, dialect)
    bounds = _bounds(operator, [x.shape for x in inputs])
    rules = dialect if operator.choices else None
    out = with_slips(found, deviations, lambda: traced(operator, bounds, params, rules, build=found.build).out)
    given = dict(zip(found.inputs, inputs, strict=True))
    (value,) = evaluate([out], given)
    if value.dtype == object:
        if not I64.holds(int(value.min()), int(value.max())):
            raise ValueError(f"{op}: the result passes 64 bits")
        value = value.astype(np.int64)
    return value


def with_slips(found: Traced, deviations: Mapping[str, Any], again: Callable[[], Expression]) -> Expression:
    """The result with mistakes, by key and value; `again` runs the equation again on the same expressions.

    So what follows a mistake is written down for its values: a limit that the right ones never reach is there.
    ValueError where the equation does not admit one of the mistakes.
    """
    slips = {(slip.key, slip.value): slip for slip in _slips(found)}
    with LOCK:
        instead: dict[Expression, Expression] = {}
        for name in deviations.items():
            if name not in slips:
                raise ValueError(f"{found.op}: {name[0]}={name[1]} does not apply here")
            instead[slips[name].operation] = _of_shape(found.build, slips[name])
        found.build.instead = instead
        try:
            return again()
        finally:
            found.build.instead = {}


def _expressions(operator: Op, shapes: Sequence[tuple[int, ...]], params: Mapping[str, Any], dialect: Dialect) -> Traced:
    """The expressions of a call with any inputs of its ports' formats; the last few are kept, which many mistakes share."""
    key = (id(operator), tuple(shapes), dialect, tuple((name, _contents(value)) for name, value in params.items()))
    found = KEPT.get(key)
    if found is None:
        if len(KEPT) >= MOST_KEPT:
            KEPT.clear()
        bounds = _bounds(operator, shapes)
        found = KEPT[key] = (operator, traced(operator, bounds, params, dialect if operator.choices else None))
    return found[1]


def _bounds(operator: Op, shapes: Sequence[tuple[int, ...]]) -> list[TensorBound]:
    """Inputs that may have any value of their ports' formats."""
    ports = (operator.port(i) for i in range(len(shapes)))
    return [TensorBound.full(shape, I32 if port is I64 else port) for shape, port in zip(shapes, ports, strict=True)]


def _contents(value: Any) -> Any:
    array = np.asarray(value)
    return (array.shape, array.tobytes()) if array.ndim else int(array)


def _of_shape(build: Expressions, slip: Slip) -> Expression:
    """The altered operation, which has the shape of the right one."""
    made = slip.make(build, slip.operation)
    if made.shape != slip.operation.shape:
        raise ValueError(f"{slip.key}={slip.value} has another shape")
    return made


def _slips(found: Traced) -> Iterator[Slip]:
    """Every mistake, in the order of the equation; where a step has several operations of a kind they are numbered."""
    seen: Counter[tuple[str, str]] = Counter()
    done: set[int] = set()
    for step, root in found.steps.items():
        for x in in_order([root]):
            if id(x) in done or x.kind in (INPUT, CONSTANT):
                continue
            done.add(id(x))
            for what, value, instead, make in _of_operation(x):
                seen[f"{step}.{what}", value] += 1
                count = seen[f"{step}.{what}", value]
                if count > ALIKE:
                    continue
                yield Slip(f"{step}.{what}" + (f"#{count}" if count > 1 else ""), value, instead, x, make)


def _of_operation(x: Expression) -> Iterator[tuple[str, str, str, Make]]:
    """The mistakes of one operation: what it is about, the wrong value, the right one, and the altered operation."""
    if x.kind == "right_shift" and x.args[1].lo >= 1:
        yield "shift", "half_up", "floor", lambda b, x: b("right_shift", b("add", x.args[0], _half(b, x.args[1])), x.args[1])
        if x.args[0].lo < 0:
            yield "shift", "trunc", "floor", _shifted_to_zero
    if x.kind == "floor_divide":
        if x.args[1].lo > 0:
            yield (
                "division",
                "nearest",
                "floor",
                lambda b, x: b("floor_divide", b("add", x.args[0], _halved(b, x.args[1])), x.args[1]),
            )
        if x.lo < 0:
            yield "division", "trunc", "floor", _divided_to_zero
    if x.kind in ("minimum", "maximum"):
        for own, other in (x.args, x.args[::-1]):
            if other.scalar is not None and own.scalar is None:
                yield x.kind, "left_out", str(other.scalar), _only(own)
    if x.kind in ("add", "subtract", "multiply", "minimum", "maximum"):
        for position, arg in enumerate(x.args):
            if arg.scalar is not None and arg.scalar != 0:
                for how, step in (("one_more", 1), ("one_less", -1)):
                    yield "constant", how, str(arg.scalar), _constant(position, step)
    if x.kind in ("sum", "max") and x.args[0].shape[dict(x.attributes)["axis"]] > 1:
        yield "terms", "without_last", "all", _without_last
    if x.kind in ARITHMETIC:
        for width in WIDTHS:
            if not signed(width).holds(x.lo, x.hi):
                yield "bits", str(width), "wide enough", _wrapped(width)


def _half(build: Expressions, shift: Expression) -> Expression:
    """``1 << (shift - 1)``."""
    return build("left_shift", build.constant(1), build("subtract", shift, build.constant(1)))


def _halved(build: Expressions, x: Expression) -> Expression:
    return build("right_shift", x, build.constant(1))


def _negative(build: Expressions, x: Expression) -> Expression:
    return build("less", x, build.constant(0))


def _shifted_to_zero(build: Expressions, x: Expression) -> Expression:
    """A shift of a negative number that truncates."""
    a, e = x.args
    ones = build("subtract", build("left_shift", build.constant(1), e), build.constant(1))
    lifted = build("add", a, ones)
    return build("right_shift", build("select", _negative(build, a), lifted, _like(build, a, lifted)), e)


def _divided_to_zero(build: Expressions, x: Expression) -> Expression:
    """A quotient as C has it: one above the floor where that is negative and not exact."""
    whole = build("equal", build("multiply", x, x.args[1]), x.args[0])
    above = build("bitwise_and", _negative(build, x), build("logical_not", whole))
    return build("add", x, build("integer", above))


def _like(build: Expressions, x: Expression, other: Expression) -> Expression:
    """`x` in the shape of another expression."""
    return x if x.shape == other.shape else build("add", x, build("multiply", other, build.constant(0)))


def _only(own: Expression) -> Make:
    return lambda build, x: _like(build, own, x)


def _constant(position: int, step: int) -> Make:
    """An operation with another number in it."""

    def make(build: Expressions, x: Expression) -> Expression:
        args = list(x.args)
        scalar = args[position].scalar
        assert scalar is not None
        args[position] = build.filled(scalar + step, args[position].shape)
        return build(x.kind, *args, **dict(x.attributes))

    return make


def _without_last(build: Expressions, x: Expression) -> Expression:
    """A sum or maximum of all elements of a row but the last."""
    (row,), axis = x.args, dict(x.attributes)["axis"]
    stops = tuple(side - (i == axis) for i, side in enumerate(row.shape))
    part = build("slice", row, starts=(0,) * len(stops), stops=stops)
    return build(x.kind, part, **dict(x.attributes))


def _wrapped(width: int) -> Make:
    """A result in a register that is too short."""
    fmt = signed(width)

    def make(build: Expressions, x: Expression) -> Expression:
        low = build("bitwise_and", x, build.constant(fmt.hi - fmt.lo))
        return build("subtract", build("bitwise_xor", low, build.constant(-fmt.lo)), build.constant(-fmt.lo))

    return make
