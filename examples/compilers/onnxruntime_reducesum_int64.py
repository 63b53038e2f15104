"""onnxruntime from 1.27.0 on (exact in 1.26): ReduceSum of int64 goes through double, a single element, too.

ONNX, ReduceSum: T is a constraint of the operator; a sum of int64 is an int64.
A form that avoids it: sums that bounds prove to stay below 2**53.
"""

import numpy as np
from common import show

x = np.array([[2**53, 1], [2**53 + 1, 0], [3, 5]])
graph = "g (int64[3, 2] x) => (int64[3, 1] y) { axis = Constant <value_ints = [1]> () y = ReduceSum (x, axis) }"
show("onnxruntime", graph, x.sum(axis=1, keepdims=True), x=x)
