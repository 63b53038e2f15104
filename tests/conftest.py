"""Small models and pictures shared by many tests, random with fixed seeds and created once per run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import intsim
from intsim import ops
from intsim.arith.jit import HAS_COMPILER
from intsim.cli._progress import COMPILING
from intsim.cli.main import main
from intsim.engine.graph import Graph
from intsim.quantization.synth import random_picture

from networks import TINY, tiny_graph

NEED_NUMBA = [
    "test_amx.py",
    "test_compile_cache.py",
    "test_integer_only.py",
    "test_kernels.py",
    "test_threads.py",
    "emitted.py",
    "test_bench.py",
]  # whole files
NO_NUMBA = "needs compiled kernels, thus Numba"
collect_ignore = [] if HAS_COMPILER else NEED_NUMBA
COMPILED = re.compile(re.escape(COMPILING).replace(re.escape("{}"), r"\w+") + "\n")

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # many tests start a process, which would compile all modules again

# What takes more than half a minute.
LONGEST = (
    "tests/test_plan.py::test_fused_and_unfused_runs",
    "tests/test_isolate.py::test_every_rule",
    "tests/test_isolate.py::test_random_faults",
    "tests/test_cli.py::test_compiling",
    "tests/test_docs.py::test_outputs",
)


def pytest_configure() -> None:
    """Give each process of pytest-xdist one processor: kernel threads of several processes would wait for one another.

    What the number of threads could change is tested by its own tests, and by a run in one process.
    """
    number = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if number and hasattr(os, "sched_setaffinity"):
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processors[int(number) % len(processors)]})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process works on it alone at the end. Without Numba skip the tests marked
    ``kernels``; files that are about nothing else are not collected.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    if not HAS_COMPILER:
        for item in items:
            if item.get_closest_marker("kernels") is not None:
                item.add_marker(pytest.mark.skip(reason=NO_NUMBA))


@pytest.fixture(scope="module", autouse=True)
def own_operators() -> Iterator[None]:
    """A file's operators from outside are gone after it: other tests run over all operators that there are."""
    before = set(ops.REGISTRY)
    yield
    for name in set(ops.REGISTRY) - before:
        del ops.REGISTRY[name]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Without Numba say how many tests were skipped for it."""
    if not HAS_COMPILER:
        skipped = [report for report in terminalreporter.stats.get("skipped", []) if NO_NUMBA in str(report.longrepr)]
        terminalreporter.write_line(
            f"without Numba: {len(skipped)} tests that need kernels skipped, and the files {', '.join(NEED_NUMBA)}"
        )


@pytest.fixture(scope="session")
def graph() -> Graph:
    """The tiny Segmenter."""
    return tiny_graph()


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    """A random picture for the tiny Segmenter, u8 [24, 40, 3]."""
    return random_picture(TINY, 5)


@pytest.fixture(scope="session")
def model_file(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Segmenter as a model file; copy it before modifying it."""
    path = tmp_path_factory.mktemp("model") / "tiny.h5"
    intsim.save(graph, path)
    return path


@pytest.fixture(scope="session")
def picture_file(image: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random picture as a PNG."""
    path = tmp_path_factory.mktemp("picture") / "picture.png"
    Image.fromarray(image).save(path)
    return path


@pytest.fixture(scope="session")
def golden_file(graph: Graph, image: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden file of this model and picture, level full; copy it before modifying it."""
    path = tmp_path_factory.mktemp("golden") / "golden.h5"
    intsim.golden(graph, image, path, "full")
    return path


@pytest.fixture
def cli(
    tmp_path: Path,
    model_file: Path,
    picture_file: Path,
    golden_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in a folder with model.h5, picture.png and golden.h5; returns exit code, stdout, stderr."""
    for source, name in ((model_file, "model.h5"), (picture_file, "picture.png"), (golden_file, "golden.h5")):
        shutil.copy(source, tmp_path / name)
    monkeypatch.chdir(tmp_path)

    def call(line: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main.main(args=shlex.split(line), prog_name="intsim")
        assert not list(Path().rglob("*.part")), "a temporary file was left behind"
        assert isinstance(exited.value.code, int)
        out, err = capsys.readouterr()
        return exited.value.code, out, COMPILED.sub("", err)  # this line depends on the state of the cache

    return call
