"""What the commands say on the error stream while they work: bars, spinners, that kernels are compiled, remarks."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ._output import say

if TYPE_CHECKING:
    from rich.status import Status

COMPILING = "Compiling integer kernels that this machine has not run before, starting with {} (each once) ..."


@contextmanager
def progress(label: str, total: int | None, timed: bool = False) -> Iterator[Callable[..., None]]:
    """A progress bar on the terminal's error stream, shown after 0.7 seconds; call what it yields at each step. Without a
    `total` it shows the name that the call passes; `timed`, how many a second, and the time that is left.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class _RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "", style="dim")

    console = Console(stderr=True)
    if not console.is_terminal:  # older versions of rich end even a disabled bar with an empty line
        yield lambda *_: None
        return
    bars: tuple[ProgressColumn, ...] = (BarColumn(), MofNCompleteColumn()) if total else ()
    times: tuple[ProgressColumn, ...] = (_RateColumn(), TimeRemainingColumn()) if timed else ()
    columns = (TextColumn("{task.description}"), *bars, *times)
    begun = time.monotonic()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=total, visible=False)

        def step(name: object = "", *_: object) -> None:
            shown = f"{label} {name}" if total is None else label
            bar.update(task, advance=1, description=shown, visible=time.monotonic() - begun > 0.7)

        yield step


def status(text: str) -> Status:
    """A spinner with `text` on the terminal's error stream, for work of unknown length."""
    from rich.console import Console

    return Console(stderr=True).status(text)


def announce_compiling(begin: Callable[[], None] = lambda: None) -> None:
    """Print a note when the first kernel has to be compiled, which takes seconds once, and call `begin` then.

    MemoryError where a limit leaves too little for that and for threads.
    """
    from .. import memory
    from ..arith.jit import before_compiling, cache_remark

    memory.require(memory.SHORT)
    if _only_json():
        return

    def tell(first: str) -> None:
        say(COMPILING.format(first), err=True)
        if remark := cache_remark():
            say(f"intsim: {remark}", err=True)
        begin()

    before_compiling(tell)


class _Remarks(logging.Handler):
    """Prints what the library logs as lines on the error stream."""

    def emit(self, record: logging.LogRecord) -> None:
        if not _only_json():
            say(f"intsim: {record.getMessage()}", err=True)


@contextmanager
def remarks_shown() -> Iterator[None]:
    """Within: warnings of the library, as that computing is slow without Numba, are lines on the error stream."""
    logger, handler = logging.getLogger("intsim"), _Remarks(logging.WARNING)
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def _only_json() -> bool:
    """Whether a command prints JSON where nobody watches: whoever reads both streams as one expects nothing else."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.params.get("as_json")) and not sys.stderr.isatty()
