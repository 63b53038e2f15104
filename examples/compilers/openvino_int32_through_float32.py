"""OpenVINO 2026.4, CPU: operators of int32 compute in float32, and lose bits above 2**24.

ONNX: T may be int32 in all of them, and their results are whole numbers of that type.
A form that avoids it: no value beyond 24 bits, `intsim export MODEL --onnx FILE --width 24`.
"""

import numpy as np
from common import show

a, b = np.array([2**24 + 1, 2**30 + 1, 5], np.int32), np.array([2**24, 2**30, 5], np.int32)
show("openvino", "g (int32[3] a, int32[3] b) => (bool[3] y) { y = Greater (a, b) }", a > b, a=a, b=b)
one = np.ones(3, np.int32)
show("openvino", "g (int32[3] a, int32[3] b) => (int32[3] y) { y = Div (a, b) }", a, a=a, b=one)
two = 2 * one
show("openvino", "g (int32[3] a, int32[3] b) => (int32[3] y) { y = Mod (a, b) }", a % 2, a=a, b=two)
row = a.reshape(1, 3)
graph = "g (int32[1, 3] a) => (int32[1] y) { axis = Constant <value_ints = [1]> () y = ReduceMax <keepdims = 0> (a, axis) }"
show("openvino", graph, row.max(axis=1), a=row)
