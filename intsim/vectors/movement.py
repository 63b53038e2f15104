"""Cases for input_lut, argmax and the operators that only move values: all values differ, so any other order shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .drafting import I8, I16, I32, CaseDraft, nested

WIDE = (-(2**63), 2**63 - 1)


def counted(shape: Sequence[int], start: int = 1, step: int = 7) -> Any:
    """Nested lists of values that all differ; most need more than one byte."""
    return nested([start + step * i for i in range(math.prod(shape))], shape)


def input_lut(d: CaseDraft) -> None:
    """Tables that differ by channel, at every pixel value."""
    table = [[i - 128 for i in range(256)], [127 - i for i in range(256)], [i // 2 for i in range(256)]]
    image = [[[0, 0, 0], [127, 127, 127]], [[128, 128, 128], [255, 255, 255]], [[255, 0, 1], [2, 3, 4]]]
    d.add("TableEnds", image=image, table=table)
    d.add("TableEnds Square", image=[[[1, 5, 9], [200, 100, 50], [0, 255, 128]]], table=table)
    d.add("TableEnds SingleElement", "one channel", image=[[[200]]], table=[d.draws.some(256, I8)])
    d.add("ChannelOrder SeveralRows", image=d.draws.nested((2, 4, 3), (0, 255)), table=d.draws.nested((3, 256), I8))
    if d.long:
        for name in ("straight", "by chance"):
            own = table if name == "straight" else d.draws.nested((3, 256), I8)
            d.add("Exhaustive", f"every pixel, {name}", image=[[[v] * 3 for v in range(256)]], table=own)
    bad: list[dict[str, Any]] = [{"image": [[[0, 0, 256]]]}, {"image": [[[0, -1, 0]]]}, {"image": [[[0, 0]]]}]
    d.refuse({"image": image, "table": table}, *bad, {"table": [row[:255] for row in table]}, {"table": [[128] * 256] * 3})
    for name, params in d.nodes.items():
        pixels = d.draws.nested((2, 4, len(params["table"])), (0, 255))
        d.add("Model TableEnds", name, image=pixels, **params)


def argmax(d: CaseDraft) -> None:
    """Ties, all equal, all negative, one class, many classes."""
    d.add("TieArgmax", x=[-5, 9, 9, 3, 9])
    d.add("TieArgmax AllNegativeRow", x=[-7, -6, -7, -6])
    d.add("TieArgmax AllEqualRow", "all equal", x=[0, 0, 0])
    d.add("SingleElement", x=[-32768])
    d.add("TieArgmax", "the ends of 64 bits", x=[WIDE[0], WIDE[1], WIDE[1], 0])
    d.add("LongRow WideIndex", "class 299 of 300", x=[*d.draws.some(299, (-99, 99)), 100])
    d.add("WideIndex TieArgmax", "255 and 256 classes", x=[[0] * 255 + [i] for i in (0, 1)])
    rows = [[0] * k + [9] + [0] * (299 - k) for k in (257, 3, 298, 5)]
    d.add("WideIndex SeveralRows", x=[rows[:2], rows[2:]])
    for shape in ((4, 5), (4, 4, 5), (2, 4, 4, 5)):
        d.add("SeveralRows", x=d.draws.nested(shape, I16))
    for _ in range(20 if d.long else 3):
        d.add("Random TieArgmax", x=d.draws.nested((3, d.draws.one(2, 40)), (-3, 3)))
    d.add("OutOfRange", "no class", x=[])


def patches(d: CaseDraft) -> None:
    """Pictures that divide into patches, and pictures that do not."""
    for shape, size, flags in (
        ((3, 5, 3), 2, "ChannelOrder Padding"),
        ((3, 3, 3), 3, "ChannelOrder"),
        ((1, 1, 1), 2, "Padding"),
        ((4, 4, 4), 2, "ChannelOrder"),
        ((2, 4, 4, 3), 2, "ChannelOrder SeveralRows"),
        ((5, 3, 2), 4, "ChannelOrder Padding"),
        ((2, 2, 1), 1, "ChannelOrder"),
    ):
        d.add(flags, f"{list(shape)} in patches of {size}", x=counted(shape, -300), size=size)
    ends_moved(d, (2, 2, 2), size=2)
    random_cases(d, lambda n: {"x": d.draws.nested((n, n + 1, 2), I8), "size": 2})
    d.refuse({"x": counted((2, 2, 1)), "size": 2}, {"size": 0}, {"size": 1025}, {"x": [[1]]})
    of_the_model(d, lambda params: {"x": counted((2 * params["size"], params["size"] + 1, 3), -300)})


def heads(d: CaseDraft) -> None:
    """Tokens split into every possible number of heads."""
    for count in (1, 2, 3, 6):
        d.add("ChannelOrder", x=counted((4, 6), -70), heads=count)
    d.add("ChannelOrder Square", x=counted((4, 4)), heads=2)
    d.add("ChannelOrder SeveralRows", x=counted((2, 3, 8), -99), heads=2)
    ends_moved(d, (2, 2), heads=2)
    random_cases(d, lambda n: {"x": d.draws.nested((n, 12), I8), "heads": 3})
    d.add("NotDivisible", x=counted((4, 6)), heads=4)
    d.refuse({"x": counted((2, 4)), "heads": 2}, {"heads": 0}, {"x": [1, 2]})
    of_the_model(d, lambda params: {"x": counted((3, 2 * params["heads"]), -70)})


def merge_heads(d: CaseDraft) -> None:
    """The inverse of heads."""
    for shape in ((2, 3, 2), (3, 2, 4), (1, 1, 1), (2, 2, 2), (2, 2, 3, 4)):
        d.add("ChannelOrder" + (" SeveralRows" if len(shape) > 3 else ""), x=counted(shape, -50))
    ends_moved(d, (2, 2, 2))
    random_cases(d, lambda n: {"x": d.draws.nested((2, n, 3), I8)})
    d.add("OutOfRange", "no heads", x=[[1, 2]])


def grid(d: CaseDraft) -> None:
    """Patches back on their grid."""
    for shape, height in (((4, 6), 2), ((6, 1), 3), ((6, 2), 1), ((4, 4), 4), ((2, 6, 4), 2)):
        d.add("ChannelOrder" + (" SeveralRows" if len(shape) > 2 else ""), x=counted(shape, -50), height=height)
    ends_moved(d, (4, 2), height=2)
    random_cases(d, lambda n: {"x": d.draws.nested((2 * n, 3), I8), "height": 2})
    d.add("NotDivisible", x=counted((4, 6)), height=3)
    d.refuse({"x": counted((4, 2)), "height": 2}, {"height": 0}, {"x": [1, 2]})
    of_the_model(d, lambda params: {"x": counted((2 * params["height"], 3), -50)})


def concat(d: CaseDraft) -> None:
    """Tokens and channels joined."""
    d.add("ChannelOrder", "tokens", xs=[counted((4, 6)), counted((1, 6), -90)], axis=-2)
    d.add("ChannelOrder", "channels", xs=[counted((4, 6)), counted((4, 1), -90)], axis=-1)
    d.add("ChannelOrder Square", "of one shape", xs=[counted((2, 4)), counted((2, 4), -90)], axis=-2)
    d.add("ChannelOrder", "three", xs=[counted((1, 2)), counted((2, 2), -90), counted((1, 2), 900)], axis=-2)
    d.add("ChannelOrder SingleElement", "one alone", xs=[counted((2, 2))], axis=-1)
    for axis in (-2, -1):
        d.add("ChannelOrder SeveralRows", xs=[counted((2, 2, 4)), counted((2, 2, 4), -900)], axis=axis)
    d.add("ChannelOrder", "the ends of 64 bits", xs=[[[WIDE[0], 1]], [[WIDE[1], 2]]], axis=-2)
    random_cases(d, lambda n: {"xs": [d.draws.nested((n, 3), I8), d.draws.nested((2, 3), I8)], "axis": -2})
    d.add("NotDivisible", "rows of two lengths", xs=[counted((2, 3)), counted((2, 2))], axis=-2)
    d.refuse({"xs": [counted((2, 2)), counted((2, 2))], "axis": -1}, {"axis": 0}, {"axis": -3}, {"xs": []})
    of_the_model(d, lambda params: {"xs": [counted((2,) * -params["axis"]), counted((2,) * -params["axis"], -90)]})


def slice(d: CaseDraft) -> None:
    """Parts of tokens and of channels."""
    for axis, start, stop in ((-2, 1, 4), (-1, 0, 1), (-1, 2, 5), (-2, 0, 2), (-1, 0, 6), (-2, 3, 4)):
        d.add("ChannelOrder", x=counted((4, 6), -70), axis=axis, start=start, stop=stop)
    d.add("ChannelOrder SeveralRows", x=counted((2, 4, 5), -70), axis=-2, start=1, stop=3)
    d.add("ChannelOrder SeveralRows", x=counted((2, 4, 5), -70), axis=-1, start=1, stop=5)
    ends_moved(d, (2, 2), axis=-1, start=1, stop=2)
    random_cases(d, lambda n: {"x": d.draws.nested((n + 2, 3), I8), "axis": -2, "start": 1, "stop": n + 1})
    d.add("NotDivisible", "empty", x=counted((2, 4)), axis=-1, start=2, stop=2)
    d.add("NotDivisible", "beyond the end", x=counted((4, 2)), axis=-2, start=3, stop=5)
    d.refuse(
        {"x": counted((2, 2)), "axis": -1, "start": 0, "stop": 1}, {"axis": 0}, {"axis": -3}, {"start": -1}, {"stop": 2**31}
    )
    of_the_model(d, lambda params: {"x": counted((params["stop"] + 1,) + (2,) * (-params["axis"] - 1), -70)})


def upsample_nearest(d: CaseDraft) -> None:
    """Labels and classes, repeated."""
    d.add("ChannelOrder", "labels", x=counted((2, 3)), factor=2)
    d.add("ChannelOrder", "classes", x=counted((1, 2, 2), -20), factor=3)
    d.add("ChannelOrder", "unchanged", x=counted((2, 2, 3), -20), factor=1)
    d.add("ChannelOrder Square", x=counted((2, 2)), factor=2)
    d.add("ChannelOrder SeveralRows", x=counted((2, 2, 2, 3), -20), factor=2)
    d.add("ChannelOrder Square", "rows and columns both", x=counted((4, 4, 4), -20), factor=2)
    ends_moved(d, (2, 2, 2), factor=2)
    random_cases(d, lambda n: {"x": d.draws.nested((n, 2, 2), I8), "factor": 2})
    d.refuse({"x": counted((2, 2)), "factor": 2}, {"factor": 0}, {"factor": 1025}, {"x": [1, 2]})
    of_the_model(d, lambda params: {"x": counted((1, 2, 2), -20)})


def ends_moved(d: CaseDraft, shape: tuple[int, ...], **params: int) -> None:
    """One case with the ends of all formats."""
    ends = [*I8, *I16, *I32, *WIDE]
    flat = [ends[(i + 6) % len(ends)] for i in range(math.prod(shape))]
    d.add("ChannelOrder", "the ends of 64 bits", x=nested(flat, shape), **params)


def random_cases(d: CaseDraft, args: Any) -> None:
    """Random values; `args` gives the arguments for a number."""
    for n in range(2, 22) if d.long else (2, 3):
        d.add("Random", **args(n))


def of_the_model(d: CaseDraft, inputs: Any) -> None:
    """A model's own parameters; `inputs` gives inputs that fit them."""
    for name, params in d.nodes.items():
        d.add("Model", name, **inputs(params), **params)
