"""Cases for linear and matmul."""

from __future__ import annotations

from typing import Any

from ..rules.solving import HIGH, LOW
from .drafting import I8, I16, CaseDraft

CHOSEN = 4  # output channels of a model's layer at level 1


def linear(d: CaseDraft) -> None:
    """Products of the ends, sums at the ends of i32, biases, square weights, rows."""
    x, weight = [-128, 127, 0, 5], [[-128, 127, 1, 2], [127, -128, 0, -7], [0, 0, 0, 0]]
    d.add("AccumulatorEnds", x=x, weight=weight, bias=[0, -100, HIGH])
    for bias in ([HIGH - 16384, LOW + 16256], [HIGH - 16384 - 2**30, LOW + 16256 + 2**30]):
        d.add("SingleElement AccumulatorEnds", x=[-128], weight=[[-128], [127]], bias=bias)
    d.add("AccumulatorOverflow", "one too high", x=[-128], weight=[[-128]], bias=[HIGH - 16383])
    d.add("AccumulatorOverflow", "one too low", x=[-128], weight=[[127]], bias=[LOW + 16255])
    long, column = d.draws.some(129, I8), d.draws.some(129, I8)
    d.add("LongRow", "129 values", x=long, weight=[column, long], bias=[1, -1])
    d.add("AccumulatorEnds LongRow", "2**23 and -2**23", x=[-128] * 512, weight=[[-128] * 512, [127] * 512], bias=[0, 0])
    square = d.draws.nested((4, 4), I8)
    d.add("Square BiasSign", x=[3, -5, 7, -11], weight=square, bias=[2**20, -(2**20), 99, -99])
    d.add("SeveralRows Square", x=d.draws.nested((4, 4), I8), weight=square, bias=[1, -2, 3, -4])
    d.add("SeveralRows", x=d.draws.nested((2, 3, 4), I8), weight=square, bias=[1000, -2000, 3000, -4000])
    for _ in range(20 if d.long else 3):
        rows, depth, channels = d.draws.one(1, 3), d.draws.one(1, 40), d.draws.one(1, 5)
        weight = d.draws.nested((channels, depth), I8)
        d.add("Random", x=d.draws.nested((rows, depth), I8), weight=weight, bias=d.draws.some(channels, (-9999, 9999)))
    if d.long:
        every = [[v] for v in range(-128, 128)]
        d.add("Exhaustive", "every product of two i8", x=every, weight=every, bias=[0] * 256)
    good: dict[str, Any] = {"x": [1, 2], "weight": [[3, 4]], "bias": [5]}
    bad: list[dict[str, Any]] = [{"x": [0, 128]}, {"x": [1]}, {"x": []}, {"weight": [[0, -129]]}, {"weight": [3, 4]}]
    d.refuse(good, *bad, {"bias": [HIGH + 1]}, {"bias": [5, 6]})
    for name, params in d.nodes.items():
        _layer(d, name, params["weight"], params["bias"])


def _layer(d: CaseDraft, name: str, weight: list[list[int]], bias: list[int]) -> None:
    """A model's own layer on the inputs that drive a channel to its highest and lowest sum, and on random inputs.

    Level 1 keeps the channels with the largest sums, and the first and the last.
    """
    reach = sorted(range(len(weight)), key=lambda i: -sum(map(abs, weight[i])) - abs(bias[i]))
    kept = range(len(weight)) if d.long else sorted({*reach[: CHOSEN - 2], 0, len(weight) - 1})
    steepest = weight[reach[0]]
    x = [[end if w > 0 else other for w in steepest] for end, other in (I8, I8[::-1])]
    x.append(d.draws.some(len(steepest), I8))
    d.add("Model", name, x=x, weight=[weight[i] for i in kept], bias=[bias[i] for i in kept])


def matmul(d: CaseDraft) -> None:
    """Products of the ends, both layouts of the right-hand matrix, batches, sums at the ends of i32."""
    a, b = [[-32768, 32767, 1], [3, -4, 5]], [[-128, 127], [1, -2], [7, 0]]
    d.add("AccumulatorEnds", a=a, b=b)
    d.add("Transposed", a=a, b=[list(column) for column in zip(*b, strict=True)], transpose_b=1)
    for transpose_b in (0, 1):
        d.add("Transposed Square", a=[[1, 2], [3, 4]], b=[[5, 6], [7, 8]], transpose_b=transpose_b)
    d.add("SingleElement AccumulatorEnds", a=[[-32768]], b=[[-128]])
    d.add("AccumulatorEnds LongRow", "2**31 - 2**22", a=[[-32768] * 511], b=[[-128]] * 511)
    d.add("AccumulatorEnds LongRow", "near -2**31", a=[[-32768] * 516], b=[[127] * 516], transpose_b=1)
    d.add("AccumulatorOverflow", "2**31", a=[[-32768] * 512], b=[[-128]] * 512)
    for transpose_b in (0, 1):
        a, b = d.draws.nested((2, 3, 4), I16), d.draws.nested((2, 4, 4), I8)
        d.add("SeveralRows Square", "two pairs", a=a, b=b, transpose_b=transpose_b)
    a, b = d.draws.nested((2, 2, 2, 3), I16), d.draws.nested((2, 2, 3, 5), I8)
    d.add("SeveralRows", "two by two pairs", a=a, b=b, transpose_b=0)
    for _ in range(20 if d.long else 3):
        rows, depth, columns = d.draws.one(1, 4), d.draws.one(1, 40), d.draws.one(1, 5)
        d.add("Random", a=d.draws.nested((rows, depth), I16), b=d.draws.nested((depth, columns), I8), transpose_b=0)
    if d.long:
        every = [[v] for v in range(-128, 128)]
        d.add("Exhaustive", "every product of two i8", a=every, b=every, transpose_b=1)
    good: dict[str, Any] = {"a": [[1, 2]], "b": [[3], [4]], "transpose_b": 0}
    bad: list[dict[str, Any]] = [{"a": [[0, 32768]]}, {"b": [[3], [128]]}, {"a": [1, 2]}, {"a": [[1]]}]
    d.refuse(good, *bad, {"transpose_b": 1}, {"transpose_b": 2}, {"a": [[[1, 2]]]})
    for name, params in d.nodes.items():
        size = 8
        a, b = d.draws.nested((2, 2, size), I16), d.draws.nested((2, size, size), I8)
        d.add("Model", name, a=a, b=b, **params)
