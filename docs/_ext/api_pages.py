"""The pages of the Python API: one per public module, its names documented by autodoc from their docstrings."""

from __future__ import annotations

from importlib import import_module

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
    "intsim.testbench": "tensors as files of a bench, and back",
    "intsim.tracing.core": "one value step by step",
    "intsim.symbols": "equations as expressions",
    "intsim.resources": "what ships with the package",
}
FURTHER = {
    "intsim": (
        "debugging.result.NodeDiff",
        "debugging.compare.Comparison",
        "debugging.compare.Divergence",
        "debugging.compare.Bin",
        "debugging.isolate.Verdict",
        "quantization.recipe.Observer",
    ),
    "intsim.ops": ("ops._op.Param",),
    "intsim.testbench": ("testbench.reading.DumpFolder", "testbench.manifest.ManifestEntry"),
    "intsim.reproduction": ("reproduction.case.First", "reproduction.folder.Written"),
    "intsim.rules": ("engine.graph.NodeContext", "rules.diagnosis.Diagnosis"),
    "intsim.testing.golden": ("storage.golden_file.GoldenFile", "storage.golden_file.GoldenTensor"),
    "intsim.tracing.core": ("tracing.tracers.element.Line",),
}  # what public calls take or return without being exported


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


def page(module: str) -> str:
    """The page of a module."""
    names = [name for name in names_of(module) if f"{module}.{name}" not in MODULES]
    if module == "intsim.ops":
        names = ["Op"]
    return "\n".join(
        [
            f"# {module}",
            "",
            "```{eval-rst}",
            f".. automodule:: {module}",
            f"   :members: {', '.join(names)}",
            "   :imported-members:",
            "   :member-order: bysource",
            *(f"\n.. autoclass:: intsim.{name}\n   :members:" for name in FURTHER.get(module, ())),
            "```",
            "",
        ]
    )
