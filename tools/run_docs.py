"""Run the commands on the pages of docs/ and insert their output; with --check, only report the pages that have changed.

    python tools/run_docs.py [--check] [--show] [--only=TEXT] [PAGE ...]

Only blocks marked ``console`` are run, with --only those whose commands contain TEXT. Lines that start with ``$ `` are
commands, the others are their output. --show prints both as they are run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "docs" / name
    for name in (
        "debugging.md",
        "verification.md",
        "testing.md",
        "vectors.md",
        "ivit.md",
        "compilers.md",
        "c-reference.md",
        "proofs.md",
        "own-operator.md",
        "reference/formats.md",
        "tutorials/first-golden-file.md",
        "tutorials/integer-onnx.md",
        "tutorials/own-approximation.md",
        "own-graph.md",
        "sets.md",
    )
]
BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)


def renewed(text: str, folder: Path, only: str = "", show: bool = False) -> str:
    """The text of a page with the present output of its commands, which are run one after the other in `folder`."""
    for name in ("bench", "docs", "examples", "golden", "tools", "weights"):
        (folder / name).symlink_to(ROOT / name)
    starter = folder / "bin" / "intsim"
    starter.parent.mkdir()
    call = "from intsim.cli.main import main; main(prog_name='intsim')"
    starter.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{call}" "$@"\n')
    starter.chmod(0o755)
    path = os.pathsep.join([str(starter.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}

    def run(match: re.Match[str]) -> str:
        commands = [line for line in match.group().splitlines() if line.startswith("$ ")]
        if only not in "\n".join(commands):
            return match.group()
        lines = []
        for command in commands:
            done = subprocess.run(
                command[2:], shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            lines += [command, *(line.rstrip() for line in done.stdout.splitlines())]
            if show:
                print(command, done.stdout, sep="\n", flush=True)
            if done.returncode not in (0, 1):
                raise SystemExit(f"{command}: exit code {done.returncode}: {done.stderr}")
        return "\n".join(lines) + "\n"

    return BLOCK.sub(run, text)


def main() -> None:
    """Rewrite the pages, or check them."""
    changed = []
    only = next((argument.removeprefix("--only=") for argument in sys.argv if argument.startswith("--only=")), "")
    for page in [Path(name) for name in sys.argv[1:] if not name.startswith("--")] or PAGES:
        text = page.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            new = renewed(text, Path(folder), only, "--show" in sys.argv)
        if new != text:
            changed.append(page.name)
            if "--check" not in sys.argv:
                page.write_text(new, encoding="utf-8")
    print(f"changed: {', '.join(changed)}" if changed else "every output is up to date")
    sys.exit(bool(changed) and "--check" in sys.argv)


if __name__ == "__main__":
    main()
