"""Cases for the operators that move the cells of a grid: windows, rolls, merged patches, relative positions."""

from __future__ import annotations

from typing import Any

from .drafting import I8, CaseDraft
from .movement import counted, ends_moved, of_the_model, random_cases

LARGEST = 8  # side of a window, and shift, in the cases with a model's parameters


def tokens(d: CaseDraft) -> None:
    """Grids as lists of tokens."""
    for shape in ((2, 3, 2), (1, 4, 1), (3, 1, 4), (4, 4, 4), (2, 2, 3, 4)):
        d.add("ChannelOrder" + (" SeveralRows" if len(shape) > 3 else ""), x=counted(shape, -50))
    ends_moved(d, (2, 2, 2))
    random_cases(d, lambda n: {"x": d.draws.nested((n, 2, 3), I8)})
    d.add("OutOfRange", "no grid", x=[[1, 2]])


def roll(d: CaseDraft) -> None:
    """Shifts of both signs, of zero, of whole sides and beyond them."""
    for rows, columns in ((1, 0), (0, 1), (-1, 2), (0, 0), (-2, -1), (3, -4), (7, -9), (-65536, 65536)):
        d.add("ChannelOrder Cyclic", f"by {rows} and {columns}", x=counted((3, 4, 2), -40), rows=rows, columns=columns)
    d.add("ChannelOrder Cyclic Square", x=counted((4, 4, 4), -99), rows=1, columns=-1)
    d.add("ChannelOrder Cyclic SeveralRows", x=counted((2, 3, 5, 2), -99), rows=-1, columns=2)
    d.add("Cyclic SingleElement", x=[[[5]]], rows=3, columns=-3)
    ends_moved(d, (2, 2, 2), rows=1, columns=1)
    random_cases(d, lambda n: {"x": d.draws.nested((n + 1, 3, 2), I8), "rows": n, "columns": -1})
    d.refuse({"x": counted((2, 2, 1)), "rows": 1, "columns": 1}, {"rows": 65537}, {"columns": -65537}, {"x": [[1]]})
    of_the_model(
        d, lambda params: {"x": counted((2 * _grid_side(params["rows"]), 2 * _grid_side(params["columns"]), 2), -50)}
    )


def _grid_side(shift: int) -> int:
    return min(abs(shift), LARGEST) + 1


def windows(d: CaseDraft) -> None:
    """Grids wider than high and higher than wide, cut into windows."""
    for shape, size in (((4, 4, 2), 2), ((2, 6, 1), 2), ((6, 3, 2), 3), ((4, 2, 4), 1), ((2, 2, 3), 2), ((4, 6, 1), 2)):
        d.add("ChannelOrder", f"{list(shape)} in windows of {size}", x=counted(shape, -99), size=size)
    d.add("ChannelOrder SeveralRows", x=counted((2, 4, 6, 3), -300), size=2)
    d.add("ChannelOrder Square", x=counted((4, 4, 4), -300), size=2)
    ends_moved(d, (4, 2, 1), size=2)
    random_cases(d, lambda n: {"x": d.draws.nested((4, 2 * n, 2), I8), "size": 2})
    d.add("NotDivisible", x=counted((4, 3, 2)), size=2)
    d.refuse({"x": counted((2, 2, 1)), "size": 2}, {"size": 0}, {"size": 1025}, {"size": 4}, {"x": [[1]]})
    of_the_model(d, lambda params: {"x": counted((params["size"], 2 * params["size"], 2), -50)})


def merge_windows(d: CaseDraft) -> None:
    """The inverse of windows."""
    for shape, height in (((4, 4, 2), 4), ((3, 4, 1), 2), ((2, 9, 2), 6), ((8, 1, 4), 4), ((1, 4, 3), 2), ((6, 4, 1), 4)):
        d.add("ChannelOrder", f"{list(shape)} as {height} rows", x=counted(shape, -99), height=height)
    d.add("ChannelOrder SeveralRows", x=counted((2, 6, 4, 3), -300), height=4)
    d.add("ChannelOrder Square", x=counted((4, 4, 4), -300), height=4)
    ends_moved(d, (2, 4, 1), height=4)
    random_cases(d, lambda n: {"x": d.draws.nested((2 * n, 4, 2), I8), "height": 4})
    d.add("NotDivisible", "three windows for two rows of them", x=counted((3, 4, 2)), height=4)
    d.add("NotDivisible", "windows that are not square", x=counted((2, 6, 2)), height=2)
    d.refuse({"x": counted((2, 4, 1)), "height": 2}, {"height": 0}, {"height": 65537}, {"height": 3}, {"x": [[1]]})
    of_the_model(d, lambda params: {"x": _square_windows(params["height"])})


def _square_windows(height: int) -> Any:
    """Two columns of the largest windows that `height` is a multiple of."""
    size = max(k for k in range(1, LARGEST + 1) if height % k == 0)
    return counted((2 * height // size, size * size, 1), -50)


def merge_patches(d: CaseDraft) -> None:
    """Grids wider than high and higher than wide, every two by two cells merged."""
    for shape in ((2, 2, 1), (4, 2, 3), (2, 6, 2), (4, 4, 4), (6, 4, 1), (2, 4, 4, 2)):
        d.add("ChannelOrder" + (" SeveralRows" if len(shape) > 3 else ""), x=counted(shape, -70))
    ends_moved(d, (2, 4, 1))
    random_cases(d, lambda n: {"x": d.draws.nested((4, 2 * n, 2), I8)})
    for shape in ((3, 2, 1), (2, 3, 1), (1, 1, 1)):
        d.add("NotDivisible", x=counted(shape))
    d.add("OutOfRange", "no grid", x=[[1, 2]])


def relative_positions(d: CaseDraft) -> None:
    """Tables of several sizes and numbers of heads, with a different value per displacement."""
    for size, heads in ((1, 1), (2, 1), (2, 3), (3, 2), (4, 1), (2, 4), (5, 1)):
        d.add("ChannelOrder", f"{size} x {size}", table=counted(((2 * size - 1) ** 2, heads), -60), size=size)
    table = [[value] for value in (*I8, -(2**15), 2**15 - 1, -(2**31), 2**31 - 1, -(2**63), 2**63 - 1, 0)]
    d.add("ChannelOrder", "the ends of 64 bits", table=table, size=2)
    random_cases(d, lambda n: {"table": d.draws.nested((9, n), I8), "size": 2})
    d.add("NotDivisible", "one displacement too few", table=counted((8, 1)), size=2)
    d.refuse({"table": counted((9, 1)), "size": 2}, {"size": 0}, {"size": 129}, {"size": 3}, {"table": [1] * 9})
    of_the_model(d, lambda params: {"table": counted(((2 * params["size"] - 1) ** 2, 1), -50)})
