"""The former place of `intsim.read_picture`, for programs written for version 0.1. It goes with version 0.4."""

import warnings

from .storage.pictures import read_picture

__all__ = ["read_picture"]

warnings.warn("intsim.pictures is now intsim.read_picture", DeprecationWarning, stacklevel=2)
