"""What the operators of pure data movement share: one function is reference, fast implementation and real function."""

from __future__ import annotations

from collections.abc import Callable

from ..arith import I64, IntArray, TensorBound
from ..dialects import Dialect
from ..symbols.shapes import Form
from ._op import Op
from ._param import Param


def data_movement(
    steps: Callable[..., dict[str, IntArray]],
    shape: Callable[..., tuple[int, ...]],
    inputs: tuple[str, ...],
    params: dict[str, Param],
    pads: bool = False,
    *,
    forms: tuple[Form, ...] | Callable[[int], tuple[Form, ...]],
) -> Op:
    """An operator that only moves values: `shape` gives the shape of the result; format, bounds and scale do not change.

    With `pads` the operator may add zeros, which its bounds then include. Inputs have any integer format; in a direct call
    the result has the type of the input.
    """

    def fast(*arrays: IntArray, dialect: Dialect | None, out: IntArray, **given: int) -> IntArray:
        return steps(*arrays, **given)["out"]

    def real(*arrays: IntArray, **given: int) -> IntArray:
        return steps(*arrays, **given)["out"]

    def infer(*tensors: TensorBound, dialect: Dialect | None = None, **given: int) -> TensorBound:
        lo, hi = min(t.lo for t in tensors), max(t.hi for t in tensors)
        if pads:
            lo, hi = min(lo, 0), max(hi, 0)
        widest = max((t.fmt for t in tensors), key=lambda fmt: fmt.hi - fmt.lo)
        return TensorBound(shape(*(t.shape for t in tensors), **given), widest, lo, hi)

    name = steps.__module__.rpartition(".")[2]
    return Op(
        steps=steps,
        fast=fast,
        infer=infer,
        inputs=dict.fromkeys(inputs, I64),
        params=params,
        forms=forms,
        scale=lambda scales, node: scales[0],
        real=real,
        approximates=name,
        moves=True,
    )
