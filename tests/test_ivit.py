"""I-ViT's quantized networks: every recorded integer of every module, and the requirements on a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import intsim
from intsim import dialects
from intsim.arith import dyadic
from intsim.engine.graph import Graph
from intsim.errors import FileError, IntsimError
from intsim.kernels import isa
from intsim.ops.shiftgelu import UNCLAMPED
from intsim.quantization import Checkpoint
from intsim.quantization.ivit import import_checkpoint
from intsim.quantization.ivit_names import modules
from intsim.quantization.ivit_records import compare_recording, offset_pixels, unknown_modules

GOLDEN = Path(__file__).parent.parent / "golden"
MINI = {name: GOLDEN / f"ivit-{name}-mini.npz" for name in ("deit", "swin", "segmenter", "linear")}
every_recording = pytest.mark.parametrize("path", MINI.values(), ids=MINI)
Cli = Callable[[str], tuple[int, str, str]]


def opened(path: Path) -> tuple[Checkpoint, dict[str, Any]]:
    """A recording, and the configuration in it."""
    checkpoint = Checkpoint.open(path)
    own = checkpoint.own_config()
    assert own is not None
    return checkpoint, own[0]


def state_of(path: Path) -> dict[str, np.ndarray]:
    """The state dict of a recording."""
    with np.load(path) as archive:
        return {name.removeprefix("state/"): archive[name] for name in archive.files if name.startswith("state/")}


def model(path: Path, dialect: dialects.Dialect = dialects.IVIT) -> Graph:
    """The integer network of a recording."""
    return import_checkpoint(*opened(path), dialect)


@every_recording
@pytest.mark.parametrize("face", ["ref", "fast"])
def test_every_integer_of_every_module(path: Path, face: str) -> None:
    checkpoint, config = opened(path)
    with np.load(path) as archive:
        recorded = [name.removeprefix("act/") for name in archive.files if name.startswith("act/")]
        integers = sum(archive[f"act/{name}"].size for name in recorded)
    assert list(modules(config)) == config.get("order", recorded) == recorded
    for variant in isa.available() if face == "fast" else (isa.chosen(),):
        with isa.using(variant):
            found = compare_recording(checkpoint, config, dialects.IVIT, face)
        assert [module.module for module in found] == recorded
        assert sum(module.total for module in found) == integers
        assert [module for module in found if not module.same] == []


@every_recording
def test_the_output_of_an_unobserved_run(path: Path) -> None:
    """Fused nodes compute the same; a Segmenter's labels are the largest scores, enlarged."""
    checkpoint, config = opened(path)
    first, *_, last = modules(config)
    with np.load(path) as archive:
        scale, pixels, expected = archive[f"scale/{first}"].item(), archive[f"act/{first}"], archive[f"act/{last}"]
    if "image_size" in config:
        rows, columns = (side // config["patch_size"] for side in config["image_size"])
        expected = np.kron(expected[0].argmax(axis=-1).reshape(rows, columns), np.ones([config["patch_size"]] * 2, int))
    graph = import_checkpoint(checkpoint, config | {"normalization": offset_pixels(scale)}, dialects.IVIT)
    picture = np.moveaxis(pixels[0].astype(np.int64) + 128, 0, -1).astype(np.uint8)
    assert intsim.run(graph, picture).ravel().tolist() == expected.ravel().tolist()


@every_recording
def test_every_module_has_its_recorded_scale(path: Path) -> None:
    _, config = opened(path)
    graph = model(path)
    with np.load(path) as archive:
        for module, node in modules(config).items():
            recorded, own = np.ravel(archive[f"scale/{module}"]), np.ravel(np.asarray(graph.scales[node], np.float64))
            if module.endswith(("attn.matmul_1",)):
                continue  # its recorded scale includes the factor of attention, which our next requantization applies
            np.testing.assert_allclose(np.broadcast_to(own, recorded.shape), recorded, rtol=1e-6, err_msg=module)


@every_recording
def test_a_difference_from_the_recording_is_reported(path: Path, tmp_path: Path) -> None:
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = next(name for name in arrays if name.endswith("blocks.0.attn.qact2") and name.startswith("act/"))
    arrays[name] = arrays[name].copy()
    arrays[name].flat[5] += 1
    np.savez(tmp_path / "other.npz", **arrays)
    wrong = [module for module in compare_recording(*opened(tmp_path / "other.npz"), dialects.IVIT) if not module.same]
    assert [(module.module, module.differing) for module in wrong] == [(name.removeprefix("act/"), 1)]
    arrays["act/unknown"] = arrays[name]
    np.savez(tmp_path / "more.npz", **arrays)
    assert unknown_modules(*opened(tmp_path / "more.npz")) == ["unknown"]
    assert len(compare_recording(*opened(tmp_path / "more.npz"), dialects.IVIT)) == len(modules(opened(path)[1]))


@every_recording
def test_the_dialect_of_the_deployed_graph_differs(path: Path) -> None:
    found = compare_recording(*opened(path), dialects.IVIT_TVM)
    assert found[0].same, "the input is the same"
    assert sum(module.same for module in found) < len(found) / 4
    for graph in (model(path), model(path, dialects.IVIT_TVM)):
        widths = {node.params["b"] for node in graph.nodes if node.op in ("shiftmax", "masked_shiftmax")}
        assert widths == ({16} if path != MINI["swin"] and graph.dialect is dialects.IVIT else {8})


def test_probabilities_of_another_width_have_another_multiplier() -> None:
    """The stored scale of the product assumes 16 bits; 8-bit probabilities are 256 times as coarse."""
    name = "blocks.0.attn.context.requant"
    factors = [
        graph.by_name[name].params["m"] * 2.0 ** -graph.by_name[name].params["e"]
        for graph in (model(MINI["deit"]), model(MINI["deit"], dialects.IVIT_TVM))
    ]
    assert factors[1] == 256 * factors[0]


def test_any_dialect_may_be_used() -> None:
    graph = model(MINI["swin"], dialects.RTL)
    assert {node.params["lam"] for node in graph.nodes if node.op == "lambda_shiftgelu"} == {UNCLAMPED}


# --- scales that are not powers of two --------------------------------------------------------------------------------


def altered(tmp_path: Path, source: str = "deit", meta: dict[str, Any] | None = None, **changes: Any) -> Path:
    """The state of a recording with tensors changed (``__`` for dots), or removed where None."""
    with np.load(MINI[source]) as archive:
        config = json.loads(str(archive["meta"])) | (meta or {})
    state = state_of(MINI[source])
    for key, value in changes.items():
        name = key.replace("__", ".")
        if value is None:
            del state[name]
        else:
            state[name] = np.asarray(value)
    path = tmp_path / "altered.npz"
    np.savez(path, **{f"state/{name}": value for name, value in state.items()}, meta=np.array(json.dumps(config)))
    return path


def test_the_target_scale_is_first_rounded_to_single_precision(tmp_path: Path) -> None:
    scale = 0.1  # whose nearest float32 is another number
    path = altered(tmp_path, blocks__0__attn__qact1__act_scaling_factor=scale)
    graph = import_checkpoint(*opened(path), dialects.IVIT)
    requant, state = graph.by_name["blocks.0.attn.qkv.requant"], state_of(path)
    x, w = (state[f"blocks.0.{name}"] for name in ("qact1.act_scaling_factor", "attn.qkv.fc_scaling_factor"))
    expected = [dyadic(float(x * value) / float(np.float32(scale))) for value in w]
    assert list(zip(requant.params["m"].tolist(), requant.params["e"].tolist(), strict=True)) == expected
    assert expected != [dyadic(float(x * value) / scale) for value in w], "otherwise the test is void"
    assert graph.scales["blocks.0.attn.qkv.requant"] == scale
    # Later nodes use the stored scale, and the product's stored scale is not recomputed.
    gain, aim = 16**-0.5, float(np.float32(state["blocks.0.attn.qact_attn1.act_scaling_factor"]))
    product = float(state["blocks.0.attn.matmul_1.act_scaling_factor"])
    logits = graph.by_name["blocks.0.attn.logits.requant"].params
    assert (logits["m"], logits["e"]) == dyadic(product * gain / aim)


def test_a_state_dict_as_torch_stores_it(tmp_path: Path) -> None:
    """Integers as float32, with the float tensors and ranges of training."""
    state = {name: np.ascontiguousarray(value, np.float32) for name, value in state_of(MINI["deit"]).items()}
    state |= {name.replace("_integer", ""): value + 0.25 for name, value in state.items() if name.endswith("_integer")}
    state |= {"qact1.min_val": np.zeros(1, np.float32), "qact1.max_val": np.zeros(1, np.float32)}
    save_file(state, tmp_path / "qat.safetensors")
    single = {name: value.astype(np.float32) for name, value in state_of(MINI["deit"]).items()}
    whole = {key.replace(".", "__"): value.astype(np.int64) for key, value in single.items() if key.endswith("_integer")}
    rest = {key.replace(".", "__"): value for key, value in single.items() if not key.endswith("_integer")}
    checkpoint, config = opened(altered(tmp_path, **whole, **rest))
    other = import_checkpoint(Checkpoint.open(tmp_path / "qat.safetensors"), config, dialects.IVIT)
    assert other.content_hash == import_checkpoint(checkpoint, config, dialects.IVIT).content_hash


def test_two_heads_of_a_distilled_one(tmp_path: Path) -> None:
    state = state_of(MINI["deit"])
    more = {
        f"head_dist__{key}": state[f"head.{key}"][::-1] for key in ("weight_integer", "bias_integer", "fc_scaling_factor")
    }
    pos = np.concatenate([state["pos_embed"], state["pos_embed"][:, :1]], axis=1)
    path = altered(tmp_path, meta={"distilled": True}, dist_token=state["cls_token"] / 2, pos_embed=pos, **more)
    graph = import_checkpoint(*opened(path), dialects.IVIT)
    picture, seen = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8), {}
    out = intsim.run(graph, picture, seen.__setitem__)
    real = [(seen[name] * graph.scales[name]).ravel() for name in ("head", "head_dist")]
    scale = graph.scales["logits"]
    assert isinstance(scale, float)
    np.testing.assert_allclose(out.ravel() * scale, (real[0] + real[1]) / 2, atol=2 * scale)


