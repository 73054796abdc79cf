"""How functions are built of LLVM's vectors, for the few loops that most of the time goes into.

Numba leaves it to LLVM to find the loops that may run in vectors. LLVM has to assume that any two
arrays overlap; it gives up on most loops of the codec, and takes others by halves. LLVM's own
vectors have no such doubts, and every processor has its instructions for them. What is built is
defined in Python first, and runs in Python where Numba is told not to compile.
"""

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import cgutils as untyped_cgutils
from numba.core import types
from numba.extending import intrinsic

cgutils: Any = untyped_cgutils
config: Any = numba.config
Function = TypeVar("Function", bound=Callable[..., Any])
Build = Callable[["Call"], Any]
"""Writes a function; gives its result, or None."""

INT32, INT64 = ir.IntType(32), ir.IntType(64)


class Call:
    """A call that is being built.

    Attributes:
        builder: of the function that calls.
        given: the arguments, as LLVM has them.
        zero: the number, as an index.
    """

    def __init__(self, context: Any, builder: Any, kinds: tuple[Any, ...], given: Any) -> None:
        self.builder, self.given = builder, given
        self._context, self._kinds = context, kinds
        self.zero = ir.Constant(INT64, 0)

    def place(self, array: int, row: Any, *columns: Any) -> Any:
        """A pointer into an array: by its index, or by a row and what adds up to its column."""
        if self._kinds[array].ndim == 2:
            row = self.builder.mul(row, self.length(array))
        for column in columns:
            row = self.builder.add(row, column)
        return self.builder.gep(self._array(array).data, [row])

    def integer(self, argument: int) -> Any:
        """An argument as a number of 64 bits, by its index."""
        kind = self._kinds[argument]
        kind = getattr(kind, "literal_type", kind)
        return self._context.cast(self.builder, self.given[argument], kind, types.int64)

    def rows(self, array: int) -> Any:
        """How many rows an array has, by the index of the argument."""
        return self._sizes(array)[0]

    def length(self, array: int) -> Any:
        """How long a row of an array is, by the index of the argument."""
        return self._sizes(array)[-1]

    def load(self, place: Any, bits: int, lanes: int, to: int = 32) -> Any:
        """Loads adjacent numbers as a vector of wider ones."""
        pointer = self.builder.bitcast(place, vector(bits, lanes).as_pointer())
        value = self.builder.load(pointer, align=bits // 8)
        return value if bits == to else self.builder.sext(value, vector(to, lanes))

    def store(self, value: Any, place: Any, bits: int) -> None:
        pointer = self.builder.bitcast(place, value.type.as_pointer())
        self.builder.store(value, pointer, align=bits // 8)

    def add_saturated(self, first: Any, second: Any, lanes: int) -> Any:
        """Adds vectors of 16-bit numbers; what is too large becomes the largest."""
        return self.call(f"llvm.sadd.sat.v{lanes}i16", vector(16, lanes), first, second)

    def everywhere(self, number: Any, lanes: int) -> Any:
        """A number in all lanes."""
        kind = vector(number.type.width, lanes)
        one = ir.Constant(kind, ir.Undefined)
        one = self.builder.insert_element(one, number, ir.Constant(INT32, 0))
        return self.builder.shuffle_vector(one, one, constant(0, lanes))

    def unpack(self, given: Any) -> Any:
        """The elements of a tuple."""
        return [self.builder.extract_value(given, i) for i in range(given.type.count)]

    def variable(self, value: Any) -> Any:
        """A place for a value that changes; LLVM keeps it in a register."""
        return cgutils.alloca_once_value(self.builder, value)

    def chunks(self, count: Any, lanes: int) -> Any:
        """A loop over the first column of every `lanes`."""
        return self.range(ir.Constant(INT64, 0), count, lanes)

    def range(self, begin: Any, end: Any, step: int = 1) -> Any:
        return cgutils.for_range_slice(self.builder, begin, end, ir.Constant(INT64, step))

    def _array(self, array: int) -> Any:
        form = self._context.make_array(self._kinds[array])
        return form(self._context, self.builder, self.given[array])

    def _sizes(self, array: int) -> Any:
        return self.unpack(self._array(array).shape)

    def call(self, name: str, result: Any, *arguments: Any) -> Any:
        """Calls one of LLVM's intrinsic functions."""
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, arguments)


def vector(bits: int, lanes: int) -> Any:
    return ir.VectorType(ir.IntType(bits), lanes)


def constant(number: int, lanes: int) -> Any:
    return ir.Constant(vector(32, lanes), [number] * lanes)


def built(build: Build, result: Any) -> Callable[[Function], Function]:
    """Replaces a definition by what is built of vectors, if Numba compiles."""

    def decorate(definition: Function) -> Function:
        if config.DISABLE_JIT:
            return definition

        def typed(_: Any, *kinds: Any) -> Any:
            def code(context: Any, builder: Any, form: Any, given: Any) -> Any:
                built = build(Call(context, builder, form.args, given))
                return context.get_dummy_value() if built is None else built

            return result(*kinds), code

        # Numba binds the arguments of a call by this, less the first.
        own = signature(definition)
        context = Parameter("context", Parameter.POSITIONAL_ONLY)
        parameters = [one.replace(kind=context.kind) for one in own.parameters.values()]
        typed.__signature__ = Signature([context, *parameters])  # type: ignore[attr-defined]  # read by Numba
        typed.__name__, typed.__doc__ = definition.__name__, definition.__doc__
        return cast(Function, intrinsic(typed))

    return decorate
