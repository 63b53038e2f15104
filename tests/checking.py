"""Shared by tests: strategies for inputs, the comparison of both implementations with the oracle, altered golden files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from intsim import ops
from intsim.dialects import DIALECTS, RTL, Dialect
from intsim.engine.graph import hash_of
from intsim.ops import Op
from intsim.vectors.generator import generate

import oracle

I8, I16, I32 = (-128, 127), (-(2**15), 2**15 - 1), (-(2**31), 2**31 - 1)

# The same examples on every machine and every run.
searching = settings(derandomize=True, deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])

# --- comparing --------------------------------------------------------------------------------------------------------


def shown(name: str, params: dict[str, Any], face: str) -> str:
    """A call as it is shown in a failure message."""
    words = [f"{k}={v.name if isinstance(v, Dialect) else v}" for k, v in params.items() if np.ndim(v) == 0]
    return f"ops.{name}{face}(..., {', '.join(words)})"


def rows(function: Callable[[list[int]], Any], x: Any) -> Any:
    """`function` applied to every row of nested lists."""
    return function(x) if not isinstance(x[0], list) else [rows(function, part) for part in x]


def check(name: str, arrays: list[Any], params: dict[str, Any], want: Callable[[], Any], dtype: Any = None) -> None:
    """Assert that both implementations return the result of the oracle, `want`, or that both refuse what it refuses."""
    op = getattr(ops, name)
    try:
        expected = want()
    except ValueError:
        for face in (op, op.ref):
            with pytest.raises(ValueError, match=name):
                face(*arrays, **params)
        return
    results = {"": op(*arrays, **params), ".ref": op.ref(*arrays, **params)}
    for face, result in results.items():
        assert isinstance(result, np.ndarray)
        difference = oracle.difference(shown(name, params, face), result.tolist(), expected)
        assert not difference, difference
        assert result.shape == np.shape(np.array(expected, object))
        assert dtype is None or result.dtype == dtype, f"{shown(name, params, face)} is {result.dtype}, expected {dtype}"
    assert results[""].dtype == results[".ref"].dtype


def narrowest(b: int) -> Any:
    """The narrowest type for `b` bits."""
    return np.int8 if b <= 8 else np.int16 if b <= 16 else np.int32


# --- strategies -------------------------------------------------------------------------------------------------------


def integers(low: int, high: int) -> st.SearchStrategy[int]:
    """Integers of a format, with its ends and the values near 0 more frequent than by chance."""
    ends = sorted({v for v in (low, low + 1, -2, -1, 0, 1, 2, high - 1, high) if low <= v <= high})
    return st.one_of(st.sampled_from(ends), st.integers(max(low, -40), min(high, 40)), st.integers(low, high))


@st.composite
def shaped(draw: st.DrawFn, fmt: tuple[int, int], columns: int | None = None) -> Any:
    """Nested lists: rows of one length, with none, one or two leading axes."""
    leading = draw(st.sampled_from([(), (1,), (3,), (2, 2), (1, 3)]))
    n = columns or draw(st.sampled_from([1, 2, 3, 5, 8, 17]))
    size = int(np.prod([*leading, n]))
    flat = draw(st.lists(integers(*fmt), min_size=size, max_size=size))
    return np.array(flat, np.int64).reshape(*leading, n).tolist()


ARITHMETIC = [key for key in oracle.TABLE if key not in ("softmax_n", "softmax_bits", "gelu_n", "gelu_bits", "gelu")]
ALLOWED = {
    "requant_rounding": ["floor", "trunc", "half_up", "half_even", "half_away"],
    "mean_rounding": ["floor", "trunc", "half_up", "half_even", "half_away"],
    "sqrt": ["newton10", "floor"],
    "variance": ["exact", "wrap32", "wrap16"],
    "layernorm_half": ["floor", "trunc"],
    "quotient": ["floor", "trunc"],
    "half_bit": ["kept", "dropped"],
    "x0_rounding": ["floor", "trunc"],
    "exp_sum": ["saturate", "wrap32"],
    "overflow": ["exact", "wrap32", "forbid"],
}


@st.composite
def dialects(draw: st.DrawFn) -> tuple[Dialect, dict[str, Any]]:
    """One of the four dialects, or any mixture of their choices, as intsim's and as the oracle's type."""
    base = draw(st.sampled_from(list(DIALECTS)))
    choices: dict[str, Any] = {}
    if draw(st.booleans()):
        choices = {key: draw(st.sampled_from(ALLOWED[key])) for key in ARITHMETIC}
    return DIALECTS[base].replace(**choices), oracle.DIALECTS[base] | choices


BUILT_IN = [(DIALECTS[name], oracle.DIALECTS[name]) for name in DIALECTS]
MULTIPLIERS = integers(-(2**31), 2**31 - 1) | st.integers(2**30, 2**31 - 1) | st.just(2**30)
SHIFTS = integers(1, 62) | st.sampled_from([30, 31, 32])
X0S = st.sampled_from([-1, -2, -3, -7, -12, -20, -40, -77, -1024, -(2**20)]) | st.integers(-300, -1)


def per_channel(strategy: st.SearchStrategy[int], n: int) -> st.SearchStrategy[Any]:
    """One value, or one per channel."""
    return strategy | st.lists(strategy, min_size=n, max_size=n)


def test_mixtures_vary_every_choice() -> None:
    assert list(ALLOWED) == ARITHMETIC


def calls_of_vectors(op: Op, dialect: Dialect | None) -> Iterator[tuple[str, list[NDArray], dict[str, Any]]]:
    """The conformance vectors that an operator's door lets in: note, arrays and parameters."""
    names = list(op.inputs)
    for case in generate(op.name, dialect or RTL, 1, 0).cases:
        given = case.args[names[0]] if op.variadic else [case.args[name] for name in names]
        try:
            arrays = [op._checked(value, "x", op.port(i), None) for i, value in enumerate(given)]
            params = {key: op.checked_param(key, value) for key, value in case.args.items() if key not in names}
        except (ValueError, TypeError):
            continue
        yield case.note, arrays, params


# --- golden files ------------------------------------------------------------------------------------------------------


def with_its_own_hash(file: h5py.File) -> None:
    """Give a golden file the content hash of what it lists now."""
    order = {node["name"]: i for i, node in enumerate(json.loads(file["graph"][()].tobytes()))}
    listed = [
        [name, file[name].attrs["format"], file[name].attrs["shape"].tolist(), file[name].attrs["sha256"]]
        for name in sorted((name for name in file if name != "graph"), key=order.__getitem__)
    ]
    head = {"model": file.attrs["model_sha256"], "image": file.attrs["image_sha256"]}
    file.attrs["content_sha256"] = hash_of({**head, "tensors": listed})
