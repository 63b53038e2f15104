"""Write intsim/ops/__init__.pyi, the types of the operators; with --check, report where it is not current.

    python tools/make_stubs.py [--check]

The operators are found when `intsim.ops` is imported, so that a type checker cannot see them. The stub has one class per
operator with the signature of its calls, from the registry.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from intsim.ops import REGISTRY, Op

ROOT = Path(__file__).parent.parent
STUB = ROOT / "intsim" / "ops" / "__init__.pyi"
WIDTH = 125
HEAD = '''\
"""The types of the operators. Written by tools/make_stubs.py from the registry; do not edit."""

from typing import Any, TypeAlias, final, type_check_only

import numpy as np
from numpy.typing import ArrayLike

from ..arith import IntArray, TensorBound
from ..dialects import Dialect
from ._op import Op
from ._param import FLAG, Param, require
from ._registry import REGISTRY

'''


def annotation(op: Op, name: str) -> str:
    """The type of an argument of an operator."""
    if name in op.inputs:
        return "ArrayLike"
    if name == "dialect":
        return "Dialect | str" if op.choices else "Dialect | str | None"
    return "_Int" if op.params[name].ndim == (0,) else "ArrayLike"


def parameter(op: Op, argument: inspect.Parameter) -> str:
    """An argument of an operator as it is written in a signature."""
    star = "*" if argument.kind is argument.VAR_POSITIONAL else ""
    default = "" if argument.default is argument.empty else f" = {argument.default!r}"
    return f"{star}{argument.name}: {annotation(op, argument.name)}{default}"


def method(op: Op, name: str) -> str:
    """A method with the signature of an operator, formatted as ruff does."""
    arguments = ["self", *(parameter(op, p) for p in op.signature.parameters.values())]
    joined = ", ".join(arguments)
    for listed in (
        joined,
        f"\n        {joined}\n    ",
        "".join(f"\n        {argument}," for argument in arguments) + "\n    ",
    ):
        text = f"    def {name}({listed}) -> IntArray: ..."
        if max(map(len, text.splitlines())) <= WIDTH:
            break
    return text


def class_name(op: Op) -> str:
    """The name of the class of an operator."""
    return "_" + "".join(part.capitalize() for part in op.name.split("_"))


def summary(op: Op) -> str:
    """The first line of the docstring of an operator, without its call."""
    return str(op.__doc__).splitlines()[0].partition("): ")[2]


def stub() -> str:
    """The whole stub."""
    ordered = sorted(REGISTRY.values(), key=lambda op: op.name)
    exported = sorted(
        ["FLAG", "REGISTRY", "Op", "Param", "TensorBound", "require", *REGISTRY],
        key=lambda name: (not name.isupper(), name[0].islower(), name),
    )
    lines = [
        HEAD + "__all__ = [",
        *(f'    "{name}",' for name in exported),
        "]",
        "",
        "_Int: TypeAlias = int | np.integer[Any]",
    ]
    for op in ordered:
        documented = f'    """{op.name}: {summary(op)}"""'
        lines += ["", "@final", "@type_check_only", f"class {class_name(op)}(Op):", documented, ""]
        lines += [method(op, "__call__"), method(op, "ref")]
    lines += ["", *(f"{op.name}: {class_name(op)}" for op in ordered)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the stub, or report that it is not current."""
    text = stub()
    current = STUB.exists() and STUB.read_text(encoding="utf-8") == text
    check = "--check" in sys.argv[1:]
    if not current:
        print(f"{STUB.relative_to(ROOT)} {'is not current; run tools/make_stubs.py' if check else 'written'}")
    if not current and not check:
        STUB.write_text(text, encoding="utf-8")
    sys.exit(not current and check)


if __name__ == "__main__":
    main()
