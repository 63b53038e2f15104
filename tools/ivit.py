"""The tables of docs/ivit.md: I-ViT's published PyTorch arithmetic compared with integers, and its two dialects compared.

    python tools/ivit.py float32            the three nonlinear operators, simulated in float32 as published
    python tools/ivit.py dialects [FILE]    ivit and ivit-tvm on one network, node by node
    python tools/ivit.py names KIND         the node that corresponds to each module; KIND is deit, swin or segmenter

The float32 forms below follow the formulas of the published modules (IntSoftmax, IntGELU, IntLayerNorm), whose tensors are
floats that represent ``integer * scale``. Sums are computed in float64 and rounded once, which is more exact than float32
additions in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from intsim import dialects, ops
from intsim.dialects import gelu_parameters, softmax_parameters
from intsim.engine.graph import CONSTANT, INPUT, Graph
from intsim.engine.interpreter import replay, run
from intsim.quantization import Checkpoint
from intsim.quantization.ivit import import_checkpoint, input_scale
from intsim.quantization.ivit_names import modules
from intsim.quantization.ivit_records import offset_pixels

MINI = Path(__file__).parent.parent / "golden" / "ivit-deit-mini.npz"
ONE = np.float32(1)
LARGEST = np.float32(2**31 - 1)
# A power of two, for which x / s is exactly the integer, and typical ones: 127 represents 6.3, 12.7, 4.1.
SCALES = (2.0**-4, 6.3 / 127, 12.7 / 127, 4.1 / 127)
ROWS = 2000


def summed(x: NDArray) -> NDArray:
    """The sum of every row, rounded once to float32."""
    return x.astype(np.float64).sum(axis=-1, keepdims=True).astype(np.float32)


def int_exp_shift(x: NDArray, s: np.float32, n: int) -> NDArray:
    """The exponential of I-ViT's PyTorch modules, in float32."""
    x = x + np.floor(x / 2) - np.floor(x / 16)
    x0 = np.floor(-ONE / s)
    x = np.maximum(x, np.float32(n) * x0)
    q = np.floor(x / x0)
    r = x - x0 * q
    e = r / 2 - x0
    return np.maximum(np.floor(np.ldexp(e, (np.float32(n) - q).astype(np.int32))), np.float32(0))


def int_softmax(x: NDArray, s: np.float32) -> NDArray:
    """IntSoftmax with 16 bits in float32: its output as integers."""
    x = x / s
    e = int_exp_shift(x - x.max(axis=-1, keepdims=True), s, 15)
    factor = np.floor(LARGEST / np.minimum(summed(e), LARGEST))
    return np.floor(e * factor / np.float32(2 ** (31 - 16 + 1)))


def int_gelu(x: NDArray, s: np.float32) -> NDArray:
    """IntGELU with 8 bits in float32."""
    x = x / s
    top = x.max(axis=-1, keepdims=True)
    narrow = s * np.float32(1.702)
    e, e_top = int_exp_shift(x - top, narrow, 23), int_exp_shift(-top, narrow, 23)
    factor = np.floor(LARGEST / np.minimum(e + e_top, LARGEST))
    return x * np.floor(e * factor / np.float32(2 ** (31 - 8 + 1)))


def int_layernorm(x: NDArray, s: np.float32) -> NDArray:
    """IntLayerNorm in float32, before its bias."""
    x = x / s
    y = x - np.rint(summed(x) / np.float32(x.shape[-1]))
    variance, k = summed(y * y), np.float32(2**16)
    for _ in range(10):
        k = np.floor((k + np.floor(variance / k)) / 2)
    return np.floor(y * np.floor(LARGEST / k) / 2)


