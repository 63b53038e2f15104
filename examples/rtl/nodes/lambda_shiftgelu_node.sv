// A lambda_shiftgelu node as a device: the unit with the constants of the package NODE_PKG (`intsim export --package sv`).
module lambda_shiftgelu_node #(
    parameter int LANES = 8
) (
    input  logic               clk,
    input  logic               rst,
    input  logic               in_valid,
    output logic               in_ready,
    input  logic [LANES*8-1:0] in_data,
    output logic               out_valid,
    input  logic               out_ready,
    output logic [LANES*32-1:0] out_data
);
  generate
    if (`NODE_PKG::OP != "lambda_shiftgelu") the_package_is_of_another_operator refused ();
    if (`NODE_PKG::DIALECT != "rtl") the_units_use_the_dialect_rtl refused ();
  endgenerate
  lambda_shiftgelu #(
      .LANES(LANES),
      .ROW(`NODE_PKG::OUT_ROW),
      .X0(`NODE_PKG::X0),
      .N(`NODE_PKG::N),
      .B(`NODE_PKG::B),
      .LAM(`NODE_PKG::LAM)
  ) unit (.*);
endmodule
