"""Small models and pictures that many tests share. Everything is random from fixed seeds and made once a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import intsim
from intsim.graph import Graph
from intsim.quantize.synth import random_picture

from networks import TINY, tiny_graph


@pytest.fixture(scope="session")
def graph() -> Graph:
    """The tiny Segmenter."""
    return tiny_graph()


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    """A random picture of its size, u8 [24, 40, 3]."""
    return random_picture(TINY, 5)


@pytest.fixture(scope="session")
def model_file(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Segmenter as a model file; copy it before changing it."""
    path = tmp_path_factory.mktemp("model") / "tiny.h5"
    intsim.save(graph, path)
    return path


@pytest.fixture(scope="session")
def picture_file(image: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random picture as a PNG."""
    path = tmp_path_factory.mktemp("picture") / "picture.png"
    Image.fromarray(image).save(path)
    return path


@pytest.fixture(scope="session")
def golden_file(graph: Graph, image: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden file of the two, level full; copy it before changing it."""
    path = tmp_path_factory.mktemp("golden") / "golden.h5"
    intsim.golden(graph, image, path, "full")
    return path
