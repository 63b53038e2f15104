"""Relations between expressions that an interval of each does not have: a remainder is below its divisor, a difference to a
maximum is not positive. Each is seen by how the expressions were built, and proved in its docstring's words.
"""

from __future__ import annotations

from .expression import Expression

Interval = tuple[int, int]


def divisor(a: Expression, b: Expression) -> Interval | None:
    """The bounds of d where `b` is ``(a // d) * d`` or ``(a >> e) << e``, so that ``a - b`` is a remainder."""
    if b.kind == "multiply" and b.args[0].kind == "floor_divide":
        quotient, d = b.args
        if quotient.args[0] is a and quotient.args[1] is d and (d.lo > 0 or d.hi < 0):
            return d.lo, d.hi
    if b.kind == "left_shift" and b.args[0].kind == "right_shift" and b.args[0].args == (a, b.args[1]):
        return 1, 1 << b.args[1].hi
    return None


def is_maximum_of(b: Expression, a: Expression) -> bool:
    """Whether `b` is the largest element of each row of `a`, or of some among which `a` is: ``a - b`` is not positive."""
    while b.kind == "reshape":
        (b,) = b.args
    if b.kind == "maximum":
        return any(arg is a or is_maximum_of(arg, a) for arg in b.args)
    return b.kind == "max" and b.args[0] is a


def is_minimum_of(b: Expression, a: Expression) -> bool:
    """Whether `b` is the smallest element of each row of `a`, or of some among which `a` is: ``a - b`` is not negative."""
    if b.kind == "minimum":
        return any(arg is a or (arg.kind == "minimum" and is_minimum_of(arg, a)) for arg in b.args)
    most = _negated(b)  # a minimum of rows is written as the maximum of what is negated
    while most is not None and most.kind == "reshape":
        (most,) = most.args
    return most is not None and most.kind == "max" and _negated(most.args[0]) is a


def is_negative_of(b: Expression, a: Expression) -> bool:
    """Whether `b` is ``-a``, so that the larger of both is not negative."""
    return _negated(b) is a


def _negated(x: Expression) -> Expression | None:
    """What `x` is the negative of."""
    return x.args[1] if x.kind == "subtract" and x.args[0].scalar == 0 else None


def times_its_divisor(a: Expression, b: Expression) -> int | None:
    """How many times `b` is the negative divisor of which `a` is the remainder, ``t - t // d * d``, which is above d."""
    if a.kind != "subtract" or a.args[1].kind != "multiply" or a.args[1].args[0].kind != "floor_divide":
        return None
    quotient, d = a.args[1].args
    if quotient.args != (a.args[0], d) or d.hi >= 0 or b.kind != "multiply" or d not in b.args:
        return None
    times = b.args[0 if b.args[1] is d else 1].scalar
    return times if times is not None and times >= 1 else None


def is_at_most(q: Expression, limit: Expression) -> bool:
    """Whether `q` is the quotient by a negative divisor of what is at least ``limit * divisor``: floored, or truncated."""
    if q.kind == "add":
        q, carry = q.args
        return limit.lo >= 0 and _is_of_negative(carry, q) and is_at_most(q, limit)
    if q.kind != "floor_divide" or q.args[1].hi >= 0 or q.args[0].kind != "maximum":
        return False
    products = [term for term in q.args[0].args if term.kind == "multiply"]
    return any(set(term.args) == {limit, q.args[1]} for term in products)


def _is_of_negative(carry: Expression, q: Expression) -> bool:
    """Whether a carry of 0 or 1 is 1 only where `q` is negative."""
    while carry.kind == "integer":
        (carry,) = carry.args
    terms = carry.args if carry.kind == "bitwise_and" else (carry,)
    return any(term.kind == "less" and term.args[0] is q and term.args[1].scalar == 0 for term in terms)


def share(a: Expression, f: Expression) -> int | None:
    """The largest ``a * f`` where `f` is ``c // total`` or ``c // min(total, limit)``; the total has `a` among its terms.

    None of the terms is negative.
    """
    if a.lo < 0 or f.kind != "floor_divide" or f.args[0].scalar is None or f.args[0].scalar < 0:
        return None
    if is_total_of(f.args[1], a):
        return f.args[0].scalar
    if f.args[1].kind != "minimum" or f.args[1].lo < 1:
        return None
    total, limit = f.args[1].args
    if limit.scalar is None or not is_total_of(total, a, limit.scalar):
        return None
    return max(f.args[0].scalar, a.hi * f.args[0].scalar // limit.scalar)


def portion(a: Expression, total: Expression) -> int | None:
    """The largest ``a // total`` where `a` is ``x * c`` or ``x << k``; the total has `x` among its terms, none negative."""
    if a.kind not in ("multiply", "left_shift") or a.lo < 0:
        return None
    for x, times in (a.args, a.args[::-1] if a.kind == "multiply" else a.args):
        if x.lo >= 0 and times.lo >= 0 and is_total_of(total, x):
            return times.hi if a.kind == "multiply" else 1 << times.hi
    return None


def is_total_of(total: Expression, a: Expression, limit: int | None = None) -> bool:
    """Whether `a`, or `a` capped at a `limit` or above, is among the terms of a sum, none of which is negative."""
    while total.kind == "reshape" or (total.kind == "maximum" and any(arg.scalar is not None for arg in total.args)):
        total = next(arg for arg in total.args if arg.scalar is None or len(total.args) == 1)
    if total.kind not in ("sum", "add") or any(term.lo < 0 for term in total.args):
        return False
    return any(
        term is a
        or (limit is not None and _is_capped(term, a, limit))
        or (total.kind == "add" and is_total_of(term, a, limit))
        for term in total.args
    )


def _is_capped(term: Expression, a: Expression, limit: int) -> bool:
    """Whether a term is `a`, but for values above a limit."""
    return term.kind == "minimum" and term.args[0] is a and term.args[1].scalar is not None and term.args[1].scalar >= limit


def is_newton_step(a: Expression, b: Expression) -> bool:
    """Whether `b` is ``(k + a // k) // 2``: at least the floor s of the root of `a`, and ``a // s`` is at most s + 2."""
    if b.kind != "right_shift" or b.args[1].scalar != 1 or b.args[0].kind != "add":
        return False
    k, quotient = b.args[0].args
    if quotient.kind == "right_shift" and quotient.args[1].scalar is not None:
        return quotient.args[0] is a and k.scalar == 1 << quotient.args[1].scalar
    return quotient.kind == "floor_divide" and quotient.args == (a, k)
