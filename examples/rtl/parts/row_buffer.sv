// A double buffer: one row fills from the stream while the other is read, beat by beat, as often as needed.
// `waits`: a complete row is waiting. `take`, allowed only then, makes it the row that is read, and the next row can fill.
module row_buffer #(
    parameter int BITS = 64,  // per beat
    parameter int BEATS = 1,
    parameter int BEAT_BITS = 1  // $clog2(BEATS), at least 1
) (
    input  logic                 clk,
    input  logic                 rst,
    input  logic                 in_valid,
    output logic                 in_ready,
    input  logic [     BITS-1:0] in_data,
    output logic                 in_first,
    output logic                 in_last,
    output logic                 waits,
    input  logic                 take,
    input  logic                 read,
    input  logic [BEAT_BITS-1:0] read_beat,
    output logic [     BITS-1:0] read_data  // in the cycle after `read`
);
  localparam logic [BEAT_BITS-1:0] LAST = BEAT_BITS'(BEATS - 1);

  logic [BITS-1:0] beats[0:2**(BEAT_BITS+1)-1];
  logic [BEAT_BITS-1:0] in_beat;
  logic bank;  // the one that fills

  wire accept = in_valid && in_ready;
  assign in_ready = !waits;
  assign in_first = in_beat == '0;
  assign in_last  = in_beat == LAST;

  always_ff @(posedge clk) begin
    if (accept) beats[{bank, in_beat}] <= in_data;
    if (read) read_data <= beats[{!bank, read_beat}];
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      in_beat <= '0;
      bank <= 1'b0;
      waits <= 1'b0;
    end else begin
      if (accept) in_beat <= in_last ? '0 : in_beat + 1'b1;
      if (accept && in_last) waits <= 1'b1;
      if (take) begin
        waits <= 1'b0;
        bank  <= !bank;
      end
    end
  end
endmodule
