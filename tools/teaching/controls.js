// Controls: a number with its slider, a choice, a list.

let made = 0;
const freshId = (name) => `${name}-${++made}`;

/** A number that is typed or moved; `changed` gets every valid one as BigInt. */
function numberControl({ name, label, value, limits, slider, changed }) {
  const [lo, hi] = limits.map(BigInt);
  const field = element("input", { type: "number", min: limits[0], max: limits[1], step: 1, inputmode: "numeric", "aria-label": label, "data-name": name });
  const range = element("input", { type: "range", min: slider[0], max: slider[1], step: 1, "aria-label": `${label}, slider`, "data-slider": name });
  const show = (number) => {
    field.value = String(number);
    range.min = String(Math.min(slider[0], Number(number)));
    range.max = String(Math.max(slider[1], Number(number)));
    range.value = String(number);
  };
  field.addEventListener("input", () => {
    const valid = /^-?\d+$/.test(field.value) && BigInt(field.value) >= lo && BigInt(field.value) <= hi;
    field.setAttribute("aria-invalid", String(!valid));
    field.title = valid ? "" : `an integer from ${limits[0]} to ${limits[1]}`;
    if (!valid) return;
    const number = BigInt(field.value);
    range.min = String(Math.min(slider[0], Number(number)));
    range.max = String(Math.max(slider[1], Number(number)));
    range.value = String(number);
    changed(number);
  });
  field.addEventListener("change", () => {
    if (field.getAttribute("aria-invalid") !== "true") return;
    const number = Math.min(Math.max(Math.round(Number(field.value) || 0), limits[0]), limits[1]);
    field.setAttribute("aria-invalid", "false");
    show(number);
    changed(BigInt(number));
  });
  range.addEventListener("input", () => {
    field.setAttribute("aria-invalid", "false");
    field.value = range.value;
    changed(BigInt(range.value));
  });
  show(value);
  return { field, range, show };
}

/** A list to choose from. */
function listControl({ name, label, options, value, changed }) {
  const id = freshId(name);
  const select = element("select", { id, "data-name": name });
  for (const [key, text] of options) select.append(element("option", { value: key, text }));
  select.value = value;
  select.addEventListener("change", () => changed(select.value));
  return { shown: element("div", { class: "list", children: [element("label", { for: id, text: label }), select] }), select };
}

/** A choice of a dialect: its values side by side, each with what it means. */
function choiceControl({ key, value, changed }) {
  const { about, note, values } = DATA.choices[key];
  const group = freshId(key), radios = {};
  const options = Object.entries(values).map(([name, { about: meaning, dialects }]) => {
    const from = dialects.length ? dialects.join(", ") : "none of the four";
    const radio = element("input", { type: "radio", name: group, value: name, "data-choice": key });
    radio.checked = name === value;
    radio.addEventListener("change", () => changed(key, name));
    radios[name] = radio;
    const words = element("span", { children: [element("code", { text: name }), ` ${meaning}`, element("span", { class: "from", text: ` · ${from}` })] });
    return element("label", { class: "option", children: [radio, words] });
  });
  const legend = element("legend", { children: [element("code", { text: key })] });
  const said = element("p", { class: "about", children: withCode(about[0].toUpperCase() + about.slice(1) + ".") });
  const noted = note ? [element("p", { class: "note", children: withCode(note) })] : [];
  const shown = element("fieldset", { class: "choice", "data-key": key, children: [legend, said, ...options, ...noted] });
  return { shown, show: (name) => (radios[name].checked = true) };
}

/** A status that is read out, but not while a slider still moves. */
function statusControl(name) {
  const shown = element("p", { class: "status", "data-status": name });
  const spoken = element("p", { class: "spoken", role: "status", "aria-live": "polite", "aria-atomic": "true" });
  let waiting;
  return {
    shown: [shown, spoken],
    say: (text, kind = "") => {
      shown.textContent = text;
      shown.className = `status ${kind}`;
      clearTimeout(waiting);
      waiting = setTimeout(() => (spoken.textContent = text), 400);
    },
  };
}