def test_a_segmenter_with_its_published_configuration(cli: Cli) -> None:
    """A state dict with variant.yml, which implies the L2 norm of the float network; the quantized one has none."""
    config = opened(MINI["segmenter"])[1]
    state = {name: np.ascontiguousarray(value, np.float32) for name, value in state_of(MINI["segmenter"]).items()}
    save_file(state, "qat.safetensors")
    kept = {
        key: config[key] for key in ("image_size", "patch_size", "d_model", "n_heads", "n_layers", "n_cls", "normalization")
    }
    decoder = {"name": "mask_transformer", "n_layers": 1, "n_heads": config["n_heads"]}
    Path("variant.yml").write_text(json.dumps({"net_kwargs": {**kept, "decoder": decoder}}))
    code, out, _ = cli("quantize qat.safetensors -o q.h5")
    assert (code, "integers and scales as stored" in out) == (0, True)
    graph, due = intsim.load("q.h5"), import_checkpoint(*opened(MINI["segmenter"]), dialects.IVIT)
    picture = np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8)
    assert (intsim.run(graph, picture) == intsim.run(due, picture)).all()
    with pytest.raises(FileError, match="quantized modules have no L2 norm"):
        import_checkpoint(Checkpoint.open("qat.safetensors"), config | {"l2_norm": True}, dialects.IVIT)


