"""Out to the test bench and back: tensors, parameters and constants as other tools read them.

`layout` says how a tensor becomes beats, and `stored` moves values both ways; `encodings` writes beats into files and reads
them; `sources` says what there is to export; `constants` writes packages; `manifest` describes what was written; `transfer`
does it all, in both directions.
"""

from .constants import LANGUAGES
from .encodings import FORMATS
from .layout import LAYOUTS, Layout, layout_named
from .stored import Stored
from .transfer import export, imported, imported_like

__all__ = ["FORMATS", "LANGUAGES", "LAYOUTS", "Layout", "Stored", "export", "imported", "imported_like", "layout_named"]
