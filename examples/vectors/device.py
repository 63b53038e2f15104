"""A model of a device under test, in a few lines: it requantizes, and rounds every tie up.

    intsim vectors gen requant --dialect rtl | python examples/vectors/device.py | intsim vectors check

It copies a vectors document from standard input to standard output and adds `got` to every case. Its results are correct in
dialect rtl, where ties are rounded up, but not in dialects that round them to even. It imports nothing of intsim.
"""

import json
import sys


def requant(acc, m, e, b):
    """``saturate((acc * m + half) >> e, b)``, m and e one value or one per channel; ValueError for invalid arguments."""
    if acc and isinstance(acc[0], list):
        return [requant(row, m, e, b) for row in acc]
    m, e = ([value] * len(acc) if isinstance(value, int) else value for value in (m, e))
    fits = all(-(2**31) <= value < 2**31 for value in (*acc, *m))
    if not (acc and fits and all(1 <= shift <= 62 for shift in e) and 2 <= b <= 32 and len(m) == len(e) == len(acc)):
        raise ValueError("arguments out of range")
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
