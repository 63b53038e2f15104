// Operations on integer arrays, the closed set that every function here is made of, and the door in front of a function.
//
// An array is { shape, data }: the lengths of its axes as numbers, and its elements row by row as BigInt. A BigInt is an array
// without axes. Truth is 1n and 0n. Quotients floor, shifts to the right are arithmetic: BigInt has no width.

/** A call that an operator does not take: a shape, a value outside its format, or what its equation refuses. */
export class Refused extends RangeError {
  constructor(op, reason) {
    super(`${op}: ${reason}`);
    this.name = new.target.name;
    this.op = op;
    this.reason = reason;
  }
}

/** A call of other shapes than a function has. */
export class ShapeMismatch extends Refused {}

const TRUE = 1n, FALSE = 0n;
const sizeOf = (shape) => shape.reduce((count, side) => count * side, 1);
const shapeOf = (x) => (typeof x === "bigint" ? [] : x.shape);
const dataOf = (x) => (typeof x === "bigint" ? [x] : x.data);
const array = (shape, data) => ({ shape, data });
const numbers = (shape) => shape.map(Number);

/** An array from nested lists of integers: numbers, BigInt or an array itself. TypeError for anything else. */
export function tensor(value, name = "value") {
  if (typeof value === "bigint") return array([], [value]);
  if (typeof value === "boolean") return array([], [value ? TRUE : FALSE]);
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw new TypeError(`${name}: ${value} is not an integer; use BigInt above 2**53`);
    return array([], [BigInt(value)]);
  }
  if (Array.isArray(value)) {
    const parts = value.map((part) => tensor(part, name));
    const shape = parts.length ? parts[0].shape : [];
    if (parts.some((part) => String(part.shape) !== String(shape) || part.shape.length !== shape.length)) {
      throw new TypeError(`${name}: rows of different lengths`);
    }
    return array([parts.length, ...shape], parts.flatMap((part) => part.data));
  }
  if (value && Array.isArray(value.shape) && Array.isArray(value.data)) {
    if (value.data.length !== sizeOf(value.shape) || value.data.some((v) => typeof v !== "bigint")) {
      throw new TypeError(`${name}: data are as many BigInt as the shape has elements`);
    }
    return array([...value.shape], value.data);
  }
  throw new TypeError(`${name}: expected integers`);
}

/** The nested lists of an array. */
export function nested(x) {
  const { shape, data } = tensor(x);
  if (!shape.length) return data[0];
  const inner = sizeOf(shape.slice(1));
  return Array.from({ length: shape[0] }, (_, i) => nested(array(shape.slice(1), data.slice(i * inner, (i + 1) * inner))));
}

// --- element by element, arguments broadcast ---------------------------------------------------------------------------

function broadcast(shapes) {
  const axes = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: axes }, (_, i) => {
    const sides = shapes.map((shape) => shape[shape.length - axes + i] ?? 1).filter((side) => side !== 1);
    if (sides.some((side) => side !== sides[0])) throw new RangeError(`shapes ${shapes.map(String).join(" and ")}`);
    return sides.length ? sides[0] : 1;
  });
}

/** The place in `shape` of every element of `target`, to which it is broadcast. */
function places(shape, target) {
  let found = [0];
  let step = sizeOf(shape);
  target.forEach((side, i) => {
    const own = shape[shape.length - target.length + i] ?? 1;
    step = own ? step / own : 0;
    const next = [];
    for (const at of found) for (let k = 0; k < side; ++k) next.push(own === 1 ? at : at + k * step);
    found = next;
  });
  return found;
}

/** Where an argument has its element for each of a result's: everywhere the same, at its place, or as it is broadcast. */
function reader(arg, shape) {
  const data = dataOf(arg), own = shapeOf(arg);
  if (data.length === 1) return () => data[0];
  if (own.length === shape.length && own.every((side, i) => side === shape[i])) return (i) => data[i];
  const at = places(own, shape);
  return (i) => data[at[i]];
}

function elementwise(compute) {
  return (...args) => {
    if (args.every((arg) => typeof arg === "bigint")) return compute(...args);
    const shape = broadcast(args.map(shapeOf)), found = new Array(sizeOf(shape));
    const [a, b, c] = args.map((arg) => reader(arg, shape));
    if (c) for (let i = 0; i < found.length; ++i) found[i] = compute(a(i), b(i), c(i));
    else if (b) for (let i = 0; i < found.length; ++i) found[i] = compute(a(i), b(i));
    else for (let i = 0; i < found.length; ++i) found[i] = compute(a(i));
    return array(shape, found);
  };
}

const truth = (condition) => (condition ? TRUE : FALSE);

