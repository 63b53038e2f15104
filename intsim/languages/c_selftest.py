"""The self-test of a C library: the conformance vectors of every function, compiled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..arith import I32, I64, AnyArray
from ..dialects import RTL
from ..symbols.shapes import lengths_of_call
from ..vectors import generate
from ..vectors.document import INVALID
from .c_operator import COperator

LINE = 100  # characters of a line of numbers


def cases(function: COperator) -> Iterator[tuple[str, dict[str, AnyArray], dict[str, int], AnyArray | None]]:
    """The vectors that a function can be called with: a note, arguments, lengths, and the due result; None: refused.

    Left out are values, results or steps that the function's types do not hold, and shapes that do not go together, which
    lengths cannot say.
    """
    for case in generate(function.op, function.dialect or RTL, 1, 0).cases:
        try:
            values, lengths = _call(function, dict(case.args))
        except (TypeError, ValueError, OverflowError, KeyError):
            continue
        due = None if case.expected == INVALID else np.asarray(case.expected, object)
        if due is None or _held(function, values, due):
            yield f"{case.id} {case.note or ' '.join(case.flags)}", values, lengths, due


def _call(function: COperator, given: dict[str, Any]) -> tuple[dict[str, AnyArray], dict[str, int]]:
    """The arguments of a vector as those of a function; ValueError where it cannot be called with them."""
    operator, form = function.operator, function.form
    if operator.variadic:
        arrays = given.pop(next(iter(operator.inputs)))
        given |= dict(zip((name for name in form.shapes if name not in operator.params), arrays, strict=True))
    values = {key: np.asarray(value, object).astype(np.int64) for key, value in given.items()}
    types = {argument.name: argument.element for argument in function.arguments}
    if not all(types.get(key, I32).holds(int(v.min()), int(v.max())) for key, v in values.items()):
        raise ValueError("values that the types do not hold")
    plain = {key: int(value) for key, value in values.items() if key in operator.params and value.ndim == 0}
    if any(isinstance(due, int) and key != "axis" and plain.get(key, 0) != due for key, due in form.fixed.items()):
        raise ValueError("a call of another function of the operator")
    return values, lengths_of_call(function.operator, form, {name: values[name].shape for name in form.shapes}, plain)


def _held(function: COperator, values: dict[str, AnyArray], due: AnyArray) -> bool:
    """Whether 64 bits hold the steps of a call, and the function's type its result."""
    operator, names = function.operator, function.form.shapes
    params = {key: value if value.ndim else int(value) for key, value in values.items() if key in operator.params}
    steps = operator.intermediates([values[key] for key in names if key not in params], params, function.dialect)
    fmt = I64 if function.wide else I32
    found = [(step, I64) for step in steps.values()] + [(due, fmt)]
    return all(not value.size or fmt.holds(int(value.min()), int(value.max())) for value, fmt in found)


def selftest(functions: list[COperator]) -> str:
    """The text of an operator's self-test."""
    blocks: list[str] = []
    names: list[str] = []
    longest = 1
    for function in functions:
        for i, (note, values, lengths, due) in enumerate(cases(function)):
            name = f"{function.name}_{i}"
            names.append(name)
            longest = max(longest, due.size if due is not None else _count(values))
            blocks.append(_block(function, name, note, values, lengths, due))
    calls = "\n".join(f"    {name}();" for name in names)
    kind = "int64_t" if functions[0].wide else "int32_t"
    head = f'#include "selftest.h"\n\nstatic {kind} out[{4 * longest}];\n'
    return f'{head}\n{"".join(blocks)}\nint main(void)\n{{\n{calls}\n    return selftest_report("{functions[0].op}");\n}}\n'


def _count(values: Mapping[str, AnyArray]) -> int:
    return max((value.size for value in values.values()), default=1)


def _block(
    function: COperator, name: str, note: str, values: Mapping[str, Any], lengths: Mapping[str, int], due: AnyArray | None
) -> str:
    """One case as a function."""
    declared, passed = [], []
    for argument in function.arguments:
        kind = argument.ctype.replace("const ", "").replace(" *", "")
        if argument.kind == "array":
            declared.append(array_text(f"static const {kind}", argument.name, values[argument.name]))
            passed.append(argument.name)
        elif argument.kind == "step":
            passed.append(str(values[argument.name.removesuffix("_step")].ndim))
        elif argument.kind == "length":
            passed.append(str(lengths[argument.name]))
        elif argument.kind == "parameter":
            passed.append(number_text(int(values[argument.name])))
        else:
            passed.append("out" if argument.kind == "result" else "NULL")
    call = f"{function.name}({', '.join(passed)})"
    text = note.replace("\\", "").replace('"', "'").encode("ascii", "replace").decode()
    if due is None:
        check = f'selftest_refused("{name}: {text}", {call});'
    else:
        bits = 64 if function.wide else 32
        declared.append(array_text(f"static const int{bits}_t", "due", due))
        check = f'selftest_equal{bits}("{name}: {text}", {call}, out, due, {due.size});'
    lines = "\n".join(f"    {line}" for line in [*declared, check])
    return f"static void {name}(void)\n{{\n{lines}\n}}\n\n"


def array_text(kind: str, name: str, value: AnyArray) -> str:
    """A declaration, its numbers on lines."""
    lines, line = [], ""
    for number in value.ravel().tolist():
        text = number_text(int(number))
        if len(line) + len(text) > LINE:
            lines.append(line)
            line = ""
        line += f"{text}, "
    lines.append(line)
    return f"{kind} {name}[] = {{{chr(10).join(lines).rstrip(', ')}}};"


def number_text(value: int) -> str:
    """A number as a constant of C."""
    if value == I64.lo:
        return "INT64_MIN"
    if value == I32.lo:
        return "INT32_MIN"
    return str(value) if I32.holds(value, value) else f"INT64_C({value})"
