"""The solver: elements as terms over bit-vectors, each as wide as its bounds take, and questions about them.

Source: Bitwuzla (Niemetz and Preiner, CAV 2023), which ``pip install 'intsim[prove]'`` installs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..errors import IntsimError
from ..symbols import Expression
from ..symbols.expression import CONSTANT, INPUT

UNKNOWN = "unknown"
MEMORY = 4096  # MB of one question
WIDEST = 4096  # bits of a term


def bits(lo: int, hi: int) -> int:
    """The bits of a signed value."""
    return max((value if value >= 0 else -value - 1).bit_length() for value in (lo, hi)) + 1


class Solver:
    """Terms of expressions, and whether some of them can hold. IntsimError where Bitwuzla is not installed."""

    def __init__(self) -> None:
        try:
            import bitwuzla
        except ImportError:
            raise IntsimError("proofs need Bitwuzla; install it with: pip install 'intsim[prove]'") from None
        self.api: Any = bitwuzla
        self.kind = bitwuzla.Kind
        self.terms = bitwuzla.TermManager()
        self.asked = 0

    def satisfied(
        self,
        some: Sequence[Expression],
        none: Sequence[Expression],
        seconds: float,
        inputs: Collection[Expression] = (),
        free: Collection[Expression] = (),
    ) -> Mapping[Expression, int] | str | None:
        """Values of the `inputs` with which one condition of `some` holds, and of `none` no condition; None where there are
        none, ``unknown`` after so many seconds. Expressions that are `free` may have any value within their bounds.
        """
        if seconds <= 0:
            return UNKNOWN
        self.asked += 1
        writer = _Writer(self, free)
        api, kind, terms = self.api, self.kind, self.terms
        options = api.Options()
        options.set(api.Option.PRODUCE_MODELS, bool(inputs))
        options.set(api.Option.TIME_LIMIT_PER, max(int(1000 * seconds), 1))
        options.set(api.Option.MEMORY_LIMIT, MEMORY)
        engine = api.Bitwuzla(terms, options)
        try:
            wanted = [writer.of(x) for x in some]
            refused = [writer.of(x) for x in none]
        except _TooWideError:
            return UNKNOWN
        engine.assert_formula(wanted[0] if len(wanted) == 1 else terms.mk_term(kind.OR, wanted))
        for term in refused:
            engine.assert_formula(terms.mk_term(kind.NOT, [term]))
        for term in writer.within:
            engine.assert_formula(term)
        given = [(x, writer.of(x)) for x in inputs]
        result = engine.check_sat()
        if result == api.Result.UNSAT:
            return None
        if result != api.Result.SAT:
            return UNKNOWN
        return {x: _signed(engine.get_value(term).value(10), term.sort().bv_size()) for x, term in given}


class _TooWideError(Exception):
    """A term that is wider than the solver is given."""


def _signed(text: Any, width: int) -> int:
    """A value as a signed integer."""
    number = int(text)
    return number - (1 << width) if number >= 1 << (width - 1) else number


class _Writer:
    """Terms of expressions. `within` are the bounds of those that are not computed."""

    def __init__(self, solver: Solver, free: Collection[Expression]) -> None:
        self.manager, self.kind = solver.terms, solver.kind
        self.free = set(free)
        self.made: dict[Expression, Any] = {}
        self.within: list[Any] = []

    def of(self, root: Expression) -> Any:
        """The term of an expression."""
        for node in self._order(root):
            if node not in self.made:
                self.made[node] = self._written(node)
        return self.made[root]

    def _order(self, root: Expression) -> Iterable[Expression]:
        """What the term depends on, arguments first; nothing behind what is free."""
        done: set[Expression] = set()
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if node in done or node in self.made:
                continue
            if ready or node in self.free:
                done.add(node)
                yield node
            else:
                stack.append((node, True))
                stack += [(arg, False) for arg in node.args]

    def term(self, name: str, *args: Any, numbers: Sequence[int] = ()) -> Any:
        """An operation of the solver."""
        return self.manager.mk_term(getattr(self.kind, name), list(args), list(numbers))

    def number(self, value: int, width: int) -> Any:
        """A constant."""
        return self.manager.mk_bv_value(self.manager.mk_bv_sort(width), str(value % (1 << width)), 10)

    def fit(self, term: Any, width: int) -> Any:
        """A signed term in so many bits."""
        own = term.sort().bv_size()
        if own < width:
            return self.term("BV_SIGN_EXTEND", term, numbers=[width - own])
        return self.term("BV_EXTRACT", term, numbers=[width - 1, 0]) if own > width else term

    def _written(self, node: Expression) -> Any:
        if node.kind == CONSTANT:
            value = int(node.scalar or 0)
            if node.boolean:
                return self.manager.mk_true() if value else self.manager.mk_false()
            return self.number(value, bits(node.lo, node.hi))
        if node.kind == INPUT or node in self.free:
            return self._given(node)
        args = [self.made[arg] for arg in node.args]
        own = bits(node.lo, node.hi)
        wide = max([own, *(bits(arg.lo, arg.hi) for arg in node.args if not arg.boolean)])
        if wide > WIDEST:
            raise _TooWideError
        if node.kind in ("logical_not", "integer") or (node.boolean and node.kind.startswith("bitwise")):
            return self._of_booleans(node, args, own)
        if node.kind == "select":
            a, b = (arg if node.boolean else self.fit(arg, own) for arg in args[1:])
            return self.term("ITE", args[0], a, b)
        a, b = (self.fit(arg, wide) for arg in args)
        if node.kind in RELATIONS:
            return self.term(RELATIONS[node.kind], a, b)
        return self.fit(self._of_numbers(node, a, b, wide), own)

    def _given(self, node: Expression) -> Any:
        name = node.name or None
        if node.boolean:
            return self.manager.mk_const(self.manager.mk_bool_sort(), name)
        width = bits(node.lo, node.hi)
        term = self.manager.mk_const(self.manager.mk_bv_sort(width), name)
        self.within.append(self.term("BV_SGE", term, self.number(node.lo, width)))
        self.within.append(self.term("BV_SLE", term, self.number(node.hi, width)))
        return term

    def _of_booleans(self, node: Expression, args: list[Any], width: int) -> Any:
        if node.kind == "integer":
            return self.term("ITE", args[0], self.number(1, width), self.number(0, width))
        name = {"logical_not": "NOT", "bitwise_and": "AND", "bitwise_or": "OR", "bitwise_xor": "XOR"}[node.kind]
        return self.term(name, *args)

    def _of_numbers(self, node: Expression, a: Any, b: Any, width: int) -> Any:
        if node.kind in DIRECT:
            return self.term(DIRECT[node.kind], a, b)
        if node.kind in ("minimum", "maximum"):
            return self.term("ITE", self.term("BV_SLT", a, b), *((a, b) if node.kind == "minimum" else (b, a)))
        assert node.kind == "floor_divide", node.kind
        dividend, divisor = node.args
        width += 1  # so that every value has its negative
        a, b = self.fit(a, width), self.fit(b, width)
        if divisor.lo <= 0 <= divisor.hi:  # a divisor of 0 counts as 1
            b = self.term("ITE", self.term("EQUAL", b, self.number(0, width)), self.number(1, width), b)
        if dividend.lo >= 0 and divisor.lo > 0:
            return self.term("BV_UDIV", a, b)
        if divisor.hi < 0 or divisor.lo > 0:  # of one sign: the magnitude of the quotient is one of natural numbers
            return self._by_one_sign(a, b, divisor.hi < 0, dividend)
        quotient, rest = self.term("BV_SDIV", a, b), self.term("BV_SREM", a, b)
        zero = self.number(0, width)
        inexact = self.term("DISTINCT", rest, zero)
        apart = self.term("XOR", self.term("BV_SLT", rest, zero), self.term("BV_SLT", b, zero))
        below = self.term("BV_SUB", quotient, self.number(1, width))
        return self.term("ITE", self.term("AND", inexact, apart), below, quotient)

    def _by_one_sign(self, a: Any, b: Any, negative: bool, dividend: Expression) -> Any:
        """``a // b`` where the divisor is of one sign: floored by way of ``(-1 - a) // b = -1 - a // b`` for positive b."""
        width = a.sort().bv_size()
        if negative:  # a // b = -a // -b
            a, b = self.term("BV_NEG", a), self.term("BV_NEG", b)
        lo = -dividend.hi if negative else dividend.lo
        hi = -dividend.lo if negative else dividend.hi
        if lo >= 0:
            return self.term("BV_UDIV", a, b)
        below = self.term("BV_SLT", a, self.number(0, width))
        if hi < 0:
            return self.term("BV_NOT", self.term("BV_UDIV", self.term("BV_NOT", a), b))
        quotient = self.term("BV_UDIV", self.term("ITE", below, self.term("BV_NOT", a), a), b)
        return self.term("ITE", below, self.term("BV_NOT", quotient), quotient)


RELATIONS = {"less": "BV_SLT", "less_equal": "BV_SLE", "equal": "EQUAL"}
DIRECT = {
    "add": "BV_ADD",
    "subtract": "BV_SUB",
    "multiply": "BV_MUL",
    "left_shift": "BV_SHL",
    "right_shift": "BV_ASHR",
    "bitwise_and": "BV_AND",
    "bitwise_or": "BV_OR",
    "bitwise_xor": "BV_XOR",
}
