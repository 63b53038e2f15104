"""A set against the dumps of a device: culprits by node and rule, and in how many pictures each shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..cluster import Work, parallel
from ..debugging.core import diff
from ..debugging.result import BAD, DIFFER, MISSING
from ..errors import FileError, IntsimError, printable
from .index import SetIndex, index_files, read_index
from .making import file_of

SCHEMA, VERSION = "intsim-set-diff", 1
DUMPS = (".h5", ".hdf5", ".npz", ".npy", ".toml", "")  # of a picture, by its name: files, and at last folders


@dataclass(frozen=True)
class Wrong:
    """A node that is wrong in one picture: elements that differ (None where they could not be compared), whether it is a
    culprit, wrong by the device's own inputs, and the rule that explains it ("" where none is known).
    """

    node: str
    differing: int | None
    culprit: bool = False
    rule: str = ""
    place: str = ""  # the first wrong element, and what it is and should be


@dataclass(frozen=True)
class PictureDiff:
    """The comparison of one picture: what is wrong, how many tensors were compared, or why nothing could be (`error`)."""

    name: str
    wrong: tuple[Wrong, ...] = ()
    compared: int = 0
    missing: int = 0
    same: bool = False
    error: str = ""

    @property
    def identical(self) -> bool:
        """Whether everything that was compared is identical, as it is stored."""
        return self.same and not self.error


@dataclass(frozen=True)
class Culprit:
    """A node and the rule it breaks, with the pictures that show it; `smallest` has the fewest wrong elements."""

    node: str
    rule: str
    pictures: tuple[str, ...]
    smallest: str
    differing: int | None
    place: str


@dataclass(frozen=True)
class SetDiff:
    """The comparison of a set, picture by picture."""

    set_path: Path
    dut_path: Path
    index: SetIndex
    isolated: bool
    pictures: tuple[PictureDiff, ...]
    extra: tuple[str, ...] = field(default_factory=tuple)  # dumps without a picture in the set

    @property
    def compared(self) -> bool:
        """Whether anything was compared."""
        return any(picture.compared for picture in self.pictures)

    @property
    def identical(self) -> bool:
        """Whether all pictures could be compared and none differs."""
        return all(picture.identical for picture in self.pictures)

    def culprits(self) -> list[Culprit]:
        """Every culprit with its rule, that of most pictures first; without isolation each picture's first wrong node."""
        found: dict[tuple[str, str], list[tuple[PictureDiff, Wrong]]] = {}
        for picture in self.pictures:
            for wrong in picture.wrong if self.isolated else picture.wrong[:1]:
                if wrong.culprit or not self.isolated:
                    found.setdefault((wrong.node, wrong.rule), []).append((picture, wrong))
        order = {name: i for i, name in enumerate(self.index.tensors)}
        made = []
        for (node, rule), shows in found.items():
            least = min(shows, key=lambda pair: (pair[1].differing is None, pair[1].differing or 0, pair[0].name))
            names = tuple(picture.name for picture, _ in shows)
            made.append(Culprit(node, rule, names, least[0].name, least[1].differing, least[1].place))
        return sorted(made, key=lambda c: (-len(c.pictures), order.get(c.node, len(order)), c.rule))

    def counts(self) -> Counter[str]:
        """In how many pictures each node is wrong."""
        return Counter(wrong.node for picture in self.pictures for wrong in picture.wrong)

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "set": str(self.set_path),
            "dut": str(self.dut_path),
            "index_sha256": self.index.sha256,
            "isolated": self.isolated,
            "identical": self.identical,
            "pictures": [
                {
                    "name": p.name,
                    "identical": p.identical,
                    "compared": p.compared,
                    "missing": p.missing,
                    "error": p.error,
                    "wrong": [vars(w) for w in p.wrong],
                }
                for p in self.pictures
            ],
            "culprits": [{**vars(c), "pictures": list(c.pictures)} for c in self.culprits()],
            "extra": list(self.extra),
        }


