"""Wrong implementations of one operator: every single rule broken, independent of any file of vectors.

The rules are those of `intsim.rules`, which names what is done wrong at a node of a graph; here the operator stands alone.
What belongs to a graph (the previous layer's multiplier, choices behind a scale) and faults of single bits are left out;
every parameter one too high or too low is added where the catalogue of nodes has no use for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..arith import IntArray, Scale, TensorBound
from ..dialects import CHOICES, Dialect
from ..engine.graph import Node
from ..ops._op import REGISTRY
from ..rules import Rule, Work, catalogue, compute
from .document import INVALID, Answer, Case, answer
from .equivalents import reason

OUT = "out"


@dataclass(frozen=True)
class Mutant:
    """A rule broken: its name, what the reference has in its place, and why no input shows it ("" where one does)."""

    name: str
    instead: str
    equivalent: str


def mutants(op: str, dialect: Dialect) -> tuple[Mutant, ...]:
    """Every single-rule mutant of an operator in a dialect."""
    found = {f"{key}={value}": str(getattr(dialect, key)) for key, value in _choices(op, dialect)}
    for args in _specimens(op):
        found |= {rule.name: rule.instead for rule in LoneOperator(op, args, dialect).rules()}
    return tuple(Mutant(name, instead, reason(op, dialect, name)) for name, instead in found.items())


def _choices(op: str, dialect: Dialect) -> Iterator[tuple[str, Any]]:
    """The choices of the arithmetic, each with every other value."""
    for key in REGISTRY[op].choices:
        allowed: Any = CHOICES[key]
        yield from ((key, value) for value in allowed if value is not getattr(dialect, key))


class LoneOperator:
    """One operator by itself, as a `NodeContext`: its inputs may be any values of their formats, and nothing is proved."""

    def __init__(self, op: str, args: Mapping[str, Any], dialect: Dialect) -> None:
        operator, given = REGISTRY[op], dict(args)
        ports = list(operator.inputs)
        raw = list(given.pop(ports[0])) if operator.variadic else [given.pop(name) for name in ports]
        if op == "matmul":
            given.setdefault("transpose_b", 0)
        params = {key: operator.checked_param(key, value) for key, value in given.items()}
        formats = [operator.port(i) for i in range(len(raw))]
        self.arrays = [np.asarray(x, np.int64).astype(fmt.dtype) for x, fmt in zip(raw, formats, strict=True)]
        names = [f"in{i}" for i in range(len(raw))]
        self.node = Node(OUT, op, tuple(names), params)
        self.work = Work(op, dict(params), dialect)
        self.dialect, self.nodes = dialect, (self.node,)
        self.tensors = {
            name: TensorBound.full(x.shape, fmt) for name, x, fmt in zip(names, self.arrays, formats, strict=True)
        }
        due = operator.output(list(self.tensors.values()), params, dialect)
        self.tensors[OUT] = due.settled(operator.overflow(dialect))
        self.scales: dict[str, Scale | None] = dict.fromkeys(self.tensors)

    def rules(self) -> list[Rule]:
        """The rules that can matter here, but for the choices of the arithmetic."""
        choices = REGISTRY[self.node.op].choices
        own = [rule for rule in catalogue(self, self.node) if rule.name.partition("=")[0] not in choices]
        return [*own, *self._other_numbers({rule.name for rule in own})]

    def _other_numbers(self, known: set[str]) -> Iterator[Rule]:
        for key, value in self.node.integers().items():
            for step in (1, -1):
                fmt = REGISTRY[self.node.op].params[key].fmt
                if f"{key}{step:+d}" not in known and fmt.holds(value + step, value + step):
                    yield Rule(f"{key}{step:+d}", "", _set(key, value + step))

    def compute(self, rule: Rule) -> IntArray | str | None:
        """What the mutant answers; None where the rule takes rows that these inputs have not."""
        if not rule.by_rows and rule.name.startswith("max=") and self.arrays[0].ndim < 2:
            return None
        return self._answer(rule.alter(self.work))

    def _answer(self, work: Work) -> IntArray | str:
        try:
            return compute(self, self.node, work, self.arrays)
        except (ValueError, IndexError):
            return INVALID


def _set(key: str, value: int) -> Any:
    return lambda work: work.with_params(**{key: value})


class Subject:
    """One case, to be answered by mutants."""

    def __init__(self, op: str, dialect: Dialect, case: Case) -> None:
        self.op, self.dialect, self.case = op, dialect, case
        self.due = np.asarray(case.due) if case.due != INVALID else None
        self.choices = {f"{key}={value}": {key: value} for key, value in _choices(op, dialect)}
        self.lone = LoneOperator(op, case.args, dialect) if self.due is not None else None
        self.rules = {rule.name: rule for rule in self.lone.rules()} if self.lone is not None else {}

    def tells(self, name: str) -> bool:
        """Whether the mutant called `name` answers this case otherwise than the reference.

        What is refused must still be refused under another choice; other rules have nothing to say about it.
        """
        if name in self.choices:
            return self._differs(answer(self.op, self.case.args, self.dialect.replace(**self.choices[name])))
        if name in self.rules and self.lone is not None:
            given = self.lone.compute(self.rules[name])
            return given is not None and self._differs(given)
        return False

    def _differs(self, given: Answer) -> bool:
        if isinstance(given, str) or self.due is None:
            return isinstance(given, str) is not (self.due is None)
        return not np.array_equal(np.asarray(given), self.due)


# --- where every rule of an operator applies ---------------------------------------------------------------------------

_CHANNELS = 256
_PAIR = {"m": [2**30 + i for i in range(_CHANNELS)], "e": [31 + i % 3 for i in range(_CHANNELS)]}
_PLANE = [[[i + j + k for k in range(4)] for j in range(4)] for i in range(4)]
_SQUARE = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]
_ROWS = [[[0] * _CHANNELS] * 4] * 2
_EXPONENTIAL = [{"x": _PLANE, "x0": -20, "n": n} for n in (15, 9)]
_PRECISE: list[dict[str, Any]] = [
    {"x": _PLANE, "x0": -20, "n": 15, "b": 16},
    {"x": _PLANE, "x0": -20, "n": 9, "b": 8},
]
_ARMS = {f"{key}{arm}": value for arm in "ac" for key, value in _PAIR.items()}
_MOVED = {"x": _PLANE}


@lru_cache
def _specimens(op: str) -> tuple[dict[str, Any], ...]:
    """Arguments at which every rule of the operator's catalogue is to be found; their values do not matter."""
    table: dict[str, list[dict[str, Any]]] = {
        "requant": [{"acc": _ROWS, **_PAIR, "b": b} for b in (8, 16)],
        "residual_add": [{"a": _ROWS, "c": c, **_ARMS, "b": b} for c in (_ROWS, _ROWS[0]) for b in (8, 16)],
        "layernorm": [{"x": _PLANE, "bias": [1, 2, 3, 4]}],
        "shift_exp": _EXPONENTIAL,
        "mean": [{"x": x} for x in (_PLANE, [[_PLANE] * 4] * 2)],
        "shiftmax": _PRECISE,
        "masked_shiftmax": [{**args, "x": [_PLANE] * 4, "regions": [[0, 0, 1, 1]] * 4} for args in _PRECISE],
        "shiftgelu": _PRECISE,
        "lambda_shiftgelu": [{**args, "lam": 16} for args in _PRECISE],
        "linear": [{"x": _PLANE, "weight": _SQUARE, "bias": [1, 2, 3, 4]}],
        "matmul": [{"a": _PLANE, "b": _PLANE, "transpose_b": flag} for flag in (0, 1)],
        "argmax": [{"x": [[_PLANE[0]] * 4] * 2}, {"x": _ROWS}, {"x": [_ROWS, _ROWS]}, {"x": [[[[0] * 300] * 4] * 4] * 4}],
        "input_lut": [{"image": [[[0, 1, 2]] * 4] * 4, "table": [list(range(-128, 128))] * 3}],
        "patches": [{"x": [_PLANE, _PLANE], "size": 2}],
        "heads": [{"x": _PLANE, "heads": 2}],
        "merge_heads": [{"x": [_PLANE, _PLANE]}],
        "grid": [{"x": _PLANE, "height": 2}],
        "concat": [{"xs": [_PLANE, _PLANE], "axis": axis} for axis in (-2, -1)],
        "slice": [{"x": [_PLANE, _PLANE], "axis": axis, "start": 1, "stop": 3} for axis in (-2, -1)],
        "upsample_nearest": [{"x": _PLANE, "factor": 2}],
        "tokens": [{"x": [_PLANE, _PLANE]}],
        "roll": [{"x": [_PLANE, _PLANE], "rows": 1, "columns": -1}],
        "windows": [{"x": [_PLANE, _PLANE], "size": 2}],
        "merge_windows": [{"x": [_PLANE, _PLANE], "height": 4}],
        "merge_patches": [{"x": [_PLANE, _PLANE]}],
        "relative_positions": [{"table": [[i] * 4 for i in range(9)], "size": 2}],
    }
    return tuple(table[op])
