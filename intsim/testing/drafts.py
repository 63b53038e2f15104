"""How the arguments of each operator are drawn: `DRAFTS` maps its name to a function of a `Draft`.

They fit together by construction wherever that is simple; the operator's own door decides the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..arith import I8, I16, I32, I64, INT32_MAX, U8, ExpSum, Format, Overflow
from ..dialects import Dialect
from ..ops import Op
from ..vectors.solving import four_squares
from ._hypothesis import st
from .values import LONGEST, integers, lengths, multipliers, pattern, tensors

Arguments: TypeAlias = tuple[list[NDArray], dict[str, Any]]
WIDTHS = st.integers(2, 16) | st.sampled_from([8, 16, 32])
BITS = st.integers(2, 16) | st.sampled_from([8, 16])
DEEPEST = 1 << 20  # of -x0
HALF = Format("half of i32", -(2**30), 2**30 - 1)  # a bias that cannot carry a normalised value out of i32
OWN = st.sampled_from([I8, I16, I32])  # formats of data that are only moved


@dataclass(frozen=True)
class Draft:
    """One call being drawn: by whom, for which operator and dialect, and what is held. In a `wild` one now and then a
    parameter is any of its range.
    """

    draw: st.DrawFn
    op: Op
    dialect: Dialect | None
    shape: tuple[int, ...] | None
    columns: int | None
    held: Mapping[str, Any]
    wild: bool

    def param(self, key: str, strategy: st.SearchStrategy[Any]) -> Any:
        """A parameter: as it is held, or drawn."""
        if key in self.held:
            return self.held[key]
        fmt = self.op.params[key].fmt
        if self.wild and 0 in self.op.params[key].ndim and self.draw(st.integers(0, 3)) == 3:
            return self.draw(integers(fmt))
        return self.draw(strategy)

    def last(self, *keys: str, longest: int = LONGEST, axis: int = 0) -> int:
        """The length of rows: as held, as the held parameters `keys` have it on `axis`, or drawn."""
        if self.shape is not None:
            return self.shape[-1]
        if self.columns is not None:
            return self.columns
        told = [np.shape(self.held[key])[axis] for key in keys if np.ndim(self.held.get(key, 0)) > axis]
        return told[0] if told else self.draw(lengths(longest))

    def tensor(self, fmt: Format, *leading: int, last: int) -> NDArray:
        """The first input: of the held shape, or of `leading` axes (1 to 3 rows where none are named) and `last`."""
        shape = self.shape or ((*leading, last) if leading else None)
        return self.draw(tensors(fmt, shape)) if shape else self.draw(tensors(fmt, columns=last))

    def side(self, most: int = 4) -> int:
        """A small length."""
        return self.draw(st.integers(1, most))

    def multiplier(self, m: str, e: str, channels: int) -> dict[str, Any]:
        """A multiplier and its shift, one for all or one a channel."""
        pair = self.draw(multipliers() | multipliers(channels))
        return {m: self.param(m, st.just(pair[0])), e: self.param(e, st.just(pair[1]))}

    def exponential(self, bounded: bool) -> dict[str, Any]:
        """x0 and n, so that the exponential of a row's maximum fits i32; now and then not where that is not `bounded`."""
        deepest = min(DEEPEST, max(1, INT32_MAX >> self.held["n"])) if "n" in self.held else DEEPEST
        x0 = self.param("x0", st.integers(-min(deepest, 64), -1) | st.integers(-deepest, -1))
        most = max(31 - int(-x0).bit_length(), 0)
        fitting = st.integers(0, most) | st.sampled_from([most, min(most, 15)])
        return {"x0": x0, "n": self.param("n", fitting if bounded else fitting | fitting | st.integers(0, 31))}

    @property
    def bounded(self) -> bool:
        """Whether the dialect refuses exponentials past i32."""
        return self.dialect is not None and self.dialect.overflow is not Overflow.WRAP32


