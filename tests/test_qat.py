"""Training: the forward is the integer network, the gradient the real one. `make torch` runs these tests."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

torch = pytest.importorskip("torch", reason="torch is not installed: `make torch` runs these")

import intsim
from intsim import dialects, ops
from intsim.arith import I64, TensorBound
from intsim.dialects import Dialect
from intsim.engine.graph import Graph
from intsim.errors import IntsimError
from intsim.nets.networks import built
from intsim.qat import QuantizedNetwork, RealNetwork, StepLost, prepare
from intsim.qat import training as loop
from intsim.qat.data import batch, shares
from intsim.qat.expressions import TooWide, evaluate
from intsim.qat.job import Job
from intsim.qat.straight import quantized
from intsim.quantization import Recipe
from intsim.quantization.checkpoint import Checkpoint
from intsim.quantization.ivit import import_checkpoint
from intsim.quantization.synth import random_picture, random_weights
from intsim.symbols.trace import traced

from checking import calls_of_vectors
from networks import TINY, TINY_DEIT, TINY_SWIN

GOLDEN = Path(__file__).parent.parent / "golden"
NETWORKS: dict[str, dict[str, Any]] = {
    "segmenter": TINY,
    "linear": TINY | {"decoder": {"name": "linear"}},
    "vit": TINY_DEIT | {"kind": "vit"},
    "deit": TINY_DEIT | {"distilled": True},
    "swin": TINY_SWIN,
}
every_network = pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
every_dialect = pytest.mark.parametrize("dialect", dialects.DIALECTS.values(), ids=lambda dialect: dialect.name)


@pytest.fixture
def small(tmp_path: Path) -> Any:
    """Makes a network in training of random weights."""

    def made(config: dict[str, Any], dialect: Dialect = dialects.ISEGMENTER, **how: Any) -> Any:
        path = tmp_path / "random.safetensors"
        save_file({k: np.ascontiguousarray(v, np.float32) for k, v in random_weights(config, 3).items()}, path)
        return prepare(path, [random_picture(config, 4)], config=config, dialect=dialect, **how)

    return made


def pictures(network: RealNetwork, count: int) -> Any:
    """Random pictures, one black and one white."""
    sides = next(node.params for node in network.net.nodes if node.op == "input")
    made = np.random.default_rng(5).integers(0, 256, (count, sides["height"], sides["width"], 3)).astype(np.uint8)
    made[-2], made[-1] = 0, 255
    return torch.from_numpy(made)


def trained(network: QuantizedNetwork, steps: int = 2, rate: float = 3e-3) -> QuantizedNetwork:
    """The network after some steps towards nothing in particular, large enough to change every parameter."""
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=rate)
    images = pictures(network, 4)
    network.train()
    for _ in range(steps):
        optimizer.zero_grad()
        scores = network(images)
        (scores**2).mean().backward()
        optimizer.step()
    return network


def differing(graph: Graph, images: Any, found: dict[str, Any]) -> dict[str, int]:
    """How many integers of each tensor differ from those that intsim computes."""
    wrong: dict[str, int] = {}
    for i, picture in enumerate(images.numpy()):
        seen: dict[str, np.ndarray] = {}
        intsim.run(graph, picture, seen.__setitem__)
        assert seen.keys() == found.keys()
        for name, value in seen.items():
            own = found[name][i] if found[name].ndim > value.ndim else found[name]
            assert tuple(own.shape) == value.shape
            if count := int((own.numpy().astype(np.int64) != value).sum()):
                wrong[name] = wrong.get(name, 0) + count
    return wrong


# --- the promise --------------------------------------------------------------------------------------------------------


@every_dialect
@every_network
def test_what_is_trained_is_what_is_exported(config: dict, dialect: Dialect, small: Any, tmp_path: Path) -> None:
    """After steps that change every parameter: every named tensor of the saved model, computed in torch and by intsim."""
    network = small(config, dialect).network
    before = network.graph().content_hash
    trained(network).save(tmp_path / "model.h5")
    graph = intsim.load(tmp_path / "model.h5")
    assert graph.content_hash != before
    images = pictures(network, 4)
    assert differing(graph, images, network.integers(images)) == {}


@every_network
def test_the_value_of_a_forward_is_its_integers(config: dict, small: Any) -> None:
    found = small(config).network
    images = pictures(found, 3)
    graph, end = found.graph(), found.result
    end = f"{end}.requant" if f"{end}.requant" in graph.by_name else end
    with torch.no_grad():
        scores = found(images)
        found.kernels = False
        assert torch.equal(found(images), scores)
    integers = found.integers(images, [end])[end].numpy()
    np.testing.assert_array_equal(scores.numpy(), integers.astype(np.float32) * np.float32(graph.scales[end]))


@pytest.mark.parametrize(
    ("widths", "how"),
    [
        ({"weight": 4, "activation": 4}, {}),
        ({"weight": 2, "activation": 6, "logits": 8}, {"recipe": {"logits_scale": "head"}}),
        ({"weight": 8}, {"steps": "running"}),
        ({"weight": 8}, {"steps": "fixed"}),
        ({"weight": 5, "residual": 8}, {"power_of_two": True}),
    ],
    ids=["4 bits", "a scale per head", "running", "fixed", "powers of two"],
)
def test_the_promise_at_other_choices(widths: dict, how: dict, small: Any) -> None:
    recipe = Recipe(widths=widths, **how.pop("recipe", {}))
    network = trained(small(TINY, recipe=recipe, **how).network)
    images = pictures(network, 3)
    assert differing(network.graph(), images, network.integers(images)) == {}


def test_powers_of_two(small: Any) -> None:
    network = trained(small(TINY, power_of_two=True).network)
    graph = network.graph()
    for node in network.net.nodes:
        if node.name in network._owner:
            name = f"{node.name}.requant" if f"{node.name}.requant" in graph.by_name else node.name
            assert np.log2(graph.scales[name]) % 1 == 0, name
    weights = [np.log2(node.scales["weight"]) for node in graph.nodes if node.op == "linear"]
    assert all((logarithm % 1 == 0).all() for logarithm in weights)


@pytest.mark.parametrize("name", ["deit", "swin", "segmenter", "linear"])
def test_training_goes_on_from_integers(name: str) -> None:
    """A checkpoint of I-ViT begins as the network that is imported from it: all weights, biases of linear layers, x0."""
    path = GOLDEN / f"ivit-{name}-mini.npz"
    found = prepare(path)
    imported, own = import_checkpoint(Checkpoint.open(path), found.configuration, dialects.IVIT), found.network.graph()
    assert [node.name for node in own.nodes] == [node.name for node in imported.nodes]
    for node in imported.nodes:
        for key, value in node.params.items():
            other = np.asarray(own.by_name[node.name].params[key], np.float64)
            if key in ("m", "ma", "mc") or node.op == "layernorm":  # steps and betas have the precision of float32
                np.testing.assert_allclose(other, value, rtol=3e-7, err_msg=f"{node.name} {key}")
            else:
                np.testing.assert_array_equal(other, value, err_msg=f"{node.name} {key}")
    network = trained(found.network)
    images = pictures(network, 3)
    assert network.graph().content_hash != own.content_hash
    assert differing(network.graph(), images, network.integers(images)) == {}


# --- torch and the equations --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", sorted(ops.REGISTRY))
def test_equations_in_torch(op: str) -> None:
    """Every vector of every operator, in every dialect, whatever it refuses left out."""
    tried = 0
    for dialect in dialects.DIALECTS.values() if ops.REGISTRY[op].choices else (None,):
        for name, arrays, params in calls_of_vectors(ops.REGISTRY[op], dialect):
            operator = ops.REGISTRY[op]
            argument = {} if dialect is None else {"dialect": dialect}
            try:
                due = operator.ref(*arrays, **params, **argument)
            except ValueError:
                continue
            bounds = [TensorBound(np.shape(x), I64, int(np.min(x)), int(np.max(x))) for x in arrays]
            found = traced(operator, bounds, {k: np.asarray(v) if np.ndim(v) else v for k, v in params.items()}, dialect)
            given = {n: torch.from_numpy(np.asarray(x, np.int64)) for n, x in zip(found.inputs, arrays, strict=True)}
            try:
                (value,) = evaluate([found.out], given, torch.device("cpu"))
            except TooWide:
                continue
            np.testing.assert_array_equal(value.numpy(), np.asarray(due, np.int64), err_msg=name)
            tried += 1
    assert tried > 0


@every_network
def test_the_float_network(config: dict) -> None:
    net = built(config, random_weights(config, 3))
    network = RealNetwork(net)
    images = pictures(network, 3)
    with torch.no_grad():
        found = network(images).numpy()
    for i, picture in enumerate(images.numpy()):
        np.testing.assert_allclose(found[i], net.tensors(picture, [network.result])[network.result], rtol=1e-3, atol=1e-4)


# --- gradients ----------------------------------------------------------------------------------------------------------


def test_the_gradient_of_a_step() -> None:
    """By hand: inside q - x / step, clipped the end; of the value 1 inside and 0 outside."""
    real = torch.tensor([0.3, -0.9, 10.0, -10.0], requires_grad=True)
    log2_step = torch.tensor(-1.0, requires_grad=True)
    q = torch.clamp(torch.round(real.detach() / 0.5), -2, 1)
    value = quantized(real, log2_step, torch.tensor(0.5), q, -2, 1)
    assert value.tolist() == [0.5, -1.0, 0.5, -1.0]
    value.sum().backward()
    assert real.grad.tolist() == [1, 1, 0, 0]
    weight = 1 / np.sqrt(4 * 1)
    due = ((1 - 0.6) + (-2 + 1.8) + 1 - 2) * 0.5 * np.log(2) * weight
    assert log2_step.grad.item() == pytest.approx(due, rel=1e-6)


def test_the_gradient_is_that_of_the_real_function() -> None:
    """At 8 and 16 bits the gradients of the shipped network point where those of the float network do."""
    root = GOLDEN.parent
    picture = root / "examples" / "scenes" / "calibration.png"
    found = prepare(root / "weights" / "scenes.safetensors", [picture])
    plain = RealNetwork(found.network.net)
    images = torch.from_numpy(np.asarray(Image.open(picture))[None].repeat(2, 0))
    for network in (found.network, plain):
        (network(images) ** 2).sum().backward()
    own, due = (dict(network.named_parameters()) for network in (found.network, plain))
    for name in ("encoder.patch_embed.proj.weight", "encoder.blocks.2.attn.qkv.weight", "decoder.proj_patch.weight"):
        pair = [network[f"nodes.{name}"].grad.flatten() for network in (own, due)]
        assert torch.nn.functional.cosine_similarity(*pair, dim=0) > 0.95, name


def test_a_clamp_learns(small: Any) -> None:
    network = small(TINY, recipe=Recipe(lam=20)).network
    network(pictures(network, 4)).pow(2).sum().backward()
    clamps = [value for name, value in network.named_parameters() if name.endswith("clamp")]
    assert len(clamps) == 3
    assert any(value.grad.abs() > 0 for value in clamps)
    with torch.no_grad():
        clamps[0].mul_(0.5)
    nodes = [node for node in network.graph().nodes if node.op == "lambda_shiftgelu"]
    assert sorted(node.params["lam"] for node in nodes) == [10, 20, 20]


# --- the loop -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of several sizes with labels; 255 is no class."""
    rng, made = np.random.default_rng(6), tmp_path / "pictures"
    made.mkdir()
    for i, (height, width) in enumerate([(24, 40), (30, 50), (12, 20), (60, 41)]):
        Image.fromarray(rng.integers(0, 256, (height, width, 3)).astype(np.uint8)).save(made / f"{i}.png")
        labels = rng.integers(0, 5, (height, width)).astype(np.uint8)
        labels[0] = 255
        Image.fromarray(labels).save(made / f"{i}_labels.png")
    return made


