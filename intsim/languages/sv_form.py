"""Scalar cores as SystemVerilog functions: synthesizable, for assertions inside a design, a package per dialect.

Every value has as many bits as its bounds take, so that nothing is cut and nothing is wider than it must be. Quotients are
floors, spelled out; shifts to the right are arithmetic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .._version import __version__
from ..arith import divide, round_shift, saturate, signed
from ..dialects import Dialect
from ..errors import IntsimError
from ..ops import REGISTRY
from ..storage.templates import template
from ..symbols import Expression
from ..symbols.expression import CONSTANT, INPUT, in_order
from ..symbols.sizes import Size
from ..symbols.symbol import Tape
from .c_library import comment, equation
from .c_operator import suffix_of
from .c_terms import hint as named

TAKEN = ("t",)  # names that are always counted


@dataclass(frozen=True)
class Core:
    """A function of scalars: its arguments with their bounds, and the equation, which gives its steps, ``out`` the last."""

    about: str
    arguments: Mapping[str, tuple[int, int]]
    body: Callable[..., Any]
    sizes: tuple[str, ...] = ()  # arguments that the equation takes as integers


def _operator(op: str, **narrower: tuple[int, int]) -> Core:
    """An element-wise operator."""
    operator = REGISTRY[op]
    bounds = {name: (fmt.lo, fmt.hi) for name, fmt in operator.inputs.items()}
    bounds |= {name: (param.fmt.lo, param.fmt.hi) for name, param in operator.params.items()}
    sizes = tuple(name for name, param in operator.params.items() if param.ndim == (0,))

    def body(dialect: Dialect, **values: Any) -> Any:
        return operator.steps(**values, dialect=dialect)

    return Core(equation(op), {**bounds, **narrower}, body, sizes)


CORES: dict[str, Core] = {
    "round_shift": Core(
        "round_shift(p, e): p / 2**e, rounded as the dialect's requantization does.",
        {"p": (-(1 << 63), (1 << 63) - 1), "e": (0, 62)},
        lambda dialect, p, e: {"out": round_shift(p, e, dialect.requant_rounding)},
    ),
    "saturate": Core(
        "saturate(x, b): x clamped to a signed integer of b bits.",
        {"x": (-(1 << 63), (1 << 63) - 1), "b": (2, 32)},
        lambda dialect, x, b: {"out": saturate(x, signed(b))},
        ("b",),
    ),
    "divide": Core(
        "divide(a, d): the quotient as the dialect's exponential has it, d < 0.",
        {"a": (-(1 << 31), (1 << 31) - 1), "d": (-(1 << 20), -1)},
        lambda dialect, a, d: {"out": divide(a, d, dialect.quotient)},
    ),
    "requant": _operator("requant"),
    "residual_add": _operator("residual_add"),
    "shift_exp": _operator("shift_exp", x=(-65535, 0)),
}


def package(dialect: Dialect, names: tuple[str, ...] = tuple(CORES)) -> str:
    """The package of a dialect. IntsimError naming a core that it does not have."""
    if unknown := [name for name in names if name not in CORES]:
        raise IntsimError(f"{unknown[0]} has no SystemVerilog function; those that have: {', '.join(CORES)}")
    functions = [function(name, CORES[name], dialect) for name in names]
    suffix = suffix_of(dialect)
    choices = ", ".join(f"{key} = {value}" for key, value in dialect.choices().items())
    context = {"version": __version__, "dialect": dialect.name, "functions": functions, "choices": comment(choices)}
    context["package"] = f"intsim_{suffix}_pkg"
    return template(__package__, "functions.sv.j2", markup=False).render(**context).rstrip() + "\n"


def function(name: str, core: Core, dialect: Dialect) -> dict[str, Any]:
    """The parts of a function: its head and the lines of its body."""
    tape = Tape()
    inputs = {key: tape.build.input(key, (), lo, hi) for key, (lo, hi) in core.arguments.items()}
    sizes = {key: Size.made(tape, min(max(7, inputs[key].lo), inputs[key].hi), inputs[key]) for key in core.sizes}
    symbols = {key: tape.symbol(x) for key, x in inputs.items() if key not in sizes}
    steps = {key: tape.expression(value) for key, value in core.body(dialect, **symbols, **sizes).items()}
    root = steps.pop("out")
    writer = SvForm(
        root, name, {x: key for key, x in steps.items() if key not in inputs and x.kind not in (INPUT, CONSTANT)}
    )
    arguments = [f"input {kind(x.lo, x.hi)} {key}" for key, x in inputs.items()]
    return {
        "about": [*comment(core.about), ", ".join(f"{key}: {x.lo} to {x.hi}" for key, x in inputs.items())],
        "head": f"function automatic {kind(root.lo, root.hi)} {name}({', '.join(arguments)});",
        "declared": writer.declared,
        "lines": writer.lines,
    }


def bits(lo: int, hi: int) -> int:
    """The bits of a signed value."""
    return max((value if value >= 0 else -value - 1).bit_length() for value in (lo, hi)) + 1


def kind(lo: int, hi: int) -> str:
    """The type of a value."""
    return f"logic signed [{bits(lo, hi) - 1}:0]"


def literal(value: int) -> str:
    """A constant, signed and wide enough."""
    text = f"{bits(value, value) + (value < 0)}'sd{abs(value)}"
    return f"-{text}" if value < 0 else text


class SvForm:
    """The statements of a function: one per value."""

    def __init__(self, root: Expression, name: str, steps: Mapping[Expression, str]) -> None:
        self.steps, self.used = steps, Counter[str]()
        self.names: dict[Expression, str] = {}
        self.declared: list[str] = []
        self.lines: list[str] = []
        for node in in_order([root]):
            self.names[node] = self.written(node)
        self.lines.append(f"{name} = {self.names[root]};")

    def written(self, x: Expression) -> str:
        """The name or the text of a value, once its statement is written."""
        if x.kind == INPUT:
            return x.name
        if x.kind == CONSTANT:
            assert x.scalar is not None
            return f"1'b{x.scalar}" if x.boolean else literal(x.scalar)
        args = [self.names[arg] for arg in x.args]
        if x.kind == "bounded":
            return args[0]
        if x.kind not in FORMS:
            raise IntsimError(f"{x.kind} has no form in SystemVerilog")
        hint = self.steps.get(x, named(x))
        self.used[hint] += 1
        name = hint if self.used[hint] == 1 and hint not in TAKEN else f"{hint}{self.used[hint]}"
        if x.boolean:
            self.declared.append(f"logic {name};")
        else:
            wide = [(arg.lo, arg.hi) for arg in x.args if not arg.boolean and x.kind not in SHIFTS] + [(x.lo, x.hi)]
            wide += [(x.args[0].lo, x.args[0].hi)] if x.kind in SHIFTS else []
            self.declared.append(f"{kind(min(lo for lo, _ in wide), max(hi for _, hi in wide))} {name};")
        self.lines += FORMS[x.kind](name, x, *args)
        return name


SHIFTS = ("left_shift", "right_shift")


def _infix(sign: str) -> Callable[..., Iterator[str]]:
    def form(name: str, x: Expression, a: str, b: str) -> Iterator[str]:
        yield f"{name} = {a} {sign} {b};"

    return form


def _floor_divide(name: str, x: Expression, a: str, b: str) -> Iterator[str]:
    yield f"{name} = {a} / {b};"
    if x.args[0].lo < 0 or x.args[1].lo < 0:
        yield f"if ({a} % {b} != 0 && ({a} < 0) != ({b} < 0)) {name} = {name} - {literal(1)};"


def _chosen(sign: str) -> Callable[..., Iterator[str]]:
    def form(name: str, x: Expression, a: str, b: str) -> Iterator[str]:
        yield f"{name} = {a} {sign} {b} ? {a} : {b};"

    return form


def _one(text: str) -> Callable[..., Iterator[str]]:
    def form(name: str, x: Expression, *args: str) -> Iterator[str]:
        yield f"{name} = {text.format(*args)};"

    return form


FORMS: dict[str, Callable[..., Iterator[str]]] = {
    "add": _infix("+"),
    "subtract": _infix("-"),
    "multiply": _infix("*"),
    "floor_divide": _floor_divide,
    "left_shift": _infix("<<<"),
    "right_shift": _infix(">>>"),
    "minimum": _chosen("<"),
    "maximum": _chosen(">"),
    "bitwise_and": _infix("&"),
    "bitwise_or": _infix("|"),
    "bitwise_xor": _infix("^"),
    "less": _infix("<"),
    "less_equal": _infix("<="),
    "equal": _infix("=="),
    "logical_not": _one("!{0}"),
    "integer": _one("$signed({{1'b0, {0}}})"),
    "select": _one("{0} ? {1} : {2}"),
}