export const add = elementwise((a, b) => a + b);
export const subtract = elementwise((a, b) => a - b);
export const multiply = elementwise((a, b) => a * b);
/** floor(a / b); a divisor of 0, which is refused beside, counts as 1. */
export const floor_divide = elementwise((a, b) => {
  if (b === 0n) return a;
  const quotient = a / b; // towards zero
  return quotient * b !== a && a < 0n !== b < 0n ? quotient - 1n : quotient;
});
export const left_shift = elementwise((a, e) => a << e);
export const right_shift = elementwise((a, e) => a >> e);
export const minimum = elementwise((a, b) => (a < b ? a : b));
export const maximum = elementwise((a, b) => (a > b ? a : b));
export const bitwise_and = elementwise((a, b) => a & b);
export const bitwise_or = elementwise((a, b) => a | b);
export const bitwise_xor = elementwise((a, b) => a ^ b);
export const less = elementwise((a, b) => truth(a < b));
export const less_equal = elementwise((a, b) => truth(a <= b));
export const equal = elementwise((a, b) => truth(a === b));
export const logical_not = elementwise((a) => truth(a === FALSE));
/** `a` where the condition is true, else `b`. */
export const select = elementwise((condition, a, b) => (condition === TRUE ? a : b));

// --- along one axis, which disappears ----------------------------------------------------------------------------------

function along(reduce) {
  return (x, axis) => {
    const { shape, data } = x, side = shape[axis];
    const outer = sizeOf(shape.slice(0, axis)), inner = sizeOf(shape.slice(axis + 1));
    const found = [];
    for (let i = 0; i < outer; ++i) {
      for (let j = 0; j < inner; ++j) {
        found.push(reduce(Array.from({ length: side }, (_, k) => data[(i * side + k) * inner + j])));
      }
    }
    return array([...shape.slice(0, axis), ...shape.slice(axis + 1)], found);
  };
}

export const sum_along = along((values) => values.reduce((total, value) => total + value, 0n));
export const max_along = along((values) => values.reduce((top, value) => (value > top ? value : top)));
/** The number of the first maximum. */
export const argmax_along = along((values) => BigInt(values.reduce((best, value, i) => (value > values[best] ? i : best), 0)));

export function matmul(a, b) {
  const [rows, inner] = a.shape.slice(-2), columns = b.shape.at(-1);
  const leading = broadcast([a.shape.slice(0, -2), b.shape.slice(0, -2)]);
  const left = places(a.shape.slice(0, -2), leading), right = places(b.shape.slice(0, -2), leading);
  const found = [];
  for (let batch = 0; batch < left.length; ++batch) {
    for (let i = 0; i < rows; ++i) {
      for (let j = 0; j < columns; ++j) {
        let total = 0n;
        for (let k = 0; k < inner; ++k) {
          total += a.data[(left[batch] * rows + i) * inner + k] * b.data[(right[batch] * inner + k) * columns + j];
        }
        found.push(total);
      }
    }
  }
  return array([...leading, rows, columns], found);
}

// --- movements ---------------------------------------------------------------------------------------------------------

export function reshape(x, sides) {
  const shape = numbers(sides), data = dataOf(x);
  if (sizeOf(shape) !== data.length) throw new RangeError(`${data.length} elements have no shape ${shape}`);
  return array(shape, data);
}

export function transpose(x, axes) {
  const shape = axes.map((axis) => x.shape[axis]);
  const steps = axes.map((axis) => sizeOf(x.shape.slice(axis + 1)));
  let found = [0];
  shape.forEach((side, i) => {
    found = found.flatMap((at) => Array.from({ length: side }, (_, k) => at + k * steps[i]));
  });
  return array(shape, found.map((at) => x.data[at]));
}

export function slice(x, starts, stops) {
  const from = numbers(starts), to = numbers(stops);
  if (x.shape.some((side, i) => from[i] < 0 || from[i] > to[i] || to[i] > side)) throw new RangeError(`${from} to ${to}`);
  const shape = from.map((start, i) => to[i] - start);
  let found = [0];
  shape.forEach((side, i) => {
    const step = sizeOf(x.shape.slice(i + 1));
    found = found.flatMap((at) => Array.from({ length: side }, (_, k) => at + (from[i] + k) * step));
  });
  return array(shape, found.map((at) => x.data[at]));
}

export function concatenate(xs, axis) {
  const inner = (x) => sizeOf(x.shape.slice(axis));
  const outer = sizeOf(xs[0].shape.slice(0, axis));
  const found = [];
  for (let i = 0; i < outer; ++i) for (const x of xs) found.push(...x.data.slice(i * inner(x), (i + 1) * inner(x)));
  const shape = [...xs[0].shape];
  shape[axis] = xs.reduce((total, x) => total + x.shape[axis], 0);
  return reshape(array(shape, found), shape);
}

