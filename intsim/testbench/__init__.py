"""Out to the test bench and back: tensors, parameters and constants as other tools read them.

`layout` says how a tensor becomes beats, and `stored` moves values both ways; `encodings` writes beats into files and reads
them; `sources` says what there is to export; `constants` writes packages; `manifest` describes what was written; `writing`
and `reading` do it all, one for each direction.
"""

from .constants import LANGUAGES
from .encodings import FORMATS
from .layout import BEAT_LAYOUTS, BeatLayout, layout_named
from .reading import dumped, dumped_like, exported
from .stored import Packing
from .writing import export

__all__ = [
    "BEAT_LAYOUTS",
    "FORMATS",
    "LANGUAGES",
    "BeatLayout",
    "Packing",
    "dumped",
    "dumped_like",
    "export",
    "exported",
    "layout_named",
]
