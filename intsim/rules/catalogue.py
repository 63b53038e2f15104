"""Which rules apply to a node, and finding a rule by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..arith import Choice, IntArray
from ..dialects import CHOICES, Dialect, gelu_parameters, softmax_parameters
from ..engine.graph import CONSTANT, INPUT, Node, NodeContext
from ..errors import IntsimError
from ..ops import REGISTRY
from .admitted import admitted
from .layout_faults import LAYOUT_FAULTS
from .names import abridged
from .rescaling import multipliers, other_stacks
from .rule import Alteration, Bit, Computation, Rule, deviate, deviation
from .tables import MISTAKES
from .weight_orders import WEIGHT_ORDERS

GELUS, SOFTMAXES = ("shiftgelu", "lambda_shiftgelu"), ("shiftmax", "masked_shiftmax")
# The parameter that a dialect's choice becomes when a network is lowered.
SOFTMAX_PARAMETERS = {"x0_rounding": "x0", "softmax_n": "n", "softmax_bits": "b"}
GELU_PARAMETERS = {"x0_rounding": "x0", "gelu_n": "n", "gelu_bits": "b"}
STEPPED = ("n", "x0", "lam", "b", "e", "m", "ea", "ma", "ec", "mc", "start", "rows", "columns")
BIT_FORMS = "bitflip:BIT, bitflip:BIT@INDEX, stuck-at-0:BIT, stuck-at-1:BIT"


def catalogue(graph: NodeContext, node: Node) -> list[Rule]:
    """The rules that apply to a node, the most common mistakes first."""
    return [*_choices(graph, node), *_steps(node), *_mistakes(graph, node), *_layouts(graph, node)]


def named(graph: NodeContext, node: Node, text: str) -> Rule:
    """The rule called `text` at a node, ``-`` and ``_`` being the same; an IntsimError lists the rules of the node.

    Besides the catalogue's names, `text` may be a bit fault (``bitflip:3``, ``stuck-at-0:7``, ``bitflip:3@0,5``) or a value
    for an integer parameter (``n=3``).
    """
    wanted = text.strip().replace("_", "-")
    for rule in catalogue(graph, node):
        if rule.name.replace("_", "-") == wanted:
            return rule
    if match := re.fullmatch(r"(bitflip|stuck-at-0|stuck-at-1):(\d+)(?:@(\d+(?:,\d+)*))?", wanted):
        kind, bit, place = match.groups()
        index = tuple(int(i) for i in place.split(",")) if place else None
        return bit_rule(graph, node, Bit(kind, int(bit), index))
    if match := re.fullmatch(r"(\w+)=(-?\d+)", text.strip()):
        key, number = match.groups()
        if key in node.integers() and node.op in REGISTRY:
            value = int(number)
            REGISTRY[node.op].checked_param(key, value)
            return Rule(key, number, _set(key, value), str(node.params[key]))
    raise IntsimError(f"{node.name}: {text!r} is not a rule that changes {node.op} here; {_listed(graph, node)}")


def _listed(graph: NodeContext, node: Node) -> str:
    return f"its rules are: {', '.join([*abridged(rule.name for rule in catalogue(graph, node)), BIT_FORMS])}"


def choice_rules(op: str, dialect: Dialect) -> Iterator[Rule]:
    """Every other value of every choice of the dialect that the operator's arithmetic uses."""
    for key in REGISTRY[op].choices if op in REGISTRY else ():
        allowed: Any = CHOICES[key]
        for value in allowed:
            if value is not getattr(dialect, key):
                yield Rule(key, value, _choose(key, value), str(getattr(dialect, key)))


def _choices(graph: NodeContext, node: Node) -> Iterator[Rule]:
    """The dialect's choices: those of the arithmetic, then those that became parameters."""
    yield from choice_rules(node.op, graph.dialect)
    if node.op in GELUS or node.op in SOFTMAXES:
        yield from _parameter_choices(graph, node)


def _choose(key: str, value: Choice) -> Alteration:
    return lambda computation: replace(computation, dialect=computation.dialect.replace(**{key: value}))


def _parameter_choices(graph: NodeContext, node: Node) -> Iterator[Rule]:
    """The choices that became x0, n and b."""
    scale, tokens = graph.scales[node.inputs[0]], graph.tensors[node.inputs[0]].shape[-1]
    softmax = node.op in SOFTMAXES
    own = node.integers()
    seen = {("x0", own["x0"]), ("n", own["n"]), ("b", own["b"])}
    for key, parameter in (SOFTMAX_PARAMETERS if softmax else GELU_PARAMETERS).items():
        allowed: Any = CHOICES[key]
        for choice in allowed:
            value = choice
            if not isinstance(choice, int):
                if not isinstance(scale, float):
                    continue
                other = graph.dialect.replace(**{key: choice})
                try:
                    lowered = softmax_parameters(scale, tokens, other) if softmax else gelu_parameters(scale, other)
                except IntsimError:
                    continue
                value = lowered[parameter]
            if (parameter, value) not in seen:
                seen.add((parameter, value))
                instead = str(getattr(graph.dialect, key) if parameter == "x0" else own[parameter])
                yield Rule(key, choice, _set(parameter, value), instead)
    if node.op == "lambda_shiftgelu":
        yield Rule("gelu", "shiftgelu", lambda computation: replace(computation, op="shiftgelu"), "lambda_shiftgelu")


def _set(key: str, value: Any) -> Alteration:
    return lambda computation: computation.with_params(**{key: value})


