"""The cache of compiled kernels: damaged files are compiled again and replaced, and never loaded."""

from __future__ import annotations

import importlib.util
import itertools
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core import event

from intsim import memory
from intsim.arith import compile_cache, jit

SOURCE = """
from intsim.arith.jit import kernel

@kernel
def twice(x):
    return x + x

@kernel
def thrice(x):
    return x + twice(x)
"""
numbers = itertools.count()
pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the compiler is switched off, so nothing is cached")


class Count(event.Listener):
    """How many compilations there were."""

    def __init__(self) -> None:
        self.count = 0

    def on_start(self, event: Any) -> None:
        self.count += 1

    def on_end(self, event: Any) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for compiled code, empty."""
    folder = tmp_path / "cache" / "key"
    folder.mkdir(parents=True)
    monkeypatch.setattr(jit, "cache_folder", lambda: folder)
    monkeypatch.setattr(jit, "KERNELS", [])
    jit._writable.cache_clear()
    return folder


def compiled(folder: Path) -> int:
    """Use both kernels as a new process would, check them, and return how many compilations that took."""
    path = folder.parent / "kernels_of_a_test.py"
    if not path.exists():
        path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location(f"kernels_of_a_test_{next(numbers)}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    listener = Count()
    with event.install_listener("numba:compile", listener):
        np.testing.assert_array_equal(module.thrice(np.arange(5)), 3 * np.arange(5))
        np.testing.assert_array_equal(module.twice(np.arange(5)), 2 * np.arange(5))
    return listener.count


def files(folder: Path, suffix: str) -> list[Path]:
    return sorted(path for path in folder.rglob(f"*{suffix}") if path.is_file())


def each(suffix: str, edit: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        for path in files(folder, suffix):
            path.write_bytes(edit(path.read_bytes()))

    return damage


def exchanged(suffix: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        first, second = files(folder, suffix)[:2]
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)

    return damage


def removed(suffix: str) -> Callable[[Path], None]:
    return lambda folder: [path.unlink() for path in files(folder, suffix)] and None


def folders(suffix: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        for path in files(folder, suffix):
            path.unlink()
            path.mkdir()
            (path / "inside").write_text("")

    return damage


def pipes(suffix: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        for path in files(folder, suffix):
            path.unlink()
            os.mkfifo(path)

    return damage


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploded",)


DAMAGE = {
    "code cut in half": each(".nbc", lambda b: b[: len(b) // 2]),
    "code cut by a byte": each(".nbc", lambda b: b[:-1]),
    "code empty": each(".nbc", lambda b: b""),
    "a bit of code flipped": each(".nbc", lambda b: b[: len(b) // 2] + bytes([b[len(b) // 2] ^ 1]) + b[len(b) // 2 + 1 :]),
    "the last bit of code flipped": each(".nbc", lambda b: b[:-1] + bytes([b[-1] ^ 1])),
    "code of zeros": each(".nbc", lambda b: bytes(len(b))),
    "code of another function": exchanged(".nbc"),
    "code as Numba stores it": each(".nbc", lambda b: b[32:]),
    "no code": removed(".nbc"),
    "index cut": each(".nbi", lambda b: b[: len(b) // 2]),
    "index flipped": each(".nbi", lambda b: b[:40] + bytes([b[40] ^ 8]) + b[41:]),
    "index empty": each(".nbi", lambda b: b""),
    "index of another function": exchanged(".nbi"),
    "no index": removed(".nbi"),
    "folders for code": folders(".nbc"),
    "folders for indices": folders(".nbi"),
    "pipes for code": pipes(".nbc"),
    "pipes for indices": pipes(".nbi"),
    "a pickle that calls a function": each("", lambda b: pickle.dumps(Bomb())),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_entries_are_compiled_again(damage: Callable[[Path], None], cache: Path) -> None:
    first = compiled(cache)
    assert first >= 2
    assert compiled(cache) == 0
    damage(cache)
    assert compiled(cache) >= 1
    assert not Path("exploded").exists()
    assert compiled(cache) == 0, "what was damaged has been replaced"


def test_damage_is_logged(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "intsim")
    compiled(cache)
    assert not caplog.records
    DAMAGE["a bit of code flipped"](cache)
    compiled(cache)
    assert {record.name for record in caplog.records} == {"intsim.arith.compile_cache"}
    assert all(record.getMessage().endswith(".nbc is damaged; its kernel is compiled again") for record in caplog.records)


def test_entries_that_cannot_be_read_or_replaced_cost_only_time(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError("not yours")

    compiled(cache)
    monkeypatch.setattr(Path, "read_bytes", refused)
    monkeypatch.setattr(compile_cache.VerifiedFiles, "_open_for_write", refused)
    assert compiled(cache) >= 1
    assert compiled(cache) >= 1


def test_without_memory_for_the_compiler_it_is_not_begun(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LLVM ends the process where it gets none."""
    monkeypatch.setattr(memory, "limit", lambda: memory._status("VmSize") + (1 << 20))
    with pytest.raises(MemoryError):
        compiled(cache)


def test_the_first_folder_that_can_be_written_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "second"))
    for function in (jit.cache_folder, jit._writable):
        function.cache_clear()
    try:
        wanted, found = (tmp_path / name / "intsim" for name in ("file", "second"))
        assert jit.cache_folder().parent == found
        assert jit.cache_remark() == f"{wanted} cannot be written; compiled kernels are kept in {found}"
        assert found.stat().st_mode & 0o077 == 0, "nobody else may put code there"
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "second"))
        for function in (jit.cache_folder, jit._writable):
            function.cache_clear()
        assert jit.cache_remark() == ""
    finally:
        monkeypatch.undo()
        for function in (jit.cache_folder, jit._writable):
            function.cache_clear()
