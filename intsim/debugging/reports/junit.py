"""A diff as JUnit XML: one test case per tensor, so that a CI server shows which one broke."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as xml

from ...errors import printable
from ...storage.files import replacing
from ..result import BAD, DIFFER, MATCH, MISSING, Diff, NodeDiff
from . import words


def write_junit(path: str | Path, diff: Diff) -> None:
    """Write the report to `path`. Tensors that the dump lacks are skipped cases, or failures if the diff is `complete`."""
    suite = xml.Element("testsuite", name="intsim diff", tests=str(len(diff.nodes)), errors="0")
    properties = xml.SubElement(suite, "properties")
    xml.SubElement(properties, "property", name="golden", value=str(diff.golden))
    for text in words.unfollowed(diff):
        xml.SubElement(properties, "property", name="unfollowed", value=text)
    failed = skipped = 0
    explained = {e.tensor: e.sentence() for e in diff.explanations}
    for node in diff.nodes:
        group, _, name = node.name.rpartition(".")
        case = xml.SubElement(suite, "testcase", classname=group or "graph", name=name, time="0")
        missing = node.accumulated == MISSING
        if node.bad or (missing and diff.complete):
            failed += 1
            failure = xml.SubElement(case, "failure", type=words.state(node, diff), message=_message(node))
            failure.text = "\n".join(text for text in (explained.get(node.name, ""), *_details(node)) if text)
        elif missing or node.accumulated not in (MATCH, *BAD):
            skipped += 1
            xml.SubElement(case, "skipped", message=f"only in the {'golden file' if missing else 'dump'}")
        elif node.other_inputs:
            xml.SubElement(case, "system-out").text = node.remark
    suite.set("failures", str(failed))
    suite.set("skipped", str(skipped))
    suites = xml.Element("testsuites", tests=str(len(diff.nodes)), failures=str(failed))
    suites.append(suite)
    write_xml(path, suites)


def write_xml(path: str | Path, root: xml.Element) -> None:
    """Write elements to `path`, with what XML does not have as escapes: names in files may be of any characters."""
    for element in root.iter():
        element.attrib = {key: printable(value) for key, value in element.attrib.items()}
        element.text = element.text and "\n".join(map(printable, element.text.split("\n")))
    xml.indent(root)
    with replacing(path) as temporary:
        xml.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)


def _message(node: NodeDiff) -> str:
    if node.isolated == DIFFER:
        return "wrong by itself"
    if node.differing:
        own = "; right by itself" if node.isolated == MATCH else ""
        return f"{node.differing:,} of {node.total:,} elements differ{own}"
    return node.remark or node.accumulated


def _details(node: NodeDiff) -> list[str]:
    comparison = node.verdict.comparison if node.verdict and node.isolated == DIFFER else node.comparison
    if comparison is None or comparison.first is None:
        return [node.remark]
    first = comparison.first
    at = f"first at {first.index}: expected {first.golden}, dut {first.dut}"
    return [at, words.errors(comparison, node.op), words.where(comparison), node.remark]