def plain(d: Draft) -> Arguments:
    """Any operator: inputs of one shape, parameters anywhere in their ranges."""
    x = d.tensor(d.op.port(0) if d.op.port(0) is not I64 else d.draw(OWN), last=d.last())
    more = [d.draw(tensors(d.op.port(i), x.shape)) for i in range(1, len(d.op.inputs))]
    params = {}
    for key, param in d.op.params.items():
        drawn = integers(param.fmt) if 0 in param.ndim else tensors(param.fmt, (x.shape[-1],) * min(param.ndim))
        params[key] = d.param(key, drawn)
    return [x, *more], params


def _requant(d: Draft) -> Arguments:
    x = d.tensor(I32, last=d.last("m", "e"))
    return [x], {**d.multiplier("m", "e", x.shape[-1]), "b": d.param("b", WIDTHS)}


def _residual_add(d: Draft) -> Arguments:
    fmt = d.draw(st.sampled_from([I16, I32]))
    a = d.tensor(fmt, last=d.last("ma", "ea", "mc", "ec"))
    c = d.draw(tensors(fmt, a.shape))
    arms = d.multiplier("ma", "ea", a.shape[-1]) | d.multiplier("mc", "ec", a.shape[-1])
    return [x.astype(np.int32) for x in (a, c)], {**arms, "b": d.param("b", WIDTHS)}


def _layernorm(d: Draft) -> Arguments:
    kind = d.draw(st.sampled_from(["any", "any", "any", "any", "beside a square", "below a tie"]))
    if kind == "below a tie" and d.shape is None and d.columns is None and "bias" not in d.held:
        x = _below_a_tie(d.draw(st.integers(32600, 32700)))
    else:
        x = d.tensor(I16, last=d.last("bias"))
        if kind == "beside a square" and x.shape[-1] >= 8:
            x.reshape(-1, x.shape[-1])[0] = _beside_a_square(2 * d.draw(st.integers(2050, 16000)) + 1, x.shape[-1])
    fmt = d.draw(st.sampled_from([HALF, HALF, I32]))
    return [x], {"bias": _bias(d, fmt, x.shape[-1])}


