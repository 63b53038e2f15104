"""The pages of the Python API: one per public module, its names documented by autodoc from their docstrings."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from inspect import isroutine

FOLDER = "reference/api"
MODULES = {
    "intsim": "load, run, golden, diff, quantize",
    "intsim.ops": "the registry of operators, and what an operator is",
    "intsim.dialects": "the disputed choices as data",
    "intsim.arith": "formats, choices, primitives",
    "intsim.errors": "the exceptions, which carry facts",
    "intsim.testing": "check_op and prove_op",
    "intsim.testing.strategies": "Hypothesis strategies for integer arithmetic",
    "intsim.testing.golden": "a golden file in pytest",
    "intsim.testing.cocotb": "a bench in cocotb",
    "intsim.vectors": "conformance vectors",
    "intsim.rules": "what a device may do wrong, as data",
    "intsim.reproduction": "the smallest bench that shows an error",
    **({"intsim.qat": "training whose forward is the integer network"} if find_spec("torch") else {}),
    "intsim.testbench": "tensors as files of a bench, and back",
    "intsim.tracing.core": "one value step by step",
    "intsim.symbols": "equations as expressions",
    "intsim.resources": "what ships with the package",
}
FURTHER = {
    "intsim": (
        "engine.builder.Handle",
        "engine.graph.CheckedNodes",
        "debugging.result.NodeDiff",
        "debugging.compare.Comparison",
        "debugging.compare.Divergence",
        "debugging.compare.Bin",
        "debugging.isolate.Verdict",
        "quantization.recipe.Observer",
    ),
    "intsim.ops": ("symbols.shapes.Form", "symbols.shapes.form"),
    "intsim.symbols": ("symbols.equation.Equation", "symbols.equation.Parameter", "symbols.build.Expressions"),
    "intsim.testbench": ("testbench.reading.DumpFolder", "testbench.manifest.ManifestEntry"),
    "intsim.reproduction": ("reproduction.case.First", "reproduction.folder.Written"),
    "intsim.rules": ("engine.graph.NodeContext", "rules.diagnosis.Diagnosis"),
    "intsim.testing.golden": ("storage.golden_file.GoldenFile", "storage.golden_file.GoldenTensor"),
    "intsim.tracing.core": ("tracing.tracers.element.Line",),
}  # what public calls take or return without being exported
KINDS = {"function": "Functions", "class": "Classes", "data": "Data", "exception": "Exceptions"}
SHORT = 100  # characters of a value that is shown
OPTIONS = {
    "class": ("   :members:", "   :member-order: bysource"),
    "exception": ("   :members:",),
    "function": (),
}


def pages() -> dict[str, str]:
    """Every page by its path below docs/."""
    lines = [
        "# Python API",
        "",
        "What a program imports. Everything is typed (`py.typed`); what each command does is one call here. Names are",
        "documented where they are public, whatever file they are written in.",
        "",
        "| module | |",
        "|---|---|",
        *(f"| [`{name}`]({stem(name)}.md) | {text} |" for name, text in MODULES.items()),
        "",
        "```{toctree}",
        ":hidden:",
        "",
        *(f"{name} <{stem(name)}>" for name in MODULES),
        "```",
    ]
    made = {f"{FOLDER}/index.md": "\n".join(lines) + "\n"}
    return made | {f"{FOLDER}/{stem(name)}.md": page(name) for name in MODULES}


def stem(module: str) -> str:
    return module.removeprefix("intsim.").replace(".", "-")


def names_of(module: str) -> list[str]:
    """The public names of a module: its `__all__`, or what it defines without an underscore."""
    loaded = import_module(module)
    names = getattr(loaded, "__all__", None)
    if names is None:
        names = [n for n, v in vars(loaded).items() if not n.startswith("_") and getattr(v, "__module__", None) == module]
    return [name for name in names if name != "__version__"]


def kind_of(value: object) -> str:
    """The section of a page and the directive that documents a value."""
    if isinstance(value, type):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if isroutine(value) or hasattr(value, "cache_info") else "data"


def data(name: str, value: object) -> list[str]:
    """A constant or an alias, with its value where that is one short line."""
    shown = [f"   :value: {value!r}"] if len(repr(value)) <= SHORT else [f"   :type: {type(value).__name__}"]
    return [f".. py:data:: {name}", *shown, ""]


def page(module: str) -> str:
    """The page of a module: functions first, exceptions last."""
    names = (
        ["Op", "Param", "require"]
        if module == "intsim.ops"
        else [n for n in names_of(module) if f"{module}.{n}" not in MODULES]
    )
    loaded = import_module(module)
    kinds = {name: kind_of(getattr(loaded, name)) for name in names}
    lines = [f"# {module}", "", "```{eval-rst}", f".. automodule:: {module}", "   :no-members:", "```"]
    for kind, heading in KINDS.items():
        members = [f"{module}.{name}" for name in names if kinds[name] == kind]
        if kind == "class":
            members += [f"intsim.{name}" for name in FURTHER.get(module, ())]
        if not members:
            continue
        lines += ["", f"## {heading}", "", "```{eval-rst}"]
        for member in members:
            if kind == "data":
                lines += data(member, getattr(loaded, member.rpartition(".")[2]))
            else:
                lines += [f".. auto{kind}:: {member}", *OPTIONS[kind], ""]
        lines.append("```")
    return "\n".join(lines) + "\n"
