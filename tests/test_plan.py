"""Plans: nodes computed together give the same results as one by one, whichever tensors are observed."""

from __future__ import annotations

import gc
import os
import re
import threading
import weakref

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import intsim
from intsim import dialects
from intsim.engine.fused import Step
from intsim.engine.fused.step import separately
from intsim.engine.graph import Graph
from intsim.engine.interpreter import computed, walk
from intsim.engine.plan import CACHES, PLANS, fused
from intsim.errors import GraphError, IntsimError
from intsim.kernels import isa
from intsim.testing.strategies import graphs

from networks import TINY, TINY_DEIT, TINY_SWIN, tiny_classifier, tiny_graph

CLASSIFIERS = {"deit": TINY_DEIT, "swin": TINY_SWIN}
EXAMPLES = int(os.environ.get("EXAMPLES", "20"))  # random graphs; make properties tries many
FEW = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


def kinds(graph: Graph, kept: set[str] = frozenset()) -> list[str]:
    """The operators of every step with more than one node."""
    return ["+".join(node.op for node in step.nodes) for step in fused(graph, kept).nodes if len(step.nodes) > 1]


def every_value(graph: Graph, image: np.ndarray, face: str) -> dict[str, np.ndarray]:
    seen: dict[str, np.ndarray] = {}
    intsim.run(graph, image, seen.__setitem__, face=face)
    return seen


@FEW
@given(st.data())
def test_fused_and_unfused_runs_agree_on_random_graphs(data: st.DataObject) -> None:
    graph = data.draw(graphs())
    seed = data.draw(st.integers(0, 2**32 - 1))
    image = np.random.default_rng(seed).integers(0, 256, graph.tensors["image"].shape, np.uint8)
    kept = data.draw(st.sets(st.sampled_from(list(graph.by_name))))
    variant = data.draw(st.sampled_from(isa.available()))
    try:
        expected = every_value(graph, image, "ref")
    except GraphError as error:  # a wrapped sum of exponentials is 0; the fused run must raise the same error
        with isa.using(variant), pytest.raises(GraphError, match=f"^{re.escape(str(error))}$"):
            intsim.run(graph, image)
        return
    note(f"{variant}: {kinds(graph, kept)}")
    seen: dict[str, np.ndarray] = {}
    with isa.using(variant):
        output = intsim.run(graph, image, seen.__setitem__, nodes=kept)
        alone = intsim.run(graph, image)
    assert list(seen) == [name for name in graph.by_name if name in kept]
    for name, value in seen.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
        assert value.dtype == expected[name].dtype, name
    for result in (output, alone):
        np.testing.assert_array_equal(result, expected[graph.output.name])


@pytest.mark.kernels
@pytest.mark.parametrize("variant", isa.available(), ids=str)
@pytest.mark.parametrize("network", ["segmenter", *CLASSIFIERS])
def test_no_step_is_given_up(network: str, variant: isa.Isa) -> None:
    """A step that cannot be computed together falls back to its nodes, which would hide what its kernel does wrong."""
    graph = tiny_graph() if network == "segmenter" else tiny_classifier(CLASSIFIERS[network])
    image = np.random.default_rng(1).integers(0, 256, graph.tensors["image"].shape, np.uint8)
    together = []

    def visit(step: Step, sources: list[np.ndarray]) -> np.ndarray:
        if step.compute is not separately:
            together.append(step.name)
            assert step.compute(sources) is not None, step.name
        return computed(graph, step, sources, {"image": image})

    with isa.using(variant):
        walk(fused(graph, ()), visit)
    assert len(together) > 5


@pytest.mark.kernels
@pytest.mark.parametrize("dialect", dialects.DIALECTS.values(), ids=str)
def test_steps_of_a_segmenter(dialect: dialects.Dialect) -> None:
    steps = kinds(tiny_graph(dialect))
    attention = "heads+slice+slice+slice+matmul+requant+shiftmax+matmul+requant+merge_heads"
    assert steps.count(attention) == 3  # two blocks of the encoder, one of the decoder
    assert steps.count("linear+requant+residual_add") == 2 * 3
    assert sum("gelu+requant" in kind for kind in steps) == 3
    assert steps.count("upsample_nearest+argmax") == 1


@pytest.mark.kernels
def test_steps_of_attention_within_windows() -> None:
    """Products take the rows of their inputs in the order of windows, and put them back in that of the picture."""
    steps = kinds(tiny_classifier(TINY_SWIN))
    blocks = sum("masked_shiftmax" in kind or "+shiftmax" in kind for kind in steps)
    assert blocks > 1
    windows, back = ("windows+linear+requant", "linear+requant+merge_windows"), ("+residual_add", "+roll+residual_add")
    assert sum(kind.removeprefix("roll+") == windows[0] for kind in steps) == blocks
    assert sum(kind in {windows[1] + end for end in back} for kind in steps) == blocks
    assert steps.count("linear+requant+residual_add") == blocks


