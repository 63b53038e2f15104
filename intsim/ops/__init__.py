"""The operators, one per file. ``ops.shiftmax(x, ...)`` is the fast form, ``ops.shiftmax.ref(x, ...)`` the reference.

Every module of this folder registers one `Op` called ``OP``, which is found here by the name of its file, so there is no
list to maintain. ``REGISTRY`` maps names to operators. ``tools/make_stubs.py`` writes their types to ``__init__.pyi``.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from ..arith import TensorBound
from ._op import REGISTRY, Op

for _module in iter_modules(__path__):
    if not _module.name.startswith("_"):
        globals()[_module.name] = import_module(f"{__name__}.{_module.name}").OP

__all__ = ["REGISTRY", "Op", "TensorBound", *REGISTRY]


def __getattr__(name: str) -> Any:
    raise AttributeError(f"there is no operator {name!r}; there are: {', '.join(sorted(REGISTRY))}")
