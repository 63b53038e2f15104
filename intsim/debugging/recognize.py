"""The conventions that a whole dump follows, found over all its tensors and undone before anything is judged.

A right device that writes every i16 with its bytes swapped, every i8 in offset binary, or the class token last is not wrong
in forty places: it has one convention. A convention is taken where it makes right what it applies to, and none of that is
right without it; a real fault keeps its place among tensors that it alone makes wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arith import Format, IntArray
from ..engine.graph import INPUT
from ..engine.inputs import records_picture
from ..errors import FileError
from ..storage.golden_file import GoldenFile
from .conventions import MULTIPLES, Convention, Shape, convention
from .dumps import Dump, DumpedTensor
from .likeness import likeness

PROBES = 4  # tensors that are tried before all are read
BETTER = 0.2  # by which the likeness of tensors must rise
FEW, SURE = 3, 0.8  # tensors, and how alike all must become, where none becomes right
PASSES = 4  # over all conventions: one may hide another
MOST_PICTURES = 64  # of a batch among which the golden file's is looked for
EVERY = "tensors"
# Operators whose tensors of three axes are pictures, not heads.
PLANES = ("input", "input_lut", "grid", "upsample_nearest", "roll", "windows", "merge_windows", "merge_patches", "constant")


@dataclass(frozen=True)
class Followed:
    """A convention that a device follows: its name, as a map has it (`key`), a sentence, and the names of the tensors."""

    name: str
    key: str
    says: str
    tensors: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {"name": self.name, "key": self.key, "says": self.says, "tensors": list(self.tensors)}


Kind = Callable[[str, Format, Shape], str | None]  # of an operator's tensor; None where the convention is not looked for


@dataclass(frozen=True)
class Candidate:
    """A convention to try, and the kind of a tensor: all of a kind must follow it."""

    convention: Convention
    kind: Kind


def _wide(op: str, fmt: Format, shape: Shape) -> str | None:
    return f"{fmt} tensors" if 1 < fmt.dtype.itemsize <= 4 else None


def _signed(op: str, fmt: Format, shape: Shape) -> str | None:
    return f"{fmt} tensors" if fmt.lo < 0 and fmt.bits in (8, 16, 32) else None


def _tokens(op: str, fmt: Format, shape: Shape) -> str | None:
    return "tensors with that many tokens"


def _heads(op: str, fmt: Format, shape: Shape) -> str | None:
    return "tensors with heads" if len(shape) > 2 and op not in PLANES else None


def _planes(op: str, fmt: Format, shape: Shape) -> str | None:
    return "tensors of pictures" if len(shape) == 3 and op in PLANES else None


def _any(op: str, fmt: Format, shape: Shape) -> str | None:
    return EVERY


def candidates(reference: GoldenFile, dump: Dump, unnamed: Iterable[DumpedTensor] = ()) -> Iterator[Candidate]:
    """The conventions that are looked for, those that change the shape first."""
    for count in _batches(reference, dump, unnamed):
        for index in range(count):
            yield Candidate(convention(f"batch:{count}:{index}"), _any)
    yield Candidate(convention("length-1-axes"), _any)
    yield Candidate(convention("axes-reversed"), _any)
    yield Candidate(convention("channels-first"), _planes)
    yield Candidate(convention("columns-first"), _planes)
    yield Candidate(convention("heads-after-tokens"), _heads)
    for multiple in reversed(MULTIPLES):
        for name in ("padded-rows", "padded-columns", "padded-matrices"):
            yield Candidate(convention(f"{name}:{multiple}"), _any)
    yield Candidate(convention("byte-swap"), _wide)
    yield Candidate(convention("offset-binary"), _signed)
    yield Candidate(convention("sign-and-magnitude"), _signed)
    yield Candidate(convention("heads-reversed"), _heads)
    for tokens in _token_counts(reference):
        yield Candidate(convention(f"class-token-last:{tokens}"), _tokens)
        yield Candidate(convention(f"tokens-reversed:{tokens}"), _tokens)


def _batches(reference: GoldenFile, dump: Dump, unnamed: Iterable[DumpedTensor]) -> list[int]:
    """The lengths of one more leading axis than tensors should have; tensors without a node's name may be any."""
    pairs = [(item.shape, reference.tensors[name].shape) for name, item in dump.tensors.items() if name in reference.tensors]
    shapes = {record.shape for record in reference.tensors.values()}
    counts = {stored[0] for stored, shape in pairs if len(stored) == len(shape) + 1 and stored[1:] == shape}
    counts |= {item.shape[0] for item in unnamed if item.shape[1:] in shapes and item.shape not in shapes}
    return sorted(count for count in counts if 1 < count <= MOST_PICTURES)


