// A layernorm node as a device: the unit with the constants of the package NODE_PKG (`intsim export --package sv`).
module layernorm_node #(
    parameter int LANES = 8
) (
    input  logic               clk,
    input  logic               rst,
    input  logic               in_valid,
    output logic               in_ready,
    input  logic [LANES*16-1:0] in_data,
    output logic               out_valid,
    input  logic               out_ready,
    output logic [LANES*32-1:0] out_data
);
  generate
    if (`NODE_PKG::OP != "layernorm") the_package_is_of_another_operator refused ();
    if (`NODE_PKG::DIALECT != "rtl") the_units_use_the_dialect_rtl refused ();
  endgenerate
  layernorm #(
      .LANES(LANES),
      .ROW(`NODE_PKG::OUT_ROW),
      .BIAS(`NODE_PKG::BIAS)
  ) unit (.*);
endmodule
