"""Quantization-aware training whose forward is the integer machine: what is trained is what is shipped, bit for bit.

    found = intsim.qat.prepare("scenes.safetensors", ["calibration.png"], recipe=recipe)
    loss = cross_entropy(found.network(images).permute(0, 3, 1, 2), labels)
    ...
    found.network.save("model.h5")

Needs torch (``pip install 'intsim[torch]'``), which is imported with the first name that is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .integers import Integers
    from .job import Job
    from .network import QuantizedNetwork
    from .preparing import Prepared, prepare
    from .reals import RULES, RealNetwork
    from .source import StepLost
    from .training import Schedule, train

__all__ = [
    "RULES",
    "Integers",
    "Job",
    "Prepared",
    "QuantizedNetwork",
    "RealNetwork",
    "Schedule",
    "StepLost",
    "prepare",
    "train",
]
_HOMES = {
    "Integers": "integers",
    "Job": "job",
    "Prepared": "preparing",
    "QuantizedNetwork": "network",
    "RULES": "reals",
    "RealNetwork": "reals",
    "Schedule": "training",
    "StepLost": "source",
    "prepare": "preparing",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError("training needs torch: pip install 'intsim[torch]'", name="torch") from None


def __dir__() -> list[str]:
    return __all__
