"""SystemVerilog functions of scalar cores: simulated in Icarus Verilog on ends, ties and drawn arguments."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from intsim.arith import divide, round_shift, saturate, signed
from intsim.dialects import DIALECTS, Dialect
from intsim.errors import IntsimError
from intsim.languages.sv_form import CORES, bits, function, package
from intsim.ops import REGISTRY

with_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed: `make rtl` runs these")
COUNT = 1500


def drawn(name: str, draw: np.random.Generator) -> Iterator[dict[str, int]]:
    """Arguments of a core: at the ends, near powers of two, and on ties."""
    limits = CORES[name].arguments
    for _ in range(COUNT):
        found = {}
        for key, (lo, hi) in limits.items():
            most = max(hi.bit_length(), (-lo).bit_length())
            power = int(draw.choice([-1, 1])) * (1 << int(draw.integers(0, most))) + int(draw.integers(-2, 3))
            value = [lo, hi, power, int(draw.integers(lo, hi, endpoint=True))][int(draw.integers(0, 4))]
            found[key] = min(max(value, lo), hi)
        if name == "round_shift" and draw.random() < 0.4:  # a tie
            half = 1 << found["e"] >> 1
            found["p"] = min(max(half * (2 * int(draw.integers(-9, 9)) + 1), limits["p"][0]), limits["p"][1])
        if name == "requant" and draw.random() < 0.4:
            found |= {"m": 1 << 30, "e": 31, "acc": int(draw.integers(-99, 99))}
        yield found


def due(name: str, args: dict[str, int], dialect: Dialect) -> int:
    """What the reference gives."""
    if name == "round_shift":
        return int(round_shift(args["p"], args["e"], dialect.requant_rounding))
    if name == "saturate":
        return int(saturate(args["x"], signed(args["b"])))
    if name == "divide":
        return int(divide(args["a"], args["d"], dialect.quotient))
    operator = REGISTRY[name]
    arrays = [np.array([args[key]], np.int64) for key in operator.inputs]
    params = {key: args[key] for key in operator.params}
    return int(operator.intermediates(arrays, params, dialect)["out"][0])


def width(name: str, dialect: Dialect) -> int:
    """The bits of a core's result."""
    head = str(function(name, CORES[name], dialect)["head"])
    return int(head.split("[", 1)[1].split(":", 1)[0]) + 1


@with_icarus
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_functions_in_icarus(dialect: Dialect, tmp_path: Path) -> None:
    (tmp_path / "functions.sv").write_text(package(dialect), encoding="utf-8")
    draw, checks, memories = np.random.default_rng(7), [], []
    for name, core in CORES.items():
        calls = list(drawn(name, draw))
        columns: dict[str, list[int]] = {key: [call[key] for call in calls] for key in core.arguments}
        columns["due"] = [due(name, call, dialect) for call in calls]
        for key, values in columns.items():
            (tmp_path / f"{name}_{key}.hex").write_text("\n".join(f"{value & (1 << 64) - 1:016x}" for value in values))
            memories.append((f"{name}_{key}", len(values)))
        passed = ", ".join(f"{name}_{key}[i][{bits(lo, hi) - 1}:0]" for key, (lo, hi) in core.arguments.items())
        checks.append(
            f"r_{name} = p::{name}({passed}); got = r_{name};\n      if (got !== {name}_due[i]) begin wrong = wrong + 1; "
            f'$display("{name} %0d: %0d instead of %0d", i, got, {name}_due[i]); end'
        )
    declared = "\n".join(f"  logic signed [63:0] {name} [0:{count - 1}];" for name, count in memories)
    # Icarus 11 takes the result of a function for unsigned where it is extended: a variable of its type is not.
    declared += "".join(f"\n  logic signed [{width(name, dialect) - 1}:0] r_{name};" for name in CORES)
    read = "\n".join(f'    $readmemh("{name}.hex", {name});' for name, _ in memories)
    body = "\n      ".join(checks).replace("p::", f"intsim_{dialect.name.replace('-', '_')}_pkg::")
    (tmp_path / "bench.sv").write_text(
        f"module bench;\n{declared}\n  integer wrong = 0;\n  logic signed [63:0] got;\n  initial begin\n{read}\n"
        f"    for (int i = 0; i < {COUNT}; i++) begin\n      {body}\n    end\n"
        '    $display("wrong: %0d", wrong);\n  end\nendmodule\n'
    )
    subprocess.run(["iverilog", "-g2012", "-o", "bench.vvp", "functions.sv", "bench.sv"], cwd=tmp_path, check=True)
    out = subprocess.run(["vvp", "-n", "bench.vvp"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert out.splitlines()[-1] == "wrong: 0", out[:2000]


def test_what_has_no_function() -> None:
    with pytest.raises(IntsimError, match="layernorm has no SystemVerilog function; those that have: round_shift, "):
        package(DIALECTS["rtl"], ("layernorm",))
    text = package(DIALECTS["rtl"], ("saturate",))
    assert "function automatic logic signed [31:0] saturate(" in text
    assert "requant(" not in text.partition("package")[2]
