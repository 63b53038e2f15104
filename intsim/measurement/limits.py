"""Mistakes that no input of a node shows, with the parameters that it has: proved, never guessed.

A register of 24 bits is no mistake at a linear layer whose accumulators need 21, and ties may be broken in any way where
there are none. `never` gives the reason; it knows what follows from the bounds of a node's inputs, from its parameters, and
from `rules.equivalents`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arith import Overflow, signed
from ..engine.graph import Graph, Node
from ..ops import REGISTRY
from ..rules import Computation, Rule, computation_of
from ..rules.equivalents import reason
from ..rules.solving import nearest_misses, ties

FLOAT32 = 1 << 24  # up to which float32 has every integer
WIDTHS = "_bits", "_saturates", "_saturates_each"
TIES = ("half_even", "half_up", "half_away", "half_down")  # roundings that differ at ties alone
MULTIPLIERS = {"requant": (("m", "e"),), "residual_add": (("ma", "ea"), ("mc", "ec"))}


def never(graph: Graph, node: Node, rule: Rule) -> str:
    """Why no values of a node's inputs show a rule there; "" where some may."""
    if known := reason(node.op, graph.dialect, rule.key, rule.value):
        return known
    computation = computation_of(graph, node)
    altered = rule.alter(computation)
    if _the_same(computation, altered):
        return "the parameters are the same"
    if rule.key == "overflow" and graph.dialect.overflow is Overflow.FORBID and not node.op.endswith("gelu"):
        return "the graph is proved not to overflow"
    if node.op in MULTIPLIERS:
        if _at_ties(graph, rule) and not any(ties(*arm) for arm in _arms(graph, node)):
            return "no input lies on a tie"
        if rule.key == "shifted_first" and _below_all_ties(graph, node, int(str(rule.value))):
            return "no input is so little above a tie"
    if rule.key == "mean_rounding" and _means_without_ties(graph, node, rule):
        return "no mean lies on a tie: an odd number of values has none"
    if node.op == "upsample_nearest" and rule.key == "swap-heads" and node.params["factor"] > 1:
        return "the first two rows are the same"
    if (rule.key, rule.value) == ("sum", "float32") and max(map(abs, _of_row_sum(graph, node))) <= FLOAT32:
        return "float32 has every integer of this size"
    if rule.key == "exp_sum" and _of_exponentials(graph, node)[1] < 1 << 31:
        return "its sum needs no more than 31 bits"
    return _fits(graph, node, rule)


def _the_same(right: Computation, wrong: Computation) -> bool:
    """Whether nothing is altered: a multiplier cut to the bits that it has in any case."""
    if (right.op, right.dialect) != (wrong.op, wrong.dialect) or right.deviations != wrong.deviations:
        return False
    return right.params.keys() == wrong.params.keys() and all(
        np.array_equal(value, wrong.params[key]) for key, value in right.params.items()
    )


def _at_ties(graph: Graph, rule: Rule) -> bool:
    """Whether a rule differs from the dialect's rounding at ties alone."""
    if str(graph.dialect.requant_rounding) not in TIES:
        return False
    return rule.key in ("requant_rounding", "rounding") and str(rule.value) in TIES


def _means_without_ties(graph: Graph, node: Node, rule: Rule) -> bool:
    """Whether a mean is over an odd number of values, and the two roundings differ at ties alone."""
    if not {str(graph.dialect.mean_rounding), str(rule.value)} <= set(TIES):
        return False
    shape = graph.tensors[node.inputs[0]].shape
    return (shape[-1] if node.op == "layernorm" else shape[-2]) % 2 == 1


def _arms(graph: Graph, node: Node) -> set[tuple[int, int, int, int]]:
    """The multipliers of a requantization or an addition, each with its shift and the ends of what it multiplies."""
    found = set()
    for (m, e), name in zip(MULTIPLIERS[node.op], node.inputs, strict=True):
        bound = graph.tensors[name]
        pairs = np.broadcast_arrays(np.atleast_1d(node.params[m]), np.atleast_1d(node.params[e]))
        found |= {(*pair, bound.lo, bound.hi) for pair in zip(*(part.tolist() for part in pairs), strict=True)}
    return found


def _below_all_ties(graph: Graph, node: Node, bits: int) -> bool:
    """Whether no product is above a tie by less than 2**bits: cutting these bits off first then makes no tie."""
    if str(graph.dialect.requant_rounding) not in TIES:
        return False
    for m, e, low, high in _arms(graph, node):
        residues = ((x * m) % (1 << e) - (1 << e - 1) for x in nearest_misses(m, e, low, high))
        if bits >= e or any(0 < above < 1 << bits for above in residues):
            return False
    return True


# --- registers --------------------------------------------------------------------------------------------------------

