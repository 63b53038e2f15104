"""A page per JSON schema in docs/: its objects as tables of keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent
FOLDER = "reference/schemas"


def pages() -> dict[str, str]:
    """Every page by its path below docs/."""
    return {
        f"{FOLDER}/{path.name.removesuffix('.schema.json')}.md": page(path) for path in sorted(DOCS.glob("*.schema.json"))
    }


def page(path: Path) -> str:
    """The page of one schema."""
    schema = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        f"# {schema['title']}",
        "",
        schema["description"],
        "",
        f"The schema itself: [{path.name}](../../{path.name}) (JSON Schema, draft 2020-12). A key in bold is always there.",
    ]
    for name, described in [("", schema), *schema.get("$defs", {}).items()]:
        for place, node in objects(described, name):
            lines += ["", f"## {place or 'The document'}", ""]
            if node is not schema and "description" in node:
                lines += [node["description"], ""]
            lines += ["| key | type | |", "|---|---|---|"]
            required = set(node.get("required", ()))
            for key, value in node["properties"].items():
                shown = f"**`{key}`**" if key in required else f"`{key}`"
                lines.append(f"| {shown} | {kind(value)} | {cell(value.get('description', ''))} |")
    return "\n".join(lines) + "\n"


def objects(node: dict[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects with named keys in a schema, and in what they contain, with the path to each."""
    if "properties" in node:
        yield name, node
    for key, value in node.get("properties", {}).items():
        yield from objects(value, f"{name}.{key}" if name else key)
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from objects(node[key], f"{name}[]" if key == "items" else f"{name}.*")
    for key in ("oneOf", "anyOf", "allOf"):
        for choice in node.get(key, ()):
            yield from objects(choice, name)


def kind(node: dict[str, Any]) -> str:
    """The type of a value in words."""
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return f"`{name}`"
    if "const" in node:
        return f"`{json.dumps(node['const'])}`"
    if "enum" in node:
        return ", ".join(f"`{json.dumps(value)}`" for value in node["enum"])
    for key in ("oneOf", "anyOf", "allOf"):
        if key in node:
            return " or ".join(dict.fromkeys(kind(choice) for choice in node[key]))
    named = node.get("type", "any value")
    text = " or ".join(named) if isinstance(named, list) else named
    return f"{text} of {kind(node['items'])}" if isinstance(node.get("items"), dict) else text


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|").replace("*", r"\*").replace("<", r"\<")
