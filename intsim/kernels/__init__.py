"""The compiled loops that several operators share, and how rows are distributed over threads."""

from ..arith.jit import HAS_COMPILER

if HAS_COMPILER:  # what kernels call where the processor has instructions for it, as LLVM code
    from . import (  # noqa: F401
        emitted_exponentials,
        emitted_layernorm,
        emitted_lookup,
        emitted_probabilities,
        emitted_tile,
        emitted_weighting,
    )
