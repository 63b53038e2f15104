"""The map with which a dump would be read right: names, conventions and layouts that were found, as TOML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from ..storage.files import replacing
from .dump_layout import DumpLayout
from .dump_map import MapEntry
from .result import Diff

NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
NAMES = "ijkl"  # of the placeholders
HEAD = "# How the dump is stored, as it was understood; docs/debugging.md describes the keys.\n"


def suggested(diff: Diff) -> str:
    """The map as text; "" where the dump needs none."""
    conventions: dict[str, list[str]] = {}
    for followed in diff.conventions:
        for name in followed.tensors:
            conventions.setdefault(name, []).append(followed.key)
    named = {match.node: match.source for match in diff.matches}
    entries: dict[str, tuple[str, str]] = {}  # by source: node, further keys
    plain: list[str] = []  # sources that are found by their names
    for node in diff.nodes:
        if not node.source:
            continue
        keys = node.layout.keys if node.layout is not None else ""
        if node.name in conventions:  # a layout was found after they had been undone, and a map undoes them last
            then = f"\n# then: {node.layout.says}" if node.layout is not None else ""
            keys = f"convention = {json.dumps(conventions[node.name])}{then}"
        if keys or node.name in named:
            entries[named.get(node.name, node.source)] = node.name, keys
        else:
            plain.append(node.source)
    if not entries:
        return ""
    grouped = _grouped(entries)
    chosen = grouped if _reads(grouped, entries, plain) else _single(entries)
    return HEAD + "".join(f"\n{_entry(*entry)}\n" for entry in chosen)


Entry = tuple[str, str, str]  # device, node, further keys


def _single(entries: Mapping[str, tuple[str, str]]) -> list[Entry]:
    return [(source, node, keys) for source, (node, keys) in entries.items()]


def _grouped(entries: Mapping[str, tuple[str, str]]) -> list[Entry]:
    """One entry for all tensors whose names differ in the numbers of blocks, where their keys are the same."""
    groups: dict[Entry, None] = {}
    for source, (node, keys) in entries.items():
        groups[(*_pattern(source, node), keys)] = None
    return list(groups)


def _pattern(source: str, node: str) -> tuple[str, str]:
    numbers = NUMBER.findall(source)
    if not numbers or numbers != NUMBER.findall(node) or len(numbers) > len(NAMES):
        return source, node
    return _with_placeholders(source), _with_placeholders(node)


def _with_placeholders(name: str) -> str:
    names = iter(NAMES)
    return NUMBER.sub(lambda _: f"{{{next(names)}}}", name)


def _entry(device: str, node: str, keys: str) -> str:
    lines = ["[[tensor]]", f"device = {json.dumps(device)}", f"node = {json.dumps(node)}"]
    return "\n".join([*lines, keys] if keys else lines)


def _reads(groups: list[Entry], entries: Mapping[str, tuple[str, str]], plain: list[str]) -> bool:
    """Whether the first group that matches a name is the one that it is in, and none matches one of `plain`."""
    compiled = [(MapEntry(device, node, DumpLayout()), keys) for device, node, keys in groups]
    for source, (node, keys) in entries.items():
        first = next(((entry, k) for entry, k in compiled if entry.match(source)), None)
        if first is None or first[0].node_of(source) != node or first[1] != keys:
            return False
    return not any(entry.match(source) for source in plain for entry, _ in compiled)


def write_map(path: str | Path, diff: Diff) -> bool:
    """Write the suggested map to `path`, atomically; whether the dump needs one."""
    text = suggested(diff)
    if text:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return bool(text)
