"""Cases for requant and residual_add."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..rules.solving import HIGH, LOW, nearest_misses, saturation_ends, ties
from .drafting import I8, I16, I32, CaseDraft, nested

TIES = "TieRoundingPositive TieRoundingNegative NegativeDividend"
ENDS = "SaturateHigh SaturateLow"
# A multiplier and a shift: a half, three quarters, a third as `dyadic` gives it, both signs, coarse and fine, the ends.
FACTORS = (
    (2**30, 31),
    (3 * 2**29, 31),
    (-(2**30), 32),
    (1431655765, 32),
    (-1431655765, 37),
    (1518500250, 34),
    (1717986918, 45),
    (2**31 - 1, 62),
    (-(2**31), 62),
    (1, 1),
    (-1, 3),
    (0, 31),
)
CHANNELS = 129  # one more than the widest tile


def solved(m: int, e: int, b: int, ends: tuple[int, int] = I32) -> list[int]:
    """The accumulators that are most revealing for one multiplier: its ties, nearest misses and saturation ends."""
    found = {0, 1, -1, *ends, *ties(m, e, *ends), *nearest_misses(m, e, *ends), *saturation_ends(m, e, b, *ends)}
    return sorted(found)


def flags_for(xs: list[int], m: int, e: int, b: int) -> str:
    """The flags that apply to accumulators under one multiplier."""
    half, end = 1 << (e - 1), 1 << (b - 1)
    products = [x * m for x in xs]
    tied = [p for p in products if p % (2 * half) == half]
    reasons = {
        "TieRoundingPositive": any(p > 0 for p in tied),
        "TieRoundingNegative": any(p < 0 for p in tied),
        "TieMiss": any(x * m % (2 * half) for x in nearest_misses(m, e)),
        "NegativeDividend": any(p < 0 and p % (2 * half) for p in products),
        "NegativeMultiplier": m < 0,
        "ShiftEnds": e in (1, 62),
        "SaturateHigh": any(p >= end << e for p in products),
        "SaturateLow": any(p < -end << e for p in products),
    }
    return " ".join(flag for flag, holds in reasons.items() if holds)


def requant(d: CaseDraft) -> None:
    """Solved ties, misses and ends, widths, channels, rows, refused arguments."""
    d.add(TIES, "quarters", acc=list(range(-11, 12)), m=2**30, e=32, b=8)
    for m, e in FACTORS:
        for b in (8, 16) if m > 0 or d.long else (8,):
            acc = solved(m, e, b)
            d.add(flags_for(acc, m, e, b), f"solved for {m} * 2**-{e}, {b} bits", acc=acc, m=m, e=e, b=b)
    for b in range(2, 33) if d.long else (2, 3, 8, 16, 31, 32):
        d.add(f"{ENDS} Precision", f"factor 1, {b} bits", acc=solved(2**30, 30, b), m=2**30, e=30, b=b)
    ms, es = [1, -1, HIGH, LOW] * 2, [1, 1, 31, 31, 62, 62, 62, 62]
    d.add(f"MultiplierEnds PerChannel ShiftEnds {ENDS}", "", acc=[[end] * 8 for end in (HIGH, LOW, -1)], m=ms, e=es, b=16)
    x = [-3, 3, -2147483648, 2147483647, 2147483647, -5, 5, 7]
    ms = [2**30, -(2**30), 2**31 - 1, 2**31 - 1, -(2**31) + 1, 2**30 + 1, 3 * 2**29, 1]
    d.add(f"PerChannel NegativeMultiplier ShiftEnds {TIES}", acc=x, m=ms, e=[31, 31, 62, 62, 61, 32, 31, 1], b=8)
    d.add("SingleElement NegativeDividend", acc=[-7], m=1431655765, e=32, b=8)
    ms, es = d.draws.some(CHANNELS, (2**30, HIGH)), d.draws.some(CHANNELS, (37, 39))
    d.add("ManyChannels PerChannel", acc=d.draws.nested((2, CHANNELS), (-(2**20), 2**20)), m=ms, e=es, b=16)
    for b in (8, 16):
        acc = d.draws.nested((2, 3, 4), (-(2**17), 2**17))
        d.add("SeveralRows PerChannel", acc=acc, m=[2**30, 3 * 2**29, 2**30 + 9, HIGH], e=[40, 37, 36, 38], b=b)
    for _ in range(40 if d.long else 4):
        b, bits = (8, 16)[d.draws.one(0, 1)], d.draws.one(12, 31)  # results that mostly lie within b bits
        m, e = d.draws.one(2**30, HIGH) * (1, -1)[d.draws.one(0, 1)], 31 + bits - b + d.draws.one(0, 2)
        acc = d.draws.some(64 if d.long else 12, (-(2**bits), 2**bits - 1))
        d.add("Random", acc=acc, m=m, e=e, b=b)
    if d.long:
        for m, e in FACTORS:
            d.add("Exhaustive", "every i8", acc=list(range(-128, 128)), m=m, e=e, b=8)
    _refused(d)
    for name, params in d.nodes.items():
        _node(d, name, params)


def _refused(d: CaseDraft) -> None:
    good: dict[str, Any] = {"acc": [1, 2], "m": 2**30, "e": 31, "b": 8}
    bad: list[dict[str, Any]] = [{"acc": [0, HIGH + 1]}, {"acc": [0, LOW - 1]}, {"m": HIGH + 1}, {"m": LOW - 1}]
    bad += [{"e": 0}, {"e": 63}, {"b": 1}, {"b": 33}, {"acc": []}, {"m": [1, 2, 3]}, {"e": [31]}]
    d.refuse(good, *bad)


def _node(d: CaseDraft, name: str, params: Mapping[str, Any]) -> None:
    """A model's own multipliers, each with the accumulators solved for it."""
    m, e, b = params["m"], params["e"], params["b"]
    if not isinstance(m, list):
        acc = solved(m, e, b)
        d.add(f"Model {flags_for(acc, m, e, b)}", name, acc=acc, m=m, e=e, b=b)
        return
    columns = [solved(mi, ei, b) for mi, ei in zip(m, e, strict=True)]
    rows = max(map(len, columns)) if d.long else 3
    table = [[column[(2 + row) % len(column)] for column in columns] for row in range(rows)]
    d.add("Model PerChannel TieMiss", name, acc=table, m=m, e=e, b=b)


