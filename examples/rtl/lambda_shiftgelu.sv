// lambda_shiftgelu: x * sigmoid(clamp(x)) of rows of i8, with shifts and one division per element.
//   g = clamp(x, -LAM, LAM);  M = max(g);  e = shift_exp(g - M);  S = min(e + shift_exp(-M), 2**31 - 1)
//   sig = (e * ((2**31 - 1) / S)) >> (32 - B);  out = x * sig
// A row is received while the previous one is processed, beat by beat, by LANES parallel dividers.
module lambda_shiftgelu #(
    parameter int LANES = 8,
    parameter int ROW = 8,  // elements per row; the last beat of a row is padded
    parameter int X0 = -16,
    parameter int N = 23,
    parameter int B = 8,
    parameter int LAM = 128,  // from 128 on, nothing is clamped
    parameter int RATE = 4  // quotient bits per cycle
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                in_valid,
    output logic                in_ready,
    input  logic [ LANES*8-1:0] in_data,
    output logic                out_valid,
    input  logic                out_ready,
    output logic [LANES*32-1:0] out_data
);
  localparam int BEATS = (ROW + LANES - 1) / LANES;
  localparam int BEAT_BITS = BEATS > 1 ? $clog2(BEATS) : 1;
  localparam int LAST_LANES = ROW - (BEATS - 1) * LANES;
  localparam int E_BITS = $clog2(((-X0) << N) + 1);  // e <= -X0 * 2**N < 2**31
  localparam logic signed [8:0] LIMIT = LAM > 127 ? 9'sd128 : 9'(LAM);

  typedef enum logic [2:0] {
    WAIT,
    READ,
    EXP,
    START,
    DIVIDE
  } state_t;
  state_t state;

  function automatic logic [LANES*8-1:0] clamped(input logic [LANES*8-1:0] of);
    logic signed [8:0] x;
    for (int i = 0; i < LANES; i++) begin
      x = 9'($signed(of[8*i+:8]));
      x = x > LIMIT ? LIMIT : x < -LIMIT ? -LIMIT : x;
      clamped[8*i+:8] = x[7:0];
    end
  endfunction

  // The row buffer, and the maximum of the row's clamped elements.
  wire in_first, in_last, waits;
  wire take = state == WAIT && waits;
  wire read = state == READ;
  logic [BEAT_BITS-1:0] beat;
  wire last = beat == BEAT_BITS'(BEATS - 1);
  wire [LANES*8-1:0] x_lanes;
  row_buffer #(LANES * 8, BEATS, BEAT_BITS) row (
      .clk, .rst, .in_valid, .in_ready, .in_data, .in_first, .in_last, .waits, .take,
      .read, .read_beat(beat), .read_data(x_lanes)
  );
  wire signed [7:0] in_top;
  logic signed [7:0] top;
  row_max #(LANES, 8, LAST_LANES) maximum (clk, in_valid && in_ready, in_first, in_last, clamped(in_data), in_top);

  // The exponential at -M; it saturates if M is negative.
  wire signed [8:0] minus_top = 9'sd0 - 9'(top);  // in [-127, 128]
  wire [30:0] top_exponential;
  logic [30:0] e_top;
  shift_exp #(.X0(X0), .N(N), .MAY_RISE(1'b1), .BITS(31)) shift_exp_top (minus_top, top_exponential);

  wire [LANES*8-1:0] g_lanes = clamped(x_lanes);
  wire start = state == START;
  wire [LANES-1:0] divided;
  wire [LANES*32-1:0] products;
  generate
    for (genvar i = 0; i < LANES; i++) begin : lane
      wire signed [8:0] g = 9'($signed(g_lanes[8*i+:8])) - 9'(top);  // in [-255, 0]
      wire [E_BITS-1:0] exponential;
      shift_exp #(.X0(X0), .N(N), .BITS(E_BITS)) shift_exp (g, exponential);

      logic [E_BITS-1:0] e;
      always_ff @(posedge clk) if (state == EXP) e <= exponential;
      wire [31:0] sum = 32'(e) + 32'(e_top);  // each at most 2**31 - 1
      wire [30:0] divisor = sum[31] ? 31'h7fffffff : sum[30:0];
      wire [30:0] f;
      divider #(.BITS(31), .RATE(RATE)) reciprocal (
          .clk, .rst, .start, .dividend(31'h7fffffff), .divisor, .done(divided[i]), .quotient(f)
      );

      // e <= S, so e * f <= 2**31 - 1: sigma is below 2**(B-1), and 128 * sigma fits i32 for B <= 16.
      wire [31:0] ef = 32'(e) * 32'(f);
      wire signed [B-1:0] sigma = B'(ef >> (32 - B));
      wire signed [31:0] out = 32'($signed(x_lanes[8*i+:8])) * 32'(sigma);
      assign products[32*i+:32] = i < LAST_LANES || !last ? out : '0;
    end
  endgenerate

  wire give = state == DIVIDE && &divided && (!out_valid || out_ready);

  always_ff @(posedge clk) begin
    if (take) top <= in_top;
    e_top <= top_exponential;
    if (give) out_data <= products;
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      state <= WAIT;
      beat <= '0;
      out_valid <= 1'b0;
    end else begin
      if (give) out_valid <= 1'b1;
      else if (out_ready) out_valid <= 1'b0;
      case (state)
        WAIT: if (waits) state <= READ;
        READ: state <= EXP;
        EXP: state <= START;
        START: state <= DIVIDE;
        DIVIDE:
        if (give) begin
          beat  <= last ? '0 : beat + 1'b1;
          state <= last ? WAIT : READ;
        end
        default: state <= WAIT;
      endcase
    end
  end
endmodule
