"""Proofs in words."""

from __future__ import annotations

from collections.abc import Sequence

from .choices import Case, Side
from .equality import DIFFERENT, EQUAL
from .numbers import interval, number, ranges_words
from .trials import Trial

CHANNELS = 6  # named at most


def headline(a: Side, b: Side, node: str | None, cases: Sequence[Case]) -> tuple[str, bool]:
    """The outcome in one line, and whether they differ."""
    op = cases[0].question.op
    where = f"{node} ({op})" if node else op
    total = sum(max(len(case.channels), 1) for case in cases)
    equal = sum(max(len(case.channels), 1) for case in cases if case.verdict == EQUAL)
    unknown = sum(max(len(case.channels), 1) for case in cases if case.verdict not in (EQUAL, DIFFERENT))
    what = f"{where}: {a.name} and {b.name}"
    if equal == total:
        return f"{what} are the same for {_which(cases[0])}: proved", False
    if total == 1:
        return f"{what} {'are not decided' if unknown else 'differ'}", not unknown
    tail = f", {unknown} not decided" if unknown else ""
    return f"{what} are the same in {equal} of {total} channels{tail}", equal + unknown < total


def _which(case: Case) -> str:
    if len(case.rows) > 1 or not case.question.whole():
        return f"all rows of up to {case.rows[-1]} elements"
    return "all inputs"


def case_words(a: Side, b: Side, case: Case) -> list[str]:
    """A case in lines."""
    head = ranges_words(case.question.ranges)
    if case.channels:
        named = ", ".join(map(str, case.channels[:CHANNELS])) + (", ..." if len(case.channels) > CHANNELS else "")
        head = f"channel{'s' if len(case.channels) > 1 else ''} {named}: {head}"
    if case.verdict == EQUAL:
        return [f"{head}: the same ({'; '.join(case.how)})"]
    if case.verdict != DIFFERENT:
        proved = f", proved for rows of up to {case.rows[-1]}" if case.rows else ""
        return [f"{head}: not decided{proved}"]
    whole = case.question.whole()
    said = ", ".join(f"{name.partition('[')[0] if whole else name} = {number(v)}" for name, v in case.call.items())
    lines = [head]
    if case.same is not None:
        shapes = case.question.form.shapes
        name, *others = (name for name in case.question.ranges if name in shapes and not _constant(case, name))
        which = f"{name} in {interval(*case.same)}" if not others else f"inputs in {interval(*case.same)}"
        rows = "" if whole else f" in rows of {case.rows[-1] + 1 if case.rows else 1}"
        lines.append(f"  exactly the same for {which}{rows}")
    if case.rows and not whole:
        lines.append(f"  the same in rows of up to {case.rows[-1]}")
    lines.append(f"  first differ at {said}: {case.a} with {a.name}, {case.b} with {b.name}")
    return lines


def _constant(case: Case, name: str) -> bool:
    lo, hi = case.question.ranges[name]
    return lo == hi


def trial_words(tried: Trial) -> str:
    """What was tried, in words."""
    if not tried.differing:
        return f"tried, not proved: rows of the node's length, the same in all of {tried.tried:,} elements of random inputs"
    share = f"{tried.differing:,} of {tried.tried:,}"
    return f"rows of the node's length differ in {share} elements of random inputs"