def _steps(node: Node) -> Iterator[Rule]:
    """Parameters that are one too high or too low."""
    if node.op in (INPUT, CONSTANT):
        return
    for key in STEPPED if REGISTRY[node.op].built_in else node.params:
        if key not in node.params or (key == "start" and node.op != "slice"):
            continue
        for step in (1, -1):
            if _in_range(node, key, step):
                yield Rule(key, step, _stepped(key, step), relative=True)


def _in_range(node: Node, key: str, step: int) -> bool:
    fmt = REGISTRY[node.op].params[key].fmt
    values = np.asarray(node.params[key], np.int64) + step
    if key == "b" and node.op in ("requant", "residual_add") and step > 0:
        return False  # wider than the format that stores it
    return fmt.holds(int(values.min()), int(values.max()))


def _stepped(key: str, step: int) -> Alteration:
    def alter(computation: Computation) -> Computation:
        value = computation.params[key]
        changed = {
            key: (value.astype(np.int64) + step).astype(value.dtype) if isinstance(value, np.ndarray) else value + step
        }
        if key == "start":
            changed["stop"] = computation.params["stop"] + step
        return computation.with_params(**changed)

    return alter


def _mistakes(graph: NodeContext, node: Node) -> Iterator[Rule]:
    """The common mistakes of the operator."""
    for mistake in MISTAKES.get(node.op, ()):
        yield deviation(mistake.key, mistake.value, mistake.instead, mistake.by_rows)
    if node.op in REGISTRY and not REGISTRY[node.op].built_in:
        for slip in admitted(node.op, [graph.tensors[name].shape for name in node.inputs], node.params, graph.dialect):
            yield deviation(slip.key, slip.value, slip.instead, by_rows=False)
    bias = node.params.get("bias")
    if isinstance(bias, np.ndarray) and bias.ndim == 1 and bias.any():
        yield Rule("bias", "left_out", _set("bias", np.zeros_like(bias)), "added")
        yield Rule("bias", "twice", lambda c: c.with_params(bias=2 * np.asarray(c.params["bias"], np.int64)), "once")
        if len(bias) > 1:
            yield Rule("bias", "of_the_previous_channel", _rolled("bias", 1), "its own")
            yield Rule("bias", "of_the_next_channel", _rolled("bias", -1), "its own")
        yield Rule("bias", "subtracted", lambda c: c.with_params(bias=-np.asarray(c.params["bias"])), "added")
    weight = node.params.get("weight")
    if isinstance(weight, np.ndarray) and weight.ndim == 2:
        yield from _weights(weight)
    table = node.params.get("table")
    if isinstance(table, np.ndarray):
        for how, step in (("of_the_previous_entry", 1), ("of_the_next_entry", -1)):
            yield Rule("table", how, _rolled("table", step, axis=-1), "its own")
    if node.op == "matmul" and graph.tensors[node.inputs[1]].shape[-1] == graph.tensors[node.inputs[1]].shape[-2]:
        yield Rule("b", "transposed", _set("transpose_b", 1 - node.params["transpose_b"]))
    if node.op == "residual_add":
        a, c = (graph.tensors[name].shape for name in node.inputs)
        if len(c) < len(a):
            yield deviation("repeat", "once", "all along", by_rows=False)
        if 1 < len(c) < len(a):
            yield deviation("repeat", "row_by_row", "as a whole", by_rows=False)
    if node.op in ("requant", "residual_add"):
        yield from other_stacks(graph, node)
    yield from multipliers(graph, node)


def _weights(weight: np.ndarray[Any, Any]) -> Iterator[Rule]:
    """Weights [outputs, inputs] that are read in another order, each with how; those that are the same are left out."""
    for how, order in WEIGHT_ORDERS.items():
        try:
            moved = order(weight)
        except ValueError:
            continue
        if not np.array_equal(moved, weight):
            yield Rule("weight", how, _ordered(order))


def _ordered(order: Callable[[IntArray], IntArray]) -> Alteration:
    return lambda computation: computation.with_params(weight=order(np.asarray(computation.params["weight"])))


def _rolled(key: str, step: int, axis: int = 0) -> Alteration:
    """A parameter of each channel, or entry of a table, taken from a neighbour."""
    return lambda computation: computation.with_params(**{key: np.roll(np.asarray(computation.params[key]), step, axis)})


def _layouts(graph: NodeContext, node: Node) -> Iterator[Rule]:
    tensor = graph.tensors[node.name]
    probe = np.zeros(tensor.shape, np.int64)
    for name, function in LAYOUT_FAULTS.items():
        try:
            function(probe, tensor.fmt)
        except ValueError:
            continue
        if name == "transpose" and tensor.shape[-1] == 1:
            continue
        yield Rule(name, None, deviate("layout", name), by_rows=False)


def bit_rule(graph: NodeContext, node: Node, bit: Bit) -> Rule:
    """The rule of a bit fault at a node; an IntsimError where the node has no such bit or element."""
    tensor = graph.tensors[node.name]
    bits = tensor.fmt.bits
    if bit.number >= bits:
        raise IntsimError(f"{node.name}: {bit} names bit {bit.number}; {tensor.fmt} has bits 0 to {bits - 1}")
    if bit.index is not None:
        inside = len(bit.index) == len(tensor.shape) and all(i < n for i, n in zip(bit.index, tensor.shape, strict=True))
        if not inside:
            raise IntsimError(f"{node.name}: {bit} is outside its shape {list(tensor.shape)}")
    return Rule(str(bit), None, deviate("bit", bit), by_rows=False)
