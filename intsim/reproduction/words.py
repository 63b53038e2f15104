"""What a reproduction tells a reader: the README, and the lines that stand in every bench."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import printable
from ..languages.c_library import comment
from ..storage.templates import template
from .case import RECORDED, Reproduction
from .tensors import Memory

WHENCE = {
    True: "The values found are the device's own",
    False: "Inputs and values found are not the device's own: they were made with the rule above, which gives every value "
    "that the device has recorded",
}
SPELLED = 4000  # characters of a call in Python that is shown


def told(made: Reproduction) -> list[str]:
    """What is wrong, in lines for comments: the first wrong element, its lowest wrong bit, and the steps to it."""
    lines = [
        _sentence(made),
        f"First wrong element: {first(made, bit=False)}.",
        f"Lowest wrong bit of it: {made.first.bit}.",
    ]
    lines += [source(made), *made.notes]
    return [*(part for line in lines for part in comment(printable(line))), "", *made.steps.splitlines()]


def first(made: Reproduction, *, bit: bool = True) -> str:
    """The first wrong element in words, with its lowest wrong `bit`."""
    it = made.first
    return (
        f"{list(it.index)}: expected {it.expected:,} ({made.hexadecimal(it.expected)}), "
        f"found {it.found:,} ({made.hexadecimal(it.found)})" + (f", lowest wrong bit {it.bit}" if bit else "")
    )


def source(made: Reproduction) -> str:
    """Where the values come from."""
    where = f"; the first wrong one is {made.place}" if made.place else ""
    return f"{WHENCE[made.source == RECORDED]}{where}."


def readme(made: Reproduction, memories: Sequence[Memory], parts: Sequence[str], left_out: Sequence[str]) -> str:
    """The text of README.md. `parts` are the folders of benches that were written."""
    operator = made.call.operator
    choices = (f"{key} {getattr(made.call.dialect, key)}" for key in operator.choices) if made.call.dialect else ()
    call = repr(made.call)
    out = memories[-1].packing
    context = {
        "made": made,
        "why": printable(_sentence(made)),
        "choices": ", ".join(choices),
        "shapes": [(memory.name, f"{memory.packing.element} {memory.shape}") for memory in memories],
        "scalars": made.scalars(),
        "first": first(made),
        "source": source(made),
        "call": call if len(call) <= SPELLED else f"# too long to print; data/*.npy hold its arrays\n{call[:200]} ...",
        "commands": list(_commands(parts)),
        "left_out": left_out,
        "has_c": "c" in parts,
        "has_onnx": "onnx" in parts,
        "layout": _layout(memories),
        "lanes": f"{out.lanes} element{'' if out.lanes == 1 else 's'} of the result in a beat of {out.beat} bits",
    }
    return template(__package__, "README.md.j2", markup=False).render(**context)


def _layout(memories: Sequence[Memory]) -> str:
    """The layout by name, and which arrays it does not fit."""
    layout = max(
        (memory.packing.layout for memory in memories), key=lambda layout: bool(layout.tile or layout.pitch or layout.axes)
    )
    others = [memory.name for memory in memories if memory.packing.layout != layout]
    return f"{layout.name}, but {', '.join(others)} element by element" if others else layout.name


def _sentence(made: Reproduction) -> str:
    """Why it is wrong, as far as that is known."""
    if not made.why:
        return "No rule is known that gives these values."
    return f"{made.why[0].upper()}{made.why[1:]}."


def _commands(parts: Sequence[str]) -> Iterator[str]:
    """The commands that run the benches, with what they need."""
    needs = {"sv": "Icarus Verilog", "c": "a C compiler"}
    for part, need in needs.items():
        if part in parts:
            for which in ("reference", "device"):
                yield f"{f'sh {part}/run.sh {which}':<38}# {'passes' if which == 'reference' else 'fails'}; needs {need}"
    yield f"{'DEVICE=reference python -m pytest .':<38}# passes; needs intsim and pytest"
    yield f"{'python -m pytest .':<38}# fails"


def parameters(made: Reproduction) -> list[str]:
    """The parameters as entries of a Python dictionary, arrays read from their files."""
    return [
        f'"{key}": np.load(DATA / "{key}.npy")' if np.ndim(value) else f'"{key}": {int(value)}'
        for key, value in made.call.params.items()
    ]
