"""The map of a device's dump: which of its names is which node, and how its raw files lay out their numbers.

A TOML file. ``{name}`` in `device` stands for any text without a slash and is put into `node`; of several entries that
match, the first counts. Every key but `device` and `node` may be left out, or stand under ``[defaults]``:

    [defaults]
    endian = "big"                                   # "little"

    [[tensor]]
    device = "blk{i}/probs.bin"                      # a file below the folder, an .npz key, an HDF5 path
    node   = "encoder.blocks.{i}.attn.softmax"
    dtype  = "int16"                                 # of the node's format; int4 to int64, uint4 to uint64
    shape  = [257, 4, 257]                           # of the node, in the device's order of axes
    order  = [1, 0, 2]                               # the device's axes, as numbers of the node's axes
    tile   = [16, 16]                                # the last axes are stored block by block, padded to whole blocks
    encoding = "bin"                                 # bin, hex and bits (words, as $readmemh and $readmemb), txt (decimal)
    nibbles  = "low_first"                           # of two 4-bit values in a byte; or "high_first"

In hex a word of more digits than an element has is a beat of several elements: ``endian = "little"`` has the first one in
its lowest digits. ``layout = "axi128"``, or a TOML file beside the map, takes the place of all keys but `encoding`: it is
one of those that ``intsim export`` writes by (`export.layout`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from ..arith import I64, Format, IntArray
from ..errors import FileError, IntsimError
from ..testbench import BeatLayout, Packing, layout_named

DTYPES = ("int4", "uint4", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
MAP_CHOICES = {
    "endian": ("little", "big"),
    "encoding": ("bin", "hex", "txt", "bits"),
    "nibbles": ("low_first", "high_first"),
}
PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class DumpLayout:
    """How a device stores one tensor. None: as the node has it (`encoding`: as the file's ending says).

    `named` is a layout of `export`, which says all the others do but `encoding`.
    """

    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    order: tuple[int, ...] | None = None
    tile: tuple[int, ...] = ()
    endian: str = "little"
    encoding: str | None = None
    nibbles: str = "low_first"
    named: BeatLayout | None = None

    @property
    def axes(self) -> tuple[int, ...] | None:
        """The device's axes as numbers of the node's; None: the same."""
        return self.named.axes if self.named else self.order

    @property
    def moves(self) -> bool:
        """Whether values stand in another order than the node's."""
        return self.axes is not None or bool(self.named.tile if self.named else self.tile)

    def node_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The node's shape of a tensor that the device stores as `shape`."""
        axes = self.axes
        if axes is None:
            return shape
        if len(axes) != len(shape):
            raise IntsimError(f"it has {len(shape)} axes, its order names {len(axes)}")
        return tuple(shape[axes.index(axis)] for axis in range(len(shape)))

    def device_shape(self, node_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in the device's order of axes, before tiling."""
        axes = self.axes
        if self.shape is not None:
            return self.shape
        if axes is None:
            return node_shape
        if sorted(axes) != list(range(len(node_shape))):
            raise IntsimError(f"order {list(axes)} does not name each of the node's {len(node_shape)} axes once")
        return tuple(node_shape[axis] for axis in axes)

    def rearranged(self, values: IntArray, shape: tuple[int, ...]) -> IntArray:
        """Values in the device's order, of any type, in that of a node of `shape`."""
        tile = self.named.tile if self.named else self.tile
        return Packing(BeatLayout("of the map", axes=self.axes, tile=tile), shape, I64).put_back(values)

    def stored(self, shape: tuple[int, ...], fmt: Format, digits: int = 0) -> Packing:
        """The layout on a node of `shape` and `fmt`; `digits` are those of a word of text, 0 for bytes."""
        if self.named is not None:
            if self.named.lines is not None:
                raise IntsimError(
                    f"layout {self.named.name} spreads a tensor over files; 'intsim import' puts them together"
                )
            return Packing(self.named, shape, fmt)
        kind = self.dtype or str(fmt.dtype)
        bits = int(kind.removeprefix("u").removeprefix("int"))
        nibbles = bits == 4 and not digits
        lanes = 2 if nibbles else max(-(-digits * 4 // bits), 1)
        first = self.nibbles.removesuffix("_first") if nibbles else "high" if digits and self.endian == "big" else "low"
        layout = BeatLayout(
            "of the map",
            bits=bits,
            signed=not kind.startswith("u") or bits == 64,
            beat=-(-lanes * bits // 8) * 8,
            lanes=lanes,
            first=first,
            endian=self.endian,
            axes=self.order,
            tile=self.tile,
        )
        return Packing(layout, shape, fmt)


@dataclass(frozen=True)
class MapEntry:
    """One line of the map."""

    device: str
    node: str
    layout: DumpLayout

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The device's names it stands for."""
        seen: set[str] = set()
        parts = PLACEHOLDER.split(self.device)
        text = ""
        for i, part in enumerate(parts):
            if i % 2 == 0:
                text += re.escape(part)
            else:
                text += f"(?P={part})" if part in seen else f"(?P<{part}>[^/]+?)"
                seen.add(part)
        return re.compile(text)

    def matches(self, source: str) -> bool:
        """Whether `source` is one of its names; ``.npy`` may be left away."""
        return bool(self.pattern.fullmatch(source) or self.pattern.fullmatch(source.removesuffix(".npy")))

    def node_of(self, source: str) -> str:
        """The node of a device's name that matches."""
        found = self.pattern.fullmatch(source) or self.pattern.fullmatch(source.removesuffix(".npy"))
        groups = found.groupdict() if found else {}
        return PLACEHOLDER.sub(lambda m: groups[m.group(1)], self.node)


@dataclass(frozen=True)
class DumpMap:
    """A device's names and layouts."""

    path: Path
    entries: tuple[MapEntry, ...]

    @classmethod
    def load(cls, path: str | Path) -> DumpMap:
        """Read a map; a FileError names the entry and what is allowed."""
        path = Path(path)
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FileError(f"{path}: there is no such map") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, IsADirectoryError) as error:
            raise FileError(f"{path}: not a TOML file ({error})") from None
        _only(table, ("defaults", "tensor"), f"{path}")
        defaults, rows = table.get("defaults", {}), table.get("tensor", [])
        if not isinstance(defaults, dict) or not isinstance(rows, list) or not rows:
            raise FileError(f"{path}: a map has [[tensor]] entries, and optionally [defaults]")
        layout_keys = ("layout", *(f.name for f in fields(DumpLayout) if f.name != "named"))
        _only(defaults, layout_keys, f"{path}: [defaults]")
        for key, value in defaults.items():
            _named(value, path, f"{path}: [defaults]") if key == "layout" else _layout_value(
                key, value, f"{path}: [defaults]"
            )
        return cls(
            path,
            tuple(_entry(row, defaults, layout_keys, path, f"{path}: [[tensor]] {i + 1}") for i, row in enumerate(rows)),
        )

    def entry(self, source: str) -> MapEntry | None:
        """The first entry that stands for a device's name."""
        return next((entry for entry in self.entries if entry.matches(source)), None)

    def unused(self, sources: Iterable[str]) -> list[str]:
        """The patterns that match none of the device's names."""
        names = list(sources)
        return [entry.device for entry in self.entries if not any(entry.matches(name) for name in names)]


def _only(table: dict[str, Any], allowed: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in allowed:
            raise FileError(f"{where}: unknown key {key!r}; the keys are: {', '.join(allowed)}")


def _entry(row: Any, defaults: dict[str, Any], layout_keys: tuple[str, ...], path: Path, where: str) -> MapEntry:
    if not isinstance(row, dict):
        raise FileError(f"{where}: not a table")
    _only(row, ("device", "node", *layout_keys), where)
    for key in ("device", "node"):
        if not isinstance(row.get(key), str) or not row[key]:
            raise FileError(f"{where}: its key {key!r} is missing or not text")
    if bad := [name for name in PLACEHOLDER.findall(row["device"]) if not name.isidentifier()]:
        raise FileError(f"{where}: {{{bad[0]}}} is not a placeholder; a name of letters, digits and _ is due")
    if unknown := set(PLACEHOLDER.findall(row["node"])) - set(PLACEHOLDER.findall(row["device"])):
        raise FileError(f"{where}: {{{min(unknown)}}} stands in node but not in device")
    own = {k: v for k, v in row.items() if k in layout_keys}
    given = {**defaults, **own}
    said = [key for key in own if key not in ("layout", "encoding")]
    if "layout" in own and said:
        raise FileError(f"{where}: layout says it all but the encoding; leave out {said[0]}")
    if said:
        given.pop("layout", None)  # what an entry says itself takes the place of a layout among the defaults
    if "layout" in given:
        named = _named(given["layout"], path, where)
        encoding = _layout_value("encoding", given["encoding"], where) if "encoding" in given else None
        return MapEntry(row["device"], row["node"], DumpLayout(encoding=encoding, named=named))
    for key, value in given.items():
        given[key] = _layout_value(key, value, where)
    order = given.get("order")
    if order is not None and sorted(order) != list(range(len(order))):
        raise FileError(f"{where}: order {list(order)} must name every axis from 0 to {len(order) - 1} once")
    return MapEntry(row["device"], row["node"], DumpLayout(**given))


def _named(value: Any, path: Path, where: str) -> BeatLayout:
    """A layout by its name, or from a file beside the map."""
    if not isinstance(value, str):
        raise FileError(f"{where}: layout = {value!r} is not the name of a layout or of its file")
    beside = path.parent / value
    try:
        return BeatLayout.load(beside) if beside.is_file() else layout_named(value)
    except IntsimError as error:
        raise FileError(f"{where}: {error}") from None


def _layout_value(key: str, value: Any, where: str) -> Any:
    if key in ("shape", "order", "tile"):
        lowest = 0 if key == "order" else 1
        if not isinstance(value, list) or not all(type(v) is int and lowest <= v < 1 << 31 for v in value) or not value:
            raise FileError(f"{where}: {key} = {value!r} is not a list of whole numbers from {lowest}")
        return tuple(value)
    allowed = DTYPES if key == "dtype" else MAP_CHOICES[key]
    if key == "dtype" and isinstance(value, str):  # i8 and u16 are the field's words for them
        value = re.sub(r"^i(?=\d)", "int", re.sub(r"^u(?=\d)", "uint", value))
    if value not in allowed:
        raise FileError(f"{where}: {key} = {value!r} is not one of: {', '.join(allowed)}")
    return value
