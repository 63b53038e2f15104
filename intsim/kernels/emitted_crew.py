"""The native side of `threads`: kernels that hand parts of their rows to workers, which wait in compiled code.

A worker spins on its mailbox, one word: free, taken, or the address of a part of some call. A caller posts the parts of its
crew, computes the first one itself, and then each of the others that no worker has taken. So no call waits for a thread that
sleeps or is busy with another's, and no worker waits for the interpreter lock.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from ..arith.jit import intrinsic, kernel
from . import crew as c
from .emitting import I32, I64, emit_call, pointer

PATIENCE = 1 << 11  # turns after which a caller that waits sleeps between them: the worker may have no processor
NAP = 50  # microseconds
ORDER = "seq_cst"
BYTES = ir.IntType(8).as_pointer()


@kernel
def post(crew: int, function: int, start: int, stop: int) -> int:
    """Offer all parts of the rows but the first to the workers; the end of the first."""
    if crew == c.ALONE:
        return stop
    parts: int = load(crew + c.PARTS)
    rows = stop - start
    store(crew + c.PENDING, 1)
    for i in range(1, parts):
        part = crew + i * c.BLOCK
        store(part + c.FUNCTION, function)
        store(part + c.FIRST, start + rows * i // parts)
        store(part + c.LAST, start + rows * (i + 1) // parts)
        store(part + c.DONE, 0)
        store(part + c.POSTED, exchange(load(part + c.MAILBOX), c.FREE, part))
    return start + rows // parts


@kernel
def gather(crew: int) -> int:
    """Compute each part of the last call that no worker has taken, and wait for the others.

    Returns the first row that could not be computed, or -1; FAILED if the kernel raised an exception.
    """
    first = -1
    if load(crew + c.PENDING) == 0:  # the kernel was not entered
        return first
    store(crew + c.PENDING, 0)
    for i in range(1, load(crew + c.PARTS)):
        part = crew + i * c.BLOCK
        if load(part + c.POSTED) == 0 or exchange(load(part + c.MAILBOX), part, c.FREE):
            _compute(part)
        else:
            _wait(part, load(crew + c.SLEEP))
        result = load(part + c.RESULT)
        if result == c.FAILED or first == c.FAILED:
            first = c.FAILED
        elif result >= 0 and (first < 0 or result < first):
            first = result
    return first


@kernel
def serve(mailbox: int, turns: int) -> int:
    """Compute each part that comes into the mailbox, until none has come for so many turns; how many came."""
    count, idle = 0, 0
    while idle < turns:
        part = load(mailbox)
        if part != c.FREE and exchange(mailbox, part, c.TAKEN):
            _compute(part)
            store(mailbox, c.FREE)
            store(part + c.DONE, 1)  # from here on the part may be gone
            count += 1
            idle = 0
        _pause()
        idle += 1
    return count


@kernel
def _compute(part: int) -> None:
    function, arguments = load(part + c.FUNCTION), load(part + c.ARGUMENTS)
    store(part + c.RESULT, _call(function, arguments, load(part + c.FIRST), load(part + c.LAST)))


@kernel
def _wait(part: int, sleep: int) -> None:
    turns = 0
    while load(part + c.DONE) == 0:
        if turns < PATIENCE or sleep == 0:
            _pause()
            turns += 1
        else:
            _nap(sleep, NAP)


@intrinsic()
def packed(typing_context: Any, crew: Any) -> Any:
    """The address of a function that computes given rows by the kernel being compiled, whose arguments go into the crew."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kernel = builder.function
        if [argument.type for argument in kernel.args[2:5]] != [I64] * 3:  # the first are of a result and of an exception
            raise TypeError(f"{kernel.name}: the first parameters are not crew, start and stop")
        rest = list(kernel.args[5:])
        kind = ir.LiteralStructType([argument.type for argument in rest])
        if context.get_abi_sizeof(kind) > c.LARGEST:
            raise TypeError(f"{kernel.name}: its arguments take more than {c.LARGEST} bytes")
        with builder.if_then(builder.icmp_signed("!=", arguments[0], I64(c.ALONE))):
            room = builder.load(pointer(builder, builder.add(arguments[0], I64(c.ROOM)), I64))
            for i, argument in enumerate(_without_owners(rest)):
                builder.store(argument, builder.gep(pointer(builder, room, kind), [I32(0), I32(i)]))
        return builder.ptrtoint(_part_of(builder.module, kernel, kind), I64)

    return types.int64(types.int64), generate


