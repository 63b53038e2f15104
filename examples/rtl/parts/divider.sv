// quotient = dividend / divisor, unsigned: restoring division, RATE quotient bits per cycle.
// `done` rises CYCLES cycles after `start`; `done` and the quotient hold until the next start.
module divider #(
    parameter int BITS = 31,
    parameter int RATE = 1
) (
    input  logic            clk,
    input  logic            rst,
    input  logic            start,
    input  logic [BITS-1:0] dividend,
    input  logic [BITS-1:0] divisor,
    output logic            done,
    output logic [BITS-1:0] quotient
);
  localparam int CYCLES = (BITS + RATE - 1) / RATE;
  localparam int WIDTH = CYCLES * RATE;  // the dividend, zero-extended to whole cycles
  localparam int COUNT_BITS = $clog2(CYCLES + 1);

  logic [BITS-1:0] by, remainder;  // remainder < by
  logic [WIDTH-1:0] digits;  // the dividend is shifted out at the top, the quotient in at the bottom
  logic [COUNT_BITS-1:0] left;

  function automatic logic [BITS+WIDTH-1:0] after_a_cycle(
      input logic [BITS-1:0] old_remainder, input logic [WIDTH-1:0] old_digits, input logic [BITS-1:0] divide_by);
    logic [BITS:0] rest;
    logic [WIDTH-1:0] shifted;
    rest = {1'b0, old_remainder};
    shifted = old_digits;
    for (int i = 0; i < RATE; i++) begin
      rest = {rest[BITS-1:0], shifted[WIDTH-1]};
      shifted = shifted << 1;
      if (rest >= {1'b0, divide_by}) begin
        rest = rest - {1'b0, divide_by};
        shifted[0] = 1'b1;
      end
    end
    after_a_cycle = {rest[BITS-1:0], shifted};
  endfunction

  assign done = left == '0;
  assign quotient = BITS'(digits);

  always_ff @(posedge clk) begin
    if (rst) left <= '0;
    else if (start) left <= COUNT_BITS'(CYCLES);
    else if (!done) left <= left - 1'b1;
  end

  always_ff @(posedge clk) begin
    if (start) begin
      by <= divisor;
      remainder <= '0;
      digits <= WIDTH'(dividend);
    end else if (!done) begin
      {remainder, digits} <= after_a_cycle(remainder, digits, by);
    end
  end
endmodule
