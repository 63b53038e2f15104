// Intentional fault: q = p / 2**e, rounded half away from zero. It differs from the correct module in negative ties only.
module round_shift #(
    parameter int BITS = 64
) (
    input  logic signed [BITS-1:0] p,
    input  logic        [     5:0] e,
    output logic signed [BITS-1:0] q
);
  wire signed [BITS-1:0] one = $signed({{(BITS - 1) {1'b0}}, 1'b1});
  wire signed [BITS-1:0] half = (one <<< (e - 6'd1)) - (p < 0 ? one : $signed({BITS{1'b0}}));
  assign q = (p + half) >>> e;
endmodule
