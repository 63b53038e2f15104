"""Vectors for one operator, from the operator's maker of cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..dialects import Dialect
from ..engine.graph import Graph
from ..errors import IntsimError
from ..ops._op import REGISTRY
from . import exponentials, gridding, movement, multiplying, normalizing, products
from .document import Document
from .drafting import CaseDraft

VECTOR_LEVELS = (1, 2)
MAKERS: dict[str, Callable[[CaseDraft], None]] = {
    function.__name__: function
    for function in (
        multiplying.requant,
        multiplying.residual_add,
        normalizing.layernorm,
        normalizing.mean,
        exponentials.shift_exp,
        exponentials.shiftmax,
        exponentials.masked_shiftmax,
        exponentials.shiftgelu,
        exponentials.lambda_shiftgelu,
        products.linear,
        products.matmul,
        movement.input_lut,
        movement.argmax,
        movement.patches,
        movement.heads,
        movement.merge_heads,
        movement.grid,
        movement.concat,
        movement.slice,
        movement.upsample_nearest,
        gridding.tokens,
        gridding.roll,
        gridding.windows,
        gridding.merge_windows,
        gridding.merge_patches,
        gridding.relative_positions,
    )
}


def generate(op: str, dialect: Dialect, level: int, seed: int, model: Graph | None = None) -> Document:
    """The vectors of one operator: level 1 few, level 2 many and long. The same arguments give the same document.

    With `model` the parameters of its nodes of this operator are used, too. Raises IntsimError for an unknown operator
    or level, or a model without such a node.
    """
    if op not in REGISTRY:
        raise IntsimError(f"there is no operator {op!r}; there are: {', '.join(sorted(REGISTRY))}")
    if level not in VECTOR_LEVELS:
        raise IntsimError(f"there is no level {level}; 1 is small, 2 is long")
    nodes = parameters(model, op) if model is not None else {}
    if model is not None and not nodes:
        raise IntsimError(f"the model has no node of {op}; its operators are: {', '.join(sorted(_operators(model)))}")
    draft = CaseDraft(op, dialect, level, seed, nodes)
    MAKERS[op](draft)
    return Document(op, dialect, level, seed, model.content_hash if model is not None else None, tuple(draft.cases))


def parameters(model: Graph, op: str) -> dict[str, Mapping[str, Any]]:
    """The parameters of every node of an operator, as plain integers and lists, by the node's name."""
    return {
        node.name: {key: np.asarray(value).tolist() for key, value in node.params.items()}
        for node in model.nodes
        if node.op == op
    }


def _operators(model: Graph) -> set[str]:
    return {node.op for node in model.nodes if node.op in REGISTRY}