# --- two arms ---------------------------------------------------------------------------------------------------------


def residual_add(d: CaseDraft) -> None:
    """The cases of requant for two arms, each rounded by itself."""
    a, c = [1, 1, -1, -1, 3, -3, 5, 0], [1, -1, 1, -1, 3, -3, -5, 7]
    d.add(TIES, "two halves, rounded apart", a=a, c=c, ma=2**30, ea=31, mc=2**30, ec=31, b=16)
    d.add(TIES, "quarters", a=list(range(-11, 12)), c=[1] * 23, ma=2**30, ea=32, mc=2**30, ec=32, b=16)
    a, c = [32767, -32768, 32767, -32768], [-32768, 32767, 32767, -32768]
    d.add(f"ArmsPassFormat {ENDS}", "factors of 4", a=a, c=c, ma=2**30, ea=28, mc=2**30, ec=28, b=16)
    for (ma, ea), (mc, ec) in zip(FACTORS, (*FACTORS[4:], *FACTORS[:4]), strict=True):
        left, right = solved(ma, ea, 16), solved(mc, ec, 16)
        size = max(len(left), len(right))
        a, c = ([x[i % len(x)] for i in range(size)] for x in (left, right))
        flags = f"{flags_for(left, ma, ea, 16)} {flags_for(right, mc, ec, 16)}"
        d.add(flags, "solved for both arms", a=a, c=c, ma=ma, ea=ea, mc=mc, ec=ec, b=16)
    for b in range(2, 33) if d.long else (2, 3, 8, 16, 32):
        a = solved(2**30, 30, b)
        d.add(f"{ENDS} Precision", f"{b} bits", a=a, c=[x % 3 - 1 for x in a], ma=2**30, ea=30, mc=2**30, ec=30, b=b)
    arms: dict[str, Any] = {
        "ma": [2**30, -(2**30), 3 * 2**29],
        "ea": [31, 30, 31],
        "mc": [HIGH, 1, 2**30],
        "ec": [33, 1, 32],
    }
    d.add(f"PerChannel NegativeMultiplier ShiftEnds {TIES}", a=[-5, 7, -3], c=[6, -3, -2], b=16, **arms)
    ends: dict[str, Any] = {"ma": [LOW, HIGH, 1, -1], "ea": [31, 31, 1, 62], "mc": [HIGH, LOW, -1, 1], "ec": [31, 31, 1, 62]}
    rows = {"a": [[LOW] * 4, [HIGH] * 4], "c": [[HIGH] * 4, [LOW] * 4]}
    d.add(f"MultiplierEnds PerChannel ShiftEnds {ENDS}", b=32, **rows, **ends)
    d.add("SingleElement NegativeDividend", a=[-7], c=[-9], ma=1431655765, ea=32, mc=1431655765, ec=33, b=16)
    channels: dict[str, Any] = {"b": 16}
    for arm in "ac":
        channels[f"m{arm}"] = d.draws.some(CHANNELS, (2**30, HIGH))
        channels[f"e{arm}"] = d.draws.some(CHANNELS, (31, 33))
        channels[arm] = d.draws.nested((2, CHANNELS), (-9999, 9999))
    d.add("ManyChannels PerChannel", **channels)
    for b in (8, 16):
        left, right = (d.draws.nested((2, 3, 4), (-(2**b) // 3, 2**b // 3)) for _ in "ac")
        d.add("SeveralRows", a=left, c=right, ma=3 * 2**29, ea=31, mc=2**30 + 7, ec=30, b=b)
    for _ in range(40 if d.long else 4):
        ma, mc, ea, ec = *d.draws.some(2, I32), *d.draws.some(2, (31, 34))
        a, c = (d.draws.some(64 if d.long else 12, I16) for _ in "ac")
        d.add("Random", a=a, c=c, ma=ma, ea=ea, mc=mc, ec=ec, b=16)
    if d.long:
        pairs = [(x, y) for x in range(I8[0], I8[1] + 1, 3) for y in range(I8[0], I8[1] + 1, 5)]
        a, c = (nested([pair[i] for pair in pairs], (86, 52)) for i in (0, 1))
        d.add("Grid", "pairs of i8, every third with every fifth", a=a, c=c, ma=1431655765, ea=32, mc=1717986918, ec=33, b=8)
    good: dict[str, Any] = {"a": [1, 2], "c": [3, 4], "ma": 2**30, "ea": 31, "mc": 2**30, "ec": 31, "b": 16}
    bad: list[dict[str, Any]] = [
        {"a": [0, HIGH + 1]},
        {"c": [0, LOW - 1]},
        {"ma": HIGH + 1},
        {"mc": LOW - 1},
        {"ea": 0},
        {"ec": 63},
    ]
    d.refuse(good, *bad, {"b": 1}, {"b": 33}, {"c": [1]}, {"c": [[3, 4]]}, {"mc": [1, 2, 3]})
    _repeated(d)
    for name, params in d.nodes.items():
        _arms_of(d, name, params)


def _repeated(d: CaseDraft) -> None:
    """Second branches that lack leading axes, such as a bias of attention."""
    arms: dict[str, Any] = {"ma": 3 * 2**29, "ea": 31, "mc": 2**30 + 7, "ec": 30, "b": 16}
    for shape in ((3, 4), (2, 3, 4), (2, 2, 3, 4)):
        a = d.draws.nested(shape, (-20000, 20000))
        for lacking in range(1, len(shape)):
            c = d.draws.nested(shape[lacking:], (-9999, 9999))
            d.add("Repeated SeveralRows", f"{list(shape)} and {list(shape[lacking:])}", a=a, c=c, **arms)
    channels: dict[str, Any] = {
        "ma": [2**30, -(2**30), 2**30],
        "ea": [31, 30, 31],
        "mc": [HIGH, 1, 2**30],
        "ec": [33, 1, 32],
    }
    a = [[[-5, 7, -3], [1, 1, 1]], [[6, -3, -2], [-1, -1, -1]]]
    d.add(f"Repeated PerChannel {TIES}", a=a, c=[[6, -3, -2], [1, -1, 3]], b=16, **channels)
    d.add("Repeated SingleElement", a=[[7], [-9], [0]], c=[-9], **arms)
    good: dict[str, Any] = {"a": [[1, 2], [3, 4]], "c": [5, 6], **arms}
    d.refuse(good, {"c": [5]}, {"c": [[5, 6]]}, {"a": [1, 2], "c": [[5, 6], [7, 8]]})


def _arms_of(d: CaseDraft, name: str, params: Mapping[str, Any]) -> None:
    """A model's own pairs of multipliers."""
    keys = ("ma", "ea", "mc", "ec")
    size = max([len(params[key]) for key in keys if isinstance(params[key], list)], default=0)
    spread = {key: params[key] if isinstance(params[key], list) else [params[key]] * max(size, 1) for key in keys}
    arms = {}
    for arm in "ac":
        pairs = zip(spread[f"m{arm}"], spread[f"e{arm}"], strict=True)
        arms[arm] = [solved(m, e, params["b"]) for m, e in pairs]
    rows = 3 if size else max(len(columns[0]) for columns in arms.values())
    values: dict[str, Any] = {}
    for arm, columns in arms.items():
        table = [[column[(2 + row) % len(column)] for column in columns] for row in range(rows)]
        values[arm] = table if size else [x for row in table for x in row]
    d.add("Model TieMiss", name, **values, **params)
