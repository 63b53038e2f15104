"""Digests as JSON, version 2 of the golden file: the hashes of the tensors of level boundary, without values.

An object with the keys of `DigestFile`. Its content hash is that of the golden file of level boundary of the same model,
picture and layers, which has these tensors: one can be held against the other. Version 1 of level ``digest``, in HDF5, has
the hashes of level full.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from ..arith import IntArray, format_named
from ..engine.graph import Graph, digest, hash_of
from ..engine.interpreter import run
from ..errors import FileError
from ..kernels.threads import available, executor
from .files import replacing
from .inflation import LARGEST_JSON

FORMAT, VERSION, LEVEL = "intsim-golden", 2, "digest"
SUFFIX = ".json"
_NODES: WeakKeyDictionary[Graph, str] = WeakKeyDictionary()


@dataclass(frozen=True)
class DigestFile:
    """What the file says: `tensors` are [name, format, shape, SHA-256] in execution order, `graph` the model's nodes."""

    format: str
    version: int
    level: str
    layers: list[str]
    left_out: list[str]
    model_sha256: str
    image_sha256: str
    content_sha256: str
    graph: list[dict[str, Any]]
    tensors: list[list[Any]]


def write_digests(
    graph: Graph,
    given: Mapping[str, IntArray],
    image_sha256: str,
    path: Path,
    chosen: set[str],
    layers: Sequence[str],
    threads: int | None = None,
    listed: list[list[Any]] | None = None,
) -> str:
    """Run `graph`, hash the `chosen` tensors while it goes on, and write the file; returns its content hash. Its tensors are
    added to those `listed`.
    """
    hashes: list[Any] = []
    with executor(threads or available(), "intsim-digest") as pool:

        def observe(name: str, value: IntArray) -> None:
            hashes.append((name, str(graph.tensors[name].fmt), list(value.shape), pool.submit(digest, value)))

        run(graph, given, observe, nodes=chosen, threads=threads)
        tensors = [[name, fmt, shape, sha256.result()] for name, fmt, shape, sha256 in hashes]
    if listed is not None:
        listed += tensors
    content = hash_of({"model": graph.content_hash, "image": image_sha256, "tensors": tensors})
    left_out = [node.name for node in graph.nodes if node.name not in chosen]
    head = (FORMAT, VERSION, LEVEL, list(layers), left_out, graph.content_hash, image_sha256, content)
    found = DigestFile(*head, graph=[], tensors=tensors)
    text = json.dumps({key: value for key, value in vars(found).items() if key != "graph"}, separators=(",", ":"))
    with replacing(path) as temporary:
        temporary.write_text(f'{text[:-1]},"graph":{_nodes(graph)}}}\n', encoding="utf-8")
    return content


def _nodes(graph: Graph) -> str:
    """The nodes of a graph as JSON, made once: they are the same for every picture."""
    if graph not in _NODES:
        nodes = [{key: node[key] for key in ("name", "op", "inputs")} for node in graph.record()]
        _NODES[graph] = json.dumps(nodes, separators=(",", ":"))
    return _NODES[graph]


def read_digests(path: Path) -> DigestFile:
    """The file's content, its types checked. FileError where it is none."""
    if path.stat().st_size > LARGEST_JSON:
        raise FileError(f"{path}: has {path.stat().st_size:,} bytes, more than any file of digests")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise ValueError("another format")
        if record["version"] != VERSION:
            raise FileError(f"{path}: is version {record['version']} of digests, this intsim reads version {VERSION}")
        found = DigestFile(**record)
        for name, fmt, shape, sha256 in found.tensors:
            format_named(fmt)
            if not isinstance(name, str) or not isinstance(sha256, str) or not all(type(n) is int and n > 0 for n in shape):
                raise ValueError("no tensor")
        texts = (found.level, found.model_sha256, found.image_sha256, found.content_sha256)
        if not all(isinstance(text, str) for text in texts) or not isinstance(found.layers, list):
            raise ValueError("no text")
    except FileError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise FileError(f"{path}: is not a file of digests that intsim wrote") from None
    return found
