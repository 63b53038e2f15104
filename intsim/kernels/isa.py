"""Instruction sets: those that this machine supports, and the one that kernels use.

All variants compute identical results, so the choice affects speed alone. The fastest available variant is used, unless the
environment variable ``INTSIM_ISA`` or `using` selects another; one that no machine has tried is used on request alone.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from functools import cache

from ..arith.jit import features as host_features
from ..errors import IntsimError


class Isa(StrEnum):
    """A variant of the kernels, by the instructions it uses, fastest first."""

    AMX = "amx"  # x86: products of matrices of bytes in registers of their own, with VNNI
    VNNI = "vnni"  # x86: AVX-512 with dot products of bytes and of words
    AVXVNNIINT8 = "avxvnniint8"  # x86: dot products of signed bytes, too, 256 bits
    AVXVNNI = "avxvnni"  # x86: the same dot products on 256-bit vectors
    AVX2 = "avx2"  # x86: products of words added in pairs, 256 bits
    I8MM = "i8mm"  # Arm: products of matrices of bytes, 128 bits
    DOTPROD = "dotprod"  # Arm: dot products of bytes, 128 bits
    GENERIC = "generic"  # plain Numba; runs anywhere


NEEDS = {
    Isa.AMX: {"amx-tile", "amx-int8", "avx512f", "avx512bw", "avx512vnni"},
    Isa.VNNI: {"avx512f", "avx512bw", "avx512vnni"},
    Isa.AVXVNNIINT8: {"avx2", "avxvnni", "avxvnniint8"},
    Isa.AVXVNNI: {"avx2", "avxvnni"},
    Isa.AVX2: {"avx2"},
    Isa.I8MM: {"neon", "dotprod", "i8mm"},
    Isa.DOTPROD: {"neon", "dotprod"},
    Isa.GENERIC: set(),
}
ON_REQUEST = {Isa.AMX}  # no machine of ours has it: only its emulation is tested
VARIABLE = "INTSIM_ISA"

_forced: ContextVar[Isa | None] = ContextVar("intsim_isa", default=None)


@cache
def features() -> frozenset[str]:
    """The processor's features, by LLVM's names."""
    return host_features()


@cache
def available() -> tuple[Isa, ...]:
    """The variants that this machine supports, fastest first."""
    return tuple(isa for isa in Isa if NEEDS[isa] <= features() and (isa is not Isa.AMX or _amx_permitted()))


def _amx_permitted() -> bool:
    """Whether this process may use the registers of AMX, which Linux gives to those who ask, threads included."""
    request, permission, registers = 158, 0x1023, 18  # arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).syscall(request, permission, registers) == 0)


def chosen() -> Isa:
    """The variant to use. Raises IntsimError if ``INTSIM_ISA`` names one that this machine does not support."""
    forced = _forced.get()
    if forced is not None:
        return forced
    wanted = os.environ.get(VARIABLE, "")
    if wanted and wanted not in available():
        raise IntsimError(f"{VARIABLE}={wanted}: this machine supports {', '.join(available())}; choose one of them")
    return Isa(wanted) if wanted else next(isa for isa in available() if isa not in ON_REQUEST)


@contextmanager
def using(isa: Isa | str) -> Iterator[None]:
    """In this context, kernels use this variant."""
    token = _forced.set(Isa(isa))
    try:
        yield
    finally:
        _forced.reset(token)
