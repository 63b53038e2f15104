"""Expressions as formulas for people: of named steps and arguments, as the documentation writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..symbols import Expression
from ..symbols.expression import INPUT, in_order
from .js_form import PASSED, SIGNS

WORDS = {
    **SIGNS,
    "floor_divide": "//",
    "less": "<",
    "less_equal": "<=",
    "equal": "==",
    "bitwise_and": "&",
    "bitwise_or": "|",
    "bitwise_xor": "^",
}
CALLED = {"minimum": "min", "maximum": "max"}
NEGATED = {"less": ">=", "less_equal": ">", "equal": "!="}
TURNED = {"<": ">", "<=": ">=", ">=": "<=", ">": "<", "==": "==", "!=": "!="}
TOLD = 160  # characters of a formula; what is longer is left out
LEFT_OUT = "..."


def words(x: Expression, names: Mapping[Expression, str]) -> str:
    """An expression as a formula of named steps and arguments; parts that are long are left out."""
    known: dict[Expression, str] = {}
    for node in in_order([x], names):
        text = names[node] if node in names else _in_words(node, known, names)
        known[node] = text if len(text) <= TOLD else LEFT_OUT
    return known[x]


def _in_words(x: Expression, known: Mapping[Expression, str], names: Mapping[Expression, str]) -> str:
    if x.kind == INPUT:
        return x.name
    if x.scalar is not None:
        return _number(x.scalar)
    args = [known[arg] for arg in x.args]
    if x.kind in (*PASSED, "reshape", "transpose"):
        return args[0]
    if (wrapped := _wrap(x)) is not None:
        return f"wrap{wrapped[1]}({known[wrapped[0]]})"
    if x.kind == "logical_not" and x.args[0].kind in NEGATED:
        return _compared(NEGATED[x.args[0].kind], x.args[0], known, names)
    if x.kind in NEGATED:
        return _compared(WORDS[x.kind], x, known, names)
    if x.kind == "subtract" and x.args[0].scalar == 0:
        return f"-{_wrapped(args[1])}"
    if x.boolean and x.kind in ("bitwise_and", "bitwise_or"):
        return (" and " if x.kind == "bitwise_and" else " or ").join(args)
    if x.kind == "select":
        return f"{args[1]} if {args[0]} else {args[2]}"
    if x.kind in WORDS and len(args) == 2:
        return f" {WORDS[x.kind]} ".join(map(_wrapped, args))
    return f"{CALLED.get(x.kind, x.kind)}({', '.join(args)})"


def _wrap(x: Expression) -> tuple[Expression, int] | None:
    """What is wrapped to so many bits: ``((x & (2**bits - 1)) ^ 2**(bits - 1)) - 2**(bits - 1)``."""
    if x.kind != "subtract" or x.args[0].kind != "bitwise_xor" or x.args[0].args[0].kind != "bitwise_and":
        return None
    low, sign = x.args[0].args
    mask, half = low.args[1].scalar, sign.scalar
    if mask is None or half is None or half != x.args[1].scalar or mask + 1 != 2 * half:
        return None
    return low.args[0], mask.bit_length()


def _compared(sign: str, x: Expression, known: Mapping[Expression, str], names: Mapping[Expression, str]) -> str:
    a, b = (known[arg] for arg in x.args)
    turned = x.args[0].scalar is not None or (x.args[1] in names and x.args[0] not in names)
    return f"{b} {TURNED[sign]} {a}" if turned else f"{a} {sign} {b}"


def _wrapped(text: str) -> str:
    """A formula as an operand."""
    return f"({text})" if " " in re.sub(r"^[-\w]+\([^()]*\)$", "", text) else text


def _number(value: int) -> str:
    """A number; ends of formats as powers of two."""
    for offset in (0, 1):
        power = abs(value) + offset
        if power.bit_count() == 1 and power >= 1 << 15 and (offset == 0 or value > 0):
            return f"{'-' if value < 0 else ''}2**{power.bit_length() - 1}{' - 1' if offset else ''}"
    return str(value)
