"""IREE 3.13: Div of uint32 and uint64 is compiled as a division of signed integers.

ONNX, Div: T may be an unsigned type, whose values are not negative.
A form that avoids it: int64 tensors, where the bounds allow it.
"""

import numpy as np
from common import show

a, b = np.array([4000000000, 7, 2**32 - 1], np.uint32), np.array([3, 2, 7], np.uint32)
show("iree", "g (uint32[3] a, uint32[3] b) => (uint32[3] y) { y = Div (a, b) }", a // b, a=a, b=b)
wide = "g (uint32[3] a, uint32[3] b) => (int64[3] y) { c = Cast <to = 7> (a) d = Cast <to = 7> (b) y = Div (c, d) }"
show("iree", wide, (a // b).astype(np.int64), a=a, b=b)
