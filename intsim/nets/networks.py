"""The networks there are, by the ``kind`` in a configuration; one that names none is a Segmenter's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import IntsimError
from . import dimensions, segmenter, swin, vit
from .blocks import Shapes, Weights
from .dimensions import SegmenterConfig
from .real import RealGraph
from .swin import SwinConfig
from .vit import ViTConfig


@dataclass(frozen=True)
class Network:
    """A network: what it is called, its dimensions from a configuration, its tensors, the graph itself.

    `size_key` is the key of the configuration that says the picture's size, `positions` the tensor resized with it,
    `structure` names the keys that say which tensors there are, `keys` are all of them.
    """

    title: str
    of: Callable[[Mapping[str, Any]], Any]
    parameters: Callable[[Any], Shapes]
    build: Callable[[Any, Weights], RealGraph]
    size_key: str
    structure: str
    keys: frozenset[str]
    positions: str | None = None


SEGMENTER = Network(
    title="a Segmenter",
    of=SegmenterConfig.of,
    parameters=segmenter.parameters,
    build=segmenter.segmenter,
    size_key="image_size",
    structure="n_layers, decoder and distilled",
    keys=dimensions.KEYS,
    positions=segmenter.POSITIONS,
)
VIT = Network(
    title="a ViT",
    of=ViTConfig.of,
    parameters=vit.parameters,
    build=vit.vit,
    size_key="img_size",
    structure="depth, distilled and qkv_bias",
    keys=vit.KEYS,
    positions=vit.POSITIONS,
)
SWIN = Network(
    title="a Swin Transformer",
    of=SwinConfig.of,
    parameters=swin.parameters,
    build=swin.swin,
    size_key="img_size",
    structure="depths and qkv_bias",
    keys=swin.KEYS,
)
NETWORKS = {"segmenter": SEGMENTER, "vit": VIT, "deit": replace(VIT, title="a DeiT"), "swin": SWIN}


def network_of(config: Mapping[str, Any]) -> Network:
    """The network that a configuration is of; an IntsimError lists the kinds where there is none such."""
    kind = config.get("kind", "segmenter")
    if "kind" not in config and "img_size" in config:
        raise IntsimError("configuration: 'kind' is missing: vit, deit or swin")
    if not isinstance(kind, str) or kind not in NETWORKS:
        raise IntsimError(f"configuration: kind {kind!r} is none of {', '.join(NETWORKS)}")
    return NETWORKS[kind]


def dimensions_of(config: Mapping[str, Any]) -> SegmenterConfig | ViTConfig | SwinConfig:
    """The dimensions that a configuration says; an IntsimError names the key that is wrong and what is due."""
    found: SegmenterConfig | ViTConfig | SwinConfig = network_of(config).of(config)
    return found


def parameters_of(config: Mapping[str, Any]) -> Shapes:
    """The names and shapes of the tensors a checkpoint must hold."""
    network = network_of(config)
    return network.parameters(network.of(config))


def built(config: Mapping[str, Any], weights: Weights) -> RealGraph:
    """The real-valued network of a configuration, as it was trained."""
    network = network_of(config)
    return network.build(network.of(config), weights)
