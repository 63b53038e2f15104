"""The flags of vectors: why a case exists, and which bug in an implementation it catches.

This file imports nothing, so that tools/make_op_vectors.py, which does not use intsim, can read it.
"""

NOTES: dict[str, dict[str, str]] = {
    "TieRoundingPositive": {
        "why": "The exact result lies halfway between two integers and is positive.",
        "bug": "Adding one half before the shift where ties should go to even, or the other way round.",
    },
    "TieRoundingNegative": {
        "why": "The exact result lies halfway between two integers and is negative.",
        "bug": "Ties rounded in magnitude (away from zero) where they should go up or to even.",
    },
    "NegativeDividend": {
        "why": "A negative number is divided or shifted, and the result is not whole.",
        "bug": "C's / truncates and an arithmetic shift floors; swapping them is off by one here.",
    },
    "NegativeMultiplier": {
        "why": "The multiplier is negative, as for a negative gamma.",
        "bug": "An unsigned multiplier, or the sign applied after rounding.",
    },
    "PerChannel": {
        "why": "Multiplier and shift differ from channel to channel.",
        "bug": "The first channel's pair used for all, or multipliers per channel with one common shift.",
    },
    "ShiftEnds": {
        "why": "Shifts of 1 and of 62, the ends of what a factor may need.",
        "bug": "A product or a rounding constant that does not hold 64 bits.",
    },
    "SaturateHigh": {
        "why": "The result passes the format's highest value.",
        "bug": "Wrapping, or saturating at 2**(b-1) instead of 2**(b-1) - 1.",
    },
    "SaturateLow": {
        "why": "The result passes the format's lowest value.",
        "bug": "Wrapping, or a symmetric range that stops one early.",
    },
    "ArmsPassFormat": {
        "why": "Both arms of an addition pass the format, their sum does not.",
        "bug": "Each arm saturated by itself, before the addition.",
    },
    "MeanTie": {
        "why": "The mean of a row ends in one half, or in a quarter or three.",
        "bug": "A mean rounded by another rule than the dialect's.",
    },
    "ZeroVariance": {
        "why": "All values of a row are equal.",
        "bug": "Division by zero, or a square root that is not the dialect's at 0 (ten Newton steps give 64).",
    },
    "UnconvergedRoot": {
        "why": "The variance is so small that ten Newton steps from 2**16 do not reach its root.",
        "bug": "A true square root where the dialect has newton10, a start or a number of steps of one's own.",
    },
    "OddHalf": {
        "why": "y * f is odd and negative, so halving it rounds.",
        "bug": "Halving by division instead of shift, or the other way round.",
    },
    "VariancePasses2^32": {
        "why": "The sum of squares is 2**32 exactly, or a little more.",
        "bug": "A 32-bit accumulator for the variance, where the dialect has 64, or the other way round.",
    },
    "BiasOverflow": {
        "why": "Adding the bias leaves i32: an error, a wrap or a wider number, as the dialect says.",
        "bug": "A silent wrap, or saturation that nobody specified.",
    },
    "SingleElement": {
        "why": "A row of one value.",
        "bug": "Loops that start at the second element, vector code that needs a full register.",
    },
    "LongRow": {
        "why": "A row of 257 values, one more than a power of two.",
        "bug": "Tails of vector loops, 16-bit counters, sums split over lanes.",
    },
    "AllNegativeRow": {
        "why": "The maximum is negative, so exp(-max) is above 1 and its quotient negative.",
        "bug": "A quotient that truncates, an exponential that assumes x <= 0, an overflow of exp(-max).",
    },
    "HalfBit": {
        "why": "The remainder is odd, so the half bit is there to be kept or dropped.",
        "bug": "Halving the remainder before the shift where it should happen after, or the other way round.",
    },
    "FloorOfExponential": {
        "why": "x lies at, just above and just below n * x0, where the exponential floors.",
        "bug": "Clamping x instead of t, or clamping one too early.",
    },
    "SumPasses2^31": {
        "why": "The sum of exponentials is 2**31 or more: it saturates or wraps, as the dialect says.",
        "bug": "A 32-bit accumulator that wraps unnoticed, or a division of negative sums that truncates.",
    },
    "WrapSumZero": {
        "why": "The sum of exponentials is a multiple of 2**32: wrapped it is 0, which is an error.",
        "bug": "A division by zero, or a row of garbage.",
    },
    "WideExponential": {
        "why": "exp(0) = -x0 * 2**n does not fit i32.",
        "bug": "Running all the same where the dialect forbids it, or wrapping where it is exact.",
    },
    "WideLogits": {
        "why": "Logits of more than 8 bits: differences to the maximum around 255, and up to 65,535.",
        "bug": "A difference cut to 8 bits, or a table of exponentials that is read beyond its end.",
    },
    "Lambda": {
        "why": "The clamp of lambda_shiftgelu at 0, 1, inside, at and beyond the row's range.",
        "bug": "Clamping the factor x too, or taking the row maximum before clamping.",
    },
    "LargeMaximum": {
        "why": "One large activation floors the exponentials of all others in the row.",
        "bug": "An exponential that underflows to 0 instead of staying at -x0.",
    },
    "LowerN": {
        "why": "Lowering chooses n: fixed by the dialect, or the largest that cannot overflow.",
        "bug": "An n that lets a row of exponentials pass 2**31, or one smaller than it must be.",
    },
    "WholeX0": {
        "why": "-1/s is whole, where floor(-1/s) and trunc(-1/s - 1) differ.",
        "bug": "x0 off by one against the dialect.",
    },
    "CoarseScale": {
        "why": "The scale is above 1, so -1/s lies between -1 and 0.",
        "bug": "An x0 of 0, and a division by it.",
    },
    "AccumulatorEnds": {
        "why": "Products of the formats' ends, and sums at the ends of i32.",
        "bug": "Products in 16 bits, signed by unsigned multiplication, a 31-bit accumulator.",
    },
    "AccumulatorOverflow": {
        "why": "The sum of products leaves i32, which is forbidden whatever the dialect.",
        "bug": "A silent wrap.",
    },
    "Transposed": {
        "why": "The right-hand matrix of a product is given by its columns.",
        "bug": "Mixing up the two layouts, which square matrices hide.",
    },
    "Padding": {
        "why": "A picture that does not divide into whole patches.",
        "bug": "Padding at the wrong side, or with something other than 0.",
    },
    "ChannelOrder": {
        "why": "Every value is different, so any other order shows.",
        "bug": "Patches pixel by pixel instead of channel by channel; heads interleaved.",
    },
    "Mask": {
        "why": "Tokens of several regions: what is not seen keeps the floor's share, and may be larger than what is.",
        "bug": "A maximum over what is not seen, a share of 0 for it, or everybody seeing everybody.",
    },
    "Repeated": {
        "why": "The second branch lacks leading axes and is added all along them.",
        "bug": "A branch added once only, repeated row by row, or read on beyond its end.",
    },
    "Cyclic": {
        "why": "Shifts of both signs, of whole sides and beyond them, in rows and in columns.",
        "bug": "A shift the other way, zeros at the edge, or a modulo that is negative.",
    },
    "TableEnds": {
        "why": "Pixels 0, 127, 128 and 255 in tables that differ by channel.",
        "bug": "A table indexed by a signed byte, or one table for all channels.",
    },
    "TieArgmax": {
        "why": "The largest value occurs twice.",
        "bug": "The last instead of the first.",
    },
    "NotDivisible": {
        "why": "A shape that the operator cannot split, or an empty part.",
        "bug": "Dropping the rest silently.",
    },
    "TieMiss": {
        "why": "The exact result lies as near to a tie as the multiplier lets it, on either side, without being one.",
        "bug": "A product cut to fewer bits, a multiplier of fewer bits, or rounding twice.",
    },
    "MultiplierEnds": {
        "why": "Multipliers of 1, -1, 2**31 - 1 and -2**31 on accumulators at the ends of i32.",
        "bug": "A product of 63 bits, or a multiplier whose lowest value cannot be negated.",
    },
    "SeveralRows": {
        "why": "Several rows, under several leading axes; every row is independent.",
        "bug": "Another row's maximum or sum, rows exchanged, read transposed or one too late.",
    },
    "ManyChannels": {
        "why": "More channels than any tile, and no two next to each other alike.",
        "bug": "The multipliers of the previous tile or channel.",
    },
    "SumEnds": {
        "why": "The sum of a row, or of its squares, needs every bit it may need.",
        "bug": "A sum that is a few bits too short.",
    },
    "Precision": {
        "why": "The parameters x0, n and b at other values than a network has.",
        "bug": "A parameter fixed in hardware, or right for one width only.",
    },
    "BiasSign": {
        "why": "Biases of both signs, large against the rest.",
        "bug": "A bias left out or subtracted.",
    },
    "Square": {
        "why": "Square matrices that are not symmetric.",
        "bug": "A transposed matrix, which the shapes give away elsewhere.",
    },
    "WideIndex": {
        "why": "Indices above 255.",
        "bug": "An index of 8 bits.",
    },
    "AllEqualRow": {
        "why": "All values of a row are equal.",
        "bug": "A maximum searched from another value than the row's first, or a tie broken the wrong way.",
    },
    "OutOfRange": {
        "why": "A value or parameter one outside what the operator takes.",
        "bug": "Wrapping it silently, or computing with it.",
    },
    "Exhaustive": {
        "why": "Every input, or every pair of inputs, of 8 bits.",
        "bug": "Whatever shows at one value only, as a wrong entry of a table does.",
    },
    "PowerOfTwo": {
        "why": "The sum or the root is a power of two, which divides 2**31 but not 2**31 - 1.",
        "bug": "2**31 in place of 2**31 - 1 as the dividend of the factor.",
    },
    "SinglePrecision": {
        "why": "A number of more than 24 bits decides: a sum just below a tie, a variance one less than a square.",
        "bug": "Single-precision floating point inside the operator, in the mean or in the root.",
    },
    "Grid": {
        "why": "A regular grid over all pairs of inputs of 8 bits.",
        "bug": "What shows only where both inputs are of a certain size or sign.",
    },
    "Random": {
        "why": "Values drawn from the seed.",
        "bug": "What nobody thought of.",
    },
    "Model": {
        "why": "The parameters of a node of the model.",
        "bug": "Constants in the wrong order, of another node, or of too few bits.",
    },
}
