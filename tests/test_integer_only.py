"""Integers only: the reference runs on arrays that raise an error on floats, and compiled code is searched for floats."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import intsim
from intsim import dialects, ops
from intsim.arith import I64
from intsim.arith.jit import KERNELS
from intsim.engine.graph import Graph
from intsim.kernels import isa
from intsim.ops import REGISTRY, TensorBound
from intsim.quantization.synth import random_picture

from networks import TINY, tiny_graph, window_graph

FLOAT_CODE = re.compile(
    r"\b(float|double|half|bfloat|x86_fp80|fp128|fadd|fsub|fmul|fdiv|frem|fneg|fcmp|sitofp|uitofp|fptosi|fptoui|fpext|fptrunc)\b"
)
IDENTIFIER = re.compile(r'[%@]("[^"]*"|[\w.$-]+)')


class NoFloat(np.ndarray):
    """An array whose operations raise an error if an input or a result is not an integer."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):  # type: ignore[no-untyped-def,override]
        plain = [_integer(x) for x in inputs]
        result = getattr(ufunc, method)(*plain, **kwargs)
        return _integer(result).view(NoFloat) if isinstance(result, np.ndarray) else _integer(result)

    def __array_function__(self, func, types, args, kwargs):  # type: ignore[no-untyped-def,override]
        result = super().__array_function__(func, types, args, kwargs)
        _integer(result)
        return (
            result.view(NoFloat) if isinstance(result, np.ndarray) else result
        )  # np.where, for example, does not keep the class


def _integer(x):  # type: ignore[no-untyped-def]
    """`x` as a plain array if it is integer or boolean; otherwise raises AssertionError."""
    if isinstance(x, (float, complex, np.inexact)) or (isinstance(x, np.ndarray) and x.dtype.kind not in "iub"):
        raise AssertionError(f"floating point: {x!r}")
    return x.view(np.ndarray) if isinstance(x, np.ndarray) else x


@pytest.mark.parametrize(
    "operation", [lambda x: x / 2, lambda x: x * 0.5, np.sqrt, np.mean, lambda x: np.true_divide(x, x), np.exp]
)
def test_the_guard_catches_floats(operation) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(AssertionError, match="floating point"):
        operation(np.arange(1, 5).view(NoFloat))


def networks(dialect: dialects.Dialect) -> list[tuple[Graph, np.ndarray]]:
    """A Segmenter and the shifted windows of a Swin, each with a picture."""
    return [(tiny_graph(dialect), random_picture(TINY, 5)), window_graph(dialect)]


@pytest.mark.parametrize("position", [0, 1], ids=["segmenter", "windows"])
@pytest.mark.parametrize("dialect", dialects.DIALECTS.values(), ids=str)
def test_the_reference_uses_no_floats(dialect: dialects.Dialect, position: int) -> None:
    graph, image = networks(dialect)[position]
    guarded_nodes = [
        dataclasses.replace(n, params={k: v.view(NoFloat) if isinstance(v, np.ndarray) else v for k, v in n.params.items()})
        for n in graph.nodes
    ]
    guarded = Graph(guarded_nodes, dialect)
    seen = []

    def observe(name: str, value: np.ndarray) -> None:
        assert value.dtype.kind in "iu", f"{name} is {value.dtype}"
        seen.append(isinstance(value, NoFloat))

    labels = intsim.run(guarded, image.view(NoFloat), observe, face="ref")
    assert sum(seen) > 0.9 * len(seen), "most tensors are not of the guarded class"
    np.testing.assert_array_equal(labels.view(np.ndarray), intsim.run(graph, image))


def float_lines(code: str) -> list[str]:
    """The lines of LLVM code that contain a floating-point type or instruction."""
    return [line for line in code.splitlines() if FLOAT_CODE.search(IDENTIFIER.sub("", line))]


def llvm_code(compiled: Any) -> list[str]:
    """The optimized LLVM code of every signature that was compiled in this process or is on the disk.

    Kernels that only other kernels call are loaded with these, inside them: their own code is on the disk. `inspect_llvm` is
    empty for what comes from there, but Numba keeps the module next to its object code, to inline it into other functions.
    """
    on_disk = getattr(compiled._cache, "_cache_file", None)  # None where no folder can be written
    own = compiled.targetctx.codegen().magic_tuple()
    for signature, processor, *_ in on_disk._load_index() if on_disk else ():
        if processor == own:  # tests of AMX compile for a processor that this one may not be
            compiled.compile(signature)
    return [str(overload.library._get_module_for_linking()) for overload in compiled.overloads.values()]


def divided(x: int) -> float:
    return x / 2


def test_the_reader_finds_floats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In code just compiled, where it reads what `inspect_llvm` gives, and in the same code from the disk."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    compiled, loaded = (numba.njit(cache=True)(divided) for _ in range(2))
    assert compiled(3) == loaded(3) == 1.5
    assert compiled.stats.cache_misses
    assert loaded.stats.cache_hits
    assert not loaded.stats.cache_misses
    lines = float_lines(compiled.inspect_llvm(compiled.signatures[0]))
    assert lines
    for dispatcher in (compiled, loaded):
        (code,) = llvm_code(dispatcher)
        assert [line.replace("define linkonce_odr", "define") for line in float_lines(code)] == lines


def compile_every_kernel() -> None:
    """Run networks in every dialect on every variant, and what they leave out; what is in the cache is read from there."""
    for dialect in dialects.DIALECTS.values():
        for graph, picture in networks(dialect):
            for variant in isa.available():
                with isa.using(variant):
                    intsim.run(graph, picture)  # fused
                    intsim.run(graph, picture, lambda name, value: None)  # node by node
    ops.shift_exp([1, -1], x0=-2, n=3, dialect="ivit")
    # Without tables, because a probability might leave its format.
    window, regions, careful = [[[[0, 1], [2, 3]]]], [[0, 1]], dialects.IVIT.replace(exp_sum="wrap32")
    ops.masked_shiftmax(window, regions=regions, x0=-2, n=3, b=16, dialect=careful)
    # Kernels for values outside every format: those of a device, or results without proved bounds.
    wide = np.array([[1 << 40, -5]])
    scales = {"ma": 1, "ea": 1, "mc": 1, "ec": 1, "b": 16}
    for name, inputs, params in (
        ("requant", [wide], {"m": 1, "e": 1, "b": 16}),
        ("residual_add", [wide, wide], scales),
        ("shiftmax", [wide], {"x0": -2, "n": 3, "b": 16}),
        ("linear", [wide], {"weight": np.ones((1, 2), np.int8), "bias": np.zeros(1, np.int32)}),
    ):
        op = REGISTRY[name]
        shape = (1, 1) if name == "linear" else (1, 2)
        op.compute("fast", inputs, params, dialects.IVIT, TensorBound.full(shape, I64))


def test_no_float_in_any_compiled_kernel() -> None:
    compile_every_kernel()
    assert len(KERNELS) >= 15
    for compiled in KERNELS:
        name = f"{compiled.py_func.__module__}.{compiled.py_func.__name__}"
        codes = llvm_code(compiled)
        assert codes, f"{name} was never compiled; run it in compile_every_kernel"
        for code in codes:
            assert re.search(rf"^define .*{compiled.py_func.__name__}", code, re.MULTILINE), f"{name}: its code is not here"
            assert not float_lines(code), f"{name}: {float_lines(code)[:3]}"
