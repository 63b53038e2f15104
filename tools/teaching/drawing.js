// The plot as SVG: the real function dotted, the integer one as a line, what it was before as a dashed one; below, the error.

const SVG = "http://www.w3.org/2000/svg";
const PLOT = { width: 720, height: 250, error: 96, left: 58, right: 14, top: 24, gap: 34, bottom: 38 }; // the width is that of the page
const MARKED = 48; // marks of a kind that are drawn

function shape(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A pair of axes: functions from values to places. */
function axes(xs, ys, top, height) {
  const [x0, x1] = xs[0] === xs[1] ? [xs[0] - 1, xs[1] + 1] : xs;
  const room = (ys[1] - ys[0]) * 0.06 || Math.abs(ys[0]) * 0.1 || 1;
  const [y0, y1] = [ys[0] - room, ys[1] + room];
  const width = PLOT.width - PLOT.left - PLOT.right;
  return {
    x: (value) => PLOT.left + ((value - x0) / (x1 - x0)) * width,
    y: (value) => top + ((y1 - value) / (y1 - y0)) * height,
    range: [x0, x1, y0, y1],
    top,
    height,
  };
}

function frame(svg, place, labels) {
  const { range: [x0, x1, y0, y1], top, height } = place;
  svg.append(shape("rect", { class: "plane", x: PLOT.left, y: top, width: PLOT.width - PLOT.left - PLOT.right, height }));
  for (const value of ticks(y0, y1, height > 150 ? 5 : 3)) {
    svg.append(shape("line", { class: value === 0 ? "zero" : "grid", x1: PLOT.left, x2: PLOT.width - PLOT.right, y1: place.y(value), y2: place.y(value) }));
    svg.append(shape("text", { class: "tick", x: PLOT.left - 7, y: place.y(value) + 4, "text-anchor": "end" }, real(Number(value.toPrecision(10)))));
  }
  for (const value of ticks(x0, x1, PLOT.width / 90)) {
    if (value < x0 || value > x1) continue;
    svg.append(shape("line", { class: value === 0 ? "zero" : "grid", x1: place.x(value), x2: place.x(value), y1: top, y2: top + height }));
    if (labels) svg.append(shape("text", { class: "tick", x: place.x(value), y: top + height + 17, "text-anchor": "middle" }, real(value)));
  }
}

const path = (points, place, key) =>
  points.map((p, i) => `${i ? "L" : "M"}${place.x(p.x).toFixed(1)},${place.y(p[key]).toFixed(1)}`).join("");

/** A staircase where every integer is tried, else a line. */
function stairs(points, place, key) {
  const whole = points.every((p, i) => i === 0 || p.x - points[i - 1].x === 1);
  if (!whole || points.length > 90) return path(points, place, key);
  const last = points.length - 1;
  return points
    .map((p, i) => {
      const [left, right] = [p.x - (i ? 0.5 : 0), p.x + (i < last ? 0.5 : 0)].map((x) => place.x(x).toFixed(1));
      const y = place.y(p[key]).toFixed(1);
      return `${i ? "L" : "M"}${left},${y}L${right},${y}`;
    })
    .join("");
}

const some = (points) => (points.length <= MARKED ? points : points.filter((_, i) => i % Math.ceil(points.length / MARKED) === 0));

/** What the plot shows, in words. */
function told(op, points, name) {
  const worst = points.reduce((a, b) => (Math.abs(b.error) > Math.abs(a.error) ? b : a));
  const ties = points.filter((p) => p.tie).length, saturated = points.filter((p) => p.saturated).length;
  return (
    `${REAL[op].name} and ${op} while ${name} moves from ${real(points[0].x)} to ${real(points.at(-1).x)}. ` +
    `The largest error is ${real(worst.error)}, at ${real(worst.x)}. Of ${points.length} values tried, ${ties} are ties and ${saturated} are at a limit.`
  );
}

/** Draw a plot into an SVG; returns what it shows in words. */
function draw(svg, op, points, chosen, name) {
  svg.replaceChildren();
  PLOT.width = Math.max(svg.clientWidth, 280);
  const total = PLOT.top + PLOT.height + PLOT.gap + PLOT.error + PLOT.bottom;
  svg.setAttribute("viewBox", `0 0 ${PLOT.width} ${total}`);
  const text = told(op, points, name);
  svg.setAttribute("aria-label", text);
  const keys = ["due", "out", ...(points[0].before === null ? [] : ["before"])];
  const range = (names) => {
    const found = points.flatMap((p) => names.map((key) => p[key])).filter(Number.isFinite);
    return [Math.min(...found), Math.max(...found)];
  };
  const xs = [points[0].x, points.at(-1).x];
  const upper = axes(xs, range(keys), PLOT.top, PLOT.height);
  const [low, high] = range(keys.includes("before") ? ["error", "errorBefore"] : ["error"]);
  const lower = axes(xs, [Math.min(low, 0), Math.max(high, 0)], PLOT.top + PLOT.height + PLOT.gap, PLOT.error);
  frame(svg, upper, false);
  frame(svg, lower, true);
  for (const place of [upper, lower]) {
    svg.append(shape("line", { class: "chosen", x1: place.x(chosen), x2: place.x(chosen), y1: place.top, y2: place.top + place.height }));
  }
  if (keys.includes("before")) svg.append(shape("path", { class: "line before", d: stairs(points, upper, "before") }));
  svg.append(shape("path", { class: "line out", d: stairs(points, upper, "out") }));
  svg.append(shape("path", { class: "line due", d: path(points, upper, "due") }));
  if (keys.includes("before")) svg.append(shape("path", { class: "line before", d: stairs(points, lower, "errorBefore") }));
  svg.append(shape("path", { class: "line error", d: stairs(points, lower, "error") }));
  const outlines = {
    saturated: (x, y, r) => `M${x - r},${y + r}L${x},${y - r}L${x + r},${y + r}Z`,
    tie: (x, y, r) => `M${x},${y - r}L${x + r},${y}L${x},${y + r}L${x - r},${y}Z`,
  };
  for (const [kind, outline] of Object.entries(outlines)) {
    const marked = some(points.filter((point) => point[kind])), radius = marked.length > 20 ? 3.2 : 4.8;
    for (const p of marked) svg.append(shape("path", { class: `mark ${kind}`, d: outline(upper.x(p.x), upper.y(p.out), radius) }));
  }
  const here = points.find((p) => p.x === chosen);
  svg.append(shape("circle", { class: "here", cx: upper.x(chosen), cy: upper.y(here.out), r: 5 }));
  svg.append(shape("circle", { class: "here", cx: lower.x(chosen), cy: lower.y(here.error), r: 4 }));
  svg.append(shape("text", { class: "label", x: PLOT.left, y: PLOT.top - 9 }, `${op}, and ${REAL[op].name}`));
  svg.append(shape("text", { class: "label", x: PLOT.left, y: lower.top - 9 }, "error: integer − real"));
  svg.append(shape("text", { class: "tick", x: PLOT.width - PLOT.right, y: total - 4, "text-anchor": "end" }, name));
  return text;
}