/** Every element so many times along an axis. */
export function repeat(x, count, axis) {
  const inner = sizeOf(x.shape.slice(axis + 1)), times = Number(count);
  const found = [];
  for (let i = 0; i < x.data.length; i += inner) for (let k = 0; k < times; ++k) found.push(...x.data.slice(i, i + inner));
  return array(x.shape.map((side, i) => (i === axis ? side * times : side)), found);
}

/** Rows of a table by their number. */
export function gather(table, index) {
  const inner = sizeOf(table.shape.slice(1));
  const found = dataOf(index).flatMap((number) => {
    const at = Number(number);
    if (at < 0 || at >= table.shape[0]) throw new RangeError(`row ${at} of ${table.shape[0]}`);
    return table.data.slice(at * inner, (at + 1) * inner);
  });
  return array([...shapeOf(index), ...table.shape.slice(1)], found);
}

/** The integers from 0 on. */
export const index = (count) => array([Number(count)], Array.from({ length: Number(count) }, (_, i) => BigInt(i)));

/** One value everywhere. */
export const filled = (value, sides) => array(numbers(sides), Array(sizeOf(numbers(sides))).fill(value));

// --- the door ----------------------------------------------------------------------------------------------------------

/** Throw where a condition is true anywhere; the reason says what it is. */
export function refuse(op, reason, condition) {
  const at = dataOf(condition).indexOf(TRUE);
  if (at < 0) return;
  let rest = at;
  const index = [...shapeOf(condition)].reverse().map((side) => {
    const place = rest % side;
    rest = (rest - place) / side;
    return place;
  });
  throw new Refused(op, `${reason}${index.length ? ` at [${index.reverse().join(", ")}]` : ""}`);
}

function within(op, name, x, { lo, hi }) {
  const at = x.data.findIndex((value) => value < lo || value > hi);
  if (at >= 0) throw new Refused(op, `${name}${x.shape.length ? ` (element ${at})` : ""} = ${x.data[at]} is outside [${lo}, ${hi}]`);
  return x;
}

/** Lengths from what products of them are. */
function solved(spec, equations, known) {
  const wrong = (text) => new ShapeMismatch(spec.op, text);
  const factors = (axis) => axis.split("*");
  const isNumber = (part) => /^\d+$/.test(part);
  let waiting = equations;
  while (waiting.length) {
    const left = [];
    for (const [axis, side] of waiting) {
      const unknown = factors(axis).filter((part) => !isNumber(part) && !(part in known));
      const others = factors(axis).reduce((total, part) => total * (isNumber(part) ? Number(part) : known[part] ?? 1), 1);
      if (unknown.length && others < 1) throw wrong(`${axis} has a length of 0`);
      if (unknown.length === 1) known[unknown[0]] = Math.floor(side / others);
      else if (unknown.length === 2 && unknown[0] === unknown[1]) known[unknown[0]] = Math.floor(Math.sqrt(side / others));
      else if (unknown.length) left.push([axis, side]);
    }
    if (left.length === waiting.length) throw wrong(`lengths ${left.map(([axis]) => axis)} are not determined`);
    waiting = left;
  }
  for (const [axis, side] of equations) {
    const due = factors(axis).reduce((total, part) => total * (isNumber(part) ? Number(part) : known[part]), 1);
    if (due !== side) throw wrong(`${axis} is ${due} and ${side}`);
  }
  for (const [name, value] of Object.entries(known)) {
    if (!(name in spec.numbers) && (value < 1 || (spec.short.includes(name) && value > spec.longest))) {
      throw wrong(`${name} is ${value}, expected ${spec.short.includes(name) ? `1 to ${spec.longest}` : "at least 1"}`);
    }
  }
  return known;
}

