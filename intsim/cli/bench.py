"""``intsim bench``: how fast a model runs, alone or beside onnxruntime and OpenVINO."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..errors import IntsimError
from ._common import dialect_option, json_option, load_dialect, load_model, model_option, threads_option
from ._output import put_json, put_rich
from ._progress import announce_compiling, status

if TYPE_CHECKING:
    from rich.console import Console

    from ..arith import IntArray
    from ..engine.graph import Graph
    from ..measurement.benchmark import Benchmark
    from ..nets.real import RealGraph


@click.command("bench", epilog="Example: intsim bench --synth seg-s16-mask@512 --against onnxruntime --json")
@click.argument("path", metavar="[MODEL]", required=False, type=click.Path(path_type=Path))
@model_option
@click.option(
    "--synth", "preset", metavar="PRESET", default=None, help="Random weights instead: seg-s16-mask@512, deit-s@224, ..."
)
@click.option(
    "--against",
    "rivals",
    multiple=True,
    type=click.Choice(["onnxruntime", "openvino"]),
    help="Time this network in turns with it. May be repeated.",
)
@click.option("--runs", type=click.IntRange(min=1), default=20, show_default=True, help="Timed runs of each.")
@dialect_option
@threads_option
@json_option
def command(
    path: Path | None,
    model: Path | None,
    preset: str | None,
    rivals: tuple[str, ...],
    runs: int,
    dialect: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Time MODEL (by default the shipped one) on a random picture, after checking that its result is right.

    --against runs the same network elsewhere, one run of each in turn, and shows the ratios of the medians: onnxruntime in
    float32 and in int8 (dynamic and static), openvino in float32, in bfloat16 where the processor has it, and in int8 (by
    NNCF). It needs the extra 'bench'. A model file contains integers only, so that the network beside it has the same
    dimensions and random weights.
    """
    from ..arith.jit import require_compiler
    from ..engine.inputs import require_picture
    from ..measurement.benchmark import benchmark

    require_compiler("intsim bench")
    if sum(source is not None for source in (path, model, preset)) > 1:
        raise click.UsageError("give one of MODEL, --model and --synth")
    if preset is None and click.get_current_context().get_parameter_source("dialect") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--dialect goes with --synth; a model file has its own")
    modules = [baselines_of(rival) for rival in dict.fromkeys(rivals)]
    announce_compiling()
    with status("preparing ...") as shown, tempfile.TemporaryDirectory() as folder:
        baselines: dict[str, Callable[[IntArray], IntArray]] = {}
        expected = None
        net: RealGraph | None = None
        if preset is not None:
            graph, net, image = random_network(preset, dialect)
        else:
            graph = load_model(path or model)
            if rivals:
                require_picture(graph, f"--against {rivals[0]}")
            image = random_inputs(graph)
            net = same_network(graph) if rivals else None
        if modules and net is not None:
            from ..measurement.baselines import expected as float64

            due = float64.expected(net, image)
            for module in modules:
                baselines |= module.baselines(net, image, due, Path(folder), threads)
            expected = due.labels if preset is not None else None
        name = preset or str(path or model or graph.config.get("name", "the shipped model"))
        result = benchmark(
            name, graph, image, runs, threads, baselines, expected, lambda doing: shown.update(f"{doing} ...")
        )
    if as_json:
        put_json(result.record(), None)
    else:
        put_rich(lambda console: tell(console, result), None)


def baselines_of(rival: str) -> Any:
    """The module of a rival; an IntsimError that says how to install what it needs, where that is missing."""
    try:
        return importlib.import_module(f"..measurement.baselines.{rival}", __package__)
    except ImportError as error:
        raise IntsimError(
            f"--against {rival} needs {error.name or error}; install it with: pip install 'intsim[bench]'"
        ) from None


def random_network(preset: str, dialect: str) -> tuple[Graph, RealGraph, IntArray]:
    """A network with random weights, real-valued and quantized, and a picture for it."""
    from ..nets.networks import built
    from ..quantization import quantize_weights
    from ..quantization import synth as random

    config = random.preset(preset)
    weights = random.random_weights(config, 0)
    image = random.random_picture(config, 0)
    graph = quantize_weights(weights, config, [image], load_dialect(dialect), "random, seed 0")
    return graph, built(config, weights), image


def same_network(graph: Graph) -> RealGraph:
    """A real-valued network of the model's dimensions, with random weights."""
    from ..nets.networks import built
    from ..quantization import synth as random

    return built(graph.config, random.random_weights(graph.config, 0))


def random_inputs(graph: Graph) -> Any:
    """Random pixels of the size the model takes, or random values of each of its inputs."""
    import numpy as np

    draw = np.random.default_rng(0)
    found = {}
    for node in graph.inputs:
        bound = graph.tensors[node.name]
        found[node.name] = draw.integers(bound.lo, bound.hi, bound.shape, bound.fmt.dtype, endpoint=True)
    return found if len(found) > 1 else found[graph.input.name]


def tell(console: Console, result: Benchmark) -> None:
    """The figures for people."""
    from rich.markup import escape
    from rich.table import Table

    low, high = result.times.quartiles
    runs, threads = len(result.times.ms), result.threads
    console.print(
        f"[bold]{escape(result.name)}[/]: {result.macs / 1e9:.3g} GMAC, {result.isa} on {result.cpu}, "
        f"{threads} thread{'s' * (threads != 1)}\n",
        highlight=False,
        soft_wrap=True,
    )
    rows: list[tuple[str, str]] = [
        ("median", f"{result.times.median:.1f} ms of {runs} run{'s' * (runs != 1)}"),
        ("spread", f"{low:.1f} to {high:.1f} ms for the middle half, {min(result.times.ms):.1f} ms for the fastest"),
        ("speed", f"{result.macs / result.times.median / 1e6:.3g} GMAC/s over the whole network"),
        ("memory", f"{result.peak_mb:.0f} MB at most, in a process that only loads and runs the model"),
    ]
    for title, text in rows:
        console.print(f"  [cyan]{title:<8}[/]{text}", highlight=False)
    table = Table(title="\nwhere the time goes", title_justify="left", box=None)
    table.add_column("computed together", overflow="fold")
    table.add_column("ms", justify="right")
    table.add_column("share", justify="right")
    total = sum(result.by_operator.values())
    for kind, ms in result.by_operator.items():
        if ms >= total / 1000:
            table.add_row(kind, f"{ms:.2f}", f"{ms / total:.1%}")
    console.print(table)
    if result.baselines:
        console.print(_baseline_table(result))


def _baseline_table(result: Benchmark) -> Any:
    from rich.table import Table

    table = Table(title="\nalternating runs in one process", title_justify="left", box=None)
    for column, justify in (("", "left"), ("median ms", "right"), ("over ours", "right"), ("as float64", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]

    def agreeing(name: str) -> str:
        return f"{result.agreement[name]:.1%}" if name in result.agreement else "-"

    table.add_row("intsim", f"{result.times.median:.1f}", "", agreeing("intsim"))
    for name, times in result.baselines.items():
        shown = name.replace("_", " ")
        table.add_row(shown, f"{times.median:.1f}", f"{result.ratios[name]:.2f}", agreeing(name))
    return table