Ends = tuple[int, int]
EXPONENTIALS = ("shiftmax", "masked_shiftmax", "shiftgelu", "lambda_shiftgelu")


def _fits(graph: Graph, node: Node, rule: Rule) -> str:
    """Why a short register is long enough; "" where it may not be."""
    key = next((rule.key.removesuffix(end) for end in reversed(WIDTHS) if rule.key.endswith(end)), "")
    ends = REGISTERS.get((node.op, key))
    if ends is None or rule.value is None:
        return ""
    bits = int(str(rule.value).split(":")[0])
    low, high = ends(graph, node)
    held = high < 1 << bits if (node.op, key) in UNSIGNED else signed(bits).holds(low, high)
    return f"its values need no more than {bits} bits: {low:,} to {high:,}" if held else ""


def _of_values(graph: Graph, node: Node) -> Ends:
    bound = graph.tensors[node.name]
    return bound.lo, bound.hi


def _of_output(graph: Graph, node: Node) -> Ends:
    """Of accumulators: the bounds of the node. Partial sums are within them where every term may be 0."""
    bound, first = graph.tensors[node.name], graph.tensors[node.inputs[0]]
    if node.op == "linear":
        bias = np.asarray(node.params["bias"], np.int64)
        if not first.lo <= 0 <= first.hi:
            return -(1 << 62), 1 << 62
        return min(bound.lo, int(bias.min())), max(bound.hi, int(bias.max()))
    return min(bound.lo, 0), max(bound.hi, 0)


def _of_input(graph: Graph, node: Node) -> Ends:
    bound = graph.tensors[node.inputs[0]]
    return bound.lo, bound.hi


def _of_products(graph: Graph, node: Node) -> Ends:
    """Of the products with the multipliers."""
    ends = [0]
    for (m, _), name in zip(MULTIPLIERS[node.op], node.inputs, strict=True):
        multipliers = np.atleast_1d(node.params[m]).tolist()
        bound = graph.tensors[name]
        ends += [end * m for end in (bound.lo, bound.hi) for m in (min(multipliers), max(multipliers))]
    return min(ends), max(ends)


def _of_row_sum(graph: Graph, node: Node) -> Ends:
    bound = graph.tensors[node.inputs[0]]
    length = bound.shape[-1] if node.op == "layernorm" else bound.shape[-2]
    return length * bound.lo, length * bound.hi


def _of_centred(graph: Graph, node: Node) -> Ends:
    """A value less the mean, which is within a row's values."""
    bound = graph.tensors[node.inputs[0]]
    return bound.lo - bound.hi, bound.hi - bound.lo


def _of_variance(graph: Graph, node: Node) -> Ends:
    """The sum of squares is largest where half of a row is at either end; the rounded mean adds less than 1 an element."""
    bound = graph.tensors[node.inputs[0]]
    length = bound.shape[-1]
    return 0, (length * (bound.hi - bound.lo) ** 2) // 4 + length


def _of_exponentials(graph: Graph, node: Node) -> Ends:
    """Of the sum of a row's exponentials, which are at most exp(0); a GELU's second one is exp(-maximum), which is more
    where all values are negative.
    """
    bound = graph.tensors[node.inputs[0]]
    most = _exponential(graph, node, 0)
    if node.op.endswith("gelu"):
        lowest = max(bound.lo, -int(node.params["lam"])) if "lam" in node.params else bound.lo
        return 0, most + max(_exponential(graph, node, -top) for top in range(lowest, bound.hi + 1))
    return 0, bound.shape[-1] * most


def _exponential(graph: Graph, node: Node, x: int) -> int:
    params: dict[str, Any] = {key: node.params[key] for key in ("x0", "n")}
    exact = graph.dialect.replace(overflow=Overflow.EXACT)
    return int(REGISTRY["shift_exp"].intermediates([np.array([x])], params, exact)["out"][0])


REGISTERS: dict[tuple[str, str], Callable[[Graph, Node], Ends]] = {
    ("linear", "accumulator"): _of_output,
    ("matmul", "accumulator"): _of_output,
    ("requant", "input"): _of_input,
    ("requant", "product"): _of_products,
    ("residual_add", "product"): _of_products,
    ("layernorm", "sum"): _of_row_sum,
    ("layernorm", "centred"): _of_centred,
    ("layernorm", "variance"): _of_variance,
    ("mean", "sum"): _of_row_sum,
    **{(op, "sum"): _of_exponentials for op in EXPONENTIALS},
    ("shiftgelu", "product"): _of_values,
    ("lambda_shiftgelu", "product"): _of_values,
}
UNSIGNED = {*((op, "sum") for op in EXPONENTIALS), ("layernorm", "variance")}
