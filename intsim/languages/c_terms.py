"""C expressions of values: constants, types, and what every operation on elements is in C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..arith import I32, I64
from ..symbols import Expression
from ..symbols.sizes import Size


@dataclass(frozen=True)
class Term:
    """A C expression, the loop that it belongs to (0: none), and whether it needs no parentheses."""

    text: str
    level: int = 0
    atom: bool = True

    @property
    def wrapped(self) -> str:
        """The text as an operand."""
        return self.text if self.atom else f"({self.text})"


Index = tuple[Term, ...]
ZERO = Term("0")


def factors(x: Expression) -> list[Expression]:
    """The factors of a product of scalars."""
    return [factor for arg in x.args for factor in factors(arg)] if x.kind == "multiply" else [x]


def number(value: int) -> Term:
    """A constant."""
    if I32.holds(value, value):
        return Term(str(value) if value > I32.lo else "INT32_MIN", 0, atom=value >= 0 or value == I32.lo)
    return Term(f"INT64_C({value})" if value > I64.lo else "INT64_MIN")


NAMES = {
    "right_shift": "floor",
    "left_shift": "power",
    "floor_divide": "quotient",
    "subtract": "rest",
    "sum": "accumulated",
    "matmul": "accumulated",
    "max": "largest",
    "argmax": "best",
}


def hint(x: Expression) -> str:
    """What a value that is no step is called."""
    if x.kind == "right_shift" and x.args[1].scalar == 1:
        if x.args[0].kind == "left_shift" and x.args[0].args[0].scalar == 1:
            return "half"
        if x.args[0].kind == "add" and "floor_divide" in (arg.kind for arg in x.args[0].args):
            return "root"  # a Newton step
    return NAMES.get(x.kind, "t")


def ctype(x: Expression) -> str:
    """The type of a value."""
    return "int" if x.boolean else "int32_t" if I32.holds(x.lo, x.hi) else "int64_t"


def seen(index: Index, x: Expression, arg: Expression, cut: int = 0) -> Index:
    """The index of an argument that is broadcast; an axis of length 1 has no index."""
    shape = arg.shape[: len(arg.shape) - cut]
    if not shape:
        return ()
    own = index[len(index) - len(shape) :]
    return tuple(ZERO if not isinstance(side, Size) and side == 1 else at for at, side in zip(own, shape, strict=True))


def _infix(sign: str) -> Callable[..., tuple[str, bool]]:
    def form(x: Expression, args: list[str], wide: bool) -> tuple[str, bool]:
        a, b = args
        return f"{cast(x.args[0], a, wide)} {sign} {b}", False

    return form


def cast(x: Expression, text: str, wide: bool) -> str:
    """An operand in the width of the operation."""
    return f"(int64_t){text}" if wide and I32.holds(x.lo, x.hi) and not text.startswith("INT64") else text


def _call(name: str) -> Callable[..., tuple[str, bool]]:
    return lambda x, args, wide: (f"{'' if wide else '(int32_t)'}{name}({', '.join(bare(arg) for arg in args)})", True)


def bare(text: str) -> str:
    """A text without parentheses around all of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for i, sign in enumerate(text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0 and i < len(text) - 1:
            return text
    return text[1:-1]


def _subtract(x: Expression, args: list[str], wide: bool) -> tuple[str, bool]:
    a, b = args
    return (f"-{cast(x.args[1], b, wide)}", False) if x.args[0].scalar == 0 else (f"{cast(x.args[0], a, wide)} - {b}", False)


def _floor_divide(x: Expression, args: list[str], wide: bool) -> tuple[str, bool]:
    a, b = x.args
    if a.lo >= 0 and b.lo > 0:
        return f"{args[0]} / {args[1]}", False
    return _call("intsim_floor_div")(x, args, wide)


def _left_shift(x: Expression, args: list[str], wide: bool) -> tuple[str, bool]:
    if x.args[0].lo >= 0:
        return f"{cast(x.args[0], args[0], wide)} << {args[1]}", False
    return _call("intsim_shl")(x, args, wide)


def _right_shift(x: Expression, args: list[str], wide: bool) -> tuple[str, bool]:
    value, exponent = x.args
    if value.lo >= 0 and exponent.hi <= (31 if I32.holds(value.lo, value.hi) else 63):
        return f"{args[0]} >> {args[1]}", False
    return _call("intsim_shr")(x, args, wide)


def _bits(sign: str) -> Callable[..., tuple[str, bool]]:
    return lambda x, args, wide: (f"{args[0]} {sign} {args[1]}", False)


PASSED = ("integer", "select")  # operations whose arguments are the result
OPERATIONS: dict[str, Callable[[Expression, list[str], bool], tuple[str, bool]]] = {
    "add": _infix("+"),
    "subtract": _subtract,
    "multiply": _infix("*"),
    "floor_divide": _floor_divide,
    "left_shift": _left_shift,
    "right_shift": _right_shift,
    "minimum": _call("intsim_min"),
    "maximum": _call("intsim_max"),
    "bitwise_and": _bits("&"),
    "bitwise_or": _bits("|"),
    "bitwise_xor": _bits("^"),
    "less": lambda x, args, wide: (f"{args[0]} < {args[1]}", False),
    "less_equal": lambda x, args, wide: (f"{args[0]} <= {args[1]}", False),
    "equal": lambda x, args, wide: (f"{args[0]} == {args[1]}", False),
    "logical_not": lambda x, args, wide: (f"!{args[0]}", False),
    "integer": lambda x, args, wide: (bare(args[0]), False),
    "select": lambda x, args, wide: (f"{args[0]} ? {args[1]} : {args[2]}", False),
}
