"""Reading a float checkpoint: every tensor that the configuration requires, with its name and shape checked.

`containers` reads the file formats, `naming` maps the names of tensors.
"""

from __future__ import annotations

import hashlib
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
from ..nets.vit import MEAN, ViTConfig
from ..storage.files import file_sha256, require_file
from .containers import CHECKPOINT_SUFFIXES, META, CheckpointTensor, recorded_configuration, stored_tensors
from .hugging_face import checkpoint_files, is_hugging_face, with_folded_scales, with_our_names
from .inferred import MMSEGMENTATION_HAS, inferred_config
from .naming import MMSEGMENTATION, TIMM, TIMM_09, TRANSFORMERS, Naming, naming_of
from .published_config import configuration_beside, timm_configuration

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
    files: tuple[Path, ...] = ()  # with the weights: the checkpoint itself, or what a folder of transformers holds
    transformers: bool = False  # whether it is one of Hugging Face transformers, whose configuration is beside it

    @classmethod
    def open(cls, path: str | Path, weights: str | None = None) -> Checkpoint:
        """Open a safetensors, ``.npz`` or PyTorch file (extra ``torch``) of a network that `naming_of` supports, or a folder
        of Hugging Face transformers.

        Of several sets of weights in it, `weights` names the one to take, such as ``model_ema``; None takes the network's
        own. Raises FileError for anything else.
        """
        path = Path(path)
        if path.is_dir():
            files = checkpoint_files(path)
        else:
            require_file(path, "a checkpoint file")
            files = [path]
        found = stored_tensors(files[0], weights)
        tensors, remarks = dict(found.tensors), found.remarks()
        for shard in files[1:]:
            tensors |= stored_tensors(shard).tensors
        if transformers := is_hugging_face(tensors):
            tensors = with_our_names(path, tensors)
            remarks.append("names: those of Hugging Face transformers; queries, keys and values were joined")
        tensors, folded = with_folded_scales(path, tensors)
        if folded:
            remarks.append(f"LayerScale: {folded} of them folded into the layers before, exactly")
        naming = TRANSFORMERS if transformers else naming_of(path, tensors)
        if naming in (TIMM, TRANSFORMERS) and not any(name.startswith("head.") for name in tensors):
            if any(name.startswith("layers.") for name in tensors):
                raise FileError(f"{path}: is a Swin without its classifier, head.weight; expected the whole network")
            remarks.append("no classifier: the model gives features, the tokens behind the last layer norm")
        return cls(path, tensors, naming, tuple(remarks), tuple(files), transformers)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file; of several shards, that of their hashes."""
        hashes = [file_sha256(file) for file in self.files or (self.path,)]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()

    def completed(self, config: dict[str, Any]) -> dict[str, Any]:
        """The configuration, with keys that it leaves out set to what all checkpoints of this implementation share, or to
        what the names of tensors tell.
        """
        if config.get("pooling") == MEAN and config.get("kind") != "swin":
            config = {"fc_norm": "fc_norm.weight" in self.tensors, **config}
        return {**(MMSEGMENTATION_HAS if self.naming is MMSEGMENTATION else {}), **config}

    def own_config(self, known: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], str] | None:
        """The configuration stored in the file or inferred from its shapes, and its origin; None where neither suffices.

        `known` are keys that will be set, so that they need not be inferred.
        """
        if self.transformers:
            return configuration_beside(self.path, self.tensors, known or {})
        if (recorded := recorded_configuration(self.path)) is not None:
            try:
                keys = network_of(recorded).keys  # other keys are the author's own
                recorded = {key: value for key, value in recorded.items() if key in keys}
                dimensions_of(recorded)
            except IntsimError as error:
                raise FileError(f"{self.path}: {META}: {error}") from None
            return recorded, f"{META} in {self.path}"
        swin = any(name.startswith("layers.") for name in self.tensors)
        published = timm_configuration(self.path, swin) if self.naming in (TIMM, TIMM_09) else None
        beside = {"num_heads": None, **published[1]} if published else {}  # timm's architectures have the published heads
        if (inferred := inferred_config(self.path, self.tensors, self.naming, {**beside, **(known or {})})) is None:
            return None
        config, assumed = inferred
        if published:
            file, given = published
            if given.get("pooling") == MEAN:
                given["fc_norm"] = "fc_norm.weight" in self.tensors
            return {**config, **given}, f"{file} and the shapes; assumed: kind {config['kind']}, GELU, as published"
        return config, f"inferred from the shapes; assumed: {assumed}"

    def weights(self, config: dict[str, Any]) -> dict[str, AnyArray]:
        """The float tensors that the configuration requires, by the names in `nets`; float32 or float64.

        Position embeddings are resized to the configured picture size. Tensors that the network does not use, such as the
        classification head of a Segmenter's encoder, are left out. Raises FileError naming the first tensor that is missing,
        has the wrong shape, is not real-valued or not finite, or is not part of the configured network.
        """
        network, expected = network_of(config), parameters_of(config)
        if self.naming is TIMM_09:
            _require_whole_shifts(self.path, dimensions_of(config))
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
            weights[network.positions] = self._positions(weights[network.positions], network.of(config))
        return weights

    def resized(self, config: Mapping[str, Any]) -> str | None:
        """A sentence about position embeddings that are resized to the configured picture; None where they are not."""
        network, parsed = network_of(config), dimensions_of(config)
        tensor = self.tensors.get(self.naming.theirs(network.positions)) if network.positions else None
        if tensor is None or not isinstance(parsed, SegmenterConfig | ViTConfig):
            return None
        tokens, (rows, columns) = tensor.shape[1] - parsed.placed, parsed.grid
        if tokens == rows * columns and parsed.trained_grid in (None, parsed.grid):
            return None
        trained = _trained_grid(tokens, parsed)
        return f"position embeddings: those of {trained[0]} x {trained[1]} patches, resized to {rows} x {columns}"

    def _positions(self, value: AnyArray, config: SegmenterConfig | ViTConfig) -> AnyArray:
        """Position embeddings resized to the configured picture size, as the network's owner does it."""
        tokens = value.shape[1] - config.placed
        if isinstance(config, SegmenterConfig) and tokens == config.grid[0] * config.grid[1]:
            return value  # both Segmenters compare the number of tokens alone, not the sides of the grid
        try:
            trained = _trained_grid(tokens, config)
            return resized_positions(value, config.placed, trained, config.grid, self.naming.resizing)
        except IntsimError as error:
            raise FileError(f"{self.path}: {error}") from None


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


def _require_whole_shifts(path: Path, config: Any) -> None:
    """FileError for a grid that timm, since 0.9, shifts along one side alone: the original shifts both or none."""
    for stage in getattr(config, "stages", ()):
        if min(stage.grid) <= stage.window < max(stage.grid) and stage.depth > 1:
            rows, columns = stage.grid
            raise FileError(
                f"{path}: timm since 0.9 shifts {rows} x {columns} tokens along one side alone, where a window of "
                f"{stage.window} covers the other; that is not supported: choose another img_size"
            )


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
