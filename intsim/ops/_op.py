"""The registry: what an operator is, how its arguments are checked, and how its implementations are called.

The file of an operator defines ``steps`` (the equation in NumPy int64, every intermediate by name), ``fast`` (Numba),
``infer`` (shape, format and proven bounds of the output), ``scale`` (its real scale) and ``real`` (what it approximates),
and registers them as one `Op`. Of an operator from outside the equation and the format of its result are enough: bounds
come from the equation run on symbols, and the reference computes.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from keyword import iskeyword
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ..arith import (
    I64,
    Format,
    IntArray,
    Overflow,
    Scale,
    TensorBound,
    first_index,
    forbid,
    format_named,
    integers,
)
from ..arith.jit import HAS_COMPILER, remark_absence
from ..dialects import CHOICES, Dialect, resolve
from ..errors import IntsimError
from ..symbols.shapes import Form, form_of_call, rows_form
from ..symbols.trace import inferred, require_steps
from ._guard import guarded
from ._param import FLAG, Param, own_format
from ._registry import REGISTRY, RESERVED
from ._words import WORDS

_NOTHING = np.empty(0, np.int8)
F = TypeVar("F", bound=Callable[..., Any])
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def _public(signature: inspect.Signature, disputed: bool) -> inspect.Signature:
    """The signature of a call: `dialect` is required where one of its choices matters, and optional elsewhere."""
    default = inspect.Parameter.empty if disputed else None
    parameters = [
        p.replace(default=default, annotation="Dialect | str" if disputed else "Dialect | str | None")
        if p.name == "dialect"
        else p
        for p in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters)


class Op:
    """One operator. A call checks the arguments and runs the fast implementation; ``.ref`` runs the reference.

    `steps` is its equation: called with the `inputs` (formats by name) and `params` (`Param` by name) in int64 and with
    `dialect`, it returns every intermediate by name, the last one ``out``. `name` is by default that of the module, `result`
    the format of the result, or a function of the parameters that gives it. `choices` are the keys of a dialect that the
    equation reads. Optional are `infer` (of the inputs' `TensorBound`s, the parameters and the dialect the result's, instead
    of what follows from the equation), `fast` (fills its argument ``out``, or returns the result), `scale` (of the scales of
    the inputs, each a number, one per channel, or None, and of the node the scale of the result), `forms` (the axes of the
    arrays, for C), and `real` and `approximates` (what it stands for, in real numbers).

    Raises IntsimError where these do not go together, or another operator has this name.
    """

    def __init__(
        self,
        *,
        steps: Callable[..., dict[str, IntArray]],
        inputs: dict[str, Format],
        params: dict[str, Param],
        name: str | None = None,
        result: Format | Callable[[Mapping[str, Any]], Format] | None = None,
        fast: Callable[..., IntArray | None] | None = None,
        infer: Callable[..., TensorBound] | None = None,
        scale: Callable[[list[Scale | None], Any], Scale | None] = lambda inputs, node: node.scale,
        forms: tuple[Form, ...] | Callable[[int], tuple[Form, ...]] = (),
        choices: tuple[str, ...] = (),
        real: Callable[..., Any] | None = None,
        approximates: str | None = None,
        moves: bool = False,
    ) -> None:
        module = sys.modules[steps.__module__]
        file = module.__name__.rpartition(".")[2]
        self.name = file if name is None else name
        self.home = f"{module.__name__}.{steps.__qualname__}"
        self.inputs = {key: format_named(fmt) if isinstance(fmt, str) else fmt for key, fmt in inputs.items()}
        self.params, self.choices = params, choices
        self.approximates, self.moves = approximates, moves
        self.signature = _public(inspect.signature(steps), bool(choices))
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in self.signature.parameters.values())
        self.steps, self.scale = self._own(steps, "steps"), self._own(scale, "scale")
        self.fast = None if fast is None else self._own(fast, "fast")
        self.infer = None if infer is None else self._own(infer, "infer")
        self.real = real
        self.result, self._forms = self._own(result, "result") if callable(result) else result, forms
        own = None if self.name == file else inspect.getdoc(steps)  # without the indentation that Python 3.13 removes
        self.__doc__ = own or module.__doc__
        self.__signature__ = self.signature
        self._require_whole()
        REGISTRY.add(self)

    def _own(self, function: F, what: str) -> F:
        """A function of the operator; one from outside with its mistakes told in one line."""
        return function if self.built_in else guarded(function, self.name, what)

    @property
    def built_in(self) -> bool:
        """Whether it is one of intsim's own."""
        return self.home.startswith("intsim.ops.")

    def __call__(self, *args: Any, **kwargs: Any) -> IntArray:
        """Run the fast implementation; where Numba is missing the reference.

        Raises TypeError for floats, ValueError naming the first value outside its format.
        """
        return self._through_the_door("fast", args, kwargs)

    def ref(self, *args: Any, **kwargs: Any) -> IntArray:
        """Run the reference: NumPy int64, one statement per line of the equation; same arguments and result."""
        return self._through_the_door("ref", args, kwargs)

    def __repr__(self) -> str:
        return f"<operator {self.name}{self.signature}>"

    def _through_the_door(self, face: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> IntArray:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments)
        named = given.pop("dialect")
        dialect = resolve(named) if named is not None or self.choices else None
        names = list(self.inputs)
        raw = list(given.pop(names[0])) if self.variadic else [given.pop(name) for name in names]
        if self.variadic:
            names = [f"{names[0]}[{i}]" for i in range(len(raw))]
        ports = [own_format(value, self.port(i)) for i, value in enumerate(raw)]
        arrays = [self._checked(v, name, fmt, None) for v, name, fmt in zip(raw, names, ports, strict=True)]
        params = {name: self.checked_param(name, value) for name, value in given.items()}
        inputs = [TensorBound.full(a.shape, fmt) for a, fmt in zip(arrays, ports, strict=True)]
        try:
            out = self.output(inputs, params, dialect)
        except ValueError as error:
            text = str(error)
            raise ValueError(text if text.startswith(f"{self.name}: ") else f"{self.name}: {text}") from None
        return self.compute(face, arrays, params, dialect, out)

    def require_shapes(self, inputs: list[TensorBound], params: Mapping[str, Any], dialect: Dialect | None) -> None:
        """ValueError where arrays among `params` do not go with the inputs by their shapes. No value of them is read."""
        arrays = {key: np.shape(value) for key, value in params.items() if np.ndim(value)}
        if not arrays or params.keys() != self.params.keys():
            return  # nothing to be read, or what is missing is said elsewhere
        plain = {key: self.checked_param(key, value) for key, value in params.items() if key not in arrays}
        for key, shape in arrays.items():
            self._require_axes(key, len(shape))
        try:
            form_of_call(self, [source.shape for source in inputs], {**params, **plain})
        except ValueError:  # the operator says it in its own words, or takes shapes that its functions do not
            fmts = {key: self.params[key].fmt for key in arrays}
            blank = {key: np.broadcast_to(np.array(max(fmts[key].lo, 0), fmts[key].dtype), arrays[key]) for key in arrays}
            self.output(inputs, {**plain, **blank}, dialect)

    def overflow(self, dialect: Dialect | None) -> Overflow:
        """The rule for results outside their format: the dialect's where that is a choice of this operator, else forbid."""
        return dialect.overflow if dialect is not None and "overflow" in self.choices else Overflow.FORBID

    def port(self, position: int) -> Format:
        """The widest format that the input at `position` accepts."""
        return list(self.inputs.values())[0 if self.variadic else position]

    def forms(self, count: int = 2) -> tuple[Form, ...]:
        """Its functions for any lengths, by the axes of its arrays; those of a variadic operator take `count` arrays."""
        declared = self._forms(count) if callable(self._forms) else self._forms
        return declared or (rows_form(self.inputs, self.params),)

    def output(self, inputs: list[TensorBound], params: dict[str, Any], dialect: Dialect | None) -> TensorBound:
        """Shape, format and bounds of the output; a ValueError where inputs and parameters do not match."""
        if self.infer is not None:
            return self.infer(*inputs, **params, dialect=self._rules(dialect))
        return inferred(self, inputs, params, self._rules(dialect), self.format_of(params))

    def _rules(self, dialect: Dialect | None) -> Dialect | None:
        """The dialect that its functions see: one from outside without choices sees none, and cannot depend on one."""
        return dialect if self.choices or self.built_in else None

    def format_of(self, params: Mapping[str, Any]) -> Format:
        """The format of the result that is said instead of `infer`, which may depend on parameters."""
        assert self.result is not None
        return self.result(params) if callable(self.result) else self.result

    def compute(
        self, face: str, arrays: list[IntArray], params: dict[str, Any], dialect: Dialect | None, out: TensorBound
    ) -> IntArray:
        """Run one implementation on checked arrays; `out` is the result of `output`. No value is read before computing.

        Without a compiler ``fast`` is the reference: NumPy is much faster than the loops of kernels in Python.
        """
        if face == "fast" and self.fast is not None and not (HAS_COMPILER or self.moves):
            remark_absence()
            face = "ref"
        rule = self.overflow(dialect)
        unproved = not out.fits and rule is not Overflow.WRAP32
        fmt = out.settled(rule).fmt
        if face == "ref" or self.fast is None:
            result = self.intermediates(arrays, params, dialect)["out"]
        else:
            result = _NOTHING if self.moves else np.empty(out.shape, np.int64 if unproved else fmt.dtype)
            # The result may be another array than `out`: a view of the input, or Python integers.
            returned = self.fast(*arrays, **params, dialect=dialect, out=result)
            result = result if returned is None else returned
        if unproved and rule is Overflow.FORBID and fmt is not I64:
            forbid(result, fmt, f"{self.name}: out")
        if result.dtype == object and any(not I64.holds(int(v), int(v)) for v in result.flat):
            return result  # Python integers, where 64 bits are not enough
        return result.astype(fmt.dtype, copy=False)

    def intermediates(
        self, arrays: Sequence[IntArray], params: dict[str, Any], dialect: Dialect | None
    ) -> dict[str, IntArray]:
        """Every named step of the equation in int64; the last one is ``out``."""
        wide = {k: v.astype(np.int64) if isinstance(v, np.ndarray) else v for k, v in params.items()}
        found = self.steps(*(a.astype(np.int64) for a in arrays), **wide, dialect=self._rules(dialect))
        require_steps(self.name, found)
        for step, value in found.items():
            if np.asarray(value).dtype.kind not in "iubO":
                raise TypeError(f"{self.name}: its step {step!r} is {np.asarray(value).dtype}, expected integers")
        return found

    def _require_whole(self) -> None:
        """Raise IntsimError for an operator that could not be called."""
        if NAME.fullmatch(self.name) is None or self.name in RESERVED or iskeyword(self.name):
            raise IntsimError(f"{self.name!r} is no name for an operator; use lower-case letters, digits and _, no keyword")
        expected = [*self.inputs, *self.params, "dialect"]
        given = list(self.signature.parameters)
        if given != expected:
            raise IntsimError(
                f"{self.name}: its steps take ({', '.join(given)}); expected its inputs, its params and dialect, as in "
                f"({', '.join(expected)})"
            )
        for name, fmt in self.inputs.items():
            if not isinstance(fmt, Format):
                raise IntsimError(f"{self.name}: its input {name!r} is {fmt!r}, expected a format of intsim.arith, as in I8")
        for name, param in self.params.items():
            if not isinstance(param, Param):
                raise IntsimError(
                    f"{self.name}: its parameter {name!r} is {param!r}, expected a Param, as Param.integer(2, 16)"
                )
        if words := [name for name in expected if name in WORDS]:
            raise IntsimError(f"{self.name}: {words[0]!r} is a word of C or JavaScript, or of a function's own; rename it")
        if self.infer is None and self.result is None:
            raise IntsimError(f"{self.name}: its result has no format; give result=, as in result=signed(8), or infer=")
        if unknown := [key for key in self.choices if key not in CHOICES]:
            raise IntsimError(f"{self.name}: {unknown[0]!r} is not a choice of a dialect; those are {', '.join(CHOICES)}")

    def checked_param(self, name: str, value: Any) -> Any:
        """The value of a parameter, checked against its range: a plain int, or an array of the type of its format."""
        param = self.params[name]
        if isinstance(value, bool) and param == FLAG:
            value = int(value)
        array = self._checked(value, name, param.fmt, param.ndim)
        return int(array) if array.ndim == 0 else array.astype(param.fmt.dtype, copy=False)

    def _require_axes(self, name: str, axes: int) -> None:
        if axes not in (allowed := self.params[name].ndim):
            raise ValueError(f"{self.name}: {name} has {axes} axes, expected {' or '.join(map(str, allowed))}")

    def _checked(self, value: ArrayLike, name: str, fmt: Format, ndim: tuple[int, ...] | None) -> IntArray:
        try:
            array = integers(value, name)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self.name}: {error}") from None
        outside = (array < fmt.lo) | (array > fmt.hi)
        if outside.any():
            index = first_index(outside)
            where = str(index) if index else ""
            allowed = f"[{fmt.lo}, {fmt.hi}]" if fmt.name == "integer" else f"{fmt} [{fmt.lo}, {fmt.hi}]"
            raise ValueError(f"{self.name}: {name}{where} = {int(array[tuple(index)])} is outside {allowed}")
        if ndim is not None:
            self._require_axes(name, array.ndim)
        if ndim is None and array.ndim == 0:
            raise ValueError(f"{self.name}: {name} needs at least one axis")
        if ndim is None and array.shape[-1] == 0:
            raise ValueError(f"{self.name}: {name} {list(array.shape)} has empty rows")
        return array if ndim is not None else array.astype(fmt.dtype, copy=False)
