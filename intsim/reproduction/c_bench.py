"""The bench in C: the operator as intsim prints it, and a device of the same declaration."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arith import I32
from ..dialects import ISEGMENTER
from ..errors import IntsimError
from ..languages.c_library import CLibrary
from ..languages.c_operator import COperator
from ..languages.c_selftest import array_text, number_text
from ..storage.templates import template
from ..symbols.shapes import form_of_call
from .case import Reproduction

FOLDER = "c"


def c_files(made: Reproduction, told: list[str]) -> dict[str, str]:
    """The files of the bench, by name. Raises IntsimError where no C function takes the call."""
    call = made.call
    try:
        form, lengths = form_of_call(call.operator, [x.shape for x in call.inputs], call.params)
    except ValueError as error:
        raise IntsimError(f"{call.op}: no C function takes this call ({error})") from None
    count = len(call.inputs)
    extra = {call.op: call.operator.forms(count)} if call.operator.variadic and count != 2 else None
    library = CLibrary([call.op], [call.dialect or ISEGMENTER], extra)
    function = next(f for f in library.functions[call.op] if f.form.suffix == form.suffix)
    values: dict[str, Any] = made.arrays() | made.scalars()
    declared, passed = _arguments(function, values, lengths)
    kind = f"int{64 if function.wide else 32}_t"
    if not function.wide and not all(I32.holds(int(x.min()), int(x.max())) for x in (made.expected, made.found)):
        raise IntsimError(f"{call.op}: its C function gives 32 bits, which do not hold these values")
    context = {
        "node": made.node,
        "op": call.op,
        "told": told,
        "arrays": [*declared, array_text(f"static const {kind}", "expected", made.expected)],
        "found": array_text(f"static const {kind}", "found", made.found),
        "declaration": function.declaration.replace(f"int {function.name}(", "int device("),
        "unused": [argument.name for argument in function.arguments if argument.kind != "result"],
        "function": function.name,
        "passed": ", ".join(passed),
        "kind": kind,
        "wide": function.wide,
        "count": made.found.size,
        "shape": made.found.shape,
    }
    files = {"test.c": "test.c.j2", "device.c": "device.c.j2", "device.h": "device.h.j2", "run.sh": "c_run.sh.j2"}
    texts = {name: template(__package__, source, markup=False).render(**context) for name, source in files.items()}
    printed = library.files()
    names = ("intsim.h", "intsim_arithmetic.h", "intsim_error.c", f"intsim_{call.op}.c")
    return texts | {name: printed[name] for name in names}


def _arguments(function: COperator, values: dict[str, Any], lengths: dict[str, int]) -> tuple[list[str], list[str]]:
    """The arrays as declarations, and what is passed to the function."""
    declared, passed = [], []
    for argument in function.arguments:
        if argument.kind == "array":
            value = np.asarray(values[argument.name], np.int64)
            fmt = argument.element
            if not fmt.holds(int(value.min()), int(value.max())):
                raise IntsimError(
                    f"{function.op}: {argument.name} has values that {fmt} does not hold, as its C function takes it"
                )
            kind = argument.ctype.replace("const ", "").replace(" *", "")
            declared.append(array_text(f"static const {kind}", argument.name, value))
            passed.append(argument.name)
        elif argument.kind == "step":
            passed.append(str(np.ndim(values[argument.name.removesuffix("_step")])))
        elif argument.kind == "length":
            passed.append(str(lengths[argument.name]))
        elif argument.kind == "parameter":
            passed.append(number_text(int(values[argument.name])))
        else:
            passed.append("out" if argument.kind == "result" else "NULL")
    return declared, passed
