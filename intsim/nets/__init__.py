"""Real-valued networks that follow their papers. Lowering (intsim.quantization) converts them to integer graphs."""
