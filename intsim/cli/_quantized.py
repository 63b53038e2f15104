"""What ``intsim quantize`` prints about the model that it made."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from ._common import shown
from ._output import say

if TYPE_CHECKING:
    from ..quantization.ivit_records import ModuleComparison
    from ..quantization.pipeline import Quantized
    from ..quantization.trials import Trial

NOISIEST = 5  # tensors that are printed when there is a report


def tell(result: Quantized, output: Path, page: Path | None) -> None:
    """Print what was made, and how well it agrees with the network it was made from."""
    graph = result.graph
    taken = "integers and scales as stored in the checkpoint"
    if result.pictures:
        norm = ", L2 class norm folded in" if result.class_norm_folded else ""
        taken = f"calibrated on {result.pictures} picture(s){norm}"
    say(f"{shown(output)}: {len(graph.nodes)} nodes, dialect {graph.dialect.name}, {taken}")
    say(f"content hash {graph.content_hash}")
    if result.agreement is not None:
        same, over = ("top class", "pictures") if result.classifies else ("labels", "pixels")
        share = f"{result.agreement:.0%}" if result.classifies else f"{result.agreement:.1%}"
        say(f"{same} as in the float network on {share} of the calibration {over}")
    if result.features is not None:
        say(f"signal to noise of the features on the calibration pictures: {result.features:.1f} dB")
    say(f"configuration: {result.origin}")
    if result.trials:
        _tell_search(result.trials)
    for remark in result.remarks:
        say(remark + ("; --weights takes another" if "left out" in remark else ""))
    if result.not_compared:
        say("recorded modules: not compared, they use dialect ivit")
    if result.modules:
        _tell_recorded(result.modules, result.unknown_modules)
    if page is not None:
        what = "scores, and labels as in the float network" if result.agreement is not None else "features"
        say(f"report: {page}; signal to noise of the {what}:")
        for trial in result.choices:
            labels = "" if trial.agreement is None else f", {trial.agreement:7.2%} of the labels"
            say(f"  {_decibels(trial.sqnr)} dB{labels}: {trial.choice}")
        say(f"signal to noise of each layer by itself, the {NOISIEST} lowest:")
        for tensor in sorted(result.noise, key=lambda tensor: math.inf if tensor.own is None else tensor.own)[:NOISIEST]:
            say(f"  {tensor.own or 0:5.1f} dB  {tensor.name}")


def _tell_search(trials: list[Trial]) -> None:
    """What a search found, and the recipe it began with."""
    best, given = trials[0], next(trial for trial in trials if trial.choice == "as given")
    found = json.dumps(best.recipe.departures()) if best.recipe.departures() else "the default"
    before, after = (_decibels(trial.sqnr).strip() for trial in (given, best))
    count = f"{len(trials)} recipe{'s' if len(trials) > 1 else ''}"
    say(f"searched {count}: {before} dB as given, {after} dB by {found}")


def _tell_recorded(modules: list[ModuleComparison], unknown: list[str]) -> None:
    """How much of a recording is reproduced."""
    same = [module for module in modules if module.same]
    size = sum(module.total for module in modules if module.differing is not None)
    say(f"recorded modules: {len(same)} of {len(modules)} bit-exact, {size:,} integers compared")
    if wrong := next((module for module in modules if not module.same), None):
        here = "" if wrong.node == wrong.module else f" ({wrong.node} here)"
        how = (
            f"has more or fewer elements than {wrong.total:,}"
            if wrong.differing is None
            else f"differs in {wrong.differing:,} of {wrong.total:,} elements"
        )
        say(f"first module that differs: {wrong.module}{here} {how}")
    if unknown:
        say(f"not compared, because this network has no such modules: {', '.join(unknown)}")


def _decibels(sqnr: float | None) -> str:
    return "exact" if sqnr is None else f"{sqnr:5.1f}"
