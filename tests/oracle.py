"""An oracle for intsim: a second implementation of docs/arithmetic.md, in plain Python integers.

It imports nothing of intsim and no NumPy, and it is written from docs/arithmetic.md, not from the code, so that it is an
independent check. Integers are unbounded and rounding uses exact fractions, so nothing overflows or is rounded by accident.
A row is a list of integers, a matrix a list of rows, a dialect a plain dict of choices. Arguments that docs/arithmetic.md
refuses raise ValueError.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

Dialect = dict[str, Any]
INT32_MAX = 2**31 - 1

# The table of dialects in docs/arithmetic.md, transposed into one dict per dialect.
_NAMES = ("ivit", "ivit-tvm", "isegmenter", "rtl")
TABLE: dict[str, tuple[int | str, int | str, int | str, int | str]] = {
    "requant_rounding": ("half_even", "half_up", "half_even", "half_up"),
    "mean_rounding": ("half_even", "trunc", "half_even", "half_up"),
    "sqrt": ("newton10", "newton10", "newton10", "floor"),
    "variance": ("exact", "wrap16", "exact", "exact"),
    "layernorm_half": ("floor", "trunc", "floor", "floor"),
    "quotient": ("floor", "trunc", "floor", "floor"),
    "half_bit": ("kept", "dropped", "kept", "kept"),
    "x0_rounding": ("floor", "trunc", "floor", "floor"),
    "exp_sum": ("saturate", "wrap32", "saturate", "saturate"),
    "overflow": ("exact", "wrap32", "forbid", "forbid"),
    "softmax_n": (15, 16, "auto", "auto"),
    "softmax_bits": (16, 8, 16, 16),
    "gelu_n": (23, 23, "auto", "auto"),
    "gelu_bits": (8, 8, 8, 8),
    "gelu": ("shiftgelu", "shiftgelu", "lambda_shiftgelu", "lambda_shiftgelu"),
}
DIALECTS: dict[str, Dialect] = {name: {key: row[i] for key, row in TABLE.items()} for i, name in enumerate(_NAMES)}

# --- primitives -------------------------------------------------------------------------------------------------------


def rounded(value: Fraction, mode: str) -> int:
    """An exact fraction as an integer, by one of the five rounding modes."""
    below = math.floor(value)
    beyond = value - below
    if mode == "floor" or beyond == 0:
        return below
    if mode == "trunc":
        return below if value > 0 else below + 1
    if beyond != Fraction(1, 2):
        return below if beyond < Fraction(1, 2) else below + 1
    if mode == "half_up":
        return below + 1
    if mode == "half_even":
        return below if below % 2 == 0 else below + 1
    if mode == "half_away":
        return below + 1 if value > 0 else below
    raise ValueError(f"no such rounding: {mode}")


def round_shift(p: int, e: int, mode: str) -> int:
    """``p / 2**e`` rounded."""
    return rounded(Fraction(p, 2**e), mode)


def round_divide(a: int, n: int, mode: str) -> int:
    """``a / n`` rounded."""
    return rounded(Fraction(a, n), mode)


def divide(a: int, b: int, mode: str) -> int:
    """The integer quotient; its two modes are two of the five rounding modes."""
    return rounded(Fraction(a, b), mode)


def ends(bits: int) -> tuple[int, int]:
    """The lowest and the highest value of a signed format."""
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def saturate(x: int, bits: int) -> int:
    """`x` clamped to a signed format."""
    low, high = ends(bits)
    return low if x < low else high if x > high else x


def wrap(x: int, bits: int) -> int:
    """The value of a signed format that equals `x` modulo ``2**bits``."""
    low, _ = ends(bits)
    return (x - low) % 2**bits + low


def forbid(x: int, bits: int, what: str = "value") -> int:
    """`x`, if it fits a signed format; otherwise raises ValueError."""
    if saturate(x, bits) != x:
        raise ValueError(f"{what} {x} is outside i{bits}")
    return x


def intermediate(x: int, dialect: Dialect, what: str) -> int:
    """An i32 intermediate by the dialect's overflow rule."""
    if dialect["overflow"] == "wrap32":
        return wrap(x, 32)
    return forbid(x, 32, what) if dialect["overflow"] == "forbid" else x


