"""The dimensions of a Segmenter from the plain data of a configuration; every key is checked and named in errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import IntsimError
from .real import LAYER_NORM_EPS
from .settings import check_flags, check_keys, check_size, check_whole, epsilon, normalization, sides

MASK, LINEAR = "mask_transformer", "linear"
_REQUIRED = ("image_size", "patch_size", "d_model", "n_heads", "n_layers", "n_cls", "decoder", "normalization")
_OPTIONAL = (
    "kind", "name", "distilled", "l2_norm", "encoder_norm_eps", "trained_size", "window_stride", "class_names", "palette"
)  # fmt: skip
KEYS = frozenset([*_REQUIRED, *_OPTIONAL])


@dataclass(frozen=True)
class SegmenterConfig:
    """The dimensions of a Segmenter. `extra_tokens` is 1 (class), or 2 for a distilled encoder.

    `trained_grid` is the grid of patches of the checkpoint's position embeddings, where it is known.
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
        """Rows and columns of patches, padded where the size is not a multiple of the patch."""
        return _grid(self.height, self.width, self.patch)

    @property
    def placed(self) -> int:
        """How many of the extra tokens have a position: all."""
        return self.extra_tokens

    @property
    def size(self) -> int:
        """The approximate number of parameters of the model."""
        blocks = (self.n_layers + self.decoder_layers) * 12 * self.d_model**2
        embedding = self.d_model * (3 * self.patch**2 + self.grid[0] * self.grid[1] + self.n_cls + 3 * self.d_model)
        return blocks + embedding

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> SegmenterConfig:
        """Parse the plain data of a configuration file; IntsimError naming the wrong key and what is expected."""
        given = dict(config)
        if "normalisation" in given and "normalization" not in given:
            given["normalization"] = given.pop("normalisation")
        check_keys(given, _REQUIRED, _OPTIONAL)
        numbers = _whole_numbers(given)
        mean, std = normalization(given["normalization"])
        check_flags(given, "distilled", "l2_norm")
        eps = epsilon(given, "encoder_norm_eps", LAYER_NORM_EPS)
        trained = sides("trained_size", given["trained_size"]) if "trained_size" in given else None
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
        check_size(dimensions.size)
        return dimensions


def _grid(height: int, width: int, patch: int) -> tuple[int, int]:
    return -(-height // patch), -(-width // patch)


def _whole_numbers(given: Mapping[str, Any]) -> dict[str, int]:
    """All values that must be whole numbers, checked."""
    height, width = sides("image_size", given["image_size"])
    numbers = {"height": height, "width": width, "patch": given["patch_size"]}
    numbers |= {key: given[key] for key in ("d_model", "n_heads", "n_layers", "n_cls")}
    decoder = _decoder(given["decoder"])
    numbers["decoder_layers"] = 0 if decoder["name"] == LINEAR else decoder.get("n_layers", 2)
    numbers["decoder_heads"] = decoder.get("n_heads", given["n_heads"])
    others = {"window_stride": given["window_stride"]} if "window_stride" in given else {}
    if "trained_size" in given:
        others["trained_size height"], others["trained_size width"] = sides("trained_size", given["trained_size"])
    layers = {key: numbers[key] for key in numbers if "layers" in key}
    check_whole({key: value for key, value in (numbers | others).items() if key not in layers})
    check_whole(layers, may_be_zero=True)
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
    """The decoder's settings, with its canonical name."""
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
