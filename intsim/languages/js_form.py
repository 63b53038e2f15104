"""Expressions as JavaScript statements on arrays of BigInt: one per value that has a name or is used more than once.

Every operation is a function of `templates/intsim_arithmetic.mjs`, which knows the operations and no equation. Values
without axes (parameters and lengths) are BigInt, and written with JavaScript's own signs where those mean the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..symbols import Expression
from ..symbols.expression import CONSTANT, INPUT, in_order
from ..symbols.operations import OPERATIONS
from ..symbols.sizes import Size, broadcast
from .c_terms import bare, hint

LONGEST = 72  # characters of a value that is not given a name
SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "left_shift": "<<", "right_shift": ">>"}
ALONG = {"sum": "sum_along", "max": "max_along", "argmax": "argmax_along"}
PASSED = ("integer", "bounded")  # BigInt has no widths, and truth is 1n and 0n
FUNCTIONS = (*(kind for kind in OPERATIONS if kind not in PASSED and kind not in ALONG), *ALONG.values(), "filled", "refuse")
HINTS = {
    "add": "total",
    "multiply": "product",
    "minimum": "limited",
    "maximum": "limited",
    "bitwise_and": "low_bits",
    "bitwise_xor": "low_bits",
    "select": "chosen",
    "less": "is_less",
    "less_equal": "is_less",
    "equal": "is_equal",
    "reshape": "shaped",
    "transpose": "exchanged",
    "index": "numbers",
    "concatenate": "joined",
    "slice": "part",
    "repeat": "repeated",
    "gather": "found",
}
RESERVED = (
    "case",
    "class",
    "const",
    "default",
    "do",
    "else",
    "for",
    "function",
    "if",
    "in",
    "new",
    "return",
    "this",
    "var",
    "with",
)


class JsForm:
    """The statements of one function: `names` of expressions that are steps, `refusals` with their reasons.

    What is `known` is given to the function by name, and not computed again.
    """

    def __init__(
        self,
        names: Mapping[Expression, str],
        refusals: Mapping[Expression, str],
        op: str,
        taken: Sequence[str] = (),
        known: Mapping[Expression, str] | None = None,
    ) -> None:
        self.names, self.refusals, self.op, self.known = names, refusals, op, known or {}
        self.order = list(in_order([*refusals, *names], self.known))
        self.uses = Counter(arg for node in self.order for arg in node.args)
        self.uses.update(self._of_shapes())
        self.used: Counter[str] = Counter([*taken, *FUNCTIONS, *RESERVED])
        self.texts: dict[Expression, str] = {}
        self.called: set[str] = set()  # the functions of operations that are needed
        self.lines: list[str] = []
        for node in self.order:
            self._write(node)

    def _of_shapes(self) -> Iterator[Expression]:
        """The lengths that shapes and attributes need."""
        for node in self.order:
            attributes = [value for _, value in node.attributes]
            for value in (*attributes, node.shape if node in self.names else ()):
                for side in value if isinstance(value, tuple) else (value,):
                    if isinstance(side, Size):
                        yield side.expression

    def _write(self, node: Expression) -> None:
        if node in self.texts:
            return
        text = self._text(node)
        step, plain = node in self.names, node in self.known or node.kind in (INPUT, CONSTANT, *PASSED)
        if (step and node.kind != INPUT and node.scalar is None) or (
            not plain and (self.uses[node] > 1 or len(text) > LONGEST)
        ):
            name = self.named(self.names.get(node, _hint(node)))
            self.lines.append(f"const {name} = {bare(text)};")
            text = name
        self.texts[node] = text
        if node in self.refusals:
            self.called.add("refuse")
            self.lines.append(f'refuse("{self.op}", "{self.refusals[node]}", {bare(text)});')

    def named(self, wanted: str) -> str:
        """A name that no other value has."""
        self.used[wanted] += 1
        return wanted if self.used[wanted] == 1 else f"{wanted}_{self.used[wanted]}"

    def call(self, function: str, *args: str) -> str:
        """A call of a function of the arithmetic."""
        self.called.add(function)
        return f"{function}({', '.join(bare(arg) for arg in args)})"

    # --- lengths --------------------------------------------------------------------------------------------------------

    def length(self, side: int) -> str:
        """A length."""
        if not isinstance(side, Size):
            return literal(int(side))
        for node in in_order([side.expression]):
            self._write(node)
        return bare(self.texts[side.expression])

    def lengths(self, shape: Sequence[int]) -> str:
        """A shape."""
        return f"[{', '.join(self.length(side) for side in shape)}]"

    # --- values ---------------------------------------------------------------------------------------------------------

    def value(self, x: Expression, whole: bool = True) -> str:
        """The text of an argument; a constant of one value has its shape where it has to be `whole`."""
        if x.scalar is not None and x.shape and whole:
            return self.call("filled", literal(x.scalar), self.lengths(x.shape))
        return self.texts[x]

    def step(self, x: Expression) -> str:
        """The text of a result."""
        return bare(self.value(x))

    def _text(self, x: Expression) -> str:
        if x in self.known:
            return self.known[x]
        if x.kind == INPUT:
            return x.name
        if x.scalar is not None:
            return literal(x.scalar)
        if x.kind == CONSTANT:
            assert x.value is not None
            data = ", ".join(f"{int(value)}n" for value in x.value.ravel())
            return f"{{ shape: [{', '.join(map(str, x.shape))}], data: [{data}] }}"
        if x.kind in PASSED:
            return self.value(x.args[0])
        if OPERATIONS[x.kind].elementwise:
            return self._elementwise(x)
        attributes: dict[str, Any] = dict(x.attributes)
        args = [self.value(arg) for arg in x.args]
        if x.kind in ALONG:
            return self.call(ALONG[x.kind], *args, str(attributes["axis"]))
        return self._moved(x.kind, args, attributes)

    def _elementwise(self, x: Expression) -> str:
        shapes = [arg.shape for arg in x.args if arg.scalar is None]
        whole = not shapes or broadcast(*shapes) != x.shape  # a constant decides the shape
        args = [self.value(arg, whole) for arg in x.args]
        if not x.shape and x.kind in SIGNS:
            if x.kind == "subtract" and x.args[0].scalar == 0:
                return f"(-{args[1]})"
            return f"({args[0]} {SIGNS[x.kind]} {args[1]})"
        return self.call(x.kind, *args)

    def _moved(self, kind: str, args: list[str], attributes: dict[str, Any]) -> str:
        if kind == "reshape":
            return self.call(kind, *args, self.lengths(attributes["shape"]))
        if kind == "transpose":
            return self.call(kind, *args, f"[{', '.join(map(str, attributes['axes']))}]")
        if kind == "slice":
            return self.call(kind, *args, self.lengths(attributes["starts"]), self.lengths(attributes["stops"]))
        if kind == "concatenate":
            return self.call(kind, f"[{', '.join(bare(arg) for arg in args)}]", str(attributes["axis"]))
        if kind == "repeat":
            return self.call(kind, *args, self.length(attributes["count"]), str(attributes["axis"]))
        return self.call(kind, *args)  # matmul, gather, index


def _hint(x: Expression) -> str:
    """What a value that is no step is called."""
    if x.kind == "subtract" and x.args[0].kind == "bitwise_xor":
        return "wrapped"
    if x.kind == "subtract" and x.args[0].scalar == 0:
        return "negated"
    return HINTS.get(x.kind, hint(x))


def literal(value: int) -> str:
    """A constant."""
    return f"{value}n" if value >= 0 else f"(-{-value}n)"