def isqrt(v: int, mode: str) -> int:
    """The square root of layernorm: ten Newton steps from 2**16, or the exact floor."""
    if v < 0:
        raise ValueError(f"no square root of {v}")
    if mode == "floor":
        return math.isqrt(v)
    k = 2**16
    for _ in range(10):
        k = (k + v // k) // 2
    return k


def dyadic(f: float) -> tuple[int, int]:
    """``(m, e)`` with ``f ~ m * 2**-e``: the mantissa of the magnitude times 2**31, ties rounded up, then the sign."""
    if not math.isfinite(f):
        raise ValueError(f"{f} is not a finite factor")
    if f == 0:
        return 0, 31
    magnitude, e = abs(Fraction(f)), 31
    while magnitude >= 1:
        magnitude, e = magnitude / 2, e - 1
    while magnitude < Fraction(1, 2):
        magnitude, e = magnitude * 2, e + 1
    m = rounded(magnitude * 2**31, "half_up")
    if m == 2**31:
        m, e = 2**30, e - 1
    if not 1 <= e <= 62:
        raise ValueError(f"factor {f} needs a shift of {e}")
    return (-m if f < 0 else m), e


# --- requantization and products --------------------------------------------------------------------------------------


def per_channel(value: int | list[int], channels: int) -> list[int]:
    """A scalar parameter repeated for every channel; a list unchanged."""
    return list(value) if isinstance(value, list) else [value] * channels


def multiply_shift(row: list[int], m: int | list[int], e: int | list[int], mode: str) -> list[int]:
    """``round_shift(x*m, e, mode)`` of every element."""
    multipliers, shifts = per_channel(m, len(row)), per_channel(e, len(row))
    return [round_shift(x * mi, ei, mode) for x, mi, ei in zip(row, multipliers, shifts, strict=True)]


def requant(row: list[int], m: int | list[int], e: int | list[int], b: int, dialect: Dialect) -> list[int]:
    """``saturate(round_shift(x*m, e, R), b)``."""
    return [saturate(x, b) for x in multiply_shift(row, m, e, dialect["requant_rounding"])]


def residual_add(
    a: list[int],
    c: list[int],
    ma: int | list[int],
    ea: int | list[int],
    mc: int | list[int],
    ec: int | list[int],
    b: int,
    dialect: Dialect,
) -> list[int]:
    """Each arm is rounded separately, then both are added and saturated."""
    mode = dialect["requant_rounding"]
    arms = multiply_shift(a, ma, ea, mode), multiply_shift(c, mc, ec, mode)
    return [saturate(left + right, b) for left, right in zip(*arms, strict=True)]


def dot(a: list[int], b: list[int], start: int = 0) -> int:
    """The inner product plus `start`; raises ValueError if it does not fit i32."""
    return forbid(sum((x * y for x, y in zip(a, b, strict=True)), start), 32, "a sum of products,")


def linear(row: list[int], weight: list[list[int]], bias: list[int]) -> list[int]:
    """``x @ W.T + bias`` of one row, `weight` [out][in]."""
    return [dot(row, column, start) for column, start in zip(weight, bias, strict=True)]


def matmul(a: list[list[int]], b: list[list[int]], transpose_b: bool | int = False) -> list[list[int]]:
    """``a @ b``, or ``a @ b.T``, of two matrices."""
    columns = b if transpose_b else [list(column) for column in zip(*b, strict=True)]
    return [[dot(row, column) for column in columns] for row in a]


# --- layernorm --------------------------------------------------------------------------------------------------------


def layernorm(row: list[int], bias: list[int], dialect: Dialect) -> list[int]:
    """I-LayerNorm of one row."""
    if not row:
        raise ValueError("an empty row has no mean")
    total = intermediate(sum(row), dialect, "the sum")
    if dialect["variance"] == "wrap16":
        total = wrap(total, 16)
    mean = round_divide(total, len(row), dialect["mean_rounding"])
    y = [x - mean for x in row]
    if dialect["variance"] == "wrap16":
        y = [wrap(yi, 16) for yi in y]
    v = sum(yi * yi for yi in y)
    if dialect["variance"] != "exact":
        v %= 2**32
    std = isqrt(v, dialect["sqrt"]) or 1
    f = INT32_MAX // std
    out = []
    for yi, bi in zip(y, bias, strict=True):
        product = wrap(yi * f, 32) if dialect["overflow"] == "wrap32" else yi * f
        half = divide(product, 2, dialect["layernorm_half"])
        out.append(intermediate(half + bi, dialect, "the result"))
    return out


def mean(x: list[list[int]], dialect: Dialect) -> list[int]:
    """The mean of every channel over the tokens of x [tokens][channels]."""
    if not x:
        raise ValueError("no tokens have no mean")
    return [round_divide(sum(channel), len(x), dialect["mean_rounding"]) for channel in zip(*x, strict=True)]


# --- exponentials -----------------------------------------------------------------------------------------------------


def exponential(x: int, x0: int, n: int, dialect: Dialect) -> int:
    """Shift-exp of one integer, with unbounded intermediate values."""
    t = x + math.floor(Fraction(x, 2)) - math.floor(Fraction(x, 16))
    t = max(t, n * x0)
    q = divide(t, x0, dialect["quotient"])
    r = t - q * x0
    if dialect["half_bit"] == "kept":
        numerator, halvings = r - 2 * x0, 1
    else:
        numerator, halvings = math.floor(Fraction(r, 2)) - x0, 0
    shifted = numerator * 2 ** (n - q)
    if dialect["overflow"] == "wrap32":
        shifted = wrap(shifted, 32)
    return max(shifted // 2**halvings, 0)


def shift_exp(row: list[int], x0: int, n: int, dialect: Dialect) -> list[int]:
    """Shift-exp of every integer of a row."""
    return [exponential(x, x0, n, dialect) for x in row]


def refuse_wide_exponentials(x0: int, n: int, dialect: Dialect) -> None:
    """Raise ValueError if overflow is forbidden and exp(0) = ``-x0 * 2**n`` does not fit i32."""
    if dialect["overflow"] == "forbid" and -x0 * 2**n >= 2**31:
        raise ValueError(f"exponentials of x0 = {x0}, n = {n} exceed 2**31 - 1")


def factor(exponentials: int, dialect: Dialect) -> int:
    """``(2**31 - 1) // S`` for a sum of exponentials S, which is saturated or wrapped first."""
    s = wrap(exponentials, 32) if dialect["exp_sum"] == "wrap32" else min(exponentials, INT32_MAX)
    if s == 0:
        raise ValueError("the sum of exponentials wrapped to 0")
    return INT32_MAX // s


def scaled(e: int, f: int, b: int, dialect: Dialect) -> int:
    """``(e * f) >> (31 - b + 1)``."""
    product = wrap(e * f, 32) if dialect["overflow"] == "wrap32" else e * f
    return product // 2 ** (32 - b)


def shiftmax(row: list[int], x0: int, n: int, b: int, dialect: Dialect) -> list[int]:
    """Softmax of one row."""
    if not row:
        raise ValueError("an empty row has no maximum")
    refuse_wide_exponentials(x0, n, dialect)
    highest = max(row)
    e = shift_exp([x - highest for x in row], x0, n, dialect)
    f = factor(sum(e), dialect)
    return [forbid(scaled(ei, f, b, dialect), b, "a probability,") for ei in e]


def masked_shiftmax(
    x: list[list[list[list[int]]]], regions: list[list[int]], x0: int, n: int, b: int, dialect: Dialect
) -> list[list[list[list[int]]]]:
    """Softmax of every row of x [windows][heads][tokens][tokens]; tokens see each other if their `regions` [windows][tokens]
    are equal.
    """
    refuse_wide_exponentials(x0, n, dialect)
    out = []
    for window, region in zip(x, regions, strict=True):
        if any(len(head) != len(region) for head in window):
            raise ValueError("logits and regions have different numbers of tokens")
        rows = [[masked_row(head[i], region, i, x0, n, b, dialect) for i in range(len(region))] for head in window]
        out.append(rows)
    return out


def masked_row(row: list[int], region: list[int], i: int, x0: int, n: int, b: int, dialect: Dialect) -> list[int]:
    """The probabilities of token `i`: a token of another region has the smallest exponential, ``-x0``."""
    pairs = list(zip(row, region, strict=True))
    highest = max(x for x, theirs in pairs if theirs == region[i])
    e = [exponential(x - highest, x0, n, dialect) if theirs == region[i] else -x0 for x, theirs in pairs]
    f = factor(sum(e), dialect)
    return [forbid(scaled(ei, f, b, dialect), b, "a probability,") for ei in e]


def sigmoid(row: list[int], x0: int, n: int, b: int, dialect: Dialect) -> list[int]:
    """The sigmoid inside both GELUs, of one row."""
    if not row:
        raise ValueError("an empty row has no maximum")
    refuse_wide_exponentials(x0, n, dialect)
    highest = max(row)
    e_highest = exponential(-highest, x0, n, dialect)
    e = shift_exp([x - highest for x in row], x0, n, dialect)
    return [scaled(ei, factor(ei + e_highest, dialect), b, dialect) for ei in e]


def shiftgelu(row: list[int], x0: int, n: int, b: int, dialect: Dialect) -> list[int]:
    """``x * sigmoid(1.702 x)`` of one row."""
    return [x * sig for x, sig in zip(row, sigmoid(row, x0, n, b, dialect), strict=True)]


def lambda_shiftgelu(row: list[int], x0: int, n: int, b: int, lam: int, dialect: Dialect) -> list[int]:
    """shiftgelu with the argument of the sigmoid clamped to ``[-lam, lam]``."""
    g = [min(max(x, -lam), lam) for x in row]
    return [x * sig for x, sig in zip(row, sigmoid(g, x0, n, b, dialect), strict=True)]


# --- data movement ----------------------------------------------------------------------------------------------------


def input_lut(image: list[list[list[int]]], table: list[list[int]]) -> list[list[list[int]]]:
    """``table[c][value]`` of a picture [H][W][C]."""
    return [[[entries[value] for value, entries in zip(px, table, strict=True)] for px in line] for line in image]


def patches(x: list[list[list[int]]], size: int) -> list[list[int]]:
    """A picture [H][W][C] as patches, each channel by channel, padded with zeros below and to the right."""
    height, width, channels = len(x), len(x[0]), len(x[0][0])
    out = []
    for top in range(0, height, size):
        for left in range(0, width, size):
            places = [(c, top + i, left + j) for c in range(channels) for i in range(size) for j in range(size)]
            out.append([x[i][j][c] if i < height and j < width else 0 for c, i, j in places])
    return out


def concat(xs: list[list[list[int]]], axis: int) -> list[list[int]]:
    """Matrices concatenated along rows (axis -2) or columns (axis -1)."""
    if axis == -2:
        return [row for x in xs for row in x]
    return [[value for row in rows for value in row] for rows in zip(*xs, strict=True)]


def slice(x: list[list[int]], axis: int, start: int, stop: int) -> list[list[int]]:
    """The rows (axis -2) or columns (axis -1) ``[start, stop)`` of a matrix."""
    if not 0 <= start < stop <= len(x if axis == -2 else x[0]):
        raise ValueError(f"no part [{start}, {stop})")
    if axis == -2:
        return [x[i] for i in range(start, stop)]
    return [[row[j] for j in range(start, stop)] for row in x]


def heads(x: list[list[int]], heads: int) -> list[list[list[int]]]:
    """Tokens of joined heads [tokens][channels] split into heads [heads][tokens][channels / heads]."""
    d, rest = divmod(len(x[0]), heads)
    if rest:
        raise ValueError(f"{len(x[0])} channels do not split into {heads} heads")
    return [[[token[head * d + i] for i in range(d)] for token in x] for head in range(heads)]


def merge_heads(x: list[list[list[int]]]) -> list[list[int]]:
    """The inverse of heads."""
    return [[value for head in x for value in head[token]] for token in range(len(x[0]))]


def grid(x: list[list[int]], height: int) -> list[list[list[int]]]:
    """A list of patches as a grid of `height` rows."""
    width, rest = divmod(len(x), height)
    if rest:
        raise ValueError(f"{len(x)} patches do not fill {height} rows")
    return [[x[i * width + j] for j in range(width)] for i in range(height)]


def tokens(x: list[list[list[int]]]) -> list[list[int]]:
    """The inverse of grid."""
    return [cell for row in x for cell in row]


def roll(x: list[list[list[int]]], rows: int, columns: int) -> list[list[list[int]]]:
    """A grid shifted cyclically, down and to the right."""
    height, width = len(x), len(x[0])
    return [[x[(i - rows) % height][(j - columns) % width] for j in range(width)] for i in range(height)]


def windows(x: list[list[list[int]]], size: int) -> list[list[list[int]]]:
    """A grid cut into windows, row by row; the tokens of each window are in row order, too."""
    height, width = len(x), len(x[0])
    if height % size or width % size:
        raise ValueError(f"{height} x {width} does not divide into windows of {size}")
    corners = [(top, left) for top in range(0, height, size) for left in range(0, width, size)]
    return [[x[top + i][left + j] for i in range(size) for j in range(size)] for top, left in corners]


def merge_windows(x: list[list[list[int]]], height: int) -> list[list[list[int]]]:
    """The inverse of windows."""
    size = math.isqrt(len(x[0]))
    down = height // size
    if size * size != len(x[0]) or down * size != height or down == 0 or len(x) % down:
        raise ValueError(f"{len(x)} windows of {len(x[0])} tokens do not fill {height} rows")
    across = len(x) // down
    return [
        [x[i // size * across + j // size][i % size * size + j % size] for j in range(across * size)] for i in range(height)
    ]


def merge_patches(x: list[list[list[int]]]) -> list[list[list[int]]]:
    """The channels of every 2 x 2 cells joined: top left, bottom left, top right, bottom right."""
    height, width = len(x), len(x[0])
    if height % 2 or width % 2:
        raise ValueError(f"{height} x {width} does not divide into 2 x 2 cells")
    down, across = range(0, height, 2), range(0, width, 2)
    return [[x[i][j] + x[i + 1][j] + x[i][j + 1] + x[i + 1][j + 1] for j in across] for i in down]


def relative_positions(table: list[list[int]], size: int) -> list[list[list[int]]]:
    """[heads][tokens][tokens]: for every pair of tokens in a window, the table row of their displacement."""
    side = 2 * size - 1
    if len(table) != side * side:
        raise ValueError(f"{len(table)} displacements, expected {side * side}")
    places = [(row, column) for row in range(size) for column in range(size)]
    index = [[(r - s + size - 1) * side + c - d + size - 1 for s, d in places] for r, c in places]
    return [[[table[k][head] for k in line] for line in index] for head in range(len(table[0]))]


def upsample_nearest(x: list[list[Any]], factor: int) -> list[list[Any]]:
    """Every cell of a grid, a label or a list of classes, repeated `factor` times in both directions."""
    height, width = len(x) * factor, len(x[0]) * factor
    return [[x[i // factor][j // factor] for j in range(width)] for i in range(height)]


def argmax(row: list[int]) -> int:
    """The lowest index of the largest value."""
    return row.index(max(row))


# --- lowering ---------------------------------------------------------------------------------------------------------


def integer_x0(scale: float, dialect: Dialect) -> int:
    """x0 of a scale; ``-1/s`` is the float64 quotient, as in I-ViT."""
    x0 = math.floor(-1 / scale) if dialect["x0_rounding"] == "floor" else math.trunc(-1 / scale - 1)
    return min(x0, -1)


def largest_n(limit: int, magnitude: int) -> int:
    """The largest n up to `limit` with ``magnitude * 2**n < 2**31``."""
    fitting = [n for n in range(1, limit + 1) if magnitude * 2**n < 2**31]
    if not fitting:
        raise ValueError(f"no n for {magnitude}")
    return max(fitting)


def softmax_parameters(scale: float, tokens: int, dialect: Dialect) -> dict[str, int]:
    """x0, n, b of shiftmax over rows of `tokens` logits."""
    x0, n = integer_x0(scale, dialect), dialect["softmax_n"]
    return {"x0": x0, "n": largest_n(15, tokens * -x0) if n == "auto" else n, "b": dialect["softmax_bits"]}


def gelu_parameters(scale: float, dialect: Dialect) -> dict[str, int | str]:
    """The GELU operator and its x0, n, b."""
    x0, n = integer_x0(1.702 * scale, dialect), dialect["gelu_n"]
    return {
        "op": dialect["gelu"],
        "x0": x0,
        "n": largest_n(23, -x0) if n == "auto" else n,
        "b": dialect["gelu_bits"],
    }


# --- vectors ----------------------------------------------------------------------------------------------------------


def evaluate(op: str, args: dict[str, Any]) -> Any:
    """The result of an operator on the arguments of a vector, both as JSON values.

    ``dialect`` is the name of a dialect, ``choices`` replaces some of its choices.
    """
    given = dict(args)
    if "dialect" in given:
        given["dialect"] = DIALECTS[given["dialect"]] | given.pop("choices", {})
    row = [given.pop("x")] if "x" in given else []
    result = globals()[op](*row, **given)
    return list(result) if isinstance(result, tuple) else result


# --- comparison -------------------------------------------------------------------------------------------------------


def difference(call: str, got: Any, want: Any) -> str:
    """A description of the first difference of two nested lists; an empty string if they are equal.

    Types must be equal, too: True is not 1, and 1.0 is not 1.
    """
    if isinstance(got, (list, tuple)) and isinstance(want, (list, tuple)):
        if len(got) != len(want):
            return f"{call} has length {len(got)}, but should have {len(want)}"
        pairs = enumerate(zip(got, want, strict=True))
        return next((text for i, pair in pairs if (text := difference(f"{call}[{i}]", *pair))), "")
    if type(got) is type(want) and got == want:
        return ""
    return f"{call.replace('][', ',')} = {got!r}, but should be {want!r}"
