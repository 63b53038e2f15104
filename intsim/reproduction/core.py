"""Reproductions from where errors are found: a dump, one call with a device's values, a counterexample."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.graph import Graph
from ..errors import IntsimError
from ..testing.calls import Call
from ..testing.failures import Counterexample
from .case import SHORT, Reproduction, format_of, require_comparable
from .recorded import observed
from .shrink import Observation, smallest


def reproduce(
    golden: str | Path,
    dut: str | Path,
    node: str | None = None,
    model: str | Path | Graph | None = None,
    *,
    map_path: str | Path | None = None,
    scaled: bool = False,
    progress: Callable[[str], None] = lambda name: None,
) -> Reproduction:
    """The smallest call that shows why `node` of a dump is wrong by itself; without a node, the first one that is.

    `golden`, `dut`, `model`, `map_path`, `scaled` and `progress` are those of `intsim.diff`. Raises IntsimError where
    there is nothing to reproduce, or not enough is known.
    """
    return smallest(observed(golden, dut, node, model, map_path=map_path, scaled=scaled, progress=progress))


def of_call(call: Call, found: Any, node: str = "", why: str = "") -> Reproduction:
    """A call with what a device `found`; cut to what shows the first error where it has an axis of more than `SHORT`.

    `node` is its name, by default the operator's; `why` a sentence on the error.

    Raises IntsimError where the reference refuses the call, or the values cannot be compared or are right.
    """
    values = require_comparable(call, found)
    fmt, name = format_of(call.expected, values), node or call.op
    if max((n for x in (*call.inputs, *call.params.values()) for n in np.shape(x)), default=1) <= SHORT:
        return Reproduction(call, np.array(values), fmt, name, why)
    formats = tuple(format_of(x) for x in call.inputs)
    return smallest(Observation(call, values, fmt, formats, name, why=why))


def of_counterexample(error: Counterexample) -> Reproduction:
    """What `intsim.testing.check_op` has raised, as a reproduction: the call is the smallest already.

    Raises IntsimError where the function raised an exception or returned another shape, so that no element can be shown.
    """
    call = error.call
    if call is None:
        raise IntsimError("the counterexample has no call with values; there is nothing to reproduce")
    values = require_comparable(call, error.got)
    return Reproduction(call, np.array(values), format_of(call.expected, values), call.op)
