"""Run tests with every other Python that pyproject.toml names and this machine has, each in an environment of its own.

    python tools/pythons.py build/pythons PYTEST-ARGUMENT ...

Other than the one that runs this tool, with which `make test` runs all tests. Interpreters are looked for on the path, and
among those of pyenv. Prints which were found, which were not, and how the tests ended; exit code 1 where they failed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
NEWER = 2  # minor versions beyond those that the classifiers name are looked for, too


def versions() -> list[str]:
    """The minor versions that the classifiers name, and the next ones, but this one."""
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
    named = [
        int(found[1]) for line in classifiers if (found := re.fullmatch(r"Programming Language :: Python :: 3\.(\d+)", line))
    ]
    return [f"3.{minor}" for minor in range(min(named), max(named) + NEWER + 1) if minor != sys.version_info.minor]


def candidates(version: str) -> Iterator[Path]:
    """Where an interpreter of a version may be."""
    for folder in os.environ["PATH"].split(os.pathsep):
        yield Path(folder) / f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python"))


def interpreter(version: str) -> Path | None:
    """The first candidate that runs, is of the version, and can make environments."""
    code = "import sys, ensurepip, venv; print('%d.%d' % sys.version_info[:2])"
    for path in candidates(version):
        if path.exists():
            done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
            if done.returncode == 0 and done.stdout.strip() == version:
                return path
    return None


def tested(python: Path, folder: Path, arguments: list[str], constraints: Path) -> str:
    """How the tests end in an environment of an interpreter."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", folder], check=True)
    own = folder / "bin" / "python"
    install = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", constraints]
    if subprocess.run([*install, "--editable", ".[test]"], cwd=ROOT, check=False).returncode:
        return "FAILED: the versions cannot be installed"
    code = subprocess.run(
        [own, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments], cwd=ROOT, check=False
    ).returncode
    return "passed" if code == 0 else f"FAILED: pytest ended with {code}"


def main() -> None:
    """Look for every version, test those found, and say both."""
    folder, arguments = Path(sys.argv[1]), sys.argv[2:]
    ends = {}
    for version in versions():
        python = interpreter(version)
        ends[version] = (
            "not found" if python is None else tested(python, folder / version, arguments, ROOT / "constraints.txt")
        )
        print(f"Python {version}: {ends[version]}", flush=True)
    print("\n" + "\n".join(f"Python {version}: {end}" for version, end in ends.items()))
    sys.exit(any(end.startswith("FAILED") for end in ends.values()))


if __name__ == "__main__":
    main()
