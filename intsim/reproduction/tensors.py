"""The arrays of a reproduction as files: .npy for programs, and memories of beats for simulators."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..arith import I32, Format, IntArray
from ..errors import IntsimError
from ..testbench import BeatLayout, Packing
from ..testbench.encodings import ENCODINGS
from .case import FORMATS, Reproduction, format_of

DATA = "data"
EXPECTED, FOUND, PLACES = "expected", "found", "places"


@dataclass(frozen=True)
class Memory:
    """An array as a memory: its name, its values, and how they are packed."""

    name: str
    values: IntArray
    packing: Packing

    @property
    def shape(self) -> str:
        """Its shape in words."""
        return " x ".join(map(str, self.values.shape)) or "1"

    @property
    def signed(self) -> bool:
        """Whether its elements may be negative."""
        return self.packing.element.lo < 0

    @property
    def in_order(self) -> bool:
        """Whether the elements follow one another in the beats, the first in the lowest bits."""
        layout = self.packing.layout
        return not (layout.tile or layout.pitch or layout.axes) and layout.first == "low"


def memories(made: Reproduction, layout: BeatLayout) -> list[Memory]:
    """Every array of a call, and the result, in a layout, those whose axes it does not fit element by element.

    Raises IntsimError where beats or elements do not fit.
    """
    arrays = [*_formatted(made), ("out", made.found, made.fmt)]
    return [Memory(name, values, _packing(layout, values, fmt)) for name, values, fmt in arrays]


def _packing(layout: BeatLayout, values: IntArray, fmt: Format) -> Packing:
    try:
        return Packing(layout, values.shape, fmt)
    except IntsimError:
        return Packing(replace(layout, tile=(), pitch=(), axes=None), values.shape, fmt)


def _formatted(made: Reproduction) -> list[tuple[str, IntArray, Format]]:
    operator = made.call.operator
    found = []
    for name, values in made.arrays().items():
        fmt = operator.params[name].fmt if name in operator.params else format_of(values)
        found.append((name, values, fmt if fmt in FORMATS else I32))
    return found


def write_tensors(made: Reproduction, all_memories: list[Memory], folder: Path) -> None:
    """Write the arrays and the results, and the place of every element of the result in its beats."""
    data = folder / DATA
    data.mkdir()
    for memory in all_memories[:-1]:
        np.save(data / f"{memory.name}.npy", memory.values)
        _write_beats(data / f"{memory.name}.hex", memory.values, memory.packing)
    out = all_memories[-1].packing
    for name, values in ((EXPECTED, made.expected), (FOUND, made.found)):
        np.save(data / f"{name}.npy", values.astype(made.fmt.dtype))
        _write_beats(data / f"{name}.hex", values, out)
    places = Packing(_placing(out), made.found.shape, I32)
    stream = places.stream(np.arange(made.found.size, dtype=np.int64).reshape(made.found.shape))
    text = "".join(f"{int(place) & 0xFFFFFFFF:08x}\n" for place in stream.ravel())
    (data / f"{PLACES}.hex").write_text(text, encoding="ascii")


def _placing(packing: Packing) -> BeatLayout:
    """The layout of a packing with an element's number in its lane, and -1 where there is padding."""
    return replace(packing.layout, bits=32, signed=True, beat=None, lanes=packing.lanes, pad=-1)


def _write_beats(path: Path, values: IntArray, packing: Packing) -> None:
    ENCODINGS["hex"].write(path, packing.stream(np.asarray(values), path.stem), packing)
