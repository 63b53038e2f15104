"""The strategy `arguments`: calls of any operator, inputs and parameters that fit together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dialects import Dialect, resolve
from ..errors import IntsimError
from ..ops import REGISTRY, Op
from ._hypothesis import st
from .calls import Call
from .draft import CallDraft, plain
from .drafts import DRAFTS

MOST = 1 << 24  # elements of an axis


@dataclass(frozen=True)
class Domain:
    """Where calls are searched: an operator, its dialect (None: it speaks none), and what is held still."""

    op: Op
    dialect: Dialect | None
    shape: tuple[int, ...] | None
    columns: int | None
    fixed: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        op: str | Op,
        dialect: Dialect | str | None,
        shape: tuple[int, ...] | None,
        columns: int | None,
        fixed: Mapping[str, Any],
    ) -> Domain:
        """The domain in these words; an IntsimError says what is wrong with them."""
        name = op.name if isinstance(op, Op) else op
        if name not in REGISTRY:
            raise IntsimError(f"there is no operator {name!r}; there are: {', '.join(sorted(REGISTRY))}")
        found = REGISTRY[name]
        if dialect is None and found.choices:
            raise IntsimError(f"{name}: name its dialect; implementations differ in it")
        for key in fixed:
            if key not in found.params:
                listed = f"has {', '.join(found.params)}" if found.params else "has none"
                raise IntsimError(
                    f"{name} has no parameter {key!r} to hold; it {listed} (columns= and shape= hold the input)"
                )
        if shape is not None and columns is not None:
            raise IntsimError(f"{name}: columns= is the last number of shape=; give one of them")
        if shape is not None and not (isinstance(shape, tuple) and shape and all(map(_is_length, shape))):
            raise IntsimError(f"{name}: shape={shape!r}: whole numbers from 1 to {MOST:,} are due, in a tuple")
        if columns is not None and not _is_length(columns):
            raise IntsimError(f"{name}: columns={columns!r}: a whole number from 1 to {MOST:,} is due")
        try:
            held = {key: found.checked_param(key, value) for key, value in fixed.items()}
        except (TypeError, ValueError) as error:
            raise IntsimError(str(error)) from None
        spoken = resolve(dialect) if found.choices and dialect is not None else None
        return cls(found, spoken, tuple(shape) if shape is not None else None, columns, held)


def _is_length(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MOST


def arguments(
    op: str | Op,
    dialect: Dialect | str | None,
    *,
    shape: tuple[int, ...] | None = None,
    columns: int | None = None,
    **fixed: Any,
) -> st.SearchStrategy[Call]:
    """Calls of `op` that the reference accepts, and whose results 64 bits hold.

    `shape` is the shape of the first input, `columns` its last axis alone; parameters in `fixed` are held (``x0=-20``).
    Where nothing is said an input has the axes its operator needs, two at least. `dialect` is None for operators that speak
    none. Raises IntsimError where these words make no sense.
    """
    return calls(Domain.of(op, dialect, shape, columns, fixed)).filter(lambda call: call.accepted)


@st.composite
def calls(draw: st.DrawFn, domain: Domain, wild: bool = False) -> Call:
    """Calls of a domain, the reference may refuse some; `wild` parameters may be anything in their own range."""
    op = domain.op
    draft = CallDraft(draw, op, domain.dialect, domain.shape, domain.columns, domain.fixed, wild)
    make: Callable = DRAFTS.get(op.name, plain)
    inputs, params = make(draft)
    checked = {key: op.checked_param(key, params[key]) for key in op.params}
    return Call(op.name, tuple(np.ascontiguousarray(x) for x in inputs), checked, domain.dialect)
