// Intentional fault: a shiftmax whose exponential-sum register is one bit too short for these rows, so it wraps.
// A second top module that overrides the unit's parameter; block 0's largest sum needs 28 bits.
module short_sum;
  defparam shiftmax_node.unit.SUM_BITS = 27;
endmodule
