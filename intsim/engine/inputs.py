"""The inputs of a graph: pictures, and tensors of any format and shape; how they are declared, and how values are checked.

A picture has the parameters ``height``, ``width`` and ``channels``, and is u8. Any other input has ``bits`` (8, 16 or 32)
and ``signed`` (0 or 1, 0 with 8 bits alone), ``axis0``, ``axis1`` .. (its shape), and ``lo`` and ``hi``, the range that the
proof of bounds assumes and that a run checks; by default the ends of the format. All are integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arith import I8, I16, I32, U8, Format, IntArray, TensorBound, first_index
from ..errors import GraphError, IntsimError

if TYPE_CHECKING:
    from .graph import Graph

Inputs = IntArray | Mapping[str, IntArray]  # what a graph is run on: its only input, or its inputs by name

SIDES = ("height", "width", "channels")
FORMATS = {(8, 0): U8, (8, 1): I8, (16, 1): I16, (32, 1): I32}  # by bits and sign
LONGEST = 1 << 24  # of an axis
MOST_AXES = 8
MOST_ELEMENTS = 1 << 31


def input_params(fmt: str | Format, shape: Sequence[int], lo: int | None = None, hi: int | None = None) -> dict[str, int]:
    """The parameters of an input of a format (``u8``, ``i8``, ``i16``, ``i32``) and shape, with values in ``[lo, hi]``."""
    for (bits, signed), known in FORMATS.items():
        if str(fmt) == known.name:
            axes = {f"axis{i}": size for i, size in enumerate(shape)}
            return {
                "bits": bits,
                "signed": signed,
                **axes,
                "lo": known.lo if lo is None else lo,
                "hi": known.hi if hi is None else hi,
            }
    raise GraphError(f"{str(fmt)!r} is not a format of an input; those are {', '.join(map(str, FORMATS.values()))}")


def is_picture(params: Mapping[str, Any]) -> bool:
    """Whether the parameters of an input are those of a picture."""
    return "height" in params


def like_picture(bound: TensorBound) -> bool:
    """Whether a tensor has the format and the shape of a picture."""
    return bound.fmt is U8 and len(bound.shape) == 3 and bound.shape[2] == 3


def records_picture(record: Mapping[str, Any]) -> bool:
    """Whether a node in a golden file's graph is a picture; what a file has there may be anything."""
    params = record.get("params")
    return record.get("op") == "input" and isinstance(params, dict) and is_picture(params)


def input_bound(params: Mapping[str, Any]) -> TensorBound:
    """Shape, format and range of an input by its checked parameters."""
    if is_picture(params):
        return TensorBound.full([params[key] for key in SIDES], U8)
    shape = tuple(params[f"axis{i}"] for i in range(_axes(params)))
    return TensorBound(shape, FORMATS[params["bits"], params["signed"]], params["lo"], params["hi"])


def checked_input(params: Mapping[str, Any]) -> dict[str, int]:
    """The parameters of an input, each checked; those of a range are added. ValueError with what is wrong."""
    if "bits" not in params:
        for key in SIDES:
            if key not in params:
                raise ValueError(
                    f"its parameter {key!r} is missing; an input has {', '.join(SIDES)}, or bits, signed, axis0 .."
                )
        return {key: _whole(params, key, 1, 1 << 16) for key in SIDES}
    fmt = FORMATS.get((_whole(params, "bits", 8, 32), _whole(params, "signed", 0, 1)))
    if fmt is None:
        raise ValueError(
            f"an input has 8 bits, or 16 or 32 signed ones, not {params['bits']} with signed {params['signed']}"
        )
    count = _axes(params)
    if not 1 <= count <= MOST_AXES:
        raise ValueError(f"an input has 1 to {MOST_AXES} axes, axis0, axis1 .., not {count}")
    axes = {f"axis{i}": _whole(params, f"axis{i}", 1, LONGEST) for i in range(count)}
    if prod(axes.values()) > MOST_ELEMENTS:
        raise ValueError(f"an input has at most {MOST_ELEMENTS} elements, not {prod(axes.values())}")
    lo, hi = (_whole({key: end, **params}, key, fmt.lo, fmt.hi) for key, end in (("lo", fmt.lo), ("hi", fmt.hi)))
    if lo > hi:
        raise ValueError(f"its range [{lo}, {hi}] is empty; lo is at most hi")
    if unknown := params.keys() - {"bits", "signed", "lo", "hi", *axes}:
        raise ValueError(f"an input has no parameter {min(unknown, key=str)!r}")
    return {"bits": params["bits"], "signed": params["signed"], **axes, "lo": lo, "hi": hi}


def _axes(params: Mapping[str, Any]) -> int:
    """The number of its axes: those numbered from 0 without a gap."""
    return next(i for i in range(len(params) + 1) if f"axis{i}" not in params)


