"""What can be exported: the tensors of a golden file or the parameters of a model file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..arith import Format, IntArray, Scale, signed
from ..engine.graph import CONSTANT, Graph, Node, digest
from ..engine.names import TensorName, chooses, matches, require_matches
from ..errors import FileError, IntsimError
from ..ops import REGISTRY
from ..storage import hdf5, model_file
from ..storage.files import file_sha256
from ..storage.golden_file import GoldenTensor, open_golden
from ..storage.golden_writer import FORMAT as GOLDEN_FORMAT

GOLDEN, MODEL = "golden", "model"
TENSOR = re.compile(r"[A-Za-z0-9_.]+([:/][A-Za-z0-9_]+)?")  # as in the schema of the manifest


@dataclass(frozen=True)
class ExportTensor:
    """One tensor to export. `name`: a node's name, ``node:step`` for an intermediate value, or ``node/param``."""

    name: str
    node: str
    shape: tuple[int, ...]
    fmt: Format
    scale: Scale | None
    sha256: str
    values: Callable[[], IntArray]


@dataclass(frozen=True)
class ExportSource:
    """An open file to export from. `graph` is set for model files only."""

    path: Path
    kind: str
    sha256: str
    model_sha256: str
    nodes: list[str]
    tensors: list[ExportTensor]
    graph: Graph | None = None
    level: str = ""

    @property
    def why_none(self) -> str:
        """Why the file may have no tensors of a node, and what to do."""
        if self.kind == MODEL:
            return "such nodes have no arrays; their constants are exported as packages"
        return f"such tensors were left out at level {self.level}; make a golden file at level full that selects them"


@contextmanager
def open_source(path: str | Path) -> Iterator[ExportSource]:
    """Open a golden or a model file; FileError if it is neither."""
    path = Path(path)
    with hdf5.reading_any(path) as (file, _):
        kind = hdf5.text(file.attrs.get("format"))
    if kind == GOLDEN_FORMAT:
        with open_golden(path) as reference:
            tensors = [_recorded(record, path) for record in reference.tensors.values()]
            names = [node["name"] for node in reference.nodes]
            yield ExportSource(
                path, GOLDEN, file_sha256(path), reference.model_sha256, names, tensors, level=reference.level
            )
    elif kind == model_file.FORMAT:
        graph = model_file.load(path)
        tensors = [tensor for node in graph.nodes for tensor in _parameters(graph, node)]
        yield ExportSource(path, MODEL, file_sha256(path), graph.content_hash, list(graph.by_name), tensors, graph)
    else:
        raise FileError(f"{path}: is neither a golden file nor a model file of intsim; 'intsim golden' makes a golden file")


def stem(name: str) -> str:
    """The file name of a tensor, without suffix. Names of nodes have no dash, so file names are distinct."""
    return TensorName(name).file_stem


def select_tensors(source: ExportSource, layers: Sequence[str]) -> list[ExportTensor]:
    """The tensors whose own name or node's name the globs match; an IntsimError if there are none."""
    require_matches(layers, [*(tensor.name for tensor in source.tensors), *source.nodes])
    names = [name for tensor in source.tensors for name in (tensor.name, tensor.node)]
    for glob in layers:
        if not matches(names, glob.removeprefix("!")):
            raise IntsimError(f"{source.path}: has no tensors of {glob!r}; {source.why_none}")
    tensors = [tensor for tensor in source.tensors if chooses(layers, tensor.name, tensor.node)]
    if not tensors:
        raise IntsimError(f"{source.path}: the globs {' '.join(layers)!r} leave nothing to export")
    return tensors


def _recorded(record: GoldenTensor, path: Path) -> ExportTensor:
    def values() -> IntArray:
        array = record.verified()
        if array is None:
            raise IntsimError(f"{path}: has only the hash of {record.name} (level digest); make a golden file with values")
        return array

    if not TENSOR.fullmatch(record.name):
        raise FileError(f"{path}: {record.name!r} is not the name of a tensor; intsim did not write this file")
    node = TensorName(record.name).node
    return ExportTensor(record.name, node, record.shape, record.fmt, record.scale, record.sha256, values)


def _parameters(graph: Graph, node: Node) -> Iterator[ExportTensor]:
    for key, array in node.arrays().items():
        own = graph.tensors[node.name].fmt if node.op == CONSTANT else REGISTRY[node.op].params[key].fmt
        fmt = own if own.dtype == array.dtype and own.name != "integer" else signed(8 * array.dtype.itemsize)
        name = TensorName.of_parameter(node.name, key)
        yield ExportTensor(
            name, node.name, array.shape, fmt, node.scales.get(key), digest(array), partial(np.asarray, array)
        )
