"""Devices in plain NumPy, written from docs/arithmetic.md, with mistakes that hardware has. Nothing of intsim is used here.

`operators` has the right equations (dialect isegmenter), each with the places where a device slips; `mistakes` is the
catalogue: what goes wrong, at which operators, and the reason that an engineer would accept.
"""
