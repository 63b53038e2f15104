"""From a checkpoint to a network in training: the stages of `intsim.quantize` up to calibration, then torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._version import NUMERICS
from ..dialects import ISEGMENTER, IVIT, Dialect, resolve
from ..engine.graph import digest
from ..errors import IntsimError, PicturesMissing
from ..nets.networks import built
from ..quantization.bias_correction import corrected
from ..quantization.checkpoint import Checkpoint
from ..quantization.ivit import dequantized, is_quantized
from ..quantization.lower import lower
from ..quantization.pipeline import Picture, configuration_of, images_of
from ..quantization.recipe import Recipe
from ..quantization.rounding import Rounded
from ..quantization.stages import calibrated, integer_form
from .network import LEARN, QuantizedNetwork, with_corrected_biases
from .reals import RealNetwork


@dataclass(frozen=True)
class Prepared:
    """A network in training, the float network that it was made from (its teacher; None of a quantized checkpoint, which has
    none), the configuration, and where that came from.
    """

    network: QuantizedNetwork
    teacher: RealNetwork | None
    configuration: dict[str, Any]
    origin: str


def prepare(
    checkpoint: str | Path,
    pictures: Sequence[Picture] = (),
    *,
    config: str | Path | dict[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    size: tuple[int, int] | None = None,
    weights: str | None = None,
    recipe: Recipe | None = None,
    dialect: Dialect | str | None = None,
    resize: bool = False,
    steps: str = LEARN,
    power_of_two: bool = False,
    kernels: bool = True,
) -> Prepared:
    """A network in training, made from a checkpoint as `intsim.quantize` makes its model; it begins where that ends.

    A float checkpoint needs calibration `pictures`. One of I-ViT's quantization-aware training goes on with its integers and
    scales (dialect ``ivit`` where None), and takes no pictures, recipe or size. `steps`, `power_of_two` and `kernels` are
    those of `QuantizedNetwork`, the others those of `intsim.quantize`, which says what is raised.
    """
    opened = Checkpoint.open(checkpoint, weights)
    how: dict[str, Any] = {"steps": steps, "power_of_two": power_of_two, "kernels": kernels}
    if is_quantized(opened.tensors):
        if in_vain := [name for name, given in {"pictures": pictures, "recipe": recipe, "size": size}.items() if given]:
            raise IntsimError(f"{opened.path}: has integers and scales of its own; leave out {in_vain[0]}")
        found, origin = configuration_of(opened, config, None, None, settings)
        rules = resolve(dialect or IVIT)
        net, statistics, own = dequantized(opened, found, rules)
        origins = {"intsim": NUMERICS, "checkpoint_sha256": opened.sha256, "integers": "trained on"}
        network = QuantizedNetwork(net, statistics, rules, found, origins, weight_steps=own, **how)
        return Prepared(network, None, found, origin)
    if not pictures:
        raise PicturesMissing(opened.path)
    rules, recipe = resolve(dialect or ISEGMENTER), recipe or Recipe()
    found, origin = configuration_of(opened, config, None, size, settings)
    tensors = opened.weights(found)
    images = images_of(pictures, found, resize, origin)
    net = integer_form(tensors, found, images, recipe)
    statistics = calibrated(net, images, rules, recipe)
    fixed = frozenset(statistics.scales)
    if recipe.correct_bias:
        with np.errstate(all="ignore"):
            plain = lower(net, Rounded(statistics), rules)
            net = with_corrected_biases(net, plain, corrected(net, plain, images))
    provenance: dict[str, Any] = {
        "intsim": NUMERICS,
        "checkpoint_sha256": opened.sha256,
        **({"weights": weights} if weights is not None else {}),
        "calibration_sha256": [digest(image) for image in images],
        "recipe": recipe.record(),
        "trained": {"steps": steps, "power_of_two": power_of_two},
    }
    network = QuantizedNetwork(net, statistics, rules, found, provenance, fixed=fixed, **how)
    return Prepared(network, RealNetwork(built(found, tensors)), found, origin)