# --- invalid checkpoints ----------------------------------------------------------------------------------------------

WEIGHT = np.zeros((192, 64))
WEIGHT[3, 4] = 130
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no scale": (
        {"blocks__1__attn__qact1__act_scaling_factor": None},
        "blocks.1.attn.qact1.act_scaling_factor is missing",
    ),
    "no product's scale": (
        {"blocks__1__attn__matmul_2__act_scaling_factor": None},
        "blocks.1.attn.matmul_2.act_scaling_factor is missing",
    ),
    "no weight scale": ({"blocks__0__mlp__fc1__fc_scaling_factor": None}, "blocks.0.mlp.fc1.fc_scaling_factor is missing"),
    "scale 0": (
        {"blocks__1__qact2__act_scaling_factor": [0.0]},
        "blocks.1.qact2.act_scaling_factor is [0.0]; expected one scale above 0: was this layer calibrated?",
    ),
    "scale not finite": ({"qact1__act_scaling_factor": np.nan}, "qact1.act_scaling_factor holds values that are not finite"),
    "gamma 0": (
        {"norm__norm_scaling_factor": np.zeros(64)},
        "norm.norm_scaling_factor of channel 0 is 0, which is not a scale",
    ),
    "beyond i8": ({"blocks__0__attn__qkv__weight_integer": WEIGHT}, "weight_integer[3, 4] = 130 is not an integer of i8"),
    "no integer": (
        {"blocks__0__attn__qkv__weight_integer": WEIGHT / 8},
        "weight_integer[3, 4] = 16.25 is not an integer of i8",
    ),
    "bias beyond i32": (
        {"norm__bias_integer": np.full(64, 2.0**31)},
        "norm.bias_integer[0] = 2147483648 is not an integer of i32",
    ),
    "too deep": (
        {"meta": {"depth": 3}},
        "blocks.2.norm1.bias_integer is missing; the configuration requires it; check depth, distilled and qkv_bias",
    ),
    "too shallow": (
        {"meta": {"depth": 1}},
        "blocks.1.attn.proj.weight_integer is not part of the configured network; check depth",
    ),
    "another size": ({"meta": {"img_size": 48}}, "pos_embed is [1, 17, 64], the configuration requires [1, 37, 64]"),
    "class token": (
        {"cls_token": np.full((1, 1, 64), -9.0)},
        "cls_token reaches -36864 at the scale of what it stands beside",
    ),
    "class embeddings": (
        {"source": "segmenter", "decoder__cls_emb": np.full((1, 4, 64), 1e6)},
        "decoder.cls_emb reaches ",
    ),
    "a projection of another shape": (
        {"source": "segmenter", "decoder__proj_patch__weight_integer": np.zeros((64, 32))},
        "decoder.proj_patch.weight_integer is [64, 32], the configuration requires [64, 64]",
    ),
    "another decoder": (
        {"source": "segmenter", "meta": {"decoder": {"name": "linear"}}},
        "decoder.head.weight_integer is missing; the configuration requires it; check n_layers, decoder and distilled",
    ),
    "no scale of the masks": (
        {"source": "segmenter", "decoder__qact5__act_scaling_factor": None},
        "decoder.qact5.act_scaling_factor is missing",
    ),
    "another softmax": (
        {"blocks__0__attn__int_softmax__act_scaling_factor": 2.0**-7},
        "blocks.0.attn.int_softmax.act_scaling_factor is 0.0078125, expected 3.05176e-05 for 16 bits",
    ),
    "another index": (
        {"source": "swin", "layers__0__blocks__0__attn__relative_position_index": np.zeros((16, 16))},
        "layers.0.blocks.0.attn.relative_position_index does not match the configuration; check img_size and window_size",
    ),
    "an index of another shape": (
        {"source": "swin", "layers__0__blocks__0__attn__relative_position_index": np.zeros((4, 16))},
        "layers.0.blocks.0.attn.relative_position_index does not match the configuration; check img_size and window_size",
    ),
    "a mask for another picture": (
        {"source": "swin", "meta": {"img_size": 64}},
        "layers.0.blocks.1.attn_mask does not match the configuration; check img_size and window_size",
    ),
    "another mask": (
        {"source": "swin", "layers__0__blocks__1__attn_mask": np.zeros((4, 16, 16))},
        "layers.0.blocks.1.attn_mask does not match the configuration",
    ),
}