/** The arguments of a call as a function takes them, each checked: arrays with the function's axes, numbers, lengths. */
export function opened(spec, given) {
  const { op } = spec, called = { ...given };
  const unknown = Object.keys(given).find((name) => !spec.takes.includes(name));
  if (unknown !== undefined) throw new TypeError(`${op}: takes ${spec.takes.join(", ")}, not ${unknown}`);
  if (spec.several) {
    const parts = called[spec.several] ?? [], count = Object.keys(spec.arrays).length;
    if (parts.length !== count) throw new ShapeMismatch(op, `${spec.several} are ${parts.length} arrays, expected ${count}`);
    Object.keys(spec.arrays).forEach((name, i) => (called[name] = parts[i]));
  }
  const found = {}, known = {};
  for (const [name, range] of Object.entries(spec.numbers)) {
    const due = typeof spec.fixed[name] === "bigint" ? spec.fixed[name] : undefined;
    if (called[name] === undefined && due === undefined) throw new TypeError(`${op}: ${name} is missing`);
    const value = within(op, name, tensor(called[name] ?? due, `${op}: ${name}`), range);
    if (value.shape.length) throw new TypeError(`${op}: ${name} is one integer`);
    if (due !== undefined && name !== "axis" && value.data[0] !== due) throw new ShapeMismatch(op, `${name} is not ${due}`);
    found[name] = value.data[0];
  }
  const equations = [], leading = {};
  let plane = false, moved = null, others = null;
  for (const [name, own] of Object.entries(spec.arrays)) {
    if (called[name] === undefined) throw new TypeError(`${op}: ${name} is missing`);
    const x = within(op, name, tensor(called[name], `${op}: ${name}`), own);
    const { axes } = own, { shape } = x;
    if (!own.input && own.single && !shape.length) {
      found[name] = x.data[0];
      continue;
    }
    if (own.input && !shape.length) throw new ShapeMismatch(op, `${name} needs at least one axis`);
    const rest = axes.length - 1;
    let before = shape.slice(0, Math.max(shape.length - rest, 0)), sides;
    if ("axis" in spec.fixed) {
      const at = shape.length + Number(found.axis);
      if (at < 0) throw new ShapeMismatch(op, `axis ${found.axis} is not an axis of [${shape}]`);
      const around = String(shape.map((side, i) => (i === at ? "" : side)));
      if (others !== null && around !== others) throw new ShapeMismatch(op, "arrays differ along other axes, too");
      others = around;
      moved = [shape.slice(0, at), shape.slice(at + 1)];
      sides = [sizeOf(shape.slice(0, at)), shape[at], sizeOf(shape.slice(at + 1))];
    } else if (op === "upsample_nearest" && shape.length === 2) {
      plane = true;
      sides = [1, ...shape, 1];
    } else {
      if (shape.length < rest || (!own.input && shape.length !== axes.length)) {
        throw new ShapeMismatch(op, `${name} has ${shape.length} axes, expected ${axes.join(" x ")}`);
      }
      if (spec.spread && own.input) {
        if (leading.all === undefined) {
          before = shape.slice(0, shape.length - rest + 1);
          leading.all = shape;
          leading[axes[0]] = before;
          equations.push([`${axes[0]}*${axes[1]}`, sizeOf(before)]);
          shape.slice(shape.length - rest + 1).forEach((side, i) => equations.push([axes[i + 2], side]));
          found[name] = x;
          continue;
        }
        if (String(shape) !== String(leading.all.slice(leading.all.length - shape.length))) {
          throw new ShapeMismatch(op, `[${shape}] is not repeated along [${leading.all}]`);
        }
      } else if (String(leading[axes[0]] ?? before) !== String(before)) {
        throw new ShapeMismatch(op, `leading axes [${leading[axes[0]]}] and [${before}]`);
      }
      leading[axes[0]] ??= before;
      sides = [sizeOf(before), ...shape.slice(shape.length - rest)];
    }
    axes.forEach((axis, i) => equations.push([axis, sides[i]]));
    found[name] = x;
  }
  for (const [name, axis] of Object.entries(spec.fixed)) {
    if (typeof axis === "string") equations.push([axis, Number(found[name])]);
  }
  for (const name of spec.lengths) if (name in found) known[name] = Number(found[name]);
  const lengths = solved(spec, equations, known);
  for (const [name, value] of Object.entries(lengths)) found[name] = BigInt(value);
  for (const [name, { axes }] of Object.entries(spec.arrays)) {
    if (typeof found[name] !== "bigint") {
      const sides = axes.map((axis) => axis.split("*").reduce((all, part) => all * (lengths[part] ?? Number(part)), 1));
      found[name] = reshape(found[name], sides);
    }
  }
  /** A result with the axes of the call: its first axis may stand for several of them. */
  found.closed = (x, axis) => {
    const { shape, data } = tensor(x);
    if (moved !== null) return array([...moved[0], shape[1], ...moved[1]], data);
    if (plane) return array(shape.slice(1, -1), data);
    const before = leading[axis];
    if (before === undefined) return array(shape, data);
    const two = spec.spread && axis === Object.values(spec.arrays)[0].axes[0];
    return array([...before, ...shape.slice(two ? 2 : 1)], data);
  };
  return found;
}

/** The function of several that has the shapes of a call. */
export function either(...functions) {
  return (given) => {
    let mismatch;
    for (const one of functions) {
      try {
        return one(given);
      } catch (error) {
        if (!(error instanceof ShapeMismatch)) throw error;
        mismatch = error;
      }
    }
    throw mismatch;
  };
}
