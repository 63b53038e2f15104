"""One call of an operator in standard ONNX operators, at a width."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import NodeProto, TensorProto

from ..symbols import Traced
from ..symbols.saturation import limited
from .limbs import Limbs, digit_names
from .narrow_form import narrowed
from .onnx_form import Body, carrier


@dataclass(frozen=True)
class Written:
    """A call of an operator in standard operators: `nodes`, from `inputs` to `outputs`.

    A tensor that the width does not hold is several, its digits to the base ``2**bits``, the lowest first: those of every
    input by name, and of the result.
    """

    nodes: list[NodeProto]
    inputs: dict[str, list[str]]
    outputs: list[str]
    carrier: int

    @property
    def arguments(self) -> list[str]:
        """The names of all inputs."""
        return [name for names in self.inputs.values() for name in names]


def written(traced: Traced, width: int = 64, result: tuple[int, int] | None = None) -> Written:
    """A call in operators of which no value passes a width, 64, 32 or 24 bits; the `result` may have a wider interval."""
    steps = limited({"out": traced.out})
    if width == 64:
        body = Body(steps)
        return Written(body.nodes, {name: [name] for name in traced.inputs}, ["out"], carrier(traced.out))
    limbs = Limbs(width)
    digits = narrowed(steps, width, {"out": result} if result else None)["out"].digits
    outputs = digit_names("out", len(digits))
    body = Body(dict(zip(outputs, digits, strict=True)), narrow=True)
    inputs = {name: digit_names(name, limbs.count(x.lo, x.hi)) for name, x in traced.inputs.items()}
    return Written(body.nodes, inputs, outputs, TensorProto.INT32)
