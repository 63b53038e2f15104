"""The steps that the teaching page names: those of an equation, and those of the operators that it is made of.

An equation that calls another operator's ``steps`` has that operator's steps in its trace, without their names. Here the
other operator is traced once more on the same symbols; a trace builds every expression once, so that it finds the same ones.
"""

from __future__ import annotations

from typing import Any

from intsim.arith import I32, Overflow, wrap
from intsim.ops import REGISTRY
from intsim.symbols import Expression, Traced
from intsim.symbols.expression import in_order
from intsim.symbols.sizes import Size
from intsim.symbols.symbol import Tape

PARTS = ("log2", "quotient", "remainder")  # of shift_exp


def steps_of(traced: Traced) -> dict[str, Expression]:
    """The named steps of a trace in the order in which they are computed, more of them than the equation names."""
    known = set(in_order([*traced.steps.values(), *traced.refusals]))
    found = {name: x for name, x in _steps(traced).items() if name in traced.steps or x in known}
    missing = set(traced.steps) - set(found)
    if missing:
        raise ValueError(f"{traced.op}: the steps {missing} are not among those of the page")
    return found


def _steps(traced: Traced) -> dict[str, Expression]:
    if traced.op in ("shiftmax", "shiftgelu", "lambda_shiftgelu"):
        return _exponentials(traced)
    if traced.op == "layernorm":
        found = {name: x for name, x in traced.steps.items() if name not in ("half", "out")}
        found["product"] = _product(traced, traced.steps["centred"], traced.steps["factor"])
        return found | {name: traced.steps[name] for name in ("half", "out")}
    return dict(traced.steps)


def _tape(traced: Traced) -> Tape:
    sizes = (side for x in traced.inputs.values() for side in x.shape if isinstance(side, Size))
    tape: Tape = next(sizes).tape
    return tape


def _number(tape: Tape, x: Expression) -> Size:
    """A parameter as an integer."""
    return Size.made(tape, min(max(7, x.lo), x.hi), x)


def _product(traced: Traced, a: Expression, b: Expression) -> Expression:
    """A product, wrapped where the dialect does."""
    tape = _tape(traced)
    product: Any = tape.symbol(a) * tape.symbol(b)
    assert traced.dialect is not None
    if traced.dialect.overflow is Overflow.WRAP32:
        product = wrap(product, I32)
    return tape.expression(product)


def _exponentials(traced: Traced) -> dict[str, Expression]:
    """The steps with those of the exponential of a difference to the maximum."""
    tape, own = _tape(traced), traced.steps
    found = {"clamped": own["clamped"]} if "clamped" in own else {}
    source = own.get("clamped", traced.inputs["x"])
    difference: Any = tape.symbol(source) - tape.symbol(own["max"])
    x0, n = (_number(tape, traced.inputs[name]) for name in ("x0", "n"))
    parts = REGISTRY["shift_exp"].steps(difference, x0, n, dialect=traced.dialect)
    if tape.expression(parts["out"]) is not own["exp"]:
        raise ValueError(f"{traced.op}: the exponential is not that of the difference to the maximum")
    found |= {"max": own["max"], "difference": tape.expression(difference)}
    found |= {name: tape.expression(parts[name]) for name in PARTS}
    found["exp"] = own["exp"]
    if "exp_max" in own:
        parts = REGISTRY["shift_exp"].steps(-tape.symbol(own["max"]), x0, n, dialect=traced.dialect)
        found |= {f"{name}_max": tape.expression(parts[name]) for name in PARTS}
        found |= {"power_max": tape.expression(parts["out"]), "exp_max": own["exp_max"]}
    found |= {name: own[name] for name in ("sum", "factor")}
    found["product"] = _product(traced, own["exp"], own["factor"])
    return found | {name: own[name] for name in ("sigmoid", "out") if name in own}
