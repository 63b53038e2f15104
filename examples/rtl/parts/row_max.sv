// The maximum of a row of signed elements, updated with every beat; padding is excluded.
module row_max #(
    parameter int LANES = 8,
    parameter int BITS = 8,
    parameter int LAST_LANES = 8  // used lanes of the last beat; the others are padding
) (
    input  logic                   clk,
    input  logic                   accept,
    input  logic                   first,
    input  logic                   last,
    input  logic [ LANES*BITS-1:0] lanes,
    output logic signed [BITS-1:0] top  // of the row, from the cycle after its last beat until the next row's first
);
  function automatic logic signed [BITS-1:0] maximum(input logic [LANES*BITS-1:0] of, input logic short_beat);
    logic signed [BITS-1:0] x;
    maximum = {1'b1, {(BITS - 1) {1'b0}}};
    for (int i = 0; i < LANES; i++) begin
      x = of[BITS*i+:BITS];
      if ((i < LAST_LANES || !short_beat) && x > maximum) maximum = x;
    end
  endfunction

  wire signed [BITS-1:0] here = maximum(lanes, last);
  always_ff @(posedge clk) if (accept && (first || here > top)) top <= here;
endmodule
