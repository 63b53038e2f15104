"""Where Numba is missing everything computes by the reference: the same integers, one remark, and no benchmark."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MISSING = "intsim: Numba is not installed: results are the same, but computing takes tens of times as long\n"
BLOCKED = "import sys; sys.modules['numba'] = sys.modules['llvmlite'] = None"
BROKEN = "def __getattr__(name): pass\nraise ImportError('Numba needs NumPy 2.4 or less')"
THREADLESS = """
import threading
def start(thread): raise RuntimeError("can't start new thread")
threading.Thread.start = start
"""
SHIFTMAX = "from intsim import ops; print(ops.shiftmax([[0, 20, 40]], x0=-20, n=15, b=16, dialect='rtl').tolist())"


def python(arguments: str, folder: Path, *modules: tuple[str, str]) -> subprocess.CompletedProcess[str]:
    """Run Python in `folder` with modules that come first on its path; ``sitecustomize`` runs before anything else."""
    first = folder / "first"
    first.mkdir(exist_ok=True)
    for name, code in modules:
        (first / f"{name}.py").write_text(code)
    path = os.pathsep.join([str(first), str(Path(__file__).parent.parent)])
    command = [sys.executable, *shlex.split(arguments)]
    return subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)


def blocked(arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in `folder` as if Numba were not installed."""
    return python(arguments, folder, ("sitecustomize", BLOCKED))


@pytest.fixture
def folder(tmp_path: Path, model_file: Path, picture_file: Path, golden_file: Path) -> Path:
    for source, name in ((model_file, "model.h5"), (picture_file, "picture.png"), (golden_file, "golden.h5")):
        shutil.copy(source, tmp_path / name)
    return tmp_path


def test_both_faces_of_an_operator_and_one_remark(tmp_path: Path) -> None:
    code = f"{SHIFTMAX}; {SHIFTMAX}; {SHIFTMAX.replace('shiftmax(', 'shiftmax.ref(')}"
    done = blocked(f"-W error -c {shlex.quote(code)}", tmp_path)
    assert done.stdout == 3 * "[[3050, 8488, 21220]]\n"
    assert done.stderr == MISSING.removeprefix("intsim: ")


def test_the_reference_alone_needs_no_remark(tmp_path: Path) -> None:
    done = blocked(f"-c {shlex.quote(SHIFTMAX.replace('shiftmax(', 'shiftmax.ref('))}", tmp_path)
    assert (done.stdout, done.stderr) == ("[[3050, 8488, 21220]]\n", "")


def test_the_remark_is_a_warning_of_the_logger(tmp_path: Path) -> None:
    code = f"import logging; logging.basicConfig(format='%(levelname)s %(name)s'); {SHIFTMAX}"
    assert blocked(f"-c {shlex.quote(code)}", tmp_path).stderr == "WARNING intsim\n"


def test_a_numba_that_cannot_be_imported_is_said_to_be(tmp_path: Path) -> None:
    done = python(f"-c {shlex.quote(SHIFTMAX)}", tmp_path, ("numba", BROKEN))
    assert done.stdout == "[[3050, 8488, 21220]]\n"
    assert done.stderr.startswith("Numba cannot be imported (Numba needs NumPy 2.4 or less): results are the same")


def test_the_demo_is_bit_exact(tmp_path: Path) -> None:
    done = blocked("-m intsim demo -o out", tmp_path)
    assert (done.returncode, done.stderr) == (0, MISSING)
    assert "bit-exact: 71 tensors" in done.stdout


def test_a_golden_file_has_the_same_bytes(folder: Path) -> None:
    done = blocked("-m intsim golden picture.png -m model.h5 --level full -o made.h5", folder)
    assert (done.returncode, done.stderr) == (0, MISSING)
    assert (folder / "made.h5").read_bytes() == (folder / "golden.h5").read_bytes()


def test_a_golden_file_without_threads_has_the_same_bytes(folder: Path) -> None:
    """Python in WebAssembly can start no thread."""
    line = "-m intsim golden picture.png -m model.h5 --level full -o made.h5"
    for code in (THREADLESS, BLOCKED + THREADLESS):
        done = python(line, folder, ("sitecustomize", code))
        assert done.returncode == 0, done.stderr
        assert (folder / "made.h5").read_bytes() == (folder / "golden.h5").read_bytes()
        (folder / "made.h5").unlink()


def test_json_has_no_company(folder: Path) -> None:
    done = blocked("-m intsim diff golden.h5 golden.h5 -m model.h5 --isolated --json", folder)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fault_is_found_and_named(folder: Path) -> None:
    node = "encoder.blocks.0.attn.softmax"
    fault = f"-m intsim synth-fault golden.h5 -m model.h5 --node {node} --rule half_bit=dropped -o dut.h5"
    assert blocked(fault, folder).returncode == 0
    done = blocked("-m intsim diff golden.h5 dut.h5 -m model.h5 --isolated", folder)
    assert (done.returncode, done.stderr) == (1, MISSING)
    assert f"different: 1 culprit: {node}" in done.stdout
    assert "half_bit `dropped` instead of" in done.stdout


@pytest.mark.parametrize(
    "line",
    [
        "export golden.h5 --layout axi128 --package sv -o {}",
        "export model.h5 --reference c -o {}",
        "export --reference sv -o {}",
        "export model.h5 --onnx {}/net.onnx --inline",
        "trace golden.h5 encoder.blocks.0.attn.softmax --at 0,1,2 -m model.h5 -o {}/trace.txt",
        "vectors gen shiftmax --dialect rtl -o {}/vectors.json",
        "synth seg-s16-mask@32 -o {}/made.h5",
        "run picture.png -m model.h5 -o {}/labels.png",
    ],
)
def test_commands_write_the_same(folder: Path, line: str) -> None:
    if "--onnx" in line:
        pytest.importorskip("onnx")
    written = []
    for name, run in (("a", blocked), ("b", python)):
        if "{}/" in line:
            (folder / name).mkdir()
        else:
            (folder / "first").mkdir(exist_ok=True)
        (folder / "first" / "sitecustomize.py").unlink(missing_ok=True)
        done = run(f"-m intsim {line.format(name)}", folder)
        assert done.returncode == 0, done.stderr
        files = sorted(path for path in (folder / name).rglob("*") if path.is_file())
        written.append([(path.relative_to(folder / name), path.read_bytes()) for path in files])
    assert written[0] == written[1]
    assert written[0]


def test_results_have_the_types_of_the_reference(tmp_path: Path) -> None:
    code = (
        "from intsim import ops; from intsim.arith.jit import HAS_COMPILER; import numpy as np\n"
        "draw = np.random.default_rng(0)\n"
        "for name, x in (('shiftmax', draw.integers(-128, 128, (4, 9))), ('shiftgelu', draw.integers(-128, 128, (4, 9)))):\n"
        "    op = getattr(ops, name); p = dict(x0=-20, n=10, b=8, dialect='ivit')\n"
        "    assert (op(x, **p) == op.ref(x, **p)).all() and op(x, **p).dtype == op.ref(x, **p).dtype\n"
        "print(HAS_COMPILER)\n"
    )
    assert blocked(f"-c {shlex.quote(code)}", tmp_path).stdout == "False\n"


@pytest.mark.parametrize("line", ["bench", "bench --json", "bench --synth deit-s@32"])
def test_bench_refuses(tmp_path: Path, line: str) -> None:
    done = blocked(f"-m intsim {line}", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "intsim: intsim bench needs Numba, which is not installed; install it with: pip install numba\n"
