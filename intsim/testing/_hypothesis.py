"""Imports Hypothesis, or raises an ImportError of one line that says how to install it."""

try:
    from hypothesis import HealthCheck, Phase, Verbosity, configuration, given, reject, seed, settings
    from hypothesis import strategies as st
    from hypothesis.errors import Flaky, Unsatisfiable
except ModuleNotFoundError:
    raise ImportError("intsim.testing needs Hypothesis; pip install 'intsim[testing]'") from None

__all__ = [
    "Flaky",
    "HealthCheck",
    "Phase",
    "Unsatisfiable",
    "Verbosity",
    "configuration",
    "given",
    "reject",
    "seed",
    "settings",
    "st",
]
