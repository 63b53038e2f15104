"""A device under test, in a few lines: it requantizes, and rounds every tie up.

    intsim vectors gen requant --dialect rtl | python examples/vectors/device.py | intsim vectors check

It copies a document of vectors from standard input to standard output and adds `got` to every case. In the dialect rtl,
whose ties go up, it is right; where they go to even it is not. It knows nothing of intsim.
"""

import json
import sys


def requant(acc, m, e, b):
    """``saturate((acc * m + half) >> e, b)``, m and e one value or one a channel; a ValueError for what has no answer."""
    if acc and isinstance(acc[0], list):
        return [requant(row, m, e, b) for row in acc]
    m, e = ([value] * len(acc) if isinstance(value, int) else value for value in (m, e))
    fits = all(-(2**31) <= value < 2**31 for value in (*acc, *m))
    if not (acc and fits and all(1 <= shift <= 62 for shift in e) and 2 <= b <= 32 and len(m) == len(e) == len(acc)):
        raise ValueError("not for this device")
    top = 2 ** (b - 1) - 1
    rounded = ((x * factor + (1 << shift - 1)) >> shift for x, factor, shift in zip(acc, m, e, strict=True))
    return [max(-top - 1, min(top, value)) for value in rounded]


document = json.load(sys.stdin)
if document["op"] != "requant":
    sys.exit(f"this device computes requant, not {document['op']}")
for case in document["cases"]:
    try:
        case["got"] = requant(**case["args"])
    except ValueError:
        case["got"] = "invalid"
json.dump(document, sys.stdout)
