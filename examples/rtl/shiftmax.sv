// shiftmax: softmax of rows of i16, with shifts and one division per row.
//   e = shift_exp(x - max(x));  S = min(sum(e), 2**31 - 1);  f = (2**31 - 1) / S;  p = (e * f) >> (32 - B)
// A row is received while the previous one is processed in two passes: sum, then products.
module shiftmax #(
    parameter int LANES = 8,
    parameter int IN_BITS = 16,
    parameter int ROW = 8,  // elements per row; the last beat of a row is padded
    parameter int X0 = -16,
    parameter int N = 15,
    parameter int B = 16,
    parameter int OUT_BITS = 16,  // per output element, at least B
    // ROW exponentials of at most -X0 * 2**N, which is below 2**31: the sum always fits its register.
    parameter int SUM_BITS = $clog2((64'(ROW) * (64'd0 - 64'(X0)) << N) + 64'd1)
) (
    input  logic                      clk,
    input  logic                      rst,
    input  logic                      in_valid,
    output logic                      in_ready,
    input  logic [ LANES*IN_BITS-1:0] in_data,
    output logic                      out_valid,
    input  logic                      out_ready,
    output logic [LANES*OUT_BITS-1:0] out_data
);
  // Further than FALL below the maximum, the exponential is at its floor, so that differences need no more than X_BITS.
  localparam int FALL = (N * -X0 * 16) / 23 + 2;
  localparam int X_BITS = FALL >> IN_BITS != 0 ? IN_BITS + 1 : $clog2(FALL + 1) + 1;
  localparam logic signed [IN_BITS:0] LOWEST = FALL >> IN_BITS != 0 ? {1'b1, {IN_BITS{1'b0}}} : (IN_BITS + 1)'(-FALL);
  localparam int BEATS = (ROW + LANES - 1) / LANES;
  localparam int BEAT_BITS = BEATS > 1 ? $clog2(BEATS) : 1;
  localparam int LAST_LANES = ROW - (BEATS - 1) * LANES;
  localparam int E_BITS = $clog2(((-X0) << N) + 1);  // e <= -X0 * 2**N
  localparam int BEAT_SUM_BITS = E_BITS + $clog2(LANES);

  typedef enum logic [2:0] {
    WAIT,
    SUM,
    START,
    DIVIDE,
    GIVE
  } state_t;
  state_t state;

  // The row buffer, and the maximum of the row.
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
  wire signed [IN_BITS-1:0] in_top;
  logic signed [IN_BITS-1:0] top;
  row_max #(LANES, IN_BITS, LAST_LANES) maximum (clk, in_valid && in_ready, in_first, in_last, in_data, in_top);

  // Pipeline of beats: read, exponentials, then sum or multiply.
  logic x_valid, x_last, e_valid, e_last;
  wire [LANES*E_BITS-1:0] exponentials;
  logic [LANES*E_BITS-1:0] e_lanes;
  generate
    for (genvar i = 0; i < LANES; i++) begin : exponential
      wire signed [IN_BITS:0] below = (IN_BITS + 1)'($signed(x_lanes[IN_BITS*i+:IN_BITS])) - (IN_BITS + 1)'(top);  // <= 0
      wire signed [X_BITS-1:0] x = below < LOWEST ? X_BITS'(LOWEST) : X_BITS'(below);
      wire [E_BITS-1:0] e;
      shift_exp #(.X0(X0), .N(N), .X_BITS(X_BITS), .BITS(E_BITS)) shift_exp (x, e);
      assign exponentials[E_BITS*i+:E_BITS] = i < LAST_LANES || !x_last ? e : '0;
    end
  endgenerate

  function automatic logic [BEAT_SUM_BITS-1:0] total(input logic [LANES*E_BITS-1:0] of);
    total = '0;
    for (int i = 0; i < LANES; i++) total += BEAT_SUM_BITS'(of[E_BITS*i+:E_BITS]);
  endfunction

  logic [SUM_BITS-1:0] sum;
  wire [63:0] wide_sum = 64'(sum);
  wire [30:0] divisor = |wide_sum[63:31] ? 31'h7fffffff : wide_sum[30:0];
  wire start = state == START;
  wire divided;
  wire [30:0] f;
  divider #(.BITS(31)) reciprocal (
      .clk, .rst, .start, .dividend(31'h7fffffff), .divisor, .done(divided), .quotient(f)
  );

  wire [LANES*OUT_BITS-1:0] products;
  generate
    for (genvar i = 0; i < LANES; i++) begin : product
      // e <= S, so e * f <= 2**31 - 1 fits i32, and p fits B bits.
      wire [31:0] ef = 32'(e_lanes[E_BITS*i+:E_BITS]) * 32'(f);
      wire signed [B-1:0] p = B'(ef >> (32 - B));
      assign products[OUT_BITS*i+:OUT_BITS] = OUT_BITS'(p);
    end
  endgenerate

  always_ff @(posedge clk) begin
    if (step) begin
      x_last <= last;
      e_last <= x_last;
      e_lanes <= exponentials;
      out_data <= products;
    end
    if (take) top <= in_top;
    if (take) sum <= '0;
    else if (step && e_valid && state == SUM) sum <= sum + SUM_BITS'(total(e_lanes));
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      state <= WAIT;
      reading <= 1'b0;
      beat <= '0;
      x_valid <= 1'b0;
      e_valid <= 1'b0;
      out_valid <= 1'b0;
    end else begin
      if (step) begin
        if (reading) beat <= last ? '0 : beat + 1'b1;
        if (last) reading <= 1'b0;
        x_valid <= reading;
        e_valid <= x_valid;
        out_valid <= e_valid && state == GIVE;
      end
      case (state)
        WAIT:
        if (waits) begin
          state   <= SUM;
          reading <= 1'b1;
        end
        SUM: if (step && e_valid && e_last) state <= START;
        START: state <= DIVIDE;
        DIVIDE:
        if (divided) begin
          state   <= GIVE;
          reading <= 1'b1;
        end
        GIVE: if (step && e_valid && e_last) state <= WAIT;
        default: state <= WAIT;
      endcase
    end
  end
endmodule
