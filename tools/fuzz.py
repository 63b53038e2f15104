"""Damage files of every kind and run the commands on them: no crash, no hang, no memory without bound, one line on refusal.

    python tools/fuzz.py [--cases N] [--seconds S] [--seed K] [--keep FOLDER]

Every case runs in a process of its own. What fails is kept in FOLDER with the command that fails on it.
"""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click
import h5py
import numpy as np
from PIL import Image
from safetensors.numpy import save_file

import intsim
from intsim.cli.main import main as intsim_command
from intsim.quantization.synth import random_picture, random_weights
from intsim.vectors import generate

CONFIG = {
    "name": "fuzzed",
    "image_size": [16, 24],
    "patch_size": 8,
    "d_model": 16,
    "n_heads": 2,
    "n_layers": 1,
    "n_cls": 3,
    "normalization": "vit",
    "decoder": {"name": "linear"},
}
NODE = "encoder.blocks.0.norm1.requant"
PROCESSOR_SECONDS, MEMORY = 20, 2 << 30
MAP = f'[[tensor]]\ndevice = "t.{{kind}}"\nnode = "{NODE}"\n'
LONG = [b"9" * 5000, b"1e999999", b"-", b"\x00", b"\xff\xff\xff\xff", b"[" * 5000, b"inf", b"18446744073709551616"]

# The file that is damaged, and the commands that read it.
COMMANDS: dict[str, list[str]] = {
    "golden.h5": [
        "diff golden.h5 other.h5",
        "export golden.h5 -o tb --dry-run",
        f"trace golden.h5 {NODE} --at 0,0 -m model.h5",
    ],
    "other.h5": ["diff golden.h5 other.h5", "diff golden.h5 other.h5 --json --scaled"],
    "model.h5": ["inspect -m model.h5", "export model.h5 -o tb --dry-run"],
    "dump.npz": ["diff golden.h5 dump.npz"],
    "npy/" + NODE + ".npy": ["diff golden.h5 npy"],
    "raw/t.hex": ["diff golden.h5 raw --json"],
    "raw/t.txt": ["diff golden.h5 raw --json"],
    "raw/t.bin": ["diff golden.h5 raw --json"],
    "raw/map.toml": ["diff golden.h5 raw --json"],
    "tb/manifest.json": ["import tb -o back.npz", "import dut --manifest tb/manifest.json -o back.npz"],
    f"dut/{NODE}.hex": ["import dut --manifest tb/manifest.json -o back.npz"],
    "layout.toml": ["export golden.h5 --layout layout.toml -o tb2 --dry-run"],
    "dialect.toml": ["vectors gen requant --dialect dialect.toml -o v.json"],
    "config.json": ["synth --config config.json -o s.h5"],
    "vectors.json": ["vectors score vectors.json --json"],
    "picture.png": ["golden picture.png -m model.h5 -o g.h5 --level digest"],
    "c.safetensors": ["quantize c.safetensors --config config.json --calibrate picture.png -o q.h5"],
    "c.npz": ["quantize c.npz --config config.json --calibrate picture.png -o q.h5"],
}


