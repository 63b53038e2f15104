"""The supported networks, by the ``kind`` in a configuration; a configuration without a kind is that of a Segmenter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .. import plugins
from ..errors import IntsimError
from . import dimensions, segmenter, swin, vit
from .blocks import Shapes, Weights
from .dimensions import SegmenterConfig
from .real import RealGraph
from .swin import SwinConfig
from .vit import ViTConfig


@dataclass(frozen=True)
class Network:
    """A network: its name, and functions that parse its configuration, list its tensors and build its graph.

    `structure` names the configuration keys that determine which tensors there are, `keys` are all keys, `positions` is the
    tensor of position embeddings, and `size_key` the key of the picture size.
    """

    title: str
    of: Callable[[Mapping[str, Any]], Any]
    parameters: Callable[[Any], Shapes]
    build: Callable[[Any, Weights], RealGraph]
    structure: str
    keys: frozenset[str]
    positions: str | None = None
    size_key: str = "img_size"


SEGMENTER = Network(
    title="a Segmenter",
    of=SegmenterConfig.of,
    parameters=segmenter.parameters,
    build=segmenter.segmenter,
    structure="n_layers, decoder and distilled",
    keys=dimensions.KEYS,
    positions=segmenter.POSITIONS,
    size_key="image_size",
)
VIT = Network(
    title="a ViT",
    of=ViTConfig.of,
    parameters=vit.parameters,
    build=vit.vit,
    structure="depth, distilled and qkv_bias",
    keys=vit.KEYS,
    positions=vit.POSITIONS,
)
SWIN = Network(
    title="a Swin Transformer",
    of=SwinConfig.of,
    parameters=swin.parameters,
    build=swin.swin,
    structure="depths and qkv_bias",
    keys=swin.KEYS,
)
NETWORKS = {"segmenter": SEGMENTER, "vit": VIT, "deit": replace(VIT, title="a DeiT"), "swin": SWIN}


def add_network(kind: str, network: Network) -> None:
    """Add a network from outside. Raises IntsimError where another one has this kind, or it is none."""
    if not isinstance(network, Network):
        raise IntsimError(f"the network {kind!r} is {type(network).__name__}, expected an intsim.nets.networks.Network")
    if NETWORKS.setdefault(kind, network) is not network:
        raise IntsimError(f"two networks have the kind {kind!r}, {NETWORKS[kind].title} and {network.title}; rename one")


def _added(kind: str) -> bool:
    """Whether a kind is known, if need be after the networks of plugins were added."""
    if kind in NETWORKS:
        return True
    for name, network in plugins.installed(plugins.NETWORKS).items():
        if isinstance(network, Network):  # a module adds its own
            add_network(name, network)
    return plugins.missing(plugins.NETWORKS, lambda: kind in NETWORKS)


def network_of(config: Mapping[str, Any]) -> Network:
    """The network of a configuration; IntsimError listing the kinds where the kind is unknown."""
    kind = config.get("kind", "segmenter")
    if "kind" not in config and "img_size" in config:
        raise IntsimError("configuration: 'kind' is missing: vit, deit or swin")
    if not isinstance(kind, str) or not _added(kind):
        raise IntsimError(f"configuration: kind {kind!r} is not one of {', '.join(NETWORKS)}")
    return NETWORKS[kind]


def dimensions_of(config: Mapping[str, Any]) -> SegmenterConfig | ViTConfig | SwinConfig:
    """The dimensions in a configuration; IntsimError naming the wrong key and what is expected."""
    parsed: SegmenterConfig | ViTConfig | SwinConfig = network_of(config).of(config)
    return parsed


def parameters_of(config: Mapping[str, Any]) -> Shapes:
    """The names and shapes of the tensors that a checkpoint must contain."""
    return network_of(config).parameters(dimensions_of(config))


def built(config: Mapping[str, Any], weights: Weights) -> RealGraph:
    """The real-valued network of a configuration, as it was trained."""
    return network_of(config).build(dimensions_of(config), weights)