@pytest.mark.parametrize(("changes", "words"), BAD.values(), ids=BAD)
def test_invalid_checkpoints(changes: dict[str, Any], words: str, cli: Cli, tmp_path: Path) -> None:
    altered(tmp_path, **changes)
    code, out, err = cli("quantize altered.npz -o out.h5")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("intsim: altered.npz: ")
    assert words in err
    assert not Path("out.h5").exists()


def test_an_overflow_names_its_node(cli: Cli) -> None:
    """One bias of the recording takes the last layer norm out of i32; ivit computes it in 64 bits, rtl forbids it."""
    code, _, err = cli(f"quantize {MINI['deit']} --dialect rtl -o out.h5")
    assert code == 2
    assert f"{MINI['deit']}: norm: layernorm may reach [-1186531309, 2252107540], outside i32" in err
    assert not Path("out.h5").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--calibrate picture.png", "--calibrate"),
        ("picture.png", "--calibrate"),
        ("--bits weight=4", "--bits"),
        ("--observer mse", "--observer"),
        ("--fold-norm", "--fold-norm"),
        ("--size 64", "--size"),
        ("--lam off", "--lam"),
        ("--report", "--report"),
    ],
)
def test_options_of_quantization_are_refused_for_a_quantized_checkpoint(
    options: str, named: str, cli: Cli, tmp_path: Path
) -> None:
    altered(tmp_path)
    code, _, err = cli(f"quantize altered.npz -o out.h5 {options}")
    assert code == 2
    assert err == (
        f"intsim: altered.npz: is quantized already, and its integers and scales are taken unchanged; leave out {named}\n"
    )
    assert not Path("out.h5").exists()


