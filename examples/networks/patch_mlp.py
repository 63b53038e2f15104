"""A network from outside: patches through one hidden layer, averaged and classified.

    intsim --plugin examples/networks/patch_mlp.py quantize w.safetensors --config config.json --calibrate p.png

Its configuration has ``"kind": "patch-mlp"``. A package would name `NETWORK` as an entry point of the group
``intsim.networks``, and would not call `add_network`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from intsim.errors import IntsimError
from intsim.nets.blocks import (
    Shapes,
    Weights,
    embedded_patches,
    embedding_parameters,
    linear_parameters,
    norm,
    norm_parameters,
    pixels,
)
from intsim.nets.networks import Network, add_network
from intsim.nets.real import CLASS_LOGITS, RESIDUAL, RealGraph

KEYS = frozenset({"kind", "name", "img_size", "patch_size", "embed_dim", "num_classes"})


@dataclass(frozen=True)
class PatchMLPConfig:
    """The dimensions: picture size, patch size, channels D, classes K."""

    height: int
    width: int
    patch: int
    channels: int
    classes: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> PatchMLPConfig:
        """The dimensions in a configuration. Raises IntsimError naming a key that is missing or unknown."""
        if wrong := KEYS.symmetric_difference({*config, "name"}):
            raise IntsimError(f"configuration: {min(wrong)!r} is {'unknown' if min(wrong) in config else 'missing'}")
        height, width = config["img_size"]
        return cls(height, width, config["patch_size"], config["embed_dim"], config["num_classes"])


def parameters(config: PatchMLPConfig) -> Shapes:
    """The names and shapes of the tensors that a checkpoint must contain."""
    d = config.channels
    shapes = embedding_parameters("", d, config.patch) | norm_parameters("norm", d)
    return shapes | linear_parameters("fc", 2 * d, d) | linear_parameters("head", config.classes, 2 * d)


def patch_mlp(config: PatchMLPConfig, weights: Weights) -> RealGraph:
    """The whole network; shapes in comments with N patches, D channels, K classes."""
    net = RealGraph()
    x = pixels(net, "input", config.height, config.width, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # (H, W, 3)
    x = embedded_patches(net, "", x, config.patch, weights, RESIDUAL)  # (N, D)
    x = norm(net, "norm", x, weights)
    x = net.linear("fc", x, weights["fc.weight"], weights["fc.bias"])  # (N, 2D)
    x = net.node("act", "gelu", x)
    x = net.node("pooled", "mean", x)  # (2D,)
    net.linear("head", x, weights["head.weight"], weights["head.bias"], CLASS_LOGITS)  # (K,)
    return net


NETWORK = Network(
    title="a patch MLP",
    of=PatchMLPConfig.of,
    parameters=parameters,
    build=patch_mlp,
    structure="embed_dim",
    keys=KEYS,
)
add_network("patch-mlp", NETWORK)
