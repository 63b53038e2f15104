"""A second process that compiles what `run` needs while a command still does something else: half the wait of a first start.

    python -m intsim.cli._ahead [MODEL]

computes every step of the plan once, on zeros, those with the most operators first: they are the longest to compile, and the
least likely to be needed before. Compiled kernels go to the disk, where the first process finds them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

from ..errors import IntsimError


class CompiledAhead:
    """The second process, for a model file or the shipped model; it ends with the block at the latest."""

    def __init__(self, model: Path | None) -> None:
        self._command = [sys.executable, "-m", __name__, *([] if model is None else [str(model.resolve())])]
        self._processors = _processors()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, if there is a processor for it: it may run on all that this block began with."""
        nothing, own = subprocess.DEVNULL, _processors()
        if len(self._processors) > 1:
            _stay_on(self._processors)
            with suppress(OSError):  # then this process compiles everything
                self._process = subprocess.Popen(self._command, stdin=nothing, stdout=nothing, stderr=nothing)
            _stay_on(own)

    def end(self) -> None:
        """End it, whatever it is doing: what it has not stored is compiled again. None is started later."""
        self._processors = set()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def _processors() -> set[int]:
    """Those that this thread may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _stay_on(processors: set[int]) -> None:
    """Let this thread, and what it starts, use these alone."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, processors)


def main(arguments: list[str]) -> None:
    """Compute the steps."""
    import numpy as np

    from .. import resources
    from ..engine.interpreter import computed
    from ..engine.plan import fused
    from ..storage.model_file import load

    graph = load(arguments[0] if arguments else resources.model())
    zeros = {name: np.zeros(tensor.shape, tensor.fmt.dtype) for name, tensor in graph.tensors.items()}
    for step in sorted(fused(graph, ()).nodes, key=lambda step: -len(step.nodes)):
        with suppress(IntsimError):  # an operator may refuse zeros
            computed(graph, step, [zeros[name] for name in step.inputs], zeros)


if __name__ == "__main__":
    main(sys.argv[1:])
