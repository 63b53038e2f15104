// What is plotted: one input is moved while the others stay, and the integer result is held to the real function.

const POINTS = 128; // at most, in a plot

/** The values of the chosen input that are tried: `wide` for as far as the operator does anything. */
function sweep(op, state, wide) {
  const { row, limits } = DATA.operators[op];
  const [lo, hi] = limits[row].map(Number), chosen = Number(state.values[state.chosen]);
  const x0 = -Number(state.x0 ?? 0);
  let from, to;
  if (op === "requant") {
    const step = 2 ** Number(state.e) / Math.max(Math.abs(Number(state.m)), 1);
    const reach = wide ? 1.3 * step * 2 ** (Number(state.b) - 1) : Math.max(8 * step, 4);
    [from, to] = wide ? [-reach, reach] : [chosen - reach, chosen + reach];
  } else if (op === "shift_exp") {
    [from, to] = wide ? [(-Number(state.n) * x0) / 1.3, x0] : [-4 * x0, Math.max(x0 / 2, 4)];
    [from, to] = [Math.min(from, chosen), Math.max(to, chosen)];
  } else if (op === "shiftmax") {
    const others = state.values.filter((_, i) => i !== state.chosen).map(Number);
    const top = others.length ? Math.max(...others) : chosen;
    const reach = wide ? (Number(state.n) * x0) / 1.3 : 5 * x0;
    [from, to] = [Math.min(top - reach, chosen), Math.max(top + reach, chosen)];
  } else if (op === "layernorm") {
    const others = state.values.map(Number), span = Math.max(Math.max(...others) - Math.min(...others), 8);
    const reach = wide ? 8 * span : 1.5 * span;
    [from, to] = [chosen - reach, chosen + reach];
  } else {
    [from, to] = wide ? [lo, hi] : [Math.min(-3 * x0, chosen), Math.max(3 * x0, chosen)];
  }
  from = Math.max(Math.floor(from), lo);
  to = Math.min(Math.ceil(to), hi);
  const count = Math.min(to - from + 1, POINTS), tried = new Set([chosen]);
  for (let k = 0; k < count; ++k) tried.add(from + Math.round((k * (to - from)) / Math.max(count - 1, 1)));
  return [...tried].sort((a, b) => a - b);
}

/** The points of a plot: for every value of the chosen input the result, what it should be, and what decided it. */
function plotted(op, state, rules, base, wide) {
  const tried = sweep(op, state, wide), i = state.chosen, columns = state.values.length;
  const alone = op === "requant" || op === "shift_exp"; // no other element matters
  const rows = tried.map((x) => (alone ? [BigInt(x)] : state.values.with(i, BigInt(x))));
  const call = callOf(op, state, rows), column = alone ? 0 : i;
  const own = evaluate(op, rules, call).values, other = base ? evaluate(op, base, call).values : null;
  const unit = REAL[op].unit(state, columns);
  return tried.map((x, k) => {
    const row = rows[k].map(Number), due = REAL[op].of(row, column, state);
    const out = Number(at(own, "out", column, k)) * unit;
    const before = other ? Number(at(other, "out", column, k)) * unit : null;
    return {
      x, due, out, error: out - due, before,
      errorBefore: other ? before - due : null,
      tie: TIES[op].holds(own, column, k),
      saturated: SATURATIONS[op].holds(own, column, k),
    };
  });
}

/** Round values for an axis. */
function ticks(lo, hi, count) {
  const raw = (hi - lo) / count || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((size) => size >= raw * 0.999);
  const found = [];
  for (let k = Math.ceil(lo / step); k * step <= hi * (1 + 1e-9) + 1e-12; ++k) found.push(k * step);
  return found;
}
