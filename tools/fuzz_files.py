"""The whole files that `fuzz` damages, and the commands that read them."""

from __future__ import annotations

import json
import shutil
import zipfile
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from safetensors.numpy import save_file

import intsim
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
PYTORCH = "c.pth"  # left out where torch is missing; its cases keep their numbers
MAP = f'[[tensor]]\ndevice = "t.{{kind}}"\nnode = "{NODE}"\n'
HAS_TORCH = find_spec("torch") is not None

# The file that is damaged, and the commands that read it.
COMMANDS: dict[str, list[str]] = {
    "golden.h5": [
        "diff golden.h5 other.h5",
        "export golden.h5 -o tb --dry-run",
        f"trace golden.h5 {NODE} --at 0,0 -m model.h5",
        f"synth-fault golden.h5 --node {NODE} --rule n-1 -m model.h5 -o fault.h5",
    ],
    "other.h5": ["diff golden.h5 other.h5", "diff golden.h5 other.h5 --json --scaled"],
    "model.h5": ["inspect -m model.h5", "export model.h5 -o tb --dry-run"],
    "plain.h5": ["diff golden.h5 plain.h5", "diff golden.h5 plain.h5 --isolated -m model.h5"],
    "digests.json": ["diff digests.json other.h5", "diff golden.h5 digests.json"],
    "dump.npz": ["diff golden.h5 dump.npz"],
    "lzma.npz": ["diff golden.h5 lzma.npz"],
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
    "answers.json": ["vectors check answers.json --json"],
    "scenes/a.png": ["eval scenes -m model.h5 --integers --json"],
    "scenes/a_labels.png": ["eval scenes -m model.h5 --integers"],
    "picture.png": ["run picture.png -m model.h5 -o l.png", "golden picture.png -m model.h5 -o g.h5 --level digest"],
    "c.safetensors": ["quantize c.safetensors --config config.json --calibrate picture.png -o q.h5"],
    "c.npz": ["quantize c.npz --config config.json --calibrate picture.png -o q.h5"],
    PYTORCH: ["quantize c.pth --config config.json --calibrate picture.png -o q.h5"],
}


def seeds(folder: Path) -> None:
    """Whole files of every kind."""
    weights = {name: value.astype(np.float32) for name, value in random_weights(CONFIG, 1).items()}
    graph, picture = intsim.synth(CONFIG), random_picture(CONFIG, 1)
    intsim.save(graph, folder / "model.h5")
    for name in ("golden.h5", "other.h5"):
        intsim.golden(graph, picture, folder / name)
    with h5py.File(folder / "golden.h5") as file:
        values = {name: file[name][()] for name in file if name != "graph"}
    one = values[NODE]
    np.savez_compressed(folder / "dump.npz", **values)
    with h5py.File(folder / "plain.h5", "w") as file:  # as h5py writes by itself: the oldest format, without checksums
        file.attrs["device"] = "a board"
        for name, value in values.items():
            file.create_dataset(name, data=value, compression="gzip" if value.size > 99 else None).attrs["unit"] = "one"
    with zipfile.ZipFile(folder / "lzma.npz", "w", zipfile.ZIP_LZMA) as archive:
        for name, value in values.items():
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, value)
    intsim.golden(graph, picture, folder / "digests.json", "digest")
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
    vectors = generate("requant", intsim.dialects.RTL, 1, 0).text()
    (folder / "vectors.json").write_text(vectors)
    answers = json.loads(vectors)
    for case in answers["cases"]:
        case["got"] = case.get("expect", "invalid")
    (folder / "answers.json").write_text(json.dumps(answers))
    Image.fromarray(picture).save(folder / "picture.png")
    (folder / "scenes").mkdir()
    Image.fromarray(picture).save(folder / "scenes" / "a.png")
    Image.fromarray((picture[..., 0] % CONFIG["n_cls"]).astype(np.uint8)).save(folder / "scenes" / "a_labels.png")
    save_file(weights, folder / "c.safetensors")
    np.savez(folder / "c.npz", **weights)  # type: ignore[arg-type]
    if HAS_TORCH:
        import torch

        torch.save({name: torch.from_numpy(value) for name, value in weights.items()}, folder / PYTORCH)
