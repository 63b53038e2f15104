"""Networks for other people's compilers: integer-only ONNX from the expressions of every operator, and running it elsewhere.

`saturation` removes what a saturation makes irrelevant, `onnx_form` writes expressions as standard operators, `onnx_model`
whole networks, `executors/` run them, one file each.
"""
