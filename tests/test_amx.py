"""The form for AMX, which this machine may not have: its code, with the registers of AMX played by NumPy."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from llvmlite import binding as llvm

from intsim.kernels import forms, isa

from emitted import NAME, compiled, machine, tile_module

AMX = "+avx512f,+avx512bw,+avx512vnni,+amx-tile,+amx-int8"
TRIPLE = "x86_64-linux-gnu"
BYTE, WORD = ctypes.c_uint8, ctypes.c_int64


class Registers:
    """Eight registers of sixteen rows of 64 bytes, as Intel's manual describes the instructions on them."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] | None = None  # rows and bytes of a row
        self.content = np.zeros((8, 16, 64), np.uint8)
        self.log: list[str] = []

    def ldtilecfg(self, address: int) -> None:
        config = ctypes.string_at(address, 64)
        assert config[0] == 1, "the palette"
        assert not any(config[1:16]), "reserved"
        assert not any(config[32:48]), "reserved"
        widths = np.frombuffer(config, np.uint16, 8, 16).tolist()
        self.shapes = list(zip(config[48:56], widths, strict=True))
        assert all(rows <= 16 and width <= 64 for rows, width in self.shapes)
        self.content[:] = 0

    def tilerelease(self) -> None:
        self.shapes = None

    def tilezero(self, register: int) -> None:
        assert self.shapes
        self.content[register] = 0

    def tileloadd64(self, register: int, address: int, stride: int) -> None:
        assert self.shapes
        rows, width = self.shapes[register]
        self.content[register] = 0
        for row in range(rows):
            line = ctypes.string_at(address + row * stride, width)
            self.content[register, row, :width] = np.frombuffer(line, np.uint8)

    def tilestored64(self, register: int, address: int, stride: int) -> None:
        assert self.shapes
        rows, width = self.shapes[register]
        for row in range(rows):
            ctypes.memmove(address + row * stride, self.content[register, row, :width].tobytes(), width)

    def tdpbusd(self, sums: int, left: int, right: int) -> None:
        assert self.shapes
        (rows, depth), (groups, width) = self.shapes[left], self.shapes[right]
        assert self.shapes[sums] == (rows, width)
        assert depth == 4 * groups
        a = self.content[left, :rows, :depth].astype(np.int64)
        b = self.content[right, :groups, :width].view(np.int8).astype(np.int64)
        total = self.content[sums].view(np.int32)
        for k in range(groups):
            for n in range(width // 4):
                total[:rows, n] += (a[:, 4 * k : 4 * k + 4] @ b[k, 4 * n : 4 * n + 4]).astype(np.int32)
        self.log.append("tdpbusd")


Tile = Callable[[Any, Any, Any], None]


@pytest.fixture(scope="module")
def emulated() -> Iterator[tuple[Registers, Any]]:
    """The registers, and the address of ``tile(a, a_stride, b, groups, c, c_stride)`` that uses them."""
    if isa.Isa.VNNI not in isa.available():
        pytest.skip("what is left of a depth takes AVX-512 VNNI, which this machine lacks")
    registers, kept = Registers(), []
    for name, kinds in {
        "ldtilecfg": [WORD],
        "tilerelease": [],
        "tilezero": [BYTE],
        "tileloadd64": [BYTE, WORD, WORD],
        "tilestored64": [BYTE, WORD, WORD],
        "tdpbusd": [BYTE, BYTE, BYTE],
    }.items():
        kept.append(ctypes.CFUNCTYPE(None, *kinds)(getattr(registers, name)))
        llvm.add_symbol(f"emulated.{name}", ctypes.cast(kept[-1], ctypes.c_void_p).value)
    code = tile_module(forms.AmxBytes, 4)
    code = re.sub(r"llvm\.x86\.(ldtilecfg|tilerelease|tilezero|tileloadd64|tilestored64|tdpbusd)\b", r"emulated.\1", code)
    target = machine(llvm.get_process_triple(), llvm.get_host_cpu_features().flatten())
    module = llvm.parse_assembly(code)
    module.verify()
    engine = llvm.create_mcjit_compiler(module, target)
    engine.finalize_object()
    yield registers, ctypes.CFUNCTYPE(None, *[WORD] * 6)(engine.get_function_address(NAME))
    del engine, kept


@pytest.mark.parametrize("groups", [1, 15, 16, 17, 31, 32, 33, 50])
def test_sums_by_matrices_are_the_sums(emulated: tuple[Registers, Any], groups: int) -> None:
    """Unsigned by signed bytes at the ends of their ranges, too; depths of whole matrices and with a rest."""
    registers, tile = emulated
    rows, columns, _, group, _ = forms.AmxBytes.SIZES
    rng = np.random.default_rng(groups)
    left = rng.choice([0, 255, 128, 127, 3, 77], (rows, 4 * groups + 8)).astype(np.uint8)
    right = rng.choice([-128, 127, -1, 0, 55], (columns, 4 * groups)).astype(np.int8)
    panel = np.ascontiguousarray(right.reshape(columns, groups, group).swapaxes(0, 1))
    sums = np.full((rows, columns + 16), 12345, np.int32)
    registers.log.clear()
    tile(left.ctypes.data, left.strides[0], panel.ctypes.data, groups, sums.ctypes.data, sums.strides[0])
    expected = left[:, : 4 * groups].astype(np.int64) @ right.T.astype(np.int64)
    assert sums[:, :columns].tolist() == expected.tolist()
    assert (sums[:, columns:] == 12345).all()
    assert len(registers.log) == groups // 16 * 4
    assert registers.shapes is None  # released


@pytest.mark.parametrize("form", [forms.AmxBytes, forms.AmxWeights])
def test_the_code_for_such_a_processor(form: type[forms.Form]) -> None:
    target, module = compiled(form, TRIPLE, AMX)
    found = [line.split()[0] for line in target.emit_assembly(module).splitlines() if line.startswith("\t")]
    assert found.count("tdpbusd") == 4
    assert found.count("ldtilecfg") == found.count("tilerelease") == 1
    assert {"tilezero", "tileloadd", "tilestored", "vpdpbusd"} <= set(found)
    assert not {"vpmaddubsw", "vpdpbusds"} & set(found)


COMPILED = """if True:
    import numba, numpy as np
    from intsim.arith import I8, signed
    from intsim.kernels import gemm, isa
    from intsim.kernels.epilogue import Summed, added_epilogue, scaled_epilogue
    from intsim.kernels.forms import form_for
    from intsim.kernels.scaling import scaling
    left = np.ones((1, 20, 96), np.int8)
    other, sums = np.ones((20, 70), np.int16), np.empty((1, 20, 70), np.int32)
    m = scaling(2**30 + 1, 46, "half_up", I8, 70)
    ends = [(Summed(True), np.int32), (scaled_epilogue(m), np.int8), (added_epilogue(m, (m, m), other), np.int16)]
    with isa.using("amx"):
        form, panels = form_for(left.dtype), np.empty((1, 2, 24, 256), np.int8)
        for end, kind in ends:
            kernel = numba.njit(nogil=True, error_model="numpy")(gemm._rows.py_func)
            arguments = (0, 0, 20, form, left, gemm.IN_ORDER, panels, np.zeros((1, 70), np.int32), end, sums.astype(kind))
            kernel.compile(tuple(numba.typeof(a) for a in arguments))
            (code,) = kernel.inspect_asm().values()
            print(*{line.split()[0] for line in code.splitlines() if line.startswith(chr(9))})
"""


def test_products_are_compiled_for_such_a_processor() -> None:
    """Whole kernels with their epilogues, by Numba for a processor that need not be this one; nothing is executed."""
    environment = os.environ | {"NUMBA_CPU_NAME": "sapphirerapids", "NUMBA_CPU_FEATURES": AMX}
    done = subprocess.run([sys.executable, "-c", COMPILED], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert {"tdpbusd", "ldtilecfg", "tilerelease"} <= set(line.split())


def test_it_is_used_on_request_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isa, "features", lambda: frozenset().union(*isa.NEEDS.values()))
    monkeypatch.setattr(isa, "_amx_permitted", lambda: True)
    monkeypatch.delenv(isa.VARIABLE, raising=False)
    isa.available.cache_clear()
    try:
        assert isa.available()[0] is isa.Isa.AMX
        assert isa.chosen() is isa.Isa.VNNI
        monkeypatch.setenv(isa.VARIABLE, "amx")
        assert isa.chosen() is isa.Isa.AMX
    finally:
        isa.available.cache_clear()