def test_a_float_checkpoint_is_not_quantized(cli: Cli, tmp_path: Path) -> None:
    state = {name.replace("_integer", ""): value.astype(np.float32) for name, value in state_of(MINI["deit"]).items()}
    np.savez("float.npz", **{name: value for name, value in state.items() if "scaling" not in name})
    code, _, err = cli("quantize float.npz -o out.h5")
    assert (code, err) == (
        2,
        "intsim: float.npz: a float checkpoint; quantization needs at least one picture to calibrate on; "
        "--calibrate PICTURE names one\n",
    )
    checkpoint = Checkpoint.open(Path("float.npz"))
    with pytest.raises(
        FileError, match=r"a float checkpoint, without \*\.weight_integer; quantize it with calibration pictures"
    ):
        import_checkpoint(checkpoint, opened(MINI["deit"])[1], dialects.IVIT)


@every_recording
def test_quantize_and_all_commands(path: Path, cli: Cli) -> None:
    count = {"deit": 50, "swin": 106, "segmenter": 61, "linear": 30}[next(name for name in MINI if MINI[name] == path)]
    code, out, err = cli(f"quantize {path} -o q.h5")
    assert (code, err) == (0, "")
    assert "dialect ivit, integers and scales as stored in the checkpoint" in out
    assert f"recorded modules: {count} of {count} bit-exact" in out
    code, out, _ = cli(f"quantize {path} --dialect ivit-tvm -o t.h5")
    assert (code, out.splitlines()[-1]) == (0, "recorded modules: not compared, they use dialect ivit")
    graph = intsim.load("q.h5")
    picture = np.random.default_rng(1).integers(0, 256, graph.tensors[graph.input.name].shape, np.uint8)
    Image.fromarray(picture).save("p.png")
    if graph.output.op == "argmax":
        assert cli("run p.png -m q.h5")[0] == 0
        assert (np.asarray(Image.open("labels.png")) == intsim.run(graph, picture)).all()
    else:
        code, out, _ = cli("run p.png -m q.h5 --top 10")
        assert code == 0
        assert len(out.splitlines()) == 3 + 10
    assert cli("golden p.png -m q.h5 --level full -o g.h5")[0] == 0
    assert cli("diff g.h5 g.h5 -m q.h5 --isolated")[0] == 0
    assert cli("bench q.h5 --runs 1")[0] == 0


