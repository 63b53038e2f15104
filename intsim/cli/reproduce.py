"""``intsim reproduce``: the smallest bench that shows what a device does wrong."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import IntsimError
from ._common import BUILT_IN_LAYOUTS, json_option, model_behind_option, shown
from ._output import put_json, say
from ._progress import announce_compiling, progress


@click.command("reproduce", epilog="Example: intsim reproduce golden.h5 dut.h5 --node encoder.blocks.2.attn.softmax -o bug")
@click.argument("golden", type=click.Path(path_type=Path))
@click.argument("dut", type=click.Path(path_type=Path))
@click.option("--node", metavar="NODE", help="The node.  [default: the first that is wrong by itself]")
@click.option(
    "-o", "--output", metavar="FOLDER", type=click.Path(path_type=Path), help="The folder to write to.", required=True
)
@click.option("--map", "map_path", type=click.Path(path_type=Path), help="TOML: device names to nodes, and raw layouts.")
@click.option("--scaled", is_flag=True, help="DUT holds real numbers: integers times their scale.")
@click.option("--layout", default="plain", show_default=True, help=f"Of the memories: a TOML file, or {BUILT_IN_LAYOUTS}.")
@model_behind_option
@json_option
def command(
    golden: Path,
    dut: Path,
    node: str | None,
    output: Path,
    map_path: Path | None,
    scaled: bool,
    layout: str,
    model: Path | None,
    as_json: bool,
) -> None:
    """Write the smallest bench that shows why a node of the dump DUT is wrong by itself, as a folder that runs alone.

    It has one call of the node's operator, cut from the device's own values, or made smaller by the rule that explains
    them; with benches in SystemVerilog, C and Python, each with the reference, which passes, and with the values of the
    device, which fail, to be replaced by the device itself. README.md in it says what is wrong and how to run it.

    'intsim vectors check' and 'intsim compilers' write such folders with --reproduce.
    """
    from ..reproduction import reproduce, write
    from ..reproduction.words import first, source
    from ..testbench import layout_named

    chosen = layout_named(layout)
    if output.exists() and (not output.is_dir() or (any(output.iterdir()) and not (output / "reproduction.json").exists())):
        raise IntsimError(f"{output}: is not empty; name a new folder")
    announce_compiling()
    with progress("judging", None) as step:
        made = reproduce(golden, dut, node, model, map_path=map_path, scaled=scaled, progress=step)
    written = write(made, output, chosen)
    if as_json:
        put_json(written.record, None)
        return
    shapes = ", ".join(f"{name} {' x '.join(map(str, x.shape)) or '1'}" for name, x in made.arrays().items())
    say(f"{shown(output)}: {made.node}, {made.call.op} of {shapes}")
    if made.why:
        say(f"  rule   {made.why}")
    say(f"  wrong  {made.wrong} of {made.found.size}, first {first(made)}")
    for line in (source(made), *made.notes):
        say(f"  {line}")
    for line in written.left_out:
        say(f"  left out: {line}")
    benches = [part for part in ("sv", "c") if (output / part).is_dir()]
    runs = [f"sh {shown(output)}/{part}/run.sh device" for part in benches]
    say(f"  run    {'; '.join([*runs, f'python -m pytest {shown(output)}'])}")
