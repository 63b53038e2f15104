"""Sample calls: values at the ends of ranges, near zero and powers of two, and random ones, to tell expressions apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..arith import I64, AnyArray
from ..symbols import Expression
from ..symbols.evaluate import computed
from ..symbols.expression import CONSTANT, INPUT, in_order

SEED = 21


def samples(inputs: Sequence[Expression], count: int, seed: int = SEED) -> dict[Expression, AnyArray]:
    """So many calls, as the values of every input: the first counts, then an eighth each have all inputs at an end of their
    range, at an end or 0, every array at one end, and equal inputs; the others are random, of random length in bits, or at
    special places.
    """
    random = np.random.default_rng(seed)
    special, ends = {x: special_values(x) for x in inputs}, {x: (x.lo, x.hi) for x in inputs}
    drawn: dict[Expression, list[int]] = {x: [] for x in inputs}
    for number in range(count):
        mode = random.integers(8) if number else -1
        first: dict[tuple[int, int], int] = {}
        whole: dict[str, int] = {}
        for place, x in enumerate(inputs):
            if mode == -1:
                value = min(max(place, x.lo), x.hi)
            elif mode == 3:
                array = x.name.partition("[")[0]
                value = x.lo if whole.setdefault(array, int(random.integers(2))) else x.hi
            elif mode < 2:
                among = [*ends[x], min(max(0, x.lo), x.hi)][: 2 + int(mode)]
                value = among[int(random.integers(len(among)))]
            else:
                value = _drawn(x, random, special[x])
                value = first.setdefault(ends[x], value) if mode == 2 else value
            drawn[x].append(value)
    return {x: np.array(values, np.int64 if I64.holds(x.lo, x.hi) else object) for x, values in drawn.items()}


def special_values(x: Expression) -> list[int]:
    """The ends of a range, numbers near zero, and near powers of two."""
    near = {x.lo, x.lo + 1, x.hi, x.hi - 1, -2, -1, 0, 1, 2, (x.lo + x.hi) // 2}
    for k in range(2, max(x.magnitude.bit_length(), 2) + 1):
        near |= {sign * ((1 << k) + off) for sign in (1, -1) for off in (-1, 0, 1)}
    return sorted(value for value in near if x.lo <= value <= x.hi)


def _drawn(x: Expression, random: np.random.Generator, special: list[int]) -> int:
    kind = int(random.integers(3))
    if kind == 0 and special:
        return special[int(random.integers(len(special)))]
    if kind == 1:
        length = int(random.integers(1, max(x.magnitude.bit_length(), 1) + 1))
        value = _below(random, 1 << length) * (1 if random.integers(2) else -1)
        if x.lo <= value <= x.hi:
            return value
    return x.lo + _below(random, x.hi - x.lo + 1)


def _below(random: np.random.Generator, limit: int) -> int:
    """A random integer below a limit of any size."""
    value = 0
    for _ in range(limit.bit_length() // 32 + 2):
        value = value << 32 | int(random.integers(1 << 32))
    return value % limit


def all_calls(inputs: Sequence[Expression], start: int, stop: int) -> dict[Expression, AnyArray]:
    """Those of all calls that are from one number to another, counted in the order of the inputs."""
    numbers, found = np.arange(start, stop, dtype=np.int64), {}
    for x in inputs:
        side = x.hi - x.lo + 1
        found[x] = numbers % side + x.lo
        numbers = numbers // side
    return found


def evaluated(roots: Iterable[Expression], inputs: Mapping[Expression, AnyArray]) -> dict[Expression, AnyArray]:
    """The values of every expression that the roots depend on, for every sample."""
    count = len(next(iter(inputs.values()))) if inputs else 1
    values: dict[Expression, AnyArray] = {}
    for node in in_order(roots):
        if node.kind == INPUT:
            values[node] = inputs[node]
        elif node.kind == CONSTANT:
            values[node] = np.broadcast_to(np.asarray(node.value), count)
        else:
            values[node] = computed(node, [values[arg] for arg in node.args])
    return values
