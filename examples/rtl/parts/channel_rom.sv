// A parameter shared by all channels or per channel: its values for the LANES channels of a beat. Combinational.
module channel_rom #(
    parameter int LANES = 8,
    parameter int BEATS = 1,
    parameter int BEAT_BITS = 1,
    parameter int COUNT = 1,  // 1: shared by all channels
    parameter int BITS = 32,
    parameter logic [COUNT*BITS-1:0] VALUES = '0  // channel i at [BITS*i +: BITS]
) (
    input  logic [ BEAT_BITS-1:0] beat,
    output logic [LANES*BITS-1:0] values
);
  localparam int WORD = LANES * BITS;
  generate
    if (COUNT == 1) begin : one
      wire unused = &{1'b0, beat};
      assign values = {LANES{VALUES}};
    end else begin : many
      localparam logic [BEATS*WORD-1:0] PADDED = (BEATS * WORD)'(VALUES);
      wire [WORD-1:0] words[0:2**BEAT_BITS-1];
      for (genvar i = 0; i < 2 ** BEAT_BITS; i++) begin : word
        if (i < BEATS) assign words[i] = PADDED[WORD*i+:WORD];
        else assign words[i] = '0;
      end
      assign values = words[beat];
    end
  endgenerate
endmodule
