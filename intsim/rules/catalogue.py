"""Which rules apply to a node, and finding a rule by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..arith import Choice, Rounding, Scale
from ..dialects import CHOICES, Dialect, gelu_parameters, softmax_parameters
from ..engine.graph import CONSTANT, INPUT, Node, NodeContext
from ..errors import IntsimError
from ..ops._op import REGISTRY
from ..ops.requant import SHIFT
from .layout_faults import LAYOUT_FAULTS
from .names import abridged
from .other_stacks import FLOAT_ROUNDINGS, REGISTER, InFloat32, OnCommonScale, in_float32, narrower
from .rule import Bit, Computation, Rule
from .tables import MISTAKES

GELUS, SOFTMAXES = ("shiftgelu", "lambda_shiftgelu"), ("shiftmax", "masked_shiftmax")
MULTIPLIERS = (("m", "e"), ("ma", "ea"), ("mc", "ec"))
NARROWEST = 8  # bits of a multiplier
NARROWER = (8,)  # bits of an output that saturates too early
# The roundings of every factor of a sum on a common scale: at once, or in two steps.
COMMON_SCALE_ROUNDINGS = {"": (Rounding.HALF_UP, None), ":gemmlowp": (Rounding.HALF_UP, Rounding.HALF_AWAY)}
COMMON_SHIFTS = (20, 15, 12)  # of the arms of a sum on a common scale: for int8, and two for int16
CHANNEL_TILES = (4, 8, 16, 32, 64, 128)
# The parameter that a dialect's choice becomes when a network is lowered.
SOFTMAX_PARAMETERS = {"x0_rounding": "x0", "softmax_n": "n", "softmax_bits": "b"}
GELU_PARAMETERS = {"x0_rounding": "x0", "gelu_n": "n", "gelu_bits": "b"}
STEPPED = ("n", "x0", "lam", "b", "e", "m", "ea", "ma", "ec", "mc", "start", "rows", "columns")
BIT_FORMS = "bitflip:BIT, bitflip:BIT@INDEX, stuck-at-0:BIT, stuck-at-1:BIT"

Alteration = Callable[[Computation], Computation]


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
    for key in STEPPED:
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
        yield _deviation(mistake.key, mistake.value, mistake.instead, mistake.by_rows)
    bias = node.params.get("bias")
    if isinstance(bias, np.ndarray) and bias.any():
        yield Rule("bias", "left_out", _set("bias", np.zeros_like(bias)), "added")
        yield Rule("bias", "subtracted", lambda c: c.with_params(bias=-np.asarray(c.params["bias"])), "added")
    weight = node.params.get("weight")
    if isinstance(weight, np.ndarray) and weight.shape[0] == weight.shape[1]:
        yield Rule("weight", "transposed", lambda c: c.with_params(weight=np.asarray(c.params["weight"]).T.copy()))
    if node.op == "matmul" and graph.tensors[node.inputs[1]].shape[-1] == graph.tensors[node.inputs[1]].shape[-2]:
        yield Rule("b", "transposed", _set("transpose_b", 1 - node.params["transpose_b"]))
    if node.op == "residual_add":
        a, c = (graph.tensors[name].shape for name in node.inputs)
        if len(c) < len(a):
            yield _deviation("repeat", "once", "all along", by_rows=False)
        if 1 < len(c) < len(a):
            yield _deviation("repeat", "row_by_row", "as a whole", by_rows=False)
    if node.op in ("requant", "residual_add"):
        yield from _other_stacks(graph, node)
    yield from _multipliers(graph, node)


def _other_stacks(graph: NodeContext, node: Node) -> Iterator[Rule]:
    """Rescaling in float32 or on a common scale, and saturation to a narrower width than the output's."""
    for width in (width for width in NARROWER if width < node.params["b"]):
        for how in ("signed", "symmetric", "wrap"):
            yield _deviation("saturation", f"{how}:{width}", f"both ends of {node.params['b']} bits")
    key, plain = ("requant", "product") if node.op == "requant" else ("residual", "divided")
    for form, rescaling in _float32(graph, node).items():
        name = "float32" if form == plain else f"float32:{form}"
        for rounding in FLOAT_ROUNDINGS:
            suffix = "" if rounding == rescaling.rounding else f":{rounding}"
            yield Rule(key, name + suffix, _deviate(key, replace(rescaling, rounding=rounding)), "integers")
    if node.op == "residual_add":
        arms, out = _scales_of(graph, node)
        widest = max(graph.tensors[name].fmt.bits for name in node.inputs)
        shifts = range(REGISTER - widest + 1)
        for left in dict.fromkeys([*(left for left in COMMON_SHIFTS if left in shifts), *reversed(shifts)]):
            for suffix, roundings in COMMON_SCALE_ROUNDINGS.items():
                deviation = _deviate(key, OnCommonScale((arms[0], arms[1]), out, left, roundings))
                yield Rule(key, f"common_scale:{left}{suffix}", deviation, "each arm by itself")


