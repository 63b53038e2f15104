"""The operators, one per file. ``ops.shiftmax(x, ...)`` is the fast form, ``ops.shiftmax.ref(x, ...)`` the reference.

Every module of this folder registers one `Op` called ``OP``, which is found here by the name of its file, so there is no
list to maintain. ``REGISTRY`` maps names to operators, those of plugins among them (`intsim.plugins`). Their types are in
``__init__.pyi``, which ``tools/make_stubs.py`` writes.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from ..arith import TensorBound
from ._op import Op
from ._param import FLAG, Param, require
from ._registry import REGISTRY

for _module in iter_modules(__path__):
    if not _module.name.startswith("_"):
        globals()[_module.name] = import_module(f"{__name__}.{_module.name}").OP

__all__ = ["FLAG", "REGISTRY", "Op", "Param", "TensorBound", "require", *REGISTRY]


def __getattr__(name: str) -> Any:
    if not name.startswith("_") and name in REGISTRY:  # of a plugin
        return REGISTRY[name]
    raise AttributeError(f"there is no operator {name!r}; there are: {', '.join(sorted(REGISTRY))}")
