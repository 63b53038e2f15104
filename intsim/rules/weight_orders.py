"""Orders in which the weights of a linear layer are read by mistake: [outputs, inputs] to the same shape.

`WEIGHT_ORDERS` maps a name to the change. A change raises ValueError for weights that it does not apply to.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..arith import IntArray

TILES = (2, 4, 8, 16, 32)
LANES = (2, 4, 8, 16, 32)


def _transposed(w: IntArray) -> IntArray:
    if w.shape[0] != w.shape[1]:
        raise ValueError(f"{list(w.shape)} is not square")
    return w.T.copy()


def _tiles_transposed(tile: int, w: IntArray) -> IntArray:
    outputs, inputs = w.shape
    if outputs % tile or inputs % tile:
        raise ValueError(f"{list(w.shape)} is not made of tiles of {tile} x {tile}")
    return w.reshape(outputs // tile, tile, inputs // tile, tile).transpose(0, 3, 2, 1).reshape(w.shape)


def _lanes_reversed(lanes: int, axis: int, w: IntArray) -> IntArray:
    if w.shape[axis] % lanes:
        raise ValueError(f"{w.shape[axis]} channels are not made of {lanes} lanes")
    place = np.arange(w.shape[axis])
    return w.take(place // lanes * lanes + lanes - 1 - place % lanes, axis=axis)


def _rolled(step: int, axis: int, w: IntArray) -> IntArray:
    return np.roll(w, step, axis)


WEIGHT_ORDERS: dict[str, Callable[[IntArray], IntArray]] = {
    "transposed": _transposed,
    **{f"tiles_transposed:{tile}": partial(_tiles_transposed, tile) for tile in TILES},
    **{f"input_lanes_reversed:{lanes}": partial(_lanes_reversed, lanes, 1) for lanes in LANES},
    **{f"output_lanes_reversed:{lanes}": partial(_lanes_reversed, lanes, 0) for lanes in LANES},
    "of_the_previous_input": partial(_rolled, 1, 1),
    "of_the_next_input": partial(_rolled, -1, 1),
    "of_the_previous_output": partial(_rolled, 1, 0),
    "of_the_next_output": partial(_rolled, -1, 0),
}