def _beside_a_square(k: int, n: int) -> NDArray:
    """A row of `n` whose mean is 0 and whose variance is one less than the square of an odd `k`: of more than 24 bits."""
    row = np.zeros(n, np.int16)
    row[:8] = [x for part in four_squares((k * k - 1) // 2) for x in (part, -part)]
    return row


def _below_a_tie(mean: int) -> NDArray:
    """A row [1, 520] whose sum is odd, takes 25 bits, and is one less than where the mean ends in one half."""
    return np.array([[mean + 1] * 259 + [mean] * 261], np.int16)


def _bias(d: Draft, fmt: Format, channels: int) -> Any:
    values = d.draw(st.sampled_from([st.just(0), integers(fmt), integers(fmt) | st.sampled_from([fmt.lo, fmt.hi])]))
    drawn = pattern(d.draw, values, channels)
    return d.param("bias", st.just(drawn.astype(np.int32)))


def _linear(d: Draft) -> Arguments:
    x = d.tensor(I8, last=d.last("weight", axis=1))
    outputs = len(d.held["bias"]) if "bias" in d.held else d.side()
    weight = d.param("weight", tensors(I8, (outputs, x.shape[-1])))
    return [x], {"weight": weight, "bias": _bias(d, d.draw(st.sampled_from([HALF, I32])), len(weight))}


def _matmul(d: Draft) -> Arguments:
    a = d.tensor(I16, d.side(), last=d.last())
    transposed, columns = d.param("transpose_b", st.integers(0, 1)), d.side()
    inner = (columns, a.shape[-1]) if transposed else (a.shape[-1], columns)
    return [a, d.draw(tensors(I8, (*a.shape[:-2], *inner)))], {"transpose_b": transposed}


def _shift_exp(d: Draft) -> Arguments:
    # Inside shiftmax x is a difference to the maximum: 0 or below. Above, 64 bits are soon too few.
    fmt = d.draw(st.sampled_from([Format("difference", -255, 0), I8, I16]))
    return [d.tensor(fmt, last=d.last()).astype(np.int16)], d.exponential(bounded=False)


def _shiftmax(d: Draft) -> Arguments:
    return [d.tensor(I8, last=d.last())], {**d.exponential(d.bounded), "b": d.param("b", BITS)}


def _shiftgelu(d: Draft) -> Arguments:
    saturates = d.dialect is not None and (d.dialect.overflow, d.dialect.exp_sum) == (Overflow.EXACT, ExpSum.SATURATE)
    exponential = d.exponential(d.bounded and not saturates)
    return [d.tensor(I8, last=d.last())], {**exponential, "b": d.param("b", BITS)}


def _lambda_shiftgelu(d: Draft) -> Arguments:
    inputs, params = _shiftgelu(d)
    return inputs, {**params, "lam": d.param("lam", st.integers(0, 140) | st.sampled_from([127, 128, INT32_MAX]))}


def _argmax(d: Draft) -> Arguments:
    fmt = d.draw(st.sampled_from([Format("few", -2, 2), I8, I16, I32]))
    return [d.tensor(fmt, last=d.last())], {}


def _input_lut(d: Draft) -> Arguments:
    image = d.tensor(U8, d.side(), d.side(), last=d.last("table", longest=4))
    return [image], {"table": d.param("table", tensors(I8, (image.shape[-1], 256)))}


def _patches(d: Draft) -> Arguments:
    x = d.tensor(d.draw(OWN), d.side(6), d.side(6), last=d.last(longest=4))
    return [x], {"size": d.param("size", st.integers(1, 4))}


def _heads(d: Draft) -> Arguments:
    if d.shape is not None or d.columns is not None:
        columns = d.last()
        heads = d.param("heads", st.sampled_from([h for h in range(1, columns + 1) if columns % h == 0]))
    else:
        heads = d.param("heads", st.integers(1, 4))
        columns = heads * d.side()
    return [d.tensor(d.draw(OWN), d.side(), last=columns)], {"heads": heads}


def _merge_heads(d: Draft) -> Arguments:
    return [d.tensor(d.draw(OWN), d.side(), d.side(), last=d.last(longest=8))], {}


def _grid(d: Draft) -> Arguments:
    rows = d.shape[-2] if d.shape is not None and len(d.shape) > 1 else None
    heights = [h for h in range(1, rows + 1) if rows % h == 0] if rows else range(1, 5)
    height = d.param("height", st.sampled_from(heights))
    return [d.tensor(d.draw(OWN), height * d.side(), last=d.last(longest=8))], {"height": height}


def _slice(d: Draft) -> Arguments:
    x = d.tensor(d.draw(OWN), d.side(6), last=d.last(longest=8))
    axis = d.param("axis", st.integers(-x.ndim, -1))
    size = x.shape[axis] if -x.ndim <= axis < 0 else 1
    start = d.param("start", st.integers(0, size - 1))
    return [x], {"axis": axis, "start": start, "stop": d.param("stop", st.integers(min(start + 1, size), size))}


def _concat(d: Draft) -> Arguments:
    fmt = d.draw(OWN)
    first = d.tensor(fmt, d.side(), last=d.last(longest=8))
    axis = d.param("axis", st.integers(-first.ndim, -1))
    xs = [first]
    for _ in range(d.draw(st.integers(0, 2))):
        shape = list(first.shape)
        if -first.ndim <= axis < 0:
            shape[axis] = d.side()
        xs.append(d.draw(tensors(fmt, tuple(shape))))
    return xs, {"axis": axis}


def _upsample_nearest(d: Draft) -> Arguments:
    leading = (d.side(), d.side()) if d.draw(st.booleans()) else (d.side(),)
    x = d.tensor(d.draw(OWN), *leading, last=d.last(longest=4))
    return [x], {"factor": d.param("factor", st.integers(1, 4))}


DRAFTS: dict[str, Callable[[Draft], Arguments]] = {
    "requant": _requant,
    "residual_add": _residual_add,
    "linear": _linear,
    "matmul": _matmul,
    "layernorm": _layernorm,
    "shift_exp": _shift_exp,
    "shiftmax": _shiftmax,
    "shiftgelu": _shiftgelu,
    "lambda_shiftgelu": _lambda_shiftgelu,
    "argmax": _argmax,
    "input_lut": _input_lut,
    "patches": _patches,
    "heads": _heads,
    "merge_heads": _merge_heads,
    "grid": _grid,
    "slice": _slice,
    "concat": _concat,
    "upsample_nearest": _upsample_nearest,
}
