"""Requantization and addition as other stacks compute them: in float32, on a common scale, with a narrower multiplier.

A `Rescaling` computes what such a device computes before it saturates: from an accumulator, or from the two arms of a
residual addition, int64, to int64. Scales are one number per tensor or an array with one per channel.

Sources, read for the formulas: requantization in float32 in ONNX Runtime (QLinearConv, QLinearAdd), PyTorch's quantized
kernels and XNNPACK; the sum on a common scale in TensorFlow Lite's quantized ADD; the two roundings in gemmlowp and ruy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..arith import FloatArray, IntArray, Rounding, Scale, round_shift

WHOLE = 31  # bits of a whole multiplier: a value from 2**30 to 2**31 - 1
REGISTER = 32  # bits of the register that holds it, with its sign
HIGHEST = 2.0**62  # a float beyond it becomes this integer, which every output format saturates


class Rescaling(Protocol):
    """What replaces an operator's own multipliers, shifts and roundings."""

    def __call__(self, *arms: IntArray) -> IntArray:
        """The rescaled sum of the arms, before it saturates."""


def _half_away(x: FloatArray) -> FloatArray:
    """``roundf`` of C; to add 0.5 and truncate would be wrong just below a half."""
    whole = np.trunc(x)
    return np.asarray(whole + np.copysign(np.abs(x - whole) >= 0.5, x))


# How a float becomes an integer: rint, roundf, the common floor(x + 0.5), floor, a cast.
FLOAT_ROUNDINGS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "half_even": np.rint,
    "half_away": _half_away,
    "half_up": lambda x: np.floor(x + np.float32(0.5)),
    "floor": np.floor,
    "trunc": np.trunc,
}


@dataclass(frozen=True)
class InFloat32:
    """``rounding(sum of arm * factor, times `times`, divided by `over`)``, every operation in float32.

    `times` and `over` are left out where they are None. `fused`: the last product is not rounded before it is added, as a
    fused multiply-add computes it.
    """

    factors: tuple[FloatArray, ...]
    times: FloatArray | None = None
    over: FloatArray | None = None
    rounding: str = "half_even"
    fused: bool = False

    def __call__(self, *arms: IntArray) -> IntArray:
        """The rescaled sum, before it saturates."""
        values = [arm.astype(np.float32) for arm in arms]
        total = values[0] * self.factors[0]
        for value, factor in zip(values[1:], self.factors[1:], strict=True):
            if self.fused:  # float64 holds the product of two float32 exactly
                total = (total.astype(np.float64) + value.astype(np.float64) * factor).astype(np.float32)
            else:
                total = total + value * factor
        if self.times is not None:
            total = total * self.times
        if self.over is not None:
            total = total / self.over
        return np.clip(FLOAT_ROUNDINGS[self.rounding](total), -HIGHEST, HIGHEST).astype(np.int64)

    def identity(self) -> tuple[bytes | bool, ...]:
        """The same for two forms that compute the same."""
        by_one = (factor if factor is not None and (factor != 1).any() else None for factor in (self.times, self.over))
        return (self.fused, *(b"" if factor is None else factor.tobytes() for factor in (*self.factors, *by_one)))


def _float32(scale: Scale | FloatArray) -> FloatArray:
    return np.asarray(scale, np.float32)


def in_float32(
    arms: tuple[Scale, ...], out: Scale, parts: tuple[Scale, Scale] | None = None
) -> Iterator[tuple[str, InFloat32]]:
    """The forms of a rescaling in float32 by name, rounded half to even.

    arms: the scale of every arm
    out: the scale of the output
    parts: two scales whose product is that of the only arm, where they are known
    """
    over = _float32(out)
    yield "product", InFloat32(tuple(_float32(np.asarray(arm) / out) for arm in arms))
    sources = {"": tuple(map(_float32, arms))}
    if parts is not None:
        sources[":parts"] = (_float32(parts[0]) * _float32(parts[1]),)
    for suffix, factors in sources.items():
        yield f"divided{suffix}", InFloat32(factors, over=over)
        yield f"reciprocal{suffix}", InFloat32(factors, times=np.float32(1) / over)
        yield f"ratio{suffix}", InFloat32(tuple(factor / over for factor in factors))
        if len(factors) > 1:
            yield f"fused{suffix}", InFloat32(factors, over=over, fused=True)


@dataclass(frozen=True)
class OnCommonScale:
    """Both arms shifted left by `left` bits, brought to the scale ``2 * max(arms)``, added, and rescaled once.

    Every factor is a multiplier of 31 bits and a shift. `roundings` are that of the whole product and None, or that of its
    high half and that of the rest.
    """

    arms: tuple[Scale, Scale]
    out: Scale
    left: int
    roundings: tuple[Rounding, Rounding | None]

    def __call__(self, *arms: IntArray) -> IntArray:
        """The rescaled sum, before it saturates."""
        common = 2 * np.maximum(*self.arms)
        total = sum(self._times(arm << self.left, scale / common) for arm, scale in zip(arms, self.arms, strict=True))
        return self._times(np.asarray(total), common / (2.0**self.left * np.asarray(self.out)))

    def _times(self, x: IntArray, factor: FloatArray) -> IntArray:
        m, e = multiplier_of(factor)
        first, last = self.roundings
        return round_shift(x * m, e, first) if last is None else rounded_in_two(x * m, e, first, last)


def multiplier_of(factor: FloatArray) -> tuple[IntArray, IntArray]:
    """m and e with ``m * 2**-e`` closest to `factor`, m of 31 bits, ties up: QuantizeMultiplier of TensorFlow Lite."""
    fraction, exponent = np.frexp(factor)
    m, e = np.floor(fraction * 2.0**WHOLE + 0.5).astype(np.int64), WHOLE - np.asarray(exponent, np.int64)
    return _normal(m, np.clip(e, 1, 62))


def _normal(m: IntArray, e: IntArray) -> tuple[IntArray, IntArray]:
    """A multiplier that was rounded up to 2**31 as half of it, shifted by one less."""
    full = np.abs(m) == 1 << WHOLE
    return np.where(full, m >> 1, m), np.where(full, e - 1, e)


def rounded_in_two(product: IntArray, e: IntArray, first: Rounding, last: Rounding, high: int = WHOLE) -> IntArray:
    """The product without its lowest `high` bits, rounded by `first`, then without the rest of `e` bits, by `last`."""
    return round_shift(round_shift(product, np.minimum(e, high), first), np.maximum(np.asarray(e) - high, 0), last)


def narrower(m: IntArray, e: IntArray, bits: int, rounded: bool) -> tuple[IntArray, IntArray]:
    """A multiplier in a register of `bits` bits, its sign included: cut to it, or rounded to it."""
    cut = REGISTER - bits
    wide, shift = np.asarray(m, np.int64), np.asarray(e, np.int64)
    if rounded:
        return _normal((wide + (1 << cut >> 1)) >> cut << cut, shift)
    return wide >> cut << cut, shift
