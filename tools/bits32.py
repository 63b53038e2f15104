"""Run the reference where NumPy's default integer has 32 bits: Debian's Python for i386, unpacked into a folder.

    python tools/bits32.py build/bits32

Needs apt-get, dpkg and an x86 processor that runs 32-bit programs; nothing is installed, and root is not needed. In this
Python no thread can be started and doubles have 53 bits, as in WebAssembly, whose integers have 32 bits, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).parent.parent
RELEASE, MIRROR = "trixie", "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PACKAGES = (
    "numpy",
    "h5py",
    "pytest",
    "hypothesis",
    "click",
    "rich",
    "jinja2",
    "jsonschema",
    "pil",
    "safetensors",
    "yaml",
    "onnx",
)
# Commands are left out: tests compare what they say with that of newer packages.
TESTS = (
    "arith",
    "vectors",
    "ops",
    "ops_door",
    "oracle",
    "dialects",
    "graph",
    "plan",
    "symbols",
    "trace",
    "dumps",
    "compare",
)
LEFT_OUT = "concurrent or forked"  # tests of threads
WRAPPER = """#!/bin/sh
PYTHONHOME={usr} PYTHONPATH={site}:{root}:{root}/tools exec {library}/ld-linux.so.2 \\
    --library-path {library}:{library}/blas:{library}/lapack:{library}/hdf5/serial {usr}/bin/python3 "$@"
"""
SITE = """import _thread
import ctypes
import sys
import threading


def _refused(*arguments, **options):
    raise RuntimeError("can't start new thread")


_thread.start_new_thread = _thread.start_joinable_thread = threading._start_joinable_thread = _refused
sys.executable = {python!r}
libm, environment = ctypes.CDLL("libm.so.6"), (ctypes.c_uint8 * 64)()
libm.fegetenv(environment)
environment[1] = environment[1] & ~3 | 2  # the x87 unit rounds to 53 bits, not to 64
libm.fesetenv(environment)
"""


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    missing = [tool for tool in ("apt-get", "dpkg") if shutil.which(tool) is None]
    missing += [] if KEYRING.is_file() else [str(KEYRING)]
    if missing:
        sys.exit(f"{' and '.join(missing)} not found; this needs Debian, or a system like it with debian-archive-keyring")
    python = _unpacked(folder)
    said = subprocess.run([python, "-c", "import numpy; print(numpy.array([1]).dtype)"], capture_output=True, text=True)
    if said.stdout.strip() != "int32":
        sys.exit(f"the 32-bit Python does not run here: {said.stderr.strip() or said.stdout.strip()}")
    files = [f"tests/test_{name}.py" for name in TESTS]
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", f"not ({LEFT_OUT})", *files]
    failed = subprocess.run(command, cwd=ROOT).returncode
    failed |= subprocess.run([python, "-m", "intsim", "demo", "-o", folder / "out"], cwd=ROOT).returncode
    different = _differences(folder / "out" / "golden.h5", ROOT / "golden" / "scenes.h5")
    print("\n".join(different) or "golden file: every tensor and attribute as in golden/scenes.h5, in the same types")
    others = sorted({path.name for path in (ROOT / "tests").glob("test_*.py")} - {Path(file).name for file in files})
    print(f"not run with 32 bits: {', '.join(others)}, and tests of threads ({LEFT_OUT})")
    sys.exit(bool(failed or different))


def _unpacked(folder: Path) -> Path:
    """Python and its packages in a folder, as a script that starts it."""
    python = folder / "python"
    if python.exists():
        return python
    for name in ("state/lists/partial", "cache/archives/partial", "root", "site"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "state" / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {MIRROR} {RELEASE} main\n")
    settings = {
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "state" / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "APT::Architecture": "i386",
        "APT::Architectures": "i386",
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
    }
    apt = ["apt-get", "-qq", *(part for key, value in settings.items() for part in ("-o", f"{key}={value}"))]
    subprocess.run([*apt, "update"], check=True)
    wanted = ["python3", *(f"python3-{name}" for name in PACKAGES)]
    subprocess.run([*apt, "install", "--yes", "--download-only", "--no-install-recommends", *wanted], check=True)
    for package in sorted((folder / "cache" / "archives").glob("*.deb")):
        subprocess.run(["dpkg", "-x", package, folder / "root"], check=True)
    usr, site = folder / "root" / "usr", folder / "site"
    (site / "sitecustomize.py").write_text(SITE.format(python=str(python)))
    library = usr / "lib" / "i386-linux-gnu"
    python.write_text(WRAPPER.format(usr=usr, site=site, root=ROOT, library=library))
    python.chmod(0o755)
    return python


def _differences(ours: Path, committed: Path) -> list[str]:
    """What differs in two golden files besides the version of HDF5: names, types, values, attributes and their types."""
    with h5py.File(ours) as a, h5py.File(committed) as b:
        if list(a) != list(b):
            return [f"tensors {sorted(set(a) ^ set(b))}"]
        pairs = [("the file", a, b), *((name, a[name], b[name]) for name in a)]
        found = [
            f"attribute {key} of {name}"
            for name, x, y in pairs
            for key in sorted({*x.attrs, *y.attrs} - {"hdf5"})
            if key not in x.attrs or key not in y.attrs or _typed(x.attrs, key) != _typed(y.attrs, key)
        ]
        return found + [name for name, x, y in pairs[1:] if x.dtype != y.dtype or not np.array_equal(x[()], y[()])]


def _typed(attributes: h5py.AttributeManager, key: str) -> tuple[np.dtype, object]:
    return attributes.get_id(key).dtype, np.asarray(attributes[key]).tolist()


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
