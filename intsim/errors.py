"""What can go wrong, as one family of exceptions. Every message is one printable line that names the thing.

Exceptions carry facts, and messages the way out where there is one for every caller. Which command-line option would help
is the command's to add (`intsim.cli.hints`).
"""

from __future__ import annotations

from pathlib import Path


class IntsimError(ValueError):
    """Unusable input: the command line prints the message and exits with code 2."""

    def __str__(self) -> str:
        return printable(super().__str__())


def printable(text: str) -> str:
    """Text of unknown origin as one line that is safe on a terminal: control characters and the like as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


class GraphError(IntsimError):
    """A graph that is not well formed; the message starts with the node's name."""


class UnknownOperator(GraphError):
    """A node of an operator that is not there; it may be one of a plugin."""


class BoundError(GraphError):
    """A graph that some input could drive outside an integer format; the message names the node and the bound found."""


class FileError(IntsimError):
    """A file that is missing, of another kind, damaged or unsafe; the message starts with its path."""


class UnknownNode(IntsimError):
    """A node `name` that the graph does not have."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no node {name!r}; 'intsim inspect' lists their names")
        self.name = name


class UnmatchedGlob(IntsimError):
    """A glob of node names that matches none."""

    def __init__(self, glob: str) -> None:
        super().__init__(f"{glob!r} matches no node; 'intsim inspect' lists their names")
        self.glob = glob


class NotAScore(FileError):
    """The file `path` is not the score of a golden file."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: is no score of a golden file")
        self.path = path


class AlteredGolden(FileError):
    """The golden file `path` has other values of `tensor` than its hash says; "" where its list of tensors was altered."""

    def __init__(self, path: Path, tensor: str, reason: str = "") -> None:
        super().__init__(f"{path}: {reason or f'{tensor} does not match its recorded hash'}; the file was altered")
        self.path, self.tensor = path, tensor


class ModelMismatch(IntsimError):
    """`golden`, a golden file, was made from the model with the hash `expected`; `found` is the hash of another model.

    `model` is the file of that other model, where it came from one.
    """

    def __init__(self, golden: Path, expected: str, found: str, model: Path | None = None) -> None:
        other = f"{model}, which is {found[:12]}" if model is not None else f"{found[:12]}"
        super().__init__(f"{golden}: was made from model {expected[:12]}, not from {other}")
        self.golden, self.expected, self.found, self.model = golden, expected, found, model


class ModelNotFound(IntsimError):
    """The model behind `golden`, whose hash is `expected`, is neither the shipped one nor next to the golden file."""

    def __init__(self, golden: Path, expected: str) -> None:
        super().__init__(f"{golden}: was made from model {expected[:12]}, which is neither the shipped one nor next to it")
        self.golden, self.expected = golden, expected


class CheckpointNotFound(IntsimError):
    """The float checkpoint of `model`, whose hash is `expected`, is not next to the model."""

    def __init__(self, model: Path, expected: str) -> None:
        super().__init__(f"{model}: its checkpoint ({expected}) is not next to it")
        self.model, self.expected = model, expected


class ConfigurationNotFound(FileError):
    """The dimensions of the network in `checkpoint` are neither in the file, nor next to it, nor told by its shapes."""

    def __init__(self, checkpoint: Path, undetermined: str = "") -> None:
        reason = f"{undetermined}, and " if undetermined else ""
        super().__init__(
            f"{checkpoint}: {reason}its configuration is not next to it, as {checkpoint.stem}.json or variant.yml; give it, "
            "or a model of the same network"
        )
        self.checkpoint = checkpoint


class PicturesMissing(IntsimError):
    """`checkpoint` holds real numbers, and there is no picture to calibrate on."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__(f"{checkpoint}: a float checkpoint; quantization needs at least one picture to calibrate on")
        self.checkpoint = checkpoint


class AlreadyQuantized(IntsimError):
    """`checkpoint` holds integers and scales, which are taken unchanged; `given` is what was asked for in vain."""

    def __init__(self, checkpoint: Path, given: str) -> None:
        super().__init__(
            f"{checkpoint}: is quantized already, and its integers and scales are taken unchanged; leave out {given}"
        )
        self.checkpoint, self.given = checkpoint, given


class PictureSizeMismatch(FileError):
    """The picture `path` has the size `found`, the model takes `expected`: (height, width)."""

    def __init__(self, path: Path, expected: tuple[int, int], found: tuple[int, int]) -> None:
        super().__init__(
            f"{path}: is {found[1]} x {found[0]} pixels; this model takes {expected[1]} x {expected[0]} "
            "(width x height) only"
        )
        self.path, self.expected, self.found = path, expected, found


MOST_LABELS = 5  # that a message lists


class UnknownLabel(FileError):
    """The label map `path` has `label` at `place`, which is none of the `classes`; `from_one`: they seem to count from 1.

    `others` are the further labels in it that are none; where there are any, its labels are not numbered like the classes.
    """

    def __init__(
        self, path: Path, label: int, place: tuple[int, int], classes: int, from_one: bool, others: tuple[int, ...] = ()
    ) -> None:
        listed = ", ".join(map(str, others[:MOST_LABELS])) + (", ..." if len(others) > MOST_LABELS else "")
        super().__init__(
            f"{path}: label {label} at row {place[0]}, column {place[1]} is outside the {classes} classes of the model"
            + (f", and so are {listed}; a pixel's value must be its class" if others else "")
        )
        self.path, self.label, self.place, self.classes, self.from_one = path, label, place, classes, from_one
        self.others = others
