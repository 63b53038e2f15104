"""The model file: a graph with its parameters in HDF5, and back.

Root attributes: ``format`` "intsim-model", ``version``, ``content_sha256``, and as JSON ``config``, ``dialect`` (all
choices) and ``provenance`` (SHA-256 of the checkpoint and the calibration pictures, intsim's version). Dataset ``graph``:
the nodes in order, JSON, including integer parameters. Then one dataset per array parameter, ``<node>/<parameter>``, with
its ``scale`` as an attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .. import resources
from ..arith import I8, I32, Format, Scale
from ..dialects import from_choices
from ..engine.graph import CONSTANT, Graph, Node
from ..errors import FileError, IntsimError, ModelMismatch, ModelNotFound
from ..ops import REGISTRY
from . import hdf5, inflation, new_hdf5
from .golden_file import GoldenFile
from .watch import require_finite

FORMAT, VERSION = "intsim-model", 1


def save(graph: Graph, path: str | Path) -> None:
    """Write `graph` to `path` atomically."""
    arrays = [array for node in graph.nodes for array in node.arrays().values()]
    with new_hdf5.writing(path, size=sum(array.nbytes for array in arrays), datasets=len(arrays)) as file:
        file.attrs["format"] = FORMAT
        file.attrs["version"] = np.int64(VERSION)
        file.attrs["content_sha256"] = graph.content_hash
        file.attrs.update(graph.origin())
        new_hdf5.store_json(file, "graph", graph.record())
        finish: Callable[[], None] = lambda: None  # noqa: E731
        for node in graph.nodes:
            for key, array in sorted(node.arrays().items()):
                before = finish
                dataset, finish = new_hdf5.begin(file.require_group(node.name), key, array)
                before()  # after the next one has begun: the order of bytes that model files have always had
                scale = node.scales.get(key)
                if scale is not None:
                    dataset.attrs["scale"] = scale
        finish()


def load(path: str | Path) -> Graph:
    """The graph of a model file, with its bounds proved. FileError or GraphError if the file or the graph is not valid."""
    path = Path(path)
    with hdf5.reading(path, FORMAT, VERSION) as (file, datasets), hdf5.damage_named(path):
        declared = sum(map(inflation.declared_bytes, datasets.values()))
        inflation.require_bounded(path, declared, "its parameters", inflation.TIMES_PARAMETERS)
        records = hdf5.load_json(datasets, "graph", path)
        choices = hdf5.json_attribute(file, "dialect", path, dict)
        config = hdf5.json_attribute(file, "config", path, dict)
        provenance = hdf5.json_attribute(file, "provenance", path, dict)
        content = hdf5.text_attribute(file, "content_sha256", path)
        nodes = [_node(record, datasets, path) for record in _records(records, path)]
        try:
            dialect = from_choices({k: v for k, v in choices.items() if k != "name"}, str(choices.get("name")))
            graph = Graph(nodes, dialect, config, provenance)
        except FileError:
            raise
        except IntsimError as error:
            raise type(error)(f"{path}: {error}") from None
    if graph.content_hash != content:
        raise FileError(f"{path}: its contents do not match its content hash; the file was altered, make it again")
    return graph


def model_behind(golden: GoldenFile, model: str | Path | Graph | None = None) -> Graph:
    """The graph that a golden file was made from: `model`, or else the shipped model or one next to the golden file.

    Raises ModelMismatch where `model` is another one, ModelNotFound where there is none.
    """
    wanted, path = golden.model_sha256, None if isinstance(model, Graph) or model is None else Path(model)
    if model is None:
        path = find(wanted, [golden.path.resolve().parent, Path.cwd()])
        if path is None:
            raise ModelNotFound(golden.path, wanted)
    graph = model if isinstance(model, Graph) else load(path or "")
    if graph.content_hash != wanted:
        raise ModelMismatch(golden.path, wanted, graph.content_hash, path)
    return graph


def find(content_sha256: str, folders: Iterable[Path]) -> Path | None:
    """The model file with this content hash: the shipped one, or one in `folders`. Only headers are read."""
    candidates = [resources.model(), *(path for folder in folders for path in sorted(folder.glob("*.h5")))]
    return next((path for path in candidates if _content_of(path) == content_sha256), None)


def _content_of(path: Path) -> str | None:
    """The content hash stated in a model file; None for any other file."""
    try:
        require_finite(path)
        with h5py.File(path, "r") as file:
            stated = hdf5.text(file.attrs.get("content_sha256")) if hdf5.text(file.attrs.get("format")) == FORMAT else None
    except (OSError, RuntimeError, KeyError, TypeError, ValueError):  # a FileError among them
        return None
    return stated if isinstance(stated, str) else None


def _records(records: Any, path: Path) -> list[dict[str, Any]]:
    if not isinstance(records, list) or not all(isinstance(r, dict) and _is_node(r) for r in records):
        raise FileError(f"{path}: its graph is not a list of nodes with name, op, inputs and params; the file is damaged")
    return records


def _is_node(record: dict[str, Any]) -> bool:
    """Whether a record of the graph has the fields of a node, with the right types."""
    names = [record.get("name"), record.get("op")]
    for key in ("inputs", "arrays"):
        listed = record.get(key)
        names += listed if isinstance(listed, list) else [None]
    scale = record.get("scale")
    return (
        all(isinstance(name, str) for name in names)
        and isinstance(record.get("params"), dict)
        and (scale is None or (isinstance(scale, (int, float)) and not isinstance(scale, bool)))
    )


def _node(record: dict[str, Any], datasets: dict[str, h5py.Dataset], path: Path) -> Node:
    name, op = record["name"], record["op"]
    params: dict[str, Any] = dict(record["params"])
    scales: dict[str, Scale | None] = {}
    for key in record["arrays"]:
        dataset = datasets.get(f"{name}/{key}")
        if dataset is None:
            raise FileError(f"{path}: {name}: its parameter {key!r} is missing; quantize the checkpoint again")
        values = _integers(dataset, op, name, key, path)
        params[key] = values[()] if op == CONSTANT else values
        if "scale" in dataset.attrs:
            scales[key] = _scale(dataset.attrs["scale"], f"{path}: {name}: the scale of its parameter {key!r}")
    scale = scales.get("value") if op == CONSTANT else record.get("scale")
    return Node(name, op, tuple(record["inputs"]), params, scale, scales)


def _scale(value: Any, what: str) -> Scale:
    array = np.asarray(value)
    try:
        if array.dtype.kind == "f":
            return hdf5.scale_of(array)
    except ValueError:
        pass
    raise FileError(f"{what} is not a real number, or one per channel; the file is damaged")


def _integers(dataset: h5py.Dataset, op: str, name: str, key: str, path: Path) -> hdf5.Values:
    """A parameter that is read when its shape is known to be the one that its node needs."""
    if dataset.shape is None or dataset.dtype.kind not in "iu":
        raise FileError(
            f"{path}: {name}: its parameter {key!r} is {dataset.dtype}, expected {_expected(op, key)}; "
            "quantize the weights first"
        )
    return hdf5.Values(dataset, path, f"{name}/{key}")


def _expected(op: str, key: str) -> Format:
    param = REGISTRY[op].params.get(key) if op in REGISTRY else None
    return param.fmt if param is not None and param.fmt.name != "integer" else (I8 if key == "weight" else I32)
