"""The mistakes that are made again and again, by operator.

A mistake is a name, ``key=value``, and what is right in its place ("" where the name says it); `equations` computes it.
"""

from __future__ import annotations

SATURATIONS = [(f"saturation={how}", "both ends") for how in ("symmetric", "wrap", "unsigned", "narrow")]
SUMS = [(f"{key}={bits}", "wide enough") for key in ("sum_bits", "sum_saturates") for bits in range(31, 11, -1)]
NUMERATOR = ("numerator=2**31", "2**31 - 1")
ACCUMULATORS = [(f"accumulator_bits={bits}", "32") for bits in (31, 30, 28, 24, 20, 18, 16)]
ACCUMULATORS += [(f"accumulator_saturates={bits}", "32") for bits in (24, 20, 16)]
SHARES = [("max=left_out", "subtracted"), ("max=of_the_previous_row", "of the row"), NUMERATOR, *SUMS]
WINDOWS = [("windows=columns_first", "row by row"), ("windows=not_transposed", "")]

MISTAKES: dict[str, list[tuple[str, str]]] = {
    "requant": [*SATURATIONS, ("rounding=twice", "once"), ("rounding=gemmlowp", "once")],
    "residual_add": [
        ("residual=rounded_once", "each arm by itself"),
        ("residual=skip_left_out", "added"),
        ("residual=branch_left_out", "added"),
        *SATURATIONS,
    ],
    "layernorm": [
        ("mean=left_out", "subtracted"),
        NUMERATOR,
        ("root=float32", "integers"),
        ("sum=float32", "integers"),
        *[(f"variance_bits={bits}", "64") for bits in range(40, 15, -1)],
        *[(f"sum_bits={bits}", "wide enough") for bits in range(31, 7, -1)],
    ],
    "mean": [(f"sum_bits={bits}", "wide enough") for bits in range(26, 7, -1)],
    "shiftmax": SHARES,
    "masked_shiftmax": [
        ("mask=left_out", "of the own region"),
        ("mask=zero_share", "the floor's share"),
        ("mask=after_max", "before the maximum"),
        *SHARES,
    ],
    "shiftgelu": [("max=left_out", "subtracted"), NUMERATOR, *SUMS],
    "lambda_shiftgelu": [
        ("max=left_out", "subtracted"),
        ("lambda=clamps_the_product", "the sigmoid only"),
        NUMERATOR,
        *SUMS,
    ],
    "linear": ACCUMULATORS,
    "matmul": ACCUMULATORS,
    "argmax": [("ties=last", "first")],
    "input_lut": [("channels=reversed", "RGB")],
    "patches": [("patches=channels_last", "channel by channel")],
    "heads": [("heads=interleaved", "one after the other"), ("heads=not_transposed", "")],
    "merge_heads": [("heads=interleaved", "one after the other"), ("heads=not_transposed", "")],
    "concat": [("order=reversed", "")],
    "roll": [("shift=reversed", "")],
    "windows": WINDOWS,
    "merge_windows": WINDOWS,
    "merge_patches": [("order=rows_first", "column by column")],
    "relative_positions": [("pairs=transposed", "")],
}
