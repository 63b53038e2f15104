// root = floor(sqrt(v)), one bit of the root per cycle.
// `done` rises ROOT_BITS cycles after `start`; `done` and the root hold until the next start.
module isqrt #(
    parameter int BITS = 40,
    parameter int ROOT_BITS = (BITS + 1) / 2
) (
    input  logic                 clk,
    input  logic                 rst,
    input  logic                 start,
    input  logic [     BITS-1:0] v,
    output logic                 done,
    output logic [ROOT_BITS-1:0] root
);
  localparam int COUNT_BITS = $clog2(ROOT_BITS + 1);

  logic [2*ROOT_BITS-1:0] digits;  // of v; two are shifted out at the top per cycle
  logic [ROOT_BITS:0] remainder;  // v - root**2 <= 2 * root, for the digits shifted out so far
  logic [COUNT_BITS-1:0] left;

  wire [ROOT_BITS+2:0] brought = {remainder, digits[2*ROOT_BITS-1-:2]};
  wire [ROOT_BITS+2:0] trial = {1'b0, root, 2'b01};  // (2 * root + 1)**2 - (2 * root)**2, root before it doubles
  wire found = brought >= trial;

  assign done = left == '0;

  always_ff @(posedge clk) begin
    if (rst) left <= '0;
    else if (start) left <= COUNT_BITS'(ROOT_BITS);
    else if (!done) left <= left - 1'b1;
  end

  always_ff @(posedge clk) begin
    if (start) begin
      digits <= (2 * ROOT_BITS)'(v);
      remainder <= '0;
      root <= '0;
    end else if (!done) begin
      digits <= digits << 2;
      remainder <= (ROOT_BITS + 1)'(found ? brought - trial : brought);
      root <= (root << 1) | ROOT_BITS'(found);
    end
  end
endmodule
