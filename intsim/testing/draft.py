"""`CallDraft`, a call that is being generated: what the functions of `drafts` and `moving` share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..arith import I8, I16, I32, I64, INT32_MAX, Format, IntArray, Overflow
from ..dialects import Dialect
from ..ops import Op
from ._hypothesis import st
from .values import LONGEST, integers, lengths, multipliers, tensors

Arguments: TypeAlias = tuple[list[IntArray], dict[str, Any]]
LARGEST_X0 = 1 << 20  # largest magnitude of x0
MOVED = st.sampled_from([I8, I16, I32])  # formats of data that is only moved


@dataclass(frozen=True)
class CallDraft:
    """A call that is being generated: Hypothesis's `draw`, the operator and dialect, and the fixed shape and parameters.
    With `wild`, some scalar parameters get any value in their range.
    """

    draw: st.DrawFn
    op: Op
    dialect: Dialect | None
    shape: tuple[int, ...] | None
    columns: int | None
    fixed: Mapping[str, Any]
    wild: bool
    values: range | None = None  # of the first input

    def param(self, key: str, strategy: st.SearchStrategy[Any]) -> Any:
        """A parameter: its fixed value, or one from `strategy`."""
        if key in self.fixed:
            return self.fixed[key]
        fmt = self.op.params[key].fmt
        if self.wild and 0 in self.op.params[key].ndim and self.draw(st.integers(0, 3)) == 3:
            return self.draw(integers(fmt))
        return self.draw(strategy)

    def last(self, *keys: str, longest: int = LONGEST, axis: int = 0) -> int:
        """The length of rows: the fixed one, that of the fixed parameters `keys` on `axis`, or a generated one."""
        if self.shape is not None:
            return self.shape[-1]
        if self.columns is not None:
            return self.columns
        known = [np.shape(self.fixed[key])[axis] for key in keys if np.ndim(self.fixed.get(key, 0)) > axis]
        return known[0] if known else self.draw(lengths(longest))

    def tensor(self, fmt: Format, *leading: int, last: int) -> IntArray:
        """The first input: of the fixed shape, or [*leading, last], or 1 to 3 rows of length `last` without `leading`."""
        if self.values is not None:
            low = min(max(fmt.lo, self.values[0]), self.values[-1])
            fmt = Format(fmt.name, low, max(low, min(fmt.hi, self.values[-1])))
        shape = self.shape or ((*leading, last) if leading else None)
        return self.draw(tensors(fmt, shape)) if shape else self.draw(tensors(fmt, columns=last))

    def side(self, most: int = 4) -> int:
        """A small length."""
        return self.draw(st.integers(1, most))

    def multiplier(self, m: str, e: str, channels: int) -> dict[str, Any]:
        """A multiplier and its shift, one for all channels or one per channel."""
        pair = self.draw(multipliers() | multipliers(channels))
        return {m: self.param(m, st.just(pair[0])), e: self.param(e, st.just(pair[1]))}

    def exponential(self, bounded: bool) -> dict[str, Any]:
        """x0 and n for which the exponential of a row's maximum fits i32; unless `bounded`, sometimes larger ones."""
        largest = min(LARGEST_X0, max(1, INT32_MAX >> self.fixed["n"])) if "n" in self.fixed else LARGEST_X0
        x0 = self.param("x0", st.integers(-min(largest, 64), -1) | st.integers(-largest, -1))
        most = max(31 - int(-x0).bit_length(), 0)
        fitting = st.integers(0, most) | st.sampled_from([most, min(most, 15)])
        return {"x0": x0, "n": self.param("n", fitting if bounded else fitting | fitting | st.integers(0, 31))}

    @property
    def bounded(self) -> bool:
        """Whether the dialect refuses exponentials outside i32."""
        return self.dialect is not None and self.dialect.overflow is not Overflow.WRAP32


def plain(d: CallDraft) -> Arguments:
    """Arguments of any operator: inputs of one shape, parameters anywhere in their ranges."""
    x = d.tensor(d.op.port(0) if d.op.port(0) is not I64 else d.draw(MOVED), last=d.last())
    more = [d.draw(tensors(d.op.port(i), x.shape)) for i in range(1, len(d.op.inputs))]
    params = {}
    for key, param in d.op.params.items():
        strategy = integers(param.fmt) if 0 in param.ndim else tensors(param.fmt, (x.shape[-1],) * min(param.ndim))
        params[key] = d.param(key, strategy)
    return [x, *more], params
