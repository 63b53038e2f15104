"""Reading a float checkpoint: every tensor that the configuration asks for, checked name by name and shape by shape.

Where the tensors lie in their file is the business of `containers`, what they are called that of `naming`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arith import AnyArray
from ..errors import FileError, IntsimError
from ..nets.networks import dimensions_of, network_of, parameters_of
from ..nets.positions import resized_positions
from ..nets.segmenter import SegmenterConfig
from ..nets.vit import ViTConfig
from ..storage.files import file_sha256
from .containers import META, SUFFIXES, CheckpointTensor, recorded_configuration, stored_tensors
from .inferred import MMSEGMENTATION_HAS, inferred_config
from .naming import MMSEGMENTATION, TIMM, TIMM_09, Naming, naming_of

Grid = tuple[int, int]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file, opened: its tensors, not yet read, and whose names they bear."""

    path: Path
    tensors: Mapping[str, CheckpointTensor]
    naming: Naming

    @classmethod
    def open(cls, path: str | Path) -> Checkpoint:
        """Takes safetensors, ``.npz`` and PyTorch files (extra ``torch``) of the networks that `naming_of` knows; FileError
        for anything else.
        """
        path = Path(path)
        if path.is_dir():
            raise FileError(f"{path}: is a folder; a checkpoint file is due")
        if not path.is_file():
            raise FileError(f"{path}: there is no such file")
        tensors = stored_tensors(path)
        return cls(path, tensors, naming_of(path, tensors))

    @property
    def sha256(self) -> str:
        """Of the file."""
        return file_sha256(self.path)

    def completed(self, config: dict[str, Any]) -> dict[str, Any]:
        """The configuration, with what all checkpoints of this implementation have in common where it does not say."""
        return {**(MMSEGMENTATION_HAS if self.naming is MMSEGMENTATION else {}), **config}

    def own_config(self) -> tuple[dict[str, Any], str] | None:
        """The configuration that the file says of itself, or that its shapes tell, and where it comes from; None where
        neither tells enough.
        """
        if (said := recorded_configuration(self.path)) is not None:
            try:
                said = {key: value for key, value in said.items() if key in network_of(said).keys}  # the rest is its maker's
                dimensions_of(said)
            except IntsimError as error:
                raise FileError(f"{self.path}: {META}: {error}") from None
            return said, f"{META} in {self.path}"
        if (told := inferred_config(self.path, self.tensors, self.naming)) is None:
            return None
        return told[0], f"told by the shapes; taken for granted: {told[1]}"

    def weights(self, config: dict[str, Any]) -> dict[str, AnyArray]:
        """The float tensors the configuration asks for, by the names in `nets`; float32 or float64.

        Position embeddings are resized to the configuration's picture. FileError names the first tensor that is missing,
        misshapen, not real-valued, not finite, or has no place in the configuration; what the network does not use, such as
        the classification head of a Segmenter's encoder, is left out.
        """
        network, due = network_of(config), parameters_of(config)
        theirs = {name: self.naming.theirs(name) for name in due}
        if not any(name in self.tensors for name in theirs.values()):
            way = "; its names are timm's, whose kind is vit, deit or swin" if self.naming in (TIMM, TIMM_09) else ""
            raise FileError(
                f"{self.path}: holds none of the tensors of {network.title}, such as {next(iter(theirs.values()))}{way}"
            )
        weights = {}
        for name, shape in due.items():
            tensor = self.tensors.get(theirs[name])
            if tensor is None:
                raise FileError(
                    f"{self.path}: tensor {theirs[name]} is missing; the configuration asks for it, {list(shape)}"
                )
            value = _value(tensor, self.naming.shape(name, shape), config, self.path, name == network.positions)
            weights[name] = self.naming.ours(name, value)
        for name in sorted(self.tensors.keys() - set(theirs.values())):
            if not self.naming.unused(name):
                raise FileError(
                    f"{self.path}: tensor {name} has no place in the configuration; do {network.structure} say "
                    "what was trained?"
                )
        if network.positions is not None:
            weights[network.positions] = _positions(weights[network.positions], network.of(config), self.path)
        return weights


def read_checkpoint(path: str | Path, config: dict[str, Any]) -> tuple[dict[str, AnyArray], str]:
    """What `Checkpoint.weights` gives, and the file's SHA-256."""
    checkpoint = Checkpoint.open(path)
    return checkpoint.weights(config), checkpoint.sha256


def checkpoint_behind(sha256: Any, places: Iterable[Path]) -> Path | None:
    """The checkpoint file with this hash among `places`, which are files, or folders that may hold it."""
    for place in places:
        files = sorted(path for path in place.iterdir() if path.suffix in SUFFIXES) if place.is_dir() else [place]
        for path in files:
            if path.is_file() and file_sha256(path) == sha256:
                return path
    return None


def _value(
    tensor: CheckpointTensor, shape: tuple[int, ...], config: dict[str, Any], path: Path, resizable: bool
) -> AnyArray:
    """The tensor's values, float32 or float64; position embeddings may have any number of tokens."""
    wanted = (shape[0], tensor.shape[1], shape[2]) if resizable and len(tensor.shape) == 3 else shape
    if tensor.shape != wanted:
        raise FileError(
            f"{path}: tensor {tensor.name} is {list(tensor.shape)}, the configuration asks for {list(shape)}"
            f"{_reason(tensor.shape, shape, config)}"
        )
    if tensor.kind not in ("F64", "F32", "F16"):
        raise FileError(f"{path}: tensor {tensor.name} is {tensor.kind}; F64, F32 or F16 are due, convert the checkpoint")
    value = tensor.read()
    if not np.isfinite(value).all():
        raise FileError(f"{path}: tensor {tensor.name} holds values that are not finite")
    return value if value.dtype == np.float64 else value.astype(np.float32, copy=False)


def _reason(found: tuple[int, ...], due: tuple[int, ...], config: dict[str, Any]) -> str:
    """The key of the configuration that a misshapen tensor contradicts, where one says what the shape does not."""
    if len(found) != len(due):
        return ""
    for held, wanted in zip(found, due, strict=True):
        if held != wanted:
            for key in ("n_cls", "d_model", "patch_size", "num_classes", "embed_dim"):
                if config.get(key) == wanted:
                    return f": {key} is {held} there and {wanted} here"
    return ""


def _positions(value: AnyArray, config: SegmenterConfig | ViTConfig, path: Path) -> AnyArray:
    """Position embeddings for the configuration's picture size."""
    tokens = value.shape[1] - config.extra_tokens
    try:
        return resized_positions(value, config.extra_tokens, _trained_grid(tokens, config), config.grid)
    except IntsimError as error:
        raise FileError(f"{path}: {error}") from None


def _trained_grid(tokens: int, config: SegmenterConfig | ViTConfig) -> Grid:
    """The grid of patches that the position embeddings in the checkpoint are for."""
    if config.trained_grid is not None:
        return config.trained_grid
    side = math.isqrt(max(tokens, 0))
    if tokens == config.grid[0] * config.grid[1]:
        return config.grid
    if side * side == tokens > 0:
        return side, side
    raise IntsimError(
        f"{tokens} position embeddings are neither those of {config.grid[0]} x {config.grid[1]} patches, as the picture's "
        "size says, nor of a square; add the size that was trained to the configuration: trained_size [height, width]"
    )