@pytest.fixture
def job(tmp_path: Path, folder: Path) -> Path:
    """A training of the tiny Segmenter."""
    save_file(
        {k: np.ascontiguousarray(v, np.float32) for k, v in random_weights(TINY, 3).items()}, tmp_path / "net.safetensors"
    )
    (tmp_path / "net.json").write_text(json.dumps(TINY))
    Image.fromarray(random_picture(TINY, 4)).save(tmp_path / "calibration.png")
    path = tmp_path / "job.toml"
    path.write_text(
        'checkpoint = "net.safetensors"\ncalibrate = ["calibration.png"]\npictures = "pictures"\nignore = 255\n'
        "[recipe.widths]\nweight = 4\n[training]\nsteps = 6\nbatch = 3\nrate = 1e-3\n"
    )
    return path


def test_a_training_learns_and_resumes(job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted and resumed it ends at the same integers; the curve has a row a step, and falls."""
    monkeypatch.setattr(loop, "KEPT", 2)
    whole = Job.read(job).run(tmp_path / "whole")

    def stop(row: loop.Row) -> None:
        if row.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Job.read(job).run(tmp_path / "cut", progress=stop)
    resumed: list[int] = []
    cut = Job.read(job).run(tmp_path / "cut", resume=True, progress=lambda row: resumed.append(row.step))
    assert resumed == [2, 3, 4, 5]
    assert intsim.load(cut).content_hash == intsim.load(whole).content_hash
    rows = list(csv.DictReader((tmp_path / "cut" / "curves.csv").open()))
    assert [int(row["step"]) for row in rows] == list(range(6))
    assert float(rows[-1]["teacher"]) < float(rows[0]["teacher"])
    assert intsim.load(whole).provenance["trained"]["steps"] == "learn"


def test_a_classifier_learns(small: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for number in range(7):
        (tmp_path / "classes" / str(number)).mkdir(parents=True)
        for i in range(2):
            shade = rng.integers(0, 256, (1, 1, 3)).repeat(20, 0).repeat(30, 1).astype(np.uint8)
            Image.fromarray(shade).save(tmp_path / "classes" / str(number) / f"{i}.png")
    found = small(TINY_DEIT)
    task = Job(tmp_path / "random.safetensors", tmp_path / "classes")
    examples = task.examples(found.network)
    assert len(examples) == 14
    rows: list[loop.Row] = []
    schedule = loop.Schedule(steps=40, batch=14, rate=5e-3, teacher=0.0, warm_up=2)
    loop.train(found.network, None, examples, schedule, tmp_path / "out", progress=rows.append)
    assert rows[-1].labels < 0.5 * rows[0].labels


def test_only_what_is_named_learns(small: Any, tmp_path: Path, folder: Path) -> None:
    found = small(TINY)
    before = {name: value.detach().clone() for name, value in found.network.named_parameters()}
    examples = Job(tmp_path / "random.safetensors", folder, ignore=255).examples(found.network)
    schedule = loop.Schedule(steps=2, batch=2, learn=("decoder.*",))
    loop.train(found.network, found.teacher, examples, schedule, tmp_path / "out")
    changed = {name for name, value in found.network.named_parameters() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("nodes.decoder.") for name in changed)


def test_a_batch_follows_from_the_step(folder: Path, small: Any, tmp_path: Path) -> None:
    examples = Job(tmp_path / "random.safetensors", folder, ignore=255).examples(small(TINY).network)
    images, targets = batch(examples, 3, 3, 0)
    again = batch(examples, 3, 3, 0)
    assert torch.equal(images, again[0])
    assert torch.equal(targets, again[1])
    assert not torch.equal(images, batch(examples, 4, 3, 0)[0])
    assert images.shape == (3, 24, 40, 3)
    assert targets.shape == (3, 3, 5, 5)
    order = [int(i) for i in np.random.default_rng([0, 0]).permutation(4)]
    assert sorted(order) == [0, 1, 2, 3]


def test_distances_from_the_teacher() -> None:
    """By hand: 0 for what changes no label; the divergence in nats, the error in units of the variance."""
    exact = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    for kind in ("divergence", "error"):
        assert loop.distance(exact + 3, exact, kind).item() == pytest.approx(0, abs=1e-6)
    scores = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    assert loop.distance(scores, exact, "error").item() == pytest.approx(1.0 / 1.25 / 1.0 * 1.0, rel=1e-6)
    shares = exact[0].softmax(0)
    due = (shares * (shares / 0.5).log()).sum() / 2
    assert loop.distance(scores, exact, "divergence").item() == pytest.approx(due.item(), rel=1e-5)


def test_shares_of_patches() -> None:
    """With them the cross-entropy of patches is the mean of that of pixels, nearest neighbours."""
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 4, (10, 9))  # patches of 4: the last ones are cut
    found = shares(labels, 4, 4)
    for row in range(3):
        for column in range(3):
            cell = labels[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            assert found[row, column].tolist() == pytest.approx([(cell == k).sum() / cell.size for k in range(4)])


# --- what goes wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "became"), [(float("nan"), "no number"), (-200.0, "0"), (200.0, "infinity")])
def test_a_step_that_is_lost(value: float, became: str, job: Path, tmp_path: Path) -> None:
    """The layer is named, and the last good state is on disk."""

    def broken(row: loop.Row) -> None:
        if row.step == 2:
            with torch.no_grad():
                dict(made[0].named_parameters())["nodes.encoder.blocks.0.attn.qkv.log2_step"].fill_(value)

    made: list[QuantizedNetwork] = []
    with pytest.raises(
        StepLost, match=rf"step 3: encoder.blocks.0.attn.qkv: its step has trained to {became}; .*holds step 0"
    ):
        Job.read(job).run(tmp_path / "out", prepared=lambda found: made.append(found.network), progress=broken)
    assert (tmp_path / "out" / "state.pt").is_file()
    assert not (tmp_path / "out" / "model.h5").exists()
    assert Job.read(job).run(tmp_path / "out", resume=True).is_file()


def test_a_batch_that_the_network_does_not_take(small: Any) -> None:
    network = small(TINY).network
    for images, told in (
        (torch.zeros(2, 24, 41, 3, dtype=torch.uint8), r"uint8 \[2, 24, 41, 3\]"),
        (torch.zeros(2, 24, 40, 3), r"float32 \[2, 24, 40, 3\]"),
        (torch.zeros(0, 24, 40, 3, dtype=torch.uint8), r"uint8 \[0, 24, 40, 3\]"),
    ):
        with pytest.raises(IntsimError, match=rf"image: expected a batch .*\[batch, 24, 40, 3\], not {told}"):
            network(images)


BAD: dict[str, tuple[str, str]] = {
    "unknown key": ("colour = 1\n", "unknown key 'colour'; the keys are checkpoint, pictures"),
    "no checkpoint": ("", "checkpoint is missing"),
    "no dialect": ('dialect = "other"\n', "dialect 'other' is neither one of"),
    "no steps": ('steps = "guess"\n', "steps are learn, running, fixed, not 'guess'"),
    "half a step": ("training.steps = 1.5\n", "steps is a whole number of at least 1, not 1.5"),
    "nothing to learn": ("training.labels = 0\ntraining.teacher = 0\n", "labels and teacher are both 0"),
    "another distance": ('training.distance = "far"\n', "distance is divergence or error, not 'far'"),
    "nothing matches": ('training.learn = ["head.*"]\n', "learn: no parameter matches 'head.*'"),
    "a wide weight": ("recipe.widths.weight = 9\n", "weight tensors have 2 to 8 bits, not 9"),
    "another folder": ('pictures = "nowhere"\n', "nowhere: no such folder"),
    "no picture": ('calibrate = ["nowhere.png"]\n', "nowhere.png: no such file"),
    "no TOML": ("= 1\n", "not a TOML file"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_a_bad_training_is_told(case: tuple[str, str], job: Path, cli: Any, tmp_path: Path) -> None:
    text, told = case
    if told != "checkpoint is missing":
        first = [line for line in job.read_text().splitlines()[:3] if line.split(" = ")[0] not in text]
        text = "\n".join([*first, text])
    job.write_text(text)
    code, _, err = cli(f"train {job} -o out")
    assert code == 2
    assert told in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out" / "model.h5").exists()


def test_other_ways_to_go_wrong(job: Path, cli: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for arguments, told in (
        ("--resume", "there is no training to resume"),
        ("--device cuda", "device 'cuda' cannot be used"),
        ("--device fish", "device 'fish' cannot be used"),
    ):
        if told.endswith("'cuda' cannot be used") and torch.cuda.is_available():
            continue
        code, _, err = cli(f"train {job} -o {out} {arguments}")
        assert (code, err.count("\n")) == (2, 1), err
        assert told in err
    assert cli(f"train {job} -o {out}")[0] == 0
    job.write_text('dialect = "rtl"\n' + job.read_text())
    code, _, err = cli(f"train {job} -o {out} --resume")
    assert code == 2
    assert "is the state of another training" in err
    (out / "state.pt").write_bytes(b"no state")
    code, _, err = cli(f"train {job} -o {out} --resume")
    assert code == 2
    assert "is not a state of this training" in err


def test_a_state_is_of_its_steps(small: Any) -> None:
    with pytest.raises(IntsimError, match="has integers and scales of its own; leave out pictures"):
        prepare(GOLDEN / "ivit-deit-mini.npz", ["picture.png"])
    with pytest.raises(IntsimError, match="steps are learn, running, fixed"):
        small(TINY, steps="other")
    net = small(TINY).network.net
    net.nodes.append(replace(net.nodes[-1], name="more", op="mystery"))
    with pytest.raises(IntsimError, match=r"more: mystery has no derivative here; give it a rule in intsim\.qat\.RULES"):
        RealNetwork(net)
