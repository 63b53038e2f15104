"""Wrong implementations of one operator: every single rule broken, independent of any file of vectors.

The rules are those of `intsim.rules`, applied to an operator outside a graph. Rules that need a graph (the previous layer's
multiplier, choices behind a scale) and faults of single bits are left out; every integer parameter one too high or too low
is added where the catalogue of nodes does not have it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..arith import IntArray, Scale, TensorBound
from ..dialects import Dialect
from ..engine.graph import Node
from ..ops import REGISTRY
from ..rules import Computation, NotApplicable, Rule, catalogue, choice_rules, compute
from ..rules.equivalents import reason
from .candidates import specimens
from .document import INVALID, Answer, Case, answer

OUT = "out"


@dataclass(frozen=True)
class Mutant:
    """A broken rule: its name, what the reference has instead, and why no input shows it ("" where one does)."""

    name: str
    instead: str
    equivalent: str


def mutants(op: str, dialect: Dialect) -> tuple[Mutant, ...]:
    """Every single-rule mutant of an operator in a dialect."""
    rules = {rule.name: rule for rule in choice_rules(op, dialect)}
    for args in _specimens(op):
        rules |= {rule.name: rule for rule in LoneOperator(op, args, dialect).rules()}
    return tuple(Mutant(name, rule.instead, reason(op, dialect, rule.key, rule.value)) for name, rule in rules.items())


class LoneOperator:
    """One operator outside a graph, as a `NodeContext`: its inputs may be any values of their formats."""

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
        self.computation = Computation(op, dict(params), dialect)
        self.dialect, self.nodes = dialect, (self.node,)
        self.tensors = {
            name: TensorBound.full(x.shape, fmt) for name, x, fmt in zip(names, self.arrays, formats, strict=True)
        }
        out = operator.output(list(self.tensors.values()), params, dialect)
        self.tensors[OUT] = out.settled(operator.overflow(dialect))
        self.scales: dict[str, Scale | None] = dict.fromkeys(self.tensors)

    def rules(self) -> list[Rule]:
        """The rules that apply here, without the choices of the arithmetic."""
        choices = REGISTRY[self.node.op].choices
        own = [rule for rule in catalogue(self, self.node) if rule.key not in choices]
        return [*own, *self._other_steps({rule.name for rule in own})]

    def _other_steps(self, known: set[str]) -> Iterator[Rule]:
        """The steps of integer parameters that the catalogue does not have."""
        for key, value in self.node.integers().items():
            for step in (1, -1):
                fmt = REGISTRY[self.node.op].params[key].fmt
                rule = Rule(key, step, _with_param(key, value + step), relative=True)
                if rule.name not in known and fmt.holds(value + step, value + step):
                    yield rule

    def compute(self, rule: Rule) -> IntArray | str | None:
        """The mutant's answer; None where the rule takes values from other rows and there is only one."""
        try:
            return compute(self, self.node, rule.alter(self.computation), self.arrays)
        except NotApplicable:
            return None
        except ValueError:
            return INVALID


def _with_param(key: str, value: int) -> Any:
    return lambda computation: computation.with_params(**{key: value})


class Subject:
    """One case, to be answered by mutants."""

    def __init__(self, op: str, dialect: Dialect, case: Case) -> None:
        self.op, self.dialect, self.case = op, dialect, case
        self.expected = np.asarray(case.expected) if case.expected != INVALID else None
        self.choices = {rule.name: rule for rule in choice_rules(op, dialect)}
        self.lone = LoneOperator(op, case.args, dialect) if self.expected is not None else None
        self.rules = {rule.name: rule for rule in self.lone.rules()} if self.lone is not None else {}

    def kills(self, name: str) -> bool:
        """Whether the answer of the mutant called `name` to this case differs from the reference's.

        What is refused must still be refused under another choice; other rules do not apply to it.
        """
        if name in self.choices:
            choice = self.choices[name]
            return self._differs(answer(self.op, self.case.args, self.dialect.replace(**{choice.key: choice.value})))
        if name in self.rules and self.lone is not None:
            given = self.lone.compute(self.rules[name])
            return given is not None and self._differs(given)
        return False

    def _differs(self, given: Answer) -> bool:
        if isinstance(given, str) or self.expected is None:
            return isinstance(given, str) is not (self.expected is None)
        return not np.array_equal(np.asarray(given), self.expected)


# --- arguments to which every rule applies ----------------------------------------------------------------------------

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
    """Arguments to which every rule of the operator's catalogue applies; their values do not matter."""
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
    return tuple(table[op]) if op in table else specimens(REGISTRY[op])
