"""OpenVINO 2026.4, CPU: tensors of int64 are cut to 32 bits, silently.

ONNX: the type of a tensor says which values it holds; int64 holds those of 64 bits.
A form that avoids it: `intsim export MODEL --onnx FILE --width 24`.
"""

import numpy as np
from common import show

a, b = np.array([2**40, 2**20, 3]), np.array([1, 2**20, 2**31 - 1])
show("openvino", "g (int64[3] a, int64[3] b) => (int64[3] y) { y = Mul (a, b) }", a * b, a=a, b=b)
show("openvino", "g (int64[3] a, int64[3] b) => (int64[3] y) { y = Add (a, b) }", a + b, a=a, b=b)
