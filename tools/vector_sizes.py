"""Measure the size of conformance vectors and the time to generate and score them.

    python tools/vector_sizes.py [DIALECT]

Prints a Markdown table, one row per operator. Times are measured on this machine, without the start of Python.
"""

from __future__ import annotations

import sys
import time

from intsim.dialects import resolve
from intsim.vectors import VECTOR_LEVELS, generate, score
from intsim.vectors.generator import MAKERS


def main() -> None:
    """Print the table."""
    dialect = resolve(sys.argv[1] if len(sys.argv) > 1 else "isegmenter")
    for op in MAKERS:  # compiles the kernels
        score(generate(op, dialect, 1, 0))
    print("| operator | level 1: cases | kB | ms | mutants killed | ms | level 2: cases | kB | ms |")
    print("|---|---|---|---|---|---|---|---|---|")
    for op in MAKERS:
        columns = []
        for level in VECTOR_LEVELS:
            begun = time.perf_counter()
            document = generate(op, dialect, level, 0)
            size = len(document.text())
            columns += [str(len(document.cases)), f"{size / 1000:,.0f}", f"{1000 * (time.perf_counter() - begun):.0f}"]
            if level == 1:
                begun = time.perf_counter()
                result = score(document)
                columns += [f"{len(result.killed)} of {result.counted}", f"{1000 * (time.perf_counter() - begun):.0f}"]
        print(f"| {op} | {' | '.join(columns)} |")


if __name__ == "__main__":
    main()
