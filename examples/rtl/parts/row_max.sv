// The maximum of a row of i8, updated with every beat; padding is excluded.
module row_max #(
    parameter int LANES = 8,
    parameter int LAST_LANES = 8  // used lanes of the last beat; the others are padding
) (
    input  logic               clk,
    input  logic               accept,
    input  logic               first,
    input  logic               last,
    input  logic [LANES*8-1:0] lanes,
    output logic signed [7:0]  top  // of the row, from the cycle after its last beat until the next row's first
);
  function automatic logic signed [7:0] maximum(input logic [LANES*8-1:0] of, input logic short_beat);
    logic signed [7:0] x;
    maximum = -8'sd128;
    for (int i = 0; i < LANES; i++) begin
      x = of[8*i+:8];
      if ((i < LAST_LANES || !short_beat) && x > maximum) maximum = x;
    end
  endfunction

  wire signed [7:0] here = maximum(lanes, last);
  always_ff @(posedge clk) if (accept && (first || here > top)) top <= here;
endmodule
