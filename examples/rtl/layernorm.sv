// layernorm: integer layer normalization of rows.
//   mean = round(sum(x) / ROW), ties up;  y = x - mean;  v = sum(y * y);  std = max(isqrt(v), 1)
//   f = (2**31 - 1) / std;  out = floor(y * f / 2) + bias
// A row is received and summed while the previous one is processed in two passes: squares, then products.
module layernorm #(
    parameter int LANES = 8,
    parameter int ROW = 8,  // elements per row; the last beat of a row is padded
    parameter logic [ROW*32-1:0] BIAS = '0,  // i32 per channel
    parameter int IN_BITS = 16
) (
    input  logic                     clk,
    input  logic                     rst,
    input  logic                     in_valid,
    output logic                     in_ready,
    input  logic [LANES*IN_BITS-1:0] in_data,
    output logic                     out_valid,
    input  logic                     out_ready,
    output logic [     LANES*32-1:0] out_data
);
  localparam int BEATS = (ROW + LANES - 1) / LANES;
  localparam int BEAT_BITS = BEATS > 1 ? $clog2(BEATS) : 1;
  localparam int LAST_LANES = ROW - (BEATS - 1) * LANES;
  localparam int SUM_BITS = IN_BITS + $clog2(ROW);  // |sum| <= ROW * 2**(IN_BITS-1)
  localparam int Y_BITS = IN_BITS + 1;  // the mean is within the range of the elements: |y| < 2**IN_BITS
  // The squares about the exact mean sum to at most ROW * ((2**IN_BITS - 1) / 2)**2 (Popoviciu); rounding the mean adds
  // at most ROW / 4. Together: below ROW * 2**(2*IN_BITS-2).
  localparam int V_BITS = 2 * IN_BITS - 2 + $clog2(ROW);
  localparam int STD_BITS = (V_BITS + 1) / 2;  // at most 31: ROW <= 65536

  typedef enum logic [3:0] {
    WAIT,
    MEAN,
    SQUARES,
    ROOT_START,
    ROOT,
    DIVIDE_START,
    DIVIDE,
    GIVE
  } state_t;
  state_t state;

  // The row buffer, and the sum of the row.
  wire in_first, in_last, waits;
  wire take = state == WAIT && waits;
  wire step = !out_valid || out_ready;  // both passes stop while the output is blocked
  logic reading;
  logic [BEAT_BITS-1:0] beat;
  wire last = beat == BEAT_BITS'(BEATS - 1);
  wire [LANES*IN_BITS-1:0] x_lanes;
  row_buffer #(LANES * IN_BITS, BEATS, BEAT_BITS) row (
      .clk, .rst, .in_valid, .in_ready, .in_data, .in_first, .in_last, .waits, .take,
      .read(step), .read_beat(beat), .read_data(x_lanes)
  );

  function automatic logic signed [SUM_BITS-1:0] total(input logic [LANES*IN_BITS-1:0] of, input logic short_beat);
    total = '0;
    for (int i = 0; i < LANES; i++)
      if (i < LAST_LANES || !short_beat) total += SUM_BITS'($signed(of[IN_BITS*i+:IN_BITS]));
  endfunction

  logic signed [SUM_BITS-1:0] in_sum, sum;
  logic signed [IN_BITS-1:0] mean;
  // floor((2 * sum + ROW) / (2 * ROW)). As / truncates, 2**(IN_BITS-1) per element makes the dividend non-negative.
  localparam int RATIO_BITS = SUM_BITS + 2;  // below ROW * 2**(IN_BITS+1) + ROW
  wire [RATIO_BITS-1:0] risen = RATIO_BITS'(sum) + RATIO_BITS'(ROW * 64'd1 << (IN_BITS - 1));
  wire [RATIO_BITS-1:0] ratio = ((risen << 1) + RATIO_BITS'(ROW)) / RATIO_BITS'(2 * ROW);

  // Pipeline of beats: read, centre, then square and sum, or multiply.
  logic x_valid, x_last, y_valid, y_last;
  logic [BEAT_BITS-1:0] x_beat, y_beat;
  wire [LANES*Y_BITS-1:0] centred;
  logic [LANES*Y_BITS-1:0] y_lanes;
  generate
    for (genvar i = 0; i < LANES; i++) begin : centre
      wire signed [Y_BITS-1:0] y = Y_BITS'($signed(x_lanes[IN_BITS*i+:IN_BITS])) - Y_BITS'(mean);
      assign centred[Y_BITS*i+:Y_BITS] = i < LAST_LANES || !x_last ? y : '0;
    end
  endgenerate

  function automatic logic [V_BITS-1:0] squares(input logic [LANES*Y_BITS-1:0] of);
    logic signed [2*Y_BITS-1:0] y;
    squares = '0;
    for (int i = 0; i < LANES; i++) begin
      y = (2 * Y_BITS)'($signed(of[Y_BITS*i+:Y_BITS]));
      squares += V_BITS'($unsigned(y * y));
    end
  endfunction

  logic [V_BITS-1:0] v;
  wire root_start = state == ROOT_START, divide_start = state == DIVIDE_START;
  wire rooted, divided;
  wire [STD_BITS-1:0] root;
  wire [30:0] std = root == '0 ? 31'd1 : 31'(root);
  wire [30:0] f;
  isqrt #(.BITS(V_BITS)) square_root (.clk, .rst, .start(root_start), .v, .done(rooted), .root);
  divider #(.BITS(31)) reciprocal (
      .clk, .rst, .start(divide_start), .dividend(31'h7fffffff), .divisor(std), .done(divided), .quotient(f)
  );

  wire [LANES*32-1:0] bias_lanes, results;
  channel_rom #(LANES, BEATS, BEAT_BITS, ROW, 32, BIAS) bias_rom (y_beat, bias_lanes);
  generate
    for (genvar i = 0; i < LANES; i++) begin : result
      // |y| <= floor(sqrt(v)) <= std, so |y * f| <= 2**31 - 1; intsim proves that the sum with the bias fits i32.
      wire signed [31:0] yf = 32'($signed(y_lanes[Y_BITS*i+:Y_BITS])) * $signed({1'b0, f});
      wire signed [31:0] out = (yf >>> 1) + $signed(bias_lanes[32*i+:32]);
      assign results[32*i+:32] = i < LAST_LANES || !y_last ? out : '0;
    end
  endgenerate

  always_ff @(posedge clk) begin
    if (in_valid && in_ready) in_sum <= (in_first ? '0 : in_sum) + total(in_data, in_last);
    if (take) sum <= in_sum;
    if (state == MEAN) mean <= IN_BITS'(ratio - RATIO_BITS'(64'd1 << (IN_BITS - 1)));
    if (step) begin
      x_last <= last;
      y_last <= x_last;
      x_beat <= beat;
      y_beat <= x_beat;
      y_lanes <= centred;
      out_data <= results;
    end
    if (take) v <= '0;
    else if (step && y_valid && state == SQUARES) v <= v + squares(y_lanes);
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      state <= WAIT;
      reading <= 1'b0;
      beat <= '0;
      x_valid <= 1'b0;
      y_valid <= 1'b0;
      out_valid <= 1'b0;
    end else begin
      if (step) begin
        if (reading) beat <= last ? '0 : beat + 1'b1;
        if (last) reading <= 1'b0;
        x_valid <= reading;
        y_valid <= x_valid;
        out_valid <= y_valid && state == GIVE;
      end
      case (state)
        WAIT: if (waits) state <= MEAN;
        MEAN: begin
          state   <= SQUARES;
          reading <= 1'b1;
        end
        SQUARES: if (step && y_valid && y_last) state <= ROOT_START;
        ROOT_START: state <= ROOT;
        ROOT: if (rooted) state <= DIVIDE_START;
        DIVIDE_START: state <= DIVIDE;
        DIVIDE:
        if (divided) begin
          state   <= GIVE;
          reading <= 1'b1;
        end
        GIVE: if (step && y_valid && y_last) state <= WAIT;
        default: state <= WAIT;
      endcase
    end
  end
endmodule
