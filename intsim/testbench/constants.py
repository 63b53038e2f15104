"""The constants of a node as a package: SystemVerilog, VHDL, or a C header.

Plain parameters (x0, n, lam, b) become integers. Parameters that may be per channel (m, e, bias) become arrays; an array has
one element if all channels share a value. The package has widths, signs and shapes of all inputs and of the output. Weights
and tables are memories: they are exported as tensors, and the package has only their widths and shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._version import __version__
from ..arith import Format
from ..engine.graph import CONSTANT, INPUT, Graph, Node
from ..engine.names import TensorName
from ..ops import REGISTRY
from ..storage.templates import template
from .encodings import ascii_text, identifier

LANGUAGES = {"sv": ("package.sv.j2", "_pkg.sv"), "vhdl": ("package.vhd.j2", "_pkg.vhd"), "c": ("package.h.j2", "_pkg.h")}

# Choices of a dialect that lowering turns into parameters of nodes.
BECOME_PARAMETERS = ("x0_rounding", "softmax_n", "softmax_bits", "gelu_n", "gelu_bits")


@dataclass(frozen=True)
class Port:
    """A tensor of a node: an input (``IN0``, ...), the output (``OUT``) or a memory, with its format and shape."""

    name: str
    tensor: str
    fmt: Format
    shape: tuple[int, ...]

    @property
    def bits(self) -> int:
        """Bits per element."""
        return self.fmt.bits

    @property
    def signed(self) -> int:
        """1 for two's complement, 0 for unsigned."""
        return int(self.fmt.lo < 0)


@dataclass(frozen=True)
class Table:
    """A parameter with one value per channel, or one for all: its values, in two's complement of `bits` bits."""

    name: str
    bits: int
    values: list[int]

    @property
    def digits(self) -> list[str]:
        """Every value's two's complement in hexadecimal digits."""
        return [f"{value & ((1 << self.bits) - 1):0{self.bits // 4}x}" for value in self.values]


def package(graph: Graph, node: Node, language: str) -> tuple[str, str]:
    """The file name and the text of a node's package."""
    name, suffix = LANGUAGES[language]
    text = template(__package__, name, markup=False).render(
        package=f"{identifier(node.name)}_pkg",
        node=node,
        dialect=graph.dialect,
        choices=_choices(graph, node),
        model=graph.content_hash[:12],
        version=__version__,
        integers=_integers(node),
        tables=_tables(node),
        ports=_ports(graph, node),
        ascii_text=ascii_text,
    )
    return f"{identifier(node.name)}{suffix}", text


def _choices(graph: Graph, node: Node) -> dict[str, int | str]:
    """The dialect's choices, except those that became parameters of the node: the node's own value applies."""
    if node.op not in REGISTRY or not REGISTRY[node.op].choices:
        return {}
    return {key: value for key, value in graph.dialect.choices().items() if key not in BECOME_PARAMETERS}


def _integers(node: Node) -> dict[str, int]:
    return {key.upper(): value for key, value in node.integers().items() if not _by_channel(node, key)}


def _by_channel(node: Node, key: str) -> bool:
    """Whether a parameter may have one value per channel."""
    return node.op in REGISTRY and 1 in REGISTRY[node.op].params[key].ndim


def _tables(node: Node) -> list[Table]:
    tables = []
    for key, value in node.params.items():
        if _by_channel(node, key):
            array = np.atleast_1d(np.asarray(value, np.int64))
            bits = 8 * REGISTRY[node.op].params[key].fmt.dtype.itemsize
            tables.append(Table(key.upper(), bits, array.tolist()))
    return tables


def _ports(graph: Graph, node: Node) -> list[Port]:
    ports = [Port(f"IN{i}", name, graph.tensors[name].fmt, graph.tensors[name].shape) for i, name in enumerate(node.inputs)]
    for key, value in node.arrays().items():
        if not _by_channel(node, key) and node.op not in (INPUT, CONSTANT):
            ports.append(
                Port(key.upper(), TensorName.of_parameter(node.name, key), REGISTRY[node.op].params[key].fmt, value.shape)
            )
    out = graph.tensors[node.name]
    return [*ports, Port("OUT", node.name, out.fmt, out.shape)]
