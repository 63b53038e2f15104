"""Instruction sets: which ones this machine has, and which one the kernels use.

Every variant gives the same bits, so the choice is one of speed alone: the best one available, unless the environment
variable ``INTSIM_ISA`` or `using` names another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from functools import cache
from typing import Any

import numba
from llvmlite import binding as llvm

from ..errors import IntsimError


class Isa(StrEnum):
    """A variant of the kernels by the instructions it is made of, the fastest first."""

    VNNI = "vnni"  # x86: AVX-512 with dot products of bytes and of words
    AVXVNNI = "avxvnni"  # x86: the same dot products on 256-bit vectors
    AVX2 = "avx2"  # x86: products of words added in pairs, 256 bits
    DOTPROD = "dotprod"  # Arm: dot products of bytes, 128 bits
    GENERIC = "generic"  # plain Numba; runs anywhere


NEEDS = {
    Isa.VNNI: {"avx512f", "avx512bw", "avx512vnni"},
    Isa.AVXVNNI: {"avx2", "avxvnni"},
    Isa.AVX2: {"avx2"},
    Isa.DOTPROD: {"neon", "dotprod"},
    Isa.GENERIC: set(),
}
VARIABLE = "INTSIM_ISA"

_forced: ContextVar[Isa | None] = ContextVar("intsim_isa", default=None)


@cache
def features() -> frozenset[str]:
    """What the processor can do, by LLVM's names. Nothing is presumed where Numba was told to compile for another one."""
    config: Any = numba.config
    if config.DISABLE_JIT or config.CPU_NAME or config.CPU_FEATURES:
        return frozenset()
    try:
        found = llvm.get_host_cpu_features()
    except RuntimeError:
        return frozenset()
    return frozenset(name for name, has in found.items() if has)


def processor() -> str:
    """The processor by LLVM's name: ``znver5``, ``sapphirerapids``, ``neoverse-n1``."""
    config: Any = numba.config
    return str(config.CPU_NAME or llvm.get_host_cpu_name())


@cache
def available() -> tuple[Isa, ...]:
    """The variants this machine can run, the fastest first."""
    return tuple(isa for isa in Isa if NEEDS[isa] <= features())


def chosen() -> Isa:
    """The variant to use now. IntsimError where ``INTSIM_ISA`` names one that this machine lacks."""
    forced = _forced.get()
    if forced is not None:
        return forced
    wanted = os.environ.get(VARIABLE, "")
    if wanted and wanted not in available():
        raise IntsimError(f"{VARIABLE}={wanted}: this machine runs {', '.join(available())}; choose one of them")
    return Isa(wanted) if wanted else available()[0]


@contextmanager
def using(isa: Isa | str) -> Iterator[None]:
    """Within: kernels called from here use this variant."""
    token = _forced.set(Isa(isa))
    try:
        yield
    finally:
        _forced.reset(token)
