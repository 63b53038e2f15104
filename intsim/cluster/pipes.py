"""Writing to processes and connections that have ended."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def writing_to_what_has_ended() -> Iterator[None]:
    """Within: what has ended is an error to whoever writes to it, and not the end of that one, too, by SIGPIPE."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGPIPE"):
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)
