"""One operator as a JavaScript function: what it takes, and its steps as `js_form` writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from ..arith import I32, I64, Overflow
from ..dialects import Dialect
from ..errors import IntsimError
from ..ops import REGISTRY, Op
from ..symbols import Expression, NotTraceable
from ..symbols.expression import INPUT, in_order
from ..symbols.generic import LONGEST, generic
from ..symbols.shapes import Form, stepped
from ..symbols.sizes import Size, product
from .c_checks import is_product, sides, summed
from .c_operator import WIDE_RESULTS, suffix_of
from .c_terms import factors
from .js_form import JsForm, literal
from .js_words import words

FEW = 3  # results on one line
INTEGERS = re.compile(r"\b\d+\b")


class JsOperator:
    """A function of an operator for one set of choices: `name`, `steps`, `text`, and the arithmetic that it `calls`."""

    def __init__(self, op: str, form: Form, dialect: Dialect, name: str | None = None) -> None:
        self.op, self.form, self.operator = op, form, REGISTRY[op]
        self.dialect = dialect if self.operator.choices else None
        suffix = f"_{suffix_of(dialect)}" if self.operator.choices and name is None else ""
        self.name = name or f"intsim_{op}{form.suffix}{suffix}"
        self.spec = f"{op}{form.suffix}".upper()
        try:
            traced = generic(self.operator, form.shapes, dialect, form.fixed, widest=I64)
        except NotTraceable as error:
            raise IntsimError(str(error)) from None
        self.inputs, self.results = traced.inputs, traced.steps
        self.steps = list(self.results)
        self.lengths = [x.name for x in self.inputs.values() if not x.shape and x.name not in self.operator.params]
        names: dict[Expression, str] = {}
        for step, x in self.results.items():
            names.setdefault(x, step)
            if x.kind == "reshape":
                names.setdefault(x.args[0], step)  # in words only
        self.words = names
        roots = {x: names[x] for x in self.results.values()}
        refusals = {refusal: words(refusal, names) for refusal in sorted(traced.refusals, key=lambda x: bool(x.shape))}
        self.form_of_body = JsForm(roots, refusals, op, ["given", "closed", "opened", *self.inputs])
        self.body = list(self._body())

    @property
    def calls(self) -> set[str]:
        """The functions of the arithmetic that it needs."""
        return self.form_of_body.called | {"opened"}

    @property
    def takes(self) -> list[str]:
        """The names of the arguments of a call."""
        return [name for name in self.operator.signature.parameters if name != "dialect"]

    # --- what it takes --------------------------------------------------------------------------------------------------

    def specification(self) -> str:
        """What the function takes, as a constant: arrays with axes and formats, numbers, and what lengths have to be."""
        lines = [f"const {self.spec} = {{", f'  op: "{self.op}",', f"  takes: {json.dumps(self.takes)},", "  arrays: {"]
        names = [name for name in self.form.shapes if name not in self.operator.params]
        for name, axes in self.form.shapes.items():
            fmt = self.operator.port(names.index(name)) if name in names else self.operator.params[name].fmt
            marks = ", input: true" if name in names else ", single: true" if stepped(self.operator, name) else ""
            lines.append(f"    {name}: {{ axes: {json.dumps(axes)}, lo: {fmt.lo}n, hi: {fmt.hi}n{marks} }},")
        lines += ["  },", "  numbers: {"]
        for name, param in self.operator.params.items():
            if name not in self.form.shapes:
                lines.append(f"    {name}: {{ lo: {param.fmt.lo}n, hi: {param.fmt.hi}n }},")
        fixed = {key: f'"{due}"' if isinstance(due, str) else f"{due}n" for key, due in self.form.fixed.items()}
        lines += [
            "  },",
            f"  fixed: {{ {', '.join(f'{key}: {due}' for key, due in fixed.items())} }},".replace("{  }", "{}"),
        ]
        lines.append(f"  lengths: {json.dumps(self._named_lengths())},")
        lines.append(f"  short: {json.dumps(self._short())}, longest: {LONGEST},")
        lines += [f'  several: "{names_of(self.operator)}",'] if self.operator.variadic else []
        lines += ["  spread: true,"] if self.form.spread else []
        return "\n".join([*lines, "};"])

    def _named_lengths(self) -> list[str]:
        """Parameters that are lengths of axes."""
        parts = {part for axes in self.form.shapes.values() for axis in axes for part in axis.split("*")}
        parts |= {part for due in self.form.fixed.values() if isinstance(due, str) for part in due.split("*")}
        return [name for name in self.operator.params if name in parts]

    def _short(self) -> list[str]:
        """Lengths that the trace knows to be at most 65,536."""
        order = list(in_order([*self.results.values()]))
        short = {side.expression.name for x in order for side in summed(x) if isinstance(side, Size)}
        short |= {x.name for x in order if x.kind == INPUT and not x.shape}
        short |= {x.name for side in sides(order) if not is_product(side) for x in in_order([side])}
        return [name for name in self.lengths if name in short]

    # --- the text -------------------------------------------------------------------------------------------------------

    def _body(self) -> Iterator[str]:
        form = self.form_of_body
        needed = [x.name for x in self.inputs.values() if x in form.texts]
        mismatches = list(self._mismatches())
        needed = [name for name in self.inputs if name in needed or any(name in re.findall(r"\w+", m) for m in mismatches)]
        results = [self._result(step, x) for step, x in self.results.items()]
        yield f"const {{ {', '.join([*needed, 'closed'])} }} = opened({self.spec}, given);"
        for text in mismatches:
            form.called.add("refuse")
            yield f'refuse("{self.op}", "{_of_lengths(text)}", {text} ? 1n : 0n);'
        yield from form.lines
        out = self.results["out"]
        if self._may_leave(out):
            text = form.step(out)
            form.called |= {"refuse", "bitwise_or", "less"}
            outside = f"bitwise_or(less({text}, {literal(I32.lo)}), less({I32.hi}n, {text}))"
            yield f'refuse("{self.op}", "out is outside i32", {outside});'
        if len(results) <= FEW:
            yield f"return {{ {', '.join(results)} }};"
        else:
            yield from ("return {", *(f"  {result}," for result in results), "};")

    def _result(self, step: str, x: Expression) -> str:
        """A result by its name; where its first axis may stand for several of the call's, that axis is named."""
        side = x.shape[0] if x.shape else 1
        firsts = dict.fromkeys(axes[0] for axes in self.form.shapes.values())
        folded = [name for name in firsts if isinstance(side, Size) and side.expression is self.inputs.get(name)]
        axis = f', "{folded[0]}"' if folded else ""
        return f"{step}: closed({self.form_of_body.step(x)}{axis})"

    def _may_leave(self, out: Expression) -> bool:
        """Whether a result has to be held to 32 bits, as it is where a dialect does not decide on overflow."""
        forbidden = self.operator.overflow(self.dialect) is Overflow.FORBID
        decided = any(x is out for refusal in self.form_of_body.refusals for x in in_order([refusal]))
        kept = self.operator.moves or self.op in WIDE_RESULTS or decided
        return forbidden and not kept and not I32.holds(out.lo, out.hi)

    def _mismatches(self) -> Iterator[str]:
        """When the lengths of a call do not suit a movement, or are what they must not be."""
        found: list[str] = []
        form = self.form_of_body
        for x in in_order(self.results.values()):
            if x.kind == "reshape":
                due, source = (_factors(shape) for shape in (x.shape, x.args[0].shape))
                if due != source:
                    found.append(" !== ".join(form.length(product(shape)) for shape in (x.shape, x.args[0].shape)))
            if x.kind == "slice":
                for start, stop, side in zip(x.attribute("starts"), x.attribute("stops"), x.args[0].shape, strict=True):
                    if (
                        isinstance(start, Size)
                        and isinstance(stop, Size)
                        and {start.expression.kind, stop.expression.kind} == {INPUT}
                    ):
                        found += [
                            f"{form.length(start)} >= {form.length(stop)}",
                            f"{form.length(stop)} > {form.length(side)}",
                        ]
        for text in self.form.wrong:
            plain = INTEGERS.sub(r"\g<0>n", text.replace("(size_t)", ""))
            found.append(plain.replace("!=", "!=="))
        yield from dict.fromkeys(found)

    def text(self) -> str:
        """The function."""
        return "\n".join([f"function {self.name}(given) {{", *(f"  {line}" for line in self.body), "}"])


def names_of(operator: Op) -> str:
    """The name under which an operator takes several arrays."""
    return next(iter(operator.inputs))


def _of_lengths(text: str) -> str:
    """A comparison of lengths in words."""
    return re.sub(r"\b(\d+)n\b", r"\1", text).replace("!==", "!=")


def _factors(shape: tuple[int, ...]) -> tuple[int, list[int]]:
    """The number, and the lengths by their identity, of which a number of elements is the product."""
    found = [factor for side in shape if isinstance(side, Size) for factor in factors(side.expression)]
    whole = [side for side in shape if not isinstance(side, Size)] + [x.scalar for x in found if x.scalar is not None]
    total = 1
    for number in whole:
        total *= number
    return total, sorted(id(x) for x in found if x.scalar is None)
