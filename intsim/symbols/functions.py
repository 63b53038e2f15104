"""NumPy's functions on symbols, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .sizes import whole

if TYPE_CHECKING:
    from .symbol import Symbol, Tape


def _where(tape: Tape, condition: Any, a: Any, b: Any) -> Symbol:
    args = [tape.expression(value) for value in (condition, a, b)]
    if args[1].boolean != args[2].boolean:
        args[1:] = [tape.build.integer(arg) for arg in args[1:]]
    return tape.symbol(tape.build("select", *args))


def _like(fill: int) -> Callable[..., Symbol]:
    def made(tape: Tape, x: Symbol, *value: Any, dtype: Any = None, shape: Any = None) -> Symbol:
        return tape.symbol(tape.build.filled(int(value[0]) if value else fill, x.shape if shape is None else tuple(shape)))

    return made


def _concatenate(tape: Tape, arrays: Sequence[Any], axis: int = 0) -> Symbol:
    args = [tape.expression(array) for array in arrays]
    return tape.symbol(tape.build("concatenate", *args, axis=axis % len(args[0].shape)))


def _moveaxis(tape: Tape, x: Symbol, source: Any, destination: Any) -> Symbol:
    sources = [s % x.ndim for s in np.atleast_1d(source)]
    targets = [d % x.ndim for d in np.atleast_1d(destination)]
    rest = [axis for axis in range(x.ndim) if axis not in sources]
    for target, moved in sorted(zip(targets, sources, strict=True)):
        rest.insert(target, moved)
    return x.transpose(rest)


def _roll(tape: Tape, x: Symbol, shift: Any, axis: Any) -> Symbol:
    several = isinstance(axis, tuple)
    for by, along in zip(shift if several else (shift,), axis if several else (axis,), strict=True):
        side, place = x.shape[along], int(along) % x.ndim
        cut = -whole(by) % side
        if cut:
            key = [slice(None)] * x.ndim
            parts = []
            for part in (slice(cut, side), slice(0, cut)):
                key[place] = part
                parts.append(x[tuple(key)])
            x = _concatenate(tape, parts, place)
    return x


def _pad(tape: Tape, x: Symbol, widths: Any) -> Symbol:
    for axis, (before, behind) in enumerate(widths):
        sides = [(*x.shape[:axis], whole(width), *x.shape[axis + 1 :]) for width in (before, behind)]
        zeros = [[tape.symbol(tape.build.filled(0, side))] if side[axis] else [] for side in sides]
        x = _concatenate(tape, [*zeros[0], x, *zeros[1]], axis)
    return x


def _broadcast_to(tape: Tape, x: Symbol, shape: Any) -> Symbol:
    return x + tape.symbol(tape.build.filled(0, tuple(shape)))  # type: ignore[no-any-return]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "where": _where,
    "zeros_like": _like(0),
    "ones_like": _like(1),
    "full_like": _like(0),
    "concatenate": _concatenate,
    "moveaxis": _moveaxis,
    "roll": _roll,
    "pad": _pad,
    "broadcast_to": _broadcast_to,
    "any": lambda tape, x: tape.symbol(tape.expression(x)).any(),
    "sum": lambda tape, x, axis=None, keepdims=False: x.sum(axis, keepdims),
    "max": lambda tape, x, axis=None, keepdims=False: x.max(axis, keepdims),
    "min": lambda tape, x, axis=None, keepdims=False: x.min(axis, keepdims),
    "argmax": lambda tape, x, axis: x.argmax(axis),
    "reshape": lambda tape, x, shape: x.reshape(shape),
    "transpose": lambda tape, x, axes=(): x.transpose(axes),
    "swapaxes": lambda tape, x, first, second: x.swapaxes(first, second),
    "repeat": lambda tape, x, count, axis: x.repeat(count, axis),
    "shape": lambda tape, x: x.shape,
    "ndim": lambda tape, x: x.ndim,
    "size": lambda tape, x: x.size,
}
