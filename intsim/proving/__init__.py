"""Proofs: what holds for all inputs, by expressions and a solver."""