def seeds(folder: Path) -> None:
    """Whole files of every kind."""
    import json

    weights = {name: value.astype(np.float32) for name, value in random_weights(CONFIG, 1).items()}
    graph, picture = intsim.synth(CONFIG), random_picture(CONFIG, 1)
    intsim.save(graph, folder / "model.h5")
    for name in ("golden.h5", "other.h5"):
        intsim.golden(graph, picture, folder / name)
    with h5py.File(folder / "golden.h5") as file:
        values = {name: file[name][()] for name in file if name != "graph"}
    one = values[NODE]
    np.savez_compressed(folder / "dump.npz", **values)
    for name in ("npy", "raw", "dut"):
        (folder / name).mkdir()
    np.save(folder / "npy" / f"{NODE}.npy", one)
    words = "\n".join(f"{int(v) & 255:02x}" for v in one.reshape(-1))
    (folder / "raw" / "t.hex").write_text(words)
    (folder / "raw" / "t.txt").write_text(" ".join(map(str, one.reshape(-1).tolist())))
    (folder / "raw" / "t.bin").write_bytes(one.tobytes())
    (folder / "raw" / "map.toml").write_text(MAP.format(kind="hex") + 'axes = [0, 1]\nbits = 8\nfirst = "low"\n')
    intsim.export(folder / "golden.h5", folder / "tb", formats=["hex"], layers=[NODE])
    shutil.copy(folder / "tb" / f"{NODE}.hex", folder / "dut")
    (folder / "layout.toml").write_text('name = "l"\nbeat = 64\nlanes = 4\npitch = [40]\npad = 1\naxes = [1, 0]\n')
    choices = intsim.dialects.RTL.choices()
    (folder / "dialect.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in choices.items()))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "vectors.json").write_text(generate("requant", intsim.dialects.RTL, 1, 0).text())
    Image.fromarray(picture).save(folder / "picture.png")
    save_file(weights, folder / "c.safetensors")
    np.savez(folder / "c.npz", **weights)  # type: ignore[arg-type]


# --- damage -----------------------------------------------------------------------------------------------------------


def _flip(content: bytearray, draw: random.Random) -> None:
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def _extreme(content: bytearray, draw: random.Random) -> None:
    content[draw.randrange(len(content))] = draw.choice((0, 1, 0x7F, 0x80, 0xFF))


def _cut(content: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(content))
    del content[start : start + draw.choice((1, 4, 8, 64, len(content)))]


def _repeat(content: bytearray, draw: random.Random) -> None:
    start, size = draw.randrange(len(content)), draw.choice((1, 4, 8, 64))
    content[start:start] = content[start : start + size]


def _swap(content: bytearray, draw: random.Random) -> None:
    size = draw.choice((1, 4, 8, 16))
    a, b = (draw.randrange(max(len(content) - size, 1)) for _ in range(2))
    content[a : a + size], content[b : b + size] = content[b : b + size], content[a : a + size]


def _long(content: bytearray, draw: random.Random) -> None:
    """A number, or any place, replaced by something without end."""
    numbers = [match.span() for match in re.finditer(rb"\d+", bytes(content[:20000]))]
    start, stop = draw.choice(numbers) if numbers and draw.random() < 0.7 else [draw.randrange(len(content))] * 2
    content[start:stop] = draw.choice(LONG)


MUTATORS: list[Callable[[bytearray, random.Random], None]] = [_flip, _flip, _flip, _extreme, _cut, _repeat, _swap, _long]


def damaged(whole: bytes, draw: random.Random) -> bytes:
    """The content of a file with one to three damages."""
    content = bytearray(whole)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        if content:
            draw.choice(MUTATORS)(content, draw)
    return bytes(content)


# --- one case ---------------------------------------------------------------------------------------------------------


def outcome(command: str, folder: Path) -> str:
    """What is wrong with a command's end; "" where it ended as it should."""
    said = folder.parent / f"said-{os.getpid()}"
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(command, folder, said)
    while True:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() - begun > 6 * PROCESSOR_SECONDS:
            os.kill(child, 9)
            os.waitpid(child, 0)
            return "it waits for ever"
        time.sleep(0.001)
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    code, text = os.WEXITSTATUS(status), said.read_text(errors="replace")
    said.unlink()
    if code not in (0, 1, 2):
        return f"exit code {code}: {text[-300:]}"
    if used.ru_maxrss * 1024 > MEMORY:
        return f"{used.ru_maxrss >> 10:,} MB of memory"
    lines = [line for line in text.splitlines() if "Compiling the integer kernels" not in line]
    if code == 2 and len([line for line in lines if line.startswith("intsim: ")]) > 1:
        return f"more than one line: {text[:300]}"
    if left := [path.name for path in folder.rglob("*.part")]:
        return f"left behind: {left[0]}"
    return ""


def _become(command: str, folder: Path, said: Path) -> None:
    """The command, in this process, which ends with it."""
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    os.chdir(folder)
    handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(handle, 2)
    code = 70
    try:
        intsim_command.main(args=command.split(), prog_name="intsim")
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001  reported as a failure by its exit code
        pass
    sys.stderr.flush()
    os._exit(code)


@click.command()
@click.option("--cases", default=100_000, show_default=True)
@click.option("--seconds", default=3600.0, show_default=True, help="Stop after so long.")
@click.option("--seed", default=0, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), default=Path("out/fuzz"), show_default=True)
def main(cases: int, seconds: float, seed: int, keep: Path) -> int:
    """Damage files of every kind and run the commands on them."""
    draw, begun, failures = random.Random(seed), time.monotonic(), 0
    tried: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="intsim-fuzz-") as name:
        whole, work = Path(name) / "whole", Path(name) / "work"
        whole.mkdir()
        seeds(whole)
        for commands in COMMANDS.values():
            for command in commands:  # the whole files must do
                shutil.copytree(whole, work)
                if problem := outcome(command, work):
                    raise click.ClickException(f"{command} on whole files: {problem}")
                shutil.rmtree(work)
        shutil.copytree(whole, work)
        for number in range(cases):
            if time.monotonic() - begun > seconds:
                break
            file = draw.choice(list(COMMANDS))
            command = draw.choice(COMMANDS[file])
            (work / file).write_bytes(damaged((whole / file).read_bytes(), draw))
            tried[file] += 1
            if problem := outcome(command, work):
                failures += 1
                keep.mkdir(parents=True, exist_ok=True)
                kept = keep / f"{seed}-{number}-{Path(file).name}"
                shutil.copy(work / file, kept)
                click.echo(f"{kept}: {command}: {problem}")
            (work / file).unlink()
            shutil.copy(whole / file, work / file)
            if number % 500 == 499:
                shutil.rmtree(work)
                shutil.copytree(whole, work)
    took, number = time.monotonic() - begun, sum(tried.values())
    click.echo(f"{number:,} cases of {len(tried)} kinds of files in {took:,.0f} s: {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(standalone_mode=False))
