// q = p / 2**e, rounded half up: ties to +infinity. Combinational.
// No bit is lost for |p| <= 2**(BITS-2) and 1 <= e <= BITS-2: the sum below stays within 2**(BITS-2) + 2**(BITS-3).
module round_shift #(
    parameter int BITS = 64
) (
    input  logic signed [BITS-1:0] p,
    input  logic        [     5:0] e,
    output logic signed [BITS-1:0] q
);
  wire signed [BITS-1:0] half = $signed({{(BITS - 1) {1'b0}}, 1'b1}) <<< (e - 6'd1);
  assign q = (p + half) >>> e;
endmodule
