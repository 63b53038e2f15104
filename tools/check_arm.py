"""Run the tiles for Arm under emulation and compare their sums with plain C.

    python tools/check_arm.py

Needs a cross compiler and an emulator: Debian's gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np

from intsim.kernels.forms import DotprodBytes, Form, I8mmBytes, I8mmWeights

from emitted import compiled

PACKAGES = "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
TRIPLE, FEATURES = "aarch64-linux-gnu", "+neon,+dotprod,+i8mm"
FORMS: dict[type[Form], str] = {DotprodBytes: "sdot", I8mmBytes: "smmla", I8mmWeights: "usdot"}
DRIVER = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#define ROWS %d
#define COLUMNS %d
#define DEPTH %d
#define GROUPS 257
void tile(int64_t a, int64_t a_stride, int64_t b, int64_t groups, int64_t c, int64_t c_stride);
static %s a[ROWS][DEPTH * GROUPS];
static int8_t b[GROUPS][COLUMNS][DEPTH];
static int32_t c[ROWS][COLUMNS];
int main(void) {
    long wrong = 0, checked = 0;
    for (int round = 0; round < 400; round++) {
        long groups = round %% 4 ? 1 + rand() %% GROUPS : GROUPS;
        for (int i = 0; i < ROWS; i++) for (int k = 0; k < DEPTH * GROUPS; k++) a[i][k] = round ? rand() : -128;
        for (int g = 0; g < GROUPS; g++) for (int j = 0; j < COLUMNS; j++) for (int k = 0; k < DEPTH; k++)
            b[g][j][k] = round ? rand() : -128;
        tile((int64_t)a, sizeof a[0], (int64_t)b, groups, (int64_t)c, sizeof c[0]);
        for (int i = 0; i < ROWS; i++) for (int j = 0; j < COLUMNS; j++) {
            int32_t sum = 0;
            for (int g = 0; g < groups; g++) for (int k = 0; k < DEPTH; k++) sum += a[i][DEPTH * g + k] * b[g][j][k];
            wrong += sum != c[i][j];
            checked++;
        }
    }
    printf("%%ld sums checked, %%ld wrong\\n", checked, wrong);
    return wrong != 0;
}
"""


def main() -> None:
    missing = [tool for tool in ("aarch64-linux-gnu-gcc", "qemu-aarch64") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"{' and '.join(missing)} not found; on Debian: apt install {PACKAGES}")
    sys.exit(max(checked(form, instruction) for form, instruction in FORMS.items()))


def checked(form: type[Form], instruction: str) -> int:
    """Run the tile of one form; the exit status of its check."""
    target, module = compiled(form, TRIPLE, FEATURES)
    assembly = target.emit_assembly(module)
    print(f"{form.__name__}: {assembly.count(instruction)} {instruction} instructions in the tile", flush=True)
    rows, columns, _, group, _ = form.SIZES
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "tile.o").write_bytes(target.emit_object(module))
        (place / "main.c").write_text(DRIVER % (rows, columns, group, f"{np.dtype(form.LEFT)}_t"))
        build = ["aarch64-linux-gnu-gcc", "-O1", "-static", "main.c", "tile.o", "-o", "check"]
        subprocess.run(build, cwd=place, check=True)
        return subprocess.run(["qemu-aarch64", "-cpu", "max", "./check"], cwd=place, check=False).returncode


if __name__ == "__main__":
    main()
