"""`intsim score`: the mistakes that a picture's tensors show, and those that they do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import intsim
from intsim.debugging.core import diff
from intsim.debugging.inject import inject
from intsim.engine.graph import Graph
from intsim.measurement.exposure import score
from intsim.measurement.search import searched, stimuli
from intsim.rules import catalogue
from intsim.storage.golden_file import open_golden

Cli = Callable[..., tuple[int, str, str]]


def test_every_rule_is_counted_once(graph: Graph, golden_file: Path) -> None:
    found = score(golden_file, graph)
    for node in found.nodes:
        names = [*node.exposed, *node.unseen, *node.equivalent]
        assert sorted(names) == sorted(rule.name for rule in catalogue(graph, graph.by_name[node.name])), node.name
    assert found.counted > 2000
    assert 0.3 < found.share < 0.95


@pytest.mark.parametrize("kind", ["exposed", "unseen"])
def test_what_is_unseen_changes_nothing_and_what_is_exposed_does(
    kind: str, graph: Graph, golden_file: Path, tmp_path: Path
) -> None:
    """Devices with the mistake, as synth-fault makes them, are identical at the node exactly where it is unseen."""
    found = score(golden_file, graph)
    tried = 0
    for node in found.nodes[::9]:
        names = getattr(node, kind)[::7]
        rules = {rule.name: rule for rule in catalogue(graph, graph.by_name[node.name])}
        for name in names[:3]:
            with open_golden(golden_file) as reference:
                try:
                    wrong = inject(graph, reference, {node.name: [rules[name]]}, tmp_path / "dut.h5")
                except intsim.IntsimError:
                    continue  # it cannot be computed here, which is seen
            assert (wrong[node.name] > 0) == (kind == "exposed"), (node.name, name)
            tried += 1
    assert tried >= 10


def test_other_pictures_show_more(graph: Graph, golden_file: Path, tmp_path: Path) -> None:
    first = score(golden_file, graph)
    height, width, _ = graph.tensors[graph.input.name].shape
    total, chosen = searched(graph, first, stimuli(height, width, 3, 1))
    assert total.counted == first.counted
    assert total.unseen == first.unseen - sum(one.exposes for one in chosen)
    assert chosen, "noise shows what a smooth picture does not"
    before = {(node.name, rule) for node in first.nodes for rule in node.unseen}
    after = {(node.name, rule) for node in total.nodes for rule in node.unseen}
    node, rule = min(before - after)
    shown = False
    gains = [one.exposes for one in chosen]
    assert gains == sorted(gains, reverse=True), "the most telling first"
    for one in chosen:
        intsim.golden(graph, one.image, tmp_path / "g.h5", "full")
        with open_golden(tmp_path / "g.h5") as reference:
            rules = {r.name: r for r in catalogue(graph, graph.by_name[node])}
            shown |= inject(graph, reference, {node: [rules[rule]]}, tmp_path / "dut.h5")[node] > 0
    assert shown


def test_made_pictures_are_reproducible() -> None:
    one, two = list(stimuli(20, 30, 12, 4)), list(stimuli(20, 30, 12, 4))
    assert [name for name, _ in one] == [name for name, _ in two]
    for (_, a), (_, b) in zip(one, two, strict=True):
        assert (a.shape, a.dtype) == ((20, 30, 3), np.uint8)
        np.testing.assert_array_equal(a, b)


def test_the_command(cli: Cli) -> None:
    code, out, err = cli("score golden.h5 -m model.h5")
    assert (code, err) == (0, "")
    assert "mistakes we know" in out
    assert "most often unseen: " in out
    code, out, _ = cli("score golden.h5 -m model.h5 --json --search 1 --pictures made")
    record = json.loads(out)
    assert code == 0
    assert record["mistakes"] == sum(len(node["exposed"]) + len(node["unseen"]) for node in record["nodes"])
    assert sorted(path.name for path in Path("made").iterdir()) == sorted(item["file"] for item in record["stimuli"])


def test_the_fewest_pictures_of_a_folder(cli: Cli) -> None:
    """Of pictures in a folder, and made ones, those are listed that add something; what shows nothing new is left out."""
    Path("mine").mkdir()
    noise = np.random.default_rng(1).integers(0, 256, (24, 40, 3)).astype(np.uint8)
    for name, pixels in (("noise", noise), ("copy", noise), ("grey", noise * 0 + 128)):
        Image.fromarray(pixels).save(f"mine/{name}.png")
    Path("mine/notes.txt").write_text("not a picture")
    record = json.loads(cli("score golden.h5 -m model.h5 --among mine --search 1 --pictures made --json")[1])
    listed = [item["file"] for item in record["stimuli"]]
    assert {"noise.png", "copy.png"} & set(listed)
    assert not {"noise.png", "copy.png"} <= set(listed)
    assert record["pictures"] == 1 + len(listed)
    assert cli("score golden.h5 -m model.h5 --among nowhere")[2] == "intsim: nowhere: is no folder; name one with pictures\n"


def test_what_cannot_be_scored(cli: Cli) -> None:
    assert cli("golden picture.png -m model.h5 -o digest.h5 --level digest")[0] == 0
    code, _, err = cli("score digest.h5 -m model.h5")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "holds hashes alone, so there is no picture to judge" in err
    assert cli("golden picture.png -m model.h5 -o part.h5 --layers !image")[0] == 0
    assert "does not include image" in cli("score part.h5 -m model.h5")[2]
    Path("file").touch()
    code, _, err = cli("score golden.h5 -m model.h5 --search 1 --pictures file")
    assert (code, "file: is a file; name a folder" in err) == (2, True)


def test_an_identical_device_is_told_about_it(graph: Graph, golden_file: Path, cli: Cli) -> None:
    with h5py.File("golden.h5") as file:
        assert file.attrs["level"] == "full"
    assert diff("golden.h5", "golden.h5").identical
    code, out, _ = cli("diff golden.h5 golden.h5")
    assert code == 0
    assert "'intsim score' counts the mistakes that would look the same on this picture" in out
    assert cli("score golden.h5 -m model.h5 --json -o score.json")[0] == 0
    record = json.loads(Path("score.json").read_text())
    said = f"of {record['mistakes']:,} mistakes we know, {record['unseen']:,} would look the same on this picture"
    assert said in cli("diff golden.h5 golden.h5 --score score.json --html page.html")[1]
    page = Path("page.html").read_text()
    assert said in page
    assert "What this picture can show" in page
    found = json.loads(cli("diff golden.h5 golden.h5 --score score.json --json")[1])
    assert (found["mistakes"], found["unseen"]) == (record["mistakes"], record["unseen"])


def test_a_score_of_part_of_a_dump_and_of_several_pictures(cli: Cli) -> None:
    assert cli("score golden.h5 -m model.h5 --json -o score.json")[0] == 0
    record = json.loads(Path("score.json").read_text())
    with h5py.File("golden.h5") as file:
        np.savez("part.npz", labels=file["labels"][()])
    out = cli("diff golden.h5 part.npz --score score.json")[1]
    assert f"at least {record['unseen']:,} would look the same on this picture, and more since" in out
    assert cli("score golden.h5 -m model.h5 --search 3 --json -o more.json")[0] == 0
    code, _, err = cli("diff golden.h5 golden.h5 --score more.json")
    assert (code, "pictures; this takes that of the golden file alone" in err) == (2, True)
    assert cli("score golden.h5 -m model.h5 --search 1 --seed -1")[0] == 2


def test_scores_of_something_else(cli: Cli) -> None:
    assert cli("golden picture.png -m model.h5 -o part.h5 --layers image")[0] == 0
    assert cli("score golden.h5 -m model.h5 --json -o score.json")[0] == 0
    for name, content, said in (
        ("score.json", None, "score.json: is the score of another golden file than part.h5"),
        ("text.json", "{}", "text.json: is no score of a golden file; 'intsim score GOLDEN --json -o FILE' writes one"),
        ("bytes.json", "\udcff", "bytes.json: is no score"),
        ("none.json", None, "none.json: no such file"),
    ):
        if content is not None:
            Path(name).write_text(content, encoding="utf-8", errors="surrogateescape")
        code, _, err = cli(f"diff part.h5 part.h5 --score {name}")
        assert (code, len(err.splitlines())) == (2, 1), err
        assert said in err


def test_what_has_no_room_is_not_counted(graph: Graph, golden_file: Path) -> None:
    """A layer norm of rows has no previous head: the mistake is neither exposed nor unseen."""
    found = {node.name: node for node in score(golden_file, graph).nodes}
    norm = found["encoder.blocks.0.norm1"]
    assert "mean=of_the_previous_head" in norm.equivalent
    assert "mean=of_the_previous_row" in norm.exposed
