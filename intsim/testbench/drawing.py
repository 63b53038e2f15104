"""What a layout does, drawn: the first beats of a tensor, lane by lane, as bits stand in a beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..arith import I64
from .layout import BeatLayout
from .sources import ExportTensor
from .stored import Packing
from .writing import placed

BEATS, LANES = 3, 8  # drawn, at most


def render(console: Console, tensors: Sequence[ExportTensor], layout: BeatLayout, most: int) -> None:
    """Draw the first `most` tensors, and say what the others come to."""
    for tensor in tensors[:most]:
        _tensor(console, tensor, placed(tensor, layout))
    total = sum(placed(tensor, layout).beats * placed(tensor, layout).beat // 8 for tensor in tensors)
    if len(tensors) > most:
        console.print(f"\nand {len(tensors) - most} tensors more", highlight=False)
    console.print(
        f"\n{len(tensors)} tensor{'s' if len(tensors) > 1 else ''}, {total:,} bytes of beats; nothing was written",
        highlight=False,
    )


def _tensor(console: Console, tensor: ExportTensor, stored: Packing) -> None:
    drawn = _beats(tensor, stored)
    shape = " x ".join(map(str, tensor.shape))
    elements = f"{stored.lanes} elements" if stored.lanes > 1 else "1 element"
    lines = [f"\n[bold]{escape(tensor.name)}[/]  {tensor.fmt} {shape}"]
    if stored.arranged != tensor.shape:
        lines.append(f"  stored as {' x '.join(map(str, stored.arranged))}, {_filling(tensor, stored)}")
    lines.append(f"  {stored.beats:,} beats of {stored.beat} bits, {elements} of {stored.element} in each")
    if stored.layout.endian == "big":
        lines.append("  in raw binary the highest byte of a beat comes first")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    console.print(drawn)


def _filling(tensor: ExportTensor, stored: Packing) -> str:
    padding = stored.beats * stored.lanes - int(np.prod(tensor.shape, dtype=object))
    return f"{padding:,} elements of padding" if padding else "no padding"


def _beats(tensor: ExportTensor, stored: Packing) -> Table:
    """The first beats: which element each lane holds, highest bits left, and the beat in hexadecimal."""
    stream = stored.stream(tensor.values(), tensor.name)[:BEATS]
    names = _names(stored)
    words = stored.pack(stream)[:, ::-1]
    lanes = list(range(stored.lanes))[:: 1 if stored.layout.first == "high" else -1]  # as they stand, highest bits first
    shown: list[int | None] = list(lanes)
    if len(lanes) > LANES:
        shown = [*lanes[: LANES // 2], None, *lanes[-LANES // 2 :]]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("  beat", justify="right")
    unused = stored.beat - stored.lanes * stored.bits
    if unused:
        table.add_column(f"{stored.beat - 1}..{stored.beat - unused}", justify="right")
    for lane in shown:
        if lane is None:
            table.add_column("...")
            continue
        low = (stored.lanes - 1 - lane if stored.layout.first == "high" else lane) * stored.bits
        table.add_column(f"{low + stored.bits - 1}..{low}" if stored.bits > 1 else str(low), justify="right")
    table.add_column("in hexadecimal")
    for beat, (values, places) in enumerate(zip(stream, names, strict=True)):
        cells = ["0"] if unused else []
        cells += ["..." if lane is None else f"{places[lane]} {values[lane]}" for lane in shown]
        table.add_row(str(beat), *(escape(cell) for cell in cells), _short(words[beat].tobytes().hex()))
    return table


def _names(stored: Packing) -> list[list[str]]:
    """For the first beats, the index of the element in every lane; ``pad`` where it is padding."""
    numbers = np.arange(np.prod(stored.shape)).reshape(stored.shape)
    plain = replace(stored.layout, bits=64, signed=True, beat=None, lanes=stored.lanes, pad=-1)
    places = Packing(plain, stored.shape, I64).stream(numbers)[:BEATS]
    return [["pad" if place < 0 else _index(place, stored.shape) for place in beat] for beat in places]


def _index(place: int, shape: tuple[int, ...]) -> str:
    return "[" + ",".join(str(int(i)) for i in np.unravel_index(place, shape)) + "]"


def _short(digits: str) -> str:
    return digits if len(digits) <= 40 else f"{digits[:16]}...{digits[-16:]}"
