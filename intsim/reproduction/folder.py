"""A reproduction as a folder that runs by itself: tensors, benches in SystemVerilog, C and Python, ONNX, a README."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .._version import __version__
from ..errors import IntsimError, printable
from ..storage.files import file_sha256, folder_replacing
from ..storage.templates import template
from ..testbench import BeatLayout, layout_named
from ..testing.calls import dialect_source
from . import c_bench, sv_bench
from .case import Reproduction
from .tensors import memories, write_tensors
from .words import parameters, readme, told

MANIFEST, SCHEMA, VERSION = "reproduction.json", "intsim-reproduction", 1
ONNX = "onnx"
REASON = 200  # characters of a reason
BUILT = ("sv/*.vvp", "c/test_reference", "c/test_device", "__pycache__/*", ".pytest_cache/**/*")  # what running it leaves


@dataclass(frozen=True)
class Written:
    """What was written: the folder, its manifest as plain data, and the benches left out, each with its reason."""

    folder: Path
    record: dict[str, Any]
    left_out: tuple[str, ...]


def write(made: Reproduction, folder: str | Path, layout: BeatLayout | str = "plain") -> Written:
    """Write a reproduction into a new folder, or over an earlier one, all files or none.

    `layout` is that of the memories: one of `intsim.testbench.BEAT_LAYOUTS` by name, a TOML file, or a BeatLayout. Raises
    IntsimError where it does not fit a tensor, and for a folder with files of others.
    """
    packed = memories(made, layout_named(layout) if isinstance(layout, str) else layout)
    lines, left_out, parts = told(made), list[str](), ["sv"]
    texts = {f"sv/{name}": text for name, text in sv_bench.sv_files(made, packed, lines).items()}
    try:
        texts |= {f"c/{name}": text for name, text in c_bench.c_files(made, lines).items()}
        parts.append("c")
    except IntsimError as error:
        left_out.append(f"the bench in C: {error}")
    texts["test_reproduction.py"] = _pytest(made, lines)
    with folder_replacing(folder, MANIFEST, _own_files) as target:
        write_tensors(made, packed, target)
        if reason := _write_onnx(made, target):
            left_out.append(f"the model in ONNX: {reason}")
        else:
            parts.append(ONNX)
        texts["README.md"] = readme(made, packed, parts, left_out)
        for name, text in texts.items():
            (target / name).parent.mkdir(exist_ok=True)
            (target / name).write_text(text.rstrip() + "\n", encoding="utf-8", newline="\n")
        record = _record(made, target, packed[-1].packing.layout, left_out)
        (target / MANIFEST).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return Written(Path(folder), record, tuple(left_out))


def _pytest(made: Reproduction, lines: list[str]) -> str:
    call = made.call
    names = [name for name in made.arrays() if name not in call.params]
    context = {
        "node": made.node,
        "op": call.op,
        "told": [line.replace("\\", "/").replace('"""', "'''") for line in lines],
        "dialect": f"dialects.DIALECTS[{source}]" if (source := _dialect(made)).startswith('"') else source,
        "inputs": json.dumps(names),
        "parameters": parameters(made),
        "disputed": bool(call.operator.choices),
    }
    return template(__package__, "test_reproduction.py.j2", markup=False).render(**context)


def _dialect(made: Reproduction) -> str:
    return dialect_source(made.call.dialect) if made.call.dialect is not None else "None"


def _write_onnx(made: Reproduction, target: Path) -> str:
    """Write the call as a conformance case of ONNX; why not, where it has none."""
    if find_spec("onnx") is None:
        return "it needs the package onnx (the extra onnx of intsim)"
    from ..compilers.cases import call_case

    call = made.call
    try:
        arrays = [x.astype("int64") for x in call.inputs]
        case = call_case(call.op, arrays, call.params, call.dialect, made.expected, f"{call.op}_reproduction", made.why)
        case.write(target / ONNX)
    except (ValueError, TypeError) as error:
        text = printable(str(error))
        return text if len(text) <= REASON else f"{text[: REASON // 2]} ... {text[-REASON // 2 :]}"
    return ""


def _record(made: Reproduction, target: Path, layout: BeatLayout, left_out: list[str]) -> dict[str, Any]:
    """The manifest."""
    call = made.call
    files = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "intsim": __version__,
        "node": made.node,
        "op": call.op,
        "dialect": call.dialect.name if call.dialect is not None else None,
        "choices": {key: str(getattr(call.dialect, key)) for key in call.operator.choices} if call.dialect else {},
        "parameters": made.scalars(),
        "arrays": {name: {"shape": list(x.shape), "type": str(x.dtype)} for name, x in made.arrays().items()},
        "result": {"shape": list(made.found.shape), "format": str(made.fmt)},
        "source": made.source,
        "why": made.why,
        "place": made.place,
        "notes": list(made.notes),
        "wrong": made.wrong,
        "first": made.first.record(),
        "layout": layout.record(),
        "left_out": left_out,
        "files": [{"file": name, "sha256": file_sha256(target / name)} for name in files],
    }


def _own_files(manifest: Path) -> Iterable[str]:
    """The files that an earlier reproduction wrote, and what running it has left."""
    try:
        record = json.loads(manifest.read_text(encoding="utf-8"))
        if record["schema"] != SCHEMA:
            raise ValueError
        names = [str(entry["file"]) for entry in record["files"]]
    except (ValueError, KeyError, TypeError, OSError):
        raise IntsimError(f"{manifest}: is not what 'intsim reproduce' wrote; name a new folder") from None
    return [*names, *_built(manifest.parent)]


def _built(folder: Path) -> Iterator[str]:
    for pattern in BUILT:
        yield from (path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file())
