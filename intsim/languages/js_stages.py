"""An operator as JavaScript functions of one step each, for every combination of its choices.

A step is a function of the steps before it, so that the combinations share most functions, and each says which choices it
depends on. A page that changes one choice computes by another function for the steps that depend on it, and for no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from ..arith import I64
from ..dialects import CHOICES, ISEGMENTER
from ..ops import REGISTRY
from ..symbols import Expression, Traced
from ..symbols.generic import generic
from .js_form import JsForm
from .js_operator import JsOperator
from .js_words import words

REFUSALS = "refusals"  # the last stage, which returns nothing
Combination = tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """A step: the choices that it depends on, and per combination of their values its function and its formula.

    It is `named` where the equation names it.
    """

    step: str
    named: bool
    keys: tuple[str, ...]
    functions: dict[Combination, str]
    formulas: dict[Combination, str]


def own_steps(traced: Traced) -> dict[str, Expression]:
    """The named steps of an equation."""
    return dict(traced.steps)


class JsStages:
    """The functions of an operator's steps: `stages`, in order, and the `texts` of all functions by name.

    `steps_of` names the steps of a trace, which may be more than the equation names. Parameters of a dialect that are no
    choices of the operator do not matter.
    """

    def __init__(self, op: str, steps_of: Callable[[Traced], Mapping[str, Expression]] = own_steps) -> None:
        self.op, self.keys = op, REGISTRY[op].choices
        self.form = REGISTRY[op].forms()[0]
        self.values = {key: _names(CHOICES[key]) for key in self.keys}
        self.texts: dict[str, str] = {}
        self.calls: set[str] = {"opened"}
        names: dict[str, str] = {}  # of functions by what they are
        written: dict[str, dict[Combination, tuple[str, str]]] = {}
        for combination in product(*self.values.values()):
            rules = ISEGMENTER.replace(**dict(zip(self.keys, combination, strict=True)))
            traced = generic(REGISTRY[op], self.form.shapes, rules, self.form.fixed, widest=I64)
            for step, (head, body, formula) in self._written(traced, steps_of(traced)).items():
                if (text := f"{head}{body}") not in names:
                    count = 1 + sum(name.startswith(f"{op}__{step}__") for name in self.texts)
                    names[text] = f"{op}__{step}__{count}"
                    self.texts[names[text]] = f"function {names[text]}({head}) {{{body}}}"
                written.setdefault(step, {})[combination] = (names[text], formula)
        self.named = set(traced.steps)
        self.stages = [self._stage(step, found) for step, found in written.items()]

    def specification(self) -> str:
        """What a call takes, as a constant named like the operator in capitals."""
        return JsOperator(self.op, self.form, ISEGMENTER).specification()

    def _written(self, traced: Traced, steps: Mapping[str, Expression]) -> dict[str, tuple[str, str, str]]:
        """The arguments, the body and the formula of every step, and of the refusals."""
        known = {x: name for name, x in traced.inputs.items()}
        found: dict[str, tuple[str, str, str]] = {}
        for step, x in steps.items():
            form = JsForm({x: step}, {}, self.op, [*known.values()], known)
            found[step] = (*self._function(form, known, form.step(x)), words(x, known))
            known.setdefault(x, step)
        refusals = {refusal: words(refusal, known) for refusal in sorted(traced.refusals, key=lambda x: bool(x.shape))}
        form = JsForm({}, refusals, self.op, [*known.values()], known)
        found[REFUSALS] = (*self._function(form, known, None), "; ".join(refusals.values()))
        return found

    def _function(self, form: JsForm, known: Mapping[Expression, str], result: str | None) -> tuple[str, str]:
        """The arguments and the body of a function."""
        self.calls |= form.called
        lines = form.lines
        if result is not None and lines and lines[-1] == f"const {result} = {(value := lines[-1].partition(' = ')[2])}":
            lines, result = lines[:-1], value.removesuffix(";")
        needed = [name for x, name in known.items() if x in form.texts]
        body = [f"  {line}" for line in lines] + ([] if result is None else [f"  return {result};"])
        head = f"{{ {', '.join(needed)} }}" if needed else ""
        return head, "\n" + "\n".join(body) + "\n" if body else ""

    def _stage(self, step: str, found: Mapping[Combination, tuple[str, str]]) -> Stage:
        """A step with the choices that it depends on."""
        at = [i for i in range(len(self.keys)) if _matters(i, found)]
        functions = {tuple(str(c[i]) for i in at): name for c, (name, _) in found.items()}
        formulas = {tuple(str(c[i]) for i in at): formula for c, (_, formula) in found.items()}
        return Stage(step, step in self.named, tuple(self.keys[i] for i in at), functions, formulas)


def _names(values: Any) -> list[str]:
    """The values of a choice."""
    return [str(value) for value in values]


def _matters(position: int, found: Mapping[Combination, Any]) -> bool:
    """Whether one choice makes a difference."""
    alike: dict[Combination, set[Any]] = {}
    for combination, text in found.items():
        alike.setdefault((*combination[:position], *combination[position + 1 :]), set()).add(text)
    return any(len(texts) > 1 for texts in alike.values())
