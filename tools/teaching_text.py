"""What the teaching page says of each operator, step and choice, and the inputs that it starts with."""

from __future__ import annotations

from typing import Any

OPERATORS = ("requant", "shift_exp", "shiftmax", "shiftgelu", "lambda_shiftgelu", "layernorm")

# What is worth knowing before anything is moved.
SENTENCES: dict[str, tuple[str, ...]] = {
    "requant": (
        "A matrix product leaves a 32-bit accumulator. The next operator wants 8 bits.",
        "The real factor between the two scales becomes an integer m and a shift e, so that one product and one shift suffice.",
        "The shift cuts off e bits. The rounding says what becomes of them, and it matters most where they are exactly one half.",
    ),
    "shift_exp": (
        "An exponential to the base 2 is a shift, as far as its exponent is whole. x * log2(e) is close to x + x/2 - x/16.",
        "x0 stands for -1, so that q counts whole halvings and the remainder r lies between two of them.",
        "Between two powers of two the curve is replaced by a straight line. That is the error that the plot shows.",
    ),
    "shiftmax": (
        "Softmax is unchanged when the maximum is subtracted first. Then no exponential is larger than that of the maximum.",
        "One division per row gives the factor f. Every probability is then one product and one shift.",
        "The sum has 31 bits. What happens beyond them is a choice, and so is the half bit of the exponential.",
    ),
    "shiftgelu": (
        "GELU is close to x * sigmoid(1.702 x), and a sigmoid is a softmax of two values, x and 0.",
        "Both exponentials are taken relative to the maximum of the row, so that one large value takes precision from all others.",
    ),
    "lambda_shiftgelu": (
        "It is shiftgelu with a clamp before the sigmoid: the row maximum stays close to the other values.",
        "Move lam below the largest input and watch what the other elements gain.",
        "The formula is a reading of the abstract of the I-Segmenter paper, which does not print it.",
    ),
    "layernorm": (
        "Each row is centred on its mean and divided by its standard deviation, with one division per row.",
        "The root of the variance is taken in integers. Ten Newton steps from 2**16 do not reach small roots: try values near 0.",
        "The mean is rounded before anything else, so that its rounding reaches every element of the row.",
    ),
}

# A step in words; the formula beside it is printed from the trace.
PHRASES: dict[str, str] = {
    "acc": "the accumulator",
    "x": "the input",
    "product": "the product before its last bits are cut off",
    "rounded": "shifted down by e and rounded",
    "clamped": "x between -lam and lam",
    "max": "the largest value of the row",
    "difference": "how far below the maximum",
    "log2": "times log2(e), which is taken as 1.4375; not below n * x0",
    "quotient": "how many whole halvings",
    "remainder": "what is left of them",
    "exp": "the exponential of the difference, in units in which 1 is -x0",
    "log2_max": "the same for 0: minus the maximum, times log2(e)",
    "quotient_max": "its whole halvings",
    "remainder_max": "what is left of them",
    "power_max": "the exponential of minus the maximum",
    "exp_max": "the same, limited to 31 bits",
    "sum": "the sum of the exponentials",
    "factor": "the one division of the row",
    "sigmoid": "the sigmoid",
    "mean": "the mean of the row, rounded",
    "centred": "the difference to the mean",
    "variance": "the sum of squares",
    "std": "its integer square root, at least 1",
    "half": "halved",
    "out": "the result",
}
OWN_PHRASES = {
    ("layernorm", "sum"): "the sum of the row",
    ("shiftgelu", "sum"): "the exponentials of x and of 0 together",
    ("lambda_shiftgelu", "sum"): "the exponentials of x and of 0 together",
    ("shift_exp", "out"): "shifted up by n - q: the exponential",
}

# Where the binary point of a step is: times a parameter, plus a number. Steps without one are whole numbers.
POINTS: dict[str, dict[str, tuple[str, int, int]]] = {
    "requant": {"product": ("e", 1, 0)},
    "shift_exp": {"out": ("n", 1, 0)},
    "shiftmax": {"exp": ("n", 1, 0), "sum": ("n", 1, 0), "product": ("", 0, 31), "out": ("b", 1, -1)},
    "shiftgelu": {
        **dict.fromkeys(("exp", "power_max", "exp_max", "sum"), ("n", 1, 0)),
        "product": ("", 0, 31),
        **dict.fromkeys(("sigmoid", "out"), ("b", 1, -1)),
    },
    "layernorm": {"factor": ("", 0, 31), "product": ("", 0, 31), "half": ("", 0, 30), "out": ("", 0, 30)},
}
POINTS["lambda_shiftgelu"] = POINTS["shiftgelu"]

