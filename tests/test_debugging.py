"""From a dump to the culprit on the command line: diff, synth-fault, trace, and the reports."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import jsonschema
import numpy as np
import pytest

import intsim
from intsim import resources
from intsim.debugging.core import diff
from intsim.engine.graph import Graph, Node
from intsim.engine.interpreter import replay

Cli = Callable[..., tuple[int, str, str]]

SCHEMA = json.loads((Path(__file__).parent.parent / "docs/diff-v1.schema.json").read_text())
NODE, RULE = "encoder.blocks.1.attn.softmax", "half_bit=dropped"
OTHER = "encoder.blocks.0.norm2.requant"


@pytest.fixture
def faulty(cli: Cli) -> Cli:
    """A folder that also has dut.h5, the dump of a device with one fault."""
    assert cli(f"synth-fault golden.h5 --node {NODE} --rule {RULE} -o dut.h5")[0] == 0
    return cli


def report(cli: Cli, line: str) -> tuple[int, dict[str, Any]]:
    """A diff as JSON, which must match its schema."""
    code, out, err = cli(f"{line} --json")
    assert err == ""
    record = json.loads(out)
    jsonschema.validate(record, SCHEMA)
    assert code == (0 if record["identical"] else 1)
    return code, record


def test_the_schema_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_culprit_as_json(faulty: Cli) -> None:
    code, record = report(faulty, "diff golden.h5 dut.h5 --isolated")
    assert code == 1
    assert record["culprits"] == [NODE]
    assert [e["name"] for e in record["explanations"]] == [NODE]
    assert (record["explanations"][0]["rule"], record["explanations"][0]["share"]) == (RULE, 1.0)
    nodes = {node["name"]: node for node in record["nodes"]}
    assert (nodes[NODE]["accumulated"], nodes[NODE]["isolated"]) == ("differ", "differ")
    assert nodes[NODE]["isolation"]["statistics"]["differing"] == nodes[NODE]["differing"] > 0
    after = nodes["encoder.blocks.1.attn.context"]
    assert (after["accumulated"], after["isolated"]) == ("differ", "match")
    before = nodes["encoder.blocks.1.attn.logits.requant"]
    assert (before["accumulated"], before["isolated"], before["first"]) == ("match", "match", None)
    assert record["first"]["node"] == NODE


def test_without_isolation_there_is_no_culprit(faulty: Cli) -> None:
    _, record = report(faulty, "diff golden.h5 dut.h5")
    assert record["culprits"] is None
    assert record["explanations"] == []
    assert {node["isolated"] for node in record["nodes"]} == {None}


def test_no_explain(faulty: Cli) -> None:
    _, record = report(faulty, "diff golden.h5 dut.h5 --isolated --no-explain")
    assert record["culprits"] == [NODE]
    assert record["explanations"] == []
    assert faulty("diff golden.h5 dut.h5 --no-explain")[0] == 2
    assert report(faulty, "diff golden.h5 dut.h5 --explain")[1]["culprits"] == [NODE], "explaining implies isolation"


def test_the_culprit_on_the_terminal(faulty: Cli) -> None:
    code, out, err = faulty("diff golden.h5 dut.h5 --isolated")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == f"different: 1 culprit: {NODE}"
    assert re.search(r"rule +the output equals half_bit `dropped` instead of `kept` on 100% of 512 elements", out)
    assert re.search(rf"{re.escape(NODE)} +culprit", out)
    assert "inherited" in out
    assert "more that only propagate an error" in out
    assert "heat map" in out


def test_the_model_is_found_next_to_the_golden_file(faulty: Cli, tmp_path: Path) -> None:
    """model.h5 is there under any name; where it is missing, the message says how to give it."""
    Path("model.h5").rename("some_name.h5")
    assert faulty("diff golden.h5 dut.h5 --isolated")[0] == 1
    Path("some_name.h5").rename(tmp_path.parent / "elsewhere.h5")
    code, _, err = faulty("diff golden.h5 dut.h5 --isolated")
    assert code == 2
    assert "was made from model" in err
    assert "--model" in err
    assert faulty(f"diff golden.h5 dut.h5 --isolated -m {tmp_path.parent / 'elsewhere.h5'}")[0] == 1


def test_two_faults_in_one_run(cli: Cli) -> None:
    line = f"synth-fault golden.h5 --node {NODE} --rule {RULE} --node {OTHER} --rule saturation=narrow -o dut.h5"
    code, out, _ = cli(line)
    assert code == 0
    assert "2 faulty nodes" in out
    _, record = report(cli, "diff golden.h5 dut.h5 --isolated")
    assert record["culprits"] == [OTHER, NODE]
    assert [e["rule"] for e in record["explanations"]][1] == RULE


def test_an_identical_dump(cli: Cli) -> None:
    shutil.copy("golden.h5", "dut.h5")
    code, record = report(cli, "diff golden.h5 dut.h5 --isolated --complete")
    assert code == 0
    assert record["culprits"] == []
    assert cli("diff golden.h5 dut.h5 --isolated")[1].startswith("identical: 109 tensors")


def test_complete(cli: Cli) -> None:
    shutil.copy("golden.h5", "dut.h5")
    with h5py.File("dut.h5", "r+") as file:
        del file[NODE]
    assert report(cli, "diff golden.h5 dut.h5")[0] == 0
    code, record = report(cli, "diff golden.h5 dut.h5 --complete")
    assert code == 1
    assert record["only_golden"] == [NODE]
    assert cli("diff golden.h5 dut.h5 --complete")[1].startswith("incomplete: the dump lacks 1 tensor")


# --- reports ----------------------------------------------------------------------------------------------------------


def test_junit(faulty: Cli) -> None:
    with h5py.File("dut.h5", "r+") as file:
        del file["labels"]
    assert faulty("diff golden.h5 dut.h5 --isolated --junit junit.xml")[0] == 1
    root = ElementTree.parse("junit.xml").getroot()
    cases = root.findall(".//testcase")
    assert len(cases) == int(root.attrib["tests"]) == 109
    failed = [f"{case.attrib['classname']}.{case.attrib['name']}" for case in cases if case.find("failure") is not None]
    assert int(root.attrib["failures"]) == len(failed)
    assert failed[0] == NODE
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.attrib["message"] == "wrong by itself"
    assert "half_bit `dropped`" in (failure.text or "")
    skipped = [case.attrib["name"] for case in cases if case.find("skipped") is not None]
    assert skipped == ["labels"]
    faulty("diff golden.h5 dut.h5 --complete --junit junit.xml")
    assert "labels" in [case.attrib["name"] for case in ElementTree.parse("junit.xml").findall(".//testcase[failure]")]


class Page(HTMLParser):
    """Checks that tags are closed, and collects the links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br", "input"):
            self.open.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_one_self_contained_page(faulty: Cli) -> None:
    assert faulty("diff golden.h5 dut.h5 --isolated --html page.html")[0] == 1
    text = Path("page.html").read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    assert "http" not in text.replace("http-equiv", "")
    assert text.count("data:image/png") == 1, "one heat map per culprit"
    assert f'id="{NODE}"' in text
    assert "<code>dropped</code>" in text
    with h5py.File("golden.h5") as file:
        assert all(text.count(name) for name in file if name != "graph"), "the table lists every tensor"


