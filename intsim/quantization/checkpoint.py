"""Reading a float checkpoint: every tensor that the configuration requires, with its name and shape checked.

`containers` reads the file formats, `naming` maps the names of tensors.
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
from ..storage.files import file_sha256, require_file
from .containers import CHECKPOINT_SUFFIXES, META, CheckpointTensor, recorded_configuration, stored_tensors
from .inferred import MMSEGMENTATION_HAS, inferred_config
from .naming import MMSEGMENTATION, TIMM, TIMM_09, Naming, naming_of

Grid = tuple[int, int]


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint file: its tensors, not yet read, and the convention of their names.

    `remarks` are sentences about what was chosen and changed: one of several sets of weights, a prefix of all names.
    """

    path: Path
    tensors: Mapping[str, CheckpointTensor]
    naming: Naming
    remarks: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: str | Path, weights: str | None = None) -> Checkpoint:
        """Open a safetensors, ``.npz`` or PyTorch file (extra ``torch``) of a network that `naming_of` supports.

        Of several sets of weights in it, `weights` names the one to take, such as ``model_ema``; None takes the network's
        own. Raises FileError for anything else.
        """
        path = Path(path)
        require_file(path, "a checkpoint file")
        found = stored_tensors(path, weights)
        return cls(path, found.tensors, naming_of(path, found.tensors), tuple(found.remarks()))

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file."""
        return file_sha256(self.path)

    def completed(self, config: dict[str, Any]) -> dict[str, Any]:
        """The configuration, with keys that it leaves out set to what all checkpoints of this implementation share."""
        return {**(MMSEGMENTATION_HAS if self.naming is MMSEGMENTATION else {}), **config}

    def own_config(self) -> tuple[dict[str, Any], str] | None:
        """The configuration stored in the file or inferred from its shapes, and its origin; None where neither suffices."""
        if (recorded := recorded_configuration(self.path)) is not None:
            try:
                known = network_of(recorded).keys  # other keys are the author's own
                recorded = {key: value for key, value in recorded.items() if key in known}
                dimensions_of(recorded)
            except IntsimError as error:
                raise FileError(f"{self.path}: {META}: {error}") from None
            return recorded, f"{META} in {self.path}"
        if (inferred := inferred_config(self.path, self.tensors, self.naming)) is None:
            return None
        return inferred[0], f"inferred from the shapes; assumed: {inferred[1]}"

    def weights(self, config: dict[str, Any]) -> dict[str, AnyArray]:
        """The float tensors that the configuration requires, by the names in `nets`; float32 or float64.

        Position embeddings are resized to the configured picture size. Tensors that the network does not use, such as the
        classification head of a Segmenter's encoder, are left out. Raises FileError naming the first tensor that is missing,
        has the wrong shape, is not real-valued or not finite, or is not part of the configured network.
        """
        network, expected = network_of(config), parameters_of(config)
        theirs = {name: self.naming.theirs(name) for name in expected}
        if not any(name in self.tensors for name in theirs.values()):
            hint = "; its names are timm's: the kind must be vit, deit or swin" if self.naming in (TIMM, TIMM_09) else ""
            raise FileError(
                f"{self.path}: contains none of the tensors of {network.title}, such as {next(iter(theirs.values()))}{hint}"
            )
        weights = {}
        for name, shape in expected.items():
            tensor = self.tensors.get(theirs[name])
            if tensor is None:
                raise FileError(
                    f"{self.path}: tensor {theirs[name]} is missing; the configuration requires it, {list(shape)}"
                )
            value = _value(tensor, self.naming.shape(name, shape), config, self.path, name == network.positions)
            weights[name] = self.naming.ours(name, value)
        for name in sorted(self.tensors.keys() - set(theirs.values())):
            if not self.naming.unused(name):
                raise FileError(
                    f"{self.path}: tensor {name} is not part of the configured network; check {network.structure} "
                    "against the trained network"
                )
        if network.positions is not None:
            weights[network.positions] = _positions(weights[network.positions], network.of(config), self.path)
        return weights


def read_checkpoint(path: str | Path, config: dict[str, Any], weights: str | None = None) -> tuple[dict[str, AnyArray], str]:
    """The result of `Checkpoint.weights`, and the file's SHA-256."""
    checkpoint = Checkpoint.open(path, weights)
    return checkpoint.weights(config), checkpoint.sha256


def checkpoint_behind(sha256: Any, places: Iterable[Path]) -> Path | None:
    """The checkpoint file with this hash among `places`, which are files or folders; None where there is none."""
    for place in places:
        files = sorted(path for path in place.iterdir() if path.suffix in CHECKPOINT_SUFFIXES) if place.is_dir() else [place]
        for path in files:
            if path.is_file() and file_sha256(path) == sha256:
                return path
    return None


def _value(
    tensor: CheckpointTensor, shape: tuple[int, ...], config: dict[str, Any], path: Path, resizable: bool
) -> AnyArray:
    """The tensor's values, float32 or float64; position embeddings may have any number of tokens."""
    expected = (shape[0], tensor.shape[1], shape[2]) if resizable and len(tensor.shape) == 3 else shape
    if tensor.shape != expected:
        raise FileError(
            f"{path}: tensor {tensor.name} is {list(tensor.shape)}, the configuration requires {list(shape)}"
            f"{_reason(tensor.shape, shape, config)}"
        )
    if tensor.kind not in ("F64", "F32", "F16"):
        raise FileError(
            f"{path}: tensor {tensor.name} is {tensor.kind}; expected F64, F32, F16 or BF16: convert the checkpoint"
        )
    value = tensor.read()
    if not np.isfinite(value).all():
        raise FileError(f"{path}: tensor {tensor.name} holds values that are not finite")
    return value if value.dtype == np.float64 else value.astype(np.float32, copy=False)


def _reason(actual: tuple[int, ...], expected: tuple[int, ...], config: dict[str, Any]) -> str:
    """The key of the configuration that the shape of a tensor contradicts, where there is one; as the end of a message."""
    if len(actual) != len(expected):
        return ""
    for size, configured in zip(actual, expected, strict=True):
        if size != configured:
            for key in ("n_cls", "d_model", "patch_size", "num_classes", "embed_dim"):
                if config.get(key) == configured:
                    return f": {key} is {size} in the checkpoint and {configured} in the configuration"
    return ""


def _positions(value: AnyArray, config: SegmenterConfig | ViTConfig, path: Path) -> AnyArray:
    """Position embeddings resized to the configured picture size."""
    tokens = value.shape[1] - config.extra_tokens
    try:
        return resized_positions(value, config.extra_tokens, _trained_grid(tokens, config), config.grid)
    except IntsimError as error:
        raise FileError(f"{path}: {error}") from None


def _trained_grid(tokens: int, config: SegmenterConfig | ViTConfig) -> Grid:
    """The grid of patches for which the position embeddings in the checkpoint were trained."""
    if config.trained_grid is not None:
        return config.trained_grid
    side = math.isqrt(max(tokens, 0))
    if tokens == config.grid[0] * config.grid[1]:
        return config.grid
    if side * side == tokens > 0:
        return side, side
    raise IntsimError(
        f"{tokens} position embeddings fit neither the {config.grid[0]} x {config.grid[1]} patches of the picture size nor "
        "a square; add the trained size to the configuration: trained_size [height, width]"
    )
