"""Types of arrays without values, and what is said where a function cannot be traced."""

from __future__ import annotations

import numpy as np

PYTHON = None  # the type of a Python integer
BOOLEAN, WIDEST = np.dtype(bool), np.dtype(np.int64)
REMEDY = "; it cannot be traced, and check_op can test it"
