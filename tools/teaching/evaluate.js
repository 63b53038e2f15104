// Calls of the printed functions: an operator with any choices, step by step.

const keyOf = (stage, rules) => stage.keys.map((key) => rules[key]).join("|");

/** The steps of a call by name, as arrays, and why it is refused, if it is. */
function evaluate(op, rules, given) {
  const { stages, refusals } = DATA.operators[op];
  let values;
  try {
    values = opened(SPECIFICATIONS[op], given);
  } catch (error) {
    if (error instanceof Refused) return { values: null, refused: error.reason };
    throw error;
  }
  values.width = given[DATA.operators[op].row].shape.at(-1);
  for (const stage of stages) values[stage.step] = FUNCTIONS[stage.functions[keyOf(stage, rules)]](values);
  try {
    FUNCTIONS[refusals.functions[keyOf(refusals, rules)]](values);
  } catch (error) {
    if (error instanceof Refused) return { values, refused: error.reason };
    throw error;
  }
  return { values, refused: null };
}

/** The arguments of a call for rows of numbers: `rows` are lists of BigInt of one length. */
function callOf(op, state, rows) {
  const { row, rows: perChannel, params } = DATA.operators[op];
  const columns = rows[0].length;
  const given = { [row]: { shape: [rows.length, columns], data: rows.flat() } };
  for (const name of params) {
    const value = BigInt(state[name]);
    given[name] = perChannel.includes(name) ? { shape: [columns], data: Array(columns).fill(value) } : value;
  }
  return given;
}

/** An element of a step in a row of a call: its own, its channel's, or the row's one value. */
function at(values, name, column, row = 0) {
  const x = values[name];
  if (typeof x === "bigint") return x;
  const { shape, data } = x;
  if (shape.length === 1) return data[data.length === values.width ? column : row * values.width + column];
  return data[row * shape.at(-1) + (shape.at(-1) === 1 ? 0 : column)];
}

/** Whether a step has one value for the whole row. */
const ofRow = (values, name) => typeof values[name] === "bigint" || values[name].shape.at(-1) === 1;

/** The binary point of a step. */
function pointOf(stage, state) {
  const [name, times, plus] = stage.point;
  return (name ? times * Number(state[name]) : 0) + plus;
}

/** The function that computes a step, as text. */
const sourceOf = (stage, rules) => FUNCTIONS[stage.functions[keyOf(stage, rules)]].toString();
const formulaOf = (stage, rules) => stage.formulas[keyOf(stage, rules)];
