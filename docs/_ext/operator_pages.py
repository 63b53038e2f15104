"""One page per operator, and their index, written from the registry: nothing here names an operator."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from inspect import getsource
from pathlib import Path

from operator_plots import sweep
from worked_example import Example, brief, example

from intsim.arith import Format
from intsim.dialects import CHOICES, DIALECTS
from intsim.ops import Op
from intsim.vectors.flags import NOTES

from choice_pictures import CHOICE_PICTURES
from operator_text import LABELS, Description, in_reading_order, meanings, power, values_of

ROOT = Path(__file__).parent.parent.parent
FOLDER = "reference/operators"
GROUPS = {"Arithmetic": False, "Data movement": True}


def pages() -> dict[str, str]:
    """Every page and picture, by its path below docs/."""
    made = {f"{FOLDER}/index.md": index()}
    for op in operators():
        made[f"{FOLDER}/{op.name}.md"] = page(op)
        if found := sweep(op):
            made[f"{FOLDER}/{op.name}.svg"] = found.drawn(f"{op.name} beside what it approximates")
    return made


def operators() -> list[Op]:
    """All operators in reading order."""
    return [op for moves in GROUPS.values() for op in in_reading_order(moves)]


def index() -> str:
    """The list of all operators."""
    lines = [
        "# Operators",
        "",
        "Every operation that a network of integers may contain: its equation, what it accepts, the choices that change its",
        "result, a worked example, its error, and the bugs that its vectors catch. The pages are written from the operators",
        "themselves when this site is built; [arithmetic](../../arithmetic.md) has all equations on one page.",
    ]
    for heading, moves in GROUPS.items():
        members = in_reading_order(moves)
        lines += ["", f"## {heading}", "", "| operator | |", "|---|---|"]
        lines += [f"| [`{op.name}`]({op.name}.md) | {joined(Description.of(op).summary)} |" for op in members]
        lines += ["", "```{toctree}", ":hidden:", "", *(op.name for op in members), "```"]
    return "\n".join(lines) + "\n"


def joined(text: str) -> str:
    """`text` in one line, as a cell of a table."""
    return re.sub(r"\s+", " ", text).replace("|", r"\|")


def page(op: Op) -> str:
    """The page of an operator."""
    description, worked = Description.of(op), example(op)
    sections = [
        f"# {op.name}\n\n{joined(description.summary)[0].upper()}{joined(description.summary)[1:]}",
        "```python\n" + call(op) + "\n```",
        f"## Equation\n\n```text\n{description.formula or described(op)}\n```",
        arguments(op, description),
        result(op, description, worked),
        choices(op),
        approximation(op),
        worked_example(worked),
        vectors(op),
        see_also(op, description),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def call(op: Op) -> str:
    """The call as Python reads it."""
    signature = op.signature.replace(return_annotation="IntArray")
    return f"ops.{op.name}{signature}".replace("'", "")


def coded(text: str) -> str:
    """`text` with its powers of two as code, so that their asterisks are not taken for emphasis."""
    return re.sub(r"(?<!`)\b2\*\*(\d+|\([^)]*\))( - 1)?", r"`\g<0>`", joined(text))


def described(op: Op) -> str:
    """The reference itself, where the docstring has no formula."""
    return getsource(op.steps).strip()


def paragraph(description: Description, label: str) -> str:
    """A labelled paragraph of the docstring as a sentence of its own; empty where there is none."""
    text = description.paragraphs.get(label, "")
    return text[:1].upper() + text[1:] if text[:1].isalpha() and not text.startswith(("i8", "i16", "i32", "p,")) else text


def arguments(op: Op, description: Description) -> str:
    """Inputs and parameters with their formats and ranges."""
    rows = ["| argument | kind | format | values |", "|---|---|---|---|"]
    for name, fmt in op.inputs.items():
        rows.append(f"| `{name}` | {'one or more inputs' if op.variadic else 'input'} | {spelled(fmt)} | {span(fmt)} |")
    for name, param in op.params.items():
        kinds = {0: "an integer", 1: "one per channel", 2: "a matrix"}
        kind = " or ".join(kinds.get(n, f"{n} axes") for n in param.ndim)
        rows.append(f"| `{name}` | parameter: {kind} | {spelled(param.fmt)} | {span(param.fmt)} |")
    if op.choices:
        rows.append("| `dialect` | name or `Dialect` | | the choices below |")
    text = paragraph(description, "Arguments")
    checked = "Values are checked: a float is a TypeError, a value outside its format a ValueError that names the first one."
    return "\n".join(["## Arguments", "", text, "", *rows, "", checked])


def spelled(fmt: Format) -> str:
    return {"i64": "any integer format", "integer": ""}.get(fmt.name, fmt.name)


def span(fmt: Format) -> str:
    """The range of a format."""
    return "" if fmt.name == "i64" else f"{number(fmt.lo)} to {number(fmt.hi)}"


def number(value: int) -> str:
    """An integer as people write it; beyond 64 bits its magnitude."""
    if abs(value) < 1 << 63:
        return f"`{power(value)}`" if abs(value) > 1 << 15 else f"{value}"
    return f"about `{'-' * (value < 0)}2**{abs(value).bit_length() - 1}`"


def result(op: Op, description: Description, worked: Example) -> str:
    """Format, scale and bounds."""
    lines = ["## Result, scale and bounds", "", paragraph(description, "Result"), ""]
    for label in ("Scale", "Conditions"):
        if label in description.paragraphs:
            lines += [f"**{label}.** {paragraph(description, label)}", ""]
    if not op.moves:
        bound, shapes = worked.bound, " and ".join(f"`{list(x.shape)}`" for x in worked.inputs)
        lines += [
            "When a graph is loaded, bounds of every result are proved from formats, shapes and parameters. With the",
            f"parameters of the example below, for any input of shape {shapes}: {bound.fmt} `{list(bound.shape)}`,",
            f"from {number(bound.lo)} to {number(bound.hi)}.",
        ]
    return "\n".join(lines).rstrip()


@cache
def said_of_values() -> dict[tuple[str, str], str]:
    """What each value of an enum of choices means: the comments beside the members in intsim/arith/contracts.py."""
    kinds = {kind for kind in CHOICES.values() if isinstance(kind, type)}
    pattern = re.compile(r'^    \w+ = "(\w+)"  # (.+)$', re.MULTILINE)
    return {(kind.__name__, value): text for kind in kinds for value, text in pattern.findall(getsource(kind))}


def choices(op: Op) -> str:
    """Every choice that changes the result: its values, their meaning, and who chooses what."""
    if not op.choices:
        return "## Choices\n\nNone: all dialects agree."
    head = "| choice | " + " | ".join(f"`{name}`" for name in DIALECTS) + " |\n|---" + "|---" * len(DIALECTS) + "|"
    rows = [
        f"| [`{key}`](../../arithmetic.md#{key}) | " + " | ".join(f"`{d.choices()[key]}`" for d in DIALECTS.values()) + " |"
        for key in op.choices
    ]
    parts = [
        "## Choices\n\nImplementations differ in these; a [dialect](../api/dialects.md) names every one.\n\n"
        + "\n".join([head, *rows])
    ]
    for key in op.choices:
        kind, meaning = CHOICES[key], meanings()[key]
        lines = [f"### {key}", "", f"{meaning[0].upper()}{meaning[1:]}.", ""]
        if isinstance(kind, type):
            said = {str(v): said_of_values().get((kind.__name__, str(v)), "") for v in kind}
            lines += [f"- `{value}`" + (f": {coded(text)}" if text else "") for value, text in said.items()]
        else:
            lines += [f"Values: {values_of(key)}."]
        if key in CHOICE_PICTURES:
            lines += ["", f"![{key}](../../pictures/{key}.svg)", "", CHOICE_PICTURES[key][1]]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def approximation(op: Op) -> str:
    """What the operator approximates, drawn, and its error."""
    if op.moves:
        return ""
    found = sweep(op)
    if found is None:
        return f"## Error\n\nThe integers are exactly the {op.approximates} of the integers given: no error arises here."
    legend = "Left: the integers times their scale, and dotted the real function. Right: their difference."
    picture = f"![{op.name} beside the real function, and its error]({op.name}.svg)"
    return f"## Error\n\n{picture}\n\n{legend}\n\n{found.summary()}"


def worked_example(worked: Example) -> str:
    """The docstring's example, every named step of it, and one element step by step."""
    rows = [f"| `{name}` | `{brief(value)}` |" for name, value in worked.steps().items()]
    at, lines = worked.trace()
    steps = [
        f"| `{line.name}` | `{joined(line.how)}` | {line.value:,} | `{line.hexadecimal()}` | {coded(line.note)} |"
        for line in lines
    ]
    place = ",".join(map(str, at))
    return "\n".join(
        [
            "## Example",
            "",
            f"```pycon\n{worked.text}\n```",
            "",
            "The named steps of the reference:",
            "",
            "| step | value |",
            "|---|---|",
            *rows,
            "",
            f"Element `[{place}]`, step by step, as [`intsim trace`](../commands.md#intsim-trace) shows it:",
            "",
            "| step | how | decimal | hexadecimal | |",
            "|---|---|--:|---|---|",
            *steps,
        ]
    )


