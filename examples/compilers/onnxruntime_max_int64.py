"""onnxruntime 1.31 (exact in 1.32): Max and Min of int64 compare some bits only.

ONNX, Max: the element-wise maximum of tensors of any integer type.
A form that avoids it: Where(Less(a, b), b, a).
"""

import numpy as np
from common import show

x = np.array([2**33, -(2**33), 5 << 29, -5 << 29, 7])
y = np.array([-(2**15)] * 5)
show("onnxruntime", "g (int64[5] x, int64[5] y) => (int64[5] z) { z = Max (x, y) }", np.maximum(x, y), x=x, y=y)
show(
    "onnxruntime",
    "g (int64[5] x, int64[5] y) => (int64[5] z) { l = Less (x, y) z = Where (l, y, x) }",
    np.maximum(x, y),
    x=x,
    y=y,
)
