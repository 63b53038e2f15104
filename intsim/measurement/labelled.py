"""How good a model is on a folder of labelled pictures, beside the float network it was quantized from."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import resources
from ..cluster import Work, parallel, threads_each
from ..engine.classes import class_names
from ..engine.graph import Graph
from ..engine.inputs import require_picture
from ..errors import CheckpointNotFound, FileError, IntsimError
from ..nets.real import RealGraph
from ..nets.segmenter import SegmenterConfig, segmenter
from ..quantization import checkpoint_behind, read_checkpoint
from ..storage.model_file import load
from . import evaluation
from .evaluation import Evaluation, Sample, samples
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
    cluster: str = "",
) -> Evaluation:
    """Label the pictures in `folder` and compare with their label maps: mean IoU and pixel accuracy.

    `model` is a Segmenter (None: the shipped one), `model_file` the file a graph was loaded from. Unless `integers_only`,
    the float network is measured beside it: its `checkpoint`, or the one next to the model with the recorded hash. Pictures
    of another size than the model's go through sliding windows, `stride` (height, width) apart (None: as trained, or one
    window). `ignore` is the value in label maps for no class; with `reduce_zero_label` that is 0, and classes count from 1.
    `progress(name)` is called after each picture. `cluster` is that of `intsim.cluster.parallel`, for a model in a file; ""
    measures in this process.

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
    if cluster:
        if path is None:
            raise IntsimError("a model is measured on a cluster from its file; save it, and give its path")
        own = None if checkpoint is None else str(Path(checkpoint).resolve())
        each = threads or threads_each(cluster)
        begun = (str(path.resolve()), own, integers_only, stride, ignore, reduce_zero_label, each)
        result = Evaluation(class_names(graph), {})
        for done in parallel(Work(_do, _begin, begun), found, cluster):
            if done.error:
                raise FileError(done.error)
            result.add(done.value)
            progress(found[done.index].picture.name)
    else:
        how = (class_names(graph), net, stride, ignore, reduce_zero_label, progress, threads)
        result = evaluation.counted(graph, found, *how)
    evaluation.require_classes(result, found)
    return result


def _begin(model: str, checkpoint: str | None, integers_only: bool, *how: Any) -> tuple[Any, ...]:
    """In a worker: the networks, loaded once."""
    graph = load(model)
    own = None if checkpoint is None else Path(checkpoint)
    return graph, class_names(graph), None if integers_only else float_network(graph, Path(model), own), *how


def _do(state: tuple[Any, ...], sample: Sample) -> Evaluation:
    """In a worker: one picture."""
    graph, classes, net, stride, ignore, zero_is_none, threads = state
    return evaluation.counted(graph, [sample], classes, net, stride, ignore, zero_is_none, threads=threads)


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
