"""Generic traces: one expression graph of an operator for every shape and parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..arith import I32, I64, Format, Overflow, TensorBound
from ..dialects import Dialect, resolve
from .alike import alike
from .equation import Equation
from .expression import Expression
from .sizes import Size, product
from .symbol import NotTraceable, Tape
from .trace import Traced

LONGEST = 1 << 16  # of an axis
EXAMPLES = (101, 103, 107, 109, 113, 127)  # primes, so that no two lengths are equal by chance
OTHERS = (131, 137, 139, 149, 151, 157)
SMALL, OTHER_SMALL = 7, 11  # of parameters that are no lengths


def generic(
    operator: Equation,
    shapes: Mapping[str, tuple[str, ...]],
    dialect: Dialect | str | None = None,
    fixed: Mapping[str, int | str] | None = None,
    widest: Format = I32,
) -> Traced:
    """The expressions of an operator for any lengths and parameters, but those that are `fixed`, or products of lengths.

    `shapes` names the axes of every array, an input or a parameter; an axis may be a product, as in ``size*size``, or a
    number. Lengths are from 1 to 65,536. Values have the format of the operator's argument, the `widest` where it takes
    any. Inputs of the trace are arrays, lengths and parameters; an axis of a shape is a `Size`, and so is every length.

    Raises NotTraceable where the equation is another one for other lengths or parameters, as with a loop over one of them.
    Those of intsim's own operators are known to be one, and tested.
    """
    found = _traced(operator, shapes, dialect, fixed or {}, widest, EXAMPLES, SMALL)
    if not operator.built_in:
        with suppress(ValueError):  # which the examples may not fit
            other = _traced(operator, shapes, dialect, fixed or {}, widest, OTHERS, OTHER_SMALL)
            if not alike([*found.steps.values(), *found.refusals], [*other.steps.values(), *other.refusals]):
                raise NotTraceable(
                    f"{operator.name}: its equation is not the same for all lengths and parameters, as where it loops over "
                    "one of them; no function serves all calls"
                )
    return found


def _traced(
    operator: Equation,
    shapes: Mapping[str, tuple[str, ...]],
    dialect: Dialect | str | None,
    fixed: Mapping[str, int | str],
    widest: Format,
    primes: Sequence[int],
    small: int,
) -> Traced:
    """The expressions with these examples of lengths and parameters."""
    tape = Tape()
    rules = resolve(dialect) if dialect is not None and operator.choices else None
    inputs: dict[str, Expression] = {}
    lengths = _examples(shapes, primes)

    def length(name: str) -> int:
        if name.isdigit():
            return int(name)
        if "*" in name:
            factors = [length(part) for part in name.split("*")]
            made = product(factors)
            if len(factors) == 2 and factors[0] is factors[1]:
                made.root = factors[0]  # type: ignore[attr-defined]
            return made
        return sizes[name]

    def size(name: str, lo: int, hi: int, example: int) -> Size:
        inputs[name] = tape.build.input(name, (), lo, hi)
        return Size.made(tape, example, inputs[name])

    params: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    for key, param in operator.params.items():
        if isinstance(fixed.get(key), int):
            params[key] = fixed[key]
        elif key not in shapes and key not in fixed:
            params[key] = sizes[key] = size(
                key, param.fmt.lo, param.fmt.hi, lengths.get(key, min(max(small, param.fmt.lo), param.fmt.hi))
            )
    for name, example in lengths.items():
        if name not in sizes:
            sizes[name] = size(name, 1, LONGEST, example)

    params |= {key: length(axis) for key, axis in fixed.items() if isinstance(axis, str)}

    def array(name: str, fmt: Format) -> Any:
        own = widest if fmt is I64 else fmt
        inputs[name] = tape.build.input(name, tuple(length(axis) for axis in shapes[name]), own.lo, own.hi)
        return tape.symbol(inputs[name])

    names = [name for name in shapes if name not in operator.params]
    arguments = [array(name, operator.port(i)) for i, name in enumerate(names)]
    params |= {key: array(key, operator.params[key].fmt) for key in shapes if key in operator.params}
    found = operator.steps(*arguments, **params, dialect=rules)
    steps = {name: tape.expression(value) for name, value in found.items()}
    if operator.infer is not None and not operator.moves:
        bounds = [
            TensorBound(inputs[name].shape, operator.port(i), inputs[name].lo, inputs[name].hi)
            for i, name in enumerate(names)
        ]
        with suppress(NotTraceable):  # what reads the values of arrays requires nothing of parameters
            operator.infer(*bounds, **params, dialect=rules)
    if operator.infer is None and operator.overflow(rules) is Overflow.FORBID:
        fmt = operator.format_of(params)
        ends = [tape.expression(end) for end in (fmt.lo, fmt.hi)]
        tape.refusals += [tape.build("less", steps["out"], ends[0]), tape.build("less", ends[1], steps["out"])]
    refusals = tuple(dict.fromkeys(refusal for refusal in tape.refusals if refusal.scalar != 0))
    return Traced(operator.name, rules, inputs, steps, refusals, tape.build)


def _examples(shapes: Mapping[str, tuple[str, ...]], primes: Sequence[int]) -> dict[str, int]:
    """An example of every length that shapes name."""
    parts = (part for axes in shapes.values() for axis in axes for part in axis.split("*"))
    names = dict.fromkeys(part for part in parts if not part.isdigit())
    return dict(zip(names, primes, strict=False))
