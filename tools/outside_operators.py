"""Compare the operators of examples/operators with public integer data: Deeploy's recordings, HeatViT's vectors.

    python tools/outside_operators.py CHECKOUT

CHECKOUT is a working tree of pulp-platform/Deeploy (DeeployTest/Tests/Models/CCT/Int) or of YOUXINYANG/HeatViT
(sim/vectors). Prints how many elements agree, by operator, and what was skipped and why. Every node of a network is
computed from the recorded inputs where they are recorded. Exit code 0: all agree, 1: some do not, 2: no such data.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from intsim.arith import round_divide
from intsim.dialects import RTL

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "examples" / "operators"))

import intsim_example_operators as ours  # noqa: E402  found beside this file, not installed

MODELS, VECTORS = Path("DeeployTest", "Tests", "Models", "CCT", "Int"), Path("sim", "vectors")


@dataclass(frozen=True)
class Comparison:
    """Elements of one operator under one convention: how many, and how many agree."""

    operator: str
    convention: str
    elements: int
    agree: int


def compared(operator: str, convention: str, found: NDArray, due: NDArray) -> Comparison:
    """The elements of a result beside those that are due."""
    return Comparison(operator, convention, due.size, int((np.ravel(found) == np.ravel(due)).sum()))


# --- Deeploy ------------------------------------------------------------------------------------------------------------


def convolved(x: NDArray, weight: NDArray, attributes: dict) -> NDArray:
    """A convolution of ``[n, c, h, w]`` without dilation, in one group."""
    top, left, bottom, right = attributes["pads"]
    rows, columns = attributes["strides"]
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, ::rows, ::columns]
    return np.einsum("nchwij,ocij->nohw", windows, weight)


def pooled(x: NDArray, attributes: dict) -> NDArray:
    """A maximum over windows, without padding."""
    windows = np.lib.stride_tricks.sliding_window_view(x, attributes["kernel_shape"], axis=(2, 3))
    rows, columns = attributes["strides"]
    return windows[:, :, ::rows, ::columns].max(axis=(-2, -1))


def averaged(x: NDArray, axis: int) -> NDArray:
    """A mean, ties up."""
    return round_divide(x.sum(axis=axis), x.shape[axis], "half_up")


PLAIN: dict[str, Callable[..., NDArray]] = {
    "Conv": lambda attributes, x, weight: convolved(x, weight, attributes),
    "MaxPool": lambda attributes, x: pooled(x, attributes),
    "Transpose": lambda attributes, x: x.transpose(attributes["perm"]),
    "Reshape": lambda attributes, x, shape: x.reshape(shape.tolist()),
    "MatMul": lambda attributes, a, b: a @ b,
    "Add": lambda attributes, a, b: a + b,
    "Gather": lambda attributes, x, index: x.take(int(index), axis=attributes["axis"]),
    "IntegerMean": lambda attributes, x: averaged(x, attributes["axes"][0]),
    "Gemm": lambda attributes, x, weight, bias: x @ (weight.T if attributes["transB"] else weight) + bias,
}


def logarithm(value: float) -> int:
    """The exponent of a power of two."""
    exponent = int(value).bit_length() - 1
    if 1 << exponent != value:
        raise SystemExit(f"a divisor of {value} is no power of two")
    return exponent


def requantized(attributes: dict, x: NDArray, m: NDArray, add: NDArray) -> Iterator[tuple[str, NDArray]]:
    """RequantShift by each rounding; factors per channel stand before height and width."""
    last = x if m.size == 1 else np.moveaxis(x, 1, -1)
    for rounding in ("half_up", "floor", "half_even"):
        out = ours.requant_add.OP(
            last,
            m=int(m) if m.size == 1 else m.ravel(),
            add=int(add) if add.size == 1 else add.ravel(),
            e=logarithm(float(np.ravel(attributes["div"])[0])),
            b=logarithm(attributes["n_levels_out"][0]),
            nonnegative=int(attributes["signed"][0] == 0),
            dialect=RTL.replace(requant_rounding=rounding),
        )
        yield f"requant_rounding {rounding}", out if m.size == 1 else np.moveaxis(out, -1, 1)


def normalized(attributes: dict, x: NDArray, gain: NDArray, bias: NDArray) -> Iterator[tuple[str, NDArray]]:
    """ILayerNorm."""
    shift = logarithm(attributes["D"][0])
    yield "", ours.deeploy_layernorm.OP(x, gain=gain, bias=bias, shift=shift)


def gelu(attributes: dict, x: NDArray) -> Iterator[tuple[str, NDArray]]:
    """IGELU."""
    yield "", ours.deeploy_gelu.OP(x, b=attributes["b"], one=attributes["one"])


def softmax(attributes: dict, x: NDArray) -> Iterator[tuple[str, NDArray]]:
    """ITAMax and ITAPartialMax, whose results are stored with or without an offset."""
    for top in (255, 127):
        if "group_width" in attributes:
            out = ours.ita_streaming_softmax.OP(x, width=attributes["group_width"], top=top)
        else:
            out = ours.ita_softmax.OP(x, top=top)
        for offset in (0, -128):
            yield f"top {top}, offset {offset}", out.astype(np.int64) + offset


OPERATORS = {
    "RequantShift": ("requant_add", requantized),
    "iLayerNorm": ("deeploy_layernorm", normalized),
    "iGELU": ("deeploy_gelu", gelu),
    "ITAMax": ("ita_softmax", softmax),
    "ITAPartialMax": ("ita_streaming_softmax", softmax),
}


class Recording:
    """One network of Deeploy with its recorded tensors; by the name of a node what is recorded of it, or computed here."""

    def __init__(self, folder: Path) -> None:
        import onnx
        from onnx import helper, numpy_helper

        self.model = onnx.load(folder / "network.onnx").graph
        self.recorded = {key: value.astype(np.int64) for key, value in np.load(folder / "activations.npz").items()}
        self.values = {x.name: numpy_helper.to_array(x).astype(np.int64) for x in self.model.initializer}
        self.values |= {key: value.astype(np.int64) for key, value in np.load(folder / "inputs.npz").items()}
        self.attributes = {}
        for node in self.model.node:
            found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            tensors = {key: numpy_helper.to_array(v) for key, v in found.items() if hasattr(v, "dims")}
            self.attributes[node.name] = found | {key: np.atleast_1d(v).tolist() for key, v in tensors.items()}
        self.keys = {node.output[0]: key for node in self.model.node if (key := self._key(node))}

    def _key(self, node: object) -> str | None:
        """The recorded tensor of a node: a module of one or two nodes, the last of which is recorded."""
        module = node.name.rpartition("_")[0].lower().replace(".", "_").lstrip("_")  # type: ignore[attr-defined]
        of_module = [n.name for n in self.model.node if n.name.rpartition("_")[0] == node.name.rpartition("_")[0]]  # type: ignore[attr-defined]
        if of_module[-1] != node.name or not any(c.isdigit() for c in module):  # type: ignore[attr-defined]
            return None
        return next((key for key in self.recorded if f"_{key}".endswith(f"_{module}")), None)

    def comparisons(self, skipped: dict[str, int]) -> Iterator[Comparison]:
        """Every operator of ours with its recorded result, and every plain operation, which shows that inputs are right."""
        pending: dict[str, list[tuple[str, NDArray]]] = {}  # results that are not recorded, by convention
        for node in self.model.node:
            name, attributes, args = node.output[0], self.attributes[node.name], [self.values[key] for key in node.input]
            due = self.recorded.get(self.keys.get(name, ""))
            unsure = [key for key in node.input if key in pending]
            if node.op_type in OPERATORS and not unsure:
                operator, run = OPERATORS[node.op_type]
                found = list(run(attributes, *args))
                if due is not None:
                    yield from (compared(operator, convention, out, due) for convention, out in found)
                else:
                    pending[name] = [(f"{operator}: {convention}", out) for convention, out in found]
                value = found[0][1]
            elif node.op_type in OPERATORS or node.op_type in PLAIN:
                run = PLAIN.get(node.op_type, lambda *args: next(requantized(*args))[1])
                value = run(attributes, *args)
                outcomes = [
                    (label, run(attributes, *(out if key == unsure[0] else self.values[key] for key in node.input)))
                    for label, out in (pending[unsure[0]] if unsure else ())
                ]
                if due is None and outcomes:
                    pending[name] = outcomes
                for label, out in outcomes if due is not None else ():
                    operator, _, convention = label.partition(": ")
                    yield compared(f"{operator} by what reads it", convention, out, due)
                if due is not None and not unsure:
                    yield compared(f"plain {node.op_type}", "", value, due)
            else:
                raise SystemExit(f"{node.name}: {node.op_type} is not known to this tool")
            self.values[name] = value if due is None else due
        used = set(self.keys.values())
        skipped.update({f"{key}: recorded, no node has its name": 1 for key in self.recorded if key not in used})


def deeploy(folder: Path) -> tuple[list[Comparison], dict[str, int]]:
    """What agrees in every network with recorded tensors, and what was skipped."""
    found: list[Comparison] = []
    skipped: dict[str, int] = {}
    for network in sorted(path for path in folder.iterdir() if path.is_dir()):
        if not (network / "activations.npz").is_file():
            skipped[f"{network.name}: no activations.npz"] = 1
            continue
        found += Recording(network).comparisons(skipped)  # skipped: filled while they are compared
    return found, skipped


# --- HeatViT ------------------------------------------------------------------------------------------------------------


def words(folder: Path) -> list[int]:
    """The words of a suite of one file behind its count, which its manifest has a hash of."""
    (file,) = json.loads((folder / "manifest.json").read_text())["files"]
    data = (folder / file["name"]).read_bytes()
    if hashlib.sha256(data).hexdigest() != file["sha256"]:
        raise SystemExit(f"{folder / file['name']}: is not what its manifest.json has the SHA-256 of")
    return [int(line, 16) for line in data.split()][1:]


def bits(word: int, low: int, width: int, signed: bool = False) -> int:
    """A field of a word."""
    value = word >> low & (1 << width) - 1
    return value - (1 << width) if signed and value >> (width - 1) else value


def heatvit(folder: Path) -> tuple[list[Comparison], dict[str, int]]:
    """The GELU and both softmaxes; rows are told by their length, which is in every word."""
    found, suites = [], [path.name for path in sorted(folder.iterdir()) if path.is_dir()]
    if (folder / "nonlinear" / "manifest.json").is_file():
        given = words(folder / "nonlinear")
        x, due = (np.array([bits(w, low, 24, signed=True) for w in given]) for low in (0, 24))
        found.append(compared("heatvit_gelu", "", ours.heatvit_gelu.OP(x), due))
    if (folder / "softmax" / "manifest.json").is_file():
        given, at = words(folder / "softmax"), 0
        results: dict[str, tuple[list[NDArray], list[int]]] = {"attention": ([], []), "selector": ([], [])}
        while at < len(given):
            row = given[at : at + bits(given[at], 0, 8)]
            x, at = np.array([bits(w, 8, 24, signed=True) for w in row]), at + len(row)
            for kind, params, field in (
                ("attention", {"delta": 32768, "drop": 8, "top": 255}, (32, 8)),
                ("selector", {"delta": 65536, "drop": 0, "top": 65536}, (40, 17)),
            ):
                results[kind][0].append(ours.heatvit_softmax.OP(x, **params))
                results[kind][1].extend(bits(w, *field) for w in row)
        for kind, (out, expected) in results.items():
            found.append(compared("heatvit_softmax", kind, np.concatenate(out), np.array(expected)))
    skipped = {f"suite {name}: no operator of ours": 1 for name in suites if name not in ("nonlinear", "softmax")}
    return found, skipped


# ------------------------------------------------------------------------------------------------------------------------


def printed(found: list[Comparison], skipped: dict[str, int]) -> bool:
    """Print the sums by operator and convention; whether each operator has a convention under which all agree."""
    sums: dict[str, dict[str, tuple[int, int, int]]] = {}
    for one in found:
        conventions = sums.setdefault(one.operator, {})
        before = conventions.get(one.convention, (0, 0, 0))
        conventions[one.convention] = (before[0] + 1, before[1] + one.elements, before[2] + one.agree)
    for operator, conventions in sums.items():
        for convention, (tensors, elements, agree) in conventions.items():
            label = f"{operator}{f' ({convention})' if convention else ''}"
            print(f"{label:68} {tensors:3} tensors  {agree:>9,} of {elements:>9,} elements agree")
    for reason, count in skipped.items():
        print(f"skipped: {reason}{f', {count} times' if count > 1 else ''}")
    return all(any(agree == elements for _, elements, agree in own.values()) for own in sums.values())


def main() -> None:
    """Compare with whichever data the checkout has."""
    if len(sys.argv) != 2:
        sys.exit(print("usage: python tools/outside_operators.py CHECKOUT", file=sys.stderr) or 2)
    checkout = Path(sys.argv[1])
    for part, compare in ((MODELS, deeploy), (VECTORS, heatvit)):
        if (checkout / part).is_dir():
            try:
                found, skipped = compare(checkout / part)
            except ImportError as error:
                sys.exit(print(f"{error}; install the extra onnx", file=sys.stderr) or 2)
            if found:
                sys.exit(0 if printed(found, skipped) else 1)
    names = f"{MODELS} of pulp-platform/Deeploy, or {VECTORS} of YOUXINYANG/HeatViT"
    sys.exit(print(f"{checkout}: has no data to compare with: neither {names}", file=sys.stderr) or 2)


if __name__ == "__main__":
    main()
