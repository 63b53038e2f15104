"""The JavaScript reference: run by node, and held to the reference on every committed vector and on drawn calls."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim.dialects import DIALECTS, Dialect
from intsim.languages.js_library import JsLibrary, written
from intsim.languages.reference import write_reference
from intsim.ops import REGISTRY
from intsim.testing import strategies

from checking import dialects, searching

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
ROOT = Path(__file__).parent.parent
FILES = [ROOT / "golden" / "ops" / name for name in ("ops-v1.json", "choices-v1.json")]
NO_OPERATORS = {"dyadic", "isqrt", "gelu_parameters", "softmax_parameters"}  # functions that take or give what is no array
Cli = Callable[..., tuple[int, str, str]]


def node(folder: Path, cases: list[dict[str, Any]]) -> tuple[Counter[str], str]:
    """How many cases of each operator passed, and what the self-test says of the others."""
    (folder / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    command = ["node", "selftest.mjs", "cases.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr[-2000:]
    found = Counter[str]()
    others = []
    for line in done.stdout.splitlines():
        counted = re.fullmatch(r"(\w+): (\d+) passed, \d+ failed", line)
        found.update({counted[1]: int(counted[2])} if counted else {})
        others += [] if counted else [line]
    assert (done.returncode == 1) == bool(others)
    return found, "\n".join(others)


def write(folder: Path, library: JsLibrary) -> Path:
    """The library as files."""
    folder.mkdir()
    for name, text in library.files().items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("js") / "reference", JsLibrary(list(REGISTRY), list(DIALECTS.values())))


def committed() -> tuple[list[dict[str, Any]], dict[str, Dialect]]:
    """Every committed vector of an operator, and the dialects that they need: the built-in ones, and mixtures."""
    cases, rules = [], dict(DIALECTS)
    for file in FILES:
        for case in json.loads(file.read_text(encoding="utf-8"))["cases"]:
            if case["op"] in NO_OPERATORS:
                continue
            args, operator = dict(case["args"]), REGISTRY[case["op"]]
            base, choices = DIALECTS[args.pop("dialect", "rtl")], args.pop("choices", {})
            name = base.name + "".join(f"-{key}-{value}" for key, value in choices.items()).replace("_", "")
            rules[name] = base.replace(**choices, name=name)
            if "x" in args:
                args[next(iter(operator.inputs))] = args.pop("x")
            about = f"{file.name} case {case['id']}"
            cases.append({"op": case["op"], "dialect": name, "case": about, "args": args, "due": case.get("expect")})
    return [written_case(case) for case in cases], rules


def written_case(case: dict[str, Any]) -> dict[str, Any]:
    """A case as the self-test reads it."""
    args = {name: written(value) for name, value in case["args"].items()}
    due = None if case["due"] is None else written(case["due"])
    steps = {name: written(value) for name, value in case.get("steps", {}).items()}
    return {**case, "args": args, "due": due, "steps": steps}


def test_every_committed_vector(tmp_path: Path) -> None:
    """Refusals included; of what the files have, only functions that are no operators are left out."""
    cases, rules = committed()
    named = {case["op"] for file in FILES for case in json.loads(file.read_text(encoding="utf-8"))["cases"]}
    assert {case["op"] for case in cases} == named - NO_OPERATORS == set(REGISTRY)
    used = {case["dialect"] for case in cases} | set(DIALECTS)
    library = JsLibrary(list(REGISTRY), [rule for name, rule in rules.items() if name in used])
    found, others = node(write(tmp_path / "js", library), cases)
    assert others == ""
    assert found.total() == len(cases) > 600
    assert sum(case["due"] is None for case in cases) >= 30


def test_the_self_test_of_a_folder(tmp_path: Path) -> None:
    write_reference("js", tmp_path / "js")
    command = ["node", "selftest.mjs"]
    done = subprocess.run(command, cwd=tmp_path / "js", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout[-2000:]
    counts = [re.fullmatch(r"(\w+): (\d+) passed, 0 failed", line) for line in done.stdout.splitlines()]
    assert [found[1] for found in counts if found] == list(REGISTRY)
    assert sum(int(found[2]) for found in counts if found) > 1900


@pytest.mark.parametrize("op", REGISTRY)
def test_drawn_calls_and_their_steps(op: str, tmp_path: Path) -> None:
    """Any mixture of choices; every named step is compared, and a refusal is one in both."""
    operator, cases, rules = REGISTRY[op], [], dict(DIALECTS)

    @settings(searching, max_examples=30)
    @given(st.data())
    def draw(data: Any) -> None:
        rule = data.draw(dialects())[0] if operator.choices else DIALECTS["rtl"]
        call = data.draw(strategies.arguments(op, rule if operator.choices else None))
        name = f"d{len(rules)}" if rule not in rules.values() else next(n for n, r in rules.items() if r == rule)
        rules.setdefault(name, rule.replace(name=name))
        arrays, params = list(call.inputs), call.params
        if operator.variadic and len(arrays) > 4:
            return
        args = dict(params) | ({"xs": arrays} if operator.variadic else dict(zip(operator.inputs, arrays, strict=True)))
        case = {"op": op, "dialect": name, "case": f"drawn {len(cases)}", "args": args, "due": None}
        try:
            case["due"] = operator.ref(*arrays, **params, dialect=rule)
            case["steps"] = operator.intermediates([np.asarray(x) for x in arrays], params, rule)
        except ValueError:
            pass
        cases.append(written_case(case))

    draw()
    library = JsLibrary([op], list(rules.values()))
    found, others = node(write(tmp_path / "js", library), cases)
    assert others == ""
    assert found[op] == len(cases) >= 5


# --- tests of the tests -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("quotient - 1n : quotient", "quotient : quotient"),
        ("(a, e) => a >> e", "(a, e) => a / (1n << e)"),
        ("value > values[best]", "value >= values[best]"),
        ("if (at < 0) return;", "return;"),
        ("value < lo || value > hi", "false"),
    ],
)
def test_a_wrong_operation_breaks_vectors(right: str, wrong: str, folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "js"
    shutil.copytree(folder, broken)
    text = (broken / "intsim_arithmetic.mjs").read_text(encoding="utf-8")
    assert text.count(right) == 1
    (broken / "intsim_arithmetic.mjs").write_text(text.replace(right, wrong), encoding="utf-8")
    command = ["node", "selftest.mjs"]
    assert subprocess.run(command, cwd=broken, capture_output=True, text=True, check=False).returncode == 1


def test_another_dialect_breaks_vectors(folder: Path) -> None:
    cases, _ = committed()
    changed = [
        {**case, "dialect": "ivit-tvm"} for case in cases if case["dialect"] == "rtl" and REGISTRY[case["op"]].choices
    ]
    found, others = node(folder, changed)
    assert found.total() < len(changed)
    assert others


# --- what a function refuses --------------------------------------------------------------------------------------------


def refusal(folder: Path, call: str) -> str:
    """What a call throws."""
    tried = f"try {{ operators.{call}; }} catch (error) {{ console.log(error.name, error.message); }}"
    text = f'import {{ operators }} from "./intsim.mjs"; {tried}'
    command = ["node", "--input-type=module", "-e", text]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            'shiftmax["rtl"]({ x: [0.5], x0: -4, n: 3, b: 8 })',
            "TypeError shiftmax: x: 0.5 is not an integer; use BigInt above",
        ),
        ('shiftmax["rtl"]({ x: [40000], x0: -4, n: 3, b: 8 })', "Refused shiftmax: x (element 0) = 40000 is outside"),
        ('shiftmax["rtl"]({ x: [0], x0: 4, n: 3, b: 8 })', "Refused shiftmax: x0 = 4 is outside [-1048576, -1]"),
        ('shiftmax["rtl"]({ x: [0], n: 3, b: 8 })', "TypeError shiftmax: x0 is missing"),
        ('shiftmax["rtl"]({ x: [0], y: 1 })', "TypeError shiftmax: takes x, x0, n, b, not y"),
        ('shiftmax["rtl"]({ x: [[0], [1, 2]], x0: -4, n: 3, b: 8 })', "TypeError shiftmax: x: rows of different lengths"),
        ('shiftmax["rtl"]({ x: [[]], x0: -4, n: 3, b: 8 })', "ShapeMismatch shiftmax: columns is 0, expected 1 to 65536"),
        (
            'shiftmax["ivit-tvm"]({ x: Array(4).fill(0), x0: -1024, n: 20, b: 16 })',
            "Refused shiftmax: sum == 0 at [0, 0]",
        ),
        ('shiftmax["rtl"]({ x: [0], x0: -1024, n: 31, b: 16 })', "Refused shiftmax: -x0 << n >= 2**31"),
        ('layernorm["rtl"]({ x: [1, 2], bias: [1] })', "ShapeMismatch layernorm: columns is 2 and 1"),
        ('slice["rtl"]({ x: [[1], [2]], axis: -2, start: 1, stop: 1 })', "Refused slice: start >= stop"),
        (
            'linear["rtl"]({ x: [127], weight: [[127]], bias: [2147483647] })',
            "Refused linear: out < -2**31 or out > 2**31 - 1 at",
        ),
    ],
)
def test_refusals_have_reasons(call: str, message: str, folder: Path) -> None:
    assert refusal(folder, call).startswith(message)


def test_the_command(cli: Cli) -> None:
    code, out, err = cli("export --reference js --op requant --dialect rtl -o reference")
    assert (code, out, err) == (0, "reference: 1 operator in rtl, 5 files\n", "")
    code, out, err = cli("export --reference js --op nothing -o new")
    assert (code, out) == (2, "")
    assert "there is no operator 'nothing'; there are: argmax, " in err
    assert not Path("new").exists()
