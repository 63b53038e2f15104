"""``intsim inspect``: the graph of a model as a table."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import resources
from ..errors import IntsimError
from ._common import check_target, json_option, load_model, model_option, output_option
from ._output import put_json, put_rich

if TYPE_CHECKING:
    from rich.console import Console

    from ..engine.graph import Graph


@click.command("inspect", epilog="Example: intsim inspect --json | jq '.nodes[].name'")
@model_option
@output_option("Report file.", None)
@json_option
def command(model: Path | None, output: Path | None, as_json: bool) -> None:
    """Show every node: operator, shape, format, scale, and the bounds proved for any input."""
    if output is not None:
        check_target(output, model)
    graph = load_model(model)
    sizes = _sizes(graph, model or resources.model())
    if as_json:
        put_json(_record(graph, sizes), output)
    else:
        put_rich(lambda console: _table(console, graph, sizes), output)


def _sizes(graph: Graph, path: Path) -> dict[str, Any]:
    """The bytes of the model file, and of the float32 tensors it was made from (None where its network is unknown)."""
    from ..nets.networks import parameters_of

    size, floats = path.stat().st_size, None
    with suppress(IntsimError):
        floats = 4 * sum(math.prod(shape) for shape in parameters_of(graph.config).values())
    return {"bytes": size, "float32_bytes": floats, "ratio": floats / size if floats else None}


def _record(graph: Graph, sizes: dict[str, Any]) -> dict[str, Any]:
    return {
        "file": sizes,
        "config": graph.config,
        "dialect": {"name": graph.dialect.name, **graph.dialect.choices()},
        "provenance": graph.provenance,
        "content_sha256": graph.content_hash,
        "nodes": [_node(graph, node.name) for node in graph.nodes],
    }


def _node(graph: Graph, name: str) -> dict[str, Any]:
    node, tensor, scale = graph.by_name[name], graph.tensors[name], graph.scales[name]
    return {
        "name": name,
        "op": node.op,
        "inputs": list(node.inputs),
        "shape": list(tensor.shape),
        "format": str(tensor.fmt),
        "scale": scale if scale is None or isinstance(scale, (int, float)) else scale.tolist(),
        "bounds": [tensor.lo, tensor.hi],
        "params": node.integers() | {key: f"{a.dtype} {list(a.shape)}" for key, a in node.arrays().items()},
    }


def _table(console: Console, graph: Graph, sizes: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="bold", padding=(0, 1))
    table.add_column("node", no_wrap=True)
    table.add_column("operator", no_wrap=True)
    table.add_column("shape", no_wrap=True)
    table.add_column("format", no_wrap=True)
    table.add_column("scale", justify="right", no_wrap=True)
    table.add_column("proven bounds", justify="right", no_wrap=True)
    for node in graph.nodes:
        tensor, scale = graph.tensors[node.name], graph.scales[node.name]
        shape = " x ".join(map(str, tensor.shape))
        bounds = f"{tensor.lo:,} .. {tensor.hi:,}"
        table.add_row(node.name, node.op, shape, str(tensor.fmt), _scale(scale), bounds)
    console.print(table, highlight=False)
    arrays = [a for node in graph.nodes for a in node.arrays().values()]
    name = escape(str(graph.config.get("name", "model")))
    size = f"{sum(a.size for a in arrays):,} parameters in {sum(a.nbytes for a in arrays):,} bytes, file {sizes['bytes']:,}"
    if sizes["ratio"]:
        size += f" ({sizes['ratio']:.2f} times smaller than float32)"
    dialect, content = escape(graph.dialect.name), graph.content_hash[:16]
    console.print(f"{name}: {len(graph.nodes)} nodes, {size}, dialect {dialect}, content hash {content}", highlight=False)


def _scale(scale: Any) -> str:
    if scale is None:
        return "-"
    if hasattr(scale, "min"):
        return f"{scale.min():.3g} .. {scale.max():.3g}"
    return f"{scale:.6g}"
