"""From a float checkpoint to an integer graph: read, calibrate, lower. Floating point exists only on this side.

`pipeline` has the whole way as one call (`intsim.quantize`), `stages` its parts.
"""

from .checkpoint import Checkpoint, checkpoint_behind, read_checkpoint
from .configuration import at_size, config_beside, read_config
from .recipe import Recipe
from .stages import calibrated, class_gain, folds_class_norm, integer_form, lowered, quantize_weights

__all__ = [
    "Checkpoint",
    "Recipe",
    "at_size",
    "calibrated",
    "checkpoint_behind",
    "class_gain",
    "config_beside",
    "folds_class_norm",
    "integer_form",
    "lowered",
    "quantize_weights",
    "read_checkpoint",
    "read_config",
]