def _without_owners(arguments: list[Any]) -> list[Any]:
    """The arguments with arrays that do not count references, as the caller's counters are gone before its call ends.

    Numba passes an array as the addresses of a counter and of a Python object, two lengths, and more.
    """
    kinds = [argument.type for argument in arguments]
    for i in range(len(arguments)):
        if kinds[i : i + 4] == [BYTES, BYTES, I64, I64]:
            arguments = [*arguments[:i], BYTES(None), BYTES(None), *arguments[i + 2 :]]
    return arguments


def _part_of(module: Any, kernel: ir.Function, kind: ir.Type) -> ir.Function:
    """A function of the address of packed arguments, and of the rows that it computes."""
    function = ir.Function(module, ir.FunctionType(I64, [I64] * 3), f"{kernel.name}.part")
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block())
    address, start, stop = function.args
    arguments = builder.load(pointer(builder, address, kind))
    result, error = builder.alloca(I64), builder.alloca(I64)
    places = [
        builder.bitcast(place, argument.type) for place, argument in zip((result, error), kernel.args[:2], strict=True)
    ]
    rest = [builder.extract_value(arguments, i) for i in range(len(kind.elements))]
    status = builder.call(kernel, [*places, I64(c.ALONE), start, stop, *rest])
    failed = builder.icmp_signed("!=", status, status.type(0))
    builder.ret(builder.select(failed, I64(c.FAILED), builder.load(result)))
    return function


@intrinsic()
def load(typing_context: Any, address: Any) -> Any:
    """The word at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(pointer(builder, arguments[0], I64), ORDER, c.WORD)

    return types.int64(types.int64), generate


@intrinsic()
def store(typing_context: Any, address: Any, value: Any) -> Any:
    """Set the word at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[1], pointer(builder, arguments[0], I64), ORDER, c.WORD)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic()
def exchange(typing_context: Any, address: Any, before: Any, after: Any) -> Any:
    """Set the word at an address, if it is `before`; 1 if it was."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, before, after = arguments
        outcome = builder.cmpxchg(pointer(builder, address, I64), before, after, ORDER, ORDER)
        return builder.zext(builder.extract_value(outcome, 1), I64)

    return types.int64(types.int64, types.int64, types.int64), generate


@intrinsic()
def _call(typing_context: Any, function: Any, arguments: Any, start: Any, stop: Any) -> Any:
    """Call what `_part_of` made."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function, *rest = arguments
        return builder.call(pointer(builder, function, ir.FunctionType(I64, [I64] * 3)), rest)

    return types.int64(*[types.int64] * 4), generate


@intrinsic()
def _pause(typing_context: Any) -> Any:
    """Tell the processor that a loop waits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        triple = builder.module.triple
        if triple.startswith(("x86_64", "i686")):
            emit_call(builder, "llvm.x86.sse2.pause", ir.VoidType())
        elif triple.startswith(("aarch64", "arm64")):
            emit_call(builder, "llvm.aarch64.hint", ir.VoidType(), I32(1))
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic()
def _nap(typing_context: Any, address: Any, microseconds: Any) -> Any:
    """Call the system's function that sleeps, ``usleep``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, microseconds = arguments
        function = pointer(builder, address, ir.FunctionType(I32, [I32]))
        builder.call(function, [builder.trunc(microseconds, I32)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate
