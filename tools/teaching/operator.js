// An operator with its inputs, rules, plot and steps.

const STATES = {};
const LONGEST = 16; // elements of a row
const PREVIOUS = "the rules before the last change";

function startOf(op, name = Object.keys(DATA.operators[op].presets)[0]) {
  const { row, params, presets, keys } = DATA.operators[op];
  const preset = presets[name];
  const state = { preset: name, values: preset[row].map(BigInt), chosen: Math.min(2, preset[row].length - 1) };
  for (const param of params) state[param] = BigInt(preset[param]);
  const base = DATA.dialects[DATA.default].rules;
  state.rules = Object.fromEntries(keys.map((key) => [key, base[key]]));
  return { ...state, previous: null, compare: DATA.default, wide: false };
}

const rulesOf = (op, dialect) => Object.fromEntries(DATA.operators[op].keys.map((key) => [key, DATA.dialects[dialect].rules[key]]));
const sameRules = (a, b) => Object.keys(a).every((key) => a[key] === b[key]);
const dialectsOf = (op, rules) => Object.keys(DATA.dialects).filter((name) => sameRules(rules, rulesOf(op, name)));

/** An equation; what a line says behind it stands beside it. */
function equationOf(formula) {
  const lines = formula.split("\n").map((line) => {
    const [code, ...said] = line.split(/ {5,}/);
    return element("div", { children: [element("code", { text: code }), element("span", { text: said.join(" ") })] });
  });
  return element("div", { class: "equation", role: "group", tabindex: "0", "aria-label": "the equation", children: lines });
}

/** The head of an operator's view: what it is, and its equation. */
function headOf(op) {
  const { summary, formula, sentences, source } = DATA.operators[op];
  const text = sentences.map((sentence) => element("p", { text: sentence }));
  return element("header", {
    children: [
      element("h1", { tabindex: "-1", children: [element("code", { text: op })] }),
      element("p", { class: "summary", text: summary[0].toUpperCase() + summary.slice(1) }),
      element("div", { class: "lesson", children: [
        element("div", { class: "sentences", children: [...text, element("p", { class: "source", text: `Source: ${source}` })] }),
        equationOf(formula),
      ] }),
    ],
  });
}

