"""Export to a test bench and import from it: tensors, parameters and constants in files that other tools read.

`layout` defines how a tensor becomes beats, and `packing` converts values in both directions; `encodings` writes and reads
files of beats; `sources` lists what can be exported; `constants` generates packages; `manifest` describes the files.
`writing` is the whole export, `reading` the whole import.
"""

from .constants import LANGUAGES
from .encodings import FORMATS
from .layout import BEAT_LAYOUTS, BeatLayout, layout_named
from .packing import Packing
from .reading import read_dump, read_dump_like, read_export
from .writing import export

__all__ = [
    "BEAT_LAYOUTS",
    "FORMATS",
    "LANGUAGES",
    "BeatLayout",
    "Packing",
    "export",
    "layout_named",
    "read_dump",
    "read_dump_like",
    "read_export",
]
