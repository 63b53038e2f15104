"""A device's dump against a golden file: every tensor, and every node by itself.

Two verdicts per node. *Accumulated*: its tensor against the golden one. *Isolated*: its tensor against the result of the
reference on the device's own inputs (`isolate`), and for the wrong ones the rule that was broken (`explain`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..engine.graph import Graph
from ..engine.inputs import records_picture
from ..engine.names import TensorName
from ..errors import AlteredGolden, FileError, IntsimError, printable
from ..measurement.exposure import load_score
from ..rules.diagnosis import diagnose
from ..storage.golden_file import GoldenFile, GoldenTensor, open_golden
from ..storage.model_file import model_behind
from ..storage.reals import NotWhole
from .compare import Comparison, compare, sha256_of
from .dumps import Dump, DumpedTensor, Expected, open_dump
from .explain import explain, reconciled
from .isolate import Verdict, isolate
from .matching import matched
from .reasons import Explanation
from .recognize import recognized
from .result import DIFFER, EXTRA, MATCH, MISSHAPEN, MISSING, MISTYPED, UNREADABLE, Diff, NodeDiff
from .sameness import told_apart
from .straighten import straightened

UNEXPLAINED = 24  # wrong tensors after which no more are looked into: so many have one cause, which is no rule


def diff(
    golden_path: str | Path,
    dut_path: str | Path,
    model: str | Path | Graph | None = None,
    *,
    isolated: bool = False,
    explained: bool = True,
    map_path: str | Path | None = None,
    complete: bool = False,
    scaled: bool = False,
    force: bool = False,
    score: str | Path | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> Diff:
    """Compare the dump at `dut_path` (see `dumps`) with a golden file, exactly.

    With `isolated` every node is judged by itself, which takes the model that the golden file was made from: `model`, the
    shipped one, or one next to the golden file. Culprits are explained unless `explained` is false. `complete` makes a
    tensor missing from the dump a difference. `scaled`: the dump holds real numbers, each an integer times its scale (whole
    numbers stored as reals are read in any case). `force`: a golden file that does not match its hashes is compared all
    the same, with a warning. `score`: what ``intsim score --json`` wrote of this golden file, for the report.
    `progress(name)` is called with what is worked on; a name may come several times. Raises IntsimError where nothing can
    be compared or the dump is of another model, ModelMismatch or ModelNotFound where the model is not the golden file's,
    AlteredGolden where its values are not.
    """
    exposure = load_score(score) if score is not None else None
    with open_golden(golden_path, altered=True) as reference:
        if reference.altered and not force:
            raise AlteredGolden(reference.path, "", reference.altered)
        if exposure is not None and exposure.golden_sha256 != reference.content_sha256:
            raise FileError(f"{score}: is the score of another golden file than {golden_path}; score this one")
        if exposure is not None and exposure.pictures != 1:
            raise FileError(
                f"{score}: is the score of {exposure.pictures} pictures; this takes that of the golden file alone"
            )
        graph = model_behind(reference, model) if isolated or model is not None else None
        expected = expected_tensors(reference, graph)
        with open_dump(dut_path, expected, map_path, scaled=scaled) as dump:
            found = _compared(reference, dump, expected, graph, isolated, explained, complete, force, progress)
    return replace(found, exposure=exposure)


def expected_tensors(reference: GoldenFile, graph: Graph | None) -> Mapping[str, Expected | None]:
    """Every name that a dump may use, with what is expected there where it is known."""
    expected: dict[str, Expected | None] = {node["name"]: None for node in reference.nodes}
    if graph is not None:
        expected |= {name: Expected(tensor.shape, tensor.fmt, graph.scales[name]) for name, tensor in graph.tensors.items()}
    return expected | {name: Expected(item.shape, item.fmt, item.scale) for name, item in reference.tensors.items()}


def _compared(
    reference: GoldenFile,
    dump: Dump,
    expected: Mapping[str, Expected | None],
    graph: Graph | None,
    isolated: bool,
    explained: bool,
    complete: bool,
    force: bool,
    progress: Callable[[str], None],
) -> Diff:
    require_same_model(reference, dump)
    dump, matches, unmatched = matched(reference, dump)
    if not any(name in reference.tensors for name in dump.tensors) and not (isolated and dump.tensors):
        raise IntsimError(_nothing_in_common(reference, dump))
    warnings: list[str] = []
    if dump.image_sha256 and dump.image_sha256 != reference.image_sha256:
        what = "pictures" if any(records_picture(node) for node in reference.nodes) else "inputs"
        warnings.append(f"the two files were made from different {what}; every tensor may differ because of that")
    dump, conventions = recognized(reference, dump)
    straight, layouts = straightened(reference, dump, expected)
    verdicts = isolate(graph, reference, straight, progress) if isolated and graph is not None else {}
    ops = {node["name"]: node["op"] for node in reference.nodes}
    nodes, altered = [], list[str]()
    for name in _in_order(reference, dump):
        progress(name)
        node = _node(name, ops.get(TensorName(name).node, ""), reference, dump, verdicts.get(name), altered)
        if layout := layouts.get(name):
            ordered = _node(name, node.op, reference, straight, None, altered)
            node = replace(node, diagnosis=layout, comparison=ordered.comparison)
        nodes.append(node)
    if altered and not force:
        raise AlteredGolden(reference.path, altered[0])
    warnings += [f"{name}: the golden values do not match their recorded hash" for name in dict.fromkeys(altered)]
    if reference.altered:
        warnings.append(f"{reference.path}: {reference.altered}")
    if not isolated:
        nodes = _with_layout(nodes, reference, dump)
    explanations = list[Explanation]()
    for verdict in verdicts.values():
        if explained and graph is not None and verdict.wrong and not TensorName(verdict.name).step:
            progress(verdict.name)
            if sum(not explanation.fits for explanation in explanations) < UNEXPLAINED:
                explanations.append(explain(graph, reference, straight, verdict))
            else:
                known = f"not looked into, since nothing explains {UNEXPLAINED} wrong tensors before it"
                explanations.append(Explanation(verdict.name, (), (), 0, known))
    explanations = reconciled(explanations)
    if graph is not None:
        explanations = told_apart(graph, explanations)
    return Diff(
        golden=reference.path,
        dut=dump.path,
        kind=dump.kind,
        model_sha256=reference.model_sha256,
        nodes=nodes,
        order=reference.nodes,
        warnings=warnings,
        foreign=dump.foreign,
        explanations=explanations,
        culprits=_culprits(reference, verdicts, explanations) if isolated else None,
        complete=complete,
        conversions=list(dump.conversions.values()),
        conventions=conventions,
        matches=matches,
        unmatched=unmatched,
    )


def require_same_model(reference: GoldenFile, dump: Dump) -> None:
    """IntsimError where a dump says that it is of another model."""
    if dump.model_sha256 and reference.model_sha256 != dump.model_sha256:
        raise IntsimError(
            f"{reference.path} and {dump.path} were made from different models ({reference.model_sha256[:12]} and "
            f"{dump.model_sha256[:12]}); make both from one model file"
        )


def _nothing_in_common(reference: GoldenFile, dump: Dump) -> str:
    message = f"{reference.path} and {dump.path} have no tensor in common; nothing was compared"
    if dump.tensors:
        return f"{message}. The dump holds {next(iter(dump.tensors))}, which is not in the golden file"
    if dump.foreign:
        known = next(iter(reference.tensors))
        return f"{message}. The dump holds {dump.foreign[0]}; use names like {known}, or map the names to nodes (map.toml)"
    return message


def _in_order(reference: GoldenFile, dump: Dump) -> list[str]:
    """The tensors of both sides in execution order; with each node the steps inside it."""
    order = {node["name"]: i for i, node in enumerate(reference.nodes)}
    names = dict.fromkeys([*reference.tensors, *dump.tensors])
    return sorted(names, key=lambda name: order.get(TensorName(name).node, len(order)))


def _node(name: str, op: str, reference: GoldenFile, dump: Dump, verdict: Verdict | None, altered: list[str]) -> NodeDiff:
    """One tensor, accumulated."""
    record, dumped = reference.tensors.get(name), dump.tensors.get(name)
    if record is None:
        shape = dumped.shape if dumped else ()
        note = dumped.problem if dumped else ""
        return NodeDiff(name, op, shape, None, EXTRA, verdict=verdict, note=note, source=dumped.source if dumped else "")
    state, comparison, note = (MISSING, None, "") if dumped is None else _against(record, dumped, altered)
    source = dumped.source if dumped else ""
    return NodeDiff(name, op, record.shape, record.fmt, state, comparison, verdict, note=note, source=source)


def _against(record: GoldenTensor, dumped: DumpedTensor, altered: list[str]) -> tuple[str, Comparison | None, str]:
    """The accumulated verdict on a tensor, its comparison where there is one, and a note; it is added to `altered` where the
    golden values are not those of its hash.
    """
    if dumped.problem:
        return UNREADABLE, None, printable(_in_short(dumped))
    if dumped.shape != record.shape:
        return MISSHAPEN, None, dumped.note or f"its shape is {list(dumped.shape)}, expected {list(record.shape)}"
    if dumped.values is not None and dumped.dtype.kind not in "iu":
        return MISTYPED, None, f"its type is {dumped.dtype}, expected {record.fmt}; dump the integers"
    if record.values is None or dumped.values is None:
        return _by_hash(record, dumped)
    try:
        comparison = compare(record.values, dumped.values(), record.fmt)
    except NotWhole as error:
        return MISTYPED, None, str(error)
    except FileError as error:
        if str(error).startswith(f"{record.values.path}:"):
            raise
        return UNREADABLE, None, str(error)
    if comparison.sha256 != record.sha256:
        altered.append(record.name)
    return (DIFFER if comparison.differing else MATCH), comparison, ""


def _in_short(dumped: DumpedTensor) -> str:
    """What is wrong with a tensor, with the name in the dump instead of a path."""
    path = str(dumped.path)
    if dumped.path is not None and dumped.problem.startswith(f"{path}:"):
        return f"{dumped.source}{dumped.problem.removeprefix(path)}"
    return f"{dumped.source}: {dumped.problem}"


def _by_hash(record: GoldenTensor, dumped: DumpedTensor) -> tuple[str, None, str]:
    """The verdict on two tensors of which at least one is given by its hash only."""
    try:
        theirs = sha256_of(dumped.values(), record.fmt) if dumped.values is not None else dumped.sha256
    except NotWhole as error:
        return MISTYPED, None, str(error)
    except FileError as error:
        return UNREADABLE, None, str(error)
    ours = sha256_of(record.values, record.fmt) if record.values is not None else record.sha256
    if ours == theirs:
        return MATCH, None, ""
    return DIFFER, None, "the hashes differ; one of the files has no values (level digest)"


def _with_layout(nodes: list[NodeDiff], reference: GoldenFile, dump: Dump) -> list[NodeDiff]:
    """The nodes, the first that differs with a diagnosis where it has right values in the wrong place."""
    first = next((node for node in nodes if node.accumulated == DIFFER and node.comparison is not None), None)
    if first is None or first.fmt is None:
        return nodes
    record, dumped = reference.tensors[first.name], dump.tensors[first.name]
    if record.values is None or dumped.values is None:
        return nodes
    diagnosis = diagnose(record.values[()], np.asarray(dumped.values()[()]), first.fmt)
    return [replace(node, diagnosis=diagnosis) if node is first else node for node in nodes]


def _culprits(reference: GoldenFile, verdicts: Mapping[str, Verdict], explanations: Sequence[Explanation]) -> list[str]:
    """The nodes whose own arithmetic is wrong, in execution order: inside a segment, the one that the explanation names."""
    named = {explanation.tensor: explanation.culprit for explanation in explanations}
    wrong = {named.get(name, TensorName(name).node) for name, verdict in verdicts.items() if verdict.wrong}
    return [node["name"] for node in reference.nodes if node["name"] in wrong]
