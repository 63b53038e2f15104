"""Lists of rule names, shortened for people."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

NUMBERED = re.compile(r"(\D*)(\d+)(\D*)")
FEW = 3  # names that differ only in a number are listed one by one up to so many


def abridged(names: Iterable[str]) -> list[str]:
    """Rule names, with those that differ only in their one number joined: ``sum_bits=12..31``."""
    families: dict[tuple[str, str] | str, list[int]] = {}
    for name in names:
        match = NUMBERED.fullmatch(name)
        if match:
            families.setdefault((match[1], match[3]), []).append(int(match[2]))
        else:
            families[name] = []
    listed: list[str] = []
    for family, numbers in families.items():
        if isinstance(family, str):
            listed.append(family)
        elif len(numbers) <= FEW:
            listed += [f"{family[0]}{number}{family[1]}" for number in numbers]
        else:
            listed.append(f"{family[0]}{','.join(_ranges(numbers))}{family[1]}")
    return listed


def _ranges(numbers: list[int]) -> list[str]:
    """Numbers in order, with those that follow one another as ``first..last``."""
    runs = [[number for _, number in run] for _, run in groupby(enumerate(sorted(numbers)), lambda item: item[1] - item[0])]
    return [f"{run[0]}..{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