VALUES: dict[str, dict[str, str]] = {
    "rounding": {
        "floor": "towards minus infinity, as >> does",
        "trunc": "towards zero, as division in C does",
        "half_up": "to the nearest; ties towards plus infinity",
        "half_even": "to the nearest; ties to the even neighbour",
        "half_away": "to the nearest; ties away from zero",
    },
    "division": {"floor": "towards minus infinity, as Python's //", "trunc": "towards zero, as C's /"},
    "sqrt": {"newton10": "ten Newton steps from 2**16", "floor": "the true integer root"},
    "variance": {
        "exact": "the sum of squares in 64 bits",
        "wrap32": "the sum of squares modulo 2**32",
        "wrap16": "that too, and sum and differences in 16 bits",
    },
    "half_bit": {"kept": "halved after the shift", "dropped": "halved before the shift, which loses a bit"},
    "exp_sum": {"saturate": "stays at 2**31 - 1", "wrap32": "wraps to 32 bits"},
    "overflow": {
        "exact": "kept in 64 bits",
        "wrap32": "wraps to 32 bits",
        "forbid": "refused; a network is proved free of it",
    },
}
KINDS = {
    **dict.fromkeys(("requant_rounding", "mean_rounding"), "rounding"),
    **dict.fromkeys(("layernorm_half", "quotient"), "division"),
}

Inputs = dict[str, Any]
HALF = {"m": 1 << 30, "e": 31, "b": 8}

# The first is what the page starts with.
PRESETS: dict[str, dict[str, Inputs]] = {
    "requant": {
        "halves: ties everywhere": {"acc": [-5, -3, -1, 0, 1, 3, 5, 7], **HALF},
        "thirds: no ties": {"acc": [-5, -4, -2, -1, 1, 2, 4, 5], "m": 1431655765, "e": 32, "b": 8},
        "past the ends": {"acc": [-900, -257, -256, -255, 253, 254, 255, 900], **HALF},
        "from a real layer": {"acc": [18250, -7311, 402, -96, 3381, 29114, -15002, 771], "m": 1240091223, "e": 39, "b": 8},
    },
    "shift_exp": {
        "down from 0": {"x": [0, -3, -7, -14, -20, -33, -48, -90], "x0": -20, "n": 15},
        "a coarse x0": {"x": [0, -1, -2, -3, -4, -5, -6, -7], "x0": -3, "n": 10},
        "above 0": {"x": [0, 1, 2, 5, 9, 12, 15, 20], "x0": -7, "n": 8},
        "at the floor": {"x": [-10, -50, -100, -140, -200, -205, -210, -400], "x0": -20, "n": 15},
    },
    "shiftmax": {
        "a row of logits": {"x": [31, 4, 40, -12, 35, 22, -30, 17], "x0": -20, "n": 15, "b": 16},
        "two that compete": {"x": [20, 19], "x0": -7, "n": 15, "b": 8},
        "the sum saturates": {"x": [100, 99, 98, 97, 96, 95, 94, 93], "x0": -100, "n": 24, "b": 16},
        "the sum wraps to 0": {"x": [0, 0, 0, 0], "x0": -1024, "n": 20, "b": 16},
    },
    "shiftgelu": {
        "around 0": {"x": [-40, -25, -10, 0, 10, 25, 40, 60], "x0": -24, "n": 23, "b": 8},
        "one large value": {"x": [127, -6, -3, -1, 1, 3, 6, 9], "x0": -5, "n": 23, "b": 8},
        "all negative": {"x": [-100, -90, -80, -60, -50, -45, -42, -40], "x0": -24, "n": 23, "b": 8},
    },
    "lambda_shiftgelu": {
        "one large value": {"x": [127, -6, -3, -1, 1, 3, 6, 9], "x0": -5, "n": 23, "b": 8, "lam": 32},
        "around 0": {"x": [-40, -25, -10, 0, 10, 25, 40, 60], "x0": -24, "n": 23, "b": 8, "lam": 50},
        "no clamp": {"x": [127, -6, -3, -1, 1, 3, 6, 9], "x0": -5, "n": 23, "b": 8, "lam": 128},
    },
    "layernorm": {
        "a mean that ties": {"x": [1, 4, 2, 9, -3, 7, 5, -5], "bias": 0},
        "small roots": {"x": [0, 1, 0, -1, 0, 0, 1, 0], "bias": 0},
        "large values": {"x": [30000, -20000, 12000, 31000, -30000, 25000, 4000, 19000], "bias": 0},
        "past 32 bits": {"x": [-3, 3], "bias": 2147483647},
    },
}
# Where a slider ends; its number field takes every value that the operator does.
SLIDERS: dict[str, tuple[int, int]] = {
    "acc": (-1000, 1000),
    "x": (-128, 127),
    "m": (0, 2147483647),
    "e": (1, 62),
    "b": (2, 16),
    "x0": (-128, -1),
    "n": (0, 31),
    "lam": (0, 128),
    "bias": (-1073741824, 1073741824),
}
