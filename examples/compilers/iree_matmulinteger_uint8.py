"""IREE 3.13: MatMulInteger of uint8 with a batch axis reads the bytes as signed; without the axis it is exact.

ONNX, MatMulInteger: A is a tensor of uint8 or int8, and the product has the values of both.
A form that avoids it: Cast both to int32, and MatMul.
"""

import numpy as np
from common import show

a, b = np.array([[[200, 1]]], np.uint8), np.array([[[3], [-1]]], np.int8)
due = a.astype(np.int32) @ b.astype(np.int32)
show("iree", "g (uint8[1, 1, 2] a, int8[1, 2, 1] b) => (int32[1, 1, 1] y) { y = MatMulInteger (a, b) }", due, a=a, b=b)
wide = "{ c = Cast <to = 6> (a) d = Cast <to = 6> (b) y = MatMul (c, d) }"
show("iree", f"g (uint8[1, 1, 2] a, int8[1, 2, 1] b) => (int32[1, 1, 1] y) {wide}", due, a=a, b=b)
