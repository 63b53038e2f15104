"""``intsim compilers``: which of the installed runtimes compute integers as the standard says."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import click

from ..errors import IntsimError
from ._common import dialect_option, json_option, load_dialect, put_reproductions, reproduce_option, require_extra
from ._output import put_json, put_rich, say
from ._progress import progress

CASES = 8  # of each operator


@click.command("compilers", epilog="Example: intsim compilers --with onnxruntime --with tvm requant shiftmax")
@click.argument("subjects", nargs=-1, metavar="[OPERATOR]...")
@click.option(
    "--with", "runtimes", multiple=True, metavar="RUNTIME", help="May be repeated.  [default: all that are installed]"
)
@click.option("--cases", default=CASES, show_default=True, type=click.IntRange(min=1), help="Vectors of each operator.")
@click.option("--primitives", is_flag=True, help="Only the standard operators beneath: quotients, sums, casts, products.")
@click.option(
    "--width",
    type=click.Choice(["64", "32", "24"]),
    default="64",
    show_default=True,
    help="Of the operators' forms: no value passes so many bits; 24 are exact in float32.",
)
@click.option("--write", type=click.Path(path_type=Path), default=None, help="Write the cases as folders, and run nothing.")
@dialect_option
@json_option
@reproduce_option
def command(
    subjects: tuple[str, ...],
    runtimes: tuple[str, ...],
    cases: int,
    primitives: bool,
    width: str,
    write: Path | None,
    dialect: str,
    as_json: bool,
    folder: Path | None,
) -> int:
    """Run conformance cases in other people's runtimes, and print what each makes of them.

    The cases are standard ONNX operators on integers where compilers differ, and intsim's operators on their conformance
    vectors, written in such operators. Each is a folder in the layout of ONNX's backend tests (--write FOLDER), which the
    test runner of any ONNX backend takes.

    Exit code 1 unless every runtime is exact in every case that it was given.
    """
    require_extra("onnx", "compilers")
    from ..compilers.cases import operator_cases, write_cases
    from ..compilers.executors import executor, names
    from ..compilers.matrix import EXACT, verdicts
    from ..compilers.primitives import primitive_cases
    from ..ops import REGISTRY
    from ..vectors import generate

    rules = load_dialect(dialect)
    for subject in subjects:
        if subject not in REGISTRY:
            raise IntsimError(f"there is no operator {subject!r}; there are: {', '.join(sorted(REGISTRY))}")
    if primitives and subjects:
        raise click.UsageError("--primitives are all that is run; leave out the operators")
    if write is not None and (runtimes or as_json or folder):
        raise click.UsageError("--write runs nothing; leave out --with, --json and --reproduce")
    subjects, runtimes = tuple(dict.fromkeys(subjects)), tuple(dict.fromkeys(runtimes))
    chosen = [] if subjects else list(primitive_cases())
    for op in () if primitives else subjects or REGISTRY:
        chosen += islice(operator_cases(generate(op, rules, 1, 0), int(width)), cases)
    if write is not None:
        count = write_cases(iter(chosen), write)
        say(f"{write}: {count} case{'' if count == 1 else 's'}, each with model.onnx and test_data_set_0")
        return 0
    installed, absent = [], []
    for name in runtimes or names():
        try:
            installed.append((name, executor(name).version()))
        except IntsimError as error:
            if runtimes:
                raise
            absent.append(str(error))
    found = []
    for name, _ in installed:
        with progress(name, len(chosen)) as step:
            found += verdicts(chosen, name, step)
    if as_json:
        why = {case.name: case.why for case in chosen}
        put_json(
            {"runtimes": dict(installed), "cases": [{**v.record(), "why": why[v.case]} for v in found], "absent": absent},
            None,
        )
    else:
        _show(installed, found, {case.name: case.why for case in chosen}, absent)
    if folder is not None:
        from ..reproduction.others import of_verdicts

        put_reproductions(of_verdicts(found, chosen), folder)
    return int(any(verdict.outcome != EXACT for verdict in found))


def _show(installed: list[tuple[str, str]], found: list, why: dict[str, str], absent: list[str]) -> None:  # type: ignore[type-arg]
    """The matrix, then the first case of every operator that is not exact."""
    from rich.table import Table

    from ..compilers.matrix import EXACT

    table = Table(box=None, pad_edge=False)
    table.add_column("operator")
    for name, version in installed:
        table.add_column(f"{name}\n{version}", justify="right")
    subjects = dict.fromkeys(verdict.subject for verdict in found)
    for subject in subjects:
        cells = []
        for name, _ in installed:
            own = [v for v in found if v.subject == subject and v.runtime == name]
            exact = sum(v.outcome == EXACT for v in own)
            worst = next((v.outcome for v in own if v.outcome != EXACT), EXACT)
            cells.append(f"{worst} {exact}/{len(own)}" if worst != EXACT else f"{exact}/{len(own)}")
        table.add_row(subject, *cells)
    put_rich(lambda console: console.print(table), None)
    told: set[tuple[str, str]] = set()
    for verdict in found:
        if verdict.outcome != EXACT and (verdict.runtime, verdict.subject) not in told:
            told.add((verdict.runtime, verdict.subject))
            say(f"\n{verdict.runtime} {verdict.outcome}: {verdict.subject}, case {verdict.case}\n  {verdict.detail}")
            say(f"  {why[verdict.case]}")
    for line in absent:
        say(f"skipped: {line}")
