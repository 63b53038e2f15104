"""``intsim vectors``: conformance vectors for one operator, a device's answers to them, and how many faults they detect."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import FileError
from ..storage.files import require_file
from ._common import (
    BUILT_IN_DIALECTS,
    DIFFERENT,
    check_target,
    json_option,
    load_dialect,
    load_model,
    output_option,
    put_reproductions,
    reproduce_option,
    require_extra,
    shown,
)
from ._output import put_json, put_rich, put_text, say
from ._progress import announce_compiling

if TYPE_CHECKING:
    from rich.console import Console

    from ..vectors import Report, Score

FAILURES = 5  # shown at most
REPORT, SCORES, VERSION = "intsim-vectors-report", "intsim-vectors-score", 1
STANDARD_INPUT = Path("-")


@click.group("vectors", no_args_is_help=False)
def command() -> None:
    """Make conformance vectors for one operator, check a device's answers, score vectors by the bugs they catch.

    \b
    Example: intsim vectors gen requant | my-device | intsim vectors check
    """


@command.command("gen", epilog="Example: intsim vectors gen requant --dialect rtl --level 1 --seed 0 -o requant.json")
@click.argument("operator", metavar="OP")
@click.option("--dialect", default=None, help=f"{BUILT_IN_DIALECTS}, or a TOML file.  [default: the model's, or isegmenter]")
@click.option("--level", type=click.IntRange(1, 2), default=1, show_default=True, help="1: few cases; 2: many and long.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random values.")
@click.option("-m", "--model", type=click.Path(path_type=Path), default=None, help="Also use the parameters of its nodes.")
@click.option(
    "--supports", multiple=True, metavar="KEY=VALUES", help="Only what a device supports: b=8,16, x0=-64..-1, x=-128..127."
)
@click.option("--questions", is_flag=True, help="Leave the answers out.")
@click.option(
    "--onnx",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    default=None,
    help="Write them for test runners of ONNX backends instead, one folder a case.",
)
@output_option("Vector file, JSON.", None)
def generate_command(
    operator: str,
    dialect: str | None,
    level: int,
    seed: int,
    model: Path | None,
    supports: tuple[str, ...],
    questions: bool,
    folder: Path | None,
    output: Path | None,
) -> None:
    """Write cases for operator OP: inputs, parameters, and the answer that the reference gives.

    The same arguments give the same bytes on any machine.
    """
    from ..vectors import generate

    if output is not None:
        check_target(output, model)
    graph = load_model(model) if model is not None else None
    rules = graph.dialect if graph is not None and dialect is None else load_dialect(dialect or "isegmenter")
    domain: dict[str, str] = {}
    for text in supports:
        key, equals, values = text.partition("=")
        if not equals:
            raise click.UsageError(f"--supports {text!r}: KEY=VALUES is expected, as in b=8,16")
        domain[key.strip()] = values
    document = generate(operator, rules, level, seed, graph, domain)
    if folder is None:
        put_text(document.text(questions), output)
        return
    if questions or output is not None:
        raise click.UsageError("--onnx writes a folder, with the answers; leave out --questions and -o")
    require_extra("onnx", "onnx")
    from ..compilers.cases import operator_cases, write_cases

    count = write_cases(operator_cases(document), folder)
    left = len(document.cases) - count
    say(f"{shown(folder)}: {count} cases; {left} are left out, which the operator refuses or 64 bits do not hold")


@command.command("check", epilog="Example: intsim vectors gen requant | my-device | intsim vectors check")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@output_option("Report file.", None)
@json_option
@reproduce_option
def check_command(files: tuple[Path, ...], output: Path | None, as_json: bool, folder: Path | None) -> int:
    """Compare a device's answers with those of the reference, which are computed again for every case.

    A device copies the document and adds "got" to every case: nested lists, "invalid" for what it refuses, or "unsupported"
    for what it was not made for, which is counted apart. Without FILE, or for -, standard input is read. Exit code 1 means
    that something differs.
    """
    from ..vectors import check

    if output is not None:
        check_target(output, *files)
    reports = [check(*_read(path)) for path in files or (STANDARD_INPUT,)]
    failed = not all(report.agrees for report in reports)
    if folder is not None:
        from ..reproduction.others import of_report

        put_reproductions([made for report in reports for made in of_report(report)], folder)
    if as_json:
        record = {"schema": REPORT, "version": VERSION, "agrees": not failed, "files": [r.record() for r in reports]}
        put_json(record, output)
    else:
        put_rich(lambda console: _reports(console, reports), output)
    return DIFFERENT if failed else 0


@command.command("score", epilog="Example: intsim vectors score requant.json")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--cluster",
    default="",
    metavar="WHERE",
    help="local[:N] processes, dask:ADDRESS, slurm, or slurm:local.  [default: here]",
)
@output_option("Report file.", None)
@json_option
def score_command(files: tuple[Path, ...], cluster: str, output: Path | None, as_json: bool) -> int:
    """Break every rule of the operator once, and count the mutants that at least one case detects.

    Mutants that no input can detect are listed with the reason and are not counted. Exit code 1 means that a mutant
    survives. --json shows which cases kill which mutant.
    """
    from ..cluster import require_cluster
    from ..vectors.scoring import scored

    if output is not None:
        check_target(output, *files)
    if cluster:
        require_cluster(cluster)
    announce_compiling()
    scores = scored([_read(path) for path in files], as_json, cluster or "local:1")
    if as_json:
        found = [{"file": name, **one.record()} for name, one in scores]
        put_json({"schema": SCORES, "version": VERSION, "files": found}, output)
    else:
        put_rich(lambda console: _scores(console, scores), output)
    return DIFFERENT if any(one.survived for _, one in scores) else 0


def _read(path: Path) -> tuple[str, str]:
    """The text of a file or of standard input, and its name in messages."""
    name = "standard input" if path == STANDARD_INPUT else str(path)
    if path != STANDARD_INPUT and not str(path).startswith("/dev/"):  # as a shell's <(command) is
        require_file(path, "vectors (- is standard input)")
    try:
        return (sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()).decode("utf-8-sig"), name
    except UnicodeDecodeError as error:
        raise FileError(f"{name}: is not UTF-8 text (byte {error.start}); write it in UTF-8") from None


# --- for people -------------------------------------------------------------------------------------------------------


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)


def _reports(console: Console, reports: list[Report]) -> None:
    for report in reports:
        _report(console, report)


def _report(console: Console, report: Report) -> None:
    from rich.markup import escape
    from rich.table import Table

    from ..vectors.checker import EXPECTATIONS

    document, cases = report.document, len(report.document.cases)
    what = f"[bold]{document.op}[/] in {escape(document.dialect.name)}, level {document.level}"
    if report.held == EXPECTATIONS:
        _say(console, f"{what}: {cases} expectations, all as the reference has them; no device has answered ({report.name})")
        return
    colour = "red" if report.failures else "green"
    _say(console, f"{what}: [bold {colour}]{report.passed} of {cases}[/] cases right\n")
    if report.unsupported:
        _say(console, f"{len(report.unsupported)} of {cases} cases are not supported by the device\n")
    if report.missing:
        first = ", ".join(map(str, report.missing[:5])) + (", ..." if len(report.missing) > 5 else "")
        total = cases + len(report.missing)
        _say(console, f"[red]{len(report.missing)} of {total} cases are missing[/]: {first}; a device answers every case\n")
    table = Table(box=None, header_style="bold", padding=(0, 1), show_edge=False)
    table.add_column("flag", no_wrap=True)
    for title in ("cases", "right", "wrong"):
        table.add_column(title, justify="right")
    for flag, (count, passed) in report.flags.items():
        wrong = f"[red]{count - passed}[/]" if passed < count else ""
        table.add_row(escape(flag), str(count), str(passed), wrong)
    console.print(table, highlight=False)
    _failures(console, report)


def _failures(console: Console, report: Report) -> None:
    from rich.markup import escape

    from ..tracing.core import Trace
    from ..tracing.table import render

    if report.failures:
        _say(console, "")
    for failure in report.failures[:FAILURES]:
        flags = escape(f"[{', '.join(failure.case.flags)}]")
        count = f" ({failure.differing} of {failure.elements} elements)" if failure.index is not None else ""
        note = f" ({failure.case.note})" if failure.case.note else ""
        said = f"{report.document.op}{note}: {failure.says}{count}; {report.bug(failure)}"
        _say(console, f"[bold red]case {failure.case.id}[/] {flags} {escape(said.rstrip('; '))}")
    if len(report.failures) > FAILURES:
        _say(console, f"... and {len(report.failures) - FAILURES} more cases; --json has them all")
    traced = next((failure for failure in report.failures if failure.trace and failure.index is not None), None)
    if traced is not None and traced.index is not None:
        got = traced.got if isinstance(traced.got, int) else None
        _say(console, "")
        name = f"case {traced.case.id} out"
        render(console, Trace(name, report.document.op, traced.index, None, traced.trace, got), "the device gives")


def _scores(console: Console, scores: list[tuple[str, Score]]) -> None:
    from rich.markup import escape

    from ..rules import abridged

    for _, one in scores:
        killed = len(one.killed)
        colour = "red" if one.survived else "green"
        share = f"[bold {colour}]{killed} of {one.counted}[/] mutants killed by {one.cases} cases ({_percent(one)})"
        _say(console, f"[bold]{one.op}[/] in {escape(one.dialect)}: {share}")
        survivors: dict[str, list[str]] = {}
        for mutant in one.survived:
            survivors.setdefault(f" instead of {mutant.instead}" if mutant.instead else "", []).append(mutant.name)
        for instead, names in survivors.items():
            for name in abridged(names):
                _say(console, f"  [red]survives[/] {escape(name + instead)}")
        for mutant in one.equivalent:
            _say(console, f"  equivalent, not counted: {escape(mutant.name)}: {escape(mutant.equivalent)}")


def _percent(one: Score) -> str:
    """The share, rounded down: 100 % means all."""
    return f"{int(1000 * one.share) / 10:g} %"
