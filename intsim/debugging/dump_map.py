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

``layout = "axi128"``, or a TOML file next to the map, replaces all keys but `encoding`, `scaled` and `convention`: a layout
of ``intsim export``.

``reverse = 8``: every 8 consecutive elements are in reverse order; ``"all"``: all of them.

``convention = ["heads-after-tokens", "byte-swap"]``: conventions of the device, undone in this order (`conventions`).

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

import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import FileError, IntsimError
from ..storage.files import require_file
from ..testbench import BeatLayout, layout_named
from .conventions import Convention, convention
from .dump_layout import OF_THE_MAP, DumpLayout

ENCODINGS = ("hex", "bits", "raw", "text")
BEAT_KEYS = ("axes", "bits", "signed", "beat", "lanes", "first", "endian", "tile", "pitch", "pad")
LAYOUT_KEYS = ("layout", "encoding", "shape", "scaled", "reverse", "convention", *BEAT_KEYS)

# The former words, and the keys that replace them. `_translated` is the only place that reads them.
FORMER_KEYS = {"order": ("axes",), "dtype": ("bits", "signed"), "nibbles": ("first", "beat", "lanes")}
FORMER_ENCODINGS = {"bin": "raw", "txt": "text"}
INTEGERS = ("int4", "uint4", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
REALS = ("float32", "float64")
SHORT_DTYPES = {"i": "int", "u": "uint"}  # i8 and u16 are common names of int8 and uint16
NIBBLES = {"low_first": "low", "high_first": "high"}

PLACEHOLDER = re.compile(r"\{(\w+)\}")


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
    described = [key for key in own if key not in ("layout", "encoding", "scaled", "convention")]
    if "layout" in own and described:
        raise FileError(f"{where}: layout replaces all keys but encoding, scaled and convention; leave out {described[0]}")
    if described:
        defaults = {key: value for key, value in defaults.items() if key != "layout"}
    return MapEntry(row["device"], row["node"], _layout(defaults | _translated(own, path, where)))


def _layout(given: dict[str, Any]) -> DumpLayout:
    """The layout of translated keys."""
    stored: dict[str, Any] = {
        key: given.get(key, default) for key, default in (("encoding", None), ("scaled", False), ("conventions", ()))
    }
    if "layout" in given:
        return DumpLayout(given["layout"], hex_first=None, **stored)
    beats = {key: given[key] for key in BEAT_KEYS if key in given}
    stored |= {key: given.get(key) for key in ("shape", "real", "reverse")}
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
        elif key == "convention":
            given["conventions"] = _conventions(value, where)
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


def _conventions(value: Any, where: str) -> tuple[Convention, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FileError(f"{where}: convention = {value!r} is neither a name nor a list of names")
    try:
        return tuple(convention(name) for name in names)
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
