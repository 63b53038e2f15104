"""The strategy `arguments`: calls of any operator, with inputs and parameters that fit together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dialects import Dialect, resolve
from ..errors import IntsimError
from ..ops import REGISTRY, Op
from ._hypothesis import st
from .calls import Call, unknown_operator
from .draft import CallDraft, plain
from .drafts import DRAFTS

MAX_LENGTH = 1 << 24  # of an axis


@dataclass(frozen=True)
class Domain:
    """The search space of calls: an operator, its dialect (None if it uses none), what is kept fixed, the values that other
    parameters may have, and those of the first input where they are restricted.
    """

    op: Op
    dialect: Dialect | None
    shape: tuple[int, ...] | None
    columns: int | None
    fixed: Mapping[str, Any]
    allowed: Mapping[str, Sequence[Any]]
    values: range | None = None

    @classmethod
    def of(
        cls,
        op: str | Op,
        dialect: Dialect | str | None,
        shape: tuple[int, ...] | None,
        columns: int | None,
        fixed: Mapping[str, Any],
    ) -> Domain:
        """The domain described by the arguments of `check_op`. Raises IntsimError for invalid arguments."""
        name = op.name if isinstance(op, Op) else op
        if name not in REGISTRY:
            raise unknown_operator(name, sorted(REGISTRY))
        operator = REGISTRY[name]
        if dialect is None and operator.choices:
            raise IntsimError(f"{name}: dialect=None, but its results depend on the dialect; name one")
        first, fixed = next(iter(operator.inputs)), dict(fixed)
        values = _values(operator, first, fixed.pop(first)) if first in fixed else None
        for key in fixed:
            if key not in operator.params:
                listed = f"has {', '.join(operator.params)}" if operator.params else "has none"
                raise IntsimError(
                    f"{name} has no parameter {key!r}; it {listed} (columns= and shape= fix the input's shape)"
                )
        if shape is not None and columns is not None:
            raise IntsimError(f"{name}: columns= is the last number of shape=; give only one of them")
        if shape is not None and not (isinstance(shape, tuple) and shape and all(map(_is_length, shape))):
            raise IntsimError(f"{name}: shape={shape!r}: a tuple of integers from 1 to {MAX_LENGTH:,} is expected")
        if columns is not None and not _is_length(columns):
            raise IntsimError(f"{name}: columns={columns!r}: an integer from 1 to {MAX_LENGTH:,} is expected")
        several = {key: value for key, value in fixed.items() if isinstance(value, (set, frozenset, range))}
        try:
            checked = {key: operator.checked_param(key, value) for key, value in fixed.items() if key not in several}
            allowed = {key: _allowed(operator, key, values) for key, values in several.items()}
        except (TypeError, ValueError) as error:
            raise IntsimError(str(error)) from None
        resolved = resolve(dialect) if operator.choices and dialect is not None else None
        return cls(operator, resolved, tuple(shape) if shape is not None else None, columns, checked, allowed, values)


def _allowed(op: Op, key: str, values: Collection[int]) -> Sequence[Any]:
    """The values that a parameter may have, each of which the operator takes."""
    if not values:
        raise ValueError(f"{op.name}: {key}={values!r} allows no value")
    if isinstance(values, range):
        for end in (values[0], values[-1]):
            op.checked_param(key, end)
        return values
    return [op.checked_param(key, value) for value in sorted(values)]


def _values(op: Op, name: str, values: Any) -> range:
    """The values of the first input, as a range of consecutive integers that the operator takes."""
    fmt = op.port(0)
    if not isinstance(values, range) or values.step != 1 or not values or not fmt.holds(values[0], values[-1]):
        raise IntsimError(f"{op.name}: {name}={values!r}: a range of consecutive integers is expected, within {fmt}")
    return values


def _is_length(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_LENGTH


def arguments(
    op: str | Op,
    dialect: Dialect | str | None,
    *,
    shape: tuple[int, ...] | None = None,
    columns: int | None = None,
    **fixed: Any,
) -> st.SearchStrategy[Call]:
    """Calls of `op` that the reference accepts and whose results fit 64 bits.

    `shape` is the shape of the first input, `columns` only the length of its last axis; `fixed` gives parameters a fixed
    value (``x0=-20``), or the values that they may have (``b={8, 16}``, ``x0=range(-64, 0)``; the first input by its name,
    ``x=range(-128, 128)``). By default an input has the
    axes its operator needs, and at least two. `dialect` is None for operators that use none. Raises IntsimError for invalid
    arguments.
    """
    return calls(Domain.of(op, dialect, shape, columns, fixed)).filter(lambda call: call.accepted)


@st.composite
def calls(draw: st.DrawFn, domain: Domain, wild: bool = False) -> Call:
    """Calls of a domain, of which the reference may refuse some; with `wild`, parameters may have any value in range."""
    op = domain.op
    chosen = {key: draw(st.sampled_from(values)) for key, values in domain.allowed.items()}
    draft = CallDraft(
        draw, op, domain.dialect, domain.shape, domain.columns, {**domain.fixed, **chosen}, wild, domain.values
    )
    inputs, params = DRAFTS.get(op.name, plain)(draft)
    checked = {key: op.checked_param(key, params[key]) for key in op.params}
    return Call(op.name, tuple(np.ascontiguousarray(x) for x in inputs), checked, domain.dialect)
