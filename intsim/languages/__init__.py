"""Operators and networks in other languages, printed from the expressions of `symbols`: C, SystemVerilog, JavaScript."""
