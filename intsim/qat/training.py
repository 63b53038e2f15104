"""The loop: batches through a quantized network, towards labels and towards its float teacher, with resume and curves."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import FileError, IntsimError
from ..storage.files import replacing
from .data import Examples, batch
from .network import QuantizedNetwork
from .reals import RealNetwork

STATE, CURVES, MODEL = "state.pt", "curves.csv", "model.h5"
COLUMNS = ("step", "loss", "labels", "teacher", "rate", "seconds")
KEPT = 100  # steps between states on disk
DIVERGENCE, ERROR = "divergence", "error"
DISTANCES = (DIVERGENCE, ERROR)


@dataclass(frozen=True)
class Schedule:
    """How a network is trained.

    AdamW; `rate` is the peak of the learning rate, of weights, and `step_rate` of the logarithms of steps; both rise over
    `warm_up` steps and fall to 0 as a cosine. `labels` and `teacher` weigh the cross-entropy with the labels, and the
    `distance` from what the float network says: the ``divergence`` of both distributions of classes, or the squared
    ``error`` of the scores in units of their variance, for scores that no softmax was trained on. `learn` are globs of the
    parameters that are trained, by their names.
    """

    steps: int = 400
    batch: int = 16
    rate: float = 1e-4
    step_rate: float = 1e-2
    weight_decay: float = 0.0
    warm_up: int = 20
    labels: float = 1.0
    teacher: float = 1.0
    distance: str = DIVERGENCE
    clip: float = 1.0
    seed: int = 0
    learn: tuple[str, ...] = ("*",)

    def __post_init__(self) -> None:
        for key in ("steps", "batch"):
            if type(getattr(self, key)) is not int or getattr(self, key) < 1:
                raise IntsimError(f"{key} is a whole number of at least 1, not {getattr(self, key)!r}")
        for key in ("rate", "step_rate", "weight_decay", "labels", "teacher", "clip"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise IntsimError(f"{key} is a number of at least 0, not {value!r}")
        if self.distance not in DISTANCES:
            raise IntsimError(f"distance is {' or '.join(DISTANCES)}, not {self.distance!r}")
        if not self.labels and not self.teacher:
            raise IntsimError("labels and teacher are both 0: there is nothing to learn")

    def factor(self, step: int) -> float:
        """Of the learning rate: a linear rise, then a cosine to 0."""
        if step < self.warm_up:
            return (step + 1) / (self.warm_up + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - self.warm_up) / max(1, self.steps - self.warm_up)))


@dataclass(frozen=True)
class Row:
    """One step of a training, as a row of ``curves.csv``."""

    step: int
    loss: float
    labels: float
    teacher: float
    rate: float
    seconds: float


def train(
    network: QuantizedNetwork,
    teacher: RealNetwork | None,
    examples: Examples,
    schedule: Schedule,
    folder: str | Path,
    *,
    identity: str = "",
    resume: bool = False,
    progress: Callable[[Row], None] = lambda row: None,
) -> Path:
    """Train `network`, and return the model file: in `folder` are then ``model.h5``, ``curves.csv`` and ``state.pt``.

    The state is written every 100 steps, whole or not at all; with `resume` training goes on from it, and ends as if it had
    not been interrupted. `identity` names what is trained; a state of another one is refused. Where a step trains to 0 or
    infinity, or a parameter leaves its format, the state of the last step before is written and the IntsimError names the
    layer. Raises FileError for a state that cannot be used.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: no folder can be made there ({error.strerror})") from None
    _choose(network, schedule)
    optimizer = _optimizer(network, schedule)
    rows: list[Row] = []
    identity = f"{identity}|{asdict(schedule)}|{network.dialect}"
    if resume:
        rows = _restored(folder, network, optimizer, identity)
    if teacher is not None:
        teacher.requires_grad_(False).eval().to(network.device)
    network.train()
    good = _state(network, optimizer, rows, identity)
    begun = time.perf_counter() - (rows[-1].seconds if rows else 0.0)
    try:
        for step in range(len(rows), schedule.steps):
            factor = schedule.factor(step)
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * factor
            losses = _stepped(network, teacher, examples, schedule, optimizer, step)
            rows.append(Row(step, *losses, schedule.rate * factor, time.perf_counter() - begun))
            progress(rows[-1])
            if (step + 1) % KEPT == 0 or step + 1 == schedule.steps:
                network.graph()  # what cannot be lowered is not kept
                good = _state(network, optimizer, rows, identity)
                _write(folder, good)
    except IntsimError as error:
        _write(folder, good)
        raise type(error)(f"step {len(rows)}: {error}; {folder / STATE} holds step {len(good['rows'])}") from None
    network.eval()
    network.save(folder / MODEL)
    return folder / MODEL


