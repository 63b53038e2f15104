"""The values of a graph's inputs from files: those that a golden file was made from, and ``.npy``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..arith import IntArray, TensorBound
from ..engine.graph import Graph
from ..engine.inputs import checked_by, checked_inputs, checked_value
from ..errors import FileError, IntsimError
from . import npy
from .files import require_file
from .golden_file import GoldenFile


def recorded_inputs(reference: GoldenFile, graph: Graph, purpose: str = "to judge") -> dict[str, IntArray]:
    """The inputs that a golden file holds, by name; an IntsimError where one is missing, with what it is needed for."""
    found: dict[str, IntArray] = {}
    for node in graph.inputs:
        record = reference.tensors.get(node.name)
        if record is None or record.values is None:
            reason = "holds hashes alone" if reference.level == "digest" else f"does not include {node.name}"
            if reference.stimulus:
                reason = f"is a stimulus for {reference.stimulus}"
            what = "picture" if graph.takes_picture else "input"
            raise IntsimError(f"{reference.path}: {reason}, so there is no {what} {purpose}; make one of level boundary")
        found[node.name] = np.asarray(record.values[()])
    return found


def read_inputs(graph: Graph, given: Sequence[str]) -> dict[str, IntArray]:
    """The inputs of a graph from files, each ``FILE.npy`` or ``NAME=FILE.npy``; the name may be left out of an only input.

    Raises FileError for a file that is missing or no ``.npy``, IntsimError for a name that is none, is given twice or is
    missing, and for a value of another type, shape or range than its input.
    """
    values: dict[str, IntArray] = {}
    for name, path in named_files([node.name for node in graph.inputs], given).items():
        values[name] = read_npy(path)
        try:
            values[name] = checked_value(graph, name, values[name])
        except IntsimError as error:
            raise FileError(f"{path}: {error}") from None
    return checked_inputs(graph, values)


def read_named(takes: Mapping[str, TensorBound], given: Sequence[str]) -> dict[str, IntArray]:
    """Values from such files by the name of their input, each checked against its shape, format and range in `takes`."""
    values: dict[str, IntArray] = {}
    for name, path in named_files(list(takes), given).items():
        value = read_npy(path)
        try:
            values |= checked_by({name: takes[name]}, {name: value})
        except IntsimError as error:
            raise FileError(f"{path}: {error}") from None
    return values


def named_files(names: Sequence[str], given: Sequence[str]) -> dict[str, Path]:
    """The file of every input that is given. IntsimError for a name that is none, and for one that is given twice."""
    files: dict[str, Path] = {}
    for text in given:
        name, path = _named(text, names)
        if name not in names:
            raise IntsimError(f"{text}: {name!r} is no input; the inputs are: {', '.join(names)}")
        if name in files:
            raise IntsimError(f"{name}: is given twice; give one file for an input")
        files[name] = path
    return files


def _named(text: str, names: Sequence[str]) -> tuple[str, Path]:
    """The input and the file that an argument names."""
    name, sign, path = text.partition("=")
    if sign and (name in names or not Path(text).exists()):
        return name, Path(path)
    if len(names) > 1:
        raise IntsimError(f"{text}: name its input, as in {names[0]}={text}; the inputs are: {', '.join(names)}")
    return names[0], Path(text)


def read_npy(path: Path) -> IntArray:
    """The array in an ``.npy``; nothing is unpickled. FileError with what is wrong."""
    require_file(path, "an array")
    with path.open("rb") as stream:
        found = npy.header(stream, path.stat().st_size)
    if found.problem:
        raise FileError(f"{path}: {found.problem}; write it with numpy.save")
    value: IntArray = np.load(path, allow_pickle=False)
    return value
