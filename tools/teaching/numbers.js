// Numbers for people: decimals, and bits with the binary point.

const WIDEST = 64; // bits that are shown of a value

const grouped = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ",");

/** An integer in decimal. */
function decimal(value) {
  const digits = String(value < 0n ? -value : value);
  const sign = value < 0n ? "−" : "";
  if (digits.length > 26) return `${sign}${digits[0]}.${digits.slice(1, 5)}…e${digits.length - 1}`;
  return sign + grouped(digits);
}

/** A real number in a few digits. */
function real(value) {
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-4 || size >= 1e7) ? value.toExponential(3) : String(Number(value.toPrecision(5)));
  return text.replace("-", "−");
}

/** The bits of a value in two's complement. */
const bitsOf = (value) => (value < 0n ? -value - 1n : value).toString(2).length + (value === 0n || value === -1n ? 0 : 1);

/** The bits in which values are shown beside each other: a whole number of groups of four on each side of the point. */
function widthOf(values, point) {
  const above = Math.max(...values.map(bitsOf), point + 1) - point;
  return Math.min(Math.max(Math.ceil(above / 4) * 4, 4) + point, Math.max(WIDEST, point + 4));
}

/** The bits of a value from the highest to the lowest, as characters. */
function bits(value, width) {
  return BigInt.asUintN(width, value).toString(2).padStart(width, "0").split("");
}

/** Elements with the bits of a value; those that differ from `other`, if there is one, are marked. */
function bitsShown(value, other, point) {
  const width = widthOf(other === null ? [value] : [value, other], point);
  const own = bits(value, width), before = other === null ? own : bits(other, width);
  const shown = document.createElement("span");
  shown.className = "bits";
  if (bitsOf(value) > width) shown.append("…");
  let run = "", changed = false;
  const flush = () => {
    if (run) shown.append(changed ? element("mark", { text: run }) : run);
    run = "";
  };
  own.forEach((bit, i) => {
    const left = width - i; // bits from here to the right end
    if (i > 0 && left === point) {
      flush();
      shown.append(element("span", { class: "point", text: "." }), document.createElement("wbr"));
    } else if (i > 0 && (left - point) % 4 === 0) {
      flush();
      shown.append(element("span", { class: "group", text: "_" }), document.createElement("wbr"));
    }
    if ((bit !== before[i]) !== changed) {
      flush();
      changed = !changed;
    }
    run += bit;
  });
  flush();
  return shown;
}

/** How many bits of two values differ. */
function bitsApart(a, b) {
  const width = Math.max(bitsOf(a), bitsOf(b));
  return bits(a ^ b, width).filter((bit) => bit === "1").length;
}

const counted = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

/** An element of the page. */
function element(tag, { text, children = [], ...attributes } = {}) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== false) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

/** Text in which what stands between backquotes is code. */
function withCode(text) {
  return text.split("`").map((part, i) => (i % 2 ? element("code", { text: part }) : part));
}
