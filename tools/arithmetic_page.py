"""Write the generated parts of docs/arithmetic.md, and its pictures; with --check, report what is not current.

    python tools/arithmetic_page.py [--check]

The operators come from the docstrings of intsim/ops and the dialects from intsim/dialects.py; the pictures are drawn from
what intsim computes. The parts stand between ``<!-- begin NAME`` and ``<!-- end NAME -->``; the rest is written by hand.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from intsim import dialects
from intsim.dialects import CHOICES, DIALECTS
from intsim.ops import Op

from choice_pictures import CHOICE_PICTURES, ROUNDINGS, rounding
from operator_text import LABELS, Description, in_reading_order, meanings, ranges, values_of, wrapped

ROOT = Path(__file__).parent.parent
PAGE, PICTURES = ROOT / "docs" / "arithmetic.md", ROOT / "docs" / "pictures"
MOVEMENT = """\
These operators only move values. They take any integer format; format, bounds and scale of their input do
not change, except that the bounds of `patches` include the zeros it adds. Formulas leave out the axes that
do not change."""


def bullet(label: str, text: str) -> str:
    """One item of the list under an operator."""
    return f"- **{label}:** " + text.replace("\n", "\n  ")


def operator(op: Op) -> str:
    """The section of an operator."""
    description = Description.of(op)
    items = {"Arguments": "", "Ranges": ranges(op), **dict.fromkeys(LABELS[1:4], "")}
    items["Choices"] = ", ".join(f"[`{key}`](#{key})" for key in op.choices)
    items |= dict.fromkeys(LABELS[4:], "") | description.paragraphs
    lines = [f"#### {op.name}", "", f"`{description.call}`: {description.summary}", ""]
    if description.formula:
        lines += ["```text", description.formula, "```", ""]
    return "\n".join([*lines, *(bullet(label, text) for label, text in items.items() if text)])


def operators() -> str:
    """The sections of all operators, in reading order."""
    groups = {
        "Arithmetic": (in_reading_order(moves=False), ""),
        "Data movement": (in_reading_order(moves=True), MOVEMENT),
    }
    sections = []
    for heading, (members, introduction) in groups.items():
        index = " · ".join(f"[{op.name}](#{op.name})" for op in members)
        sections += [f"### {heading}", *([introduction] if introduction else []), wrapped(index), *map(operator, members)]
    return "\n\n".join(sections)


def roundings() -> str:
    """The pictures of the rounding modes."""
    shown = [f"![{mode}](pictures/rounding_{mode}.svg)" for mode in ROUNDINGS]
    said = [f"- `{mode}`: {text}" for mode, text in ROUNDINGS.items()]
    note = "A dot is a value that belongs to the step, a ring one that does not; the dotted line is the exact quotient."
    return "\n".join([*shown, "", *said, "", note])


def choices() -> str:
    """The table of the dialects, and the picture of each choice."""
    sources = dict(re.findall(r"^    ([\w-]+) +(.+)$", str(dialects.__doc__), flags=re.MULTILINE))
    if list(sources) != list(DIALECTS):
        raise ValueError(f"dialects: the docstring lists {', '.join(sources)}, expected {', '.join(DIALECTS)}")
    rows = [
        "| choice | " + " | ".join(f"`{name}`" for name in DIALECTS) + " |",
        "|---" * (len(DIALECTS) + 1) + "|",
        "| | " + " | ".join(sources.values()) + " |",
    ]
    for key in CHOICES:
        values = " | ".join(f"`{dialect.choices()[key]}`" for dialect in DIALECTS.values())
        rows.append(f"| [`{key}`](#{key}) | {values} |")
    sections = ["\n".join(rows)]
    for key, meaning in meanings().items():
        lines = [f"### {key}", "", f"{meaning[0].upper()}{meaning[1:]}. Values: {values_of(key)}.", ""]
        if key in CHOICE_PICTURES:
            lines += [f"![{key}](pictures/{key}.svg)", "", CHOICE_PICTURES[key][1]]
        else:
            lines += ["[Pictures of the roundings](#1-numbers)"]
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


def pictures() -> dict[Path, str]:
    """Every picture by its path."""
    drawn = {PICTURES / f"rounding_{mode}.svg": rounding(mode) for mode in ROUNDINGS}
    return drawn | {PICTURES / f"{key}.svg": draw() for key, (draw, _) in CHOICE_PICTURES.items()}


def page(text: str) -> str:
    """The page with its generated parts written anew."""
    for name, part in {"roundings": roundings, "operators": operators, "dialects": choices}.items():
        pattern = rf"(<!-- begin {name}\b[^\n]*-->\n).*?(<!-- end {name} -->)"
        text, found = re.subn(pattern, lambda match, part=part: f"{match[1]}\n{part()}\n\n{match[2]}", text, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"{PAGE.name}: expected one part {name!r}, not {found}")
    return text


def outdated() -> dict[Path, str]:
    """The files that are not current, with the text they should have."""
    wanted = {PAGE: page(PAGE.read_text(encoding="utf-8")), **pictures()}
    return {path: text for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text}


def main() -> None:
    """Write what is not current, or report it."""
    check = "--check" in sys.argv[1:]
    changed = outdated()
    for path, text in changed.items():
        print(f"{path.relative_to(ROOT)} {'is not current; run tools/arithmetic_page.py' if check else 'written'}")
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    sys.exit(bool(changed) and check)


if __name__ == "__main__":
    main()
