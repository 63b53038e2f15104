// requant: out = saturate(round_shift(x * m, e, half_up), B); m and e are shared by all channels or per channel.
// Streaming: one beat per cycle, with a latency of three cycles.
module requant #(
    parameter int LANES = 8,
    parameter int ROW = 8,  // elements per row; the last beat of a row is padded
    parameter int B = 8,
    parameter int OUT_BITS = 8,  // per output element, at least B
    parameter int M_COUNT = 1,
    parameter logic [M_COUNT*32-1:0] M = '0,  // i32 each
    parameter int E_COUNT = 1,
    parameter int E_BITS = 8,
    parameter logic [E_COUNT*E_BITS-1:0] E = '0,  // 1 to 62 each
    parameter int IN_BITS = 32
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
  localparam int BEATS = (ROW + LANES - 1) / LANES;
  localparam int BEAT_BITS = BEATS > 1 ? $clog2(BEATS) : 1;
  localparam int LAST_LANES = ROW - (BEATS - 1) * LANES;
  localparam int PRODUCT_BITS = IN_BITS + 32;  // |x * m| <= 2**(IN_BITS-1) * 2**31: one spare bit for the added half

  wire step = !out_valid || out_ready;  // the whole pipeline moves or stalls
  assign in_ready = step;

  logic [BEAT_BITS-1:0] beat;
  wire last = beat == BEAT_BITS'(BEATS - 1);
  wire [LANES*32-1:0] m_lanes;
  wire [LANES*E_BITS-1:0] e_lanes;
  channel_rom #(LANES, BEATS, BEAT_BITS, M_COUNT, 32, M) m_rom (beat, m_lanes);
  channel_rom #(LANES, BEATS, BEAT_BITS, E_COUNT, E_BITS, E) e_rom (beat, e_lanes);

  logic taken, multiplied;
  always_ff @(posedge clk) begin
    if (rst) begin
      beat <= '0;
      taken <= 1'b0;
      multiplied <= 1'b0;
      out_valid <= 1'b0;
    end else if (step) begin
      if (in_valid) beat <= last ? '0 : beat + 1'b1;
      taken <= in_valid;
      multiplied <= taken;
      out_valid <= multiplied;
    end
  end

  generate
    for (genvar i = 0; i < LANES; i++) begin : lane
      wire kept = i < LAST_LANES || !last;  // padding becomes round_shift(0, 1) = 0
      logic signed [IN_BITS-1:0] x;
      logic signed [31:0] m;
      logic [5:0] e, e_next;
      logic signed [PRODUCT_BITS-1:0] product;
      wire signed [PRODUCT_BITS-1:0] rounded;
      wire signed [B-1:0] out;
      round_shift #(PRODUCT_BITS) shifter (product, e_next, rounded);
      saturate #(PRODUCT_BITS, B) limiter (rounded, out);
      always_ff @(posedge clk) begin
        if (step) begin
          x <= kept ? in_data[IN_BITS*i+:IN_BITS] : '0;
          m <= m_lanes[32*i+:32];
          e <= kept ? 6'(e_lanes[E_BITS*i+:E_BITS]) : 6'd1;
          product <= x * m;
          e_next <= e;
          out_data[OUT_BITS*i+:OUT_BITS] <= OUT_BITS'(out);
        end
      end
    end
  endgenerate
endmodule
