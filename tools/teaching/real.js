// What the operators approximate, in real numbers: only plots use it. `unit` is the value of the result's last bit.

function erf(x) { // Taylor's series where it converges fast, a continued fraction beyond
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  if (size < 2.5) {
    let term = x, total = x;
    for (let k = 1; k < 60; ++k) {
      term *= (-x * x) / k;
      total += term / (2 * k + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * total;
  }
  let fraction = 0;
  for (let k = 60; k > 0; --k) fraction = k / 2 / (size + fraction);
  return Math.sign(x) * (1 - Math.exp(-size * size) / ((size + fraction) * Math.sqrt(Math.PI)));
}

const GELU_SLOPE = 1.702;

const REAL = {
  requant: {
    name: "acc · m / 2**e",
    of: (row, i, s) => (row[i] * Number(s.m)) / 2 ** Number(s.e),
    unit: () => 1,
  },
  shift_exp: {
    name: "exp(x / −x0)",
    of: (row, i, s) => Math.exp(row[i] / -Number(s.x0)),
    unit: (s) => 1 / (-Number(s.x0) * 2 ** Number(s.n)),
  },
  shiftmax: {
    name: "softmax",
    of: (row, i, s) => {
      const scale = -1 / Number(s.x0), top = Math.max(...row);
      return Math.exp((row[i] - top) * scale) / row.reduce((total, x) => total + Math.exp((x - top) * scale), 0);
    },
    unit: (s) => 2 ** (1 - Number(s.b)),
  },
  shiftgelu: {
    name: "gelu",
    of: (row, i, s) => {
      const x = row[i] / (GELU_SLOPE * -Number(s.x0));
      return 0.5 * x * (1 + erf(x / Math.SQRT2));
    },
    unit: (s) => 2 ** (1 - Number(s.b)) / (GELU_SLOPE * -Number(s.x0)),
  },
  layernorm: {
    name: "layer normalisation",
    of: (row, i, s) => {
      const mean = row.reduce((total, x) => total + x, 0) / row.length;
      const variance = row.reduce((total, x) => total + (x - mean) ** 2, 0) / row.length;
      const unit = REAL.layernorm.unit(s, row.length);
      return (variance > 0 ? (row[i] - mean) / Math.sqrt(variance) : 0) + Number(s.bias) * unit;
    },
    unit: (s, columns) => Math.sqrt(columns) / 2 ** 30,
  },
};
REAL.lambda_shiftgelu = REAL.shiftgelu;

// What is marked: ties, where a rounding has to decide, and saturation, where a limit does.
const I32_TOP = 2n ** 31n - 1n;
const TIES = {
  requant: { what: "exactly half of the last bit is cut off", holds: (v, i, row) => {
    const e = at(v, "e", i, row), half = 1n << (e - 1n);
    return BigInt.asUintN(Number(e), at(v, "product", i, row)) === half;
  } },
  shift_exp: { what: "the remainder is odd, so that halving it loses a bit", holds: (v, i, row) => (at(v, "remainder", i, row) & 1n) === 1n },
  layernorm: { what: "the mean lies halfway between two integers", holds: (v, i, row) => {
    const columns = v.columns, sum = at(v, "sum", 0, row);
    return 2n * (((sum % columns) + columns) % columns) === columns;
  } },
};
TIES.shiftmax = TIES.shiftgelu = TIES.lambda_shiftgelu = TIES.shift_exp;
const SATURATIONS = {
  requant: { what: "the result is at the end of its format", holds: (v, i, row) => at(v, "rounded", i, row) !== at(v, "out", i, row) },
  shift_exp: { what: "the exponent is limited to n · x0", holds: (v, i, row) => at(v, "log2", i, row) === v.n * v.x0 },
  layernorm: { what: "the result passes 32 bits", holds: (v, i, row) => at(v, "out", i, row) !== BigInt.asIntN(32, at(v, "half", i, row) + v.bias.data[0]) || bitsOf(at(v, "out", i, row)) > 32 },
};
SATURATIONS.shiftmax = {
  what: "an exponent is limited to n · x0, or the sum to 2**31 − 1",
  holds: (v, i, row) => SATURATIONS.shift_exp.holds(v, i, row) || at(v, "sum", 0, row) === I32_TOP,
};
SATURATIONS.shiftgelu = {
  what: "an exponent is limited to n · x0, or the sum to 2**31 − 1",
  holds: (v, i, row) => SATURATIONS.shift_exp.holds(v, i, row) || at(v, "sum", i, row) === I32_TOP,
};
SATURATIONS.lambda_shiftgelu = {
  what: "x is clamped, an exponent limited to n · x0, or the sum to 2**31 − 1",
  holds: (v, i, row) => at(v, "x", i, row) !== at(v, "clamped", i, row) || SATURATIONS.shiftgelu.holds(v, i, row),
};
