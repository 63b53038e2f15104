"""The C reference for a simulator: a SystemVerilog package of imports, and wrappers that take open arrays.

A wrapper checks that the arrays have the lengths that the call says, and passes their memory on; no array is copied. Values
are `int` (32 bits, signed), weights `byte`, images `byte unsigned`. Every operator with named steps has a second function
that stores them, too.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._version import __version__
from ..storage.templates import template
from .c_library import CLibrary
from .c_operator import Argument, COperator

TYPES = {"int8_t": "byte", "uint8_t": "byte unsigned", "int32_t": "int", "int64_t": "longint"}
KEYWORDS = {"table": "table_in"}  # of SystemVerilog
BYTES = {"int8_t": 1, "uint8_t": 1, "int32_t": 4, "int64_t": 8}


def dpi_files(library: CLibrary) -> dict[str, str | bytes]:
    """The package and the wrappers of a library's functions."""
    functions = [function for functions in library.functions.values() for function in functions]
    made = [Import(function, steps) for function in functions for steps in ((False, True) if function.steps else (False,))]
    context = {"version": __version__, "imports": made}
    names = {"intsim_dpi_pkg.sv": "dpi_pkg.sv.j2", "intsim_dpi.c": "dpi.c.j2"}
    return {
        name: template(__package__, source, markup=False).render(**context).rstrip() + "\n" for name, source in names.items()
    }


class Import:
    """One imported function: `sv` and `c` are its heads, `checks` and `call` the wrapper's body."""

    def __init__(self, function: COperator, steps: bool) -> None:
        self.function, self.steps = function, steps
        self.name = f"{function.name}_steps_dpi" if steps else f"{function.name}_dpi"
        self.arguments = [argument for argument in function.arguments if argument.kind not in ("step", "steps")]
        self.stored = list(function.steps) if steps else []

    @property
    def sv(self) -> str:
        """The import."""
        listed = [self._sv(argument) for argument in self.arguments]
        listed += [f"output longint {name}_step[]" for name in self.stored]
        return f'import "DPI-C" function int {self.name}(\n    {f",{chr(10)}    ".join(listed)}\n  );'

    def _sv(self, argument: Argument) -> str:
        element = _element(argument)
        if argument.kind == "array":
            return f"input {TYPES[element]} {KEYWORDS.get(argument.name, argument.name)}[]"
        return f"output {TYPES[element]} {argument.name}[]" if argument.kind == "result" else f"input int {argument.name}"

    @property
    def c(self) -> str:
        """The wrapper's head."""
        listed = [
            f"const svOpenArrayHandle {argument.name}"
            if argument.kind in ("array", "result")
            else f"int {self._passed(argument)}"
            for argument in self.arguments
        ]
        listed += [f"const svOpenArrayHandle {name}_step" for name in self.stored]
        return f"int {self.name}({', '.join(listed)})"

    @staticmethod
    def _passed(argument: Argument) -> str:
        """What a number is called where it is passed; a length is a size_t of its own name behind."""
        return f"{argument.name}_given" if argument.kind == "length" else argument.name

    @property
    def checks(self) -> Iterator[str]:
        """What has to hold: lengths that are not negative, and arrays of the lengths of the call."""
        lengths = [argument.name for argument in self.arguments if argument.kind == "length"]
        if lengths:
            yield f"if ({' || '.join(f'{name}_given < 0' for name in lengths)}) return INTSIM_SHAPE;"
        yield from (line for line in self.function.parameter_checks() if "_step" not in line)
        for name in lengths:
            yield f"const size_t {name} = (size_t){name}_given;"
        counted = {name: x.shape for name, x in self.function.traced.inputs.items()} | {"out": self.function.out.shape}
        counted |= {f"{name}_step": self.function.results[name].shape for name in self.stored}
        sizes = {
            argument.name: BYTES[_element(argument)] for argument in self.arguments if argument.kind in ("array", "result")
        }
        too_long = [*(f"{name} == 0" for name in lengths), *self.function.overflows()]
        yield f"if ({' || '.join(too_long)}) return INTSIM_SHAPE;"
        told: list[str] = []
        for name, size in (sizes | {f"{name}_step": 8 for name in self.stored}).items():
            lines, count = self.function.count(counted[name])
            yield from (line for line in lines if line not in told)
            told += lines
            if self._steps(name):
                count = f"intsim_dpi_count({name}) == 1 ? 1 : {count}"
            yield f"if (!intsim_dpi_holds({name}, {count}, {size})) return INTSIM_SHAPE;"

    def _steps(self, name: str) -> bool:
        return any(argument.kind == "step" and argument.name == f"{name}_step" for argument in self.function.arguments)

    @property
    def call(self) -> str:
        """The call of the function."""
        passed = []
        for argument in self.function.arguments:
            element = _element(argument)
            if argument.kind == "array":
                passed.append(f"(const {element} *)svGetArrayPtr({argument.name})")
            elif argument.kind == "result":
                passed.append(f"({element} *)svGetArrayPtr({argument.name})")
            elif argument.kind == "step":
                passed.append(f"intsim_dpi_count({argument.name.removesuffix('_step')}) != 1")
            elif argument.kind == "length":
                passed.append(argument.name)
            elif argument.kind == "steps":
                passed.append("&steps" if self.steps else "NULL")
            else:
                passed.append(argument.name)
        return f"{self.function.name}({', '.join(passed)})"

    @property
    def struct(self) -> str:
        """The struct of the steps."""
        if not self.steps:
            return ""
        fields = ", ".join(f"(int64_t *)svGetArrayPtr({name}_step)" for name in self.stored)
        return f"const {self.function.steps_type} steps = {{{fields}}};"


def _element(argument: Argument) -> str:
    """The C type of an array's elements."""
    return argument.ctype.replace("const ", "").replace(" *", "")
