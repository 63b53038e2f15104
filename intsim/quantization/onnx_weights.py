"""The weights in an ONNX file, under the names of the network that was exported.

Exporters keep the names of most parameters. The weight of a linear layer becomes a factor of a product, transposed and
without a name: it belongs to the layer whose bias is added behind the product, or to the module that the product's node is
named after. Tokens and positions that an exporter has computed ahead are found by the concatenation that takes them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..arith import AnyArray
from ..errors import FileError

SCOPES = "pkg.torch.onnx.name_scopes"  # of PyTorch's exporter: the modules that a node comes from, outermost first
PARAMETER = re.compile(r"\w+(\.\w+)+|cls_token|dist_token|reg_token|pos_embed")
PATCHES = re.compile(r"(?P<before>.*?)(?P<theirs>patch_embeddings\.projection|patch_embed\.proj)\.weight")
TIMM_NAMES = {"token": "cls_token", "second": "dist_token", "registers": "reg_token", "positions": "pos_embed"}
TRANSFORMERS_NAMES = {
    "token": "cls_token",
    "second": "distillation_token",
    "registers": "register_tokens",
    "positions": "position_embeddings",
}
QUANTIZED = ("DequantizeLinear", "QLinearMatMul", "MatMulInteger")
OTHER_ACTIVATIONS = ("Relu", "LeakyRelu", "Elu", "HardSwish", "HardSigmoid", "Sigmoid", "Mish")
TANH = "Tanh"  # an activation behind the first layer of an MLP; a pooler, which is not read, has one, too
FIRST = re.compile(r".*(fc1|intermediate\.dense)\.weight")  # layers of an MLP
EXTERNAL = 1  # a tensor's values are in a file beside


class Stored(NamedTuple):
    """One weight: its shape, its type by safetensors' name, and how to read it."""

    shape: tuple[int, ...]
    kind: str
    read: Callable[[], AnyArray]


