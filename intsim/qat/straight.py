"""Straight-through gradients: the value is that of the integers, the gradient that of the real function.

The gradient of a step is that of learned step sizes (LSQ, Esser et al. 2020), with respect to the logarithm of the step
(TQT, Jain et al. 2020), so that no step passes 0: a value that is not clipped moves with the step by ``q - x / step``, one
that is clipped by the end of its format.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

LN2 = math.log(2.0)


class _Quantized(torch.autograd.Function):
    """`q * step` in place of `real`."""

    @staticmethod
    def forward(ctx: Any, real: Tensor, log2_step: Tensor, step: Tensor, q: Tensor, lo: int, hi: int) -> Tensor:
        value = q.to(real.dtype)
        ratio = real / step
        inside = (ratio >= lo - 0.5) & (ratio <= hi + 0.5)
        moved = torch.where(inside, value - ratio, value) if ctx.needs_input_grad[1] else None
        ctx.save_for_backward(inside, moved, step)
        ctx.shape, ctx.weight = log2_step.shape, 1 / math.sqrt(max(1, real.numel() // max(1, log2_step.numel())) * hi)
        return value * step

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inside, moved, step = ctx.saved_tensors
        real = torch.where(inside, gradient, 0) if ctx.needs_input_grad[0] else None
        log2_step = None
        if moved is not None:
            along = gradient * moved * (step * LN2 * ctx.weight)
            log2_step = along.sum_to_size(ctx.shape) if ctx.shape else along.sum()
        return real, log2_step, None, None, None, None


class _Rounded(torch.autograd.Function):
    """Rounded in value, as it is in gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def quantized(real: Tensor, log2_step: Tensor, step: Tensor, q: Tensor, lo: int, hi: int) -> Tensor:
    """``q * step`` with the gradient of `real` where that is not clipped to ``[lo, hi]``, and that of the step.

    `step` is 2 to the power of `log2_step`, one or one per channel (broadcast against `real`).
    """
    return _Quantized.apply(real, log2_step, step, q, lo, hi)


def rounded(x: Tensor) -> Tensor:
    """The nearest integers, with a gradient of 1."""
    return _Rounded.apply(x)