/** Everything of an operator, in `view`. */
function showOperator(op, view) {
  const state = (STATES[op] ??= startOf(op));
  const { row, params, limits, sliders, presets, keys } = DATA.operators[op];
  const status = statusControl(op);
  const cells = element("div", { class: "cells" });
  const svg = shape("svg", { role: "img", class: "plot" });
  const steps = element("ol", { class: "steps", "aria-label": "the steps" });
  const code = element("code"), stepsHead = element("h2");
  const legend = element("p", { class: "legend" });
  let outputs = [], choices = {}, frameAsked = 0;

  const compared = () => (state.compare === PREVIOUS ? state.previous : rulesOf(op, state.compare));
  const besideText = () => (state.compare === PREVIOUS ? "before" : state.compare);

  function buildCells() {
    cells.replaceChildren();
    outputs = state.values.map((value, i) => {
      const name = `${row}[${i}]`;
      const pick = element("input", { type: "radio", name: `${op}-element`, value: i, "data-pick": i, "aria-label": `show the steps of ${name}` });
      pick.checked = i === state.chosen;
      const choose = () => {
        if (state.chosen === i) return;
        state.chosen = i;
        for (const radio of cells.querySelectorAll("[data-pick]")) radio.checked = Number(radio.value) === i;
        update();
      };
      pick.addEventListener("change", choose);
      const control = numberControl({ name, label: name, value, limits: limits[row], slider: sliders[row], changed: (number) => {
        state.values[i] = number;
        update();
      } });
      control.field.addEventListener("focus", choose);
      control.range.addEventListener("focus", choose);
      const result = element("output", { class: "result" });
      const label = element("label", { class: "pick", children: [pick, element("code", { text: name })] });
      const cell = element("div", { class: "cell", children: [label, control.field, control.range, result] });
      cells.append(cell);
      return { cell, result };
    });
  }

  function update() {
    state.chosen = Math.min(state.chosen, state.values.length - 1);
    const call = callOf(op, state, [state.values]), base = compared();
    const own = evaluate(op, state.rules, call);
    const other = base && !sameRules(base, state.rules) ? evaluate(op, base, call) : null;
    const i = state.chosen, name = `${row}[${i}]`;
    let differing = 0;
    outputs.forEach(({ cell, result }, k) => {
      const value = at(own.values, "out", k), before = other ? at(other.values, "out", k) : value;
      const tie = TIES[op].holds(own.values, k, 0), saturated = SATURATIONS[op].holds(own.values, k, 0);
      differing += value !== before;
      cell.className = `cell${k === i ? " chosen" : ""}${value !== before ? " changed" : ""}`;
      result.replaceChildren(decimal(value));
      if (tie) result.append(element("span", { class: "sign tie", title: TIES[op].what, text: " ◆" }), element("span", { class: "spoken", text: " tie" }));
      if (saturated) result.append(element("span", { class: "sign saturated", title: SATURATIONS[op].what, text: " ▲" }), element("span", { class: "spoken", text: " at a limit" }));
    });
    steps.replaceChildren(...stepsOf(op, state, state.rules, own, other, i).map((step) => stepShown(step, besideText())));
    stepsHead.replaceChildren("The steps to ", element("code", { text: `out[${i}]` }));
    status.say(sentence(own, other, i, differing), own.refused ? "refused" : other && differing ? "differs" : "");
    code.textContent = sourcesOf(op, state.rules);
    cancelAnimationFrame(frameAsked);
    frameAsked = requestAnimationFrame(() => {
      draw(svg, op, plotted(op, state, state.rules, other ? base : null, state.wide), Number(state.values[i]), name);
      legend.replaceChildren(...legendOf(op, other ? besideText() : null));
    });
  }

  function sentence(own, other, i, differing) {
    const value = at(own.values, "out", i), total = state.values.length;
    if (own.refused) return `The call is refused: ${own.refused}. The steps show what was computed before.`;
    const start = `out[${i}] is ${decimal(value)}.`;
    const than = state.compare === PREVIOUS ? "the rules before" : state.compare;
    if (!other) return state.compare === PREVIOUS && !state.previous ? start : `${start} The rules are those of ${than}.`;
    if (other.refused) return `${start} With ${than} the call is refused: ${other.refused}.`;
    const before = at(other.values, "out", i);
    const own_ = value === before ? "the same" : `${decimal(before)}, which differs in ${counted(bitsApart(value, before), "bit")}`;
    return `${start} With ${than} it is ${own_}. ${differing} of ${counted(total, "element")} ${differing === 1 ? "differs" : "differ"}.`;
  }

  function change(key, value) {
    if (state.rules[key] === value) return;
    state.previous = { ...state.rules };
    state.rules = { ...state.rules, [key]: value };
    showRules();
    update();
  }

  const dialect = listControl({
    name: "dialect", label: "all rules of", value: "", changed: (name) => {
      if (!DATA.dialects[name]) return;
      state.previous = { ...state.rules };
      state.rules = rulesOf(op, name);
      showRules();
      update();
    },
    options: [["", "a mixture"], ...Object.entries(DATA.dialects).map(([name, { origin }]) => [name, `${name}: ${origin}`])],
  });
  function showRules() {
    for (const key of keys) choices[key].show(state.rules[key]);
    const names = dialectsOf(op, state.rules);
    dialect.select.value = names.includes(dialect.select.value) ? dialect.select.value : names.includes(DATA.default) ? DATA.default : names[0] ?? "";
  }

  const preset = listControl({
    name: "preset", label: "start from", value: state.preset, options: Object.keys(presets).map((name) => [name, name]), changed: (name) => {
      const { rules, previous, compare, wide } = state;
      Object.assign(state, startOf(op, name), { rules, previous, compare, wide });
      showOperator(op, view);
      view.querySelector('[data-name="preset"]').focus();
    },
  });
  const count = numberControl({ name: "elements", label: "elements of the row", value: state.values.length, limits: [1, LONGEST], slider: [1, LONGEST], changed: (number) => {
    const wanted = Number(number);
    while (state.values.length < wanted) state.values.push(state.values[state.values.length % 3]);
    state.values.length = wanted;
    buildCells();
    update();
  } });
  const compare = listControl({
    name: "compare", label: "marked bits differ from", value: state.compare, changed: (name) => {
      state.compare = name;
      update();
    },
    options: [...Object.keys(DATA.dialects).map((name) => [name, name]), [PREVIOUS, PREVIOUS]],
  });
  const wide = listControl({
    name: "window", label: "window", value: state.wide ? "wide" : "near", options: [["near", "near the chosen value"], ["wide", "up to the limits"]], changed: (name) => {
      state.wide = name === "wide";
      update();
    },
  });
  choices = Object.fromEntries(keys.map((key) => [key, choiceControl({ key, value: state.rules[key], changed: change })]));

  const numbersShown = params.map((name) => {
    const control = numberControl({ name, label: name, value: state[name], limits: limits[name], slider: sliders[name], changed: (number) => {
      state[name] = number;
      update();
    } });
    return element("div", { class: "param", children: [element("code", { text: name, "aria-hidden": "true" }), control.field, control.range] });
  });
  const countShown = element("div", { class: "param", children: [element("span", { text: "elements", "aria-hidden": "true" }), count.field, count.range] });
  const inputs = element("section", { class: "card", "aria-label": "inputs", children: [
    element("h2", { text: "Inputs" }), preset.shown, cells, element("div", { class: "params", children: [countShown, ...numbersShown] }),
  ] });
  const rules = element("section", { class: "card", "aria-label": "rules", children: [
    element("h2", { text: "Rules" }), dialect.shown, compare.shown, ...keys.map((key) => choices[key].shown),
  ] });
  const plot = element("figure", { children: [svg, element("figcaption", { children: [legend, wide.shown] })] });
  const source = element("details", { class: "code", children: [
    element("summary", { text: "The JavaScript that computes this, printed from the operator's equation" }),
    element("pre", { role: "group", tabindex: "0", "aria-label": "JavaScript", children: [code] }),
  ] });
  const outcome = element("div", { class: "outcome", children: [...status.shown, plot, stepsHead, steps, source] });
  view.replaceChildren(headOf(op), element("div", { class: "bench", children: [element("div", { class: "hands", children: [inputs, rules] }), outcome] }));
  buildCells();
  showRules();
  update();
  new ResizeObserver(([{ contentRect }]) => {
    if (svg.isConnected && Math.abs(contentRect.width - PLOT.width) > 1) update();
  }).observe(plot);
}

/** What the lines and marks of a plot are. */
function legendOf(op, beside) {
  const item = (kind, text) => element("span", { class: "key", children: [element("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), text] });
  const lines = [item("due", REAL[op].name), item("out", op)];
  if (beside) lines.push(item("before", beside === "before" ? "before the last change" : `with ${beside}`));
  return [...lines, item("tie", `tie: ${TIES[op].what}`), item("saturated", `limit: ${SATURATIONS[op].what}`)];
}
