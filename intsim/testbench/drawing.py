"""Draws the effect of a layout: the first beats of a tensor, lane by lane, with the highest bits on the left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..arith import I64
from .layout import BeatLayout
from .packing import Packing
from .sources import ExportTensor
from .writing import packing_of

BEATS, LANES = 3, 8  # drawn at most


def draw_beats(console: Console, tensors: Sequence[ExportTensor], layout: BeatLayout, most: int) -> None:
    """Draw the first beats of the first `most` tensors, and print the size of all of them."""
    packings = [packing_of(tensor, layout) for tensor in tensors]
    for tensor, packing in zip(tensors[:most], packings, strict=False):
        _draw(console, tensor, packing)
    total = sum(packing.beats * packing.beat // 8 for packing in packings)
    if len(tensors) > most:
        console.print(f"\nand {len(tensors) - most} more tensors", highlight=False)
    console.print(
        f"\n{len(tensors)} tensor{'s' if len(tensors) > 1 else ''}, {total:,} bytes of beats; nothing was written",
        highlight=False,
    )


def _draw(console: Console, tensor: ExportTensor, packing: Packing) -> None:
    beats = _beats(tensor, packing)
    shape = " x ".join(map(str, tensor.shape))
    elements = f"{packing.lanes} elements" if packing.lanes > 1 else "1 element"
    lines = [f"\n[bold]{escape(tensor.name)}[/]  {tensor.fmt} {shape}"]
    if packing.arranged != tensor.shape:
        lines.append(f"  stored as {' x '.join(map(str, packing.arranged))}, {_padding(tensor, packing)}")
    lines.append(f"  {packing.beats:,} beats of {packing.beat} bits, {elements} of {packing.element} in each")
    if packing.layout.endian == "big":
        lines.append("  in raw binary, the highest byte of a beat comes first")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    console.print(beats)


def _padding(tensor: ExportTensor, packing: Packing) -> str:
    padding = packing.beats * packing.lanes - int(np.prod(tensor.shape, dtype=object))
    return f"{padding:,} elements of padding" if padding else "no padding"


def _beats(tensor: ExportTensor, packing: Packing) -> Table:
    """The first beats: the element in each lane, highest bits on the left, and the beat in hexadecimal."""
    stream = packing.stream(tensor.values(), tensor.name)[:BEATS]
    names = _names(packing)
    words = packing.pack(stream)[:, ::-1]
    lanes = list(range(packing.lanes))[:: 1 if packing.layout.first == "high" else -1]  # from the highest bits down
    shown: list[int | None] = list(lanes)
    if len(lanes) > LANES:
        shown = [*lanes[: LANES // 2], None, *lanes[-LANES // 2 :]]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("  beat", justify="right")
    unused = packing.beat - packing.lanes * packing.bits
    if unused:
        table.add_column(f"{packing.beat - 1}..{packing.beat - unused}", justify="right")
    for lane in shown:
        if lane is None:
            table.add_column("...")
            continue
        low = (packing.lanes - 1 - lane if packing.layout.first == "high" else lane) * packing.bits
        table.add_column(f"{low + packing.bits - 1}..{low}" if packing.bits > 1 else str(low), justify="right")
    table.add_column("in hexadecimal")
    for beat, (values, indices) in enumerate(zip(stream, names, strict=True)):
        cells = ["0"] if unused else []
        cells += ["..." if lane is None else f"{indices[lane]} {values[lane]}" for lane in shown]
        table.add_row(str(beat), *(escape(cell) for cell in cells), _short(words[beat].tobytes().hex()))
    return table


def _names(packing: Packing) -> list[list[str]]:
    """For the first beats, the index of the element in every lane; ``pad`` for padding."""
    numbers = np.arange(math.prod(packing.shape), dtype=np.int64).reshape(packing.shape)
    layout = replace(packing.layout, bits=64, signed=True, beat=None, lanes=packing.lanes, pad=-1)
    stream = Packing(layout, packing.shape, I64).stream(numbers)[:BEATS]
    return [["pad" if number < 0 else _index(number, packing.shape) for number in beat] for beat in stream]


def _index(number: int, shape: tuple[int, ...]) -> str:
    return "[" + ",".join(str(int(i)) for i in np.unravel_index(number, shape)) + "]"


def _short(digits: str) -> str:
    return digits if len(digits) <= 40 else f"{digits[:16]}...{digits[-16:]}"
