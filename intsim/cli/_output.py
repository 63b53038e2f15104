"""Everything that commands write for people goes through here: what files and models say of themselves moves no cursor."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderResult

PLAIN_WIDTH = 240  # of tables in files and pipes; lines are not padded to it


def say(text: str = "", *, err: bool = False) -> None:
    """Print lines, with control characters and the like as escapes."""
    click.echo(_safe(text), err=err)


def put_json(record: Any, output: Path | None) -> None:
    """Write JSON to the screen or to a file. JSON has no number that is not finite: these are null."""
    try:
        text = json.dumps(record, indent=2, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(record), indent=2)
    put_text(text, output)


def put_text(text: str, output: Path | None) -> None:
    """Write text to the screen or to a file."""
    if output is None:
        click.echo(text)
        return
    from ..storage.files import replacing

    with replacing(output) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def put_rich(render: Callable[[Console], None], output: Path | None) -> None:
    """Write a rich rendering to the screen, or as plain text to a file."""
    if output is None:
        console = safe_console()
        render(console if console.is_terminal else safe_console(width=PLAIN_WIDTH))
        return
    text = io.StringIO()
    render(safe_console(file=text, width=PLAIN_WIDTH, force_terminal=False, color_system=None))
    put_text(text.getvalue().rstrip("\n"), output)


def safe_console(**options: Any) -> Console:
    """A console of rich that shows control characters and the like in its texts as escapes; its own styles it keeps."""
    from rich.console import Console, RenderHook
    from rich.segment import Segment

    class Safe:
        def __init__(self, inner: ConsoleRenderable) -> None:
            self.inner = inner

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for segment in console.render(self.inner, options):
                yield segment if segment.control else Segment(_safe(segment.text), segment.style)

    class Hook(RenderHook):
        def process_renderables(self, renderables: Iterable[ConsoleRenderable]) -> list[ConsoleRenderable]:
            return [Safe(one) for one in renderables]

    console = Console(**options)
    console.push_render_hook(Hook())
    return console


def _safe(text: str) -> str:
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def _finite(value: Any) -> Any:
    """Plain data with None for the numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
