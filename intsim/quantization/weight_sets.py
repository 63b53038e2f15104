"""Which of a checkpoint's tensors are the network's: trainers write several sets of weights, and prefixes, around them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from ..errors import FileError

T = TypeVar("T")

# Where trainers keep the weights, the most common first; then the sets that are an average of them.
STATES = ("", "model", "state_dict", "model_state_dict", "module", "net", "network", "weights")
AVERAGE = re.compile(r"(^|[._])(ema|avg|averaged?|swa|shadow)([._]|$)")
COPY = re.compile(r"(ema|avg|swa|shadow)_")  # in front of a tensor's own name
COUNTERS = 2  # tensors beside an average, such as the number of its updates
NOT_WEIGHTS = re.compile(r"optim|sched|scaler|amp|rng|random|loss|criterion|args|config|meta", re.IGNORECASE)
DEEPEST = 3  # mappings within one another
# What wraps a network adds in front of every name; not the names of parts of a network.
WRAPPERS = ("module", "_orig_mod", "model", "net", "network", "backbone", "student", "teacher", "ema")


@dataclass(frozen=True)
class WeightSet(Generic[T]):
    """One set of weights: `name` is where the file keeps it, "" for the file itself; `prefix` was taken off every tensor.

    `others` are the sets that were left out.
    """

    name: str
    tensors: dict[str, T]
    others: tuple[str, ...] = ()
    prefix: str = ""

    def remarks(self) -> list[str]:
        """Sentences about what was chosen and changed; none where there was nothing to choose."""
        found = []
        if self.others:
            found.append(f"weights: under {self.name or 'no name'}; left out: {', '.join(self.others)}")
        if self.prefix:
            found.append(f"names: without the prefix {self.prefix} of every tensor")
        return found


def sets_in(
    content: Mapping[Any, Any], is_tensor: Any, path: str = "", depth: int = 0
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping with tensors in a nested mapping, by its path: ``model``, ``ema.module``; optimizers are passed over."""
    tensors = {str(name): value for name, value in content.items() if is_tensor(value)}
    if tensors:
        yield path, tensors
    for name, value in content.items():
        if isinstance(value, Mapping) and depth < DEEPEST and isinstance(name, str) and not NOT_WEIGHTS.search(name):
            yield from sets_in(value, is_tensor, f"{path}.{name}" if path else name, depth + 1)


def chosen(path: Path, sets: Mapping[str, Mapping[str, T]], wanted: str | None = None) -> WeightSet[T]:
    """The set called `wanted`, or the network's own: never an average where there is another, the common places first.

    Raises FileError where there is no set, or none called `wanted`.
    """
    whole = {name: dict(tensors) for name, tensors in sets.items() if tensors}
    if list(whole) == [""]:
        whole = _families(whole[""])
    if wanted is not None:
        matching = [name for name in whole if name == wanted or name.split(".")[0] == wanted]
        if not matching:
            listed = ", ".join(name for name in whole if name) or "only one set"
            raise FileError(f"{path}: has no weights called {wanted!r}; it has {listed}")
        name = matching[0]
    elif not whole:
        return WeightSet("", {})
    else:
        name = min(whole, key=lambda name: (bool(AVERAGE.search(name)), _rank(name), -len(whole[name])))
    tensors, prefix = without_prefix(whole[name])
    return WeightSet(name, tensors, tuple(other for other in whole if other != name), prefix)


def _rank(name: str) -> int:
    parts = name.split(".")
    return min((STATES.index(part) for part in parts if part in STATES), default=len(STATES)) + len(parts)


def _families(tensors: dict[str, T]) -> dict[str, dict[str, T]]:
    """Tensors in one flat file by the first part of their names, where every part has the same tensors; else all as one."""
    families: dict[str, dict[str, T]] = {}
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        families.setdefault(first, {})[rest] = tensor
    names = [set(family) for family in families.values()]
    alike = len(families) > 1 and all(family == names[0] and "" not in family and len(family) > 2 for family in names)
    return families if alike else _wrapped(tensors) or {"": tensors}


def _wrapped(tensors: dict[str, T]) -> dict[str, dict[str, T]]:
    """The sets in one flat file that have the same tensors behind names of wrappers and averages, such as ``model.`` and
    ``ema.module.``, or behind ``ema_`` and nothing; none where there are not two. What belongs to no set is a counter.
    """
    found: dict[str, dict[str, T]] = {}
    for name, tensor in tensors.items():
        parts = name.split(".")
        depth = next((i for i, part in enumerate(parts[:DEEPEST]) if not _wraps(part)), min(len(parts) - 1, DEEPEST))
        prefix, rest = ".".join(parts[:depth]), ".".join(parts[depth:])
        if copied := COPY.match(rest):
            prefix, rest = f"{prefix}.{copied[1]}".lstrip("."), rest[copied.end() :]
        found.setdefault(prefix, {})[rest] = tensor
    frequency = Counter(name for family in found.values() for name in family)
    shared = [name for name, number in frequency.items() if number > 1]
    if len(shared) <= 2:
        return {}
    return {
        prefix: {name: family[name] for name in shared}
        for prefix, family in found.items()
        if family.keys() >= set(shared) and len(family) <= len(shared) + COUNTERS
    }


def _wraps(part: str) -> bool:
    if copied := COPY.match(part):  # ema_model wraps, ema_encoder is a copy of the encoder
        part = part[copied.end() :]
        return part in WRAPPERS or part in STATES
    return part in WRAPPERS or AVERAGE.search(part) is not None


def without_prefix(tensors: dict[str, T]) -> tuple[dict[str, T], str]:
    """Tensors without the prefixes of wrappers that all of their names have, and these prefixes."""
    prefix = ""
    while True:
        firsts = {name.partition(".")[0] for name in tensors}
        first = next(iter(firsts), "")
        if len(firsts) != 1 or first not in WRAPPERS or first in tensors:
            return tensors, prefix
        tensors = {name.partition(".")[2]: tensor for name, tensor in tensors.items()}
        prefix += f"{first}."
