"""Write golden/ops/choices-v1.json: known answers for every operator and every choice of every dialect.

    python tools/make_op_vectors.py [path]

The answers are computed by tests/oracle.py in plain Python integers, according to docs/arithmetic.md, without intsim and
NumPy. The file is the same, byte for byte, on every machine. It complements golden/ops/ops-v1.json; together they detect a
change of any single choice of any dialect (checked by tests/test_vectors.py).
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import oracle  # noqa: E402

TARGET = ROOT / "golden" / "ops" / "choices-v1.json"
NOTE = "Computed in plain Python integers by tests/oracle.py; `x` is one row unless the operator takes a matrix."
I32_LOW, I32_HIGH = -(2**31), 2**31 - 1

# For every flag: why such cases exist, and which bug of an implementation they catch.
FLAGS: dict[str, dict[str, str]] = runpy.run_path(str(ROOT / "intsim" / "vectors" / "flags.py"))["NOTES"]


def draws(count: int, low: int, high: int, seed: int) -> list[int]:
    """`count` integers in ``[low, high]`` from a linear congruential generator defined here, so that they never change."""
    state, out = seed, []
    for _ in range(count):
        state = (6364136223846793005 * state + 1442695040888963407) % 2**64
        out.append(low + (state >> 33) % (high - low + 1))
    return out


class Vectors:
    """The cases added so far, each with the answer of the oracle."""

    def __init__(self) -> None:
        self.cases: list[dict[str, Any]] = []

    def add(self, op: str, flags: str, note: str = "", **args: Any) -> None:
        """Add a case; `flags` are separated by spaces."""
        case: dict[str, Any] = {"id": len(self.cases) + 1, "op": op, "flags": flags.split(), "args": args}
        try:
            case["expect"] = oracle.evaluate(op, args)
        except ValueError:
            case["result"] = "invalid"
        self.cases.append({**case, "note": note})


def requantization(v: Vectors, dialect: str) -> None:
    """requant and residual_add."""
    ties = "TieRoundingPositive TieRoundingNegative NegativeDividend"
    v.add("requant", ties, "quarters", x=list(range(-11, 12)), m=2**30, e=32, b=8, dialect=dialect)
    for b in (8, 16):
        ends = [d + end for end in (2 ** (b - 1), -(2 ** (b - 1))) for d in (-2, -1, 0, 1)]
        x = [*ends, I32_HIGH, I32_LOW]
        v.add("requant", "SaturateHigh SaturateLow", f"factor 1, b {b}", x=x, m=2**30, e=30, b=b, dialect=dialect)
    x = [-3, 3, -2147483648, 2147483647, 2147483647, -5, 5, 7]
    m = [2**30, -(2**30), 2**31 - 1, 2**31 - 1, -(2**31) + 1, 2**30 + 1, 3 * 2**29, 1]
    e = [31, 31, 62, 62, 61, 32, 31, 1]
    flags = f"PerChannel NegativeMultiplier ShiftEnds {ties}"
    v.add("requant", flags, "", x=x, m=m, e=e, b=8, dialect=dialect)
    v.add("requant", "SingleElement NegativeDividend", "", x=[-7], m=1431655765, e=32, b=8, dialect=dialect)
    a, c = [1, 1, -1, -1, 3, -3, 5, 0], [1, -1, 1, -1, 3, -3, -5, 7]
    halves: dict[str, Any] = {"ma": 2**30, "ea": 31, "mc": 2**30, "ec": 31, "b": 16, "dialect": dialect}
    v.add("residual_add", ties, "two halves, rounded apart", a=a, c=c, **halves)
    whole: dict[str, Any] = {"ma": 2**30, "ea": 28, "mc": 2**30, "ec": 28, "b": 16, "dialect": dialect}
    a, c = [32767, -32768, 32767, -32768], [-32768, 32767, 32767, -32768]
    v.add("residual_add", "ArmsPassFormat SaturateHigh SaturateLow", "factors of 4", a=a, c=c, **whole)
    channels: dict[str, Any] = {
        "ma": [2**30, -(2**30), 3 * 2**29],
        "ea": [31, 30, 31],
        "mc": [2**31 - 1, 1, 2**30],
        "ec": [33, 1, 32],
    }
    v.add(
        "residual_add",
        f"PerChannel NegativeMultiplier ShiftEnds {ties}",
        a=[-5, 7, -3],
        c=[6, -3, -2],
        b=16,
        dialect=dialect,
        **channels,
    )


def normalization(v: Vectors, dialect: str) -> None:
    """layernorm."""
    rows = [
        [0, 1, 0, 1],
        [0, -1, 0, -1],
        [1, 2, 1, 2],
        [-1, -2, -1, -2],
        [0, 0, 0, 1],
        [1, 1, 1, 0],
        [0, 0, 0, -1],
        [-1, -1, -1, 0],
    ]
    for row in rows:
        v.add("layernorm", "MeanTie UnconvergedRoot", f"mean {sum(row) / 4}", x=row, bias=[0, 1, -1, 5], dialect=dialect)
    v.add("layernorm", "ZeroVariance", "", x=[-5] * 5, bias=[0, 1, -1, 9, -9], dialect=dialect)
    v.add("layernorm", "ZeroVariance SingleElement", "", x=[32767], bias=[-3], dialect=dialect)
    v.add("layernorm", "UnconvergedRoot", "v 1000", x=[-10, 10, -20, 20, 0], bias=[0] * 5, dialect=dialect)
    v.add("layernorm", "UnconvergedRoot", "v 20000", x=[-60, 60, -80, 80, 0], bias=[0] * 5, dialect=dialect)
    v.add("layernorm", "OddHalf NegativeDividend", "f odd, y odd", x=[-1001, 1001, -3, 3], bias=[0] * 4, dialect=dialect)
    v.add("layernorm", "VariancePasses2^32", "v = 2**32", x=[16384, -16384] * 8, bias=[0] * 16, dialect=dialect)
    v.add(
        "layernorm",
        "VariancePasses2^32",
        "v = 2**32 + 32",
        x=[*[16384, -16384] * 8, 4, -4],
        bias=[0] * 18,
        dialect=dialect,
    )
    v.add("layernorm", "SumEnds", "a sum past i16", x=[20000, 20001, 5, -2], bias=[0] * 4, dialect=dialect)
    v.add("layernorm", "SumEnds", "a difference past i16", x=[-32768, 32767, 32767, 2], bias=[0] * 4, dialect=dialect)
    v.add("layernorm", "BiasOverflow", "above", x=[-3, 3], bias=[0, I32_HIGH], dialect=dialect)
    v.add("layernorm", "BiasOverflow", "below", x=[-3, 3], bias=[I32_LOW, 0], dialect=dialect)
    v.add("layernorm", "BiasOverflow", "not quite", x=[0, 0], bias=[I32_LOW, I32_HIGH], dialect=dialect)
    x, bias = draws(257, -999, 999, 3), draws(257, -9, 9, 4)
    v.add("layernorm", "LongRow", "", x=x, bias=bias, dialect=dialect)


def exponentials(v: Vectors, dialect: str) -> None:
    """shift_exp, shiftmax and the two GELUs."""
    for x0, n in ((-1, 1), (-3, 4), (-13, 15), (-77, 23)):
        edge = [d + n * x0 * 16 // 23 for d in (-2, -1, 0, 1, 2)]
        x = [*range(-9, 4), *edge]
        v.add("shift_exp", "HalfBit FloorOfExponential NegativeDividend", "", x=x, x0=x0, n=n, dialect=dialect)
    fine: dict[str, Any] = {"x0": -77, "n": 15, "b": 16, "dialect": dialect}
    v.add("shiftmax", "AllNegativeRow HalfBit", "", x=[-128, -3, -100, -4, -90], **fine)
    v.add("shiftmax", "SingleElement", "", x=[-128], **fine)
    v.add("shiftmax", "HalfBit", "16 bits from n 16", x=[3, -5, 127, 90, 111], x0=-19, n=16, b=16, dialect=dialect)
    v.add("shiftmax", "HalfBit", "8 bits", x=[3, -5, 127, 126, 111, 120], x0=-19, n=16, b=8, dialect=dialect)
    v.add("shiftmax", "LongRow", "", x=draws(257, -128, 127, 5), **fine | {"x0": -20})
    v.add("shiftmax", "SumPasses2^31", "a sum of 2**31", x=[0] * 64, **fine | {"x0": -1024})
    v.add("shiftmax", "SumPasses2^31", "a sum of 2**31 - 2**25", x=[0] * 63, **fine | {"x0": -1024})
    v.add("shiftmax", "SumPasses2^31 WrapSumZero", "a sum of 2**32", x=[0] * 128, **fine | {"x0": -1024})
    v.add("shiftmax", "WideExponential", "exp(0) = 2**31", x=[0, -1], **fine | {"x0": -4096, "n": 19})
    gelu: dict[str, Any] = {"x0": -12, "n": 23, "b": 8, "dialect": dialect}
    rows = {
        "AllNegativeRow": [-3, -50, -128, -1, -2],
        "AllNegativeRow SingleElement": [-128],
        "SingleElement": [127],
        "LargeMaximum": [127, 3, -2, -1, 0, 1, 2, -128],
        "HalfBit": [17, -17, 9, -9, 5, -5, 1],
    }
    for flags, x in rows.items():
        v.add("shiftgelu", flags, "", x=x, **gelu)
        for lam in (0, 1, 16, 127, 128):
            v.add("lambda_shiftgelu", f"{flags} Lambda", f"lam {lam}", x=x, lam=lam, **gelu)
    x = [-5, -7, -120]
    v.add("shiftgelu", "AllNegativeRow HalfBit", "a fine scale", x=x, **gelu | {"x0": -40})
    v.add("shiftgelu", "AllNegativeRow SumPasses2^31", "coarse: exp(-max) = 2**37", x=[-16, -20], **gelu | {"x0": -1})
    v.add("shiftgelu", "WideExponential", "exp(0) = 2**31", x=[127, 5, -5], **gelu | {"x0": -256})
    v.add("lambda_shiftgelu", "WideExponential Lambda", "", x=[127, 5, -5], lam=32, **gelu | {"x0": -256})
    v.add("shiftgelu", "WideExponential WrapSumZero", "exp(0) = 2**32", x=[0], **gelu | {"x0": -512})
    v.add("shiftgelu", "HalfBit", "16 bits", x=[31, -31, 4, -9], **gelu | {"b": 16, "n": 15})


def lowering(v: Vectors, dialect: str) -> None:
    """The parameters that a dialect derives from a scale."""
    for scale, tokens, flags in (
        (0.05, 197, "WholeX0 LowerN"),
        (0.013, 1025, "LowerN"),
        (0.013, 197, "LowerN"),
        (0.3, 1, "LowerN"),
        (1.0, 65536, "WholeX0 LowerN"),
        (2.5, 10, "CoarseScale"),
    ):
        v.add("softmax_parameters", flags, "", scale=scale, tokens=tokens, dialect=dialect)
    for scale, flags in ((0.05, "LowerN"), (0.002, "LowerN"), (0.0001, "LowerN"), (2.5, "CoarseScale")):
        v.add("gelu_parameters", flags, "", scale=scale, dialect=dialect)
    v.add("gelu_parameters", "WholeX0", "1.702 * s = 1/32", scale=0.03125 / 1.702, dialect=dialect)


def roundings(v: Vectors) -> None:
    """requant and the mean of layernorm with each of the five roundings, independent of the dialect."""
    flags = "TieRoundingPositive TieRoundingNegative NegativeDividend"
    for mode in ("floor", "trunc", "half_up", "half_even", "half_away"):
        choices: dict[str, Any] = {"dialect": "isegmenter", "choices": {"requant_rounding": mode}}
        v.add("requant", flags, mode, x=list(range(-11, 12)), m=2**30, e=32, b=8, **choices)
        v.add(
            "requant",
            f"{flags} PerChannel",
            mode,
            x=[-3, 3, -6, 6],
            m=[2**30, 2**30, -(2**30), 2**30],
            e=[31, 31, 32, 32],
            b=8,
            **choices,
        )
        v.add("residual_add", flags, mode, a=[1, -1, 3], c=[1, -1, -3], ma=2**30, ea=31, mc=2**30, ec=31, b=16, **choices)
        means: dict[str, Any] = {"dialect": "rtl", "choices": {"mean_rounding": mode}}
        for x in ([0, 1, 0, 1], [0, -1, 0, -1], [1, 2, 1, 2], [-1, -2, -1, -2], [0, 1, 1, 1], [0, -1, -1, -1]):
            v.add("layernorm", "MeanTie", mode, x=x, bias=[0] * 4, **means)


def products(v: Vectors) -> None:
    """linear and matmul, which use no dialect."""
    x, weight = [-128, 127, 0, 5], [[-128, 127, 1, 2], [127, -128, 0, -7], [0, 0, 0, 0]]
    v.add("linear", "AccumulatorEnds", "", x=x, weight=weight, bias=[0, -100, I32_HIGH])
    v.add(
        "linear",
        "SingleElement AccumulatorEnds",
        "",
        x=[-128],
        weight=[[-128], [127]],
        bias=[I32_HIGH - 16384, I32_LOW + 16256],
    )
    v.add("linear", "AccumulatorOverflow", "one too high", x=[-128], weight=[[-128]], bias=[I32_HIGH - 16383])
    v.add("linear", "AccumulatorOverflow", "one too low", x=[-128], weight=[[127]], bias=[I32_LOW + 16255])
    long, column = draws(129, -128, 127, 6), draws(129, -128, 127, 7)
    v.add("linear", "LongRow", "129 values", x=long, weight=[column, long], bias=[1, -1])
    a, b = [[-32768, 32767, 1], [3, -4, 5]], [[-128, 127], [1, -2], [7, 0]]
    v.add("matmul", "AccumulatorEnds", "", a=a, b=b)
    v.add("matmul", "Transposed", "", a=a, b=[list(column) for column in zip(*b, strict=True)], transpose_b=1)
    v.add("matmul", "Transposed", "square", a=[[1, 2], [3, 4]], b=[[5, 6], [7, 8]], transpose_b=1)
    v.add("matmul", "AccumulatorEnds", "square", a=[[1, 2], [3, 4]], b=[[5, 6], [7, 8]])
    v.add("matmul", "AccumulatorEnds", "2**31 - 2**22", a=[[-32768] * 511], b=[[-128]] * 511)
    v.add("matmul", "AccumulatorOverflow", "2**31", a=[[-32768] * 512], b=[[-128]] * 512)


def movement(v: Vectors) -> None:
    """The operators that only move values."""
    picture = [[[100 * i + 10 * j + c for c in range(3)] for j in range(5)] for i in range(3)]
    v.add("patches", "ChannelOrder Padding", "3 x 5 in patches of 2", x=picture, size=2)
    v.add("patches", "ChannelOrder", "one patch", x=[line[:3] for line in picture], size=3)
    v.add("patches", "Padding", "a patch larger than the picture", x=[[[7]]], size=2)
    tokens = [[10 * i + j for j in range(6)] for i in range(4)]
    for count in (1, 2, 3, 6):
        v.add("heads", "ChannelOrder", "", x=tokens, heads=count)
    v.add("heads", "NotDivisible", "", x=tokens, heads=4)
    v.add("merge_heads", "ChannelOrder", "", x=[[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 10], [11, 12]]])
    v.add("grid", "ChannelOrder", "", x=tokens, height=2)
    v.add("grid", "NotDivisible", "", x=tokens, height=3)
    v.add("concat", "ChannelOrder", "tokens", xs=[tokens, [[-1] * 6]], axis=-2)
    v.add("concat", "ChannelOrder", "channels", xs=[tokens, [[-1], [-2], [-3], [-4]]], axis=-1)
    v.add("slice", "ChannelOrder", "tokens", x=tokens, axis=-2, start=1, stop=4)
    v.add("slice", "ChannelOrder", "channels", x=tokens, axis=-1, start=0, stop=1)
    v.add("slice", "NotDivisible", "empty", x=tokens, axis=-1, start=2, stop=2)
    v.add("slice", "NotDivisible", "beyond the end", x=tokens, axis=-2, start=3, stop=5)
    v.add("upsample_nearest", "ChannelOrder", "labels", x=[[1, 2, 3], [4, 5, 6]], factor=2)
    v.add("upsample_nearest", "ChannelOrder", "classes", x=[[[1, -1], [2, -2]]], factor=3)
    v.add("argmax", "TieArgmax", "", x=[-5, 9, 9, 3, 9])
    v.add("argmax", "TieArgmax AllNegativeRow", "", x=[-7, -6, -7, -6])
    v.add("argmax", "TieArgmax", "all equal", x=[0, 0, 0])
    v.add("argmax", "SingleElement", "", x=[-32768])
    v.add("argmax", "LongRow", "class 299 of 300", x=[*draws(299, -99, 99, 8), 100])
    table = [[i - 128 for i in range(256)], [127 - i for i in range(256)], [i // 2 for i in range(256)]]
    image = [[[0, 0, 0], [127, 127, 127]], [[128, 128, 128], [255, 255, 255]], [[255, 0, 1], [2, 3, 4]]]
    v.add("input_lut", "TableEnds", "", image=image, table=table)


def windows_of_tokens(v: Vectors, dialect: str) -> None:
    """mean and masked_shiftmax; appended, so that earlier cases keep their ids."""
    for tokens in (1, 2, 3, 4):
        sums = list(range(-2 * tokens, 2 * tokens + 1))
        x = [sums, *[[0] * len(sums)] * (tokens - 1)]
        flags = "MeanTie NegativeDividend" if tokens > 1 else "SingleElement"
        v.add("mean", flags, f"sums over {tokens} tokens", x=x, dialect=dialect)
    v.add("mean", "SumEnds LongRow", "sums of 2**23 and more", x=[[32767, -32768]] * 257, dialect=dialect)
    fine: dict[str, Any] = {"x0": -77, "n": 15, "b": 16, "dialect": dialect}
    hidden = [[-60, 127, -61, 90], [127, -100, 126, -101], [-90, 127, -91, -128], [5, -3, 4, -5]]
    regions = {"two regions": [0, 1, 0, 1], "nothing but oneself": [0, 1, 2, 3], "one region": [5, 5, 5, 5]}
    for note, own in regions.items():
        v.add("masked_shiftmax", "Mask HalfBit", note, x=[[hidden, hidden[::-1]]], regions=[own], **fine)
    v.add("masked_shiftmax", "Mask AllEqualRow", "all -128", x=[[[[-128] * 3] * 3]], regions=[[0, 0, 1]], **fine)
    v.add("masked_shiftmax", "SingleElement", "", x=[[[[-128]]], [[[127]]]], regions=[[0], [-7]], **fine)
    x = [[[[3, -5, 127], [90, 111, 120], [126, 125, -128]]], [[[1, 2, 3], [6, 5, 4], [7, 9, 8]]]]
    for b in (16, 8):
        note = f"{b} bits, windows of other regions"
        common: dict[str, Any] = {"regions": [[0, 0, 1], [2, 1, 2]], "x0": -19, "n": 16, "b": b, "dialect": dialect}
        v.add("masked_shiftmax", "Mask HalfBit", note, x=x, **common)
    wide = fine | {"x0": -1024, "n": 20}
    for count, what in ((2, "2**31"), (3, "2**31 + 2**30"), (4, "2**32")):
        flags = "SumPasses2^31 WideExponential" + " WrapSumZero" * (count == 4)
        v.add("masked_shiftmax", flags, f"a sum of {what}", x=[[[[0] * count] * count]], regions=[[0] * count], **wide)
        x = [[[[0] * (count + 1)] * (count + 1)]]
        note = f"{what} and one that is not seen"
        v.add("masked_shiftmax", f"Mask {flags}", note, x=x, regions=[[0] * count + [1]], **wide)
    good: dict[str, Any] = {"x": [[[[0, 1], [2, 3]]]], **fine}
    v.add("masked_shiftmax", "NotDivisible", "regions of other tokens", regions=[[0, 0, 0]], **good)
    v.add("masked_shiftmax", "NotDivisible", "regions of other windows", regions=[[0, 0], [0, 0]], **good)


def shifted_windows(v: Vectors) -> None:
    """The operators of shifted windows that move values."""
    cells = [[[100 * i + 10 * j, -i - j] for j in range(4)] for i in range(4)]
    wide = [[[10 * i + j] for j in range(6)] for i in range(4)]
    for rows, columns in ((1, 0), (0, 1), (-1, 2), (5, -7), (0, 0)):
        v.add("roll", "Cyclic ChannelOrder", f"by {rows} and {columns}", x=wide, rows=rows, columns=columns)
    for size in (1, 2, 4):
        v.add("windows", "ChannelOrder", f"4 x 4 in windows of {size}", x=cells, size=size)
    v.add("windows", "ChannelOrder", "wider than high", x=wide, size=2)
    v.add("windows", "NotDivisible", "", x=wide, size=4)
    pieces = [[[10 * i + j] for j in range(4)] for i in range(6)]
    for height in (2, 4, 6, 12):
        v.add("merge_windows", "ChannelOrder", f"as {height} rows", x=pieces, height=height)
    v.add("merge_windows", "NotDivisible", "six windows for four rows of them", x=pieces, height=8)
    v.add("merge_windows", "NotDivisible", "not square", x=[row[:3] for row in pieces], height=2)
    v.add("merge_patches", "ChannelOrder", "", x=cells)
    v.add("merge_patches", "ChannelOrder", "wider than high", x=wide)
    v.add("merge_patches", "NotDivisible", "", x=cells[:3])
    v.add("tokens", "ChannelOrder", "", x=cells)
    v.add("tokens", "ChannelOrder", "wider than high", x=wide)
    for size, heads in ((1, 2), (2, 1), (3, 2)):
        table = [[10 * i + head for head in range(heads)] for i in range((2 * size - 1) ** 2)]
        v.add("relative_positions", "ChannelOrder", f"{size} x {size}", table=table, size=size)
    v.add("relative_positions", "NotDivisible", "a displacement too few", table=[[i] for i in range(8)], size=2)


def document() -> str:
    """The whole file, one case per line, so that a change of one answer is one line of a diff."""
    v = Vectors()
    for dialect in oracle.DIALECTS:
        for part in (requantization, normalization, exponentials, lowering):
            part(v, dialect)
    for common in (roundings, products, movement):
        common(v)
    for dialect in oracle.DIALECTS:
        windows_of_tokens(v, dialect)
    shifted_windows(v)
    used = {flag for case in v.cases for flag in case["flags"]}
    notes = {flag: note for flag, note in FLAGS.items() if flag in used}
    head = {"format": "op-vectors", "version": 1, "note": NOTE, "notes": notes}
    lines = [json.dumps(case, separators=(",", ":")) for case in v.cases]
    return json.dumps(head, indent=1)[:-2] + ',\n "cases": [\n' + ",\n".join(lines) + "\n]}\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.write_text(document(), encoding="utf-8", newline="\n")
