"""The code of a tile as a function, compiled for any processor, whether this machine has it or not."""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import binding as llvm
from llvmlite import ir

from intsim.kernels.emitted_tile import tile_code
from intsim.kernels.forms import Form

NAME = "tile"


def tile_module(form: type[Form], vectors: int) -> str:
    """LLVM code of ``tile(a, a_stride, b, groups, c, c_stride)``, with strides in bytes."""
    module = ir.Module(NAME)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 6), NAME)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    code = tile_code(form, vectors, builder)
    *_, sums, stride = function.args
    code.begin()
    code.store(code.sums(*function.args, ir.Constant(ir.IntType(1), 0)), sums, stride)
    code.end()
    builder.ret_void()
    return str(module)


@cache
def _every_target() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def machine(triple: str, features: str) -> Any:
    """LLVM's target machine for a processor. Raises RuntimeError if this LLVM was built without it."""
    _every_target()
    return llvm.Target.from_triple(triple).create_target_machine(features=features, opt=3, reloc="pic")


def compiled(form: type[Form], triple: str, features: str) -> Any:
    """The target machine and the verified module, the argument of the machine's `emit_assembly` and `emit_object`."""
    target = machine(triple, features)
    module = llvm.parse_assembly(tile_module(form, form.SIZES[1] // form.SIZES[2]))
    module.triple = triple
    module.verify()
    return target, module
