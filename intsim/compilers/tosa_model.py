"""A network, or a part of it, as one TOSA function: MLIR text.

Tensors between operators have the type of their format (i8, i16, i32). Requantizations whose rounding is half up, which is
RESCALE's own, are one RESCALE; others are spelled out. The arguments are the tensors that the part reads from outside.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from ..arith import I8, I16, I32, IntArray, Rounding
from ..engine.graph import CONSTANT, INPUT, Graph, Node
from ..engine.names import chooses, require_matches
from ..errors import IntsimError
from ..ops import REGISTRY
from ..symbols import trace
from ..symbols.saturation import limited
from .tosa_form import TosaBody
from .tosa_text import Text, Value


class TosaModel:
    """The text, and the names of its arguments and results in order."""

    def __init__(self, graph: Graph, layers: Collection[str] = ()) -> None:
        names, globs = [node.name for node in graph.nodes], list(layers)
        require_matches(globs, names)
        self.graph, self.text = graph, Text()
        self.part = [node for node in graph.nodes if not globs or chooses(globs, node.name)]
        inside = {node.name for node in self.part if node.op != INPUT}
        self.arguments = [
            name for name in dict.fromkeys(name for node in self.part for name in node.inputs) if name not in inside
        ]
        self.results = [node.name for node in self.part if node.op not in (INPUT, CONSTANT)]
        if not self.results:
            raise IntsimError("nothing to compute: the nodes that were chosen are inputs and constants")
        self.values = {name: self.argument(i, name) for i, name in enumerate(self.arguments)}
        for node in self.part:
            if node.op == CONSTANT:
                self.values[node.name] = self.text.constant(np.asarray(node.params["value"]), self.type(node.name))
            elif node.op != INPUT:
                self.values[node.name] = self.written(node)

    def type(self, name: str) -> str:
        """The type of a tensor between operators."""
        fmt = self.graph.tensors[name].fmt
        for kind, wide in (("i8", I8), ("i16", I16), ("i32", I32)):
            if wide.holds(fmt.lo, fmt.hi):
                return kind
        return "i32" if fmt.name == "u8" else "i64"

    def argument(self, number: int, name: str) -> Value:
        """A tensor from outside."""
        return Value(f"%arg{number}", self.graph.tensors[name].shape, self.type(name))

    def written(self, node: Node) -> Value:
        """One node's operations."""
        try:
            rescaled = self.rescaled(node)
            if rescaled is not None:
                return rescaled
            arrays = [key for key, value in node.params.items() if np.ndim(value)]
            dialect = self.graph.dialect if REGISTRY[node.op].choices else None
            traced = trace(
                REGISTRY[node.op], [self.graph.tensors[name] for name in node.inputs], node.params, dialect, given=arrays
            )
            inputs = dict(zip(traced.inputs, (self.values[name] for name in node.inputs), strict=False))
            for name in list(traced.inputs)[len(node.inputs) :]:
                inputs[name] = self.text.constant(np.asarray(node.params[name]), _type_of(np.asarray(node.params[name])))
            body = TosaBody(self.text, inputs, limited({"out": traced.out})["out"])
        except (IntsimError, TypeError, ValueError) as error:
            raise IntsimError(f"{node.name}: {node.op} cannot be written as TOSA: {error}") from None
        return self.text.cast(body.out, self.type(node.name))

    def rescaled(self, node: Node) -> Value | None:
        """A requantization as RESCALE, where that is the same: half up, no negative multiplier, i32 to 8 or 16 bits."""
        if node.op != "requant" or self.graph.dialect.requant_rounding is not Rounding.HALF_UP:
            return None
        m, e, kind = np.atleast_1d(node.params["m"]), np.atleast_1d(node.params["e"]), self.type(node.name)
        full = self.graph.tensors[node.name].fmt.bits == {"i8": 8, "i16": 16}.get(kind)
        x = self.values[node.inputs[0]]
        if not full or x.type != "i32" or (m < 0).any() or (e < 2).any():
            return None
        m, e = np.broadcast_arrays(m, e)
        zero = [self.text.constant(np.zeros(1), t) for t in ("i32", kind)]
        args = [x, self.text.constant(m, "i32"), self.text.constant(e, "i8"), *zero]
        attributes = (
            "input_unsigned = false, output_unsigned = false, "
            f"per_channel = {str(m.size > 1).lower()}, rounding_mode = #tosa.rounding_mode<SINGLE_ROUND>, scale32 = true"
        )
        return self.text.op("rescale", args, x.shape, kind, attributes)

    def mlir(self) -> str:
        """The module."""
        arguments = ", ".join(
            f'{self.values[name].name}: {self.values[name].tensor} {{tosa.tensor_name = "{name}"}}'
            for name in self.arguments
        )
        found = [self.values[name] for name in self.results]
        results = ", ".join(
            f'{value.tensor} {{tosa.tensor_name = "{name}"}}' for name, value in zip(self.results, found, strict=True)
        )
        lines = "\n".join(f"    {line}" for line in self.text.lines)
        end = f"    return {', '.join(v.name for v in found)} : {', '.join(v.tensor for v in found)}"
        return f"module {{\n  func.func @main({arguments}) -> ({results}) {{\n{lines}\n{end}\n  }}\n}}\n"


def _type_of(array: IntArray) -> str:
    """The narrowest type of an array of a parameter."""
    lo, hi = int(array.min()), int(array.max())
    return next((kind for kind, fmt in (("i8", I8), ("i16", I16), ("i32", I32)) if fmt.holds(lo, hi)), "i64")
