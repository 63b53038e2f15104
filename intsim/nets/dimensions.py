"""The dimensions of a Segmenter, from the plain data of a configuration: every key checked, and named where it is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import IntsimError
from .real import LAYER_NORM_EPS

MASK, LINEAR = "mask_transformer", "linear"
NORMALIZATIONS = {
    "vit": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "deit": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
LARGEST_MODEL = 10**9  # parameters; ViT-L has 3e8
LARGEST = 1 << 16  # of any dimension: beyond is a slip of the pen, and would exhaust the memory
_REQUIRED = ("image_size", "patch_size", "d_model", "n_heads", "n_layers", "n_cls", "decoder", "normalization")
_OPTIONAL = (
    "name", "distilled", "l2_norm", "encoder_norm_eps", "trained_size", "window_stride", "class_names", "palette"
)  # fmt: skip


@dataclass(frozen=True)
class SegmenterConfig:
    """The dimensions of a Segmenter. `extra_tokens` is 1 (class), or 2 for a distilled encoder.

    `trained_grid` is the grid of patches that the checkpoint's position embeddings are for, where it is known.
    """

    height: int
    width: int
    patch: int
    d_model: int
    n_heads: int
    n_layers: int
    n_cls: int
    decoder: str
    decoder_layers: int
    decoder_heads: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    extra_tokens: int
    l2_norm: bool = False
    encoder_eps: float = LAYER_NORM_EPS
    trained_grid: tuple[int, int] | None = None

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches, the last ones padded where the size is not a multiple."""
        return _grid(self.height, self.width, self.patch)

    @property
    def size(self) -> int:
        """About how many parameters the model has."""
        blocks = (self.n_layers + self.decoder_layers) * 12 * self.d_model**2
        embedding = self.d_model * (3 * self.patch**2 + self.grid[0] * self.grid[1] + self.n_cls + 3 * self.d_model)
        return blocks + embedding

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> SegmenterConfig:
        """From the plain data of a configuration file; an IntsimError names the key that is wrong and what is due."""
        given = dict(config)
        if "normalisation" in given and "normalization" not in given:
            given["normalization"] = given.pop("normalisation")
        for key in given:
            if key not in _REQUIRED + _OPTIONAL:
                raise IntsimError(f"configuration: unknown key {key!r}; the keys are {', '.join(_REQUIRED + _OPTIONAL)}")
        for key in _REQUIRED:
            if key not in given:
                raise IntsimError(f"configuration: {key!r} is missing; the keys are {', '.join(_REQUIRED)}")
        numbers = _numbers(given)
        mean, std = _normalization(given["normalization"])
        for key in ("distilled", "l2_norm"):
            if not isinstance(given.get(key, False), bool):
                raise IntsimError(f"configuration: {key} is true or false, not {given[key]!r}")
        eps = given.get("encoder_norm_eps", LAYER_NORM_EPS)
        if not isinstance(eps, float) or not 0 < eps < 1:
            raise IntsimError(
                f"configuration: encoder_norm_eps is a number between 0 and 1, such as 1e-6 (in YAML 1.0e-6), not {eps!r}"
            )
        trained = _sides("trained_size", given["trained_size"]) if "trained_size" in given else None
        dimensions = cls(
            decoder=_decoder(given["decoder"])["name"],
            mean=mean,
            std=std,
            extra_tokens=2 if given.get("distilled") else 1,
            l2_norm=given.get("l2_norm", False),
            encoder_eps=eps,
            trained_grid=_grid(*trained, given["patch_size"]) if trained else None,
            **numbers,
        )
        if dimensions.size > LARGEST_MODEL:
            raise IntsimError(f"configuration: {dimensions.size:,} parameters; a model has {LARGEST_MODEL:,} at most")
        return dimensions


def _grid(height: int, width: int, patch: int) -> tuple[int, int]:
    return -(-height // patch), -(-width // patch)


def _sides(key: str, size: Any) -> tuple[Any, Any]:
    if isinstance(size, (list, tuple)) and len(size) != 2:
        raise IntsimError(f"configuration: {key} is [height, width] or one number, not {size!r}")
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    return height, width


def _numbers(given: Mapping[str, Any]) -> dict[str, int]:
    """Everything that is a whole number, checked."""
    height, width = _sides("image_size", given["image_size"])
    numbers = {"height": height, "width": width, "patch": given["patch_size"]}
    numbers |= {key: given[key] for key in ("d_model", "n_heads", "n_layers", "n_cls")}
    decoder = _decoder(given["decoder"])
    numbers["decoder_layers"] = 0 if decoder["name"] == LINEAR else decoder.get("n_layers", 2)
    numbers["decoder_heads"] = decoder.get("n_heads", given["n_heads"])
    others = {"window_stride": given["window_stride"]} if "window_stride" in given else {}
    if "trained_size" in given:
        others["trained_size height"], others["trained_size width"] = _sides("trained_size", given["trained_size"])
    for key, value in (numbers | others).items():
        if not isinstance(value, int) or isinstance(value, bool) or not (0 if "layers" in key else 1) <= value <= LARGEST:
            raise IntsimError(f"configuration: {key} must be a positive whole number, not {value!r}; {LARGEST} at most")
    if "n_cls" in decoder and decoder["n_cls"] != numbers["n_cls"]:
        raise IntsimError(f"configuration: n_cls is {numbers['n_cls']}, and {decoder['n_cls']!r} in the decoder")
    if others.get("window_stride", 1) > min(height, width):
        raise IntsimError(
            f"configuration: window_stride {others['window_stride']} leaves gaps between windows of image_size"
        )
    for key in ("n_heads", "decoder_heads"):
        if numbers["d_model"] % numbers[key]:
            raise IntsimError(f"configuration: d_model {numbers['d_model']} is not a multiple of {key} {numbers[key]}")
    return numbers


def _decoder(decoder: Any) -> dict[str, Any]:
    """The decoder's table, with its name as it is used here."""
    given = {"name": decoder} if isinstance(decoder, str) else decoder
    name = given.get("name") if isinstance(given, dict) else None
    if isinstance(given, dict) and name == LINEAR:
        return {key: given[key] for key in ("name", "n_cls") if key in given}
    if name in (MASK, "mask"):
        if unknown := given.keys() - {"name", "n_layers", "n_heads", "n_cls"}:
            raise IntsimError(
                f"configuration: unknown key {min(unknown)!r} of the decoder; its keys are name, n_layers, n_heads"
            )
        return {**given, "name": MASK}
    raise IntsimError(f'configuration: decoder {decoder!r} is neither "linear" nor {{"name": "{MASK}", "n_layers": 2}}')


def _normalization(given: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if isinstance(given, str) and given in NORMALIZATIONS:
        return NORMALIZATIONS[given]
    try:
        if not all(isinstance(given[key], (list, tuple)) for key in ("mean", "std")):
            raise TypeError
        mean, std = (tuple(float(v) for v in given[key]) for key in ("mean", "std"))
        if len(mean) == len(std) == 3 and min(std) > 0 and all(map(math.isfinite, mean + std)):
            return mean, std
    except (TypeError, KeyError, ValueError):
        pass
    names = ", ".join(NORMALIZATIONS)
    raise IntsimError(f'configuration: normalization {given!r} is none of {names}, {{"mean": [r,g,b], "std": [r,g,b]}}')
