"""What ``intsim export`` writes of a whole model: ONNX, TOSA, and references in other languages."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click
from click.core import ParameterSource

from ..errors import IntsimError
from ._common import check_target, load_dialect, load_model, require_extra, shown
from ._output import put_json, say


def require_only(form: str, *names: str) -> None:
    """Refuse options that are for a test bench."""
    context = click.get_current_context()
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if given and option.name not in ("source", *names):
            raise click.UsageError(f"{option.opts[0]} does not go with {form}; leave it out")


def as_tosa(source: Path, target: Path, layers: tuple[str, ...]) -> None:
    """Write a model, or a part of it, as TOSA."""
    require_only("--tosa", "tosa", "layers")
    check_target(target, source)
    from ..compilers.tosa_model import TosaModel
    from ..storage.files import replacing

    model = TosaModel(load_model(source), layers)
    with replacing(target) as temporary:
        temporary.write_text(model.mlir(), encoding="utf-8")
    parts = (("tensor", model.results), ("argument", model.arguments))
    count = " of ".join(_counted(what, len(found)) for what, found in parts)
    say(f"{shown(target)}: {count}, {len(model.text.lines):,} operations, integers only")


def as_onnx(source: Path, target: Path | None, layers: tuple[str, ...], inline: bool, width: int) -> None:
    """Write a model as ONNX."""
    if target is None:
        raise click.UsageError("--inline and --width go with --onnx FILE")
    require_only("--onnx", "network", "inline", "width", "layers")
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
        say(f"{shown(file)}: {len(model.graph.node):,} nodes, {what}, opset {OPSET}, integers only, {size}")


def as_reference(
    language: str,
    source: Path | None,
    output: str | None,
    ops: tuple[str, ...],
    dialects: tuple[str, ...],
    arena: int | None,
    weights: str | None,
    as_json: bool,
) -> None:
    """Write operators, or a model, in another language."""
    require_only("--reference", "reference", "output", "ops", "dialects", "arena", "weights", "as_json")
    if not output:
        raise click.UsageError("name the folder to write with -o FOLDER")
    if source is None and (arena is not None or weights is not None):
        raise click.UsageError("--arena and --weights are of a network; name a model")
    if source is not None and language != "c":
        raise click.UsageError(f"a model is only written with --reference c; leave out the model for {language}")
    if source is not None and (ops or dialects):
        raise click.UsageError("a model has its own operators and dialect; leave out --op and --dialect")
    from ..languages.reference import write_reference

    graph = load_model(source) if source is not None else None
    rules = [load_dialect(name) for name in dict.fromkeys(dialects)]
    image = None if weights is None else weights == "image"
    found = write_reference(language, output, graph, rules, tuple(dict.fromkeys(ops)), arena, image)
    if as_json:
        import json

        put_json(json.loads((found.folder / "reference.json").read_text(encoding="utf-8")), None)
        return
    what = _counted("operator", len(found.ops))
    if graph is not None:
        say(
            f"{shown(output)}: {graph.config.get('name', 'network')} in C, {what}, {_counted('file', len(found.files))}; "
            f"an arena of {found.arena:,} bytes, {found.weights:,} bytes of weights"
        )
    else:
        say(f"{shown(output)}: {what} in {', '.join(found.dialects)}, {_counted('file', len(found.files))}")


def _counted(what: str, count: int) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def need_source(source: Path | None) -> Path:
    """The file that an export is of."""
    if source is None:
        raise IntsimError("name a golden file or a model file to export; only --reference needs none")
    return source
