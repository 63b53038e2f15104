// y = x clamped to the OUT_BITS of a signed integer. Combinational; IN_BITS >= OUT_BITS.
module saturate #(
    parameter int IN_BITS  = 64,
    parameter int OUT_BITS = 8
) (
    input  logic signed [ IN_BITS-1:0] x,
    output logic signed [OUT_BITS-1:0] y
);
  wire [IN_BITS-OUT_BITS:0] top = x[IN_BITS-1:OUT_BITS-1];  // all equal to the sign if x fits
  wire fits = &top || !(|top);
  assign y = fits ? x[OUT_BITS-1:0] : {x[IN_BITS-1], {(OUT_BITS - 1) {~x[IN_BITS-1]}}};
endmodule
