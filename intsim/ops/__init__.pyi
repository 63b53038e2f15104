"""The types of the operators. Written by tools/make_stubs.py from the registry; do not edit."""

from typing import Any, TypeAlias, final, type_check_only

import numpy as np
from numpy.typing import ArrayLike

from ..arith import IntArray, TensorBound
from ..dialects import Dialect
from ._op import Op
from ._param import FLAG, Param, require
from ._registry import REGISTRY

__all__ = [
    "FLAG",
    "REGISTRY",
    "Op",
    "Param",
    "TensorBound",
    "argmax",
    "concat",
    "grid",
    "heads",
    "input_lut",
    "lambda_shiftgelu",
    "layernorm",
    "linear",
    "masked_shiftmax",
    "matmul",
    "mean",
    "merge_heads",
    "merge_patches",
    "merge_windows",
    "patches",
    "relative_positions",
    "requant",
    "require",
    "residual_add",
    "roll",
    "shift_exp",
    "shiftgelu",
    "shiftmax",
    "slice",
    "tokens",
    "upsample_nearest",
    "windows",
]

_Int: TypeAlias = int | np.integer[Any]

@final
@type_check_only
class _Argmax(Op):
    """argmax: the class with the largest value along the last axis; ties go to the lowest class index."""

    def __call__(self, x: ArrayLike, dialect: Dialect | str | None = None) -> IntArray: ...
    def ref(self, x: ArrayLike, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _Concat(Op):
    """concat: tensors of one scale joined along an axis."""

    def __call__(self, *xs: ArrayLike, axis: _Int, dialect: Dialect | str | None = None) -> IntArray: ...
    def ref(self, *xs: ArrayLike, axis: _Int, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _Grid(Op):
    """grid: a list of cells, row by row, as a grid; the inverse of tokens."""

    def __call__(self, x: ArrayLike, height: _Int, dialect: Dialect | str | None = None) -> IntArray: ...
    def ref(self, x: ArrayLike, height: _Int, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _Heads(Op):
    """heads: the channels of tokens split into attention heads."""

    def __call__(self, x: ArrayLike, heads: _Int, dialect: Dialect | str | None = None) -> IntArray: ...
    def ref(self, x: ArrayLike, heads: _Int, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _InputLut(Op):
    """input_lut: normalisation and quantization of pixels by one table per channel."""

    def __call__(self, image: ArrayLike, table: ArrayLike, dialect: Dialect | str | None = None) -> IntArray: ...
    def ref(self, image: ArrayLike, table: ArrayLike, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _LambdaShiftgelu(Op):
    """lambda_shiftgelu: ShiftGELU with a clamped input to its sigmoid."""

    def __call__(self, x: ArrayLike, x0: _Int, n: _Int, b: _Int, lam: _Int, dialect: Dialect | str) -> IntArray: ...
    def ref(self, x: ArrayLike, x0: _Int, n: _Int, b: _Int, lam: _Int, dialect: Dialect | str) -> IntArray: ...

@final
@type_check_only
class _Layernorm(Op):
    """layernorm: layer normalisation over the last axis, in integers, with one division per row."""

    def __call__(self, x: ArrayLike, bias: ArrayLike, dialect: Dialect | str) -> IntArray: ...
    def ref(self, x: ArrayLike, bias: ArrayLike, dialect: Dialect | str) -> IntArray: ...

@final
@type_check_only
class _Linear(Op):
    """linear: a fully connected layer on 8-bit integers."""

    def __call__(
        self, x: ArrayLike, weight: ArrayLike, bias: ArrayLike, dialect: Dialect | str | None = None
    ) -> IntArray: ...
    def ref(self, x: ArrayLike, weight: ArrayLike, bias: ArrayLike, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _MaskedShiftmax(Op):
    """masked_shiftmax: shiftmax where a token sees only tokens of its own region, as in Swin."""

    def __call__(self, x: ArrayLike, regions: ArrayLike, x0: _Int, n: _Int, b: _Int, dialect: Dialect | str) -> IntArray: ...
    def ref(self, x: ArrayLike, regions: ArrayLike, x0: _Int, n: _Int, b: _Int, dialect: Dialect | str) -> IntArray: ...

@final
@type_check_only
class _Matmul(Op):
    """matmul: the product of two activations, as in attention."""

    def __call__(
        self, a: ArrayLike, b: ArrayLike, transpose_b: _Int = 0, dialect: Dialect | str | None = None
    ) -> IntArray: ...
    def ref(self, a: ArrayLike, b: ArrayLike, transpose_b: _Int = 0, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _Mean(Op):
    """mean: the mean over tokens, the last axis but one."""

    def __call__(self, x: ArrayLike, dialect: Dialect | str) -> IntArray: ...
    def ref(self, x: ArrayLike, dialect: Dialect | str) -> IntArray: ...

@final
@type_check_only
class _MergeHeads(Op):
    """merge_heads: the inverse of heads."""

    def __call__(self, x: ArrayLike, dialect: Dialect | str | None = None) -> IntArray: ...
    def ref(self, x: ArrayLike, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _MergePatches(Op):
    """merge_patches: every two by two cells of a grid joined into one, side by side in its channels."""

    def __call__(self, x: ArrayLike, dialect: Dialect | str | None = None) -> IntArray: ...
    def ref(self, x: ArrayLike, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _MergeWindows(Op):
    """merge_windows: the inverse of windows."""

    def __call__(self, x: ArrayLike, height: _Int, dialect: Dialect | str | None = None) -> IntArray: ...
    def ref(self, x: ArrayLike, height: _Int, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _Patches(Op):
    """patches: an image cut into square patches, one per row."""

    def __call__(self, x: ArrayLike, size: _Int, dialect: Dialect | str | None = None) -> IntArray: ...
    def ref(self, x: ArrayLike, size: _Int, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _RelativePositions(Op):
    """relative_positions: the bias of every pair of tokens in a window, from a table with one row per displacement."""

    def __call__(self, table: ArrayLike, size: _Int, dialect: Dialect | str | None = None) -> IntArray: ...
    def ref(self, table: ArrayLike, size: _Int, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _Requant(Op):
    """requant: an accumulator rescaled to a narrower format by an integer multiplier and a shift."""

    def __call__(self, acc: ArrayLike, m: ArrayLike, e: ArrayLike, b: _Int, dialect: Dialect | str) -> IntArray: ...
    def ref(self, acc: ArrayLike, m: ArrayLike, e: ArrayLike, b: _Int, dialect: Dialect | str) -> IntArray: ...

@final
@type_check_only
class _ResidualAdd(Op):
    """residual_add: the sum of two branches, rescaled from their own scales to a third."""

    def __call__(
        self,
        a: ArrayLike,
        c: ArrayLike,
        ma: ArrayLike,
        ea: ArrayLike,
        mc: ArrayLike,
        ec: ArrayLike,
        b: _Int,
        dialect: Dialect | str,
    ) -> IntArray: ...
    def ref(
        self,
        a: ArrayLike,
        c: ArrayLike,
        ma: ArrayLike,
        ea: ArrayLike,
        mc: ArrayLike,
        ec: ArrayLike,
        b: _Int,
        dialect: Dialect | str,
    ) -> IntArray: ...

@final
@type_check_only
class _Roll(Op):
    """roll: a grid shifted cyclically."""

    def __call__(self, x: ArrayLike, rows: _Int, columns: _Int, dialect: Dialect | str | None = None) -> IntArray: ...
    def ref(self, x: ArrayLike, rows: _Int, columns: _Int, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _ShiftExp(Op):
    """shift_exp: the exponential, computed from shifts and one division."""

    def __call__(self, x: ArrayLike, x0: _Int, n: _Int, dialect: Dialect | str) -> IntArray: ...
    def ref(self, x: ArrayLike, x0: _Int, n: _Int, dialect: Dialect | str) -> IntArray: ...

@final
@type_check_only
class _Shiftgelu(Op):
    """shiftgelu: GELU as ``x * sigmoid(1.702 x)``, with exponentials relative to the row maximum."""

    def __call__(self, x: ArrayLike, x0: _Int, n: _Int, b: _Int, dialect: Dialect | str) -> IntArray: ...
    def ref(self, x: ArrayLike, x0: _Int, n: _Int, b: _Int, dialect: Dialect | str) -> IntArray: ...

@final
@type_check_only
class _Shiftmax(Op):
    """shiftmax: softmax over the last axis, computed from shifts and one division per row."""

    def __call__(self, x: ArrayLike, x0: _Int, n: _Int, b: _Int, dialect: Dialect | str) -> IntArray: ...
    def ref(self, x: ArrayLike, x0: _Int, n: _Int, b: _Int, dialect: Dialect | str) -> IntArray: ...

@final
@type_check_only
class _Slice(Op):
    """slice: the part ``[start, stop)`` of an axis."""

    def __call__(
        self, x: ArrayLike, axis: _Int, start: _Int, stop: _Int, dialect: Dialect | str | None = None
    ) -> IntArray: ...
    def ref(self, x: ArrayLike, axis: _Int, start: _Int, stop: _Int, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _Tokens(Op):
    """tokens: a grid as the list of its cells, row by row; the inverse of grid."""

    def __call__(self, x: ArrayLike, dialect: Dialect | str | None = None) -> IntArray: ...
    def ref(self, x: ArrayLike, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _UpsampleNearest(Op):
    """upsample_nearest: every cell of a grid repeated `factor` times down and across."""

    def __call__(self, x: ArrayLike, factor: _Int, dialect: Dialect | str | None = None) -> IntArray: ...
    def ref(self, x: ArrayLike, factor: _Int, dialect: Dialect | str | None = None) -> IntArray: ...

@final
@type_check_only
class _Windows(Op):
    """windows: a grid cut into square windows."""

    def __call__(self, x: ArrayLike, size: _Int, dialect: Dialect | str | None = None) -> IntArray: ...
    def ref(self, x: ArrayLike, size: _Int, dialect: Dialect | str | None = None) -> IntArray: ...

argmax: _Argmax
concat: _Concat
grid: _Grid
heads: _Heads
input_lut: _InputLut
lambda_shiftgelu: _LambdaShiftgelu
layernorm: _Layernorm
linear: _Linear
masked_shiftmax: _MaskedShiftmax
matmul: _Matmul
mean: _Mean
merge_heads: _MergeHeads
merge_patches: _MergePatches
merge_windows: _MergeWindows
patches: _Patches
relative_positions: _RelativePositions
requant: _Requant
residual_add: _ResidualAdd
roll: _Roll
shift_exp: _ShiftExp
shiftgelu: _Shiftgelu
shiftmax: _Shiftmax
slice: _Slice
tokens: _Tokens
upsample_nearest: _UpsampleNearest
windows: _Windows
