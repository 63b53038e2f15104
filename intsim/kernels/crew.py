"""What a kernel does to share its rows, and the words in which callers and workers meet; `emitted_crew` has the code.

A crew is memory of one calling thread: a block of the call, one block for each part but the first, and room for the kernel's
arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arith.jit import overload

WORD = 8
BLOCK = 8 * WORD  # a cache line, so that no two threads write to one
PARTS, PENDING, SLEEP, ROOM = (i * WORD for i in range(4))  # of the call: how many, whether some may be taken, two addresses
MAILBOX, ARGUMENTS, FUNCTION, FIRST, LAST, RESULT, POSTED, DONE = (i * WORD for i in range(8))  # of a part
FREE, TAKEN = 0, 1  # of a mailbox, which otherwise holds the address of a part
LARGEST = 512 * WORD  # bytes of a kernel's arguments
ALONE = 0  # instead of a crew
FAILED = -2  # instead of a row: the kernel raised an exception


def own_rows(crew: int, start: int, stop: int) -> int:
    """Offer a part of the rows ``[start, stop)`` to other threads; the end of the caller's own rows.

    The first statement of every kernel that `over_rows` calls, with the first three of its parameters.
    """
    return stop


@overload(own_rows, inline="always")  # in line, so that the function being compiled is the kernel
def _own_rows(crew: Any, start: Any, stop: Any) -> Callable[[int, int, int], int]:
    from .emitted_crew import packed, post

    return lambda crew, start, stop: post(crew, packed(crew), start, stop)
