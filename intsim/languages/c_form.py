"""Expressions as C statements: loops over the indices of a result, every value computed where its indices are known.

An element of an expression is a C expression of its indices. Reshaping and its like compute indices, reductions are loops
of their own, and what does not depend on an inner loop is computed before it. Values have 32 bits where their bounds allow
it, else 64. What C leaves open is not used: shifts of negative numbers, quotients of negative numbers and overflow are
spelled out (``intsim_shr``, ``intsim_floor_div``), and a value that 64 bits may not hold is checked before it is computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..arith import I32, I64
from ..errors import IntsimError
from ..symbols import Expression
from ..symbols.expression import CONSTANT, INPUT, in_order
from ..symbols.sizes import Size, product
from .c_moves import MOVES
from .c_terms import OPERATIONS, PASSED, ZERO, Index, Term, ctype, factors, hint, number, seen

LONGEST, SHORT = 96, 12  # characters of a value that is not given a name, and of one that is written as it is
REDUCTIONS = ("sum", "max", "argmax", "matmul")
RANGE = "INTSIM_RANGE"


@dataclass
class Scope:
    """The statements of a loop's body, and what is known in it."""

    lines: list[Any] = field(default_factory=list)
    known: dict[Any, Term] = field(default_factory=dict)


class CForm:
    """The statements of one function. `names` are those of steps; `elements` says how an element of an input is read."""

    def __init__(
        self,
        roots: Sequence[Expression],
        names: dict[Expression, str],
        elements: Callable[[Expression, Index], str],
        taken: Sequence[str] = (),
    ) -> None:
        self.names, self.elements = names, elements
        self.scopes = [Scope()]
        self.variables: Counter[str] = Counter(taken)
        order = list(in_order(roots))
        self.uses = Counter(arg for node in order for arg in node.args)
        self.tables: dict[str, list[int]] = {}

    # --- statements -----------------------------------------------------------------------------------------------------

    def put(self, level: int, *lines: str) -> None:
        """Statements of a loop's body."""
        self.scopes[level].lines += lines

    @contextmanager
    def at(self, level: int) -> Iterator[None]:
        """A time in which statements go no deeper than a loop."""
        inner = self.scopes[level + 1 :]
        del self.scopes[level + 1 :]
        try:
            yield
        finally:
            self.scopes += inner

    @contextmanager
    def loop(self, extent: int, start: int = 0) -> Iterator[Term]:
        """A loop over an axis; its index. An axis of length 1 has none."""
        if not isinstance(extent, Size) and extent == 1 and start == 0:
            yield ZERO
            return
        level = len(self.scopes)
        name, stop = "ijklpqrs"[level - 1], self.extent(extent)
        self.scopes.append(Scope())
        yield Term(name, level)
        body = self.scopes.pop().lines
        self.scopes[-1].lines += [f"for (size_t {name} = {start}; {name} < {stop}; ++{name}) {{", body, "}"]

    def variable(self, kind: str, hint: str, text: str, level: int) -> Term:
        """A value with a name."""
        name = self.named(hint)
        self.put(level, f"const {kind} {name} = {text};")
        return Term(name, level)

    def named(self, hint: str) -> str:
        """A name that no other value has."""
        self.variables[hint] += 1
        return hint if self.variables[hint] == 1 else f"{hint}_{self.variables[hint]}"

    # --- lengths and indices --------------------------------------------------------------------------------------------

    def extent(self, size: int) -> str:
        """A length."""
        return self.length(size).text

    def length(self, size: int) -> Term:
        """A length as a size_t."""
        return self.of_lengths(size.expression) if isinstance(size, Size) else Term(str(size))

    def of_lengths(self, x: Expression) -> Term:
        """A scalar expression of lengths and parameters, not negative, as a size_t."""
        if x.scalar is not None:
            return Term(str(x.scalar))
        if x.kind == INPUT:
            return Term(x.name if x.hi > I32.hi or x.name in self.lengths else f"(size_t){x.name}")
        if x.kind == "multiply":
            return Term(" * ".join(self.of_lengths(factor).wrapped for factor in factors(x)), 0, atom=False)
        signs = {"add": "+", "floor_divide": "/", "subtract": "-"}
        if x.kind in signs and all(arg.lo >= 0 and arg.kind in (INPUT, CONSTANT) for arg in x.args):
            a, b = (self.of_lengths(arg) for arg in x.args)
            return Term(f"{a.wrapped} {signs[x.kind]} {b.wrapped}", 0, atom=False)
        if ("length", id(x)) not in self.scopes[0].known:
            value = self.value(x, ())
            self.scopes[0].known["length", id(x)] = self.variable("size_t", "length", f"(size_t){value.wrapped}", 0)
        return self.scopes[0].known["length", id(x)]

    lengths: frozenset[str] = frozenset()  # names of arguments that are size_t

    def ravelled(self, index: Index, shape: Sequence[int]) -> Term:
        """The place of an element in memory, row by row."""
        found: Term | None = None
        for at, side in zip(index, shape, strict=True):
            if not isinstance(side, Size) and side == 1:
                continue
            if found is None or found.text == "0":
                found = at
            else:
                scaled = f"{found.wrapped} * {self.length(side).wrapped}"
                text = scaled if at.text == "0" else f"{scaled} + {at.wrapped}"
                found = Term(text, max(found.level, at.level), atom=False)
        return found or ZERO

    def unravelled(self, place: Term, shape: Sequence[int]) -> list[Term]:
        """The indices of an element from its place."""
        index: list[Term] = []
        for i, side in enumerate(shape):
            behind = shape[i + 1 :]
            inner = self.length(product(behind)) if behind else None
            at = place if inner is None else Term(f"{place.wrapped} / {inner.wrapped}", place.level, atom=False)
            if i > 0:
                at = Term(f"{at.wrapped} % {self.length(side).wrapped}", place.level, atom=False)
            index.append(at if isinstance(side, Size) or side != 1 else ZERO)
        return index

    def reshaped(self, index: Index, shape: Sequence[int], source: Sequence[int]) -> Index:
        """The index in the source of a reshape: axes side by side are matched, and split or joined where they must."""
        found: list[Term] = []
        i = j = 0
        while i < len(shape) or j < len(source):
            theirs, own = [j], [i]
            i, j = i + 1, j + 1
            while product(shape[k] for k in own if k < len(shape)) != product(source[k] for k in theirs if k < len(source)):
                mine = product(shape[k] for k in own if k < len(shape))
                if mine < product(source[k] for k in theirs if k < len(source)):
                    own.append(i)
                    i += 1
                else:
                    theirs.append(j)
                    j += 1
            own, theirs = [k for k in own if k < len(shape)], [k for k in theirs if k < len(source)]
            place = self.ravelled([index[k] for k in own], [shape[k] for k in own])  # type: ignore[arg-type]
            found += self.unravelled(place, [source[k] for k in theirs])
        return tuple(found)

    # --- values ---------------------------------------------------------------------------------------------------------

    def value(self, x: Expression, index: Index) -> Term:
        """An element, computed where its indices are known."""
        if x.kind == "bounded":
            return self.value(x.args[0], index)
        if x.scalar is not None:
            return number(x.scalar)
        key = (id(x), tuple(at.text for at in index))
        for scope in self.scopes:
            if key in scope.known:
                return scope.known[key]
        term = self.computed(x, index)
        step, plain = x in self.names, term.atom and len(term.text) < SHORT
        worth = step or ((self.uses[x] > 1 or len(term.text) > LONGEST) and not plain and x.kind != "integer")
        if worth and x.kind not in (INPUT, *MOVES, *REDUCTIONS):
            term = self.variable(ctype(x), self.names.get(x, hint(x)), term.text, term.level)
        self.scopes[min(term.level, len(self.scopes) - 1)].known[key] = term
        return term

    def computed(self, x: Expression, index: Index) -> Term:
        """The text of an element."""
        if x.kind == INPUT:
            if not x.shape:
                return Term(x.name if x.name not in self.lengths else f"(int32_t){x.name}", 0)
            return Term(self.elements(x, index), max((at.level for at in index), default=0))
        if x.kind == CONSTANT:
            return self.constant(x, index)
        if x.kind in REDUCTIONS:
            return self.reduced(x, index)
        if x.kind in MOVES:
            return MOVES[x.kind](self, x, index)
        args = [self.value(arg, seen(index, x, arg)) for arg in x.args]
        return self.operation(x, args)

    def constant(self, x: Expression, index: Index) -> Term:
        """An element of a constant array."""
        assert x.value is not None
        name = f"table_{len(self.tables) + 1}"
        self.tables[name] = [int(v) for v in x.value.ravel()]
        place = self.ravelled(index, x.shape)
        return Term(f"{name}[{place.text}]", place.level)

    def operation(self, x: Expression, args: list[Term]) -> Term:
        """An operation on elements."""
        level = max((arg.level for arg in args), default=0)
        if not I64.holds(x.lo, x.hi):
            return self.checked(x, args, level)
        wide = not all(I32.holds(node.lo, node.hi) for node in (x, *x.args))
        text, atom = OPERATIONS[x.kind](x, [arg.wrapped for arg in args], wide)
        if wide and I32.holds(x.lo, x.hi) and not x.boolean and x.kind not in PASSED:
            return Term(f"(int32_t){text if atom else f'({text})'}", level)
        return Term(text, level, atom)

    def checked(self, x: Expression, args: list[Term], level: int) -> Term:
        """An operation of which 64 bits may not hold the result: the call is refused where they do not."""
        if x.kind == "left_shift" and x.args[0].lo >= 0:
            a, e = (arg.wrapped for arg in args)
            self.put(level, f"if ({e} > 62 || {a} > (INT64_MAX >> {e})) return {RANGE};")
            return Term(f"(int64_t){a} << {e}", level, atom=False)
        if x.kind == "left_shift":
            a, e = (arg.wrapped for arg in args)
            self.put(level, f"if ({e} > 62 || intsim_magnitude({a}) > (INT64_MAX >> {e})) return {RANGE};")
            return Term(f"intsim_shl({a}, {e})", level)
        operations = {"right_shift": "intsim_shr", "maximum": "intsim_max", "minimum": "intsim_min"}
        if x.kind in operations:
            return Term(f"{operations[x.kind]}({', '.join(arg.text for arg in args)})", level)
        raise IntsimError(f"{x.kind} may reach [{x.lo}, {x.hi}], which 64 bits do not hold")

    # --- reductions -----------------------------------------------------------------------------------------------------

    def reduced(self, x: Expression, index: Index) -> Term:
        """A loop over the axis that disappears."""
        level = max((at.level for at in index), default=0)
        name = self.named(self.names.get(x, hint(x)))
        with self.at(level):
            getattr(self, f"_{x.kind}")(x, index, name)
        term = Term(name, level)
        self.scopes[level].known[id(x), tuple(at.text for at in index)] = term
        return term

    def _sum(self, x: Expression, index: Index, name: str) -> None:
        axis = x.attribute("axis")
        self.put(len(self.scopes) - 1, f"{ctype(x)} {name} = 0;")
        with self.loop(x.args[0].shape[axis]) as at:
            value = self.value(x.args[0], (*index[:axis], at, *index[axis:]))
            self.put(len(self.scopes) - 1, f"{name} += {value.text};")

    def _max(self, x: Expression, index: Index, name: str) -> None:
        axis = x.attribute("axis")
        first = self.value(x.args[0], (*index[:axis], ZERO, *index[axis:]))
        self.put(len(self.scopes) - 1, f"{ctype(x)} {name} = {first.text};")
        with self.loop(x.args[0].shape[axis], 1) as at:
            value = self.value(x.args[0], (*index[:axis], at, *index[axis:]))
            self.put(len(self.scopes) - 1, f"if ({value.wrapped} > {name}) {name} = {value.text};")

    def _argmax(self, x: Expression, index: Index, name: str) -> None:
        axis = x.attribute("axis")
        first = self.value(x.args[0], (*index[:axis], ZERO, *index[axis:]))
        level = len(self.scopes) - 1
        self.put(level, f"{ctype(x)} {name} = 0;", f"{ctype(x.args[0])} {name}_value = {first.text};")
        with self.loop(x.args[0].shape[axis], 1) as at:
            value = self.value(x.args[0], (*index[:axis], at, *index[axis:]))
            body = [f"{name} = ({ctype(x)}){at.text};", f"{name}_value = {value.text};"]
            self.scopes[-1].lines += [f"if ({value.wrapped} > {name}_value) {{", body, "}"]

    def _matmul(self, x: Expression, index: Index, name: str) -> None:
        a, b = x.args
        *_, row, column = index
        self.put(len(self.scopes) - 1, f"{ctype(x)} {name} = 0;")
        with self.loop(a.shape[-1]) as at:
            leading = [seen(index[:-2], x, arg, cut=2) for arg in (a, b)]
            left, right = self.value(a, (*leading[0], row, at)), self.value(b, (*leading[1], at, column))
            wide = not all(I32.holds(node.lo, node.hi) for node in (x, a, b))
            self.put(len(self.scopes) - 1, f"{name} += {'(int64_t)' if wide else ''}{left.wrapped} * {right.wrapped};")

    # --- the text -------------------------------------------------------------------------------------------------------

    def text(self, indent: int = 1) -> Iterator[str]:
        """The lines of the function's body."""
        return indented(self.scopes[0].lines, indent)


def indented(lines: list[Any], indent: int) -> Iterator[str]:
    """Lines and blocks of them."""
    for line in lines:
        if isinstance(line, list):
            yield from indented(line, indent + 1)
        else:
            yield "    " * indent + line
