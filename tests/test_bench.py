"""``intsim bench``: consistent figures, results checked before timing, a baseline that computes the same network."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import intsim
from intsim.engine.graph import Graph
from intsim.errors import IntsimError
from intsim.measurement import benchmark as bench
from intsim.measurement.baselines.expected import expected
from intsim.measurement.baselines.onnx_model import onnx_model
from intsim.measurement.baselines.onnxruntime import DYNAMIC, FLOAT32, STATIC, baselines
from intsim.nets.networks import built
from intsim.nets.segmenter import SegmenterConfig, segmenter
from intsim.quantization.synth import random_picture, random_weights

from networks import TINY, TINY_DEIT, TINY_SWIN

Cli = Callable[..., tuple[int, str, str]]
KEYS = {"median_ms", "min_ms", "gmacs_per_s", "peak_mb", "by_operator", "ratios"}


@pytest.fixture
def openvino() -> Any:
    """The module of baselines in OpenVINO."""
    return pytest.importorskip(
        "intsim.measurement.baselines.openvino",
        reason="openvino or nncf is not installed: `make bench` runs these",
    )


def test_bench_prints_json(cli: Cli) -> None:
    code, out, err = cli("bench -m model.h5 --runs 3 --json")
    assert code == 0, err
    record = json.loads(out)
    assert record.keys() >= KEYS
    assert 0 < record["min_ms"] <= record["median_ms"]
    assert record["gmacs_per_s"] == pytest.approx(record["gmacs"] / record["median_ms"] * 1000)
    assert record["peak_mb"] > 20
    assert record["ratios"] == {}
    assert record["by_operator"]["matmul+requant+shiftmax+matmul+requant"] > 0
    assert list(record["by_operator"].values()) == sorted(record["by_operator"].values(), reverse=True)


def test_bench_against_onnxruntime(cli: Cli) -> None:
    code, out, err = cli("bench --synth seg-t16-mask@64 --against onnxruntime --runs 2 --json")
    assert code == 0, err
    record = json.loads(out)
    assert set(record["ratios"]) == {FLOAT32, DYNAMIC, STATIC}
    for name, ratio in record["ratios"].items():
        assert ratio == pytest.approx(record["rivals_ms"][name] / record["median_ms"])
    assert record["labels_agreeing"][FLOAT32] > 0.9  # of 16 patches; the scores were checked to 1e-3
    assert record["labels_agreeing"].keys() == {"intsim", FLOAT32, DYNAMIC, STATIC}


def test_bench_of_a_model_file_against_onnxruntime_as_text(cli: Cli) -> None:
    code, out, err = cli("bench model.h5 --against onnxruntime --runs 1 --threads 1")
    assert code == 0, err
    assert "1 threads" not in out
    assert "1 runs" not in out
    for word in ("model.h5", "GMAC/s", "MB at most", "where the time goes", "onnxruntime int8 static", "over ours"):
        assert word in out


def test_bench_against_two_in_one_process(openvino: Any, cli: Cli) -> None:
    code, out, err = cli(
        "bench --synth seg-t16-mask@64 --against openvino --against onnxruntime --against openvino --runs 2 --json"
    )
    assert code == 0, err
    record = json.loads(out)  # the quantizer printed nothing
    theirs = [openvino.FLOAT32, openvino.BFLOAT16, openvino.INT8]
    assert set(record["rivals_ms"]) - {openvino.BFLOAT16} == {*theirs, FLOAT32, DYNAMIC, STATIC} - {openvino.BFLOAT16}
    brief = "BF16" in openvino.ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert (openvino.BFLOAT16 in record["rivals_ms"]) == brief
    assert record["labels_agreeing"].keys() == {"intsim", *record["rivals_ms"]} == {"intsim", *record["ratios"]}
    assert record["labels_agreeing"][openvino.FLOAT32] > 0.9


def test_macs_are_counted(graph: Graph) -> None:
    tokens, d, patch, classes = 3 * 5, 32, 8, 5
    block = lambda n: n * d * (3 * d + d + 8 * d) + 2 * n * n * d  # noqa: E731
    encoder = tokens * 3 * patch * patch * d + 2 * block(tokens + 1)
    decoder = tokens * d * d + block(tokens + classes) + (tokens + classes) * d * d + tokens * d * classes
    assert bench.macs(graph) == encoder + decoder


def test_a_wrong_result_is_not_timed(graph: Graph, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    from intsim.engine.fused import labels

    before = labels.operator

    def off_by_one(node: Any) -> Any:
        return (lambda x: before(node)(x) + np.uint8(1)) if node.op == "argmax" else before(node)

    monkeypatch.setattr(labels, "operator", off_by_one)
    with pytest.raises(IntsimError, match=r"outputs differ between the \w+ kernels and the plain ones"):
        bench.benchmark("wrong", graph, image, runs=1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"decoder": {"name": "linear"}},
        {"image_size": [23, 37]},
        {"distilled": True},
        {"n_cls": 300},
        {"l2_norm": True, "encoder_norm_eps": 1e-6},
    ],
    ids=["mask", "linear", "padded", "distilled", "many-classes", "normalised"],
)
def test_the_baseline_computes_the_same_network(changes: dict[str, Any], tmp_path: Path) -> None:
    config = TINY | changes
    net = segmenter(SegmenterConfig.of(config), random_weights(config, 3))
    image = random_picture(config, 4)
    reference = expected(net, image)
    for scores in (None, reference.scores.shape):
        onnx.checker.check_model(onnx_model(net, scores), full_check=True)
    runners = baselines(net, image, reference, tmp_path)  # compares the scores
    ranked = np.sort(reference.scores, axis=-1)
    if (ranked[..., -1] - ranked[..., -2]).min() > 2e-3 * abs(reference.scores).max():  # unless two classes nearly tie
        np.testing.assert_array_equal(runners[FLOAT32](image), reference.labels)
    for name in (DYNAMIC, STATIC):  # the accuracy of int8 depends on the processor
        labels = runners[name](image)
        assert labels.shape == reference.labels.shape
        assert 0 <= labels.min() <= labels.max() < config["n_cls"]


def test_a_baseline_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    net = segmenter(SegmenterConfig.of(TINY), random_weights(TINY, 3))
    image = random_picture(TINY, 4)
    reference = expected(net, image)
    for wrong in (1.01 * reference.scores, np.roll(reference.scores, 1, axis=-1), reference.scores * np.nan):
        with pytest.raises(IntsimError, match="nothing is timed"):
            baselines(net, image, dataclasses.replace(reference, scores=wrong), tmp_path)


OPENVINO_NETWORKS = {
    "mask": TINY,
    "linear": TINY | {"decoder": {"name": "linear"}},
    "deit": TINY_DEIT | {"img_size": [24, 24]},  # OpenVINO 2026.4.1 crashes in float32 below 8 patches
    "swin": TINY_SWIN,
}


@pytest.mark.parametrize("config", OPENVINO_NETWORKS.values(), ids=OPENVINO_NETWORKS)
def test_openvino_computes_the_same_network(config: dict[str, Any], openvino: Any, tmp_path: Path) -> None:
    net, image = built(config, random_weights(config, 3)), random_picture(config, 4)
    reference = expected(net, image)
    runners = openvino.baselines(net, image, reference, tmp_path, threads=1)  # compares the scores
    for name, runner in runners.items():
        assert (name, runner(image).shape) == (name, reference.labels.shape)
    for runtime in (openvino.FLOAT32, openvino.INT8):  # of logits the error, of labels the share
        found = runners[runtime](image)
        if net.classifies:
            bound = 1e-3 if runtime == openvino.FLOAT32 else 0.3
            assert abs(found - reference.labels).max() < bound * abs(reference.labels).max()
        else:
            assert np.mean(found == reference.labels) > (0.95 if runtime == openvino.FLOAT32 else 0.5)
    with pytest.raises(IntsimError, match=r"OpenVINO's float32 scores differ by \S+ of the largest; nothing is timed"):
        openvino.baselines(net, image, dataclasses.replace(reference, scores=1.01 * reference.scores), tmp_path)


@pytest.mark.parametrize("config", OPENVINO_NETWORKS.values(), ids=OPENVINO_NETWORKS)
def test_openvino_multiplies_in_int8(config: dict[str, Any], openvino: Any, tmp_path: Path) -> None:
    """All products but the one that NNCF takes for the processing of results."""
    net, image = built(config, random_weights(config, 3)), random_picture(config, 4)
    onnx.save(onnx_model(net), tmp_path / "net.onnx")
    model = openvino.quantized(openvino.ov.Core().read_model(tmp_path / "net.onnx"), image)
    products = [node for node in model.get_ops() if node.get_type_name() == "MatMul"]
    assert len(products) == sum(node.op in ("linear", "matmul") for node in net.nodes)
    real = {node.get_friendly_name().partition("/")[0] for node in products if not all(map(in_int8, node.inputs()))}
    assert real == ({"decoder.masks"} if config is TINY else set())


def in_int8(operand: Any) -> bool:
    """Whether an operand of a product is quantized, before movements and scales of constants."""
    node = operand.get_source_output().get_node()
    if node.get_type_name() in ("Transpose", "Reshape", "Slice", "Convert", "Multiply", "Subtract"):
        return in_int8(node.input(0))
    return node.get_type_name() == "FakeQuantize" or node.get_element_type().to_string() in ("i8", "u8")


def test_openvino_keeps_to_the_threads_it_is_given(openvino: Any, tmp_path: Path) -> None:
    net = built(TINY, random_weights(TINY, 3))
    onnx.save(onnx_model(net), tmp_path / "net.onnx")
    model = openvino.compiled(openvino.ov.Core().read_model(tmp_path / "net.onnx"), "f32", 1)
    due = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": openvino.ov.Type.f32}
    assert {name: model.get_property(name) for name in due} == due


def test_openvino_sends_nothing_to_its_makers(openvino: Any) -> None:
    """Where a process imports it without this, it reports that, and what it is asked for."""
    code = (
        "import intsim.measurement.baselines.openvino, sys; "
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry')]"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("rival", "missing"), [("onnxruntime", "onnxruntime"), ("openvino", "nncf"), ("openvino", "onnx")], ids="-".join
)
def test_without_the_extra_bench_says_what_to_install(
    rival: str, missing: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("openvino", "nncf"):  # installed or not
        monkeypatch.setitem(sys.modules, name, sys.modules.get(name, sys))
    monkeypatch.setitem(sys.modules, missing, None)
    for name in [name for name in sys.modules if name.startswith("intsim.measurement.baselines.")]:
        monkeypatch.delitem(sys.modules, name)
    code, out, err = cli(f"bench --against {rival}")
    assert (code, out) == (2, "")
    assert err == f"intsim: --against {rival} needs {missing}; install it with: pip install 'intsim[bench]'\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bench model.h5 --synth seg-s16-mask@512", "give one of MODEL, --model and --synth"),
        ("bench --synth seg-x16-mask@512", "'seg-x16-mask@512' is not a preset"),
        ("bench nothing.h5", "nothing.h5"),
        ("bench model.h5 --dialect rtl", "--dialect goes with --synth"),
        ("bench picture.png", "picture.png"),
        ("bench --runs 0", "0 is not in the range"),
        ("bench --against tensorrt", "'tensorrt' is not"),
        ("bench --threads 0", "0 is not in the range"),
        ("bench --synth seg-t16-mask@64 --dialect nobody", "--dialect 'nobody'"),
    ],
)
def test_bad_input_is_one_clear_line(line: str, words: str, cli: Cli) -> None:
    code, out, err = cli(line)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def test_an_unavailable_forced_variant_is_one_clear_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTSIM_ISA", "mmx")
    for line in ("bench -m model.h5", "run picture.png -m model.h5", "golden picture.png -m model.h5 -o new.h5"):
        code, _, err = cli(line)
        assert code == 2
        assert "INTSIM_ISA=mmx: this machine supports" in err
        assert not Path("new.h5").exists()


def test_a_model_without_its_dimensions_has_no_baseline(cli: Cli, graph: Graph, tmp_path: Path) -> None:
    bare = Graph(list(graph.nodes), graph.dialect)
    intsim.save(bare, tmp_path / "bare.h5")
    shutil.copy(tmp_path / "bare.h5", "here.h5")
    assert cli("bench here.h5 --runs 1")[0] == 0
    code, _, err = cli("bench here.h5 --runs 1 --against onnxruntime")
    assert code == 2
    assert "configuration" in err
