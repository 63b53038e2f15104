"""What every baseline is held to before it is timed: the network in float64."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass

import numpy as np

from ...arith import AnyArray
from ...errors import IntsimError
from ...nets.real import RealGraph
from .onnx_model import scores_of

TOLERANCE = 1e-3  # of float32 against float64, relative to the largest score


@dataclass(frozen=True)
class Expected:
    """The output of the network in float64: its labels, and the scores from which they were chosen."""

    labels: AnyArray
    scores: AnyArray


def expected(net: RealGraph, image: AnyArray) -> Expected:
    """Run the network in float64."""
    labels, scores = net.nodes[-1].name, scores_of(net)
    seen = net.tensors(image, [labels, scores])
    return Expected(seen[labels], seen[scores])


def require_scores(runtime: str, scores: AnyArray, reference: Expected) -> None:
    """Raise IntsimError where a runtime's float32 scores are not those of the network in float64."""
    error = np.abs(scores - reference.scores).max() / np.abs(reference.scores).max()
    if not error <= TOLERANCE:
        raise IntsimError(f"{runtime}'s float32 scores differ by {error:.2%} of the largest; nothing is timed")


@contextmanager
def quiet() -> Iterator[None]:
    """Without the log messages and progress bars of quantizers, which some of them print on the output stream."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