def compare_sets(
    folder: str | Path,
    duts: str | Path,
    model: str | Path | None = None,
    *,
    isolated: bool = False,
    explained: bool = True,
    complete: bool = False,
    scaled: bool = False,
    map_path: str | Path | None = None,
    cluster: str = "local",
    progress: Callable[[str], None] = lambda name: None,
) -> SetDiff:
    """Compare the dumps in a folder with a set: each is called like its picture, and is anything that `intsim.diff` takes.

    The options are those of `intsim.diff`, `cluster` is that of `intsim.cluster.parallel`. A dump that cannot be used is a
    picture with an error; so is a picture without a dump, unless others have one and not `complete`: then it is left out.
    `progress(name)` is called with every picture. Raises FileError where the set or the folder cannot be used, IntsimError
    where no dump is called like a picture.
    """
    folder, duts = Path(folder), Path(duts)
    index = read_index(folder)
    if not duts.is_dir():
        raise FileError(
            f"{duts}: " + ("is not a folder" if duts.exists() else "no such folder") + "; a set is compared with one"
        )
    entries = [entry for entry in index.pictures if not entry.error]
    dumps = {entry.name: dump for entry in entries if (dump := _dump_of(duts, entry.name)) is not None}
    if not dumps:
        example = entries[0].name if entries else "picture"
        raise IntsimError(f"{duts}: has no dump that is called like a picture of the set, as in {printable(example)}.h5")
    chosen = [entry for entry in entries if entry.name in dumps]
    own = None if map_path is None else str(Path(map_path).resolve())
    work = Work(
        _do, _begin, (None if model is None else str(Path(model).resolve()), isolated, explained, complete, scaled, own)
    )
    tasks = [(e.name, str((folder / file_of(e.name, index.level)).resolve()), str(dumps[e.name].resolve())) for e in chosen]
    pictures: dict[str, PictureDiff] = {}
    for done in parallel(work, tasks, cluster):
        name = chosen[done.index].name
        pictures[name] = PictureDiff(name, error=done.error) if done.error else done.value
        progress(name)
    if complete:
        pictures |= {e.name: PictureDiff(e.name, error="has no dump") for e in entries if e.name not in dumps}
    known = {path.resolve() for path in dumps.values()} | {path.resolve() for path in index_files(duts)}
    extra = [p.name for p in sorted(duts.iterdir()) if not _within(p.resolve(), known) and p.name != "map.toml"]
    ordered = tuple(pictures[e.name] for e in entries if e.name in pictures)
    return SetDiff(folder, duts, index, isolated, ordered, tuple(name for name in extra if not name.startswith(".")))


def _within(path: Path, known: set[Path]) -> bool:
    return path in known or any(path in other.parents for other in known)


def _dump_of(folder: Path, name: str) -> Path | None:
    """The dump of a picture, a file or a folder."""
    paths = (folder / f"{name}{suffix}" for suffix in DUMPS)
    return next((path for path in paths if path.exists()), None)


def _begin(*options: Any) -> Sequence[Any]:
    return options


def _do(state: Sequence[Any], task: tuple[str, str, str]) -> PictureDiff:
    """Compare one picture."""
    model, isolated, explained, complete, scaled, map_path = state
    name, reference, dump = task
    try:
        found = diff(
            reference,
            dump,
            model,
            isolated=isolated,
            explained=explained,
            complete=complete,
            scaled=scaled,
            map_path=map_path,
        )
    except IntsimError as error:
        return PictureDiff(name, error=printable(str(error)))
    rules: Mapping[str, str] = {e.tensor: e.fits[0].name for e in found.explanations if e.fits}
    wrong = []
    for node in found.nodes:
        if node.accumulated in BAD or node.isolated == DIFFER or (complete and node.accumulated == MISSING):
            best = node.best_comparison
            first = best.first if best is not None else None
            place = "" if first is None else f"[{', '.join(map(str, first.index))}] is {first.dut}, not {first.golden}"
            culprit = found.culprits is not None and node.name in found.culprits
            wrong.append(Wrong(node.name, node.differing, culprit, rules.get(node.name, ""), place))
    if not found.compared:
        return PictureDiff(name, error="nothing in the dump could be compared")
    return PictureDiff(name, tuple(wrong), len(found.compared), len(found.only_golden), found.identical)
