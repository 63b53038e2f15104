"""An attention unit of two heads in integers: writes unit.h5, and values of its inputs as q.npy, k.npy and v.npy."""

import numpy as np

import intsim

HEADS, TOKENS, WIDTH = 2, 32, 16

net = intsim.Builder("rtl", name="attention unit")
q, k, v = (net.input(name, "i8", (HEADS, TOKENS, WIDTH), scale=0.05) for name in "qkv")
with net.scope("attn"):
    product = net.matmul(q, k, transpose_b=1, name="product")
    logits = net.rescale(product, scale=0.2, bits=8, name="logits")
    p = net.shiftmax(logits, x0=-20, n=15, b=16, name="softmax")  # 0.2 / sqrt(WIDTH) = 0.05, and -1 is -20 of these
    mixed = net.matmul(p, v, transpose_b=0, name="mixed")
    net.rescale(mixed, scale=0.05, bits=8, name="out")
intsim.save(net.graph(), "unit.h5")

draw = np.random.default_rng(0)
for name in "qkv":
    np.save(f"{name}.npy", draw.integers(-100, 101, (HEADS, TOKENS, WIDTH)).astype(np.int8))
