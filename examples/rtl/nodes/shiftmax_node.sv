// A shiftmax node as a device: the unit with the constants of the package NODE_PKG (`intsim export --package sv`).
module shiftmax_node #(
    parameter int LANES = 8
) (
    input  logic               clk,
    input  logic               rst,
    input  logic               in_valid,
    output logic               in_ready,
    input  logic [LANES*`NODE_PKG::IN0_BITS-1:0] in_data,
    output logic               out_valid,
    input  logic               out_ready,
    output logic [LANES*`NODE_PKG::OUT_BITS-1:0] out_data
);
  generate
    if (`NODE_PKG::OP != "shiftmax") the_package_is_of_another_operator refused ();
    if (`NODE_PKG::DIALECT != "rtl") the_units_use_the_dialect_rtl refused ();
  endgenerate
  shiftmax #(
      .LANES(LANES),
      .IN_BITS(`NODE_PKG::IN0_BITS),
      .ROW(`NODE_PKG::OUT_ROW),
      .X0(`NODE_PKG::X0),
      .N(`NODE_PKG::N),
      .B(`NODE_PKG::B),
      .OUT_BITS(`NODE_PKG::OUT_BITS)
  ) unit (.*);
endmodule
