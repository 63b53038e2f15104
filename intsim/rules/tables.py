"""The common mistakes of each operator; `equations` and `moves` compute them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """One mistake: a deviation by key and value, and what the reference does instead ("" where the value implies it)."""

    key: str
    value: int | str
    instead: str
    by_rows: bool = True  # whether a row of the output still depends only on the same row of the inputs


def _widths(key: str, bits: range | tuple[int, ...], instead: str) -> list[Mistake]:
    """A register that is too short, one mistake per width."""
    return [Mistake(key, width, instead) for width in bits]


SATURATIONS = [Mistake("saturation", how, "both ends") for how in ("symmetric", "wrap", "unsigned", "narrow")]
SUMS = [mistake for key in ("sum_bits", "sum_saturates") for mistake in _widths(key, range(31, 11, -1), "wide enough")]
ROUNDINGS = [
    Mistake("rounding", how, "once")
    for how in (
        "twice",
        "gemmlowp",
        "high_half_floored",
        "high_half_floored:half_away",
        "high_half_truncated",
        "high_word_floored",
    )
]
SLIPS = [
    *(Mistake("rounding", how, "once") for how in ("half_down", "plus_half_truncated")),
    *(Mistake("shifted_first", bits, "rounded at once") for bits in (1, 2, 4, 8, 16)),
    *_widths("product_bits", (48, 32), "64"),
]
INPUTS = [*_widths("input_bits", (28, 24, 20, 16), "32"), *_widths("input_saturates", (28, 24, 20, 16), "32")]
EXPONENTIALS = [
    Mistake("log2e", how, "x + (x >> 1) - (x >> 4)")
    for how in ("without_x>>1", "without_x>>4", "plus_x>>4", "x>>2_for_x>>1", "x>>3_for_x>>4", "x>>5_for_x>>4")
]
FACTORS = _widths("factor_bits_dropped", (1, 2, 4, 8, 12), "0")
NUMERATOR = Mistake("numerator", "2**31", "2**31 - 1")
MAXIMUM_LEFT_OUT = Mistake("max", "left_out", "subtracted")
STATE = ("of_the_previous_row", "of_the_previous_head")
ENDS = ("without_last", "without_first")
ACCUMULATORS = [
    *(Mistake("terms", how, "each once") for how in (*ENDS, "last_twice", "first_twice")),
    *(
        Mistake("accumulator_saturates_each", f"{bits}:{tile}", "at the end")
        for bits in (24, 20, 16)
        for tile in ("1", "16", "32", "1:reversed", "16:reversed")
    ),
    *_widths("accumulator_bits", (31, 30, 28, 24, 20, 18, 16), "32"),
    *_widths("accumulator_saturates", (24, 20, 16), "32"),
]
SHARES = [
    MAXIMUM_LEFT_OUT,
    *(Mistake("max", how, "of the row", by_rows=False) for how in STATE),
    *(Mistake("max", how, "of the whole row") for how in ENDS),
    *(Mistake("sum", how, "of the row", by_rows=False) for how in (*STATE, "not_reset")),
    *(Mistake("sum", how, "of the whole row") for how in ENDS),
    NUMERATOR,
    *FACTORS,
    *EXPONENTIALS,
    *SUMS,
]
GELU = [
    MAXIMUM_LEFT_OUT,
    Mistake("max", "of_the_previous_row", "of the row", by_rows=False),
    *(Mistake("max", how, "of the whole row") for how in ENDS),
    *_widths("product_bits", (16,), "32"),
]
HEADS = [Mistake("heads", "interleaved", "one after the other"), Mistake("heads", "not_transposed", "")]
WINDOWS = [Mistake("windows", "columns_first", "row by row"), Mistake("windows", "not_transposed", "")]

MISTAKES: dict[str, list[Mistake]] = {
    "requant": [*SATURATIONS, *ROUNDINGS, *SLIPS, *INPUTS],
    "residual_add": [
        Mistake("residual", "rounded_once", "each arm by itself"),
        Mistake("residual", "skip_left_out", "added"),
        Mistake("residual", "branch_left_out", "added"),
        Mistake("residual", "multipliers_exchanged", "each arm's own"),
        Mistake("residual", "rescalings_exchanged", "each arm's own"),
        *SATURATIONS,
        *ROUNDINGS,
        *SLIPS,
    ],
    "layernorm": [
        Mistake("mean", "left_out", "subtracted"),
        *(Mistake("mean", how, "of the row", by_rows=False) for how in STATE),
        *(Mistake("row_variance", how, "of the row", by_rows=False) for how in STATE),
        *(Mistake("row_variance", how, "of the whole row") for how in ENDS),
        *(Mistake("sum", how, "of the whole row") for how in ENDS),
        *_widths("newton_steps", (6, 7, 8, 9, 11, 12), "10"),
        *_widths("centred_bits", (16,), "32"),
        NUMERATOR,
        *FACTORS,
        Mistake("root", "float32", "integers"),
        Mistake("sum", "float32", "integers"),
        *_widths("variance_bits", range(40, 15, -1), "64"),
        *_widths("sum_bits", range(31, 7, -1), "wide enough"),
    ],
    "mean": _widths("sum_bits", range(26, 7, -1), "wide enough"),
    "shiftmax": SHARES,
    "masked_shiftmax": [
        Mistake("mask", "left_out", "of the own region"),
        Mistake("mask", "zero_share", "the floor's share"),
        Mistake("mask", "after_max", "before the maximum"),
        *SHARES,
    ],
    "shiftgelu": [*GELU, NUMERATOR, *FACTORS, *EXPONENTIALS, *SUMS],
    "lambda_shiftgelu": [
        *GELU,
        Mistake("lambda", "clamps_the_product", "the sigmoid only"),
        NUMERATOR,
        *FACTORS,
        *EXPONENTIALS,
        *SUMS,
    ],
    "linear": ACCUMULATORS,
    "matmul": ACCUMULATORS,
    "argmax": [Mistake("ties", "last", "first")],
    "input_lut": [Mistake("channels", "reversed", "RGB")],
    "patches": [Mistake("patches", "channels_last", "channel by channel")],
    "heads": HEADS,
    "merge_heads": HEADS,
    "concat": [Mistake("order", "reversed", "")],
    "roll": [Mistake("shift", "reversed", "")],
    "windows": WINDOWS,
    "merge_windows": WINDOWS,
    "merge_patches": [Mistake("order", "rows_first", "column by column")],
    "relative_positions": [Mistake("pairs", "transposed", "")],
}