def _token_counts(reference: GoldenFile) -> list[int]:
    """The numbers of tokens with a class token: those that a concatenation along the tokens gives."""
    joined = [reference.tensors.get(node["name"]) for node in reference.nodes if node["op"] == "concat"]
    return sorted({record.shape[-2] for record in joined if record is not None and len(record.shape) > 1})


def recognized(reference: GoldenFile, dump: Dump) -> tuple[Dump, list[Followed]]:
    """The dump with its conventions undone, and these; the dump itself where it has none."""
    found: list[Followed] = []
    for _ in range(PASSES):
        dump, more = _recognized_once(reference, dump)
        found += more
        if not more:
            break
    return dump, found


def _recognized_once(reference: GoldenFile, dump: Dump) -> tuple[Dump, list[Followed]]:
    found: list[Followed] = []
    for candidate in candidates(reference, dump):
        for kind, names in _groups(candidate, reference, dump).items():
            if not _follows(candidate, names[:PROBES], reference, dump, least=1):
                continue
            followers = [name for name in names if _pair(name, reference, dump) is not None]
            if not _follows(candidate, followers, reference, dump, least=2):
                continue
            tensors = {**dump.tensors, **{name: _undoing(candidate, name, reference, dump) for name in followers}}
            dump = replace(dump, tensors=tensors)
            one = candidate.convention
            every = "all " if kind != EVERY or len(followers) == len(dump.tensors) else ""
            found.append(Followed(one.name, one.key, f"{every}{len(followers)} {kind} are {one.says}", tuple(followers)))
    return dump, found


def _groups(candidate: Candidate, reference: GoldenFile, dump: Dump) -> dict[str, list[str]]:
    """The tensors to which a convention applies, by the kind among which all must follow it, in execution order."""
    ops = {node["name"]: "" if node["op"] == INPUT and not records_picture(node) else node["op"] for node in reference.nodes}
    groups: dict[str, list[str]] = {}
    for name, record in reference.tensors.items():
        item = dump.tensors.get(name)
        if item is None or item.problem or item.values is None or item.dtype.kind not in "iu" or record.values is None:
            continue
        kind = candidate.kind(ops.get(name, ""), record.fmt, record.shape)
        if kind is not None and candidate.convention.fits(item.shape, record.shape):
            groups.setdefault(kind, []).append(name)
    return groups


def _pair(name: str, reference: GoldenFile, dump: Dump) -> tuple[IntArray, IntArray, Format] | None:
    """The golden values, the device's, and their format; None where the device's cannot be read."""
    record, item = reference.tensors[name], dump.tensors[name]
    if record.values is None or item.values is None:
        return None
    try:
        return record.values[()], np.asarray(item.values()[()]), record.fmt
    except FileError:
        return None  # the comparison reports it


def _follows(candidate: Candidate, names: list[str], reference: GoldenFile, dump: Dump, least: int) -> bool:
    """Whether undoing makes at least `least` tensors right, or one right and all others better, or, after a fault, several
    very much alike; and none is right without it, of those that it changes.
    """
    right, shares, alike_then = 0, [], []
    for name in names:
        pair = _pair(name, reference, dump)
        if pair is None:
            continue
        golden, device, fmt = pair
        changed = candidate.convention.restore(device, fmt, golden.shape)
        alike = device.shape == golden.shape
        if alike and np.array_equal(changed, device):
            continue  # the same either way
        if alike and np.array_equal(device, golden):
            return False
        right += bool(np.array_equal(changed, golden))
        equal = float(np.mean(changed == golden)) - (float(np.mean(device == golden)) if alike else 0)
        like = likeness(changed, golden)
        alike_then.append(like)
        shares.append(max(like - likeness(device, golden), equal))
    if not shares or float(np.mean(shares)) <= BETTER:
        return False
    if right >= least or (right > 0 and len(shares) > 1 and min(shares) > 0):
        return True
    return len(shares) >= FEW and min(alike_then) >= SURE and float(np.mean(shares)) >= 2 * BETTER


def _undoing(candidate: Candidate, name: str, reference: GoldenFile, dump: Dump) -> DumpedTensor:
    item, record = dump.tensors[name], reference.tensors[name]
    values = item.values

    def undo() -> IntArray:
        stored = np.asarray(values()[()]) if values is not None else np.zeros(item.shape, np.int64)
        return candidate.convention.restore(stored, record.fmt, record.shape)

    return replace(item, shape=record.shape, dtype=np.dtype(np.int64), values=undo)
