"""Conventions of a whole dump, found once over all its tensors and undone before anything is judged.

A right device that writes every i16 with its bytes swapped, every i8 in offset binary, or the class token last is not wrong
in forty places: it has one convention. A convention is taken where it makes right what it applies to, and none of that is
right without it; a real fault keeps its place among tensors that it alone makes wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arith import Format, IntArray, wrap
from ..errors import FileError
from ..rules.layout_faults import byte_swap
from ..storage.golden_file import GoldenFile
from .dumps import Dump, DumpedTensor

PROBES = 4  # tensors that are tried before all are read
BETTER = 0.2  # by which the share of equal elements must rise

Undo = Callable[[IntArray, Format], IntArray]


@dataclass(frozen=True)
class Convention:
    """How a device stores all tensors of a kind: a sentence about `tensors`, and the names of these."""

    name: str
    says: str
    tensors: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {"name": self.name, "says": self.says, "tensors": list(self.tensors)}


@dataclass(frozen=True)
class _Candidate:
    """A convention to try: to which formats and shapes it applies, how it is undone, and what is said of these tensors."""

    name: str
    applies: Callable[[Format, tuple[int, ...]], bool]
    undo: Undo
    says: str
    kind: Callable[[Format], str]  # of the tensors among which all must follow it


def _signed(fmt: Format, shape: tuple[int, ...]) -> bool:
    return fmt.lo < 0 and fmt.bits in (8, 16, 32)


def _offset(x: IntArray, fmt: Format) -> IntArray:
    return wrap(x.astype(np.int64) + (1 << fmt.bits - 1), fmt)


def _sign_and_magnitude(x: IntArray, fmt: Format) -> IntArray:
    low = x.astype(np.int64) & (1 << fmt.bits) - 1
    magnitude = low & (1 << fmt.bits - 1) - 1
    return np.where(low >> fmt.bits - 1 == 1, -magnitude, magnitude)


def _own(fmt: Format) -> str:
    return str(fmt)


def _any(fmt: Format) -> str:
    return ""


def _of_tokens(tokens: int, change: Callable[[IntArray, int], IntArray]) -> Undo:
    """A change along every axis as long as there are tokens."""

    def undo(x: IntArray, fmt: Format) -> IntArray:
        for axis, length in enumerate(x.shape):
            if length == tokens:
                x = change(x, axis)
        return x

    return undo


def _candidates(reference: GoldenFile) -> Iterator[_Candidate]:
    yield _Candidate(
        "byte-swap",
        lambda fmt, shape: fmt.dtype.itemsize > 1 and fmt.bits <= 32,
        lambda x, fmt: byte_swap(x.astype(np.int64), fmt),
        "byte-swapped: the other endianness",
        _own,
    )
    yield _Candidate("offset-binary", _signed, _offset, "in offset binary: the sign bit is inverted", _own)
    yield _Candidate(
        "sign-and-magnitude", _signed, _sign_and_magnitude, "stored as sign and magnitude, not in two's complement", _own
    )
    for tokens in _token_counts(reference):

        def has_tokens(fmt: Format, shape: tuple[int, ...], tokens: int = tokens) -> bool:
            return tokens in shape

        last = _of_tokens(tokens, lambda x, axis: np.roll(x, 1, axis))
        yield _Candidate("class-token-last", has_tokens, last, "stored with the class token last", _any)
        turned = _of_tokens(tokens, lambda x, axis: np.flip(x, axis))
        yield _Candidate("tokens-reversed", has_tokens, turned, "stored with their tokens in reverse order", _any)


def _token_counts(reference: GoldenFile) -> list[int]:
    """The numbers of tokens with a class token: those that a concatenation along the tokens gives."""
    joined = [reference.tensors.get(node["name"]) for node in reference.nodes if node["op"] == "concat"]
    return sorted({record.shape[-2] for record in joined if record is not None and len(record.shape) > 1})


def undone(reference: GoldenFile, dump: Dump) -> tuple[Dump, list[Convention]]:
    """The dump with its conventions undone, and these; the dump itself where it has none."""
    found: list[Convention] = []
    for candidate in _candidates(reference):
        for kind, names in _groups(candidate, reference, dump).items():
            if not _follows(candidate, names[:PROBES], reference, dump, least=1):
                continue
            followers = [name for name in names if _pair(name, reference, dump) is not None]
            if not _follows(candidate, followers, reference, dump, least=2):
                continue
            tensors = {**dump.tensors, **{name: _undoing(candidate, name, reference, dump) for name in followers}}
            dump = replace(dump, tensors=tensors)
            what = f"{kind} tensors" if kind else "tensors with that many tokens"
            found.append(Convention(candidate.name, f"all {len(followers)} {what} are {candidate.says}", tuple(followers)))
    return dump, found


def _groups(candidate: _Candidate, reference: GoldenFile, dump: Dump) -> dict[str, list[str]]:
    """The tensors to which a convention applies, by the kind among which all must follow it, in execution order."""
    groups: dict[str, list[str]] = {}
    for name, record in reference.tensors.items():
        item = dump.tensors.get(name)
        if item is None or item.problem or item.values is None or item.shape != record.shape or item.dtype.kind not in "iu":
            continue
        if record.values is not None and candidate.applies(record.fmt, record.shape):
            groups.setdefault(candidate.kind(record.fmt), []).append(name)
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


def _follows(candidate: _Candidate, names: list[str], reference: GoldenFile, dump: Dump, least: int) -> bool:
    """Whether undoing makes at least `least` tensors right, or one right and all others better, and none is right without
    it, of those that it changes.
    """
    right, shares = 0, []
    for name in names:
        pair = _pair(name, reference, dump)
        if pair is None:
            continue
        golden, device, fmt = pair
        changed = candidate.undo(device, fmt)
        if np.array_equal(changed, device):
            continue  # the same either way
        if np.array_equal(device, golden):
            return False
        equal = changed == golden
        right += bool(equal.all())
        shares.append(float(equal.mean()) - float((device == golden).mean()))
    if not shares or float(np.mean(shares)) <= BETTER:
        return False
    return right >= least or (right > 0 and len(shares) > 1 and min(shares) > 0)


def _undoing(candidate: _Candidate, name: str, reference: GoldenFile, dump: Dump) -> DumpedTensor:
    item, fmt = dump.tensors[name], reference.tensors[name].fmt
    values = item.values

    def undo() -> IntArray:
        stored = np.asarray(values()[()]) if values is not None else np.zeros(0, np.int64)
        return candidate.undo(stored, fmt)

    return replace(item, dtype=np.dtype(np.int64), values=undo)
