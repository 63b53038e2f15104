"""Cases for shift_exp, shiftmax, masked_shiftmax and the two GELUs."""

from __future__ import annotations

from typing import Any

from .drafting import I8, I16, CaseDraft

EXPONENTIALS = ((-1, 1), (-1, 0), (-2, 31), (-3, 4), (-13, 15), (-20, 8), (-77, 23), (-300, 12), (-(2**20), 10))
SOFTMAXES = ((-77, 15, 16), (-20, 15, 16), (-19, 16, 16), (-19, 16, 8), (-7, 10, 12), (-3, 12, 16), (-1, 1, 2), (-300, 3, 5))
WIDE_SOFTMAXES = ((-24, 15, 16), (-25, 15, 16), (-107, 13, 16), (-2, 15, 8))
GELUS = ((-12, 23, 8), (-40, 20, 8), (-12, 23, 16), (-7, 10, 12), (-1, 1, 2), (-3, 29, 8), (-100, 4, 5))
LAMBDAS = (0, 1, 16, 127, 128)


def shift_exp(d: CaseDraft) -> None:
    """The floor of the exponential, odd remainders, arguments of both signs as long as results fit plain integers."""
    for x0, n in EXPONENTIALS:
        edge = [k + n * x0 * 16 // 23 for k in (-3, -2, -1, 0, 1, 2)]
        above = [x for x in (9, 14, 20, 33, 50, 200, 1000, 32767) if n + 23 * x // (-16 * x0) < 44]
        reached = {*range(-9, 4), *edge, *above, -I8[1], 2 * I8[0], I16[0], -(-x0 * 16 // 23), x0}
        x = [v for v in sorted(reached) if I16[0] <= v <= I16[1]]
        d.add("HalfBit FloorOfExponential NegativeDividend Precision", f"x0 {x0}, n {n}", x=x, x0=x0, n=n)
    d.add("WideExponential", "exp(0) = 2**31", x=[0, -1, 1, -4096], x0=-4096, n=19)
    d.add("WideExponential", "exp(0) = 2**30", x=[0, -1, 1, -1023], x0=-1024, n=20)
    d.add("SingleElement", x=[-5], x0=-3, n=15)
    d.add("LongRow", x=d.draws.some(257, (-255, 0)), x0=-20, n=15)
    for shape in ((4, 4), (2, 3, 4)):
        d.add("SeveralRows", x=d.draws.nested(shape, (-60, 0)), x0=-20, n=15)
    for _ in range(20 if d.long else 3):
        x0, n = d.draws.one(-99, -1), d.draws.one(0, 25)
        d.add("Random", x=d.draws.some(64 if d.long else 16, (-255, -x0)), x0=x0, n=n)
    if d.long:
        for x0, n in EXPONENTIALS:
            highest = min(255, max(0, (40 - n) * -x0 * 16 // 23))
            d.add("Exhaustive", "every difference of two i8", x=list(range(-255, highest + 1)), x0=x0, n=n)
    good: dict[str, Any] = {"x": [0, -1], "x0": -20, "n": 15}
    d.refuse(good, {"x": [0, 32768]}, {"x": [-32769]}, {"x0": 0}, {"x0": -(2**20) - 1}, {"n": -1}, {"n": 32}, {"x": []})
    for name, params in d.nodes.items():
        d.add("Model", name, x=list(range(-255, 1, 1 if d.long else 7)), **params)


def shiftmax(d: CaseDraft) -> None:
    """Rows of one value and of many, sums at 2**31 and 2**32, every precision, independent rows."""
    fine: dict[str, Any] = {"x0": -77, "n": 15, "b": 16}
    d.add("AllNegativeRow HalfBit", x=[-128, -3, -100, -4, -90], **fine)
    for value in (-128, 0, 127):
        d.add("SingleElement", x=[value], **fine)
    d.add("AllEqualRow", "all equal", x=[-7] * 12, **fine)
    for count in (1, 4):
        d.add("PowerOfTwo AllEqualRow", f"a sum of {count} * 2**17", x=[5] * count, **fine | {"x0": -4})
    for x0, n, b in SOFTMAXES:
        x = [3, -5, 127, 126, 90, 111, 120, -128, 127 + x0 // 2, 127 + x0 // 3]
        d.add("HalfBit Precision FloorOfExponential", "", x=[v for v in x if v >= -128], x0=x0, n=n, b=b)
    d.add("LongRow", x=d.draws.some(257, I8), **fine | {"x0": -20})
    for count, what in ((64, "2**31"), (63, "2**31 - 2**25"), (65, "2**31 + 2**25"), (128, "2**32"), (127, "2**32 - 2**25")):
        flags = "SumPasses2^31" + (" WrapSumZero" if count == 128 else "")
        d.add(flags, f"a sum of {what}", x=[0] * count, **fine | {"x0": -1024})
    d.add("SumPasses2^31", "a sum past 2**31 that is no power", x=[5, *[4, 3, 2] * 40], **fine | {"x0": -1023})
    d.add("WideExponential", "exp(0) = 2**31", x=[0, -1], x0=-4096, n=19, b=16)
    d.add("WideExponential", "exp(0) = 2**30", x=[0, -1, -90], x0=-1024, n=20, b=16)
    d.add("WideExponential", "exp(0) = 2**31 - 2**21", x=[7, 6, -90], x0=-1023, n=21, b=8)
    for shape in ((4, 4), (2, 3, 4)):
        d.add("SeveralRows", x=d.draws.nested(shape, (-60, 60)), x0=-20, n=15, b=16)
    d.add("SeveralRows", "every row another maximum", x=[[9, 8, 7, 1], [-9, -8, -7, -1], [50, 40, 30, 49]], **fine)
    for _ in range(20 if d.long else 3):
        x0, n, b = d.draws.one(-99, -1), d.draws.one(8, 18), d.draws.one(4, 16)
        d.add("Random SeveralRows", x=d.draws.nested((3, 40) if d.long else (2, 9), I8), x0=x0, n=n, b=b)
    for x0, n, b in WIDE_SOFTMAXES:
        x = [v - 32768 for v in (65535, 65534, 65535 + x0 // 2, 65535 - 254, 65535 - 255, 65535 - 256, 65535 - 400, 9, 0)]
        d.add("WideLogits FloorOfExponential", "", x=x, x0=x0, n=n, b=b)
    d.add("WideLogits SeveralRows", x=d.draws.nested((3, 40), (-700, 700)), x0=-24, n=15, b=16)
    d.add("WideLogits AllNegativeRow", x=[-300, -301, -290, -32768, -555, -546], x0=-24, n=15, b=16)
    if d.long:
        for x0, n, b in SOFTMAXES[:4]:
            d.add("Exhaustive", "every value", x=list(range(-128, 128)), x0=x0, n=n, b=b)
        for top in range(-128, 128):
            d.add("Exhaustive", f"every value up to {top}", x=list(range(-128, top + 1)), **fine | {"x0": -20})
        d.add("LongRow", "1025 tokens", x=d.draws.some(1025, I8), x0=-77, n=14, b=16)
    _refused_rows(d, {"x": [0, -1], **fine}, I16)
    for name, params in d.nodes.items():
        rows = [d.draws.some(24, ends) for ends in (I8, (-128, -90), (-400, 400))]
        d.add("Model SeveralRows", name, x=[*rows, [17] * 24], **params)


def masked_shiftmax(d: CaseDraft) -> None:
    """Windows of several regions: masked logits that are larger than visible ones, sums at 2**31, whole windows."""
    fine: dict[str, Any] = {"x0": -77, "n": 15, "b": 16}
    for value in (-128, 0, 127):
        d.add("SingleElement", x=[[[[value]]]], regions=[[3]], **fine)
    hidden = [[-60, 127, -61, 90], [127, -100, 126, -101], [-90, 127, -91, -128], [5, -3, 4, -5]]
    d.add("Mask AllNegativeRow HalfBit", "larger where it is not seen", x=[[hidden]], regions=[[0, 1, 0, 1]], **fine)
    d.add("Mask", "nothing but oneself", x=[[hidden]], regions=[[0, 1, 2, 3]], **fine)
    wide = [[-300, 32767, -301, 300], [500, -32768, 499, -31000], [-90, 32767, -345, -346], [256, -256, 0, 1]]
    d.add("Mask WideLogits", "larger where it is not seen", x=[[wide]], regions=[[0, 1, 0, 1]], **fine | {"x0": -24})
    d.add("Mask WideLogits", "all of one region", x=[[wide]], regions=[[0] * 4], **fine | {"x0": -24})
    d.add("Mask", "all of one region", x=[[hidden]], regions=[[7, 7, 7, 7]], **fine)
    d.add("Mask", "regions at the ends of i8", x=[[hidden]], regions=[[-128, 127, -128, -1]], **fine)
    d.add("Mask AllEqualRow", "all -128", x=[[[[-128] * 4] * 4]], regions=[[0, 0, 1, 1]], **fine)
    for count in (1, 4):
        regions = [[0] * count]
        d.add(
            "PowerOfTwo AllEqualRow",
            f"a sum of {count} * 2**17",
            x=[[[[5] * count] * count]],
            regions=regions,
            **fine | {"x0": -4},
        )
    for x0, n, b in SOFTMAXES:
        row = [v for v in (3, 127, 126, 90, 111, 127 + x0 // 2, 127 + x0 // 3) if v >= -128]
        regions = [[i % 5 // 3 for i in range(len(row))]]
        d.add("Mask HalfBit Precision FloorOfExponential", "", x=[[turned(row)]], regions=regions, x0=x0, n=n, b=b)
    for count, what in ((2, "2**31"), (3, "2**31 + 2**30"), (4, "2**32")):
        x, beyond = [[[[0] * (count + 1)] * (count + 1)]], {"x0": -1024, "n": 20, "b": 16}
        flags = "Mask WideExponential SumPasses2^31" + " WrapSumZero" * (count == 4)
        d.add(flags, f"exponentials of {what} and one that is not seen", x=x, regions=[[0] * count + [1]], **beyond)
        d.add(flags, f"a sum of {what}", x=[[[[0] * count] * count]], regions=[[0] * count], **beyond)
    x = [[turned([5, 4, 3, 2, 5, 5])]]
    d.add("Mask SumPasses2^31", "a sum past 2**31 that is no power", x=x, regions=[[0, 0, 0, 0, 0, 1]], x0=-1023, n=19, b=16)
    x = [[turned([0, -1])]]
    d.add("WideExponential", "exp(0) = 2**31", x=x, regions=[[0, 0]], x0=-4096, n=19, b=16)
    d.add("WideExponential", "exp(0) = 2**31 - 2**21", x=[[[[7, 6], [6, 7]]]], regions=[[0, 1]], x0=-1023, n=21, b=8)
    for shape in ((2, 2, 4, 4), (2, 2, 2, 3, 3)):
        regions = [[0, 1, 0, 2][: shape[-1]], [1, 1, 1, 1][: shape[-1]]]
        d.add("Mask SeveralRows", x=d.draws.nested(shape, (-60, 60)), regions=regions, x0=-20, n=15, b=16)
    for _ in range(20 if d.long else 3):
        x0, n, b, tokens = d.draws.one(-99, -1), d.draws.one(8, 18), d.draws.one(4, 16), d.draws.one(2, 7)
        x, regions = d.draws.nested((2, 1, tokens, tokens), I8), d.draws.nested((2, tokens), (0, 2))
        d.add("Random SeveralRows", x=x, regions=regions, x0=x0, n=n, b=b)
    for tokens in (49, 144) if d.long else (49,):
        x, regions = d.draws.nested((1, 1, tokens, tokens), (-9, 9)), d.draws.nested((1, tokens), (0, 1))
        d.add("Mask", f"a window of {tokens} tokens", x=x, regions=regions, x0=-3, n=15, b=8)
    good: dict[str, Any] = {"x": [[[[0, -1], [2, 3]]]], "regions": [[0, 1]], **fine}
    bad: list[dict[str, Any]] = [{"regions": [[0, 128]]}, {"regions": [[0]]}, {"regions": [0, 1]}, {"regions": [[0, 1]] * 2}]
    d.refuse(
        good, *bad, {"x": [[[[0, -1]]]]}, {"x": [[[0, -1], [2, 3]]]}, {"x": [[[[0, 32768], [2, 3]]]]}, {"x": [[[[], []]]]}
    )
    d.refuse(good, {"x0": 0}, {"x0": -(2**20) - 1}, {"n": -1}, {"n": 32}, {"b": 1}, {"b": 17})
    for name, params in d.nodes.items():
        regions = list(map(list, dict.fromkeys(map(tuple, params["regions"]))))  # the first of equal windows
        x = d.draws.nested((len(regions), 1, len(regions[0]), len(regions[0])), I8)
        d.add("Model Mask SeveralRows", name, x=x, **{**params, "regions": regions})


def turned(row: list[int]) -> list[list[int]]:
    """Square logits: a row and all its rotations."""
    return [row[i:] + row[:i] for i in range(len(row))]


def _refused_rows(d: CaseDraft, good: dict[str, Any], fmt: tuple[int, int] = I8) -> None:
    bad: list[dict[str, Any]] = [
        {"x": [0, fmt[1] + 1]},
        {"x": [fmt[0] - 1]},
        {"x0": 0},
        {"x0": -(2**20) - 1},
        {"n": -1},
        {"n": 32},
        {"b": 1},
        {"b": 17},
    ]
    bad += [{"x": []}] + ([{"lam": -1}, {"lam": 2**31}] if "lam" in good else [])
    d.refuse(good, *bad)


# --- GELU -------------------------------------------------------------------------------------------------------------

ROWS = {
    "AllNegativeRow": [-3, -50, -128, -1, -2],
    "AllNegativeRow SingleElement": [-128],
    "SingleElement": [127],
    "LargeMaximum": [127, 3, -2, -1, 0, 1, 2, -128],
    "HalfBit": [17, -17, 9, -9, 5, -5, 1],
    "AllEqualRow": [-4] * 4,
    "NegativeDividend": [0, -7, -30],
}


def shiftgelu(d: CaseDraft) -> None:
    """ShiftGELU, unclamped."""
    _gelu(d, ({},))


def lambda_shiftgelu(d: CaseDraft) -> None:
    """ShiftGELU with its sigmoid's argument clamped, at several lambdas."""
    _gelu(d, tuple({"lam": lam} for lam in LAMBDAS))


def _gelu(d: CaseDraft, clamps: tuple[dict[str, int], ...]) -> None:
    common: dict[str, Any] = {"x0": -12, "n": 23, "b": 8}
    clamp = dict.fromkeys(clamps[0], 32)
    lam = " Lambda" if clamp else ""
    for flags, x in ROWS.items():
        for bound in clamps:
            d.add(flags + lam, x=x, **common | bound)
    for x0, n, b in GELUS:
        d.add(f"HalfBit Precision{lam}", x=[31, -31, 4, -9, 30, 29, 3, 2, 1, -1, -128], x0=x0, n=n, b=b, **clamp)
    d.add(f"AllNegativeRow HalfBit{lam}", "a fine scale", x=[-5, -7, -120], x0=-40, n=23, b=8, **clamp)
    d.add(f"AllNegativeRow SumPasses2^31{lam}", "coarse", x=[-16, -20], x0=-1, n=23, b=8, **clamp)
    d.add(f"SumPasses2^31{lam}", "a sum of 2**31", x=[0, -1], x0=-256, n=22, b=8, **clamp)
    d.add(f"SumPasses2^31{lam}", "a sum past 2**31", x=[-1, -2, 0, 1], x0=-255, n=23, b=8, **clamp)
    d.add(f"SumEnds{lam}", "a sum near 2**31, of exponentials below 2**30", x=[0, -1, -2, 1], x0=-127, n=23, b=8, **clamp)
    d.add(f"SumEnds{lam}", "the same with a maximum of 0", x=[0, -1, -2], x0=-127, n=23, b=8, **clamp)
    wide = {"x0": -(2**17) + 1, "n": 14, "b": 16}
    d.add(
        f"AllNegativeRow SumPasses2^31{lam}", "a sum of 2**32 - 2**14: a factor without bounds", x=[-1, -2], **wide, **clamp
    )
    d.add(f"WideExponential{lam}", "exp(0) = 2**31", x=[127, 5, -5], x0=-256, n=23, b=8, **clamp)
    d.add(f"WideExponential{lam}", "exp(0) = 2**30", x=[127, 5, -5], x0=-128, n=23, b=8, **clamp)
    d.add(f"WideExponential WrapSumZero{lam}", "exp(0) = 2**32", x=[0], x0=-512, n=23, b=8, **clamp)
    for shape in ((4, 4), (2, 3, 4)):
        d.add(f"SeveralRows{lam}", x=d.draws.nested(shape, (-60, 60)), **common | clamp)
    d.add(f"LongRow{lam}", x=d.draws.some(257, I8), **common | clamp | {"x0": -24})
    for _ in range(20 if d.long else 3):
        x0, n, b = d.draws.one(-60, -1), d.draws.one(8, 25), d.draws.one(4, 12)
        own = {key: d.draws.one(0, 130) for key in clamp}
        d.add(f"Random SeveralRows{lam}", x=d.draws.nested((3, 40) if d.long else (2, 9), I8), x0=x0, n=n, b=b, **own)
    if d.long:
        for top in range(-128, 128):
            x = list(range(-128, top + 1))
            d.add(f"Exhaustive{lam}", f"every value below a maximum of {top}", x=x, **common | clamp | {"x0": -24})
    _refused_rows(d, {"x": [0, -1], **common, **clamp})
    for name, params in d.nodes.items():
        rows = [d.draws.some(24, ends) for ends in (I8, (-40, 40), (-128, -1))]
        d.add(f"Model SeveralRows{lam}", name, x=rows, **params)