def exported_weights(path: Path) -> dict[str, Stored]:
    """The weights in an ONNX file by the names that they had before the export; constants without a name are left out.

    Raises FileError for a file that is not ONNX, that is quantized, or whose activation is not the exact GELU.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise FileError(f"{path}: ONNX files need onnx: pip install 'intsim[onnx]', or save the weights otherwise") from None
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except (DecodeError, ValueError, OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: not an ONNX file, or a truncated one ({type(error).__name__})") from None
    if not graph.node:
        raise FileError(f"{path}: not an ONNX file, or one without a graph")
    _require_float_gelu(path, graph)
    return _Export(path, graph).weights()


def _require_float_gelu(path: Path, graph: Any) -> None:
    operators = {node.op_type for node in graph.node}
    if quantized := [name for name in QUANTIZED if name in operators]:
        raise FileError(f"{path}: is quantized, it has {quantized[0]}; expected the float network, which intsim quantizes")
    if other := [name for name in OTHER_ACTIVATIONS if name in operators]:
        raise _another(path, other[0])
    if not operators & {"Gelu", "Erf"}:
        raise _another(path, TANH if TANH in operators else "not known")
    if any(a.name == "approximate" and a.s == b"tanh" for n in graph.node if n.op_type == "Gelu" for a in n.attribute):
        raise _another(path, "GELU by tanh")


def _another(path: Path, activation: str) -> FileError:
    return FileError(f"{path}: its activation is {activation}; supported is the exact GELU (Gelu, or Erf)")


class _Export:
    """The graph of a file, and who takes what in it."""

    def __init__(self, path: Path, graph: Any) -> None:
        self.path, self.nodes = path, graph.node
        self.stored: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
        if len(self.stored) < len(graph.initializer):
            raise FileError(f"{path}: two of its tensors have one name")
        self.users: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)

    def weights(self) -> dict[str, Stored]:
        """All weights that have a name, or get one."""
        self.require_gelus()
        found = {name: self.as_stored(name) for name in self.stored if PARAMETER.fullmatch(name)}
        for name, factor, transposed in self.factors():
            found[name] = self.as_stored(factor, transposed)
        return found | self.tokens(found)

    def as_stored(self, name: str, transposed: bool = False) -> Stored:
        """A tensor of the file."""
        from onnx import helper

        tensor = self.stored[name]
        shape = tuple(int(side) for side in tensor.dims)
        if any(side < 0 for side in shape):
            raise FileError(f"{self.path}: tensor {name} has the shape {list(shape)}")
        try:
            dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
        except (KeyError, ValueError, TypeError):
            raise FileError(
                f"{self.path}: tensor {name} has the type {tensor.data_type}, which ONNX does not have"
            ) from None
        kind = {"float64": "F64", "float32": "F32", "float16": "F16"}.get(dtype.name, dtype.name)
        read = partial(_values, self.path, tensor, shape, dtype, transposed)
        return Stored(shape[::-1] if transposed else shape, kind, read)

    def factors(self) -> Iterator[tuple[str, str, bool]]:
        """The weights of linear layers: name, initializer, and whether the file has it transposed."""
        for node in self.nodes:
            if node.op_type not in ("MatMul", "Gemm") or len(node.input) < 2 or not self.is_matrix(node.input[1]):
                continue
            turned = node.op_type == "MatMul" or not any(a.name == "transB" and a.i for a in node.attribute)
            named = PARAMETER.fullmatch(node.input[1])
            if name := node.input[1] if named else self.name_of_product(node):
                yield name, node.input[1], turned

    def require_gelus(self) -> None:
        """FileError where a GELU by tanh stands behind the first layer of an MLP."""
        for node in self.nodes:
            first = node.op_type in ("MatMul", "Gemm") and len(node.input) > 1 and self.is_matrix(node.input[1])
            name = node.input[1] if first and PARAMETER.fullmatch(node.input[1]) else first and self.name_of_product(node)
            if name and FIRST.fullmatch(name) and TANH in self.until_the_next_product(node):
                raise _another(self.path, f"GELU by tanh, or tanh, behind {name.removesuffix('.weight')}")

    def until_the_next_product(self, node: Any) -> set[str]:
        """The operators behind a node, up to products."""
        found: set[str] = set()
        waiting, seen = [*node.output], set[str]()
        while waiting:
            name = waiting.pop()
            for user in self.users.get(name, []) if name not in seen else ():
                if user.op_type not in ("MatMul", "Gemm"):
                    found.add(user.op_type)
                    waiting += user.output
            seen.add(name)
        return found

    def is_matrix(self, name: str) -> bool:
        return name in self.stored and len(self.stored[name].dims) == 2

    def name_of_product(self, node: Any) -> str | None:
        """The name of the weight in a product: that of its bias, or of the module that the node is named after."""
        sums = [user for user in self.users.get(node.output[0], []) if user.op_type == "Add"]
        for added in [*node.input[2:], *(name for user in sums for name in user.input)]:
            if added in self.stored and PARAMETER.fullmatch(added) and added.endswith(".bias"):
                return f"{added.removesuffix('.bias')}.weight"
        scopes = [entry.value for entry in getattr(node, "metadata_props", ()) if entry.key == SCOPES]
        modules = _list(scopes[0])[-2:-1] if scopes else node.name.strip("/").split("/")[:-1]
        return ".".join([*modules, "weight"]) if modules else None

    def tokens(self, known: Mapping[str, Stored]) -> dict[str, Stored]:
        """Tokens and positions without a name, where exactly one concatenation takes them."""
        embedding = next((match for name in known if (match := PATCHES.fullmatch(name))), None)
        if embedding is None:
            return {}
        names = TIMM_NAMES if embedding["theirs"] == "patch_embed.proj" else TRANSFORMERS_NAMES
        names = {part: f"{embedding['before']}{name}" for part, name in names.items()}
        found: dict[str, Stored] = {}

        def take(part: str, value: Stored) -> None:
            if names[part] not in known:
                found.setdefault(names[part], value)

        for node in self.nodes:
            rows = [self.row(name) for name in node.input] if node.op_type == "Concat" else []
            if len(rows) < 2:
                continue
            if rows[0] is None and rows[1] is not None and len(rows) == 3:
                take("registers", rows[1])
            elif rows[0] is not None and names["token"] in known:
                if (patches := self.positions_of_patches()) is not None:
                    take("positions", _beside(rows[0], patches))
            elif rows[0] is not None:
                take("token", rows[0])
                if rows[1] is not None:
                    take("second", rows[1])
        return found

    def row(self, name: str) -> Stored | None:
        """Tokens without a name, [1, tokens, channels]."""
        tensor = self.stored.get(name)
        if tensor is None or PARAMETER.fullmatch(name) or len(tensor.dims) != 3 or tensor.dims[0] != 1:
            return None
        return self.as_stored(name)

    def positions_of_patches(self) -> Stored | None:
        """The positions without those of tokens, where a resizing of them stands in the graph."""
        found = [name for name in self.stored if any(user.op_type == "Reshape" for user in self.users.get(name, []))]
        rows = [row for name in found if (row := self.row(name)) is not None and row.shape[1] > 1]
        return rows[0] if len(rows) == 1 else None


def _beside(first: Stored, rest: Stored) -> Stored:
    """Tokens behind one another."""
    shape = (1, first.shape[1] + rest.shape[1], first.shape[2])
    return Stored(shape, first.kind, lambda: np.concatenate([first.read(), rest.read()], axis=1))


def _list(text: str) -> list[str]:
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    return [str(item) for item in found] if isinstance(found, list) else []


def _values(path: Path, tensor: Any, shape: tuple[int, ...], dtype: np.dtype[Any], transposed: bool) -> AnyArray:
    """The values of a tensor, which may stand in a file beside; FileError where they are not as many as its shape says."""
    from onnx import numpy_helper

    try:
        if tensor.data_location == EXTERNAL:
            value = _external(path, {entry.key: entry.value for entry in tensor.external_data}, shape, dtype)
        else:
            value = numpy_helper.to_array(tensor).reshape(shape)
    except (ValueError, TypeError, OSError) as error:
        raise FileError(f"{path}: tensor {tensor.name} cannot be read ({error})") from None
    return np.asarray(value.T if transposed else value)


def _external(path: Path, entry: Mapping[str, str], shape: tuple[int, ...], dtype: np.dtype[Any]) -> AnyArray:
    """Values from the file that an ONNX file names, which has to lie in its folder."""
    folder, location = path.parent.resolve(), entry.get("location", "")
    file = (folder / location).resolve()
    if not location or not file.is_relative_to(folder):
        raise ValueError(f"its values are in {location!r}, outside the folder of the file")
    if not file.is_file():
        raise ValueError(f"its values are in {location}, which is not there")
    count, offset = int(np.prod(shape)), int(entry.get("offset", 0))
    if not 0 <= offset <= file.stat().st_size - count * dtype.itemsize:
        raise ValueError(f"{location} is too short for {count} values at {offset}")
    return np.fromfile(file, dtype.newbyteorder("<"), count, offset=offset).reshape(shape)
