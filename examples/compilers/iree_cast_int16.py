"""IREE 3.13: a Cast to int16 is not compiled.

ONNX, Cast: int16 is among the types of its result.
A form that avoids it: int32 tensors between operators, which hold the same values.
"""

import numpy as np
from common import show

x = np.array([1, -2, 300], np.int32)
show("iree", "g (int32[3] x) => (int16[3] y) { y = Cast <to = 5> (x) }", x.astype(np.int16), x=x)