def cases() -> Iterator[tuple[str, float, NDArray, NDArray]]:
    """Operator, scale, results in float32, and the expected integers."""
    rng = np.random.default_rng(1)
    logits = np.clip(np.rint(rng.normal(0, 30, (ROWS, 197))), -128, 127).astype(np.int8)
    hidden = np.clip(np.rint(rng.normal(0, 25, (ROWS // 8, 1536))), -128, 127).astype(np.int8)
    stream = np.clip(np.rint(rng.normal(400, 5000, (ROWS // 2, 384))), -32768, 32767).astype(np.int16)
    for scale in SCALES:
        s = np.float32(scale)
        params = softmax_parameters(float(s), 197, dialects.IVIT)
        expected = ops.shiftmax(logits, **params, dialect=dialects.IVIT)
        yield "shiftmax", scale, int_softmax(logits.astype(np.float32) * s, s), expected
    for scale in SCALES:
        s = np.float32(scale)
        expected = ops.shiftgelu(hidden, **gelu_parameters(float(s), dialects.IVIT), dialect=dialects.IVIT)
        yield "shiftgelu", scale, int_gelu(hidden.astype(np.float32) * s, s), expected
    for scale in SCALES:
        s = np.float32(scale / 256)
        expected = ops.layernorm(stream, np.zeros(stream.shape[-1], np.int32), dialect=dialects.IVIT)
        yield "layernorm", scale / 256, int_layernorm(stream.astype(np.float32) * s, s), expected


@click.group()
def main() -> None:
    """The tables of docs/ivit.md."""


@main.command("float32")
def float32() -> None:
    """The share of elements for which a float32 simulation differs from the integers."""
    click.echo(
        f"{'operator':<10} {'scale':>10} {'elements':>9} {'not whole':>9} {'differ':>7} {'largest':>9} {'of the range':>12}"
    )
    for name, scale, simulated, expected in cases():
        error = simulated.astype(np.float64) - expected
        broken = np.mean(simulated != np.floor(simulated))
        worst = np.abs(error).max()
        click.echo(
            f"{name:<10} {scale:>10.6f} {expected.size:>9,} {broken:>9.1%} {np.mean(error != 0):>7.1%} {worst:>9,.4g} "
            f"{worst / np.abs(expected.astype(np.float64)).max():>12.1e}"
        )


@main.command("dialects")
@click.argument("file", type=click.Path(path_type=Path), default=MINI)
def side_by_side(file: Path) -> None:
    """Every node in ivit-tvm: on its inputs in ivit, and in a run of the whole network."""
    first, picture = network(file, dialects.IVIT)
    second, _ = network(file, dialects.IVIT_TVM)
    a, b = values(first, picture), values(second, picture)
    click.echo(f"{'node':<32} {'operator':<13} {'by itself':>9} {'largest':>13} {'in the network':>14} {'noise':>8}")
    for node in second.nodes:
        if node.op in (INPUT, CONSTANT) or first.by_name[node.name].op != node.op or moves(node.op):
            continue
        expected, scales = a[node.name], (first.scales[node.name], second.scales[node.name])
        own, largest = "", ""
        if all(same_scale(first, second, name) for name in node.inputs):  # otherwise its multipliers are for other inputs
            alone = replay(second, node, [a[name] for name in node.inputs])
            coarse = (
                expected if same_scale(first, second, node.name) else expected >> 8
            )  # 16-bit probabilities as 8-bit ones
            error = alone.astype(np.int64) - coarse.astype(np.int64)
            own, largest = f"{np.mean(error != 0):.1%}", f"{np.abs(error).max():,}"
        real = [value * scale for value, scale in zip((expected, b[node.name]), scales, strict=True)]
        noise = np.sqrt(np.mean((real[0] - real[1]) ** 2) / np.mean(real[0] ** 2))
        share = f"{np.mean(real[0] != real[1]):.1%}"
        click.echo(f"{node.name:<32} {node.op:<13} {own:>9} {largest:>13} {share:>14} {noise:>8.2%}")


def network(file: Path, dialect: dialects.Dialect) -> tuple[Graph, NDArray]:
    """The network of a recording in a dialect, and its input as pixels."""
    checkpoint = Checkpoint.open(file)
    own = checkpoint.own_config()
    if own is None:
        raise click.ClickException(f"{file}: contains no configuration")
    scale = input_scale(checkpoint, own[0])
    with np.load(file) as archive:
        integers = archive["act/qact_input"][0].astype(np.int64)
    return import_checkpoint(checkpoint, own[0] | {"normalization": offset_pixels(scale)}, dialect), np.moveaxis(
        integers + 128, 0, -1
    ).astype(np.uint8)


def values(graph: Graph, picture: NDArray) -> dict[str, NDArray]:
    """Every tensor of a run, by name."""
    tensors: dict[str, NDArray] = {}
    run(graph, picture, lambda name, value: tensors.__setitem__(name, np.array(value)))
    return tensors


def same_scale(first: Graph, second: Graph, name: str) -> bool:
    """Whether a tensor has the same scale in both networks."""
    return np.array_equal(np.asarray(first.scales[name], np.float64), np.asarray(second.scales[name], np.float64))


def moves(op: str) -> bool:
    """Whether an operator only moves values."""
    return ops.REGISTRY[op].moves


@main.command("names")
@click.argument("kind", type=click.Choice(["deit", "swin", "segmenter"]))
def names(kind: str) -> None:
    """The modules of I-ViT's network and the corresponding nodes; stages and blocks are numbered {i} and {j}."""
    own = Checkpoint.open(MINI.with_name(f"ivit-{kind}-mini.npz")).own_config()
    assert own is not None
    seen: dict[str, str] = {}
    for module, node in modules(own[0]).items():
        seen.setdefault(
            *(re.sub(r"blocks\.\d+", "blocks.{j}", re.sub(r"layers\.\d+", "layers.{i}", n)) for n in (module, node))
        )
    width = max(map(len, seen))
    for module, node in seen.items():
        click.echo(f"{module:<{width}}  {node}")


if __name__ == "__main__":
    main()
