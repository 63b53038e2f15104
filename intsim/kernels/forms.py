"""Forms: the memory layout of the operands of a product for one variant, and the instruction that multiplies them.

A form divides the depth of a product into groups of 32 bits, four bytes or two words; products of matrices into eight bytes.
Its instruction multiplies the group of a row by the groups of a vector of columns and adds the sums to one vector of i32.
Where the instruction takes unsigned left-hand bytes, `offset` is added to the signed values, and its effect is subtracted
from the bias.

Instructions with saturating intermediate sums are not used: ``vpmaddubsw`` (sums of two products in 16 bits), ``vpdpbusds``
and ``vpdpwssds``. Those used here wrap, so a sum that fits i32 is exact even if partial sums overflow.

Probabilities of 16 bits are multiplied as bytes where there is an instruction for unsigned bytes: the low byte of each
densely, and the high ones, of which a row has few, on their own (`weighting`).
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from .isa import Isa, chosen


class _Fields(NamedTuple):
    rows: int  # of a tile; its sums stay in registers
    columns: int
    lanes: int  # columns per vector
    group: int  # values along the depth that one instruction multiplies and sums
    offset: int  # added to left-hand values when they are staged
    across: int  # stride within a packed group from one column to the next
    along: int  # stride within a packed group from one depth index to the next
    splits: bool  # whether a left-hand value holds only the low byte of a probability


class Form(_Fields):
    """The parameters of a form that kernels take; kernels are compiled once per class."""

    SIZES: ClassVar[tuple[int, int, int, int, int]]  # rows, columns, lanes, group, offset
    INTERLEAVED: ClassVar[bool] = True  # the group of a column is contiguous
    LEFT: ClassVar[type]  # type of staged left-hand values
    RIGHT: ClassVar[type]  # type of packed right-hand values
    INSTRUCTION: ClassVar[str]  # LLVM's name of the multiplying intrinsic; the plain form has none
    OPERAND: ClassVar[int] = 32  # bits of the lanes of its operands, as LLVM declares them
    SUMS: ClassVar[bool] = True  # whether it adds the products to the sums
    SPLITS: ClassVar[bool] = False
    MATRICES: ClassVar[str] = ""  # LLVM's name of an intrinsic that multiplies matrices in registers of their own

    @classmethod
    def made(cls) -> Form:
        """The instance with the sizes of this class."""
        _, columns, _, group, _ = cls.SIZES
        return cls(*cls.SIZES, *((group, 1) if cls.INTERLEAVED else (1, columns)), cls.SPLITS)


class VnniBytes(Form):
    """i8 by i8, AVX-512 VNNI: ``vpdpbusd``, unsigned by signed."""

    SIZES, LEFT, RIGHT = (6, 64, 16, 4, 128), np.uint8, np.int8
    INSTRUCTION = "llvm.x86.avx512.vpdpbusd.512"


class VnniWords(Form):
    """i16 by i8 widened to i16, AVX-512 VNNI: ``vpdpwssd``."""

    SIZES, LEFT, RIGHT = (6, 64, 16, 2, 0), np.int16, np.int16
    INSTRUCTION = "llvm.x86.avx512.vpdpwssd.512"


class VnniWeights(VnniBytes):
    """Low bytes of probabilities by i8: unsigned as they are."""

    SIZES, SPLITS = (6, 64, 16, 4, 0), True


class AmxBytes(VnniBytes):
    """i8 by i8, AMX: ``tdpbusd``, sixteen rows by sixteen columns, 64 bytes deep; the rest of a depth as `VnniBytes`."""

    SIZES = (16, 64, 16, 4, 128)
    MATRICES = "llvm.x86.tdpbusd"


class AmxWeights(AmxBytes):
    """Low bytes of probabilities by i8: unsigned as they are."""

    SIZES, SPLITS = (16, 64, 16, 4, 0), True


class AvxVnniBytes(Form):
    """i8 by i8, AVX-VNNI: ``vpdpbusd`` on 256 bits."""

    SIZES, LEFT, RIGHT = (6, 16, 8, 4, 128), np.uint8, np.int8
    INSTRUCTION = "llvm.x86.avx512.vpdpbusd.256"


class AvxVnniWords(Form):
    """i16 by i8 widened to i16, AVX-VNNI: ``vpdpwssd`` on 256 bits."""

    SIZES, LEFT, RIGHT = (6, 16, 8, 2, 0), np.int16, np.int16
    INSTRUCTION = "llvm.x86.avx512.vpdpwssd.256"


class AvxVnniWeights(AvxVnniBytes):
    """Low bytes of probabilities by i8: unsigned as they are."""

    SIZES, SPLITS = (6, 16, 8, 4, 0), True


class AvxVnniInt8Bytes(Form):
    """i8 by i8, AVX-VNNI-INT8: ``vpdpbssd``, signed by signed, on 256 bits."""

    SIZES, LEFT, RIGHT = (6, 16, 8, 4, 0), np.int8, np.int8
    INSTRUCTION = "llvm.x86.avx2.vpdpbssd.256"


class Avx2Words(Form):
    """i8 or i16 by i8, both widened to i16, AVX2: ``vpmaddwd`` and an addition."""

    SIZES, LEFT, RIGHT = (6, 16, 8, 2, 0), np.int16, np.int16
    INSTRUCTION = "llvm.x86.avx2.pmadd.wd"
    OPERAND, SUMS = 16, False


class DotprodBytes(Form):
    """i8 by i8, Arm: ``sdot``, signed by signed."""

    SIZES, LEFT, RIGHT = (6, 16, 4, 4, 0), np.int8, np.int8
    INSTRUCTION = "llvm.aarch64.neon.sdot.v4i32.v16i8"
    OPERAND = 8


class I8mmBytes(Form):
    """i8 by i8, Arm: ``smmla``, the products of two rows by two columns, eight bytes deep."""

    SIZES, LEFT, RIGHT = (6, 16, 4, 8, 0), np.int8, np.int8
    INSTRUCTION = "llvm.aarch64.neon.smmla.v4i32.v16i8"
    OPERAND = 8


class I8mmWeights(Form):
    """Low bytes of probabilities by i8, Arm: ``usdot``, unsigned by signed."""

    SIZES, LEFT, RIGHT, SPLITS = (6, 16, 4, 4, 0), np.uint8, np.int8, True
    INSTRUCTION = "llvm.aarch64.neon.usdot.v4i32.v16i8"
    OPERAND = 8


class PlainWords(Form):
    """i8 or i16 by i8, both as i16, in plain Numba."""

    SIZES, LEFT, RIGHT = (1, 64, 64, 4, 0), np.int16, np.int8
    INTERLEAVED = False


BYTES: dict[Isa, type[Form]] = {
    Isa.AMX: AmxBytes,
    Isa.VNNI: VnniBytes,
    Isa.AVXVNNIINT8: AvxVnniInt8Bytes,
    Isa.AVXVNNI: AvxVnniBytes,
    Isa.AVX2: Avx2Words,
    Isa.I8MM: I8mmBytes,
    Isa.DOTPROD: DotprodBytes,
    Isa.GENERIC: PlainWords,
}
WORDS: dict[Isa, type[Form]] = {
    Isa.AMX: VnniWords,
    Isa.VNNI: VnniWords,
    Isa.AVXVNNIINT8: AvxVnniWords,
    Isa.AVXVNNI: AvxVnniWords,
    Isa.AVX2: Avx2Words,
    Isa.I8MM: PlainWords,
    Isa.DOTPROD: PlainWords,
    Isa.GENERIC: PlainWords,
}
WEIGHTS: dict[Isa, type[Form]] = {
    Isa.AMX: AmxWeights,
    Isa.VNNI: VnniWeights,
    Isa.AVXVNNIINT8: AvxVnniWeights,
    Isa.AVXVNNI: AvxVnniWeights,
    Isa.AVX2: Avx2Words,
    Isa.I8MM: I8mmWeights,
    Isa.DOTPROD: PlainWords,
    Isa.GENERIC: PlainWords,
}


def form_for(left: np.dtype[Any]) -> Form:
    """The form of the chosen variant for left-hand values of type i8 or i16."""
    return (BYTES if left == np.int8 else WORDS)[chosen()].made()


def form_of_weights(signed: bool) -> Form:
    """The form of the chosen variant for probabilities on the left, i8 or i16; signed ones are not split."""
    return (WORDS if signed else WEIGHTS)[chosen()].made()
