"""A whole network in C: one call a node, in a memory of which the size follows from how long every tensor is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from .._version import __version__
from ..arith import U8, AnyArray, Format, TensorBound
from ..engine.graph import CONSTANT, INPUT, Graph, Node
from ..errors import IntsimError
from ..ops import REGISTRY
from ..storage.templates import template
from ..symbols.shapes import form_of_call
from .c_library import CLibrary
from .c_operator import COperator, suffix_of
from .c_selftest import array_text

ALIGNMENT = 16  # elements, so that a tensor begins on a line of a cache
TEXT_LIMIT = 1 << 20  # bytes of weights that are written as C; more is an image


@dataclass(frozen=True)
class Place:
    """Where a tensor is in the arena, in elements, and from which node to which it is needed."""

    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class CInput:
    """An input: its node, its identifier and type in C, what is known of it, and whether it is needed as int32_t, too."""

    name: str
    identifier: str
    ctype: str
    bound: TensorBound
    widened: bool

    def record(self, places: Mapping[str, Place]) -> dict[str, object]:
        """As the templates take it."""
        shape = self.bound.shape
        return {
            "name": self.name,
            "identifier": self.identifier,
            "ctype": self.ctype,
            "count": prod(shape),
            "sides": "".join(f"[{size}]" for size in shape),
            "limits": f"{self.bound.lo} to {self.bound.hi}",
            "outside": " || ".join(self._outside()),
            "size": f"INTSIM_{self.identifier.upper()}",
            "place": f"arena + {places[self.name].offset}" if self.widened else "",
        }

    def _outside(self) -> Iterator[str]:
        """The comparisons of an element with the ends of a range that is narrower than the format."""
        if self.bound.lo > self.bound.fmt.lo:
            yield f"{self.identifier}[i] < {self.bound.lo}"
        if self.bound.hi < self.bound.fmt.hi:
            yield f"{self.identifier}[i] > {self.bound.hi}"


def _stored_as(port: Format) -> str:
    """The type of the elements that an operator reads at a port."""
    return "uint8_t" if port is U8 else "int32_t"


class CNetwork:
    """The C files of a model: those of a library of its operators in its dialect, and the network.

    `arena` is the size of its memory in bytes. Raises IntsimError naming the node that has no form, or where the memory
    passes a `limit` in bytes.
    """

    def __init__(self, graph: Graph, limit: int | None = None, image: bool | None = None) -> None:
        self.graph = graph
        self.nodes = {node.name: node for node in graph.nodes}
        ops = sorted({node.op for node in graph.nodes if node.op in REGISTRY})
        joined = sorted(
            {(node.op, len(node.inputs)) for node in graph.nodes if node.op in ops and REGISTRY[node.op].variadic}
        )
        extra = {
            op: [form for own, count in joined if own == op and count != 2 for form in REGISTRY[op].forms(count)]
            for op in ops
        }
        self.library = CLibrary(ops, [graph.dialect], extra)
        self.functions = {f.name: f for functions in self.library.functions.values() for f in functions}
        self.inputs = self._inputs()
        self.places = self._placed()
        self.arena = 4 * max((place.offset + place.size for place in self.places.values()), default=0)
        if limit is not None and self.arena > limit:
            raise IntsimError(f"the network needs an arena of {self.arena:,} bytes, more than {limit:,}")
        self.bytes = bytearray()  # of all parameters of one byte
        self.constants: list[str] = []
        self.calls = [self._call(node) for node in graph.nodes if node.op not in (INPUT, CONSTANT)]
        self.image = len(self.bytes) > TEXT_LIMIT if image is None else image

    # --- inputs ---------------------------------------------------------------------------------------------------------

    def _inputs(self) -> dict[str, CInput]:
        """The inputs: their identifiers, types, and whether operators need them widened to 32 bits."""
        found: dict[str, CInput] = {}
        for i, node in enumerate(self.graph.inputs):
            bound = self.graph.tensors[node.name]
            own = f"{'u' if bound.fmt.lo == 0 else ''}int{8 * bound.fmt.dtype.itemsize}_t"
            word = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in node.name)
            identifier = "image" if self.graph.takes_picture else f"in{i}_{word}"
            users = {_stored_as(REGISTRY[user.op].port(k)) for user, k in self._users(node.name)}
            widened = own != "int32_t" and ("int32_t" in users or node is self.graph.output)
            found[node.name] = CInput(node.name, identifier, own, bound, widened)
        return found

    def _users(self, name: str) -> list[tuple[Node, int]]:
        return [(node, k) for node in self.graph.nodes for k, source in enumerate(node.inputs) if source == name]

    # --- memory ---------------------------------------------------------------------------------------------------------

    def _placed(self) -> dict[str, Place]:
        """First fit: every tensor in the lowest place that is free while it is needed."""
        order = {node.name: i for i, node in enumerate(self.graph.nodes)}
        last = dict(order)
        for node in self.graph.nodes:
            for name in node.inputs:
                last[name] = max(last[name], order[node.name])
        last[self.graph.output.name] = len(order)
        placed: dict[str, Place] = {}
        for node in self.graph.nodes:
            if node.op == CONSTANT or (node.op == INPUT and not self.inputs[node.name].widened):
                continue
            # Inputs are widened before the first node is computed.
            first = -1 if node.op == INPUT else order[node.name]
            size = prod(self.graph.tensors[node.name].shape)
            size = -(-size // ALIGNMENT) * ALIGNMENT
            offset = 0
            for other in sorted((p for p in placed.values() if p.last >= first), key=lambda p: p.offset):
                if offset + size <= other.offset:
                    break
                offset = max(offset, other.offset + other.size)
            placed[node.name] = Place(offset, size, first, last[node.name])
        return placed

    def _pointer(self, name: str, ctype: str = "int32_t") -> str:
        """Where a node's result is, as operators take it that read this type."""
        node = self.nodes[name]
        if node.op == INPUT and (ctype == self.inputs[name].ctype or not self.inputs[name].widened):
            return self.inputs[name].identifier
        if node.op == CONSTANT:
            return self._stored(f"{name}.value", np.asarray(node.params["value"]))
        return f"arena + {self.places[name].offset}"

    def _stored(self, name: str, value: AnyArray, narrow: bool = False) -> str:
        """A parameter: bytes in the weights, anything else an array of 32 bits."""
        if narrow:
            offset = len(self.bytes)
            self.bytes += np.ascontiguousarray(value, np.int8).tobytes()
            self.bytes += bytes(-len(self.bytes) % ALIGNMENT)
            return f"intsim_weights + {offset}"
        identifier = "c_" + "".join(letter if letter.isalnum() else "_" for letter in name)
        text = array_text("static const int32_t", identifier, np.asarray(value))
        if text not in self.constants:
            self.constants.append(text)
        return identifier

    # --- calls ----------------------------------------------------------------------------------------------------------

    def _call(self, node: Node) -> dict[str, object]:
        """A node as a call of its function."""
        operator, params = REGISTRY[node.op], node.params
        form, lengths = form_of_call(operator, [self.graph.tensors[name].shape for name in node.inputs], params)
        suffix = f"_{suffix_of(self.graph.dialect)}" if operator.choices else ""
        function = self.functions[f"intsim_{node.op}{form.suffix}{suffix}"]
        names = [name for name in form.shapes if name not in operator.params]
        sources = dict(zip(names, node.inputs, strict=True))
        return {
            "name": node.name,
            "op": node.op,
            "shape": " x ".join(map(str, self.graph.tensors[node.name].shape)) or "1",
            "sides": ", ".join(map(str, self.graph.tensors[node.name].shape)) or "1",
            "rank": max(len(self.graph.tensors[node.name].shape), 1),
            "place": self._pointer(node.name),
            "call": f"{function.name}({', '.join(self._arguments(node, function, sources, lengths))})",
        }

    def _arguments(self, node: Node, function: COperator, sources: dict[str, str], lengths: dict[str, int]) -> list[str]:
        passed = []
        for argument in function.arguments:
            name = argument.name
            if argument.kind == "array" and name in sources:
                passed.append(self._pointer(sources[name], argument.ctype.removeprefix("const ").removesuffix(" *")))
            elif argument.kind == "array":
                narrow = "int8_t" in argument.ctype
                passed.append(self._stored(f"{node.name}.{name}", np.atleast_1d(np.asarray(node.params[name])), narrow))
            elif argument.kind == "step":
                passed.append(str(np.ndim(node.params[name.removesuffix("_step")])))
            elif argument.kind == "length":
                passed.append(str(lengths[name]))
            elif argument.kind == "parameter":
                passed.append(str(int(node.params[name])))
            else:
                passed.append(self._pointer(node.name) if argument.kind == "result" else "NULL")
        return passed

    # --- files ----------------------------------------------------------------------------------------------------------

    def files(self) -> dict[str, str | bytes]:
        """The text or the bytes of every file, by name."""
        graph, output = self.graph, self.graph.tensors[self.graph.output.name]
        label = "uint8_t" if output.lo >= 0 and output.hi <= 255 else "int32_t"
        sides = graph.tensors[graph.input.name].shape
        context = {
            "version": __version__,
            "name": str(graph.config.get("name", "network")).encode("ascii", "replace").decode(),
            "model": graph.content_hash,
            "dialect": graph.dialect.name,
            "picture": sides[:2] if graph.takes_picture else None,
            "inputs": [found.record(self.places) for found in self.inputs.values()],
            "output": graph.output.name,
            "shape": " x ".join(map(str, output.shape)) or "1",
            "count": prod(output.shape),
            "label": label,
            "arena": self.arena,
            "result": self._pointer(graph.output.name),
            "calls": self.calls,
            "constants": self.constants,
            "weights": len(self.bytes),
        }
        found: dict[str, str | bytes] = dict(self.library.files(network=True, image=self.image))
        for name in ("network.h", "network.c", "run.c"):
            found[name] = template(__package__, f"{name}.j2", markup=False).render(**context).rstrip() + "\n"
        if self.image:
            found["weights.bin"] = bytes(self.bytes)
            found["weights.S"] = template(__package__, "weights.S.j2", markup=False).render(**context)
        else:
            text = array_text("const int8_t", "intsim_weights", np.frombuffer(bytes(self.bytes) or b"\0", np.int8))
            found["weights.c"] = f'#include "network.h"\n\n{text}\n'
        return found
