"""How good a model is on a folder of labelled pictures, beside the float network it was quantized from."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from .. import resources
from ..engine.classes import class_names
from ..engine.graph import Graph
from ..engine.inputs import require_picture
from ..errors import CheckpointNotFound, FileError
from ..nets.real import RealGraph
from ..nets.segmenter import SegmenterConfig, segmenter
from ..quantization import checkpoint_behind, read_checkpoint
from ..storage.model_file import load
from . import evaluation
from .evaluation import Evaluation, samples
from .windows import Size, trained_stride


def evaluate(
    folder: str | Path,
    model: str | Path | Graph | None = None,
    *,
    model_file: str | Path | None = None,
    checkpoint: str | Path | None = None,
    integers_only: bool = False,
    stride: Size | None = None,
    ignore: int | None = None,
    reduce_zero_label: bool = False,
    progress: Callable[[str], None] = lambda name: None,
    threads: int | None = None,
) -> Evaluation:
    """Label the pictures in `folder` and compare with their label maps: mean IoU and pixel accuracy.

    `model` is a Segmenter (None: the shipped one), `model_file` the file a graph was loaded from. Unless `integers_only`,
    the float network is measured beside it: its `checkpoint`, or the one next to the model with the recorded hash. Pictures
    of another size than the model's go through sliding windows, `stride` (height, width) apart (None: as trained, or one
    window). `ignore` is the value in label maps for no class; with `reduce_zero_label` that is 0, and classes count from 1.
    `progress(name)` is called after each picture.

    Raises CheckpointNotFound, FileError for a picture, label map or checkpoint that cannot be used.
    """
    found = samples(Path(folder))
    if isinstance(model, Graph):
        graph, path = model, None if model_file is None else Path(model_file)
    else:
        path = Path(model or resources.model())
        graph = load(path)
    require_picture(graph, "evaluation")
    stride = stride or trained_stride(graph)
    net = None if integers_only else float_network(graph, path, None if checkpoint is None else Path(checkpoint))
    return evaluation.evaluate(
        graph, found, class_names(graph), net, stride, ignore, reduce_zero_label, progress=progress, threads=threads
    )


def float_network(graph: Graph, model: Path | None = None, checkpoint: Path | None = None) -> RealGraph:
    """The float network that a model was quantized from: of `checkpoint`, or of the one next to the `model` file."""
    expected = graph.provenance.get("checkpoint_sha256")
    named = (
        f"{expected:.12}" if re.fullmatch("[0-9a-f]{64}", str(expected)) else str(expected)
    )  # random weights have no hash
    folders = [*([model.resolve().parent] if model is not None else []), Path.cwd()]
    path = checkpoint or checkpoint_behind(expected, [resources.checkpoint(), *folders])
    if path is None:
        raise CheckpointNotFound(model or Path("the model"), named)
    weights, sha256 = read_checkpoint(path, graph.config, graph.provenance.get("weights"))
    if sha256 != expected:
        raise FileError(f"{path}: is not the checkpoint that {model or 'the model'} was made from ({named})")
    return segmenter(SegmenterConfig.of(graph.config), weights)
