"""Making a set: one golden file a picture through one loaded model, by as many workers as there are, and its index."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._version import NUMERICS
from ..cluster import Work, parallel, threads_each
from ..engine.graph import Graph, digest
from ..engine.inputs import require_picture
from ..errors import FileError, GraphError, IntsimError, printable
from ..measurement.evaluation import MARK, PICTURES
from ..storage.golden_file import chosen_nodes, golden, open_golden
from ..storage.model_file import load
from ..storage.pictures import read_picture
from .index import Entry, SetIndex, index_files, read_index

VALUES, DIGESTS = ".h5", ".json"


def file_of(name: str, level: str) -> str:
    """The golden file of a picture in a set; at level ``digest`` it has hashes alone, in JSON."""
    return f"{name}{DIGESTS if level == 'digest' else VALUES}"


@dataclass(frozen=True)
class Made:
    """A set that was made: its index, how many golden files were there before (`found`), and how long it took."""

    index: SetIndex
    path: Path
    found: int
    seconds: float


@dataclass(frozen=True)
class Task:
    """A picture and the golden file to make of it."""

    picture: str
    path: str


@dataclass
class _State:
    """What a worker keeps: the model, and what is wanted of it."""

    graph: Graph
    level: str
    layers: tuple[str, ...]
    resize: bool
    threads: int | None


def picture_files(paths: Sequence[str | Path]) -> dict[str, Path]:
    """The pictures of a set by name: those that are given, and all in folders that are given, without label maps.

    A name is the file's without its suffix, within a folder with the path to it. Raises FileError where there is none, and
    for two of one name.
    """
    found: dict[str, Path] = {}
    for given in map(Path, paths):
        if given.is_dir():
            inside = (path for path in sorted(given.rglob("*")) if path.suffix.lower() in PICTURES and path.is_file())
            own = [
                (path.relative_to(given).with_suffix("").as_posix(), path)
                for path in inside
                if not any(part.startswith(".") for part in path.relative_to(given).parts) and not path.stem.endswith(MARK)
            ]
            if not own:
                raise FileError(f"{given}: is a folder, not a picture, and contains none")
        else:
            own = [(given.stem, given)]
        for name, path in own:
            if name in found and found[name] != path:
                raise FileError(f"{path}: has the same name as {found[name]}; rename one, or give their folder")
            found[name] = path
    return dict(sorted(found.items()))


def shard_of(text: str) -> tuple[int, int]:
    """(I, N) of ``I/N``; IntsimError for anything else."""
    first, _, count = text.partition("/")
    if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
        raise IntsimError(f"shard {text!r}: I/N with I from 1 to N is expected, as in 2/8")
    return int(first), int(count)


def golden_set(
    pictures: Sequence[str | Path],
    folder: str | Path,
    model: str | Path,
    *,
    level: str = "boundary",
    layers: Sequence[str] = (),
    resize: bool = False,
    shard: tuple[int, int] = (1, 1),
    cluster: str = "local",
    progress: Callable[[Entry], None] = lambda entry: None,
) -> Made:
    """Make the golden files of `pictures` (files and folders) in `folder`, and their index.

    `model` is a model file, which every worker loads once; `level` and `layers` are those of `intsim.golden`; `resize`
    scales pictures of another size. `shard` (I, N) makes every N-th picture from the I-th on; `cluster` is that of
    `intsim.cluster.parallel`. Golden files that are there already, of the same model, picture and choice, are kept: a set
    that was interrupted is completed. A picture that cannot be read is an entry with the reason; the others are made.
    `progress(entry)` is called as they come.

    Raises FileError for a folder that holds another set, and IntsimError for a shard, a level or a cluster that is none.
    """
    start, folder, model = time.perf_counter(), Path(folder), Path(model).resolve()
    first, count = shard
    if not 1 <= first <= count:
        raise IntsimError(f"shard {first}/{count}: I/N with I from 1 to N is expected")
    files = picture_files(pictures)
    graph = load(model)
    require_picture(graph, "a set of pictures")
    chosen_nodes(graph, level, layers)  # globs that match nothing are told before anything is made
    own = dict(list(files.items())[first - 1 :: count])
    wanted = SetIndex(graph.content_hash, graph.dialect.name, str(NUMERICS), level, tuple(layers), (), (), shard)
    _require_free(folder, wanted)
    tasks = [Task(str(path.resolve()), str((folder / file_of(name, level)).resolve())) for name, path in own.items()]
    for parent in {Path(task.path).parent for task in tasks}:
        _made_folder(parent)
    begun = (str(model), graph.content_hash, level, tuple(layers), resize, threads_each(cluster))
    work = Work(_do, _begin, begun)
    names, entries, found = list(own), dict[str, Entry](), 0
    tensors: tuple[str, ...] = ()
    for done in parallel(work, tasks, cluster):
        name = names[done.index]
        if done.error:  # not of this picture alone: a full disk, a worker that vanishes again and again
            raise IntsimError(f"{done.error}; what was made is kept, the same command goes on")
        if isinstance(done.value, str):
            entries[name] = Entry(name, error=_placed(done.value, own[name]))
        else:
            image, content, digests, was_there, listed = done.value
            entries[name] = Entry(name, image, content, digests)
            found, tensors = found + was_there, listed
        progress(entries[name])
    index = SetIndex(
        wanted.model_sha256,
        wanted.dialect,
        wanted.numerics,
        level,
        tuple(layers),
        tensors,
        tuple(entries[name] for name in names),
        shard,
    )
    return Made(index, index.write(folder), found, time.perf_counter() - start)


def _placed(error: str, path: Path) -> str:
    """An error without the place of its picture, which is another one on another machine."""
    return error.replace(str(path.resolve()), path.name)


def _require_free(folder: Path, wanted: SetIndex) -> None:
    """Refuse a folder with the index of another set; an index of this one is made again."""
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{folder}: is not a folder; a set has one")
    for path in index_files(folder) if folder.is_dir() else ():
        other = read_index(path)
        for key, word in {"model_sha256": "model", "level": "level", "layers": "choice of layers"}.items():
            if getattr(other, key) != getattr(wanted, key):
                raise FileError(f"{path}: is a set of another {word}; write to another folder")
        if other.shard[1] != wanted.shard[1]:
            raise FileError(
                f"{path}: is shard {other.shard[0]} of {other.shard[1]}, not of {wanted.shard[1]}; use another folder"
            )


def _made_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: no folder can be made there ({error.strerror})") from None


# --- in a worker --------------------------------------------------------------------------------------------------------


def _begin(model: str, content: str, level: str, layers: tuple[str, ...], resize: bool, threads: int | None) -> _State:
    graph = load(model)
    if graph.content_hash != content:
        raise IntsimError(f"{model}: has changed since the set was begun")
    return _State(graph, level, layers, resize, threads)


def _do(state: _State, task: Task) -> tuple[str, str, tuple[str, ...], bool, tuple[str, ...]] | str:
    """Make the golden file of a picture, unless it is there: hashes of picture, content and tensors, whether it was there,
    and the names of the tensors. Text is the reason why the picture has none.
    """
    height, width, _ = state.graph.tensors[state.graph.input.name].shape
    path = Path(task.path)
    try:
        picture = read_picture(task.picture, height, width, state.resize)
    except IntsimError as error:
        return printable(str(error))
    image = digest(picture)
    if path.exists() and (kept := _kept(path, state, image)) is not None:
        return kept
    hashes: list[list[Any]] = []
    try:
        content = golden(state.graph, picture, path, state.level, state.layers, threads=state.threads, hashes=hashes)
    except GraphError as error:
        return printable(str(error))
    return image, content, tuple(sha256 for *_, sha256 in hashes), False, tuple(name for name, *_ in hashes)


def _kept(path: Path, state: _State, image: str) -> tuple[str, str, tuple[str, ...], bool, tuple[str, ...]] | None:
    """What a golden file that is there says, where it is what would be made; None for any other file."""
    try:
        with open_golden(path) as found:
            same = (found.model_sha256, found.image_sha256, found.level) == (state.graph.content_hash, image, state.level)
            if not (same and found.layers == state.layers):
                return None
            digests = tuple(tensor.sha256 for tensor in found.tensors.values())
            return image, found.content_sha256, digests, True, tuple(found.tensors)
    except FileError:
        return None
