"""Out to the test bench and back: tensors, parameters and constants as other tools read them.

`layout` says how a tensor becomes beats, and `stored` moves values both ways; `encodings` writes beats into files and reads
them; `sources` says what there is to export; `constants` writes packages; `manifest` describes what was written; `writing`
and `reading` do it all, one for each direction.
"""

from .constants import LANGUAGES
from .encodings import FORMATS
from .layout import LAYOUTS, Layout, layout_named
from .reading import dumped, dumped_like, exported
from .stored import Stored
from .writing import export

__all__ = [
    "FORMATS",
    "LANGUAGES",
    "LAYOUTS",
    "Layout",
    "Stored",
    "dumped",
    "dumped_like",
    "export",
    "exported",
    "layout_named",
]
