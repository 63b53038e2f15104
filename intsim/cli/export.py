"""``intsim export``: tensors, parameters and constants as a test bench reads them."""

from __future__ import annotations

from pathlib import Path

import click

from ._common import BUILT_IN_LAYOUTS, EXPORT_FORMATS, PACKAGE_LANGUAGES, shown
from ._network_forms import as_onnx, as_reference, as_tosa, need_source
from ._output import put_json, put_rich, say
from ._progress import progress

DRAWN = 4  # tensors whose first beats are drawn


@click.command(
    "export",
    epilog="Example: intsim export golden.h5 --layers 'encoder.blocks.0.*' --layout axi128 --package sv -o tb",
)
@click.argument("source", required=False, type=click.Path(path_type=Path))
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
@click.option(
    "--reference",
    type=click.Choice(["c", "dpi", "sv", "js"]),
    help="Operators, or the whole model, in C; operators for DPI-C or in JavaScript, or scalar cores in SystemVerilog.",
)
@click.option("--op", "ops", multiple=True, metavar="OP", help="With --reference: only these operators; may be repeated.")
@click.option(
    "--dialect", "dialects", multiple=True, metavar="DIALECT", help="With --reference; may be repeated.  [default: all]"
)
@click.option(
    "--arena", type=click.IntRange(min=0), metavar="BYTES", help="With --reference: refuse a network that needs more."
)
@click.option(
    "--weights", type=click.Choice(["arrays", "image"]), help="With --reference: in C, or as a file that is linked."
)
@click.option("--dry-run", is_flag=True, help="Only show the first beats.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest.")
def command(
    source: Path | None,
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
    reference: str | None,
    ops: tuple[str, ...],
    dialects: tuple[str, ...],
    arena: int | None,
    weights: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write tensors of a golden file, or parameters of a model file, for a test bench, with a manifest of what they are.

    Formats: hex ($readmemh), bits ($readmemb), raw (binary), text ($fscanf), c (a header), npy, npz. Packages (sv, vhdl, c)
    hold the constants of a node: m, e, bias, x0, n, lam, widths, shapes; weights and tables are tensors of the model file. A
    layout, in TOML, describes how elements are packed into beats; docs/verification.md explains its keys: bits, signed,
    beat, lanes, first, endian, axes, tile, pad, lines.

    With --reference, operators in C, for DPI-C, as SystemVerilog functions or in JavaScript, or with SOURCE a whole model
    in C (docs/c-reference.md). With --onnx, the model as a network for compilers (docs/compilers.md); --layers are outputs
    beside its own. With --tosa, the same as TOSA; --layers are the part that is written.
    """
    if reference is not None or ops or dialects or arena is not None or weights is not None:
        if reference is None:
            raise click.UsageError("--op, --dialect, --arena and --weights go with --reference")
        as_reference(reference, source, output, ops, dialects, arena, weights, as_json)
        return
    source = need_source(source)
    if tosa is not None:
        as_tosa(source, tosa, layers)
        return
    if network is not None or inline or width is not None:
        as_onnx(source, network, layers, inline, int(width or 64))
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
    say(f"{shown(output)}: {'; '.join(written)}; manifest.json lists every file with its SHA-256")
