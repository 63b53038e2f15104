// Find the bug: a device that follows one wrong rule, its outputs beside the expected ones, and the rules it might have broken.

const EXERCISE = { number: 1, op: "any" };
const TRIES = 400; // calls that are drawn until exactly one rule explains the device

/** Numbers below a limit, the same for the same seed (mulberry32). */
function drawing(seed) {
  let state = (seed * 0x9e3779b1) >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** A call that may show what is wrong. */
function drawnCall(op, draw) {
  const between = (lo, hi) => lo + draw(hi - lo + 1);
  const row = (count, lo, hi) => Array.from({ length: count }, () => BigInt(between(lo, hi)));
  const width = between(4, 7);
  if (op === "requant") {
    const e = between(31, 34);
    return { values: row(width, -40, 40), m: 1n << 30n, e: BigInt(e), b: 8n };
  }
  if (op === "layernorm") {
    const large = draw(3) === 0;
    return { values: large ? row(width, -32000, 32000) : row(width, -12, 12), bias: BigInt(large ? 0 : between(0, 3) === 0 ? 1500000000 : 0) };
  }
  const steep = draw(3) === 0;
  const call = { x0: BigInt(-between(3, 40)), n: BigInt(steep ? between(24, 30) : between(8, 16)), b: op === "shiftmax" ? 16n : 8n };
  if (op === "shift_exp") return { values: row(width, -60, 12), x0: call.x0, n: BigInt(between(6, 14)) };
  if (op === "shiftmax") return { values: row(width, -60, 60), ...call };
  const values = draw(2) ? row(width, -100, -20) : row(width, -60, 60);
  return op === "lambda_shiftgelu" ? { values, ...call, lam: BigInt(between(20, 90)) } : { values, ...call };
}

/** Every rule that differs from `rules` in one choice. */
function suspects(op, rules) {
  return DATA.operators[op].keys.flatMap((key) =>
    Object.keys(DATA.choices[key].values).filter((value) => value !== rules[key]).map((value) => ({ key, value, rules: { ...rules, [key]: value } })));
}

/** The outputs of a call, or null where it is refused. */
function outputsOf(op, state, rules) {
  const { values, refused } = evaluate(op, rules, callOf(op, state, [state.values]));
  return refused ? null : state.values.map((_, i) => at(values, "out", i));
}

const sameOutputs = (a, b) => a !== null && b !== null && a.every((value, i) => value === b[i]);

/** Exercise `number` of an operator, or of any: the same on every machine. */
function exercise(number, wanted) {
  const draw = drawing(number * 31 + 7), ops = Object.keys(DATA.operators);
  const op = wanted === "any" ? ops[(number - 1) % ops.length] : wanted;
  for (let tried = 0; tried < TRIES; ++tried) {
    const names = Object.keys(DATA.dialects);
    const dialect = names[draw(names.length)], rules = rulesOf(op, dialect);
    const state = drawnCall(op, draw), list = suspects(op, rules);
    const broken = list[draw(list.length)];
    const expected = outputsOf(op, state, rules), device = outputsOf(op, state, broken.rules);
    if (expected === null || device === null || sameOutputs(expected, device)) continue;
    const explaining = list.filter((one) => sameOutputs(outputsOf(op, state, one.rules), device));
    if (explaining.length === 1) return { op, dialect, rules, state, list, expected, device };
  }
  throw new Error(`exercise ${number} of ${op}: no call shows exactly one rule`);
}

/** How far a rule explains a device. */
function judged({ op, state, device, expected }, suspect) {
  const found = outputsOf(op, state, suspect.rules);
  if (found === null) return { right: false, found, first: null, text: "With this rule the call would be refused; the device answered." };
  const wrong = found.map((value, i) => value !== device[i]);
  const count = wrong.filter(Boolean).length, first = wrong.indexOf(true);
  if (count === 0) {
    const shown = expected.findIndex((value, i) => value !== device[i]);
    return { right: true, found, first: shown, text: `Yes: ${suspect.key} = ${suspect.value} reproduces all ${counted(found.length, "output")} of the device.` };
  }
  const text = `No: ${suspect.key} = ${suspect.value} reproduces ${found.length - count} of ${counted(found.length, "output")}. ` +
    `out[${first}] of the device is ${decimal(device[first])}, with this rule ${decimal(found[first])}.`;
  return { right: false, found, first, text };
}

function showExercises(view) {
  const status = statusControl("exercise");
  const body = element("div", { class: "exercise" });
  const choose = numberControl({ name: "exercise", label: "exercise", value: EXERCISE.number, limits: [1, 9999], slider: [1, 30], changed: (number) => {
    EXERCISE.number = Number(number);
    build();
  } });
  const about = listControl({
    name: "about", label: "about", value: EXERCISE.op, changed: (op) => {
      EXERCISE.op = op;
      build();
    },
    options: [["any", "every operator in turn"], ...Object.keys(DATA.operators).map((op) => [op, op])],
  });
  const next = element("button", { type: "button", text: "Next exercise", "data-name": "next" });
  next.addEventListener("click", () => {
    EXERCISE.number += 1;
    choose.show(EXERCISE.number);
    build();
  });
  const bar = element("div", { class: "bar", children: [
    element("div", { class: "param", children: [element("span", { text: "exercise", "aria-hidden": "true" }), choose.field, choose.range] }), about.shown, next,
  ] });

  function build() {
    const asked = exercise(EXERCISE.number, EXERCISE.op);
    const { op, dialect, state, list, expected, device } = asked;
    const { row, params } = DATA.operators[op];
    const given = params.map((name) => `${name} = ${decimal(state[name])}`).join(", ");
    const group = freshId("suspect");
    const table = tableOf(asked, null);
    const options = list.map((one, i) => {
      const radio = element("input", { type: "radio", name: group, value: i, "data-suspect": `${one.key}=${one.value}` });
      const words = element("span", { children: [element("code", { text: `${one.key} = ${one.value}` }), ` instead of `, element("code", { text: asked.rules[one.key] }),
        element("span", { class: "from", text: ` · ${DATA.choices[one.key].values[one.value].about}` })] });
      return element("label", { class: "option", children: [radio, words] });
    });
    const check = element("button", { type: "submit", text: "Does it explain the device?", "data-name": "check" });
    const steps = element("div", { class: "evidence" });
    const form = element("form", { class: "card", children: [
      element("fieldset", { class: "choice", children: [element("legend", { text: "Which rule did the device break?" }), ...options] }), check,
    ] });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const picked = form.querySelector("input:checked");
      if (!picked) {
        status.say("Choose a rule first.");
        return;
      }
      const suspect = list[Number(picked.value)], verdict = judged(asked, suspect);
      status.say(verdict.text, verdict.right ? "right" : "wrong");
      body.querySelector("table").replaceWith(tableOf(asked, verdict.found));
      steps.replaceChildren();
      if (verdict.first === null) return;
      const call = callOf(op, state, [state.values]), i = verdict.first;
      const own = evaluate(op, suspect.rules, call), other = evaluate(op, asked.rules, call);
      steps.append(
        element("h2", { children: ["The steps to ", element("code", { text: `out[${i}]` }), ` with ${suspect.key} = ${suspect.value}, and as expected`] }),
        element("ol", { class: "steps", "aria-label": "the steps", children: stepsOf(op, state, suspect.rules, own, other, i).map((step) => stepShown(step, "expected")) }));
    });
    status.say("Choose a rule, and ask whether it explains every output.");
    body.replaceChildren(
      element("p", { children: ["The device computes ", element("code", { text: op }), ` and should follow the rules of `, element("code", { text: dialect }),
        `. One of its rules is another one. It was given ${given}, and the row ${row} below.`] }),
      element("div", { class: "scrolled", tabindex: "0", role: "group", "aria-label": "outputs", children: [table] }),
      element("div", { class: "bench even", children: [form, element("div", { class: "outcome", children: [...status.shown, steps] })] }));
  }

  /** Inputs, what was expected, what the device answered, and what a rule would give. */
  function tableOf({ op, state, expected, device }, found) {
    const { row } = DATA.operators[op];
    const line = (name, values, other) => element("tr", { children: [element("th", { scope: "row", text: name }), ...values.map((value, i) => {
      const differs = other && value !== other[i];
      return element("td", { class: differs ? "differs" : null, children: [differs ? element("mark", { text: decimal(value) }) : decimal(value)] });
    })] });
    const rows = [line(row, state.values), line("expected", expected), line("device", device, expected)];
    if (found) rows.push(line("your rule", found, device));
    const numbers = element("tr", { children: [element("td"), ...state.values.map((_, i) => element("th", { scope: "col", text: `[${i}]` }))] });
    const caption = element("caption", { text: found ? "Marked: where the device differs from what is expected, and where your rule differs from the device." : "Marked: where the device differs from what is expected." });
    return element("table", { children: [caption, element("thead", { children: [numbers] }), element("tbody", { children: rows })] });
  }

  view.replaceChildren(
    element("header", { children: [
      element("h1", { tabindex: "-1", text: "Find the bug" }),
      element("p", { class: "summary", text: "Exactly one rule explains each device. A rule that explains only some of its outputs is not the one." }),
    ] }),
    bar, body);
  build();
}
