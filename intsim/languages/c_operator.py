"""One operator as a C function: its arguments, what is checked before, its steps, and the loops of `c_form`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..arith import I8, I32, I64, U8, Format
from ..dialects import DIALECTS, Dialect
from ..errors import IntsimError
from ..ops import REGISTRY
from ..symbols import Expression, NotTraceable
from ..symbols.expression import INPUT, in_order
from ..symbols.generic import LONGEST, generic
from ..symbols.saturation import limited
from ..symbols.shapes import Form, stepped
from ..symbols.sizes import Size, product
from .c_checks import is_product, mismatches, sides, summed
from .c_form import REDUCTIONS, CForm, indented
from .c_terms import ZERO, Index, ctype

RESULT = "result"  # the variable
WIDE_RESULTS = ("shift_exp",)  # operators whose result passes 32 bits
REFUSED, SHAPE, PARAMETER, VALUE = "INTSIM_REFUSED", "INTSIM_SHAPE", "INTSIM_PARAMETER", "INTSIM_VALUE"


@dataclass(frozen=True)
class Argument:
    """An argument of a function: its C type, its name, what it is, and the step that stands beside it, if any."""

    kind: str  # "array", "step", "length", "parameter", "result", "steps"
    ctype: str
    name: str
    shape: tuple[str, ...] = ()
    fmt: Format | None = None

    @property
    def element(self) -> Format:
        """The integers that its C type holds."""
        name = self.ctype.replace("const ", "").replace(" *", "").removesuffix("_t")
        return {"int8": I8, "uint8": U8, "int64": I64}.get(name, I32)

    @property
    def text(self) -> str:
        """The declaration."""
        return f"{self.ctype}{self.name}" if self.ctype.endswith("*") else f"{self.ctype} {self.name}"


def suffix_of(dialect: Dialect) -> str:
    """A dialect in names of functions. IntsimError where its name makes none, or is that of another one."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", dialect.name) is None:
        raise IntsimError(f"dialect {dialect.name!r}: its name becomes part of identifiers; use letters, digits, - and _")
    if dialect.name in DIALECTS and dialect != DIALECTS[dialect.name]:
        raise IntsimError(f"dialect {dialect.name}: is called like a built-in one, which has other choices; rename it")
    return dialect.name.replace("-", "_")


