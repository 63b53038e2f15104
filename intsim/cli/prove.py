"""``intsim prove``: are two choices of an operator the same for all inputs, and where not, within which bounds."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import IntsimError
from ._common import (
    DIFFERENT,
    check_target,
    json_option,
    load_dialect,
    load_model,
    model_option,
    output_option,
    require_extra,
)
from ._output import put_json, put_rich
from ._progress import progress

if TYPE_CHECKING:
    from rich.console import Console

    from ..proving.choices import Case, Side
    from ..proving.trials import Trial

SHOWN = 8  # cases that are shown
SCHEMA, VERSION = "intsim-proof", 1


@click.command("prove", epilog="Example: intsim prove --op requant --a dialect=rtl --b dialect=isegmenter --range e=1..20")
@click.option("--op", metavar="OP", help="The operator.  [default: that of --node]")
@click.option("--a", "first", multiple=True, metavar="CHOICE", help="One choice; may be repeated.  [default: the node's]")
@click.option("--b", "second", multiple=True, required=True, metavar="CHOICE", help="The other one; may be repeated.")
@click.option("--node", metavar="NODE", help="Take the parameters of this node, and the bounds that the model proves.")
@model_option
@click.option(
    "--range", "ranges", multiple=True, metavar="NAME=LO..HI", help="Values of an input or parameter; may be repeated."
)
@click.option(
    "--row",
    type=click.IntRange(1, 64),
    default=3,
    show_default=True,
    help="Elements of the longest row of an operator that is not element by element.",
)
@click.option("--seconds", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Time limit.")
@output_option("Report file.", None)
@json_option
def command(
    op: str | None,
    first: tuple[str, ...],
    second: tuple[str, ...],
    node: str | None,
    model: Path | None,
    ranges: tuple[str, ...],
    row: int,
    seconds: float,
    output: Path | None,
    as_json: bool,
) -> int:
    """Prove that two choices of an operator give the same results for all inputs, or find where they first differ.

    A CHOICE is dialect=NAME (or a TOML file), a choice of a dialect (requant_rounding=half_up), a parameter (n=14), or with
    --node a rule as 'intsim synth-fault' names it (saturation=wrap). Where they differ, the bounds of the inputs are said
    within which they are the same exactly. An operator along rows is proved for rows of up to --row elements; with --node,
    both are also computed on random inputs of the node's whole shape.

    Exit code 0: the same for all inputs; 1: they differ; 2: not decided, or bad input.
    """
    require_extra("bitwuzla", "prove")
    if node is None and (op is None or model is not None):
        raise click.UsageError("name the operator with --op, or a node with --node")
    if output is not None:
        check_target(output, model)
    if node is not None and ranges:
        raise click.UsageError("a node has its own bounds; leave out --range")
    start = time.monotonic()
    asked = _of_node(op, node, model, first, second) if node is not None else _of_operator(str(op), first, second, ranges)
    from ..proving.choices import compared

    a, b, questions, trial = asked
    cases = []
    with progress("proving", len(questions)) as step:
        for question, channels in questions:
            step(question.op)
            cases.append(compared(question, a, b, row, max(seconds - (time.monotonic() - start), 0), True, channels))
    tried = trial(cases) if trial is not None else None
    record = _record(a, b, node, cases, tried)
    if as_json:
        put_json(record, output)
    else:
        put_rich(lambda console: _report(console, a, b, node, cases, tried), output)
    if record["verdict"] == "unknown":
        raise IntsimError(f"not decided within {seconds:g} s; give more --seconds, narrower ranges or a shorter --row")
    return 0 if record["verdict"] == "equal" else DIFFERENT


def _of_operator(op: str, first: tuple[str, ...], second: tuple[str, ...], ranges: tuple[str, ...]) -> Any:
    """Both sides, and the question, of an operator alone."""
    from ..proving.choices import side_of
    from ..proving.question import Question

    given: dict[str, Any] = {}
    for text in ranges:
        found = re.fullmatch(r"\s*(\w+)\s*=\s*(-?\d+)\s*(?:\.\.\s*(-?\d+)\s*)?", text)
        if found is None:
            raise click.UsageError(f"--range {text!r}: NAME=LO..HI is expected, as in acc=-128..127, or NAME=VALUE")
        name, lo, hi = found.groups()
        given[name] = (int(lo), int(hi if hi is not None else lo))
    if not first:
        raise click.UsageError("--a says what the choice of --b is compared with")
    a, b = (side_of(side, op, {}, load_dialect) for side in (first, second))
    question = Question(op, "isegmenter", given)
    return a, b, [(question, ())], None


def _of_node(op: str | None, name: str, model: Path | None, first: tuple[str, ...], second: tuple[str, ...]) -> Any:
    """Both sides, and the questions, of a node, and how it is tried."""
    from ..proving.choices import questions_of, side_of
    from ..proving.trials import tried
    from ..rules import catalogue

    graph = load_model(model)
    if name not in graph.by_name:
        raise IntsimError(f"there is no node {name!r}; 'intsim inspect' lists their names")
    node = graph.by_name[name]
    if op is not None and op != node.op:
        raise IntsimError(f"{name}: is a {node.op}, not a {op}")
    questions = list(questions_of(graph, node))
    rules = {rule.name: rule for rule in catalogue(graph, node)}
    a, b = (side_of(side, node.op, rules, load_dialect) for side in (first, second))

    def trial(cases: list[Case]) -> Trial | None:
        if all(case.question.whole() for case in cases):
            return None
        try:
            return tried(graph, node, a.alter, b.alter)
        except ValueError:
            return None

    return a, b, questions, trial


def _record(a: Side, b: Side, node: str | None, cases: list[Case], tried: Trial | None) -> dict[str, Any]:
    """The report as plain data."""
    verdicts = {case.verdict for case in cases}
    differ = "different" in verdicts or (tried is not None and tried.differing > 0)
    verdict = "different" if differ else "unknown" if "unknown" in verdicts else "equal"
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "op": cases[0].question.op,
        "node": node,
        "a": a.name,
        "b": b.name,
        "verdict": verdict,
        "cases": [case.record() for case in cases],
        "tried": None if tried is None else {"elements": tried.tried, "differing": tried.differing},
    }


def _report(console: Console, a: Side, b: Side, node: str | None, cases: list[Case], tried: Trial | None) -> None:
    """The report for people."""
    from rich.markup import escape

    from ..proving.words import case_words, headline, trial_words

    def say(text: str, style: str = "") -> None:
        console.print(escape(text), style=style or None, highlight=False, soft_wrap=True)

    title, differs = headline(a, b, node, cases)
    say(title, "bold red" if differs else "bold green")
    shown = sorted(cases, key=lambda case: case.verdict == "equal")[:SHOWN]
    for case in shown:
        for line in case_words(a, b, case):
            say(f"  {line}")
    if len(cases) > SHOWN:
        say(f"  and {len(cases) - SHOWN} more; --json has them all")
    if tried is not None:
        say(f"  {trial_words(tried)}")
