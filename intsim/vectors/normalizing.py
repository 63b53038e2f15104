"""Cases for layernorm and mean."""

from __future__ import annotations

from typing import Any

from ..arith import Variance
from ..rules.solving import HIGH, LOW, four_squares
from .drafting import I16, CaseDraft

MEANS = (
    [0, 1, 0, 1],
    [0, -1, 0, -1],
    [1, 2, 1, 2],
    [-1, -2, -1, -2],
    [0, 0, 0, 1],
    [1, 1, 1, 0],
    [0, 0, 0, -1],
    [-1, -1, -1, 0],
    [5, 6, 7],
    [1, 1, 2],
    [-1, -1, -2],
)


def layernorm(d: CaseDraft) -> None:
    """Means on ties, roots that do not converge, sums and variances that need every bit, biases, rows."""
    for row in MEANS:
        d.add("MeanTie UnconvergedRoot", f"mean {sum(row)}/{len(row)}", x=row, bias=[0, 1, -1, 5][: len(row)])
    d.add("MeanTie SeveralRows", "the means above, far from zero", x=_far_from_zero(MEANS[:8]), bias=[3, 0, -7, 9])
    d.add("ZeroVariance", x=[-5] * 5, bias=[0, 1, -1, 9, -9])
    for value in I16:
        d.add("ZeroVariance SingleElement", x=[value], bias=[-3])
    for row in ([-10, 10, -20, 20, 0], [-60, 60, -80, 80, 0], [0, 1, 0, 0, 0], [-3, 4, 0, 0, -1]):
        d.add("UnconvergedRoot", f"v {sum(x * x for x in row)}", x=row, bias=[0] * 5)
    d.add("OddHalf NegativeDividend", "f odd, y odd", x=[-1001, 1001, -3, 3], bias=[0] * 4)
    d.add("VariancePasses2^32", "v = 2**32", x=[16384, -16384] * 8, bias=[0] * 16)
    d.add("VariancePasses2^32", "v = 2**32 + 32", x=[*[16384, -16384] * 8, 4, -4], bias=[0] * 18)
    for low, high in ((-32768, 32767), (-32768, -32768 + 255)):
        d.add("SumEnds", "rows of ends", x=[low, high, low, high, high, high, low, low], bias=[0] * 8)
    d.add("PowerOfTwo", "v = 2**22, a root of 2**11", x=[1024, -1024] * 2, bias=[0] * 4)
    for k in (5001, 8191, 21001, 65535) if d.long else (5001,):
        row = [x for part in four_squares((k * k - 1) // 2) for x in (part, -part)]
        d.add("SinglePrecision", f"v = {k}**2 - 1", x=row, bias=[0] * 8)
    n, mean = 520, 32701
    for more, what in ((n // 2 - 1, "a tie"), (n - 1, "a whole mean")):  # the sum n * mean + more is odd and takes 25 bits
        d.add("SinglePrecision LongRow", f"a sum one below {what}", x=_of_sum(n * mean + more, n), bias=[0] * n)
        if d.dialect.variance is Variance.WRAP16:
            d.add("SinglePrecision LongRow", f"one below {what} in i16", x=_of_sum((259 << 16) + more, n), bias=[0] * n)
    _sums(d)
    d.add("BiasOverflow", "above", x=[-3, 3], bias=[0, HIGH])
    d.add("BiasOverflow", "below", x=[-3, 3], bias=[LOW, 0])
    d.add("BiasOverflow", "not quite", x=[0, 0], bias=[LOW, HIGH])
    d.add("BiasSign", x=[100, -100, 300, -300], bias=[2**29, -(2**29), -12345, 54321])
    d.add("LongRow", x=d.draws.some(257, (-999, 999)), bias=d.draws.some(257, (-9, 9)))
    d.add("AllNegativeRow", x=[-5, -300, -7, -20000], bias=[1, 2, 3, 4])
    d.add("SeveralRows", x=d.draws.nested((2, 3, 4), (-2000, 2000)), bias=d.draws.some(4, (-(2**20), 2**20)))
    d.add("SeveralRows Square", x=d.draws.nested((4, 4), I16), bias=d.draws.some(4, (-(2**20), 2**20)))
    for width in (3, 5, 8, 16, 31, 64, 192)[: None if d.long else 4]:
        for reach in (3, 120, 32767):
            rows = 12 if d.long else 2
            x = d.draws.nested((rows, width), (-reach, reach))
            d.add("Random SeveralRows", x=x, bias=d.draws.some(width, (-(2**24), 2**24)))
    if d.long:
        pairs = [[a, -a + shift] for a in range(400) for shift in (0, 1)]
        d.add("Exhaustive UnconvergedRoot MeanTie", "every small root, the mean whole and on a tie", x=pairs, bias=[0, 1])
        d.add("OutOfRange", "one element too many", x=[0] * 65537, bias=[0] * 65537)
    good: dict[str, Any] = {"x": [1, 2], "bias": [0, 0]}
    d.refuse(good, {"x": [0, 32768]}, {"x": [-32769, 0]}, {"bias": [0, HIGH + 1]}, {"bias": [0]}, {"bias": 0}, {"x": []})
    for name, params in d.nodes.items():
        width = len(params["bias"])
        drawn = [d.draws.some(width, (-reach, reach)) for reach in (3, 700, 32767)[: None if d.long else 2]]
        d.add("Model", name, x=[*drawn, [1, 2] * (width // 2) + [3] * (width % 2)], bias=params["bias"])


def mean(d: CaseDraft) -> None:
    """Ties of both signs, one token, sums that need every bit, refused arguments."""
    for tokens in (1, 2, 3, 4, 8):
        sums = range(-2 * tokens, 2 * tokens + 1)
        x = [list(sums), *[[0] * len(sums)] * (tokens - 1)]
        d.add("MeanTie NegativeDividend" if tokens > 1 else "SingleElement", f"sums over {tokens} tokens", x=x)
    d.add("MeanTie", "far from zero", x=[[32767, -32768, 32767, -32767], [32766, -32767, 32764, -32766]])
    d.add("SingleElement", "one token", x=[[-32768, 32767]])
    d.add("AllEqualRow", "every token the same", x=[[-7, 0, 32767]] * 5)
    for bits in range(8, 27):
        tokens, value = (2, (1 << (bits - 2)) + 1) if bits < 17 else ((1 << (bits - 16)) + 1, 32767)
        d.add("SumEnds" + " LongRow" * (tokens > 256), f"a sum past {bits} bits", x=[[value]] * tokens)
    d.add("SumEnds", "sums below -2**22", x=[[-32768, -32768]] * 129)
    for shape in ((3, 4), (4, 4), (2, 3, 4), (2, 2, 4, 4)):
        d.add("SeveralRows", x=d.draws.nested(shape, I16))
    for _ in range(20 if d.long else 3):
        d.add("Random", x=d.draws.nested((d.draws.one(1, 49), d.draws.one(1, 6)), (-999, 999)))
    if d.long:
        pairs = [list(range(-128, 128)), [(37 * x) % 256 - 128 for x in range(256)]]
        d.add("Exhaustive", "every i8 with another", x=pairs)
        d.add("OutOfRange", "one token too many", x=[[0]] * 65537)
    d.refuse({"x": [[0, 1]]}, {"x": [[32768, 0]]}, {"x": [[0, -32769]]}, {"x": [1, 2]}, {"x": []}, {"x": [[]]})


def _of_sum(total: int, n: int) -> list[int]:
    """A row of two neighbours."""
    mean, more = divmod(total, n)
    return [mean + 1] * more + [mean] * (n - more)


def _far_from_zero(rows: Any) -> list[list[int]]:
    return [[x + far for x in row] for far in (30000, -30000) for row in rows]


def _sums(d: CaseDraft) -> None:
    """A sum of squares past 2**40, and a sum of 31 bits: an all-equal row, so that the answers are short."""
    d.add("SumEnds LongRow", "v past 2**40", x=[-32768, 32767] * 520, bias=[0] * 1040)
    d.add("SumEnds LongRow ZeroVariance", "a sum past 2**30", x=[32767] * 32770, bias=[0] * 32770)
