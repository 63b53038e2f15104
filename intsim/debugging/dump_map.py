"""The map of a device's dump: which node each of its names is, and how its raw files store their elements.

A TOML file. ``{name}`` in `device` matches any text without a slash and is inserted into `node`; of several entries that
match, the first counts. Every key but `device` and `node` may be left out, or be given under ``[defaults]``:

    [defaults]
    endian   = "big"                                 # byte order in raw files: "little" (the default) or "big"

    [[tensor]]
    device   = "blk{i}/probs.bin"                    # a file below the folder, an .npz key, an HDF5 path
    node     = "encoder.blocks.{i}.attn.softmax"
    encoding = "raw"                                 # raw, hex, bits or text; by the file's suffix where left out
    shape    = [257, 4, 257]                         # in the device's order of axes; the node's shape where left out
    axes     = [1, 0, 2]                             # and the other keys of a layout (`testbench.layout`): bits, signed,
    tile     = [16, 16]                              # beat, lanes, first, endian, pitch, pad
    bits     = 16

``layout = "axi128"``, or a TOML file next to the map, replaces all keys but `encoding` and `scaled`: a layout of ``intsim
export``.

``reverse = 8``: every 8 consecutive elements are in reverse order; ``"all"``: all of them.

``scaled = true``: the values are real numbers, each an integer times the node's scale. Whole numbers stored as reals need no
key; in raw files, ``dtype = "float32"`` or ``"float64"`` says that the elements are reals.

With neither `beat` nor `lanes` the elements are those of a memory: `bits` is 8, 16, 32 or 64, whichever stores the node's
format, where it is left out; in raw files a byte holds as many smaller elements as fit; and hex words may have any width. A
hex word of more digits than an element is a beat of several elements. `first` says where in it the first element is; where
left out, in the lowest digits with ``endian = "little"``, in the highest with ``"big"``.

Former words are still read: ``order`` (axes), ``dtype = "uint4"`` (bits and signed; int4 to int64, uint4 to uint64),
``nibbles = "high_first"`` (first, in raw bytes of two 4-bit elements), ``encoding = "bin"`` (raw) and ``"txt"`` (text).
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..arith import I64, AnyArray, Format
from ..errors import FileError, IntsimError
from ..storage.files import require_file
from ..testbench import BeatLayout, Packing, layout_named

OF_THE_MAP = "of the map"  # the name of a layout that an entry gives by its own keys
PLAIN = BeatLayout(OF_THE_MAP)
ENCODINGS = ("hex", "bits", "raw", "text")
BEAT_KEYS = ("axes", "bits", "signed", "beat", "lanes", "first", "endian", "tile", "pitch", "pad")
LAYOUT_KEYS = ("layout", "encoding", "shape", "scaled", "reverse", *BEAT_KEYS)

# The former words, and the keys that replace them. `_translated` is the only place that reads them.
FORMER_KEYS = {"order": ("axes",), "dtype": ("bits", "signed"), "nibbles": ("first", "beat", "lanes")}
FORMER_ENCODINGS = {"bin": "raw", "txt": "text"}
INTEGERS = ("int4", "uint4", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
REALS = ("float32", "float64")
SHORT_DTYPES = {"i": "int", "u": "uint"}  # i8 and u16 are common names of int8 and uint16
NIBBLES = {"low_first": "low", "high_first": "high"}

PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class DumpLayout:
    """How a device stores one tensor: a layout, and what only a map says.

    `shape` is in the device's order of axes (None: the node's shape); `encoding` is one of `ENCODINGS` (None: by the file's
    suffix). `scaled`: its values are real numbers, each an integer times the node's scale. `real` is the type of the numbers
    of a raw file that are no integers. `reverse`: so many elements each are in reverse order; 0: all of them. `hex_first` is
    set where the elements are those of a memory, without beats of a fixed width: the end of a hex word, ``low`` or
    ``high``, at which its first element is.
    """

    beats: BeatLayout = PLAIN
    shape: tuple[int, ...] | None = None
    encoding: str | None = None
    hex_first: str | None = "low"
    scaled: bool = False
    real: str | None = None
    reverse: int | None = None

    @property
    def moves(self) -> bool:
        """Whether values are in another order than the node's."""
        return self.beats.axes is not None or bool(self.beats.tile or self.beats.pitch) or self.reverse is not None

    def node_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The node's shape of a tensor that the device stores as `shape`."""
        axes = self.beats.axes
        if axes is None:
            return shape
        if len(axes) != len(shape):
            raise IntsimError(f"it has {len(shape)} axes, the map names {len(axes)}: {list(axes)}")
        return tuple(shape[axes.index(axis)] for axis in range(len(shape)))

    def device_shape(self, node_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in the device's order of axes, before tiling."""
        axes = self.beats.axes
        if self.shape is not None:
            return self.shape
        if axes is None:
            return node_shape
        if sorted(axes) != list(range(len(node_shape))):
            raise IntsimError(f"the map's axes {list(axes)} do not name each of the node's {len(node_shape)} axes once")
        return tuple(node_shape[axis] for axis in axes)

    def stored_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of an array of the device: its own, or the map's where that has as many elements."""
        if self.shape is None:
            return shape
        if math.prod(self.shape) != math.prod(shape):
            raise IntsimError(f"its shape is {list(shape)}, the map says {list(self.shape)}")
        return self.shape

    def array_packing(self, shape: tuple[int, ...], size: int) -> Packing:
        """The order of the `size` elements of an array of the device, for a node of `shape`."""
        beats = self.beats
        packing = Packing(BeatLayout(beats.name, axes=beats.axes, tile=beats.tile, pitch=beats.pitch), shape, I64)
        if packing.count != size:
            raise IntsimError(f"it has {size:,} elements; in this layout the node has {packing.count:,}")
        return self.checked(packing)

    def checked(self, packing: Packing) -> Packing:
        """`packing`; an IntsimError where its elements are no whole number of reversed groups."""
        if self.reverse and packing.count % self.reverse:
            raise IntsimError(f"its {packing.count:,} elements are no whole number of groups of {self.reverse:,}")
        return packing

    def put_back(self, packing: Packing, stream: AnyArray) -> AnyArray:
        """The tensor from the elements of the stream, of any type."""
        if self.reverse is None:
            return packing.put_back(stream)
        elements = stream.reshape(-1)[: packing.count]
        return packing.put_back(elements.reshape(-1, self.reverse or len(elements))[:, ::-1])

    def packing(self, shape: tuple[int, ...], fmt: Format, encoding: str, digits: int = 1) -> Packing:
        """The layout on a node of `shape` and `fmt`; `digits` are those of a hex word of any width."""
        beats = self.beats
        if beats.lines is not None:
            raise IntsimError(f"layout {beats.name} spreads a tensor over files; 'intsim import' puts them together")
        if self.hex_first is not None:
            bits = beats.bits or 8 * fmt.dtype.itemsize
            lanes = {"raw": max(8 // bits, 1), "hex": 4 * (digits - 1) // bits + 1}.get(encoding, 1)
            beats = replace(
                beats,
                bits=bits,
                signed=fmt.dtype.kind == "i" if beats.signed is None else beats.signed,
                beat=-(-lanes * bits // 8) * 8,
                lanes=lanes,
                first=self.hex_first if encoding == "hex" else beats.first,
            )
        if beats.signed is False and (beats.bits or fmt.bits) == 64:
            beats = replace(beats, signed=True)  # int64 is the widest type here: a set sign bit is found when read
        return self.checked(Packing(beats, shape, fmt))


@dataclass(frozen=True)
class MapEntry:
    """One entry of the map."""

    device: str
    node: str
    layout: DumpLayout

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The device's names that the entry is about."""
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

    def match(self, source: str) -> re.Match[str] | None:
        """How `source` matches, with or without its ``.npy``; None where it does not."""
        return self.pattern.fullmatch(source) or self.pattern.fullmatch(source.removesuffix(".npy"))

    def node_of(self, source: str) -> str:
        """The node of a device's name that matches."""
        matched = self.match(source)
        groups = matched.groupdict() if matched else {}
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
        if not os.path.lexists(path):
            raise FileError(f"{path}: no such map")
        require_file(path, "a map")
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except RecursionError:
            raise FileError(f"{path}: not a map: nested too deeply") from None
        except ValueError as error:
            raise FileError(f"{path}: not a TOML file ({error})") from None
        _only(table, ("defaults", "tensor"), f"{path}")
        defaults, rows = table.get("defaults", {}), table.get("tensor", [])
        if not isinstance(defaults, dict) or not isinstance(rows, list) or not rows:
            raise FileError(f"{path}: a map has [[tensor]] entries, and optionally [defaults]")
        where = f"{path}: [defaults]"
        _only(defaults, LAYOUT_KEYS, where, FORMER_KEYS)
        shared = _translated(defaults, path, where)
        return cls(path, tuple(_entry(row, shared, path, f"{path}: [[tensor]] {i + 1}") for i, row in enumerate(rows)))

    def entry(self, source: str) -> MapEntry | None:
        """The first entry that matches a device's name."""
        return next((entry for entry in self.entries if entry.match(source)), None)

    def unused(self, sources: Iterable[str]) -> list[str]:
        """The patterns that match none of the device's names."""
        names = list(sources)
        return [entry.device for entry in self.entries if not any(entry.match(name) for name in names)]


def _only(table: dict[str, Any], allowed: tuple[str, ...], where: str, former: Iterable[str] = ()) -> None:
    for key in table:
        if key not in (*allowed, *former):
            raise FileError(f"{where}: unknown key {key!r}; the keys are: {', '.join(allowed)}")


def _entry(row: Any, defaults: dict[str, Any], path: Path, where: str) -> MapEntry:
    """An entry, with the defaults for what it leaves out."""
    if not isinstance(row, dict):
        raise FileError(f"{where}: not a table")
    _only(row, ("device", "node", *LAYOUT_KEYS), where, FORMER_KEYS)
    for key in ("device", "node"):
        if not isinstance(row.get(key), str) or not row[key]:
            raise FileError(f"{where}: its key {key!r} is missing or not text")
    if bad := [name for name in PLACEHOLDER.findall(row["device"]) if not name.isidentifier()]:
        raise FileError(f"{where}: {{{bad[0]}}} is not a placeholder; use a name of letters, digits and _")
    if unknown := set(PLACEHOLDER.findall(row["node"])) - set(PLACEHOLDER.findall(row["device"])):
        raise FileError(f"{where}: {{{min(unknown)}}} is in node but not in device")
    own = {key: value for key, value in row.items() if key not in ("device", "node")}
    described = [key for key in own if key not in ("layout", "encoding", "scaled")]
    if "layout" in own and described:
        raise FileError(f"{where}: layout replaces all keys but encoding and scaled; leave out {described[0]}")
    if described:
        defaults = {key: value for key, value in defaults.items() if key != "layout"}
    return MapEntry(row["device"], row["node"], _layout(defaults | _translated(own, path, where)))


def _layout(given: dict[str, Any]) -> DumpLayout:
    """The layout of translated keys."""
    stored = {"encoding": given.get("encoding"), "scaled": given.get("scaled", False)}
    if "layout" in given:
        return DumpLayout(given["layout"], hex_first=None, **stored)
    beats = {key: given[key] for key in BEAT_KEYS if key in given}
    stored |= {"shape": given.get("shape"), "real": given.get("real"), "reverse": given.get("reverse")}
    if given.get("beat") is not None or given.get("lanes") is not None:
        return DumpLayout(BeatLayout.of(beats, OF_THE_MAP), hex_first=None, **stored)
    hex_first = given.get("first", "high" if given.get("endian") == "big" else "low")
    beats["first"] = given.get("raw_first")
    return DumpLayout(BeatLayout.of(beats, OF_THE_MAP), hex_first=hex_first, **stored)


def _translated(table: dict[str, Any], path: Path, where: str) -> dict[str, Any]:
    """The layout keys of one table, checked and in present words, to be merged over the defaults; None removes a default.

    Beside those of `LAYOUT_KEYS` there is `raw_first`, the end of a raw byte at which its first element is.
    """
    for former, keys in FORMER_KEYS.items():
        if former in table and (twice := [key for key in keys if key in table]):
            raise FileError(f"{where}: {former} and {twice[0]} describe the same thing; leave out {former}")
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key == "layout":
            given[key] = _named(value, path, where)
        elif key == "shape":
            if not isinstance(value, list) or not value or not all(type(v) is int and 1 <= v < 1 << 31 for v in value):
                raise FileError(f"{where}: {key} = {value!r} is not a list of whole numbers from 1 below 2**31")
            given[key] = tuple(value)
        elif key == "encoding":
            modern = FORMER_ENCODINGS.get(value, value) if isinstance(value, str) else value
            given[key] = _choice(key, modern, ENCODINGS, where)
        elif key == "order":
            given["axes"] = _beat_value("axes", value, where, called=key)
        elif key == "dtype":
            whole = re.sub(r"^[iu](?=\d)", lambda m: SHORT_DTYPES[m[0]], value) if isinstance(value, str) else value
            kind = _choice(key, whole, (*INTEGERS, *REALS), where)
            given["real"] = kind if kind in REALS else None
            if kind in INTEGERS:
                given |= {"bits": int(kind.removeprefix("u").removeprefix("int")), "signed": not kind.startswith("u")}
        elif key == "reverse":
            if value != "all" and (type(value) is not int or value < 2):
                raise FileError(f'{where}: reverse = {value!r} is neither "all" nor a whole number from 2')
            given[key] = 0 if value == "all" else value
        elif key == "scaled":
            if not isinstance(value, bool):
                raise FileError(f"{where}: scaled = {value!r} is not true or false")
            given[key] = value
        elif key == "nibbles":
            given |= {"raw_first": NIBBLES[_choice(key, value, tuple(NIBBLES), where)], "beat": None, "lanes": None}
        else:
            given[key] = _beat_value(key, value, where, called=key)
            if key == "first":
                given["raw_first"] = given[key]
    return given


def _named(value: Any, path: Path, where: str) -> BeatLayout:
    """A layout by its name, or from a file next to the map."""
    if not isinstance(value, str):
        raise FileError(f"{where}: layout = {value!r} is not the name of a layout or of its file")
    beside = path.parent / value
    try:
        return BeatLayout.load(beside) if beside.is_file() else layout_named(value)
    except IntsimError as error:
        raise FileError(f"{where}: {error}") from None


def _choice(key: str, value: Any, allowed: tuple[str, ...], where: str) -> str:
    if value not in allowed:
        raise FileError(f"{where}: {key} = {value!r} is not one of: {', '.join(allowed)}")
    return str(value)


def _beat_value(key: str, value: Any, where: str, called: str) -> Any:
    """A value of a key of `BeatLayout`, checked; a FileError names the key as the map calls it."""
    try:
        return BeatLayout.of({key: value}, OF_THE_MAP).record()[key]
    except IntsimError as error:
        reason = str(error).removeprefix(f"layout {OF_THE_MAP}: ").replace(key, called, 1)
        raise FileError(f"{where}: {reason}") from None
