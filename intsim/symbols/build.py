"""Building expressions: each exists once, and what is known when it is built is simplified on the spot.

Constants are folded, comparisons that the bounds decide are constants, and an operation that cannot change its argument is
that argument. None of this changes a value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arith import I64, AnyArray
from .evaluate import computed
from .expression import CONSTANT, INPUT, Expression, in_order
from .operations import OPERATIONS
from .sizes import Size, broadcast

FEW = 1 << 16  # values of an expression of which a function is known by all of its values
LARGEST = 1 << 256  # of those
MOVES = ("reshape", "transpose", "slice", "concatenate", "repeat", "gather")


class Expressions:
    """The expressions of one trace."""

    def __init__(self) -> None:
        self.known: dict[Any, Expression] = {}
        self.instead: dict[Expression, Expression] = {}  # what is put in the place of some, while an equation is run again

    def input(self, name: str, shape: tuple[int, ...], lo: int, hi: int) -> Expression:
        """An array that will be given."""
        return self._once(("input", name), lambda: Expression(INPUT, (), (), shape, lo, hi, name=name))

    def constant(self, value: Any) -> Expression:
        """An array of integers or booleans, or one value; Python integers may have any size."""
        if isinstance(value, Size):
            return value.expression
        array = np.asarray(value)
        if array.dtype == np.uint64:  # which int64 need not hold
            array = array.astype(object)
        if array.dtype == object and array.size and I64.holds(int(array.min()), int(array.max())):
            array = array.astype(np.int64)
        if array.dtype not in (bool, object):
            array = array.astype(np.int64)
        equal = array.size and (array == array.flat[0]).all()
        return self.filled(array.flat[0], array.shape) if equal else self._constant(array)

    def filled(self, value: Any, shape: tuple[int, ...]) -> Expression:
        """A constant of one value, kept as one value where it is used with others."""
        one = np.asarray(value)
        one = one.astype(object) if one.dtype == np.uint64 and int(one) > I64.hi else one
        one = one if one.dtype in (bool, object) else one.astype(np.int64)
        lo, array = int(one), np.broadcast_to(one, shape)
        key = (CONSTANT, "filled", shape, one.dtype.str, lo)
        return self._once(key, lambda: Expression(CONSTANT, (), (), shape, lo, lo, one.dtype == bool, value=array))

    def _constant(self, array: AnyArray) -> Expression:
        lo, hi = (int(array.min()), int(array.max())) if array.size else (0, 0)
        own = tuple(array.ravel().tolist()) if array.dtype == object else np.ascontiguousarray(array).tobytes()
        key = (CONSTANT, array.shape, array.dtype.str, own)
        return self._once(key, lambda: Expression(CONSTANT, (), (), array.shape, lo, hi, array.dtype == bool, value=array))

    def __call__(self, kind: str, *args: Expression, **attributes: Any) -> Expression:
        """An operation on expressions, simplified. ValueError where its result has no bounds."""
        if OPERATIONS[kind].boolean is False and kind not in ("integer", "select", "gather", "bounded"):
            args = tuple(self.integer(arg) for arg in args)
        simpler = self._simplified(kind, args, attributes)
        x = simpler if simpler is not None else self._made(kind, args, attributes)
        return self.instead.get(x, x)

    def integer(self, x: Expression) -> Expression:
        """A boolean as 0 and 1."""
        return self("integer", x) if x.boolean else x

    def _made(self, kind: str, args: tuple[Expression, ...], attributes: dict[str, Any]) -> Expression:
        operation = OPERATIONS[kind]
        fixed = tuple(sorted(attributes.items()))

        def make() -> Expression:
            lo, hi = operation.bounds(*args, **attributes)
            shape = tuple(operation.shape(*args, **attributes))
            boolean = all(arg.boolean for arg in args) if operation.boolean is None else operation.boolean
            if kind == "select":
                boolean = args[1].boolean and args[2].boolean
            if kind == "gather":
                boolean = args[0].boolean
            function = _function_of_one(kind, args, attributes) if max(abs(lo), abs(hi)) < LARGEST else None
            if function is not None:
                lo, hi = int(function[1].min()), int(function[1].max())
            return Expression(kind, args, fixed, shape, lo, hi, boolean, function)

        made = self._once((kind, *(id(arg) for arg in args), fixed), make)
        if all(arg.scalar is not None for arg in args) and (OPERATIONS[kind].elementwise or _moves_one_value(kind, args)):
            return self.filled(self._folded(made, args), made.shape)
        if all(arg.kind == CONSTANT for arg in args):
            return self.constant(computed(made, [arg.value for arg in args if arg.value is not None]))
        if made.boolean and made.lo == made.hi:
            return self.filled(bool(made.lo), made.shape)
        return made

    def _folded(self, made: Expression, args: tuple[Expression, ...]) -> Any:
        """What all elements of an operation on constants of one value are."""
        if made.kind in MOVES:
            return bool(args[0].scalar) if made.boolean else args[0].scalar
        values = [_alone(arg) for arg in args]
        return computed(made, values)[()]

    def replaced(self, root: Expression, old: Expression, new: Expression) -> Expression:
        """`root` with one expression in the place of another."""
        made: dict[Expression, Expression] = {}
        for node in in_order([root]):
            args = tuple(made[arg] for arg in node.args)
            same = all(a is b for a, b in zip(args, node.args, strict=True))
            made[node] = new if node is old else node if same else self(node.kind, *args, **dict(node.attributes))
        return made[root]

    def _once(self, key: Any, make: Callable[[], Expression]) -> Expression:
        if key not in self.known:
            self.known[key] = make()
        return self.known[key]

    # --- simplification -------------------------------------------------------------------------------------------------

    def _simplified(self, kind: str, args: tuple[Expression, ...], attributes: dict[str, Any]) -> Expression | None:
        if kind in ("less", "less_equal", "equal"):
            return self._compared(kind, *args)
        if kind == "select":
            return self._selected(*args)
        if kind == "integer":
            return None if args[0].boolean else args[0]
        if kind == "logical_not" and args[0].kind == "logical_not":
            return args[0].args[0]
        if kind == "bounded" and attributes["lo"] <= args[0].lo and args[0].hi <= attributes["hi"]:
            return args[0]
        if kind in MOVES:
            return self._moved(kind, args, attributes)
        if len(args) == 2 and kind != "matmul":
            return self._of_two(kind, *args)
        return None

    def _compared(self, kind: str, a: Expression, b: Expression) -> Expression | None:
        shape = broadcast(a.shape, b.shape)
        if a is b:
            return self.filled(kind != "less", shape)
        if kind == "equal":
            apart = a.hi < b.lo or b.hi < a.lo
            return self.filled(False, shape) if apart else None
        always = a.hi < b.lo if kind == "less" else a.hi <= b.lo
        never = a.lo >= b.hi if kind == "less" else a.lo > b.hi
        return self.filled(always, shape) if always or never else None

    def _selected(self, condition: Expression, a: Expression, b: Expression) -> Expression | None:
        if a is b:
            return self._broadcast(a, broadcast(condition.shape, a.shape))
        if condition.scalar is None:
            return None
        shape = broadcast(condition.shape, a.shape, b.shape)
        return self._broadcast(a if condition.scalar else b, shape)

    def _broadcast(self, x: Expression, shape: tuple[int, ...]) -> Expression | None:
        """`x` where it has a shape, or is a constant of one value; None where it would have to be repeated."""
        if x.shape == shape:
            return x
        return None if x.scalar is None else self.filled(bool(x.scalar) if x.boolean else x.scalar, shape)

    def _moved(self, kind: str, args: tuple[Expression, ...], attributes: dict[str, Any]) -> Expression | None:
        x = args[0]
        if kind == "reshape":
            if attributes["shape"] == x.shape:
                return x
            return self("reshape", x.args[0], shape=attributes["shape"]) if x.kind == "reshape" else None
        if kind == "transpose":
            if attributes["axes"] == tuple(range(len(x.shape))):
                return x
            if x.kind == "transpose":
                first = x.attribute("axes")
                return self("transpose", x.args[0], axes=tuple(first[axis] for axis in attributes["axes"]))
        if kind == "slice" and attributes["starts"] == (0,) * len(x.shape) and attributes["stops"] == x.shape:
            return x
        if (kind == "concatenate" and len(args) == 1) or (kind == "repeat" and attributes["count"] == 1):
            return x
        return None

    def _of_two(self, kind: str, a: Expression, b: Expression) -> Expression | None:
        shape = broadcast(a.shape, b.shape)
        same: Expression | None = None  # the argument that the result equals
        if kind in ("minimum", "maximum"):
            smaller = a if a.hi <= b.lo else b if b.hi <= a.lo else None  # nowhere the larger one
            larger = b if smaller is a else a
            same = a if a is b else smaller if kind == "minimum" or smaller is None else larger
        elif kind in ("bitwise_and", "bitwise_or") and a.boolean and b.boolean:
            for x, other in ((a, b), (b, a)):
                if x.scalar is not None and bool(x.scalar) == (kind == "bitwise_and"):
                    same = other
                elif x.scalar is not None:
                    same = x
        elif kind == "bitwise_and":
            for mask, other in ((a, b), (b, a)):
                ones = mask.scalar is not None and mask.scalar >= 0 and mask.scalar & (mask.scalar + 1) == 0
                if ones and other.lo >= 0 and other.hi <= (mask.scalar or 0):
                    same = other
        elif b.scalar is not None and b.scalar == {"multiply": 1, "floor_divide": 1}.get(kind, 0):
            if kind in (
                "add",
                "subtract",
                "left_shift",
                "right_shift",
                "bitwise_or",
                "bitwise_xor",
                "multiply",
                "floor_divide",
            ):
                same = a
        elif a.scalar is not None and a.scalar == {"add": 0, "multiply": 1, "bitwise_or": 0, "bitwise_xor": 0}.get(kind):
            same = b
        for x, other in ((a, b), (b, a)):
            if kind == "add" and x.kind == "subtract" and x.args[1] is other:  # (x - y) + y
                same = x.args[0]
        if kind == "floor_divide" and a.kind == "multiply" and b in a.args and b.lo > 0:
            same = a.args[0 if a.args[1] is b else 1]
        if same is not None:
            return self._broadcast(same, shape)
        if kind == "subtract" and a is b:
            return self.filled(0, shape)
        if kind == "multiply" and 0 in (a.scalar, b.scalar):
            return self.filled(0, shape)
        if kind == "floor_divide" and b.scalar is not None and b.scalar > 0 and b.scalar & (b.scalar - 1) == 0:
            return self("right_shift", a, self.filled(b.scalar.bit_length() - 1, b.shape))
        return None


def _moves_one_value(kind: str, args: tuple[Expression, ...]) -> bool:
    """Whether a movement of constants gives one value everywhere."""
    return kind in MOVES and (kind == "gather" or len({arg.scalar for arg in args}) == 1)


def _function_of_one(
    kind: str, args: tuple[Expression, ...], attributes: dict[str, Any]
) -> tuple[Expression, AnyArray] | None:
    """The only expression that an element depends on, and the results for all of its values; None where there are more."""
    if not OPERATIONS[kind].elementwise:
        return None
    varying = [arg for arg in args if arg.scalar is None]
    sources = {arg.function[0] if arg.function else arg for arg in varying}
    if len(sources) != 1:
        sources = set(varying)
    if len(sources) != 1:
        return None
    (source,) = sources
    if source.hi - source.lo >= FEW or any(arg.shape != source.shape for arg in varying):
        return None
    values: list[AnyArray] = []
    for arg in args:
        if arg.scalar is not None:
            value: Any = _alone(arg)
        elif arg is source:
            value = np.arange(source.lo, source.hi + 1, dtype=np.int64).astype(bool if source.boolean else np.int64)
        else:
            assert arg.function is not None
            value = arg.function[1]
        values.append(value)
    lo, hi = OPERATIONS[kind].bounds(*args, **attributes)
    exact = I64.holds(lo, hi) and all(I64.holds(arg.lo, arg.hi) for arg in args)
    given = values if exact else [value if value.dtype == bool else value.astype(object) for value in values]
    result = np.broadcast_to(OPERATIONS[kind].compute(*given, **attributes), source.hi - source.lo + 1)
    return source, result


def _alone(x: Expression) -> AnyArray:
    """The one value of a constant: a boolean, int64, or a Python integer where 64 bits are not enough."""
    assert x.scalar is not None
    if x.boolean:
        return np.asarray(bool(x.scalar))
    return np.asarray(x.scalar, np.int64 if I64.holds(x.scalar, x.scalar) else object)
