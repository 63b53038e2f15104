"""``intsim``: the group of commands, and how errors are reported.

Exit codes: 0 match or success, 1 difference found, 2 usage or unusable input, 130 interrupted, 70 a bug in intsim.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click

from .. import memory
from .._version import __version__
from ..errors import IntsimError, printable
from ._common import UNUSABLE
from ._output import say
from ._progress import remarks_shown
from .hints import with_hint

COMMANDS = (
    "demo",
    "run",
    "golden",
    "diff",
    "set",
    "reproduce",
    "score",
    "stimulus",
    "trace",
    "vectors",
    "campaign",
    "prove",
    "inspect",
    "quantize",
    "train",
    "eval",
    "export",
    "import",
    "execute",
    "compilers",
    "synth",
    "synth-fault",
    "bench",
)
INTERNAL, INTERRUPTED = 70, 130


class Commands(click.Group):
    """Commands are imported when they are called; errors are printed as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name.replace("-", "_")
        command: click.Command = import_module(f".{module}", __package__).command
        return command

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> Any:
        extra["standalone_mode"] = False
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be text
        with _written_to_nobody(), _killed_by_closed_pipes(), _ended_by_sigterm(), remarks_shown():
            try:
                code = super().main(args, **extra) or 0
                sys.stdout.flush()
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  exit code 1 means "difference found"
                code = _told(error)
        sys.exit(code)


def _told(error: BaseException) -> int:
    """Say on the error stream what went wrong, as far as it takes lines, and return the exit code."""
    code, line = UNUSABLE, ""
    if isinstance(error, click.ClickException):
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "intsim"
        line = f"{error.format_message().rstrip('.')}; see '{where} --help'"
    elif isinstance(error, (click.Abort, KeyboardInterrupt)):
        code, line = INTERRUPTED, "interrupted"
    elif isinstance(error, IntsimError):
        line = with_hint(error)
    elif isinstance(error, MemoryError):
        line = "not enough memory for a model or picture of this size"
    elif memory.was_short() and not (isinstance(error, OSError) and error.filename):
        line = f"not enough memory: the address space is limited to {(memory.limit() or 0) >> 20:,} MiB"
    elif isinstance(error, OSError):
        line = f"{error.filename or 'standard output'}: {error.strerror or error}" if error.errno else str(error)
    else:
        code, line = INTERNAL, "this is a bug in intsim; please report it with the lines above"
    with suppress(OSError):
        if code == INTERNAL:
            traceback.print_exception(error)
        say(f"intsim: {printable(line)}", err=True)
    return code


@contextmanager
def _written_to_nobody() -> Iterator[None]:
    """Within: where standard output or error were closed before the start, what is written there is lost, and the exit code
    is what it would be.
    """
    closed = [name for name in ("stdout", "stderr") if getattr(sys, name) is None]
    with open(os.devnull, "w", encoding="utf-8") as nobody:
        for name in closed:
            setattr(sys, name, nobody)
        try:
            yield
        finally:
            for name in closed:
                setattr(sys, name, None)


@contextmanager
def _killed_by_closed_pipes() -> Iterator[None]:
    """Within: a closed pipe ends the process by SIGPIPE, as it ends other tools, and not with exit code 1."""
    if not hasattr(signal, "SIGPIPE") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        yield
        sys.stdout.flush()
    finally:
        signal.signal(signal.SIGPIPE, before)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Within: SIGTERM ends the process as an exception does, so that no temporary file is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="intsim")
@click.option(
    "--plugin",
    "plugins",
    multiple=True,
    metavar="MODULE",
    help="A Python file or module that adds operators or networks; may be repeated.  [also: INTSIM_PLUGIN]",
)
def main(plugins: tuple[str, ...]) -> None:
    """The reference machine for integer-only vision transformers.

    It runs a quantized Segmenter, ViT, DeiT or Swin without one floating-point operation and writes golden files: every
    tensor a correct implementation must produce, bit for bit.

    Start with: intsim demo
    """
    if plugins:
        from ..plugins import load_everywhere

        for plugin in plugins:
            load_everywhere(plugin)
