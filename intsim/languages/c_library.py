"""Operators as a C library: freestanding C99, a file an operator, one header, a Makefile, a CMake file and a self-test."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

from .._version import __version__
from ..dialects import Dialect
from ..errors import IntsimError
from ..ops import REGISTRY
from ..storage.templates import template
from ..symbols.shapes import Form
from .c_operator import COperator
from .c_selftest import selftest

WIDTH = 112  # of comments
KINDS = {
    "step": "1 where {of} has a value per channel, 0 where one is for all",
    "steps": "where to store intermediate values, or NULL; so may each of its pointers be",
}


class CLibrary:
    """The functions of some operators in some dialects. An operator without choices has one for all of them."""

    def __init__(
        self, ops: Sequence[str], dialects: Sequence[Dialect], extra: Mapping[str, Sequence[Form]] | None = None
    ) -> None:
        self.ops, self.dialects = list(ops), list(dialects)
        self.functions: dict[str, list[COperator]] = {}
        for op in self.ops:
            rules = self.dialects if REGISTRY[op].choices else self.dialects[:1]
            own = [*REGISTRY[op].forms(), *(extra or {}).get(op, ())]
            self.functions[op] = [COperator(op, form, dialect) for form in own for dialect in rules]
        functions = [function for found in self.functions.values() for function in found]
        names = Counter(function.name for function in functions)
        names.update({f"{function.name}_steps" for function in functions if function.steps})  # of the simulator's import
        names.update({function.steps_type for function in functions if function.steps})
        arithmetic = set(re.findall(r"\b(intsim_\w+)\(", self.rendered("intsim_arithmetic.h.j2", version=__version__)))
        if taken := [function for function in functions if function.name in arithmetic]:
            raise IntsimError(f"{taken[0].op}: the C reference has a function {taken[0].name} already; rename the operator")
        if twice := [name for name, count in names.items() if count > 1]:
            raise IntsimError(f"two functions would be called {twice[0]}; rename a dialect")

    def files(self, network: bool = False, image: bool = False, dpi: bool = False) -> dict[str, str]:
        """The text of every file, by name. With a `network` it is built, too, with weights in an `image` or in C; with `dpi`
        the wrappers are, as a library.
        """
        sources = [f"intsim_{op}.c" for op in self.ops]
        context: dict[str, object] = {"version": __version__, "ops": self.ops, "sources": ["intsim_error.c", *sources]}
        context |= {"network": network, "image": image, "dpi": dpi}
        found = {
            "intsim.h": self.rendered("intsim.h.j2", operators=[self._described(op) for op in self.ops], **context),
            "intsim_arithmetic.h": self.rendered("intsim_arithmetic.h.j2", **context),
            "intsim_error.c": self.rendered("intsim_error.c.j2", **context),
            "selftest.h": self.rendered("selftest.h.j2", **context),
            "Makefile": self.rendered("Makefile.j2", **context),
            "CMakeLists.txt": self.rendered("CMakeLists.txt.j2", **context),
        }
        for op, source in zip(self.ops, sources, strict=True):
            functions = self.functions[op]
            texts = [function.text() for function in functions]
            found[f"selftest_{op}.c"] = selftest(functions)
            found[source] = self.rendered("operator.c.j2", op=op, equation=comment(equation(op)), texts=texts, **context)
        return found

    def rendered(self, name: str, **context: object) -> str:
        """A file from its template."""
        return template(__package__, name, markup=False).render(**context).rstrip() + "\n"

    def _described(self, op: str) -> dict[str, object]:
        """What the header says of an operator."""
        functions = self.functions[op]
        first = functions[0]
        alike: dict[str, list[COperator]] = {}
        for function in functions:
            alike.setdefault(function.form.suffix, []).append(function)
        choices = {function.name: _choices(function) for function in functions if function.dialect is not None}
        return {
            "op": op,
            "about": comment(documentation(op)),
            "steps": first.steps,
            "steps_type": first.steps_type,
            "forms": [
                (comment(listed(own[0])), [(f.declaration, choices.get(f.name, "")) for f in own]) for own in alike.values()
            ],
        }


def _is_told(side: str, names: set[str]) -> bool:
    """Whether a length is in terms of arguments, and not of what the function computes first."""
    return set(re.findall(r"[a-z_]\w*", side)) <= names | {"size_t"}


def listed(function: COperator) -> str:
    """What the arguments of a function are, a line each, and its steps."""
    arguments = function.arguments
    lines, before, names = [f"{function.op}{function.form.suffix}:"], "", {argument.name for argument in arguments}
    for argument in arguments:
        if argument.kind in ("array", "result"):
            told = (side.replace("(size_t)", "") if _is_told(side, names) else "..." for side in argument.shape)
            shape = " x ".join(f"({side})" if " " in side else side for side in told) or "1"
            fmt = f"{argument.fmt.lo} to {argument.fmt.hi}" if argument.fmt is not None else "written"
            lines.append(f"{argument.name}: [{shape}], {fmt}")
        elif argument.kind == "parameter" and argument.fmt is not None:
            lines.append(f"{argument.name}: {argument.fmt.lo} to {argument.fmt.hi}")
        elif argument.kind in KINDS:
            lines.append(f"{argument.name}: {KINDS[argument.kind].format(of=before)}")
        before = argument.name
    for name in function.steps:
        shape = " x ".join(function._side(side).replace("(size_t)", "") for side in function.results[name].shape) or "1"
        lines.append(f"steps->{name}: [{shape}]")
    return "\n".join(lines)


def _choices(function: COperator) -> str:
    """The choices of a function's dialect, in words."""
    assert function.dialect is not None
    return ", ".join(f"{key} = {getattr(function.dialect, key)}" for key in function.operator.choices)


def documentation(op: str) -> str:
    """What an operator's module says of it, without the examples."""
    text = (
        (REGISTRY[op].__doc__ or op).partition(">>>")[0].replace("``", "").replace("`", "").replace("*checked*", "").strip()
    )
    return text.encode("ascii", "replace").decode()


def equation(op: str) -> str:
    """The head of the documentation: what is computed."""
    return documentation(op).partition("Arguments:")[0].strip()


def comment(text: str) -> list[str]:
    """The lines of a comment; those of an equation, which are indented, as they are."""
    lines: list[str] = []
    for line in text.replace("*/", "* /").splitlines():
        long = len(line) > WIDTH and not line.startswith("    ")
        lines += textwrap.wrap(line, WIDTH, subsequent_indent="  ") if long else [line.rstrip()]
    return lines
