"""A training as a file: what `intsim train` reads."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from .. import dialects
from ..dialects import Dialect
from ..errors import FileError, IntsimError
from ..quantization.recipe import Recipe, from_table
from ..quantization.recipe_file import recipe_named
from ..storage.files import file_sha256, require_file
from .data import ClassifiedPictures, Examples, LabelledPixels
from .network import LEARN, QuantizedNetwork
from .preparing import Prepared, prepare
from .training import Row, Schedule, train


@dataclass(frozen=True)
class Job:
    """Everything about a training; paths in a file are relative to its folder.

    `checkpoint` and `calibrate` are those of `intsim.quantize`, and so are `config`, `weights`, `size` (height, width),
    `settings`, `recipe` (a name, a file, or a table of choices) and `dialect`. `pictures` is the folder of examples: with
    label maps of a network that labels pixels (`ignore` is the value for no class), with a folder for each class of one that
    classifies. `steps` and `power_of_two` are those of `QuantizedNetwork`, `training` those of `Schedule`.
    """

    checkpoint: Path
    pictures: Path
    calibrate: tuple[Path, ...] = ()
    config: Path | None = None
    weights: str | None = None
    size: tuple[int, int] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe | None = None
    dialect: Dialect | None = None
    ignore: int | None = None
    steps: str = LEARN
    power_of_two: bool = False
    resize: bool = False
    training: Schedule = field(default_factory=Schedule)

    @classmethod
    def read(cls, path: str | Path) -> Job:
        """The training in a TOML file; FileError for anything that is not one, with the key that is wrong."""
        path = Path(path)
        require_file(path, "a training, TOML")
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError, RecursionError) as error:
            raise FileError(f"{path}: not a TOML file ({error})") from None
        try:
            return _parsed(table, path.parent)
        except FileError:
            raise
        except IntsimError as error:
            raise FileError(f"{path}: {error}") from None

    def run(
        self,
        folder: str | Path,
        *,
        device: str = "cpu",
        resume: bool = False,
        prepared: Callable[[Prepared], None] = lambda found: None,
        progress: Callable[[Row], None] = lambda row: None,
    ) -> Path:
        """Train, and return the model file in `folder`; raises what `prepare` and `train` raise."""
        require_device(device)
        found = prepare(
            self.checkpoint,
            self.calibrate,
            config=self.config,
            settings=self.settings or None,
            size=self.size,
            weights=self.weights,
            recipe=self.recipe,
            dialect=self.dialect,
            resize=self.resize,
            steps=self.steps,
            power_of_two=self.power_of_two,
        )
        prepared(found)
        network = found.network.to(device)
        examples = self.examples(network)
        if self.training.teacher and not self.training.labels and found.teacher is None:
            raise IntsimError("there is no float network to be taught by; give labels a weight")
        identity = f"{file_sha256(self.checkpoint)}|{self.recipe}|{self.steps}|{self.power_of_two}|{len(examples)}"
        return train(
            network,
            found.teacher,
            examples,
            self.training,
            folder,
            identity=identity,
            resume=resume,
            progress=progress,
        )

    def examples(self, network: QuantizedNetwork) -> Examples:
        """The pictures, as the network takes them."""
        shapes = network.net.shapes()
        picture = next(node for node in network.net.nodes if node.op == "input")
        height, width, _ = shapes[picture.name]
        classes = shapes[network.result][-1]
        if network.net.encodes:
            raise IntsimError("the network ends in features; a training needs one that labels pixels or classifies")
        if network.net.classifies:
            return ClassifiedPictures.of(self.pictures, (height, width), classes)
        patch = next((node.params["factor"] for node in network.net.nodes if node.op == "upsample_nearest"), 1)
        return LabelledPixels.of(self.pictures, (height, width), patch, classes, self.ignore)


def require_device(device: str) -> None:
    """IntsimError where torch has no such device."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise IntsimError(f"device {device!r} cannot be used ({reason}); use cpu") from None


def _parsed(table: Mapping[str, Any], folder: Path) -> Job:
    known = {f.name for f in fields(Job)}
    if unknown := sorted(table.keys() - known):
        raise IntsimError(f"unknown key {unknown[0]!r}; the keys are {', '.join(f.name for f in fields(Job))}")
    for key in ("checkpoint", "pictures"):
        if not isinstance(table.get(key), str):
            raise IntsimError(f"{key} is missing; a training needs a checkpoint and a folder of pictures")
    given = dict(table)
    for key in ("checkpoint", "pictures", "config"):
        if key in given:
            given[key] = folder / _text(key, given[key])
    calibrate = given.get("calibrate", [])
    if not isinstance(calibrate, list):
        raise IntsimError("calibrate is a list of pictures")
    given["calibrate"] = tuple(folder / _text("calibrate", name) for name in calibrate)
    if "size" in given:
        size = given["size"]
        if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
            raise IntsimError("size is [height, width]")
        given["size"] = (size[0], size[1])
    if "recipe" in given:
        given["recipe"] = _recipe(given["recipe"], folder)
    if "dialect" in given:
        given["dialect"] = _dialect(_text("dialect", given["dialect"]), folder)
    if "training" in given:
        given["training"] = _schedule(given["training"])
    for key in ("power_of_two", "resize"):
        if key in given and not isinstance(given[key], bool):
            raise IntsimError(f"{key} is true or false")
    if "ignore" in given and type(given["ignore"]) is not int:
        raise IntsimError("ignore is the value in label maps for no class, a whole number")
    if not isinstance(given.get("settings", {}), Mapping):
        raise IntsimError("settings is a table with keys of the network's configuration")
    return Job(**given)


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise IntsimError(f"{key} is text, not {value!r}")
    return value


def _recipe(value: Any, folder: Path) -> Recipe:
    if isinstance(value, Mapping):
        return from_table(value)
    name = _text("recipe", value)
    return recipe_named(str(folder / name) if (folder / name).is_file() else name)


def _dialect(name: str, folder: Path) -> Dialect:
    if name in dialects.DIALECTS:
        return dialects.DIALECTS[name]
    if (folder / name).is_file():
        return dialects.load(folder / name)
    raise IntsimError(f"dialect {name!r} is neither one of {', '.join(dialects.DIALECTS)} nor a TOML file")


def _schedule(value: Any) -> Schedule:
    if not isinstance(value, Mapping):
        raise IntsimError("training is a table")
    known = [f.name for f in fields(Schedule)]
    if unknown := sorted(value.keys() - set(known)):
        raise IntsimError(f"training: unknown key {unknown[0]!r}; the keys are {', '.join(known)}")
    given = dict(value)
    if "learn" in given:
        learn = given["learn"]
        if not isinstance(learn, list) or not all(isinstance(glob, str) for glob in learn) or not learn:
            raise IntsimError("training: learn is a list of globs of parameters")
        given["learn"] = tuple(learn)
    return Schedule(**given)