def test_reports_show_what_a_verdict_covers(faulty: Cli) -> None:
    before = "encoder.blocks.1.attn.logits.requant"
    with h5py.File("dut.h5", "r+") as file:
        del file[before]
    code, out, _ = faulty("diff golden.h5 dut.h5 --isolated --html page.html")
    assert code == 1
    covered = f"{before}, {NODE}: recomputed from encoder.blocks.1.attn.logits"
    assert covered in out
    assert covered in Path("page.html").read_text()


def test_html_escapes_names_from_the_device(cli: Cli) -> None:
    shutil.copy("golden.h5", "dut.h5")
    with h5py.File("dut.h5", "r+") as file:
        file["<script>alert(1)<"] = np.zeros(3, np.int8)
        file["labels"][0, 0] ^= 1
    cli("diff golden.h5 dut.h5 --html page.html")
    text = Path("page.html").read_text()
    assert "<script" not in text
    assert "&lt;script" in text


@pytest.mark.parametrize("options", ["", "--isolated"])
def test_reports_of_every_outcome(options: str, cli: Cli) -> None:
    """Equal files, hashes only, missing, misshapen and mistyped tensors: every report can be written."""
    cli("golden picture.png -m model.h5 --level digest -o digest.h5")
    shutil.copy("golden.h5", "dut.h5")
    with h5py.File("dut.h5", "r+") as file:
        shape, kind = file[NODE][()][:, :-1], file[OTHER][()].astype(float)
        del file[NODE], file[OTHER], file["labels"]
        file[NODE], file[OTHER] = shape, kind
    for pair, code in (
        ("golden.h5 golden.h5", 0),
        ("digest.h5 golden.h5", 0),
        ("golden.h5 dut.h5", 1),
        ("digest.h5 dut.h5", 1),
    ):
        line = f"diff {pair} {options} --html page.html --junit junit.xml"
        assert cli(line)[0] == code
        assert report(cli, f"diff {pair} {options}")[0] == code
        page = Page()
        page.feed(Path("page.html").read_text())
        assert page.open == []


