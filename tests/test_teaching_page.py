"""The page that teaches with the hand, in headless Chromium: `make page` runs these tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intsim.dialects import CHOICES, DIALECTS, ISEGMENTER, Dialect
from intsim.languages.js_stages import JsStages
from intsim.ops import REGISTRY

from teaching_page import page
from teaching_steps import steps_of
from teaching_text import OPERATORS, PRESETS

ROOT = Path(__file__).parent.parent
AXE = Path(os.environ.get("INTSIM_AXE", ROOT / "build" / "page" / "node_modules" / "axe-core" / "axe.min.js"))
VIEWS = (*OPERATORS, "find-the-bug")
CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
RECOMPUTED = 0.050  # seconds that a change may take


@pytest.fixture(scope="module")
def text() -> str:
    return page()


def test_the_page_is_one_file_without_addresses(text: str) -> None:
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(?:link|script|img)[^>]+(?:src|href)=\"(?!data:)", text)
    assert len(text.encode()) < 300_000
    assert text == page(), "the same text every time"


def test_the_documentation_shows_what_the_page_has(text: str) -> None:
    shown = re.findall(r"```js\n(.*?)\n```", (ROOT / "docs" / "teaching-page.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(shown) == 1
    assert shown[0] in text


def test_a_step_is_printed_once_for_all_rules_that_do_not_change_it() -> None:
    stages = {stage.step: stage for stage in JsStages("shiftmax", steps_of).stages}
    assert stages["difference"].keys == stages["quotient"].keys == ()  # what is not positive has one quotient
    assert stages["sum"].keys == ("exp_sum",)
    assert stages["sum"].formulas == {("saturate",): "min(sum(exp), 2**31 - 1)", ("wrap32",): "wrap32(sum(exp))"}
    assert stages["sum"].named
    assert not stages["difference"].named
    assert len(set(stages["exp"].functions.values())) == 4  # half_bit kept or dropped, wrapped or not


# --- in the browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opened(text: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium with the page, without a network."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed; see make page")
    if CHROMIUM is None or CHROMEDRIVER is None:
        pytest.skip("chromium and chromedriver are not installed; see make page")
    file = tmp_path_factory.mktemp("page") / "index.html"
    file.write_text(text, encoding="utf-8")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1400,1000",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    browser.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    browser.address = file.as_uri()
    browser.get(browser.address)
    yield browser
    browser.quit()


@pytest.fixture
def browser(opened: Any) -> Iterator[Any]:
    """The browser; afterwards nothing was reported, and nothing was asked of a network."""
    opened.get(opened.address)
    yield opened
    assert opened.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def show(browser: Any, view: str) -> None:
    """Go to a view from a fresh page."""
    browser.get("about:blank")
    browser.get(f"{browser.address}#{view}")


def press(browser: Any, *keys: str) -> None:
    """Keys to whatever has the focus."""
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def css(browser: Any, selector: str) -> list[Any]:
    """Elements of the page."""
    found: list[Any] = browser.find_elements("css selector", selector)
    return found


def choose(browser: Any, name: str, value: str) -> None:
    """An entry of a list."""
    text = "const s = document.querySelector(`[data-name=${arguments[0]}]`); s.value = arguments[1];"
    browser.execute_script(f"{text} s.dispatchEvent(new Event('change'))", name, value)


def settle(browser: Any) -> None:
    """Wait until what was asked for is drawn."""
    browser.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 0))")


# --- values -------------------------------------------------------------------------------------------------------------


def combinations(op: str) -> list[Dialect]:
    """Every combination of an operator's choices."""
    keys = REGISTRY[op].choices
    return [ISEGMENTER.replace(**dict(zip(keys, c, strict=True))) for c in product(*(list(CHOICES[key]) for key in keys))]


