// e = shift_exp(x), the exponential by shifts, at most 2**31 - 1. Combinational; x in [-256, 0], or [-256, 255] if MAY_RISE.
//   t = max(x + (x >> 1) - (x >> 4), N * X0);  q = floor(t / X0);  r = t - q * X0
//   e = ((r - 2 * X0) << (N - q)) >> 1         never negative, as r > X0
// With STEP = -X0, all quantities below are magnitudes; k = r + 2 * STEP lies in (STEP, 2 * STEP].
module shift_exp #(
    parameter int X0 = -16,
    parameter int N = 15,
    parameter bit MAY_RISE = 0,
    parameter int BITS = 31  // fits STEP * 2**N, the value of e at x = 0; 31 if MAY_RISE
) (
    input  logic signed [     8:0] x,
    output logic        [BITS-1:0] e
);
  localparam int STEP = -X0;
  localparam int K_BITS = $clog2(2 * STEP + 1);
  // -368 <= t <= 367, so a longer step has the same effect as 1023, and a lower floor the same as -512.
  localparam logic [10:0] STEP_11 = STEP > 1023 ? 11'd1023 : 11'(STEP);
  localparam logic signed [9:0] FLOOR = N * STEP > 511 ? 10'sh200 : 10'(-N * STEP);

  wire signed [9:0] wide = 10'(x);
  wire signed [9:0] log2 = wide + (wide >>> 1) - (wide >>> 4);
  wire signed [9:0] t = log2 < FLOOR ? FLOOR : log2;

  // t <= 0: q = floor(-t / STEP) <= N, so the shift N - q is not negative. k is small: its sum may wrap.
  wire [10:0] fall = 11'd0 - 11'(t);
  wire [5:0] q_fall = 6'(fall / STEP_11);
  wire [K_BITS-1:0] k_fall = K_BITS'(2 * STEP) - K_BITS'(fall) + K_BITS'(q_fall) * K_BITS'(STEP);

  generate
    if (MAY_RISE) begin : rising
      // t > 0: -q = ceil(t / STEP). As k >= 2, a shift by 32 exceeds 2**31 - 1 for every k.
      wire rises = t > 0;
      wire [10:0] rise = 11'(t);
      wire [10:0] q_rise = (rise + (STEP_11 - 11'd1)) / STEP_11;
      wire [K_BITS-1:0] k_rise = K_BITS'(2 * STEP) + K_BITS'(rise) - K_BITS'(q_rise) * K_BITS'(STEP);
      wire [11:0] shift = rises ? 12'(N) + 12'(q_rise) : 12'(N) - 12'(q_fall);
      wire [5:0] at_most_32 = shift > 12'd32 ? 6'd32 : shift[5:0];
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
