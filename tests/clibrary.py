"""The C reference, compiled and called from Python."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intsim.dialects import DIALECTS, Dialect
from intsim.languages.c_library import CLibrary
from intsim.languages.c_operator import COperator
from intsim.ops import REGISTRY
from intsim.symbols.shapes import form_of_call

WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
TYPES = {"int8_t": np.int8, "uint8_t": np.uint8, "int32_t": np.int32, "int64_t": np.int64}


class Compiled:
    """A shared library of all operators in all dialects."""

    def __init__(self, folder: Path, compiler: str = "gcc", *options: str) -> None:
        self.library = CLibrary(list(REGISTRY), list(DIALECTS.values()))
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.library.files().items():
            (folder / name).write_text(text, encoding="utf-8")
        sources = sorted(path.name for path in folder.glob("intsim_*.c"))
        command = [compiler, *WARNINGS, "-shared", "-fPIC", *options, "-o", "libintsim.so", *sources]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        self.shared = ctypes.CDLL(str(folder / "libintsim.so"))
        self.functions = {f.name: f for functions in self.library.functions.values() for f in functions}

    def call(
        self, op: str, arrays: Sequence[NDArray], params: Mapping[str, Any], dialect: Dialect | None
    ) -> tuple[int, NDArray, dict[str, NDArray]]:
        """The code, the result and the steps, as flat arrays."""
        form, lengths = form_of_call(REGISTRY[op], [np.shape(x) for x in arrays], params)
        suffix = f"_{dialect.name.replace('-', '_')}" if REGISTRY[op].choices and dialect else ""
        function = self.functions[f"intsim_{op}{form.suffix}{suffix}"]
        return self.called(function, arrays, params, lengths)

    def called(
        self, function: COperator, arrays: Sequence[NDArray], params: Mapping[str, Any], lengths: Mapping[str, int]
    ) -> tuple[int, NDArray, dict[str, NDArray]]:
        given: dict[str, Any] = dict(params)
        names = [name for name in function.form.shapes if name not in REGISTRY[function.op].params]
        given |= dict(zip(names, arrays, strict=True))
        kept, passed = [], []
        symbols = lengths | {key: int(v) for key, v in params.items() if np.ndim(v) == 0}
        out = np.zeros(count(function.out.shape, symbols), TYPES[function.arguments[-1 - bool(function.steps)].ctype[:-2]])
        steps = {name: np.zeros(count(function.results[name].shape, symbols), np.int64) for name in function.steps}
        for argument in function.arguments:
            kind = argument.ctype.replace("const ", "").replace(" *", "")
            if argument.kind == "array":
                array = np.ascontiguousarray(given[argument.name])
                assert array.size == 0 or (array == array.astype(TYPES[kind])).all()
                kept.append(array.astype(TYPES[kind]))
                passed.append(kept[-1].ctypes.data_as(ctypes.c_void_p))
            elif argument.kind == "step":
                passed.append(ctypes.c_size_t(np.ndim(given[argument.name.removesuffix("_step")])))
            elif argument.kind == "length":
                passed.append(ctypes.c_size_t(lengths[argument.name]))
            elif argument.kind == "parameter":
                passed.append(ctypes.c_int32(int(given[argument.name])))
            elif argument.kind == "result":
                passed.append(out.ctypes.data_as(ctypes.c_void_p))
            else:
                struct = (ctypes.c_void_p * len(steps))(*(step.ctypes.data for step in steps.values()))
                passed.append(ctypes.byref(struct))
        code = getattr(self.shared, function.name)(*passed)
        return code, out, steps


def count(shape: Sequence[int], symbols: Mapping[str, int]) -> int:
    """The elements of a shape of sizes."""
    from intsim.symbols import evaluate
    from intsim.symbols.sizes import Size

    total = 1
    for side in shape:
        known = {name: np.asarray(value) for name, value in symbols.items()}
        total *= int(evaluate([side.expression], known)[0]) if isinstance(side, Size) else int(side)
    return total
