"""Real-valued networks that read like their papers. Lowering (intsim.quantize) turns them into integer graphs."""
