"""A real-valued graph as an ONNX model in float32, exported operator by operator.

The argmax over classes is taken before the labels are upsampled, as in our own plan, so that the baseline has no work that
ours avoids.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ...arith import AnyArray
from ...errors import IntsimError
from ...nets.real import RealGraph, RealNode
from ...ops import REGISTRY
from ...ops.masked_shiftmax import visible

OPSET, IR_VERSION = 20, 9
MASKED = -100.0  # added to masked logits, as in the published Swin


def onnx_model(net: RealGraph, scores: tuple[int, ...] | None = None) -> onnx.ModelProto:
    """The ONNX model of a network: ``image`` u8 [height, width, 3] in, ``labels`` i64 [height, width] out, or a classifier's
    logits, float32.

    With `scores`, a shape, the output is instead the input of the argmax, float32, the tensor that `scores_of` names. Raises
    IntsimError for an operator that cannot be exported.
    """
    export = _Export(net.shapes())
    for node in net.nodes:
        if node.op not in EXPORT_RULES:
            raise IntsimError(f"{node.name}: {node.op} cannot be exported to ONNX")
        EXPORT_RULES[node.op](export, node)
    height, width = export.size
    image = helper.make_tensor_value_info(net.nodes[0].name, TensorProto.UINT8, [height, width, 3])
    if scores is None and net.nodes[-1].op == "argmax":
        output = helper.make_tensor_value_info(net.nodes[-1].name, TensorProto.INT64, [height, width])
    else:
        output = helper.make_tensor_value_info(scores_of(net), TensorProto.FLOAT, export.shapes[scores_of(net)])
    used = {name for node in export.nodes for name in node.input}
    constants = [constant for constant in export.constants if constant.name in used]
    graph = helper.make_graph(export.nodes, "intsim", [image], [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def scores_of(net: RealGraph) -> str:
    """The input of the last argmax before it is upsampled or cropped; of a classifier the logits."""
    by_name = {node.name: node for node in net.nodes}
    if net.classifies:
        return net.nodes[-1].name
    node = by_name[net.nodes[-1].inputs[0]]
    while node.op in ("upsample_nearest", "slice"):
        node = by_name[node.inputs[0]]
    return node.name


class _Export:
    """The ONNX nodes and constants so far."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self.shapes = shapes
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.size = (0, 0)
        self.tables: dict[str, AnyArray] = {}  # the values of constants
        self.moves: dict[str, list[RealNode]] = {}  # movements of pixels deferred until after the argmax
        self.source: dict[str, str] = {}  # the tensors that those movements start from

    def constant(self, name: str, value: AnyArray) -> str:
        """A constant tensor; reals become float32, integers int64."""
        plain = np.asarray(value)
        dtype = np.int64 if plain.dtype.kind in "iu" else np.float32
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(plain.astype(dtype)).reshape(plain.shape), name))
        return name

    def op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """One ONNX node."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"{output}/{kind}", **attributes))
        return output

    def reshape(self, x: str, shape: Sequence[int], output: str) -> str:
        return self.op("Reshape", [x, self.constant(f"{output}/shape", np.array(shape))], output)

    def input(self, node: RealNode) -> None:
        self.size = (node.params["height"], node.params["width"])

    def normalize(self, node: RealNode) -> None:
        mean, std = node.params["mean"], node.params["std"]
        x = self.op("Cast", [node.inputs[0]], f"{node.name}/float", to=TensorProto.FLOAT)
        x = self.op("Mul", [x, self.constant(f"{node.name}/gain", 1 / 255 / std)], f"{node.name}/scaled")
        self.op("Sub", [x, self.constant(f"{node.name}/offset", mean / std)], node.name)

    def patches(self, node: RealNode) -> None:
        side, x = node.params["size"], node.inputs[0]
        rows, columns = (-(-pixels // side) for pixels in self.size)
        missing = (rows * side - self.size[0], columns * side - self.size[1])
        if any(missing):
            pads = self.constant(f"{node.name}/pads", np.array([0, 0, 0, *missing, 0]))
            x = self.op("Pad", [x, pads], f"{node.name}/padded")
        x = self.reshape(x, [rows, side, columns, side, 3], f"{node.name}/cut")
        x = self.op("Transpose", [x], f"{node.name}/patches", perm=[0, 2, 4, 1, 3])
        self.reshape(x, [rows * columns, 3 * side * side], node.name)

    def linear(self, node: RealNode) -> None:
        """A vector, such as Swin's mean of all tokens, is multiplied as a matrix of one row.

        To correct biases, NNCF averages a product of fewer than three axes over its first. Of the channels of a vector that
        leaves one number, and NNCF stops with "iteration over a 0-d tensor".
        """
        weight, bias, x = node.params["weight"], node.params["bias"], node.inputs[0]
        vector, biased = len(self.shapes[x]) == 1, bool(np.any(bias))
        if vector:
            x = self.reshape(x, [1, *self.shapes[x]], f"{node.name}/row")
        out = f"{node.name}/out" if vector else node.name
        product = f"{node.name}/product" if biased else out
        self.op("MatMul", [x, self.constant(f"{node.name}/weight", weight.T)], product)
        if biased:
            self.op("Add", [product, self.constant(f"{node.name}/bias", bias)], out)
        if vector:
            self.reshape(out, self.shapes[node.name], node.name)

    def matmul(self, node: RealNode) -> None:
        (a, b), gain = node.inputs, node.params["gain"]
        if node.params["transpose_b"]:
            b = self.op("Transpose", [b], f"{node.name}/transposed", perm=_swapped(len(self.shapes[b])))
        scaled = bool(np.any(np.not_equal(gain, 1)))
        product = self.op("MatMul", [a, b], f"{node.name}/product" if scaled else node.name)
        if scaled:
            self.op("Mul", [product, self.constant(f"{node.name}/gain", np.array(gain))], node.name)

    def layernorm(self, node: RealNode) -> None:
        gamma = self.constant(f"{node.name}/gamma", node.params["gamma"])
        beta = self.constant(f"{node.name}/beta", node.params["beta"])
        self.op("LayerNormalization", [node.inputs[0], gamma, beta], node.name, axis=-1, epsilon=node.params["eps"])

    def unit(self, node: RealNode) -> None:
        self.op("LpNormalization", [node.inputs[0]], node.name, axis=-1, p=2)

    def heads(self, node: RealNode) -> None:
        *leading, tokens, channels = self.shapes[node.inputs[0]]
        heads = node.params["heads"]
        x = self.reshape(node.inputs[0], [*leading, tokens, heads, channels // heads], f"{node.name}/split")
        self.op("Transpose", [x], node.name, perm=_swapped(len(leading) + 3, -3, -2))

    def merge_heads(self, node: RealNode) -> None:
        x = self.op(
            "Transpose", list(node.inputs), f"{node.name}/tokens", perm=_swapped(len(self.shapes[node.inputs[0]]), -3, -2)
        )
        self.reshape(x, self.shapes[node.name], node.name)

    def reshaped(self, node: RealNode) -> None:
        """A movement that only changes the shape."""
        self.reshape(node.inputs[0], self.shapes[node.name], node.name)

    def blocks(self, node: RealNode) -> None:
        """A movement that swaps two of the axes into which a grid [h, w, channels] is split."""
        (*_, channels), out = self.shapes[node.inputs[0]], self.shapes[node.name]
        height, width = (out if node.op == "merge_windows" else self.shapes[node.inputs[0]])[:2]
        size = 2 if node.op == "merge_patches" else node.params.get("size") or math.isqrt(self.shapes[node.inputs[0]][-2])
        cut, perm = [height // size, size, width // size, size, channels], [0, 2, 1, 3, 4]
        if node.op == "merge_windows":
            cut = [height // size, width // size, size, size, channels]
        elif node.op == "merge_patches":
            perm = [0, 2, 3, 1, 4]
        x = self.reshape(node.inputs[0], cut, f"{node.name}/cut")
        x = self.op("Transpose", [x], f"{node.name}/swapped", perm=perm)
        self.reshape(x, out, node.name)

    def roll(self, node: RealNode) -> None:
        """As PyTorch exports it: two parts of every rolled axis, concatenated in the opposite order."""
        x = node.inputs[0]
        for axis, shift, output in ((0, node.params["rows"], f"{node.name}/rows"), (1, node.params["columns"], node.name)):
            side = self.shapes[node.inputs[0]][axis]
            cut = -shift % side
            parts = [self.part(x, axis, *ends, f"{output}/{i}") for i, ends in enumerate(((cut, side), (0, cut)))]
            x = self.op("Concat", parts, output, axis=axis)

    def relative_positions(self, node: RealNode) -> None:
        """Computed at export, because its table is constant."""
        table = self.tables[node.inputs[0]]
        self.constant(node.name, REGISTRY["relative_positions"].steps(table, **node.params)["out"])

    def masked_softmax(self, node: RealNode) -> None:
        mask = np.where(visible(node.params["regions"]), 0.0, MASKED)[:, None]
        x = self.op("Add", [node.inputs[0], self.constant(f"{node.name}/mask", mask)], f"{node.name}/masked")
        self.op("Softmax", [x], node.name, axis=-1)

    def mean(self, node: RealNode) -> None:
        axes = self.constant(f"{node.name}/axes", np.array([-2]))
        self.op("ReduceMean", [node.inputs[0], axes], node.name, keepdims=0)

    def average(self, node: RealNode) -> None:
        x = self.op("Add", list(node.inputs), f"{node.name}/sum")
        self.op("Mul", [x, self.constant(f"{node.name}/half", np.array(0.5))], node.name)

    def slice(self, node: RealNode) -> None:
        if node.inputs[0] in self.moves:
            self._defer(node)
        else:
            self._slice(node.inputs[0], node, node.name)

    def upsample(self, node: RealNode) -> None:
        self._defer(node)

    def argmax(self, node: RealNode) -> None:
        x = node.inputs[0]
        labels = self.op("ArgMax", [self.source.get(x, x)], f"{node.name}/classes", axis=-1, keepdims=0)
        for move in self.moves.get(x, []):
            output = f"{node.name}/{move.name}"
            labels = self._spread(labels, move, output) if move.op != "slice" else self._slice(labels, move, output)
        self.op("Identity", [labels], node.name)

    def _defer(self, node: RealNode) -> None:
        before = node.inputs[0]
        self.moves[node.name] = [*self.moves.get(before, []), node]
        self.source[node.name] = self.source.get(before, before)

    def _slice(self, x: str, node: RealNode, output: str) -> str:
        pixels_only = node.inputs[0] in self.moves  # the axis of classes is gone
        return self.part(x, node.params["axis"] + pixels_only, node.params["start"], node.params["stop"], output)

    def part(self, x: str, axis: int, start: int, stop: int, output: str) -> str:
        """``[start, stop)`` of an axis."""
        ends = [self.constant(f"{output}/{key}", np.array([at])) for key, at in (("start", start), ("stop", stop))]
        return self.op("Slice", [x, *ends, self.constant(f"{output}/axis", np.array([axis]))], output)

    def _spread(self, labels: str, node: RealNode, output: str) -> str:
        factor = node.params["factor"]
        rows, columns = (-(-pixels // factor) for pixels in self.size)
        axes = self.constant(f"{output}/axes", np.array([1, 3]))
        x = self.op("Unsqueeze", [labels, axes], f"{output}/apart")
        shape = self.constant(f"{output}/shape", np.array([rows, factor, columns, factor]))
        x = self.op("Expand", [x, shape], f"{output}/expanded")
        return self.reshape(x, [rows * factor, columns * factor], f"{output}/spread")


def _swapped(axes: int, a: int = -2, b: int = -1) -> list[int]:
    """The order of axes with two of them swapped."""
    order = list(range(axes))
    order[a], order[b] = order[b], order[a]
    return order


def _same_operator(kind: str, **attributes: Any) -> Callable[[_Export, RealNode], None]:
    """The rule for an operator that ONNX has, too."""

    def rule(export: _Export, node: RealNode) -> None:
        export.op(kind, list(node.inputs), node.name, **attributes)

    return rule


def _concat(export: _Export, node: RealNode) -> None:
    export.op("Concat", list(node.inputs), node.name, axis=node.params["axis"])


def _constant(export: _Export, node: RealNode) -> None:
    export.constant(node.name, node.params["value"])
    export.tables[node.name] = np.asarray(node.params["value"])


EXPORT_RULES: dict[str, Callable[[_Export, RealNode], None]] = {
    "input": _Export.input,
    "constant": _constant,
    "normalize": _Export.normalize,
    "patches": _Export.patches,
    "linear": _Export.linear,
    "matmul": _Export.matmul,
    "layernorm": _Export.layernorm,
    "unit": _Export.unit,
    "softmax": _same_operator("Softmax", axis=-1),
    "gelu": _same_operator("Gelu"),
    "add": _same_operator("Add"),
    "concat": _concat,
    "slice": _Export.slice,
    "heads": _Export.heads,
    "merge_heads": _Export.merge_heads,
    "grid": _Export.reshaped,
    "tokens": _Export.reshaped,
    "windows": _Export.blocks,
    "merge_windows": _Export.blocks,
    "merge_patches": _Export.blocks,
    "roll": _Export.roll,
    "relative_positions": _Export.relative_positions,
    "masked_softmax": _Export.masked_softmax,
    "mean": _Export.mean,
    "average": _Export.average,
    "requantize": _same_operator("Identity"),
    "upsample_nearest": _Export.upsample,
    "argmax": _Export.argmax,
}