def test_reports_never_replace_an_input_or_each_other(faulty: Cli) -> None:
    for options in ("--html dut.h5", "--junit golden.h5", "--html a.txt --junit a.txt", "--html a.txt -o a.txt"):
        code, _, err = faulty(f"diff golden.h5 dut.h5 {options}")
        assert code == 2, options
        assert "is an input of this command" in err
    assert not Path("a.txt").exists()


# --- synth-fault ------------------------------------------------------------------------------------------------------


def test_a_fault_is_recorded_and_propagated(faulty: Cli, graph: Graph) -> None:
    with h5py.File("dut.h5") as dut, h5py.File("golden.h5") as golden:
        assert json.loads(dut.attrs["fault"]) == {NODE: [RULE]}
        different = [name for name in golden if name != "graph" and (golden[name][()] != dut[name][()]).any()]
        order = [node.name for node in graph.nodes]
        assert different[0] == NODE
        assert all(order.index(name) >= order.index(NODE) for name in different)
        assert len(different) > 20
        assert list(dut) == list(golden)


def test_a_fault_without_effect(cli: Cli) -> None:
    code, out, _ = cli(f"synth-fault golden.h5 --node {NODE} --rule quotient=trunc -o dut.h5")
    assert code == 0
    assert "has no effect here" in out
    assert cli("diff golden.h5 dut.h5 --isolated")[0] == 0


def test_the_rules_of_a_node_are_listed(cli: Cli) -> None:
    code, out, _ = cli(f"synth-fault golden.h5 --node {NODE} --list")
    assert code == 0
    for rule in ("half_bit=dropped", "n-1", "softmax_n=10", "swap-heads", "sum_bits=20", "bitflip:BIT"):
        assert rule in out
    assert not Path("dut.h5").exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("synth-fault golden.h5", "--node"),
        (f"synth-fault golden.h5 --node {NODE}", "--rule"),
        ("synth-fault golden.h5 --node nowhere --rule n-1", "there is no node 'nowhere'"),
        (f"synth-fault golden.h5 --node {NODE} --rule nonsense", "'nonsense' is not a rule"),
        (f"synth-fault golden.h5 --node {NODE} --node {OTHER} --rule n-1", "give a --rule for every --node"),
        (f"synth-fault golden.h5 --node {NODE} --rule n-1 -o golden.h5", "is an input of this command"),
        (f"synth-fault golden.h5 --node {NODE} --rule sum_bits=12", "cannot be computed here"),
        (f"synth-fault golden.h5 --node {NODE} --rule bitflip:99", "bits 0 to 15"),
        (f"synth-fault missing.h5 --node {NODE} --rule n-1", "no such file"),
        ("trace golden.h5 nowhere --at 0", "there is no node 'nowhere'"),
        (f"trace golden.h5 {NODE} --at 0,0", "is not an element of its shape"),
        (f"trace golden.h5 {NODE} --at 0,x", "is not a list of whole numbers"),
        (f"trace golden.h5 {NODE}", "--at"),
        (f"trace golden.h5 {NODE} --at 0,0,0 -o golden.h5", "is an input of this command"),
        ("diff golden.h5 picture.png", "not an HDF5 file"),
        ("diff golden.h5 golden.h5 --map missing.toml", "no such map"),
    ],
)
def test_bad_input_is_one_line(line: str, words: str, cli: Cli) -> None:
    code, out, err = cli(line)
    assert (code, out) == (2, "")
    assert err.startswith("intsim: ")
    assert words in err
    assert err.count("\n") == 1
    assert not Path("dut.h5").exists()


# --- trace ------------------------------------------------------------------------------------------------------------


