// e = shift_exp(x), the exponential by shifts, at most 2**31 - 1. Combinational; x <= 0, or of any sign if MAY_RISE.
//   t = max(x + (x >> 1) - (x >> 4), N * X0);  q = floor(t / X0);  r = t - q * X0
//   e = ((r - 2 * X0) << (N - q)) >> 1         never negative, as r > X0
// With STEP = -X0, all quantities below are magnitudes; k = r + 2 * STEP lies in (STEP, 2 * STEP].
module shift_exp #(
    parameter int X0 = -16,
    parameter int N = 15,
    parameter bit MAY_RISE = 0,
    parameter int X_BITS = 9,
    parameter int BITS = 31  // fits STEP * 2**N, the value of e at x = 0; 31 if MAY_RISE
) (
    input  logic signed [X_BITS-1:0] x,
    output logic        [  BITS-1:0] e
);
  localparam int STEP = -X0;
  localparam int K_BITS = $clog2(2 * STEP + 1);
  // |t| <= 1.4375 * 2**(X_BITS - 1), so a longer step has the same effect as LONGEST, and a lower floor the same as LOWEST.
  localparam int T_BITS = X_BITS + 2, LONGEST = (1 << (X_BITS + 1)) - 1, LOWEST = -(1 << X_BITS);
  localparam logic [T_BITS-1:0] STEP_T = STEP > LONGEST ? T_BITS'(LONGEST) : T_BITS'(STEP);
  localparam logic signed [X_BITS:0] FLOOR = -N * STEP < LOWEST ? (X_BITS + 1)'(LOWEST) : (X_BITS + 1)'(-N * STEP);

  wire signed [X_BITS:0] wide = (X_BITS + 1)'(x);
  wire signed [X_BITS:0] log2 = wide + (wide >>> 1) - (wide >>> 4);
  wire signed [X_BITS:0] t = log2 < FLOOR ? FLOOR : log2;

  // t <= 0: q = floor(-t / STEP) <= N, so the shift N - q is not negative. k is small: its sum may wrap.
  wire [T_BITS-1:0] fall = T_BITS'(0) - T_BITS'(t);
  wire [5:0] q_fall = 6'(fall / STEP_T);
  wire [K_BITS-1:0] k_fall = K_BITS'(2 * STEP) - K_BITS'(fall) + K_BITS'(q_fall) * K_BITS'(STEP);

  generate
    if (MAY_RISE) begin : rising
      // t > 0: -q = ceil(t / STEP). As k >= 2, a shift by 32 exceeds 2**31 - 1 for every k.
      wire rises = t > 0;
      wire [T_BITS-1:0] rise = T_BITS'(t);
      wire [T_BITS-1:0] q_rise = (rise + (STEP_T - T_BITS'(1))) / STEP_T;
      wire [K_BITS-1:0] k_rise = K_BITS'(2 * STEP) + K_BITS'(rise) - K_BITS'(q_rise) * K_BITS'(STEP);
      wire [T_BITS:0] shift = rises ? (T_BITS + 1)'(N) + (T_BITS + 1)'(q_rise) : (T_BITS + 1)'(N) - (T_BITS + 1)'(q_fall);
      wire [5:0] at_most_32 = shift > (T_BITS + 1)'(32) ? 6'd32 : shift[5:0];
      wire [K_BITS-1:0] k = rises ? k_rise : k_fall;
      wire [63:0] shifted = 64'(k) << at_most_32;
      assign e = |shifted[63:32] ? {BITS{1'b1}} : BITS'(shifted >> 1);
    end else begin : falling
      wire [5:0] shift = 6'(N) - q_fall;
      wire [BITS:0] shifted = (BITS + 1)'(k_fall) << shift;  // at most 2 * STEP * 2**N
      assign e = BITS'(shifted >> 1);
    end
  endgenerate
endmodule
