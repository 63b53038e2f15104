"""``intsim import``: files of a test bench as tensors for a diff, or an ONNX model as a model file."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.core import ParameterSource

from ._common import BUILT_IN_LAYOUTS, EXPORT_FORMATS, check_target, require_extra, shown
from ._output import say
from ._progress import progress

MODEL = Path("model.h5")  # that an ONNX model becomes by default


@click.command("import", epilog="Example: intsim import dump/ --manifest bench/manifest.json -o dut.npz")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--manifest",
    "manifest_path",
    type=click.Path(path_type=Path),
    help="FOLDER is a device's dump in the layout of this export (or its folder).",
)
@click.option(
    "--like",
    type=click.Path(path_type=Path),
    help="FOLDER is a device's dump of NODE.hex, NODE.bin, ... of this golden or model file's tensors.",
)
@click.option(
    "--layout", "layout_name", metavar="LAYOUT", help=f"With --like: a TOML file, or {BUILT_IN_LAYOUTS}.  [default: plain]"
)
@click.option(
    "--format",
    "encoding",
    type=click.Choice(EXPORT_FORMATS),
    help="Which one, where there are several.  [default: the first; hex with --like]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("dut.npz"),
    show_default=True,
    help="The tensors: .npz or .h5 (HDF5); of an ONNX model the model file.  [there: model.h5]",
)
def command(
    folder: Path, manifest_path: Path | None, like: Path | None, layout_name: str | None, encoding: str | None, output: Path
) -> None:
    """Read the files in FOLDER back into tensors, or FOLDER.onnx, a model that 'export --onnx' wrote, into a model file.

    An exported folder is read by its own manifest, and every file must have the SHA-256 recorded there. A device's dump has
    other values under the same names: describe it by the manifest of an export of the same tensors (--manifest), or by a
    golden file and a layout (--like, --layout, --format). Tensors whose files are missing are left out; with --manifest they
    are listed. Values outside a node's format are kept, so that diff can show them.

    An ONNX model may be edited: weights, parameters and nodes are taken as they are now, and proved anew. It must be the
    form with functions, with the functions as they were written.
    """
    if folder.suffix == ".onnx":
        _import_onnx(folder, output)
        return
    from ..errors import FileError
    from ..storage.files import same_file
    from ..testbench import layout_named, read_dump, read_dump_like, read_export
    from ..testbench.tensors import write_tensors

    if manifest_path is not None and like is not None:
        raise click.UsageError("--manifest and --like both describe the dump; give one of them")
    if layout_name is not None and like is None:
        raise click.UsageError("--layout goes with --like; a manifest has its own layout")
    if like is not None:
        dump = read_dump_like(folder, like, layout_named(layout_name or "plain"), encoding or "hex")
    elif manifest_path is not None:
        dump = read_dump(folder, manifest_path, encoding)
    else:
        dump = read_export(folder, encoding)
        if same_file(Path(os.path.realpath(output)).parent, dump.folder):
            raise FileError(f"{output}: {folder} is an export, which contains only its own files; write elsewhere")
    check_target(output, manifest_path, like, *dump.files)
    converted: list[str] = []
    with progress("importing", len(dump.entries)) as step:
        tensors, missing = dump.tensors(step, converted.append)
    write_tensors(output, tensors)
    elements = sum(value.size for value in tensors.values())
    say(f"{shown(output)}: {len(tensors)} tensor{'s' if len(tensors) > 1 else ''}, {elements:,} elements")
    for sentence in converted:
        say(f"converted: {sentence}")
    if missing and manifest_path is not None:
        say(f"not in {folder}: {', '.join(missing[:5])}{f' and {len(missing) - 5} more' if len(missing) > 5 else ''}")


def _import_onnx(path: Path, output: Path) -> None:
    """Write the graph of an ONNX model as a model file."""
    context = click.get_current_context()
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if given and option.name not in ("folder", "output"):
            raise click.UsageError(f"{option.opts[0]} does not go with an ONNX model; leave it out")
    target = output if context.get_parameter_source("output") is ParameterSource.COMMANDLINE else MODEL
    check_target(target, path)
    require_extra("onnx", "onnx")
    from ..compilers.onnx_back import EDITED, graph_from_onnx
    from ..storage.model_file import save

    graph = graph_from_onnx(path)
    save(graph, target)
    edited = EDITED in graph.provenance
    same = f"edited from {str(graph.provenance[EDITED])[:12]}" if edited else "the model that was exported"
    say(f"{shown(target)}: {len(graph.nodes)} nodes, dialect {shown(graph.dialect.name)}, {same}")
    say(f"content hash {graph.content_hash}")