@cache
def flagged() -> dict[str, Counter[str]]:
    """How many committed vectors of each operator have each flag."""
    counts: dict[str, Counter[str]] = {}
    for path in sorted((ROOT / "golden" / "ops").glob("*.json")):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            counts.setdefault(case["op"], Counter()).update(case.get("flags", ["(no flag)"]))
    return counts


def vectors(op: Op) -> str:
    """The bugs that the committed vectors of the operator catch."""
    counts = flagged().get(op.name, Counter())
    rows = [
        f"| {coded(NOTES[flag]['bug'])} | {coded(NOTES[flag]['why'])} | `{flag}` | {n} |"
        for flag, n in sorted(counts.items(), key=lambda item: list(NOTES).index(item[0]) if item[0] in NOTES else -1)
        if flag in NOTES
    ]
    text = (
        f"The [conformance vectors](../../vectors.md) of this operator in `golden/ops` catch these; "
        f"`intsim vectors gen {op.name}` makes more."
    )
    return "\n".join(
        ["## Bugs that the vectors catch", "", text, "", "| bug | the case | flag | vectors |", "|---|---|---|--:|", *rows]
    )


def see_also(op: Op, description: Description) -> str:
    """Notes, the source, and where the operator is implemented."""
    lines = ["## Source", ""]
    for label in LABELS[4:]:
        if label in description.paragraphs:
            lines += [
                paragraph(description, label) if label == "Source" else f"**{label}.** {paragraph(description, label)}",
                "",
            ]
    lines += [f"Specified in [arithmetic](../../arithmetic.md#{op.name}), implemented in `intsim/ops/{op.name}.py`."]
    return "\n".join(lines)
