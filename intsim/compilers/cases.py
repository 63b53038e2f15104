"""Conformance cases for compilers, in the layout of ONNX's own backend tests: a model, its inputs and the due outputs.

`operator_cases` are intsim's operators on their conformance vectors, each as standard operators on integers; the due output
is the reference's. `primitives` has single standard operators.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from ..arith import I32, I64, AnyArray, Format, TensorBound
from ..dialects import Dialect
from ..errors import IntsimError
from ..ops import REGISTRY
from ..symbols import trace
from ..vectors.document import Document
from .limbs import Limbs
from .onnx_call import Written, written
from .onnx_form import OPSET
from .onnx_model import IR_VERSION


@dataclass(frozen=True)
class Case:
    """A model, its inputs and the due outputs by name; `subject` is the operator, `why` what the case is for.

    Where it is a call of an operator of intsim, `arrays`, `params` and `dialect` are its arguments.
    """

    subject: str
    name: str
    why: str
    model: ModelProto
    inputs: Mapping[str, AnyArray]
    outputs: Mapping[str, AnyArray]
    arrays: tuple[AnyArray, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    dialect: Dialect | None = None

    def write(self, folder: Path) -> None:
        """The case as a folder that test runners of ONNX backends take."""
        data = folder / self.name / "test_data_set_0"
        data.mkdir(parents=True)
        (folder / self.name / "model.onnx").write_bytes(self.model.SerializeToString(deterministic=True))
        for kind, tensors in (("input", self.inputs), ("output", self.outputs)):
            for i, (name, value) in enumerate(tensors.items()):
                stored = numpy_helper.from_array(np.ascontiguousarray(value).reshape(np.shape(value)), name)
                (data / f"{kind}_{i}.pb").write_bytes(stored.SerializeToString(deterministic=True))


# --- operators --------------------------------------------------------------------------------------------------------


def operator_cases(document: Document, width: int = 64) -> Iterator[Case]:
    """The conformance vectors of an operator that it accepts, in a form of which no value passes a width."""
    op, dialect, operator = document.op, document.dialect, REGISTRY[document.op]
    rules = dialect if operator.choices else None
    names = list(operator.inputs)
    for case in document.cases:
        raw = case.args[names[0]] if operator.variadic else [case.args[name] for name in names]
        given = {key: value for key, value in case.args.items() if key not in names}
        try:
            first = () if operator.variadic else names
            call = raw if operator.variadic else []
            due = operator.ref(
                *call, **dict(zip(first, raw, strict=False)), **given, **({"dialect": rules} if rules else {})
            )
            arrays = [np.asarray(value, np.int64) for value in raw]
            why = case.note or " ".join(case.flags)
            yield call_case(op, arrays, given, rules, np.asarray(due), f"{op}_{dialect.name}_{case.id}", why, width)
        except (ValueError, TypeError):  # the operator refuses it, or the form does not hold it
            continue


def call_case(
    op: str,
    arrays: list[AnyArray],
    params: Mapping[str, Any],
    dialect: Dialect | None,
    due: AnyArray,
    name: str,
    why: str = "",
    width: int = 64,
) -> Case:
    """One call of an operator and the due result. Raises ValueError or TypeError where the form does not hold it."""
    model, inputs, body = _operator_model(op, arrays, params, dialect, width)
    parts = _digits(np.asarray(due, np.int64), len(body.outputs), width)
    dtype = np.int32 if body.carrier == TensorProto.INT32 else np.int64
    outputs = {output: part.astype(dtype) for output, part in zip(body.outputs, parts, strict=True)}
    return Case(op, name, why, model, inputs, outputs, tuple(arrays), params, dialect)


def _digits(value: AnyArray, count: int, width: int) -> list[AnyArray]:
    return [value] if count == 1 else Limbs(width).cut(value, count)


def _operator_model(
    op: str, arrays: list[AnyArray], params: Mapping[str, Any], dialect: Dialect | None, width: int
) -> tuple[ModelProto, dict[str, AnyArray], Written]:
    """A call as a model of one operator, its arrays inputs as int32 where they fit."""
    operator = REGISTRY[op]
    bounds = [TensorBound.full(x.shape, _format(x, operator.port(i))) for i, x in enumerate(arrays)]
    checked = {key: operator.checked_param(key, value) for key, value in params.items()}
    shaped = [key for key, value in checked.items() if np.ndim(value)]
    traced = trace(operator, bounds, checked, dialect, given=shaped)
    body = written(traced, width)
    values = [*arrays, *(checked[key] for key in list(traced.inputs)[len(arrays) :])]
    inputs = {}
    for names, value in zip(body.inputs.values(), values, strict=True):
        for name, part in zip(names, _digits(value, len(names), width), strict=True):
            fits = part.size == 0 or I32.holds(int(part.min()), int(part.max()))
            inputs[name] = part.astype(np.int32 if fits else np.int64)
    outputs = [helper.make_tensor_value_info(name, body.carrier, traced.out.shape) for name in body.outputs]
    return model_of(op, body.nodes, inputs, outputs), inputs, body


def _format(x: AnyArray, port: Format) -> Format:
    """The format of an argument: its port's, or where that takes all integers the narrower of i32 and i64 that holds it."""
    return port if port is not I64 else I32 if I32.holds(int(x.min()), int(x.max())) else I64


def model_of(name: str, nodes: list[NodeProto], inputs: Mapping[str, AnyArray], outputs: list[Any]) -> ModelProto:
    """A model whose constants are initializers, which every frontend reads."""
    values = [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for k, v in inputs.items()]
    constants = [node for node in nodes if node.op_type == "Constant"]
    for node in constants:
        node.attribute[0].t.name = node.output[0]
    graph = helper.make_graph(
        [node for node in nodes if node.op_type != "Constant"],
        name,
        values,
        outputs,
        [node.attribute[0].t for node in constants],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="intsim"
    )
    checker.check_model(model, full_check=True)
    return model


def write_cases(cases: Iterator[Case], folder: Path) -> int:
    """Write cases to a new or empty folder, all or none; how many. IntsimError where it holds something."""
    if folder.exists() and not folder.is_dir():
        raise IntsimError(f"{folder}: is a file; name a new folder")
    if folder.exists() and any(folder.iterdir()):
        raise IntsimError(f"{folder}: is not empty; name a new folder")
    count = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".cases-") as name:
            for case in cases:
                case.write(Path(name))
                count += 1
            for entry in sorted(Path(name).iterdir()):
                entry.rename(folder / entry.name)
    except OSError as error:
        raise IntsimError(
            f"{folder}: cannot be written ({error.strerror}); nothing is there, choose another place"
        ) from None
    return count
