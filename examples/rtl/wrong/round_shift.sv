// Intentional fault: q = p / 2**e as C divides, towards zero.
module round_shift #(
    parameter int BITS = 64
) (
    input  logic signed [BITS-1:0] p,
    input  logic        [     5:0] e,
    output logic signed [BITS-1:0] q
);
  wire signed [BITS-1:0] one = $signed({{(BITS - 1) {1'b0}}, 1'b1});
  wire signed [BITS-1:0] up = p < 0 ? (one <<< e) - one : $signed({BITS{1'b0}});
  assign q = (p + up) >>> e;
endmodule
