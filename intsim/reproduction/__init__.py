"""The smallest bench that shows what a device does wrong, as a folder that runs by itself.

`reproduce` finds it in a golden file and a dump, `of_call` makes it of one call and a device's values,
`of_counterexample` of what `intsim.testing.check_op` has raised; `write` writes the folder.
"""

from .case import Reproduction
from .core import of_call, of_counterexample, reproduce
from .folder import write

__all__ = ["Reproduction", "of_call", "of_counterexample", "reproduce", "write"]