def test_trace(cli: Cli) -> None:
    with h5py.File("golden.h5") as file:
        value = int(file[NODE][1, 2, 3])
    code, out, err = cli(f"trace golden.h5 {NODE} --at 1,2,3")
    assert (code, err) == (0, "")
    assert out.startswith(f"{NODE}[1,2,3] = {value:,} ")
    assert [line.split()[0] for line in out.splitlines()[3:]] == [
        "x",
        "max",
        "x",
        "t",
        "q",
        "r",
        "e",
        "sum",
        "f",
        "e",
        "out",
    ]
    record = json.loads(cli(f"trace golden.h5 {NODE} --at 1,2,3 --json")[1])
    assert (record["value"], record["recorded"], record["index"]) == (value, value, [1, 2, 3])
    assert json.loads(cli(f"trace golden.h5 {NODE} --at -1,2,-13 --json")[1]) == record, (
        "negative numbers count from the end"
    )
    assert record["lines"][-1]["value"] == value


def test_trace_of_a_faulty_device(faulty: Cli) -> None:
    """On the device's dump the steps start from its own inputs and show the expected result."""
    _, record = report(faulty, "diff golden.h5 dut.h5 --isolated")
    first = record["first"]
    code, out, _ = faulty(f"trace dut.h5 {NODE} --at {','.join(map(str, first['index']))}")
    assert code == 1
    assert f"the file holds {first['dut']:,} here, the steps give {first['golden']:,}" in out


def test_the_wrong_model_is_named(cli: Cli) -> None:
    code, out, err = cli(f"trace golden.h5 labels --at 0,0 -m {resources.model()}")
    assert (code, out) == (2, "")
    assert "golden.h5: was made from model" in err


def test_a_report_file_has_no_colours(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert cli("trace golden.h5 labels --at 0,0 -m model.h5 -o trace.txt")[0] == 0
    assert "\x1b" not in Path("trace.txt").read_text(encoding="utf-8")


def test_a_buffer_read_too_early(graph: Graph, image: np.ndarray, tmp_path: Path) -> None:
    """A device that computes a node from another tensor of the same shape."""
    intsim.golden(graph, image, tmp_path / "golden.h5", "full")
    stale = {"encoder.blocks.1.norm1": "encoder.embedded", "encoder.blocks.1.mlp.fc1": "encoder.blocks.0.norm2.requant"}
    kept: dict[str, np.ndarray] = {}

    def early(node: Node, inputs: list[np.ndarray], value: np.ndarray) -> np.ndarray:
        if node.name in stale:
            value = replay(graph, node, [kept[stale[node.name]]])
        kept[node.name] = value
        return value

    intsim.golden(graph, image, tmp_path / "dut.h5", "full", alter=early)
    result = diff(tmp_path / "golden.h5", tmp_path / "dut.h5", graph, isolated=True)
    assert result.culprits == list(stale)
    for explanation, (node, source) in zip(result.explanations, stale.items(), strict=True):
        right = graph.by_name[node].inputs[0]
        assert explanation.sentence().startswith(f"the output is computed from {source} in place of {right}")


def test_reports_of_a_dump_without_consequences(cli: Cli) -> None:
    """A wrong tensor among golden ones: what follows is right, and every report says so."""
    after = "encoder.blocks.1.attn.context"
    shutil.copy("golden.h5", "dut.h5")
    with h5py.File("dut.h5", "r+") as file:
        file[NODE][0, 1, 2] ^= 64
    code, out, _ = cli("diff golden.h5 dut.h5 --isolated --html page.html --junit junit.xml")
    assert code == 1
    first, second = out.splitlines()[:2]
    assert first == f"different: 1 culprit: {NODE}"
    sentence = (
        f"the consequences of {NODE} were not simulated: {after} follows from the golden one, not from the dumped one; "
    )
    assert second.startswith(sentence)
    belongs = f"it equals the golden tensor, which follows from the golden {NODE}, not from the dumped one"
    row = next(line for line in out.splitlines() if line.startswith(f" {after} "))
    assert "other-inputs" in row
    page = Path("page.html").read_text()
    assert sentence in page
    assert belongs in page
    root = ElementTree.parse("junit.xml").getroot()
    assert root.attrib["failures"] == "1"
    assert belongs in (root.findtext(".//testcase/system-out") or "")
    assert sentence in next(p.attrib["value"] for p in root.iter("property") if p.attrib["name"] == "unfollowed")
    _, record = report(cli, "diff golden.h5 dut.h5 --isolated")
    assert record["culprits"] == [NODE]
    assert record["unfollowed"] == {NODE: [after]}
    node = next(node for node in record["nodes"] if node["name"] == after)
    assert (node["accumulated"], node["isolated"]) == ("match", "match")
    assert node["isolation"]["other_inputs"] == {NODE: "golden"}
    assert belongs in node["note"]
