"""``intsim synth-fault``: the dump of a device with a known fault, to practise a diff on."""

from __future__ import annotations

from pathlib import Path

import click

from ._common import check_target, model_behind, model_behind_option, output_option, shown
from ._output import say
from ._progress import announce_compiling, progress


@click.command(
    "synth-fault",
    epilog="Example: intsim synth-fault golden.h5 --node encoder.blocks.2.attn.softmax --rule half_bit=dropped -o dut.h5",
)
@click.argument("golden", type=click.Path(path_type=Path))
@click.option("--node", "nodes", multiple=True, required=True, metavar="NODE", help="The faulty node; may be repeated.")
@click.option(
    "--rule", "rules", multiple=True, metavar="RULE", help="What the node does wrong: one for each --node, in order."
)
@click.option("--list", "listing", is_flag=True, help="Only list the rules that can be broken at each node.")
@click.option(
    "--level",
    type=click.Choice(["boundary", "full", "steps", "digest"]),
    help="What the device dumps.  [default: as GOLDEN]",
)
@model_behind_option
@output_option("The device's dump (HDF5).", "dut.h5")
def command(
    golden: Path,
    nodes: tuple[str, ...],
    rules: tuple[str, ...],
    listing: bool,
    level: str | None,
    model: Path | None,
    output: Path,
) -> None:
    """Make the dump of a device that computes GOLDEN's picture with rules broken at some nodes.

    RULE is a dialect's key and value (requant_rounding=half_up), a parameter (n-1, x0+1, lam=30), a bit
    (bitflip:BIT, bitflip:BIT@INDEX, stuck-at-1:BIT) or a known mistake (bias=left_out, swap-heads); --list shows those of
    a node. The consequences of the fault are computed down to the last node.
    """
    from ..debugging.inject import inject
    from ..errors import UnknownNode
    from ..rules import Rule, catalogue, named
    from ..storage.golden_file import open_golden

    graph = model_behind(golden, model)
    for name in nodes:
        if name not in graph.by_name:
            raise UnknownNode(name)
    if listing:
        for name in nodes:
            say(name)
            for rule in catalogue(graph, graph.by_name[name]):
                say(f"  {rule.name:<40}" + (f"instead of {rule.instead}" if rule.instead else ""))
            say("  bitflip:BIT, bitflip:BIT@INDEX, stuck-at-0:BIT, stuck-at-1:BIT")
        return
    if len(nodes) == 1 and rules:
        nodes *= len(rules)
    if len(rules) != len(nodes):
        raise click.UsageError(f"{len(nodes)} --node and {len(rules)} --rule; give a --rule for every --node")
    check_target(output, golden, model)
    faults: dict[str, list[Rule]] = {}
    for name, text in zip(nodes, rules, strict=True):
        faults.setdefault(name, []).append(named(graph, graph.by_name[name], text))
    announce_compiling()
    with open_golden(golden) as reference, progress("running", len(graph.nodes)) as step:
        wrong = inject(graph, reference, faults, output, level=level, progress=step)
    say(f"{shown(output)}: the dump of a device with {len(wrong)} faulty node{'s' if len(wrong) > 1 else ''}")
    for name, count in wrong.items():
        said = " and ".join(rule.name for rule in faults[name])
        total = graph.tensors[name].shape
        shape = " x ".join(map(str, total))
        effect = (
            f"{count:,} elements of {shape} wrong" if count else f"has no effect here: all elements of {shape} are right"
        )
        say(f"  {name}: {said}: {effect}")