@pytest.mark.kernels
def test_observed_nodes_are_computed(graph: Graph) -> None:
    softmax = "encoder.blocks.0.attn.softmax"
    assert softmax not in [step.name for step in fused(graph, ()).nodes]
    assert softmax in [step.name for step in fused(graph, {softmax}).nodes]
    everything = fused(graph, graph.by_name)
    assert [step.name for step in everything.nodes] == list(graph.by_name)


@pytest.mark.kernels
def test_attention_is_fused_around_observed_nodes(graph: Graph, image: np.ndarray) -> None:
    """If one tensor of attention is observed, the other nodes are still computed together."""
    expected: dict[str, np.ndarray] = {}
    intsim.run(graph, image, lambda name, value: expected.setdefault(name, np.array(value)), face="ref")
    attn = "encoder.blocks.0.attn"
    plain = "matmul+requant+shiftmax+matmul+requant"
    for observed, kind in (
        (f"{attn}.heads", plain),
        (f"{attn}.k", plain),
        (f"{attn}.context.requant", f"heads+slice+slice+slice+{plain}"),
    ):
        assert kind in kinds(graph, {observed})
        seen: dict[str, np.ndarray] = {}
        labels = intsim.run(graph, image, seen.__setitem__, nodes=[observed])
        np.testing.assert_array_equal(seen[observed], expected[observed])
        np.testing.assert_array_equal(labels, expected["labels"])


def test_observing_an_unknown_node_is_an_error(graph: Graph, image: np.ndarray) -> None:
    with pytest.raises(IntsimError, match=r"there is no node 'nobody'"):
        intsim.run(graph, image, lambda name, value: None, nodes=["labels", "nobody"])


def test_every_node_is_in_one_step(graph: Graph) -> None:
    parts = [node.name for step in fused(graph, ()).nodes for node in step.nodes]
    assert sorted(parts) == sorted(graph.by_name)


def test_progress_names_every_node_once(graph: Graph, image: np.ndarray) -> None:
    done: list[str] = []
    intsim.run(graph, image, progress=done.append)
    assert sorted(done) == sorted(graph.by_name)


def test_plans_and_packed_weights_are_released_with_their_graph(image: np.ndarray) -> None:
    graph = tiny_graph()
    intsim.run(graph, image)
    names = list(graph.by_name)
    for name in names[: PLANS + 3]:
        intsim.run(graph, image, lambda name, value: None, nodes={name})
    assert len(CACHES[graph].plans) <= PLANS
    reference = weakref.ref(graph)
    del graph
    gc.collect()
    assert reference() is None


@pytest.mark.kernels
def test_weights_are_packed_once(graph: Graph, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    from intsim.kernels import gemm

    intsim.run(graph, image)
    shapes: list[tuple[int, ...]] = []
    before = gemm.pack

    def counted(right: np.ndarray, left: np.dtype, bias: np.ndarray | int = 0) -> gemm.Packed:
        shapes.append(right.shape)
        return before(right, left, bias)

    monkeypatch.setattr(gemm, "pack", counted)
    intsim.run(graph, image)
    assert len(shapes) == 1  # the product of patches and classes, which both depend on the picture


def test_concurrent_callers_with_any_number_of_threads_agree() -> None:
    graph = tiny_graph(image_size=[40, 56])
    image = np.random.default_rng(1).integers(0, 256, (40, 56, 3), np.uint8)
    expected = intsim.run(graph, image, threads=1)
    wrong: list[int] = []

    def caller(threads: int) -> None:
        for _ in range(10):
            if not np.array_equal(intsim.run(graph, image, threads=threads), expected):
                wrong.append(threads)

    callers = [threading.Thread(target=caller, args=(threads,)) for threads in (1, 2, 3, 5, 8, 64)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("size", [[24, 40], [23, 37], [8, 8]])
def test_labels_are_computed_once_per_patch(size: list[int]) -> None:
    graph = tiny_graph(image_size=size)
    image = np.random.default_rng(2).integers(0, 256, (*size, 3), np.uint8)
    together = intsim.run(graph, image)
    assert together.shape == tuple(size)
    np.testing.assert_array_equal(together, intsim.run(graph, image, lambda name, value: None))
    assert TINY["patch_size"] == 8
