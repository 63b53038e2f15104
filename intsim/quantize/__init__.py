"""From a float checkpoint to an integer graph: read, calibrate, lower. Floating point exists only on this side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..dialects import Dialect
from ..graph import Graph, digest
from ..nets.segmenter import SegmenterConfig, parameters, segmenter
from .calibrate import calibrate
from .checkpoint import read_checkpoint, read_config
from .lower import lower

__all__ = ["calibrate", "lower", "parameters", "quantize", "read_checkpoint", "read_config", "segmenter"]


def quantize(
    weights: dict[str, NDArray], config: dict, pictures: list[NDArray], dialect: Dialect, checkpoint_sha256: str
) -> Graph:
    """An integer Segmenter from float weights and one or more calibration pictures (u8 [H, W, 3]).

    Raises IntsimError naming layer and channel where a parameter cannot be quantized, BoundError where the result could
    overflow.
    """
    net = segmenter(SegmenterConfig.of(config), weights)
    with np.errstate(all="ignore"):  # what leaves float64 is refused by name
        statistics = calibrate(net, pictures, dialect)
    provenance = {
        "intsim": __version__,
        "checkpoint_sha256": checkpoint_sha256,
        "calibration_sha256": [digest(picture) for picture in pictures],
    }
    with np.errstate(all="ignore"):
        return lower(net, statistics, dialect, config, provenance)
