"""The docstrings of intsim/ops in their parts, and the ranges of parameters, as text for pages."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

from intsim.arith import I64, Format
from intsim.dialects import CHOICES, Dialect
from intsim.ops import REGISTRY, Op

WIDTH = 125

LABELS = ("Arguments", "Result", "Scale", "Conditions", "Note", "Source")
READING_ORDER = (
    *("requant", "residual_add", "linear", "matmul", "layernorm", "mean", "shift_exp", "shiftmax", "masked_shiftmax"),
    *("shiftgelu", "lambda_shiftgelu", "input_lut", "argmax"),
    *("patches", "concat", "slice", "heads", "merge_heads", "tokens", "grid", "windows", "merge_windows", "roll"),
    *("merge_patches", "relative_positions", "upsample_nearest"),
)  # operators that are not in it come last, by name


@dataclass(frozen=True)
class Description:
    """A module docstring of intsim/ops in its parts."""

    call: str
    summary: str
    formula: str
    paragraphs: dict[str, str]

    @classmethod
    def of(cls, op: Op) -> Description:
        """The description of an operator; a ValueError where its docstring has another shape."""
        head, *blocks = str(op.__doc__).partition("\n>>>")[0].strip("\n").split("\n\n")
        call, _, summary = head.partition(": ")
        if call != call_of(op):
            raise ValueError(f"{op.name}: the docstring starts with {call!r}, expected {call_of(op)!r}")
        formula = "" if not blocks[0].startswith("    ") else re.sub("^    ", "", blocks.pop(0), flags=re.MULTILINE)
        parts = re.split(r"^([A-Z]\w+): ", blocks[0], flags=re.MULTILINE)
        paragraphs = {label: text.strip() for label, text in zip(parts[1::2], parts[2::2], strict=True)}
        ordered = [label for label in LABELS if label in paragraphs]
        if len(blocks) != 1 or parts[0] or list(paragraphs) != ordered or ordered[:2] != ["Arguments", "Result"]:
            raise ValueError(f"{op.name}: expected paragraphs {', '.join(LABELS)}, not {', '.join(paragraphs)}")
        return cls(call, summary, formula, paragraphs)


def call_of(op: Op) -> str:
    """The call as the docstring must show it: formats of the inputs, and of parameters that are always arrays."""
    formats = {name: "" if fmt is I64 else f" {fmt}" for name, fmt in op.inputs.items()}
    formats |= {name: "" if 0 in param.ndim else f" {param.fmt}" for name, param in op.params.items()}
    names = [name for name in op.signature.parameters if name != "dialect"]
    stars = {name: "*" for name in op.inputs if op.variadic}
    return f"{op.name}({', '.join(stars.get(name, '') + name + formats[name] for name in names)})"


def power(value: int) -> str:
    """An integer as people write it: large ones as a power of two."""
    if abs(value) > 1 << 15:
        for offset in (0, 1):
            if (abs(value) + offset).bit_count() == 1:
                written = f"2**{(abs(value) + offset).bit_length() - 1}" + " - 1" * offset
                return written if value > 0 else f"-{written}"
    return str(value)


def ranges(op: Op) -> str:
    """The values that an operator accepts for its parameters."""

    def accepted(name: str, fmt: Format) -> str:
        if fmt.name != "integer":
            return f"`{name}` {fmt}"
        return f"`{name}` 0 or 1" if (fmt.lo, fmt.hi) == (0, 1) else f"`{power(fmt.lo)} <= {name} <= {power(fmt.hi)}`"

    return ", ".join(accepted(name, param.fmt) for name, param in op.params.items())


def wrapped(text: str) -> str:
    """`text` in lines of at most `WIDTH` characters."""
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) >= WIDTH:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)


def in_reading_order(moves: bool) -> list[Op]:
    """The operators that compute, or those that only move values, in the order in which they are explained."""
    position = {name: i for i, name in enumerate(READING_ORDER)}
    ordered = sorted(REGISTRY.values(), key=lambda op: (position.get(op.name, len(position)), op.name))
    return [op for op in ordered if op.moves is moves]


def meanings() -> dict[str, str]:
    """What each choice decides, from the docstring of `Dialect`."""
    lines = dict(re.findall(r"^(\w+): (.+)$", str(inspect.getdoc(Dialect)), flags=re.MULTILINE))
    if list(lines) != list(CHOICES):
        raise ValueError(f"Dialect: the docstring explains {', '.join(lines)}, expected {', '.join(CHOICES)}")
    return lines


def values_of(key: str) -> str:
    """The values that a choice may have, as a list in text."""
    allowed = CHOICES[key]
    listed = ", ".join(f"`{value}`" for value in allowed if isinstance(value, str))
    whole = [value for value in allowed if isinstance(value, int)]
    return ", ".join(filter(None, [listed, f"{whole[0]} to {whole[-1]}" if whole else ""]))