class COperator:
    """A function of an operator in one dialect: `name`, `arguments`, `steps` (names and shapes), `text`."""

    def __init__(self, op: str, form: Form, dialect: Dialect) -> None:
        self.op, self.form, self.operator = op, form, REGISTRY[op]
        self.dialect = dialect if self.operator.choices else None
        suffix = f"_{suffix_of(dialect)}" if self.operator.choices else ""
        self.name = f"intsim_{op}{form.suffix}{suffix}"
        try:
            self.traced = generic(self.operator, form.shapes, dialect, form.fixed)
        except NotTraceable as error:
            raise IntsimError(str(error)) from None
        roots = {**self.traced.steps, **{f" {i}": refusal for i, refusal in enumerate(self.traced.refusals)}}
        found = limited(roots)
        self.refusals = [found[f" {i}"] for i in range(len(self.traced.refusals))]
        self.results = {name: found[name] for name in self.traced.steps}
        self.steps = [name for name in self.results if name != "out"]
        self.lengths = [x.name for x in self.traced.inputs.values() if not x.shape and x.name not in self.operator.params]
        self.lengths += [name for name in self.operator.params if self._is_length(name)]
        self.arguments = list(self._arguments())

    @property
    def out(self) -> Expression:
        """The result."""
        return self.results["out"]

    @property
    def wide(self) -> bool:
        """Whether the result has 64 bits."""
        if self.operator.built_in or self.operator.infer is not None:
            return self.op in WIDE_RESULTS or not (self.operator.built_in or I32.holds(self.out.lo, self.out.hi))
        widest = self.operator.format_of({key: param.fmt.hi for key, param in self.operator.params.items()})
        return not I32.holds(widest.lo, widest.hi)

    @property
    def steps_type(self) -> str:
        """The name of the struct of the steps."""
        return f"intsim_{self.op}_steps" if self.operator.choices else f"intsim_{self.op}_values"  # no name of a function

    def _is_length(self, name: str) -> bool:
        """Whether a parameter is the length of an axis."""
        axes = {part for shape in self.form.shapes.values() for axis in shape for part in axis.split("*")}
        return name in axes

    def _arguments(self) -> Iterator[Argument]:
        told: set[str] = set()
        for name, axes in self.form.shapes.items():
            fmt = self._format(name)
            yield Argument("array", f"const {_ctype(fmt, name in self.operator.params)} *", name, axes, fmt)
            if stepped(self.operator, name):
                yield Argument("step", "size_t", f"{name}_step")
            for axis in axes:
                for part in axis.split("*"):
                    if part not in told and not part.isdigit():
                        told.add(part)
                        yield Argument("length", "size_t", part)
        for name in self.operator.params:
            if name not in self.form.shapes and name not in self.form.fixed and name not in told:
                yield Argument("parameter", "int32_t", name, fmt=self.operator.params[name].fmt)
        out = "int64_t *" if self.wide else "int32_t *"
        yield Argument("result", out, "out", tuple(self._side(side) for side in self.out.shape))
        if self.steps:
            yield Argument("steps", f"const {self.steps_type} *", "steps")

    def _format(self, name: str) -> Format:
        if name in self.operator.params:
            return self.operator.params[name].fmt
        names = [key for key in self.form.shapes if key not in self.operator.params]
        fmt = self.operator.port(names.index(name))
        return I32 if fmt is I64 else fmt

    def _side(self, side: int) -> str:
        form = CForm([], {}, self._element)
        form.lengths = frozenset(self.lengths)
        return form.extent(side)

    def count(self, shape: tuple[int, ...]) -> tuple[list[str], str]:
        """The number of elements of a shape of the trace, and the statements that it needs before."""
        form = CForm([], {}, self._element, [argument.name for argument in self.arguments])
        form.lengths = frozenset(self.lengths)
        text = form.extent(product(shape)) if shape else "1"
        return [str(line) for line in form.scopes[0].lines], text

    # --- the text -------------------------------------------------------------------------------------------------------

    @property
    def declaration(self) -> str:
        """The function's head."""
        listed = ", ".join(argument.text for argument in self.arguments)
        return f"int {self.name}({listed})"

    def _element(self, x: Expression, index: Index) -> str:
        form = self._writer
        if stepped(self.operator, x.name):
            (at,) = index
            return f"{x.name}[{at.wrapped} * {x.name}_step]"
        return f"{x.name}[{form.ravelled(index, x.shape).text}]"

    def text(self) -> str:
        """The function."""
        body = list(self._body())
        return "\n".join([self.declaration, "{", *body, "}"])

    def _body(self) -> Iterator[str]:
        names: dict[Expression, str] = {}
        for name, x in self.results.items():
            source = x.args[0] if x.kind == "reshape" and x.args[0].kind in REDUCTIONS else x
            if source.kind != INPUT:
                names.setdefault(source, RESULT if name == "out" else name)
        taken = [argument.name for argument in self.arguments]
        form = self._writer = CForm([*self.results.values(), *self.refusals], names, self._element, taken)
        form.lengths = frozenset(self.lengths)
        nests: dict[tuple[int, ...], list[str]] = {}  # steps that the loops over the result do not meet
        for name in self.steps:
            if not _meets(self.results[name].shape, self.out.shape):
                nests.setdefault(self.results[name].shape, []).append(name)
        for shape, own in nests.items():
            self._nest(form, shape, own, last=False)
        self._nest(form, self.out.shape, [name for name in self.steps if not any(name in own for own in nests.values())])
        checks = list(self._checks(form))
        for name, values in form.tables.items():
            yield f"    static const int64_t {name}[] = {{{', '.join(map(str, values))}}};"
        yield from indented(checks, 1)
        yield from form.text()
        yield "    return INTSIM_OK;"

    def _nest(self, form: CForm, shape: tuple[int, ...], steps: list[str], last: bool = True) -> None:
        """Loops over a shape, in which steps of shapes that broadcast to it are stored, and at `last` the result."""

        def inside(sides: tuple[int, ...], index: Index) -> None:
            if sides:
                with form.loop(sides[0]) as at:
                    inside(sides[1:], (*index, at))
                return
            for refusal in self.refusals if last else ():
                value = form.value(refusal, _own(index, refusal.shape, shape))
                form.put(value.level, f"if ({value.text}) return {REFUSED};")
            for name in steps:
                x = self.results[name]
                own = _own(index, x.shape, shape)
                value = form.value(x, own)
                level = max((at.level for at in own), default=0)
                place = form.ravelled(own, x.shape).text
                form.put(max(level, value.level), f"if (steps && steps->{name}) steps->{name}[{place}] = {value.text};")
            if last:
                self._store(form, index)

        inside(shape, ())

    def _store(self, form: CForm, index: Index) -> None:
        """The result of one element."""
        value, level = form.value(self.out, index), len(form.scopes) - 1
        place = form.ravelled(index, self.out.shape).text
        fits = I32.holds(self.out.lo, self.out.hi) or self.wide or any(map(self._decides, self.refusals))
        if not fits:
            form.put(level, f"if ({value.wrapped} < INT32_MIN || {value.wrapped} > INT32_MAX) return {REFUSED};")
        cast = "" if self.wide or ctype(self.out) != "int64_t" else "(int32_t)"
        form.put(level, f"out[{place}] = {cast}{value.wrapped if cast else value.text};")

    def _decides(self, refusal: Expression) -> bool:
        """Whether a refusal compares the result with the ends of a format."""
        return (refusal.kind == "less" and self.out in refusal.args) or any(map(self._decides, refusal.args))

    def _checks(self, form: CForm) -> Iterator[str]:
        """What has to hold before anything is computed."""
        yield from self.parameter_checks()
        order = list(in_order([*self.results.values(), *self.refusals]))
        lengths = [argument.name for argument in self.arguments if argument.kind == "length"]
        short = {side.expression.name for x in order for side in summed(x) if isinstance(side, Size)}
        short |= {x.name for x in order if x.kind == INPUT and not x.shape}
        short |= {x.name for side in sides(order) if not is_product(side) for x in in_order([side])}
        wrong = [f"{name} == 0" + (f" || {name} > {LONGEST}" if name in short else "") for name in lengths]
        wrong += [*self.overflows(), *self.form.wrong, *(text for x in order for text in mismatches(form, x))]
        if wrong:
            yield f"if ({' || '.join(dict.fromkeys(wrong))}) return {SHAPE};"
        for argument in self.arguments:
            if argument.kind == "array" and argument.fmt is not None and _narrower(argument.fmt, argument.ctype):
                shape = " * ".join(argument.shape) or "1"
                if stepped(self.operator, argument.name):
                    shape = f"{argument.name}_step ? {shape} : 1"
                code = PARAMETER if argument.name in self.operator.params else VALUE
                yield f"if (!intsim_within({argument.name}, {shape}, {argument.fmt.lo}, {argument.fmt.hi})) return {code};"

    def parameter_checks(self) -> Iterator[str]:
        """The ranges of numbers."""
        for argument in self.arguments:
            if argument.kind == "parameter" and argument.fmt is not None:
                lo, hi, name = argument.fmt.lo, argument.fmt.hi, argument.name
                yield f"if ({name} < {lo}{f' || {name} > {hi}' if hi < I32.hi else ''}) return {PARAMETER};"
            if argument.kind == "step":
                yield f"if ({argument.name} > 1) return {PARAMETER};"

    def overflows(self) -> list[str]:
        """When an array would have more elements than a size_t counts in bytes."""
        found = []
        for axes in [argument.shape for argument in self.arguments if argument.kind == "array"]:
            first, *others = [part for axis in axes for part in axis.split("*") if not part.isdigit()]
            if others and first in {argument.name for argument in self.arguments if argument.kind == "length"}:
                found.append(f"{first} > SIZE_MAX / 8 / {' / '.join(f'(size_t){name}' for name in others)}")
        return list(dict.fromkeys(found))


def _meets(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether loops over another shape meet every element of a shape."""
    if len(shape) > len(other):
        return False
    behind = other[len(other) - len(shape) :]
    return all(side == due or (not isinstance(side, Size) and side == 1) for side, due in zip(shape, behind, strict=True))


def _own(index: Index, shape: tuple[int, ...], other: tuple[int, ...]) -> Index:
    """The index in an array that is broadcast to another shape."""
    behind = index[len(index) - len(shape) :]
    return tuple(ZERO if not isinstance(side, Size) and side == 1 else at for side, at in zip(shape, behind, strict=True))


def _ctype(fmt: Format, narrow: bool) -> str:
    """The type of an array's elements; that of values between operators is int32_t."""
    if fmt is U8:
        return "uint8_t"
    return "int8_t" if narrow and fmt is I8 else "int32_t"


def _narrower(fmt: Format, ctype: str) -> bool:
    """Whether the type holds more than the format."""
    return "int8_t" not in ctype and (fmt.lo > I32.lo or fmt.hi < I32.hi)
