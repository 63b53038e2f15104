"""``intsim export``: tensors, parameters and constants as a test bench reads them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click
from click.core import ParameterSource

from ._common import (
    BUILT_IN_LAYOUTS,
    EXPORT_FORMATS,
    PACKAGE_LANGUAGES,
    check_target,
    load_model,
    progress,
    put_json,
    put_rich,
    require_extra,
    shown,
)

DRAWN = 4  # tensors whose first beats are drawn


@click.command(
    "export",
    epilog="Example: intsim export golden.h5 --layers 'encoder.blocks.0.*' --layout axi128 --package sv -o tb",
)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="FOLDER", help="The folder to write to: new, empty, or an earlier export.")
@click.option("--layers", multiple=True, metavar="GLOB", help="Only these; '!GLOB' excludes. May be repeated.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(EXPORT_FORMATS),
    help="May be repeated.  [default: hex; with --package none, unless a layout is named]",
)
@click.option(
    "--package", "packages", multiple=True, type=click.Choice(PACKAGE_LANGUAGES), help="Constants of nodes; may be repeated."
)
@click.option("--layout", "layout_name", metavar="LAYOUT", help=f"A TOML file, or {BUILT_IN_LAYOUTS}.  [default: plain]")
@click.option(
    "-m", "--model", type=click.Path(path_type=Path), help="For packages of a golden file: the model it was made from."
)
@click.option(
    "--onnx",
    "network",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The whole model as integer-only ONNX: FILE with a function per operator, and FILE_inline.onnx without.",
)
@click.option(
    "--tosa",
    "tosa",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The model, or the nodes of --layers, as one TOSA function (MLIR text).",
)
@click.option("--inline", is_flag=True, help="With --onnx: FILE alone, of standard operators.")
@click.option(
    "--width",
    type=click.Choice(["64", "32", "24"]),
    help="With --onnx: no value passes so many bits; 24 are exact in float32.  [default: 64]",
)
@click.option("--dry-run", is_flag=True, help="Only show the first beats.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest.")
def command(
    source: Path,
    output: str | None,
    layers: tuple[str, ...],
    formats: tuple[str, ...],
    packages: tuple[str, ...],
    layout_name: str | None,
    model: Path | None,
    network: Path | None,
    tosa: Path | None,
    inline: bool,
    width: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write tensors of a golden file, or parameters of a model file, for a test bench, with a manifest of what they are.

    Formats: hex ($readmemh), bits ($readmemb), raw (binary), text ($fscanf), c (a header), npy, npz. Packages (sv, vhdl, c)
    hold the constants of a node: m, e, bias, x0, n, lam, widths, shapes; weights and tables are tensors of the model file. A
    layout, in TOML, describes how elements are packed into beats; docs/verification.md explains its keys: bits, signed,
    beat, lanes, first, endian, axes, tile, pad, lines.

    With --onnx, the model as a network for compilers (docs/compilers.md); --layers are outputs beside its own. With --tosa,
    the same as TOSA; --layers are the part that is written.
    """
    if tosa is not None:
        _as_tosa(source, tosa, layers)
        return
    if network is not None or inline or width is not None:
        _as_onnx(source, network, layers, inline, int(width or 64))
        return
    from ..testbench import export, layout_named
    from ..testbench.drawing import draw_beats
    from ..testbench.sources import GOLDEN, open_source, select_tensors

    layout = layout_named(layout_name or "plain")
    formats = tuple(dict.fromkeys(formats)) or (() if packages and layout_name is None else ("hex",))
    if dry_run and (as_json or packages):
        raise click.UsageError(f"--dry-run draws tensors for people; leave out {'--json' if as_json else '--package'}")
    if dry_run:
        with open_source(source) as found:
            tensors = select_tensors(found, layers)
            put_rich(lambda console: draw_beats(console, tensors, layout, DRAWN), None)
        return
    if not output:
        raise click.UsageError("name the folder to write with -o FOLDER")
    with open_source(source) as found:
        count = len(select_tensors(found, layers)) if formats else 0
        if model is not None and found.kind != GOLDEN:
            raise click.UsageError(f"--model says what a golden file was made from; {source} is a model itself")
    with progress("exporting", count or 1) as step:
        exported = export(
            source, output, layers=layers, formats=formats, packages=packages, layout=layout, model=model, progress=step
        )
    if as_json:
        put_json(exported.record, None)
        return
    written = []
    if exported.tensors:
        plural = "tensors" if len(exported.tensors) > 1 else "tensor"
        size = f"{exported.size / 1e6:.2f} MB"
        written.append(f"{len(exported.tensors)} {plural} as {', '.join(formats)}, layout {layout.name}, {size}")
    if packages:
        count = exported.packages
        written.append(f"{count} package{'' if count == 1 else 's'}{'' if count else ' (inputs and constants have none)'}")
    click.echo(f"{shown(output)}: {'; '.join(written)}; manifest.json lists every file with its SHA-256")


def _require_only(form: str, *names: str) -> None:
    """Refuse options that are for a test bench."""
    context = click.get_current_context()
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if given and option.name not in ("source", "layers", *names):
            raise click.UsageError(f"{option.opts[0]} does not go with {form}; leave it out")


def _as_tosa(source: Path, target: Path, layers: tuple[str, ...]) -> None:
    """Write a model, or a part of it, as TOSA."""
    _require_only("--tosa", "tosa")
    check_target(target, source)
    from ..compilers.tosa_model import TosaModel
    from ..storage.files import replacing

    model = TosaModel(load_model(source), layers)
    with replacing(target) as temporary:
        temporary.write_text(model.mlir(), encoding="utf-8")
    parts = (("tensor", model.results), ("argument", model.arguments))
    count = " of ".join(_counted(what, len(found)) for what, found in parts)
    click.echo(f"{shown(target)}: {count}, {len(model.text.lines):,} operations, integers only")


def _counted(what: str, count: int) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _as_onnx(source: Path, target: Path | None, layers: tuple[str, ...], inline: bool, width: int) -> None:
    """Write a model as ONNX."""
    if target is None:
        raise click.UsageError("--inline and --width go with --onnx FILE")
    _require_only("--onnx", "network", "inline", "width")
    check_target(target, source)
    files = [target] if inline else [target, target.with_name(f"{target.stem}_inline{target.suffix}")]
    for file in files:
        check_target(file, source)
    require_extra("onnx", "onnx")
    from ..compilers.onnx_form import OPSET
    from ..compilers.onnx_model import onnx_model
    from ..storage.files import replacing

    graph = load_model(source)
    models = [onnx_model(graph, layers, inline=inline or file != target, width=width) for file in files]
    with ExitStack() as stack:  # both files, or none
        for model, temporary in zip(models, [stack.enter_context(replacing(file)) for file in files], strict=True):
            temporary.write_bytes(model.SerializeToString(deterministic=True))
    for file, model in zip(files, models, strict=True):
        what = f"{len(model.functions)} functions" if model.functions else "standard operators"
        what += f", no value beyond {width} bits" if width != 64 else ""
        size = f"{file.stat().st_size / 1e6:.2f} MB"
        click.echo(f"{shown(file)}: {len(model.graph.node):,} nodes, {what}, opset {OPSET}, integers only, {size}")
