// Wrong on purpose: a shiftmax whose exponential-sum register is one bit short of what these rows need; it wraps.
// A second top beside the node, overriding the unit's parameter: block 0's largest sum takes 27 bits.
module short_sum;
  defparam shiftmax_node.unit.SUM_BITS = 26;
endmodule
