// A requant node as a device: the unit with the constants of the package NODE_PKG (`intsim export --package sv`).
module requant_node #(
    parameter int LANES = 8
) (
    input  logic               clk,
    input  logic               rst,
    input  logic               in_valid,
    output logic               in_ready,
    input  logic [LANES*32-1:0] in_data,
    output logic               out_valid,
    input  logic               out_ready,
    output logic [LANES*`NODE_PKG::OUT_BITS-1:0] out_data
);
  generate
    if (`NODE_PKG::OP != "requant") the_package_is_of_another_operator refused ();
    if (`NODE_PKG::DIALECT != "rtl") the_units_use_the_dialect_rtl refused ();
  endgenerate
  requant #(
      .LANES(LANES),
      .ROW(`NODE_PKG::OUT_ROW),
      .OUT_BITS(`NODE_PKG::OUT_BITS),
      .B(`NODE_PKG::B),
      .M_COUNT(`NODE_PKG::M_COUNT),
      .M(`NODE_PKG::M),
      .E_COUNT(`NODE_PKG::E_COUNT),
      .E_BITS(`NODE_PKG::E_BITS),
      .E(`NODE_PKG::E)
  ) unit (.*);
endmodule