def drawn(op: str, draw: np.random.Generator) -> dict[str, Any]:
    """Inputs of a call: those of a preset, or drawn in the operator's formats."""
    (row,), own = REGISTRY[op].inputs, REGISTRY[op]
    preset = dict(PRESETS[op][draw.choice(list(PRESETS[op]))])
    if draw.integers(3):
        fmt = own.port(0)
        reach = max(fmt.hi >> int(draw.integers(0, fmt.bits - 1)), 1)
        preset[row] = draw.integers(-reach - 1, reach + 1, int(draw.integers(1, 17))).tolist()
    if "x0" in preset:
        preset |= {"x0": -int(draw.integers(1, 200)), "n": int(draw.integers(0, 32))}
    return preset


def called(op: str, inputs: dict[str, Any], rules: Dialect) -> tuple[dict[str, list[int]] | None, dict[str, Any], Any]:
    """The reference's steps as flat lists, or None where it refuses the call."""
    (row,), params = REGISTRY[op].inputs, dict(inputs)
    x = np.asarray(params.pop(row))
    if op == "layernorm":
        params["bias"] = np.full(len(x), params["bias"])
    try:
        REGISTRY[op].ref(x, **params, dialect=rules)
        steps = REGISTRY[op].intermediates([x], params, rules)
    except ValueError:
        return None, params, x
    return {name: [int(v) for v in np.ravel(value)] for name, value in steps.items()}, params, x


EVALUATED = """
const B = window.byHand;
return arguments[0].map(([op, rules, inputs]) => {
  const { row } = B.DATA.operators[op];
  const { [row]: values_, ...params } = inputs;
  const state = { ...params, values: values_.map(BigInt) };
  const { values, refused } = B.evaluate(op, rules, B.callOf(op, state, [state.values]));
  const steps = {};
  for (const { step } of values ? B.DATA.operators[op].stages : []) {
    const x = values[step];
    steps[step] = (typeof x === "bigint" ? [x] : x.data).map(String);
  }
  return { steps, refused };
});
"""