def _stepped(
    network: QuantizedNetwork,
    teacher: RealNetwork | None,
    examples: Examples,
    schedule: Schedule,
    optimizer: torch.optim.Optimizer,
    step: int,
) -> tuple[float, float, float]:
    """One step; its loss, that of labels, and that of the teacher."""
    images, targets = (x.to(network.device) for x in batch(examples, step, schedule.batch, schedule.seed))
    scores = network(images)
    labels = cross_entropy(scores, targets)
    taught = torch.zeros((), device=scores.device)
    if teacher is not None and schedule.teacher:
        with torch.no_grad():
            exact = teacher(images)
        taught = distance(scores, exact, schedule.distance)
    loss = schedule.labels * labels + schedule.teacher * taught
    if not torch.isfinite(loss):
        raise IntsimError("the loss is no number; resume at a lower learning rate")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_([p for p in network.parameters() if p.grad is not None], schedule.clip)
    optimizer.step()
    return loss.item(), labels.item(), taught.item()


def cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy of scores with shares of the classes, over what has a class at all: both [batch, .., K], with
    as many elements; the logits of one picture may be [1, K].
    """
    targets = targets.reshape(scores.shape)
    return -(targets * scores.log_softmax(dim=-1)).sum() / targets.sum().clamp(min=1e-9)


def distance(scores: Tensor, exact: Tensor, kind: str) -> Tensor:
    """How far scores [batch, .., K] are from the teacher's, as `Schedule` says."""
    if kind == DIVERGENCE:
        own, due = scores.log_softmax(dim=-1), exact.log_softmax(dim=-1)
        return functional.kl_div(own, due, reduction="none", log_target=True).sum(dim=-1).mean()
    own, due = (x - x.mean(dim=-1, keepdim=True) for x in (scores, exact))  # what all classes share changes no label
    return ((own - due) ** 2).mean() / (due**2).mean().clamp(min=1e-30)


def _choose(network: QuantizedNetwork, schedule: Schedule) -> None:
    """Freeze the parameters that are not to be learned. IntsimError for a glob without any."""
    names = dict(network.named_parameters())
    for glob in schedule.learn:
        if not any(fnmatchcase(name.removeprefix("nodes."), glob) for name in names):
            raise IntsimError(
                f"learn: no parameter matches {glob!r}; they are named like {min(names).removeprefix('nodes.')}"
            )
    for name, parameter in names.items():
        own = any(fnmatchcase(name.removeprefix("nodes."), glob) for glob in schedule.learn)
        parameter.requires_grad_(parameter.requires_grad and own)


def _optimizer(network: QuantizedNetwork, schedule: Schedule) -> torch.optim.Optimizer:
    steps = {id(p) for p in network.scale_parameters()}
    learned = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learned if id(p) in steps], "peak": schedule.step_rate, "weight_decay": 0.0},
        {
            "params": [p for p in learned if id(p) not in steps and p.ndim >= 2],
            "peak": schedule.rate,
            "weight_decay": schedule.weight_decay,
        },
        {"params": [p for p in learned if id(p) not in steps and p.ndim < 2], "peak": schedule.rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=schedule.rate, betas=(0.9, 0.98))


# --- states -------------------------------------------------------------------------------------------------------------


def _state(network: QuantizedNetwork, optimizer: torch.optim.Optimizer, rows: list[Row], identity: str) -> dict[str, Any]:
    copied = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    own = optimizer.state_dict()
    moments = {k: {n: v.clone() if isinstance(v, Tensor) else v for n, v in s.items()} for k, s in own["state"].items()}
    groups = own["param_groups"]
    return {
        "identity": identity,
        "network": copied,
        "optimizer": {"state": moments, "param_groups": groups},
        "rows": [asdict(row) for row in rows],
    }


def _write(folder: Path, state: dict[str, Any]) -> None:
    """The state and the curves, each whole or not at all."""
    with replacing(folder / STATE) as temporary:
        torch.save(state, temporary)
    with replacing(folder / CURVES) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in state["rows"])


def _restored(folder: Path, network: QuantizedNetwork, optimizer: torch.optim.Optimizer, identity: str) -> list[Row]:
    path = folder / STATE
    if not path.is_file():
        raise FileError(f"{path}: no such file; there is no training to resume")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["identity"] != identity:
            raise FileError(f"{path}: is the state of another training: network, pictures, dialect or schedule differ")
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        return [Row(**row) for row in state["rows"]]
    except FileError:
        raise
    except Exception as error:  # noqa: BLE001  what torch raises for a damaged file
        raise FileError(f"{path}: is not a state of this training ({str(error).splitlines()[0]})") from None
