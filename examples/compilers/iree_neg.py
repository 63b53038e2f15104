"""IREE 3.13: Neg of int32 loses bits above 2**24, as if it were multiplied by a floating -1.

ONNX, Neg: T may be int32, of which every value but the lowest has a negative.
A form that avoids it: Sub from 0.
"""

import numpy as np
from common import show

x = np.array([2**24 + 1, 2**31 - 1, -(2**24) - 3, 7], np.int32)
show("iree", "g (int32[4] x) => (int32[4] y) { y = Neg (x) }", -x, x=x)
show("iree", "g (int32[4] x) => (int32[4] y) { o = Constant <value = int32 {0}> () y = Sub (o, x) }", -x, x=x)
