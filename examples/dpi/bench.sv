// The requantization of examples/rtl beside the C reference, in one simulation: every row that the unit returns is computed
// again by the reference, and the first element that differs is told, with the node, its index, what is due and what was found.
module bench;
  localparam int LANES = 8, ROW = `NODE_PKG::OUT_ROW, B = `NODE_PKG::B, BITS = `NODE_PKG::OUT_BITS;
  localparam int BEATS = (ROW + LANES - 1) / LANES, ROWS = 200;

  logic clk = 0, rst = 1, in_valid = 0, in_ready, out_valid, out_ready = 1;
  logic [LANES*32-1:0] in_data;
  logic [LANES*BITS-1:0] out_data;
  always #5 clk = !clk;
  requant_node #(LANES) device (.*);

  // Constants of the node, and one row, as the reference takes them.
  int m[`NODE_PKG::M_COUNT], e[`NODE_PKG::E_COUNT];
  int sent[ROWS][ROW];
  int row[ROW], due[ROW], found[ROW];

  function automatic int drawn(int i);  // ends, ties and anything between
    case (i % 5)
      0: return $urandom;
      1: return int'($urandom_range(20)) - 10;
      2: return 32'sh7fffffff - int'($urandom_range(2));
      3: return 32'sh80000000 + int'($urandom_range(2));
      default: return int'($urandom_range(2000000)) - 1000000;
    endcase
  endfunction

  initial begin
    for (int i = 0; i < `NODE_PKG::M_COUNT; i++) m[i] = int'(`NODE_PKG::M >> (32 * i));
    for (int i = 0; i < `NODE_PKG::E_COUNT; i++) e[i] = int'(`NODE_PKG::E_BITS'(`NODE_PKG::E >> (`NODE_PKG::E_BITS * i)));
    repeat (2) @(negedge clk);
    rst = 0;
    for (int r = 0; r < ROWS; r++) begin
      for (int i = 0; i < ROW; i++) sent[r][i] = drawn(r + i);
      for (int beat = 0; beat < BEATS; beat++) begin
        in_valid = 1;
        for (int lane = 0; lane < LANES; lane++)
          in_data[32*lane+:32] = LANES * beat + lane < ROW ? sent[r][LANES*beat+lane] : 0;
        @(posedge clk);
        while (!in_ready) @(posedge clk);
        @(negedge clk);
      end
    end
    in_valid = 0;
  end

  int at_row = 0, at_beat = 0, code;
  always @(posedge clk) if (!rst && out_valid && out_ready) begin
    for (int lane = 0; lane < LANES; lane++) if (LANES * at_beat + lane < ROW)
      found[LANES*at_beat+lane] = int'($signed(out_data[BITS*lane+:BITS]));
    at_beat = at_beat + 1;
    if (at_beat == BEATS) begin
      row = sent[at_row];
      code = intsim_dpi_pkg::intsim_requant_rtl_dpi(row, 1, ROW, m, e, B, due);
      if (code != 0) $fatal(1, "the reference: %s", intsim_dpi_pkg::intsim_error_dpi(code));
      for (int i = 0; i < ROW; i++) if (found[i] != due[i])
        $fatal(1, "node %s, index [%0d, %0d]: due %0d, found %0d", `NODE, at_row, i, due[i], found[i]);
      at_beat = 0;
      at_row = at_row + 1;
      if (at_row == ROWS) begin
        $display("node %s: %0d rows of %0d, all as the reference has them", `NODE, ROWS, ROW);
        $finish;
      end
    end
  end
endmodule
