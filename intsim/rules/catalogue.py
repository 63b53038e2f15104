"""Which rules can matter at a node, and how they are called."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..arith import Choice
from ..dialects import CHOICES, gelu_parameters, softmax_parameters
from ..engine.graph import CONSTANT, INPUT, Node, NodeContext
from ..errors import IntsimError
from ..ops._op import REGISTRY
from .layout_faults import LAYOUT_FAULTS
from .rule import Bit, Rule, Work
from .tables import MISTAKES

GELUS, SOFTMAXES = ("shiftgelu", "lambda_shiftgelu"), ("shiftmax", "masked_shiftmax")
TILES = (4, 8, 16, 32, 64, 128)
SOFTMAX_KEYS, GELU_KEYS = ("x0_rounding", "softmax_n", "softmax_bits"), ("x0_rounding", "gelu_n", "gelu_bits")


def catalogue(graph: NodeContext, node: Node) -> list[Rule]:
    """The rules that can matter at a node, the most common mistakes first."""
    return [*_choices(graph, node), *_numbers(node), *_mistakes(graph, node), *_layouts(graph, node)]


def named(graph: NodeContext, node: Node, text: str) -> Rule:
    """The rule called `text` at a node; an IntsimError lists those there are."""
    wanted = text.strip().replace("_", "-")
    for rule in catalogue(graph, node):
        if rule.name.replace("_", "-") == wanted:
            return rule
    if found := re.fullmatch(r"(bitflip|stuck-at-0|stuck-at-1):(\d+)(?:@(\d+(?:,\d+)*))?", wanted):
        kind, bit, place = found.groups()
        index = tuple(int(i) for i in place.split(",")) if place else None
        return bit_rule(graph, node, Bit(kind, int(bit), index))
    if found := re.fullmatch(r"(\w+)=(-?\d+)", text.strip()):
        key, value = found.group(1), int(found.group(2))
        if key in node.integers() and node.op in REGISTRY:
            REGISTRY[node.op].checked_param(key, value)
            return Rule(text.strip(), str(node.params[key]), lambda work: work.with_params(**{key: value}))
    raise IntsimError(f"{node.name}: {text!r} is no rule that would change {node.op} here; {_listed(graph, node)}")


def _listed(graph: NodeContext, node: Node) -> str:
    names = [rule.name for rule in catalogue(graph, node)]
    return f"its rules are: {', '.join([*names, 'bitflip:BIT, bitflip:BIT@INDEX, stuck-at-0:BIT, stuck-at-1:BIT'])}"


def _choices(graph: NodeContext, node: Node) -> Iterator[Rule]:
    """The dialect's choices: those of the arithmetic, then those behind the parameters."""
    for key in REGISTRY[node.op].choices if node.op in REGISTRY else ():
        allowed: Any = CHOICES[key]
        for value in allowed:
            if value is not getattr(graph.dialect, key):
                yield Rule(f"{key}={value}", str(getattr(graph.dialect, key)), _choose(key, value))
    if node.op in GELUS or node.op in SOFTMAXES:
        yield from _parameter_choices(graph, node)


def _choose(key: str, value: Choice) -> Callable[[Work], Work]:
    return lambda work: replace(work, dialect=work.dialect.replace(**{key: value}))


def _parameter_choices(graph: NodeContext, node: Node) -> Iterator[Rule]:
    """The choices that became x0, n and b."""
    scale, tokens = graph.scales[node.inputs[0]], graph.tensors[node.inputs[0]].shape[-1]
    softmax = node.op in SOFTMAXES
    own = node.integers()
    seen = {("x0", own["x0"]), ("n", own["n"]), ("b", own["b"])}
    for key in SOFTMAX_KEYS if softmax else GELU_KEYS:
        name = {"x0_rounding": "x0", "softmax_n": "n", "gelu_n": "n", "softmax_bits": "b", "gelu_bits": "b"}[key]
        allowed: Any = CHOICES[key]
        for choice in allowed:
            value = choice
            if not isinstance(choice, int):
                if not isinstance(scale, float):
                    continue
                other = graph.dialect.replace(**{key: choice})
                try:
                    given = softmax_parameters(scale, tokens, other) if softmax else gelu_parameters(scale, other)
                except IntsimError:
                    continue
                value = given[name]
            if (name, value) not in seen:
                seen.add((name, value))
                yield Rule(
                    f"{key}={choice}", str(getattr(graph.dialect, key) if name == "x0" else own[name]), _set(name, value)
                )
    if node.op == "lambda_shiftgelu":
        yield Rule("gelu=shiftgelu", "lambda_shiftgelu", lambda work: replace(work, op="shiftgelu"))


def _set(name: str, value: Any) -> Callable[[Work], Work]:
    return lambda work: work.with_params(**{name: value})


def _numbers(node: Node) -> Iterator[Rule]:
    """Every parameter that is one too high or too low."""
    if node.op in (INPUT, CONSTANT):
        return
    for key in ("n", "x0", "lam", "b", "e", "m", "ea", "ma", "ec", "mc", "start", "rows", "columns"):
        if key not in node.params or (key == "start" and node.op != "slice"):
            continue
        for step in (1, -1):
            if _in_range(node, key, step):
                yield Rule(f"{key}{step:+d}", "", _moved(key, step))


def _in_range(node: Node, key: str, step: int) -> bool:
    fmt = REGISTRY[node.op].params[key].fmt
    values = np.asarray(node.params[key], np.int64) + step
    if key == "b" and node.op in ("requant", "residual_add") and step > 0:
        return False  # wider than the format that stores it
    return fmt.holds(int(values.min()), int(values.max()))


