"""Arm's TOSA reference model: ``tosa-opt`` serializes a TOSA function of `tosa_model`, ``tosa_reference_model`` runs it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..arith import AnyArray
from ..errors import IntsimError
from .tosa_model import TosaModel
from .tosa_text import TYPES

REQUIRES = "tosa-tools"


def run_reference(model: TosaModel, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """What the reference model computes from the arguments of a function, by name.

    Raises IntsimError where the tools are not installed, or with their own last line where they fail.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text, binary = folder / "model.mlir", folder / "model.tosa"
        text.write_text(model.mlir(), encoding="utf-8")
        serialized = {"tosa-serialize": None, "tosa-flatbuffer-filename": binary}
        _call("tosa-opt", str(text), "-o", "/dev/null", *_options(serialized))
        for i, argument in enumerate(model.arguments):
            np.save(folder / f"in{i}.npy", np.asarray(inputs[argument]).astype(TYPES[model.type(argument)]))
        ends = {"ifm": ("Input", "in", model.arguments), "ofm": ("Output", "out", model.results)}
        schema = next(Path(sys.prefix).rglob("bin/tosa.fbs"), None)
        where: dict[str, object] = {"operator_fbs": schema, "flatbuffer_dir": folder, "output_dir": folder}
        where |= {"tosa_file": binary.name, "tosa_level": "NONE"}
        for end, (kind, file, tensors) in ends.items():
            numbers = range(len(tensors))
            where[f"{end}_name"] = ",".join(f"Tosa{kind}_{i}" for i in numbers)
            where[f"{end}_file"] = ",".join(f"{file}{i}.npy" for i in numbers)
        _call("tosa_reference_model", *_options(where))
        return {result: np.load(folder / f"out{i}.npy") for i, result in enumerate(model.results)}


def installed() -> bool:
    """Whether the tools are there."""
    return all(_found(tool) is not None for tool in ("tosa-opt", "tosa_reference_model"))


def _found(tool: str) -> str | None:
    beside = Path(sys.executable).with_name(tool)
    return str(beside) if beside.exists() else shutil.which(tool)


def _options(given: Mapping[str, object]) -> list[str]:
    """Options of a command, those without a value as flags."""
    return [f"--{key}" if value is None else f"--{key}={value}" for key, value in given.items()]


def _call(tool: str, *arguments: str) -> None:
    command = _found(tool)
    if command is None:
        raise IntsimError(f"{tool} is not installed: pip install {REQUIRES}")
    done = subprocess.run([command, *arguments], capture_output=True, text=True)
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if "error" in line.lower()]
        raise IntsimError(f"{tool}: {lines[0] if lines else f'exit code {done.returncode}'}")
