// The datapath of requant.sv beside the function that intsim prints from the equation: `ok` for every acc, m and e.
module requant_equal (
    input  logic signed [31:0] acc,
    input  logic signed [31:0] m,
    input  logic        [ 5:0] e,
    output logic               ok
);
  localparam int B = `WIDTH;
  wire signed [63:0] product = acc * m;
  wire signed [63:0] rounded;
  wire signed [B-1:0] out;
  round_shift #(64) shifter (product, e, rounded);
  saturate #(64, B) limiter (rounded, out);
  wire signed [31:0] due = intsim_rtl_pkg::requant(acc, m, {1'b0, e}, 7'd`WIDTH);
  assign ok = e == 0 || e > 62 || 32'(out) == due;  // shifts are 1 to 62
endmodule
