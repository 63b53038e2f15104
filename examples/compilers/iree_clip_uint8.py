"""IREE 3.13: Clip of uint8 compares as signed.

ONNX, Clip: the limits are of the type of the input; 200 as uint8 is 200.
A form that avoids it: Clip in int32.
"""

import numpy as np
from common import show

x = np.array([0, 5, 100, 200, 255], np.uint8)
limits = "l = Constant <value = uint8 {3}> () h = Constant <value = uint8 {90}> ()"
show("iree", "g (uint8[5] x) => (uint8[5] y) { " + limits + " y = Clip (x, l, h) }", np.clip(x, 3, 90), x=x)
wide = "c = Cast <to = 6> (x) l = Constant <value = int32 {3}> () h = Constant <value = int32 {90}> () d = Clip (c, l, h)"
show("iree", "g (uint8[5] x) => (int32[5] y) { " + wide + " y = Identity (d) }", np.clip(x, 3, 90).astype(np.int32), x=x)
