"""The claims of docs/accuracy.md on fewer scenes: one calibration picture suffices, and the effect of lam."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from intsim.nets.segmenter import SegmenterConfig, segmenter
from intsim.quantization import Recipe, class_gain, read_checkpoint, read_config

import accuracy

SCENES = 40


@pytest.fixture(scope="module")
def scenes() -> accuracy.Scenes:
    return accuracy.unseen(SCENES)


@pytest.fixture(scope="module")
def real(scenes: accuracy.Scenes) -> dict[str, float]:
    """The mean IoU of the real-valued networks of the checkpoints."""
    return {name: accuracy.real_miou(*accuracy.checkpoint(name), scenes) for name in ("scenes", "scenes_l2")}


@pytest.mark.parametrize("name", ["scenes", "scenes_l2"])
def test_one_picture_is_enough(name: str, scenes: accuracy.Scenes, real: dict[str, float]) -> None:
    assert abs(real[name] - accuracy.integer_miou(*accuracy.checkpoint(name), scenes)) < 0.01
    assert real[name] > 0.8


def test_the_clamp_preserves_a_network_with_long_tails(scenes: accuracy.Scenes, real: dict[str, float]) -> None:
    weights, config = accuracy.checkpoint("scenes")
    tailed = accuracy.long_tailed(weights, config)
    assert abs(accuracy.real_miou(tailed, config, scenes) - real["scenes"]) < 0.005
    searched, without = (accuracy.integer_miou(tailed, config, scenes, recipe=Recipe(lam=lam)) for lam in ("search", "off"))
    assert searched > 0.83
    assert without < searched - 0.1


def test_the_network_with_long_tails_as_a_checkpoint(tmp_path: Path) -> None:
    done = CliRunner().invoke(accuracy.main, ["make-long-tail", str(tmp_path / "long.safetensors")])
    assert done.exit_code == 0, done.output
    weights, _ = read_checkpoint(tmp_path / "long.safetensors", read_config(tmp_path / "long.json"))
    for name, value in accuracy.long_tailed(*accuracy.checkpoint("scenes")).items():
        np.testing.assert_array_equal(weights[name], value.astype(np.float32), err_msg=name)


def test_the_patch_norm_cancels_except_for_epsilon(scenes: accuracy.Scenes) -> None:
    weights, config = accuracy.checkpoint("scenes_l2")
    dimensions, picture = SegmenterConfig.of(config), scenes[0][0]
    published = segmenter(dimensions, weights)
    without = segmenter(dimensions, weights, class_gain=class_gain(published, [picture]))
    ours, theirs = (accuracy.scores(accuracy.with_eps(net, 0.0), picture)[0] for net in (without, published))
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_a_table_can_be_computed() -> None:
    done = CliRunner().invoke(
        accuracy.main, ["long-tail", "--scenes", "1"]
    )  # the others try more networks, by make accuracy
    assert done.exit_code == 0, done.output
    assert len(done.output.splitlines()) == 6