def rewritten(path: Path, **changes: Any) -> Path:
    """A recording with arrays changed, or removed where None."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files} | changes
    np.savez("r.npz", **{name: value for name, value in arrays.items() if value is not None})
    return Path("r.npz")


def test_a_difference_from_the_recording_is_an_exit_code(cli: Cli) -> None:
    with np.load(MINI["deit"]) as archive:
        logits = archive["act/head"] + np.arange(10) // 9
    rewritten(MINI["deit"], **{"act/head": logits, "act/act_out": logits})
    code, out, _ = cli("quantize r.npz -o out.h5")
    assert code == 1
    assert "recorded modules: 49 of 50 bit-exact" in out
    assert "first module that differs: head differs in 1 of 10 elements" in out
    assert "not compared, because this network has no such modules: act_out" in out
    assert Path("out.h5").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input": None}, "input is missing from the recording"),
        ({"input": np.zeros((1, 3, 8, 8))}, "input is [1, 3, 8, 8]; expected [1, 3, 32, 32]"),
        ({"input": np.full((1, 3, 32, 32), np.nan)}, "input holds values that are not finite"),
        ({"act/head": np.array(["a"] * 10)}, "act/head: it contains <U1, expected numbers"),
        ({"meta": np.array([1])}, "meta is not a JSON object"),
        ({"meta": np.array("{broken")}, "meta is not a JSON object"),
        ({"meta": np.array('{"kind": "deit", "depth": 2}')}, "meta: configuration: 'img_size' is missing"),
    ],
)
def test_an_invalid_recording_writes_nothing(changes: dict[str, Any], words: str, cli: Cli) -> None:
    rewritten(MINI["deit"], **changes)
    code, out, err = cli("quantize r.npz -o out.h5")
    assert (code, out) == (2, "")
    assert words in err
    assert not Path("out.h5").exists()


def test_unknown_keys_of_a_recorded_configuration_are_ignored(cli: Cli) -> None:
    with np.load(MINI["deit"]) as archive:
        config = json.loads(str(archive["meta"])) | {"seed": 7, "representation_size": None, "qk_scale": None}
    rewritten(MINI["deit"], meta=np.array(json.dumps(config).encode()))
    assert "50 of 50 bit-exact" in cli("quantize r.npz -o out.h5")[1]


def test_a_gamma_so_small_that_all_of_its_channel_is_zero(tmp_path: Path) -> None:
    scales, bias = state_of(MINI["deit"])["blocks.0.norm1.norm_scaling_factor"].copy(), np.zeros(64, np.int64)
    scales[3] = 1e-12  # which needs a shift of 65
    changes = {"blocks__0__norm1__norm_scaling_factor": scales, "blocks__0__norm1__bias_integer": bias}
    graph = import_checkpoint(*opened(altered(tmp_path, **changes)), dialects.IVIT)
    requant = graph.by_name["blocks.0.norm1.requant"].params
    assert requant["m"][3] == 0
    assert (requant["m"][[2, 4]] != 0).all()
    bias[3] = 2**31 - 1  # where the largest magnitude times the factor may exceed one half, the channel is not 0
    scales[3] = 2.0**-32.3 * 2.0**-5
    with pytest.raises(IntsimError, match=r"channel 3: dyadic: factor .* needs a shift of 63"):
        import_checkpoint(*opened(altered(tmp_path, **changes)), dialects.IVIT)


@pytest.mark.parametrize(("scale", "named"), [(0.25, False), (1 / 3, False), (0.5, True)])
def test_masks_that_the_published_network_may_lift_are_named(scale: float, named: bool, tmp_path: Path) -> None:
    """A shifted block whose logits are coarser than a third; the bound of docs/ivit.md, for every pair of i8."""
    with np.load(MINI["swin"]) as archive:
        arrays = {name: archive[name] for name in archive.files if name.startswith(("state/", "config"))}
    arrays["state/layers.0.blocks.1.attn.qact2.act_scaling_factor"] = np.array([scale], np.float32)
    np.savez(tmp_path / "coarse.npz", **arrays)
    remarks = intsim.quantize(tmp_path / "coarse.npz").remarks
    masked = [remark for remark in remarks if "tokens that are masked may contribute" in remark]
    assert [remark.partition(":")[0] for remark in masked] == ["layers.0.blocks.1.attn.softmax"] * named
    lifted = max(1.4375 * (255 - 100 / scale), 0) > 15 * np.floor(-1 / scale) * -1
    assert lifted == named
