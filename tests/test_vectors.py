"""Both implementations of every operator against the committed vectors; the vectors against every single-rule mutant."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intsim import arith, dialects, ops
from intsim.dialects import CHOICES, DIALECTS, Dialect

import oracle

ROOT = Path(__file__).parent.parent
VECTORS = ROOT / "golden" / "ops"
FILES = {name: json.loads((VECTORS / name).read_text(encoding="utf-8")) for name in ("ops-v1.json", "choices-v1.json")}
CASES = [(name, case) for name, file in FILES.items() for case in file["cases"]]
INVALID = "invalid"


def run(case: dict[str, Any], face: str, mutation: dict[str, Any] | None = None) -> Any:
    """intsim's answer to a case, as in JSON; "invalid" where it raises ValueError.

    `mutation` changes choices of the case's dialect.
    """
    args = dict(case["args"])
    if "dialect" in args:
        args["dialect"] = DIALECTS[args["dialect"]].replace(**args.pop("choices", {}) | (mutation or {}))
    positional = [args.pop("x")] if "x" in args else args.pop("xs", [])
    try:
        if case["op"] == "gelu_parameters":
            return {"op": str(args["dialect"].gelu), **dialects.gelu_parameters(**args)}
        if case["op"] == "softmax_parameters":
            return dialects.softmax_parameters(**args)
        if case["op"] == "dyadic":
            return list(arith.dyadic(**args))
        if case["op"] == "isqrt":
            return int(arith.isqrt(**args))
        op = getattr(ops, case["op"])
        return np.asarray((op.ref if face == "ref" else op)(*positional, **args)).tolist()
    except ValueError:
        return INVALID


@pytest.mark.parametrize("face", ["ref", "fast"])
@pytest.mark.parametrize(("file", "case"), [pytest.param(f, c, id=f"{f[:-8]}-{c['id']}-{c['op']}") for f, c in CASES])
def test_vector(file: str, case: dict[str, Any], face: str) -> None:
    call = f"{file} case {case['id']}: ops.{case['op']}{'.ref' if face == 'ref' else ''}(...)"
    difference = oracle.difference(call, run(case, face), case.get("expect", INVALID))
    assert not difference, difference


# --- mutants ----------------------------------------------------------------------------------------------------------


def mutants() -> Iterator[Any]:
    """Every dialect with every one of its choices changed to every other allowed value.

    None of them is equivalent to its dialect, so there is no list of exceptions: n and the widths change the lowered
    parameters, `gelu` the operator lowered to, all others an operator's result.
    """
    for name, dialect in DIALECTS.items():
        for key, allowed in CHOICES.items():
            for value in allowed:
                if value != getattr(dialect, key):
                    yield pytest.param(name, key, value, id=f"{name}-{key}-{value}")


def first_killer(name: str, mutation: dict[str, Any]) -> str:
    """The first committed vector of a dialect that a mutant answers differently; an empty string if it survives."""
    for file, case in CASES:
        # A case that sets choices of its own belongs to no dialect.
        if case["args"].get("dialect") == name and "choices" not in case["args"]:
            expected = case.get("expect", INVALID)
            if oracle.difference("", run(case, "ref", mutation), expected):
                return f"{file} case {case['id']}"
    return ""


@pytest.mark.parametrize(("name", "key", "value"), list(mutants()))
def test_a_changed_choice_breaks_a_vector(name: str, key: str, value: Any) -> None:
    assert first_killer(name, {key: value}), f"no committed vector distinguishes {name} from {name} with {key} = {value}"


@pytest.mark.parametrize("name", DIALECTS)
def test_the_dialect_itself_is_no_mutant(name: str) -> None:
    # A test of the test: without a change no vector may differ.
    assert not first_killer(name, {})
    assert not first_killer(name, DIALECTS[name].choices())


def test_vectors_distinguish_the_dialects() -> None:
    for name in DIALECTS:
        for other, dialect in DIALECTS.items():
            assert bool(first_killer(name, dialect.choices())) == (name != other)


# --- the files --------------------------------------------------------------------------------------------------------


def test_the_tool_reproduces_the_committed_file() -> None:
    spec = importlib.util.spec_from_file_location("make_op_vectors", ROOT / "tools" / "make_op_vectors.py")
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    committed = (VECTORS / "choices-v1.json").read_bytes().decode("utf-8")
    assert tool.document() == committed, "run: python tools/make_op_vectors.py"


def test_every_flag_is_explained_and_used() -> None:
    file = FILES["choices-v1.json"]
    assert {flag for case in file["cases"] for flag in case["flags"]} == set(file["notes"])
    assert all(note["why"] and note["bug"] for note in file["notes"].values())


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_well_formed(name: str) -> None:
    file = FILES[name]
    assert (file["format"], file["version"]) == ("op-vectors", 1)
    ids = [case["id"] for case in file["cases"]]
    assert ids == sorted(set(ids))
    for case in file["cases"]:
        assert ("expect" in case) != (case.get("result") == INVALID), f"case {case['id']}"
        assert case["args"].get("dialect", "rtl") in DIALECTS, f"case {case['id']}"
    assert (VECTORS / name).stat().st_size < 200_000


def test_every_operator_has_vectors() -> None:
    assert set(ops.REGISTRY) <= {case["op"] for _, case in CASES}


def test_every_dialect_is_one_of_the_files_dialects() -> None:
    assert {case["args"]["dialect"] for _, case in CASES if "dialect" in case["args"]} == set(DIALECTS)
    assert all(isinstance(dialect, Dialect) for dialect in DIALECTS.values())


# --- what a device supports -------------------------------------------------------------------------------------------


def test_vectors_of_what_a_device_supports(cli: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = cli("vectors gen shiftmax --supports b=8,16 --supports x0=-64..-8 -o some.json")
    assert (code, err) == (0, ""), out
    record = json.loads(Path("some.json").read_text())
    assert record["domain"] == {"b": "8,16", "x0": "-64..-8"}
    every = json.loads(cli("vectors gen shiftmax")[1])
    within = [c for c in every["cases"] if c["args"]["b"] in (8, 16) and -64 <= c["args"]["x0"] <= -8]
    assert [case["id"] for case in record["cases"]] == [case["id"] for case in within]
    assert 0 < len(within) < len(every["cases"])
    for case in record["cases"]:
        case["got"] = case.get("expect", "invalid")
    Path("some.json").write_text(json.dumps(record))
    assert cli("vectors check some.json")[0] == 0
    del record["cases"][0]
    Path("some.json").write_text(json.dumps(record))
    code, out, _ = cli("vectors check some.json")
    assert (code, "1 of" in out, "missing" in out) == (1, True, True)


def test_unsupported_is_neither_right_nor_wrong(cli: Callable[..., tuple[int, str, str]]) -> None:
    record = json.loads(cli("vectors gen requant")[1])
    for i, case in enumerate(record["cases"]):
        case["got"] = "unsupported" if i % 3 == 0 else case.get("expect", "invalid")
    Path("a.json").write_text(json.dumps(record))
    code, out, _ = cli("vectors check a.json")
    left_out, cases = len(record["cases"][::3]), len(record["cases"])
    assert code == 0
    assert f"{left_out} of {cases} cases are not supported by the device" in out
    report = json.loads(cli("vectors check a.json --json")[1])["files"][0]
    assert (report["passed"], len(report["unsupported"])) == (cases - left_out, left_out)
    assert sum(flag["cases"] for flag in report["flags"].values()) < sum(len(case["flags"]) for case in record["cases"])
    for case in record["cases"]:
        case["got"] = "unsupported"
    Path("a.json").write_text(json.dumps(record))
    code, _, err = cli("vectors check a.json")
    assert (code, "the device supports none of its" in err) == (2, True)


@pytest.mark.parametrize(
    ("supports", "said"),
    [
        ("b", "KEY=VALUES is expected"),
        ("b=", "numbers and ranges are expected, as in b=8,16"),
        ("b=16..8", "numbers and ranges are expected"),
        ("b=8.5", "numbers and ranges are expected"),
        ("q=8", "requant has no input or parameter 'q'; it has acc, m, e, b"),
        ("m=12345", "no case of level 1 has parameters in this domain"),
    ],
)
def test_domains_that_are_none(supports: str, said: str, cli: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = cli(f"vectors gen requant --supports {supports}")
    assert (code, len(err.splitlines()), said in err) == (2, 1, True), err