def _float32(graph: NodeContext, node: Node) -> dict[str, InFloat32]:
    """The forms of a node's rescaling in float32 by name, each computation once."""
    arms, out = _scales_of(graph, node)
    by_multiplier = tuple(np.asarray(_real(*pair), np.float32) for pair in _pairs(node).values())
    forms: dict[tuple[bytes | bool, ...], tuple[str, InFloat32]] = {}
    for name, form in (*in_float32(arms, out, _parts(graph, node)), ("multiplier", InFloat32(by_multiplier))):
        forms.setdefault(form.identity(), (name, form))
    return dict(forms.values())


def _scales_of(graph: NodeContext, node: Node) -> tuple[tuple[Scale, ...], Scale]:
    """The scales of a node's inputs and of its output; those that its multipliers express where the graph has none."""
    arms, out = [graph.scales[name] for name in node.inputs], graph.scales[node.name]
    if out is not None and all(scale is not None for scale in arms):
        return tuple(scale for scale in arms if scale is not None), out
    return tuple(_real(*pair) for pair in _pairs(node).values()), 1.0


def _pairs(node: Node) -> dict[tuple[str, str], list[Any]]:
    """The multipliers and shifts of a node by their keys."""
    return {pair: [node.params[key] for key in pair] for pair in MULTIPLIERS if pair[0] in node.params}


def _real(m: Any, e: Any) -> Scale:
    """The factor that a multiplier and a shift stand for."""
    factor = np.asarray(m, np.float64) * 2.0 ** -np.asarray(e, np.float64)
    return factor if factor.ndim else float(factor)


def _parts(graph: NodeContext, node: Node) -> tuple[Scale, Scale] | None:
    """The two scales whose product is that of an accumulator: of an activation, and of the weights or the other factor."""
    before = next((other for other in graph.nodes if other.name == node.inputs[0]), None)
    if len(node.inputs) > 1 or before is None or before.op not in ("linear", "matmul"):
        return None
    first, product = graph.scales[before.inputs[0]], graph.scales[before.name]
    return None if first is None or product is None else (first, product / first)


def _deviation(key: str, value: int | str, instead: str, by_rows: bool = True) -> Rule:
    return Rule(key, value, _deviate(key, value), instead, by_rows)


def _deviate(key: str, value: Any) -> Alteration:
    return lambda computation: computation.with_deviation(key, value)


def _multipliers(graph: NodeContext, node: Node) -> Iterator[Rule]:
    """A wrong multiplier: too few bits, one for all channels, or that of another channel, tile or layer."""
    for pair, own in _pairs(node).items():
        arm = f"_{pair[0][1:]}" if len(pair[0]) > 1 else ""
        for bits in range(NARROWEST, REGISTER):
            for suffix, rounded in (("", False), (":rounded", True)):
                m, e = narrower(own[0], own[1], bits, rounded)
                if rounded and int(np.min(e)) < SHIFT.fmt.lo:
                    continue
                values = [_like(before, after) for before, after in zip(own, (m, e), strict=True)]
                name: int | str = f"{bits}{suffix}" if suffix else bits
                yield Rule(f"multiplier{arm}_bits", name, _set_pair(pair, values), "32")
        for origin, instead, values in _other_multipliers(graph, node, pair):
            yield Rule(f"multiplier{arm}", origin, _set_pair(pair, values), instead)


def _like(value: Any, other: Any) -> Any:
    return int(other) if not isinstance(value, np.ndarray) else np.asarray(other, value.dtype)


def _set_pair(pair: tuple[str, str], values: Sequence[Any]) -> Alteration:
    return lambda computation: computation.with_params(**dict(zip(pair, values, strict=True)))


def _other_multipliers(graph: NodeContext, node: Node, pair: tuple[str, str]) -> Iterator[tuple[str, str, list[Any]]]:
    """Where another multiplier and shift come from, what is right instead, and their values."""
    own = [node.params[key] for key in pair]
    if isinstance(own[0], np.ndarray):
        m, e = (np.asarray(v) for v in own)
        factors = np.abs(_real(m, e))  # only to find the largest
        for origin, channel in (("per_tensor", int(np.argmax(factors))), ("per_tensor_first", 0)):
            yield origin, "per channel", [int(v[channel]) for v in (m, e)]
        yield "previous_channel", "its own", [np.roll(v, 1) for v in (m, e)]
        for tile in CHANNEL_TILES:
            if tile < len(m):
                yield f"previous_tile:{tile}", "its own", [np.concatenate([v[:tile], v[:-tile]]) for v in (m, e)]
    before = [n for n in graph.nodes[: graph.nodes.index(node)] if n.op == node.op]
    if before:
        theirs = [before[-1].params[key] for key in pair]
        if np.ndim(theirs[0]) == 0 or np.shape(theirs[0]) == graph.tensors[node.name].shape[-1:]:
            yield "previous_layer", "its own", theirs
    if node.op == "residual_add" and pair[0] == "ma":
        yield "the_other_arms", "per channel", [node.params["mc"], node.params["ec"]]


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
        yield Rule(name, None, _deviate("layout", name), by_rows=False)


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
    return Rule(str(bit), None, _deviate("bit", bit), by_rows=False)