@pytest.mark.parametrize("op", OPERATORS)
def test_every_step_in_every_combination_of_choices_is_the_references(op: str, browser: Any) -> None:
    draw, calls = np.random.default_rng(11), []
    for rules in combinations(op):
        for _ in range(max(3, 60 // len(combinations(op)))):
            calls.append((drawn(op, draw), rules))
    asked = [(op, {key: str(getattr(rules, key)) for key in REGISTRY[op].choices}, inputs) for inputs, rules in calls]
    compared = refused = 0
    for (inputs, rules), found in zip(calls, browser.execute_script(EVALUATED, asked), strict=True):
        due, params, _ = called(op, inputs, rules)
        assert (found["refused"] is None) == (due is not None), (inputs, rules, found["refused"])
        refused += due is None
        if due is None:
            continue
        steps = {name: [int(v) for v in values] for name, values in found["steps"].items()}
        for name, values in due.items():
            assert steps[name] == values, (name, inputs, rules)
            compared += 1
        if "difference" in steps:  # the steps that the equation does not name are those of its exponential
            own = {key: params[key] for key in ("x0", "n")}
            inner = REGISTRY["shift_exp"].intermediates([np.asarray(steps["difference"])], own, rules)
            for name in ("log2", "quotient", "remainder"):
                assert steps[name] == inner[name].tolist(), (name, inputs, rules)
    assert compared > 100
    assert refused < len(calls) // 2


def test_real_functions_are_those_of_the_operators(browser: Any) -> None:
    """To 1e-9 of what the operators' own `real` says."""
    ask = "const [op, row, s] = arguments; return row.map((_, i) => window.byHand.REAL[op].of(row, i, s));"
    x, s = np.arange(-40, 41, 5), {"x0": -12, "n": 15, "b": 8, "m": 1431655765, "e": 33, "bias": 0}
    due = {
        "requant": x * s["m"] / 2.0 ** s["e"],
        "shift_exp": REGISTRY["shift_exp"].real(x / 12),
        "shiftmax": REGISTRY["shiftmax"].real(x / 12),
        "shiftgelu": REGISTRY["shiftgelu"].real(x / 12 / 1.702),
        "layernorm": REGISTRY["layernorm"].real(x.astype(float), 1.0, 0.0, 0.0),
    }
    for op, values in due.items():
        assert np.allclose(browser.execute_script(ask, op, x.tolist(), s), values, rtol=1e-9, atol=1e-9), op


# --- the hand -----------------------------------------------------------------------------------------------------------


SHOWN = """
const all = (selector) => [...document.querySelectorAll(selector)], active = document.activeElement.dataset;
return {
  outputs: all(".result").map((r) => r.firstChild.textContent.replaceAll(",", "").replace("\\u2212", "-")),
  fields: all("input[type=number]").map((f) => [f.dataset.name, f.value]),
  picked: all("[data-choice]:checked").map((r) => [r.dataset.choice, r.value]),
  status: document.querySelector(".status").textContent,
  steps: all(".step").map((s) => [s.dataset.step, s.className, s.querySelectorAll("mark").length]),
  active: active.name ?? active.slider ?? active.choice ?? "",
  kind: document.activeElement.tagName + (document.activeElement.type ?? ""),
  atEnd: document.activeElement.value === document.activeElement.max,
};
"""


class Shown:
    """What the page shows: the inputs and rules of its controls, results, status, and steps with the number of marks."""

    def __init__(self, browser: Any, op: str) -> None:
        self.all = browser.execute_script(SHOWN)
        (row,) = REGISTRY[op].inputs
        fields = {name: int(value) for name, value in self.all["fields"]}
        count = fields.pop("elements")
        self.inputs: dict[str, Any] = {row: [fields.pop(f"{row}[{i}]") for i in range(count)], **fields}
        self.rules = ISEGMENTER.replace(**dict(self.all["picked"]))
        self.outputs = [int(value) for value in self.all["outputs"]]
        self.status, self.steps = self.all["status"], self.all["steps"]


@pytest.mark.parametrize("op", OPERATORS)
def test_an_operator_is_moved_by_keyboard_alone(op: str, browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, op)
    met: set[tuple[str, str]] = set()
    for _ in range(
        browser.execute_script("return document.querySelectorAll('input, select, button, summary, a').length") + 5
    ):
        press(browser, Keys.TAB)
        before = Shown(browser, op)
        name, kind = before.all["active"], before.all["kind"]
        if (name, kind) in met:
            continue
        met.add((name, kind))
        if kind == "INPUTrange":
            press(browser, Keys.ARROW_LEFT if before.all["atEnd"] else Keys.ARROW_RIGHT)
        elif kind == "INPUTradio" or (kind == "INPUTnumber" and name not in ("elements", "m", "bias")):
            press(browser, Keys.ARROW_DOWN)
        if name == "" or kind not in ("INPUTrange", "INPUTradio", "INPUTnumber") or name == "m":
            continue
        after = Shown(browser, op)
        changed = (before.inputs, before.rules) != (after.inputs, after.rules)
        assert changed or (kind == "INPUTnumber" and name in ("elements", "bias")), name
        due, *_ = called(op, after.inputs, after.rules)
        if due is None:
            assert after.status.startswith("The call is refused")
        else:
            assert after.outputs == due["out"], (name, after.inputs, after.rules)
    (row,) = REGISTRY[op].inputs
    wanted = {(f"{row}[0]", "INPUTrange"), ("preset", "SELECTselect-one"), ("compare", "SELECTselect-one")}
    wanted |= {(name, kind) for name in REGISTRY[op].params for kind in ("INPUTrange", "INPUTnumber")}
    assert wanted | {(key, "INPUTradio") for key in REGISTRY[op].choices} <= met
    settle(browser)


@pytest.mark.parametrize("op", OPERATORS)
def test_choices_change_the_bits_that_are_marked(op: str, browser: Any) -> None:
    """A mark is there if and only if a step of the chosen element differs; every choice that can matters somewhere."""
    seen: set[str] = set()
    for name in PRESETS[op]:
        show(browser, op)
        choose(browser, "preset", name)
        for radio in range(len(css(browser, "[data-choice]"))):
            browser.execute_script("document.querySelectorAll('[data-choice]')[arguments[0]].click()", radio)
            shown = Shown(browser, op)
            due, *_ = called(op, shown.inputs, shown.rules)
            for step, kind, marks in shown.steps:
                assert ("changed" in kind) == (marks > 0), (name, step)
            if due is None:
                continue
            assert shown.outputs == due["out"]
            differing = {key for key in REGISTRY[op].choices if getattr(shown.rules, key) != getattr(ISEGMENTER, key)}
            seen |= differing if any(marks for *_, marks in shown.steps) else set()
    never = {"requant": set(), "shiftmax": {"quotient"}}  # a quotient of what is not positive is the same by both rules
    assert set(REGISTRY[op].choices) - seen <= never.get(op, set())


def test_what_is_said_is_said_to_screen_readers(browser: Any) -> None:
    show(browser, "shiftmax")
    browser.execute_script("document.querySelector('[data-choice=half_bit][value=dropped]').click()")
    said = css(browser, ".status")[0].text
    assert re.fullmatch(
        r"out\[2\] is [\d,]+\. With isegmenter it is [\d,]+, which differs in \d+ bits?\. \d of 8 elements differs?\.", said
    )
    time.sleep(0.6)
    (spoken,) = css(browser, "[role=status][aria-live=polite]")
    assert spoken.get_attribute("textContent") == said
    assert "largest error" in css(browser, "svg[role=img]")[0].get_attribute("aria-label")


def test_the_rules_before_are_compared_with(browser: Any) -> None:
    show(browser, "requant")
    choose(browser, "compare", "the rules before the last change")
    for value in ("floor", "half_up"):
        browser.execute_script("document.querySelector(`[data-choice][value=${arguments[0]}]`).click()", value)
    inputs = Shown(browser, "requant").inputs
    before, now = (called("requant", inputs, ISEGMENTER.replace(requant_rounding=v))[0] for v in ("floor", "half_up"))
    assert before is not None
    assert now is not None
    count = sum(a != b for a, b in zip(before["out"], now["out"], strict=True))
    assert (
        f"With the rules before it is {before['out'][2]}".replace("-", "\N{MINUS SIGN}") in css(browser, ".status")[0].text
    )
    assert f"{count} of 8 elements" in css(browser, ".status")[0].text


def test_a_refusal_says_why(browser: Any) -> None:
    show(browser, "shiftmax")
    choose(browser, "preset", "the sum wraps to 0")
    choose(browser, "dialect", "ivit-tvm")
    assert css(browser, ".status")[0].text.startswith("The call is refused: sum == 0 at [0, 0].")


def test_what_is_no_value_is_not_taken(browser: Any) -> None:
    show(browser, "requant")
    before = Shown(browser, "requant")
    field = css(browser, "[data-name=b]")[0]
    field.clear()
    field.send_keys("99")
    assert field.get_attribute("aria-invalid") == "true"
    shown = Shown(browser, "requant")
    assert (shown.outputs, shown.inputs["b"]) == (called("requant", before.inputs | {"b": 9}, ISEGMENTER)[0]["out"], 99)  # type: ignore[index]
    field.send_keys("\t")
    assert (field.get_attribute("value"), field.get_attribute("aria-invalid")) == ("32", "false")


@pytest.mark.parametrize("op", OPERATORS)
def test_rows_of_sixteen_are_recomputed_at_once(op: str, browser: Any) -> None:
    took = browser.execute_script(
        """
        const B = window.byHand, op = arguments[0], s = B.startOf(op), base = B.DATA.dialects["ivit-tvm"].rules;
        while (s.values.length < 16) s.values.push(...s.values);
        s.values.length = 16;
        return Array.from({ length: 15 }, (_, k) => {
          const start = performance.now();
          s.values[0] = BigInt(k);
          B.evaluate(op, s.rules, B.callOf(op, s, [s.values]));
          B.plotted(op, s, s.rules, base, false);
          return performance.now() - start;
        });
        """,
        op,
    )
    assert sorted(took)[len(took) // 2] < 1000 * RECOMPUTED


# --- exercises ----------------------------------------------------------------------------------------------------------


ASKED = """
const { op, dialect, state, expected, device } = window.byHand.exercise(arguments[0], "any");
const { values, ...params } = state, text = (list) => list.map(String);
const given = Object.fromEntries(Object.entries(params).map(([key, value]) => [key, String(value)]));
return { op, dialect, row: text(values), given, expected: text(expected), device: text(device) };
"""
VERDICT = """
const count = document.querySelectorAll(".evidence .step").length;
return [...arguments[0].dataset.suspect.split("="), document.querySelector(".status").textContent, count];
"""
LISTS = """
const counts = (op) => Array.from({ length: 60 }, (_, i) => window.byHand.exercise(i + 1, op).list.length);
return arguments[0].map(counts);
"""


@pytest.mark.parametrize("number", range(1, 13))
def test_an_exercise_has_one_answer_and_refuses_the_others(number: int, browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, "find-the-bug")
    field = css(browser, "[data-name=exercise]")[0]
    field.clear()
    field.send_keys(str(number))
    asked = browser.execute_script(ASKED, number)
    op, rules = asked["op"], DIALECTS[asked["dialect"]]
    (row,) = REGISTRY[op].inputs
    inputs = {row: [int(v) for v in asked["row"]], **{key: int(v) for key, v in asked["given"].items()}}
    due = called(op, inputs, rules)[0]
    device = [int(v) for v in asked["device"]]
    assert due is not None
    assert due["out"] == [int(v) for v in asked["expected"]] != device
    shown = browser.execute_script(
        "return [...document.querySelectorAll('tbody tr:nth-child(3) td')].map((c) => c.textContent)"
    )
    assert [int(v.replace(",", "").replace("\N{MINUS SIGN}", "-")) for v in shown] == device
    solved = 0
    for radio in css(browser, "[data-suspect]"):
        radio.send_keys(Keys.SPACE, Keys.ENTER)  # Enter in a form asks
        key, value, verdict, evidence = browser.execute_script(VERDICT, radio)
        found = called(op, inputs, rules.replace(**{key: value}))[0]
        if found is None:
            assert verdict.startswith("With this rule the call would be refused")
            continue
        same = sum(a == b for a, b in zip(found["out"], device, strict=True))
        solved += same == len(device)
        assert verdict.startswith("Yes: " if same == len(device) else "No: ")
        assert (
            f"all {len(device)} outputs" in verdict if same == len(device) else f"{same} of {len(device)} output" in verdict
        )
        assert evidence > 1, "the steps for it are shown"
    assert solved == 1


def test_every_operator_has_exercises(browser: Any) -> None:
    found = browser.execute_script(LISTS, OPERATORS)
    assert all(len(lists) == 60 for lists in found)


# --- access -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", VIEWS)
def test_every_control_has_a_name(view: str, browser: Any) -> None:
    show(browser, view)
    browser.execute_script("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    controls = css(browser, "input, select, button, svg, summary, pre, [tabindex='0']")
    assert [control.get_attribute("outerHTML")[:200] for control in controls if not control.accessible_name.strip()] == []


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_no_rule_of_axe_is_violated(colours: str, view: str, browser: Any) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed; see make page")
    show(browser, view)
    browser.execute_script("document.documentElement.dataset.theme = arguments[0]", colours)
    if view != "find-the-bug":
        browser.execute_script("document.querySelectorAll('[data-choice]:not(:checked)')[0].click()")
    settle(browser)
    time.sleep(0.2)  # borders that change gradually
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    found = browser.execute_async_script("axe.run().then(arguments[0])")
    told = [(v["id"], v["nodes"][0]["target"], v["nodes"][0]["failureSummary"]) for v in found["violations"]]
    assert told == []
    assert len(found["passes"]) > 15


@pytest.mark.parametrize("view", VIEWS)
def test_narrow_screens_do_not_scroll_sideways(view: str, browser: Any) -> None:
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        show(browser, view)
        settle(browser)
        assert browser.execute_script("return document.scrollingElement.scrollWidth") <= 360
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_focus_is_seen(browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, "requant")
    for _ in range(12):
        press(browser, Keys.TAB)
        style = "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, parseFloat(s.outlineWidth)]"
        kind, width = browser.execute_script(style)
        assert kind != "none"
        assert width >= 2
