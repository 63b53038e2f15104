"""The bench in SystemVerilog: a device that reads its inputs from memories, and what it writes beside what is due."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np

from ..dialects import ISEGMENTER
from ..errors import IntsimError
from ..languages.c_operator import suffix_of
from ..languages.sv_form import CORES, function, package
from ..storage.templates import template
from .case import Reproduction
from .tensors import Memory

FOLDER = "sv"
COMPUTED = ("requant", "residual_add", "shift_exp")  # operators of which the reference is computed in the simulation


def sv_files(made: Reproduction, memories: list[Memory], told: Iterable[str]) -> dict[str, str]:
    """The files of the bench, by name. `told`: what is known of the error, as lines of comments."""
    dialect = made.call.dialect or ISEGMENTER
    library = ""
    if _is_computed(made, memories):
        with suppress(IntsimError):  # the dialect's name makes no identifier
            library = f"intsim_{suffix_of(dialect)}_pkg"
    computed = bool(library)
    context: dict[str, Any] = {
        "node": made.node,
        "op": made.call.op,
        "told": list(told),
        "inputs": memories[:-1],
        "out": memories[-1],
        "scalars": made.scalars(),
        "index": _index(made.found.shape),
        "library": library,
        "computed": computed,
        "width": _width(made) if computed else 0,
        "arguments": _arguments(made) if computed else [],
        "limit": 1000 + 100 * sum(memory.packing.beats for memory in memories),
    }
    files = {
        "reproduction_pkg.sv": "package.sv.j2",
        "bench.sv": "bench.sv.j2",
        "device.sv": "device.sv.j2",
        "reference.sv": "reference.sv.j2",
        "run.sh": "sv_run.sh.j2",
    }
    texts = {name: template(__package__, source, markup=False).render(**context) for name, source in files.items()}
    return texts | ({f"{library}.sv": package(dialect, (made.call.op,))} if computed else {})


def _is_computed(made: Reproduction, memories: list[Memory]) -> bool:
    """Whether the printed function takes the call, element by element in the order of the beats."""
    if made.call.op not in COMPUTED or not all(memory.in_order for memory in memories):
        return False
    bounds = CORES[made.call.op].arguments
    values: dict[str, Any] = made.arrays() | made.scalars()
    return all(int(np.min(values[name])) >= lo and int(np.max(values[name])) <= hi for name, (lo, hi) in bounds.items())


def _width(made: Reproduction) -> int:
    """The bits of the printed function's result."""
    op = made.call.op
    found = re.search(r"\[(\d+):0\]", function(op, CORES[op], made.call.dialect or ISEGMENTER)["head"])
    assert found is not None
    return int(found[1]) + 1


def _arguments(made: Reproduction) -> list[str]:
    """The arguments of the printed function for element k: elements of memories, and parameters."""
    arrays, found = made.arrays(), []
    for name in CORES[made.call.op].arguments:
        if name not in arrays:
            found.append(name.upper())
            continue
        whole = arrays[name].size == made.found.size and name not in made.call.params
        found.append(f"{name}_of({'k' if whole else f'k % {arrays[name].size}'})")
    return found


def _index(shape: tuple[int, ...]) -> list[str]:
    """The index of the element k of a result, along every axis."""
    steps = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return [f"k / {step} % {length}" for step, length in zip(steps, shape, strict=True)]
