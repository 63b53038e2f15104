"""A layout defines how a tensor becomes a stream of beats.

It is a TOML file, or one of `BEAT_LAYOUTS` by name. Every key is optional:

    name   = "axi128"
    bits   = 8             # per element, 1 to 64; default: as in the tensor's format
    signed = true          # two's complement; default: as in the tensor's format
    beat   = 128           # bits per beat, a multiple of 8; default: one element (or `lanes`), padded to whole bytes
    lanes  = 16            # elements per beat; default: as many as fit
    first  = "low"         # the first element of a beat is in its lowest bits; or "high"
    endian = "little"      # in raw binary, a beat's lowest byte comes first; or "big"
    axes   = [1, 0, 2]     # the tensor's axes in storage order, slowest first
    tile   = [16, 16]      # store the last axes block by block, each block row by row, padded to whole blocks
    pitch  = [4352, 136]   # instead of tile: elements from one plane to the next, and from one row to the next
    pad    = 0             # the value that fills up blocks, rows, planes and the last beat
    lines  = 4096          # beats per file; default: one file per tensor

`pitch` has one number for each of the axes before the last one, from the right; axes without a number follow each other
without a gap. Elements are contiguous in a beat and never cross into the next beat; unused bits are the highest ones, and
zero.
"""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FileError, IntsimError
from ..storage.files import require_file

ENDS, ENDIANS = ("low", "high"), ("little", "big")
WIDEST_BEAT = 1 << 16


@dataclass(frozen=True)
class BeatLayout:
    """How tensors are stored; the module's docstring describes the fields."""

    name: str = "plain"
    bits: int | None = None
    signed: bool | None = None
    beat: int | None = None
    lanes: int | None = None
    first: str = "low"
    endian: str = "little"
    axes: tuple[int, ...] | None = None
    tile: tuple[int, ...] = ()
    pitch: tuple[int, ...] = ()
    pad: int = 0
    lines: int | None = None

    def __post_init__(self) -> None:
        for key, value in self.record().items():
            _check(key, value, f"layout {self.name}")
        if self.axes is not None and sorted(self.axes) != list(range(len(self.axes))):
            raise IntsimError(f"layout {self.name}: axes {list(self.axes)} must name every axis from 0 exactly once")
        if self.tile and self.pitch:
            raise IntsimError(f"layout {self.name}: tile and pitch exclude each other; leave one of them out")

    def record(self) -> dict[str, Any]:
        """The layout as plain data; a key that is left out is None, and no pitch is no key."""
        table = {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(self).items()}
        return {key: value for key, value in table.items() if key != "pitch" or value}

    @classmethod
    def of(cls, table: dict[str, Any], name: str) -> BeatLayout:
        """A layout from plain data; an IntsimError names an unknown key or an invalid value."""
        keys = [field.name for field in dataclasses.fields(cls)]
        if unknown := [key for key in table if key not in keys]:
            raise IntsimError(f"layout {name}: unknown key {unknown[0]!r}; the keys are: {', '.join(keys)}")
        given = {"name": name} | {key: value for key, value in table.items() if value is not None}
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
        return cls(**values)

    @classmethod
    def load(cls, path: str | Path) -> BeatLayout:
        """A layout from a TOML file; its default name is the file's name."""
        path = Path(path)
        require_file(path, "a layout, TOML")
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise FileError(f"{path}: not a valid TOML file ({error})") from None
        try:
            return cls.of(table, path.stem)
        except IntsimError as error:
            raise FileError(f"{path}: {error}") from None


def _check(key: str, value: Any, where: str) -> None:
    """An IntsimError unless a key's value is valid."""
    ranges = {"bits": (1, 64), "lanes": (1, WIDEST_BEAT), "beat": (8, WIDEST_BEAT), "lines": (1, 1 << 31)}
    choices = {"first": ENDS, "endian": ENDIANS}
    if key in ("axes", "tile", "pitch"):
        lowest = 0 if key == "axes" else 1
        listed = list(value) if isinstance(value, (list, tuple)) else None
        if value is not None and (listed is None or not all(type(v) is int and lowest <= v < 1 << 31 for v in listed)):
            alone = f"; write {key} = [{value}]" if type(value) is int else ""
            raise IntsimError(f"{where}: {key} = {value!r} is not a list of whole numbers from {lowest} below 2**31{alone}")
    elif key in choices:
        if value not in choices[key]:
            raise IntsimError(f"{where}: {key} = {value!r} is not one of: {', '.join(choices[key])}")
    elif key == "signed":
        if value is not None and not isinstance(value, bool):
            raise IntsimError(f"{where}: signed = {value!r} is not true or false")
    elif key == "name":
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            raise IntsimError(f"{where}: name = {value!r} is not a line of text")
    elif value is not None:
        low, high = ranges.get(key, (-(1 << 63), (1 << 63) - 1))
        if type(value) is not int or not low <= value <= high:
            raise IntsimError(f"{where}: {key} = {value!r} is not a whole number from {low} to {high}")
        if key == "beat" and value % 8:
            raise IntsimError(f"{where}: a beat of {value} bits is not a whole number of bytes; give a multiple of 8")


BEAT_LAYOUTS = {
    layout.name: layout
    for layout in (
        BeatLayout(),
        BeatLayout("beats32", beat=32),
        BeatLayout("beats64", beat=64),
        BeatLayout("axi128", beat=128),
        BeatLayout("axi256", beat=256),
        BeatLayout("axi512", beat=512),
        BeatLayout("tiles16x16", beat=128, tile=(16, 16)),
    )
}


def layout_named(text: str) -> BeatLayout:
    """One of `BEAT_LAYOUTS` by name, or one from a TOML file."""
    if text in BEAT_LAYOUTS:
        return BEAT_LAYOUTS[text]
    if Path(text).is_file():
        return BeatLayout.load(text)
    raise IntsimError(f"layout {text!r} is neither a TOML file nor one of: {', '.join(BEAT_LAYOUTS)}")
