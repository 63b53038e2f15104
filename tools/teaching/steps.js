// The steps to one element, each in decimal and in bits; bits that other rules would make different are marked.

/** One step as an item of the list. */
function stepShown({ name, formula, phrase, value, before, point, row, named }, beside) {
  const changed = before !== null && before !== value;
  const head = element("div", { class: "head", children: [element("span", { class: named ? "name" : "name inner", text: name })] });
  if (formula) head.append(element("code", { class: "formula", text: formula }));
  const about = element("p", { class: "phrase", text: phrase + (row ? ", one for the row" : "") });
  const figures = (number, other, label) => {
    const shown = element("p", { class: label ? "figures other" : "figures" });
    if (label) shown.append(element("span", { class: "beside", text: label }), " ");
    shown.append(element("span", { class: "decimal", text: decimal(number) }));
    if (point) shown.append(" ", element("span", { class: "real", text: `= ${real(Number(number) / 2 ** point)}` }));
    shown.append(" ", bitsShown(number, other, point));
    return shown;
  };
  const values = element("div", { class: "values", children: [figures(value, changed ? before : null, "")] });
  if (changed) values.append(figures(before, value, beside));
  const item = element("li", { class: changed ? "step changed" : "step", "data-step": name });
  item.append(element("div", { class: "what", children: [head, about] }), values);
  return item;
}

/** The steps of element `i` of a call under some rules, beside those under others. */
function stepsOf(op, state, rules, own, other, i) {
  const { row, stages } = DATA.operators[op];
  const value = at(own.values, row, i);
  const found = [{ name: `${row}[${i}]`, formula: "", phrase: "the input", value, before: null, point: 0, row: false, named: true }];
  for (const stage of stages) {
    const formula = formulaOf(stage, rules);
    found.push({
      name: stage.step,
      formula: formula.includes("...") ? "" : formula.replaceAll("columns", "n"),
      phrase: stage.phrase,
      value: at(own.values, stage.step, i),
      before: other ? at(other.values, stage.step, i) : null,
      point: Math.max(pointOf(stage, state), 0),
      row: state.values.length > 1 && ofRow(own.values, stage.step),
      named: stage.named,
    });
  }
  return found;
}

/** The functions that computed the steps, as they were printed. */
const sourcesOf = (op, rules) => DATA.operators[op].stages.map((stage) => sourceOf(stage, rules)).join("\n");
