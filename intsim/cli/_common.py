"""What the commands share: options, loading, progress, and output."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .. import resources
from ..errors import FileError, IntsimError, printable
from ._output import say

if TYPE_CHECKING:
    from ..dialects import Dialect
    from ..engine.graph import Graph
    from ..reproduction import Reproduction

DIFFERENT = 1  # exit code: a difference was found
UNUSABLE = 2  # exit code: bad input, or nothing could be compared
Command = TypeVar("Command", bound=Callable[..., object])

SHOWN = 5  # names of folders, at most
EXPORT_FORMATS = ("hex", "bits", "raw", "text", "c", "npy", "npz")
PACKAGE_LANGUAGES = ("sv", "vhdl", "c")
BUILT_IN_LAYOUTS = "plain, beats32, beats64, axi128, axi256, axi512, tiles16x16"
BUILT_IN_DIALECTS = "ivit, ivit-tvm, isegmenter, rtl"

model_option = click.option(
    "-m", "--model", type=click.Path(path_type=Path), default=None, help="Model file.  [default: the shipped model]"
)
model_behind_option = click.option(
    "-m",
    "--model",
    type=click.Path(path_type=Path),
    default=None,
    help="Model file.  [default: the shipped model, or one next to GOLDEN]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
picture_argument = click.argument("picture", required=False, type=click.Path(path_type=Path))
input_option = click.option(
    "--input",
    "arrays",
    multiple=True,
    metavar="[NAME=]FILE.npy",
    help="An input of a model that takes arrays, instead of PICTURE; one for each input.",
)
cluster_option = click.option(
    "--cluster",
    default="local",
    show_default=True,
    metavar="WHERE",
    help="Of a set: local[:N] processes, dask:ADDRESS, slurm, or slurm:local.",
)
resize_option = click.option("--resize", is_flag=True, help="Scale pictures of another size.")
threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=None,
    help="Number of threads; results never depend on it.  [default: all]",
)
reproduce_option = click.option(
    "--reproduce",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    default=None,
    help="Also write a bench for what is wrong, as 'intsim reproduce' does, a folder each.",
)
dialect_option = click.option(
    "--dialect", default="isegmenter", show_default=True, help=f"{BUILT_IN_DIALECTS}, or a TOML file."
)


def output_option(what: str, default: str | None) -> Callable[[Command], Command]:
    """The option ``-o`` of a command that writes `what`."""
    shown = default or "the screen"
    path = Path(default) if default else None
    return click.option("-o", "--output", type=click.Path(path_type=Path), default=path, help=f"{what}  [default: {shown}]")


def load_model(path: Path | None) -> Graph:
    """The graph of a model file, by default of the shipped one."""
    from ..storage.model_file import load

    return load(path or resources.model())


def model_behind(golden: Path, path: Path | None) -> Graph:
    """The graph that a golden file was made from: `path`, or else the shipped model or one next to the golden file."""
    from ..storage.golden_file import open_golden
    from ..storage.model_file import model_behind as behind

    with open_golden(golden) as reference:
        return behind(reference, path)


def load_segmenter(path: Path | None) -> Graph:
    """The graph of a model file that ends in labels [height, width]."""
    graph = load_model(path)
    require_labels(graph, path)
    return graph


def require_labels(graph: Graph, path: Path | None) -> None:
    """Refuse a graph that does not end in labels [height, width]."""
    from ..engine.classes import classifies, labels_pixels

    named = path or resources.model()
    if classifies(graph):
        raise IntsimError(f"{named}: is a classifier and does not label pixels; 'intsim run' shows its classes")
    if not labels_pixels(graph):
        raise IntsimError(f"{named}: its last node {graph.output.name} does not give labels; 'intsim golden' runs it")


def load_dialect(name: str) -> Dialect:
    """A built-in dialect by name, or one from a TOML file."""
    from .. import dialects

    if name in dialects.DIALECTS:
        return dialects.DIALECTS[name]
    if Path(name).is_file():
        return dialects.load(name)
    raise IntsimError(f"--dialect {name!r} is neither one of {BUILT_IN_DIALECTS} nor a TOML file")


def read_picture(path: Path, graph: Graph, resize: bool) -> Any:
    """A picture file as the graph takes it."""
    from ..storage.pictures import read_picture as read

    if not graph.takes_picture:
        raise IntsimError(f"{path}: this model takes no picture, but {inputs_of(graph)}; give {' '.join(asked_for(graph))}")
    height, width, _ = graph.tensors[graph.input.name].shape
    return read(path, height, width, resize)


def inputs_of(graph: Graph) -> str:
    """The inputs of a graph in words."""
    from ..engine.inputs import declared

    return ", ".join(f"{node.name} ({declared(graph, node.name)})" for node in graph.inputs)


def asked_for(graph: Graph) -> list[str]:
    """The options that give every input of a graph."""
    names = [node.name for node in graph.inputs]
    return ["--input FILE.npy"] if len(names) == 1 else [f"--input {name}=FILE.npy" for name in names]


def read_given(picture: Path | None, arrays: tuple[str, ...], graph: Graph, resize: bool) -> Any:
    """The inputs of a graph: a picture file, or arrays in files (`arrays`, of the option --input)."""
    if picture is not None and arrays:
        raise click.UsageError("a picture and --input are both inputs of the model; give one of them")
    if picture is not None:
        return read_picture(picture, graph, resize)
    if resize:
        raise click.UsageError("--resize is of pictures; the arrays of --input have the shape that the model takes")
    if not arrays:
        raise click.UsageError("Missing argument 'PICTURE'" if graph.takes_picture else f"give {' '.join(asked_for(graph))}")
    from ..storage.input_files import read_inputs

    return read_inputs(graph, arrays)


def files_of(arrays: tuple[str, ...]) -> list[Path]:
    """The files that --input may name."""
    return [Path(part) for text in arrays for part in {text, text.partition("=")[2]} if part]


def height_and_width(text: str, option: str) -> tuple[int, int]:
    """(height, width) of ``WIDTHxHEIGHT``, or of one number for both."""
    width, _, height = text.partition("x")
    height = height or width
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise IntsimError(f"{option} {text!r}: WIDTHxHEIGHT is expected, as in 640x480, or one number for both")
    return int(height), int(width)


def check_target(path: Path, *inputs: Path | None) -> None:
    """Refuse an output that could not be written, or would replace an input, before anything is computed."""
    from ..storage.files import same_file, writable

    for other in inputs:
        if other is not None and same_file(path, other):
            raise FileError(f"{path}: is an input of this command; write to another file")
    writable(path)


def require_extra(module: str, extra: str) -> None:
    """Refuse to go on without a package that only an extra installs."""
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise IntsimError(f"this needs {module}: pip install 'intsim[{extra}]'")


def seconds(text: str, option: str) -> float:
    """A number of seconds that an option was given, above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise click.UsageError(f"{option} takes a number of seconds above 0, not {text!r}")
    return number


def shown(path: Path | str | None) -> str:
    """A path as it is safe on a terminal."""
    return printable(str(path))


def put_reproductions(found: Iterable[tuple[str, Reproduction | str]], folder: Path) -> None:
    """Write reproductions as folders in a folder, and say on the error stream what was written and what was not."""
    from ..reproduction.others import write_all

    written, left = write_all(found, folder)
    for line in left:
        say(f"intsim: no bench for {printable(line)}", err=True)
    if written:
        names = ", ".join(written[:SHOWN]) + (", ..." if len(written) > SHOWN else "")
        say(f"{shown(folder)}: {len(written)} bench{'es' if len(written) > 1 else ''}: {printable(names)}", err=True)