def _whole(params: Mapping[str, Any], key: str, lo: int, hi: int) -> int:
    if key not in params:
        raise ValueError(f"its parameter {key!r} is missing")
    value = params[key]
    if not isinstance(value, int) or isinstance(value, bool) or not lo <= value <= hi:
        raise ValueError(f"{key} must be an integer from {lo} to {hi}, not {value!r}")
    return value


# --- values -------------------------------------------------------------------------------------------------------------


def checked_inputs(graph: Graph, given: Inputs) -> dict[str, IntArray]:
    """The value of every input by name, each checked. IntsimError with the input, the element, or the name that is wrong."""
    takes = {node.name: graph.tensors[node.name] for node in graph.inputs}
    return {name: checked_value(graph, name, value) for name, value in _by_name(takes, given).items()}


def checked_by(takes: Mapping[str, TensorBound], given: Inputs) -> dict[str, IntArray]:
    """The value of every input in `takes`, checked in the same way where there is no graph."""
    values = _by_name(takes, given)
    if len(takes) == 1 and all(map(like_picture, takes.values())):
        return {name: _checked_picture(takes[name], "the picture", value) for name, value in values.items()}
    return {name: _checked(name, takes[name], value) for name, value in values.items()}


def _by_name(takes: Mapping[str, TensorBound], given: Inputs) -> dict[str, Any]:
    names = list(takes)
    if not isinstance(given, Mapping):
        if len(names) > 1:
            raise IntsimError(f"there are {len(names)} inputs; give an array for each by name: {', '.join(names)}")
        given = {names[0]: given}
    if unknown := [name for name in given if name not in takes]:
        raise IntsimError(f"{unknown[0]!r} is no input; the inputs are: {', '.join(names)}")
    if missing := [name for name in names if name not in given]:
        raise IntsimError(f"no value is given for the input {missing[0]}, {described(takes[missing[0]])}")
    return {name: given[name] for name in names}


def declared(graph: Graph, name: str) -> str:
    """An input's format, shape and range in words, as in ``i8 [64, 128]``."""
    return described(graph.tensors[name])


def described(bound: TensorBound) -> str:
    """A format, shape and range in words."""
    limits = "" if (bound.lo, bound.hi) == (bound.fmt.lo, bound.fmt.hi) else f" in [{bound.lo}, {bound.hi}]"
    return f"{bound.fmt} {list(bound.shape)}{limits}"


def checked_value(graph: Graph, name: str, value: Any) -> IntArray:
    """The value of an input in C order and native bytes, checked to have its format, shape and range."""
    bound = graph.tensors[name]
    if is_picture(graph.by_name[name].params):
        return _checked_picture(bound, "the picture" if len(graph.inputs) == 1 else f"{name}: the picture", value)
    return _checked(name, bound, value)


def _checked(name: str, bound: TensorBound, value: Any) -> IntArray:
    dtype = getattr(value, "dtype", None)
    if not isinstance(dtype, np.dtype) or dtype.newbyteorder("=") != bound.fmt.dtype:
        found = dtype or f"a {type(value).__name__}"
        raise IntsimError(f"{name}: expected an array of {bound.fmt.dtype} ({described(bound)}), not {found}")
    if value.shape != bound.shape:
        raise IntsimError(f"{name}: its shape is {list(value.shape)}, expected {list(bound.shape)}")
    plain: IntArray = np.ascontiguousarray(value, bound.fmt.dtype)
    if int(plain.min()) < bound.lo or int(plain.max()) > bound.hi:
        index = first_index((plain < bound.lo) | (plain > bound.hi))
        raise IntsimError(f"{name}{index} is {int(plain[tuple(index)])}, outside the input's range [{bound.lo}, {bound.hi}]")
    return plain


def _checked_picture(bound: TensorBound, what: str, image: Any) -> IntArray:
    shape = bound.shape
    if getattr(image, "dtype", None) != np.uint8:
        raise IntsimError(f"{what} must be an array of uint8 pixels, not {getattr(image, 'dtype', type(image).__name__)}")
    if image.shape != shape:
        got = " x ".join(map(str, image.shape))
        raise IntsimError(f"{what} is {got}; this model takes {shape[0]} x {shape[1]} x {shape[2]} (height, width, RGB)")
    picture: IntArray = image
    return picture


def require_picture(graph: Graph, what: str) -> None:
    """Refuse a graph that does not take one picture where `what` is possible with pictures alone."""
    if not graph.takes_picture:
        inputs = ", ".join(f"{node.name} ({declared(graph, node.name)})" for node in graph.inputs)
        raise IntsimError(f"{what} takes a picture; the inputs of this model are: {inputs}")