def _moved(key: str, step: int) -> Callable[[Work], Work]:
    def alter(work: Work) -> Work:
        value = work.params[key]
        moved = {key: (value.astype(np.int64) + step).astype(value.dtype) if isinstance(value, np.ndarray) else value + step}
        if key == "start":
            moved["stop"] = work.params["stop"] + step
        return work.with_params(**moved)

    return alter


def _mistakes(graph: NodeContext, node: Node) -> Iterator[Rule]:
    """What is done wrong again and again, by operator."""
    for name, instead in MISTAKES.get(node.op, ()):
        key, _, value = name.partition("=")
        by_rows = value != "of_the_previous_row"
        yield Rule(name, instead, _twist(key, int(value) if value.isdecimal() else value), by_rows)
    bias = node.params.get("bias")
    if isinstance(bias, np.ndarray) and bias.any():
        yield Rule("bias=left_out", "added", _set("bias", np.zeros_like(bias)))
        yield Rule("bias=subtracted", "added", lambda work: work.with_params(bias=-np.asarray(work.params["bias"])))
    weight = node.params.get("weight")
    if isinstance(weight, np.ndarray) and weight.shape[0] == weight.shape[1]:
        yield Rule("weight=transposed", "", lambda work: work.with_params(weight=np.asarray(work.params["weight"]).T.copy()))
    if node.op == "matmul" and graph.tensors[node.inputs[1]].shape[-1] == graph.tensors[node.inputs[1]].shape[-2]:
        yield Rule("b=transposed", "", _set("transpose_b", 1 - node.params["transpose_b"]))
    if node.op == "residual_add":
        a, c = (graph.tensors[name].shape for name in node.inputs)
        if len(c) < len(a):
            yield Rule("repeat=once", "all along", _twist("repeat", "once"), by_rows=False)
        if 1 < len(c) < len(a):
            yield Rule("repeat=row_by_row", "as a whole", _twist("repeat", "row_by_row"), by_rows=False)
    yield from _multipliers(graph, node)


def _twist(key: str, value: Any) -> Callable[[Work], Work]:
    return lambda work: work.with_twist(key, value)


def _multipliers(graph: NodeContext, node: Node) -> Iterator[Rule]:
    """Somebody else's multiplier: one for all channels, the neighbour's, the previous tile's, the previous layer's."""
    pairs = [pair for pair in (("m", "e"), ("ma", "ea"), ("mc", "ec")) if pair[0] in node.params]
    for pair in pairs:
        arm = f"_{pair[0][1:]}" if len(pair[0]) > 1 else ""
        for bits in (16, 24):
            cut = 32 - bits
            shortened = np.asarray(node.params[pair[0]]) >> cut << cut
            yield Rule(f"multiplier{arm}_bits={bits}", "32", _set(pair[0], _like(node.params[pair[0]], shortened)))
        for name, values in _borrowed(graph, node, pair):
            instead = "its own" if name.startswith("previous") else "per channel"
            yield Rule(f"multiplier{arm}={name}", instead, _set_pair(pair, values))


def _like(value: Any, other: Any) -> Any:
    return int(other) if not isinstance(value, np.ndarray) else np.asarray(other, value.dtype)


def _set_pair(pair: tuple[str, str], values: Sequence[Any]) -> Callable[[Work], Work]:
    return lambda work: work.with_params(**dict(zip(pair, values, strict=True)))


def _borrowed(graph: NodeContext, node: Node, pair: tuple[str, str]) -> Iterator[tuple[str, list[Any]]]:
    own = [node.params[key] for key in pair]
    if isinstance(own[0], np.ndarray):
        m, e = (np.asarray(v) for v in own)
        factors = np.abs(m.astype(np.float64)) * 2.0 ** -e.astype(np.float64)  # only to say which is the largest
        for name, channel in (("per_tensor", int(np.argmax(factors))), ("per_tensor_first", 0)):
            yield name, [int(v[channel]) for v in (m, e)]
        yield "previous_channel", [np.roll(v, 1) for v in (m, e)]
        for tile in TILES:
            if tile < len(m):
                yield f"previous_tile:{tile}", [np.concatenate([v[:tile], v[:-tile]]) for v in (m, e)]
    before = [n for n in graph.nodes[: graph.nodes.index(node)] if n.op == node.op]
    if before:
        theirs = [before[-1].params[key] for key in pair]
        if np.ndim(theirs[0]) == 0 or np.shape(theirs[0]) == graph.tensors[node.name].shape[-1:]:
            yield "previous_layer", theirs
    if node.op == "residual_add" and pair[0] == "ma":
        yield "the_other_arms", [node.params["mc"], node.params["ec"]]


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
        yield Rule(name, "", _twist("layout", name), by_rows=False)


def bit_rule(graph: NodeContext, node: Node, bit: Bit) -> Rule:
    """A bit fault at a node; an IntsimError where it has no such bit or element."""
    tensor = graph.tensors[node.name]
    bits = tensor.fmt.bits
    if bit.number >= bits:
        raise IntsimError(f"{node.name}: {bit} names bit {bit.number}; {tensor.fmt} has bits 0 to {bits - 1}")
    if bit.index is not None:
        inside = len(bit.index) == len(tensor.shape) and all(i < n for i, n in zip(bit.index, tensor.shape, strict=True))
        if not inside:
            raise IntsimError(f"{node.name}: {bit} is outside its shape {list(tensor.shape)}")
    return Rule(str(bit), "", _twist("bit", bit), by_rows=False)
