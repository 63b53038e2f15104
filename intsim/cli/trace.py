"""``intsim trace``: how one value was computed, step by step."""

from __future__ import annotations

from pathlib import Path

import click

from ._common import DIFFERENT, check_target, json_option, model_behind_option, output_option
from ._output import put_json, put_rich


@click.command("trace", epilog="Example: intsim trace golden.h5 encoder.blocks.0.attn.softmax --at 0,3,17")
@click.argument("golden", type=click.Path(path_type=Path))
@click.argument("node")
@click.option("--at", "place", required=True, metavar="I,J,...", help="The element; negative numbers count from the end.")
@click.option("--rule", "rules", multiple=True, help="Also show the value of a device that breaks RULE here.  [repeatable]")
@model_behind_option
@output_option("Report file.", None)
@json_option
def command(
    golden: Path, node: str, place: str, rules: tuple[str, ...], model: Path | None, output: Path | None, as_json: bool
) -> int:
    """Show the arithmetic behind one element of NODE, in decimal, hexadecimal and binary with the binary point.

    The inputs are those in GOLDEN; tensors that it leaves out are recomputed. On a device's dump the trace starts from the
    device's own inputs, and names the rule that gives all its values of NODE where this one is wrong. Exit code 1 means that
    the file contains another value than the steps give.
    """
    from ..tracing.core import trace
    from ..tracing.table import render

    try:
        index = [int(number) for number in place.split(",")]
    except ValueError:
        raise click.UsageError(f"--at {place!r} is not a list of whole numbers like 3,17") from None
    if output is not None:
        check_target(output, golden, model)
    found = trace(golden, node, index, model=model, rules=rules)
    if as_json:
        put_json(found.record(), output)
    else:
        put_rich(lambda console: render(console, found), output)
    return 0 if found.agrees else DIFFERENT
