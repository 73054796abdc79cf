"""Arrays <-> code tensors, each with the `ArraySource` that gives the array back.

An array has two values, or is of tokens, whole numbers with the bits of a position each.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec.errors import CodesError
from nncodec.files.axis_orders import (
    AUTO,
    AUTO_AXES,
    Order,
    Reading,
    choose_order,
    from_canonical,
)
from nncodec.files.memory_arrays import as_array
from nncodec.files.values import BINARISE, most_token_bits, token_values, two_values, values_of
from nncodec.format.axes import CANONICAL, code_shape
from nncodec.format.code_tensor import Codes, Coverage, check_sizes
from nncodec.format.limits import (
    MAX_BITS,
    MAX_POSITIONS,
    MAX_UNITS,
    RAISE_MAX_BITS,
    check_bits,
)
from nncodec.format.source import DTYPES, TOKENS, ArraySource

Array = npt.NDArray[Any]


_BIT_AXES = ("c", "nc", "hwc", "nhwc", "lnhwc", "lnthwc")
_TOKEN_AXES = ("t", "hw", "thw", "lthw", "lnthw")
"""What arrays of one, two, ... axes may have for them; of tokens, without their bits."""


@dataclass(frozen=True, eq=False)
class CodeArray:
    """An array that was taken as codes.

    Attributes:
        codes: uint8 {0, 1}, C-contiguous, [layers, batch, height, width, layer_depth].
        source: how to make the same array again.
        note: what a user may have to know of how it was read, or "".
        coverage: [batch, height, width], how many layers each position has, if a file says it.
    """

    codes: Codes
    source: ArraySource
    note: str = ""
    coverage: Coverage | None = None


def within(arrays: Iterable[CodeArray | None], max_bits: int) -> list[CodeArray]:
    """Takes the arrays of a file one after another, as far as they are codes.

    Args:
        arrays: each is read when it is asked for.
        max_bits: the most code bits of all; where there are more, the next array is not read.

    Raises:
        CodesError: there are more.
    """
    taken: list[CodeArray] = []
    bits = 0
    for one in arrays:
        if one:
            taken.append(one)
            bits += one.codes.size
            what = f"a file of {bits} bits in its first {len(taken)} code arrays"
            check_bits(bits, what, max_bits, RAISE_MAX_BITS)
    return taken


def possible_axes(count: int, reading: Reading, what: str) -> tuple[str, ...]:
    """Gives the axes that an array can have; of tokens, those of their bits.

    Args:
        count: of its axes.
        reading: how it is to be read.
        what: what messages call it.

    Raises:
        CodesError: none.
    """
    found = [axes for axes in reading.named_axes() if len(axes) == count]
    if found:
        return tuple(axes + "c" if reading.bits else axes for axes in found)
    has = f"{what} has {count} {'axis' if count == 1 else 'axes'}"
    examples = _TOKEN_AXES if reading.bits else _BIT_AXES
    if count > len(examples):
        of = " of tokens" if reading.bits else ""
        raise CodesError(f"{has}; at most {len(examples)}{of} can be named, reshape it")
    letters = "l layer, n picture, t frame, h, w" + ("" if reading.bits else ", c bits")
    letters += f" (as in {example_axes(count, tokens=bool(reading.bits))})"
    if reading.axes != AUTO:
        named = f"which none of {reading.axes} name"
        if "," not in reading.axes:
            named = f"and axes {reading.axes} name {len(reading.axes)}"
        raise CodesError(f"{has}, {named}; name each by a letter: {letters}")
    taken = "2 to 4" if reading.bits else "3 to 5"
    raise CodesError(
        f"{has}; {taken} are known without a name, others by --axes: {letters}"
        + ("" if reading.bits else "; tokens of B bits by --bits B")
    )


def example_axes(count: int, *, tokens: bool = False) -> str:
    """Gives likely axes of an array of so many; of more than there are letters, the most."""
    examples = _TOKEN_AXES if tokens else _BIT_AXES
    return examples[min(count, len(examples)) - 1]


def check_array(
    shape: tuple[int, ...], dtype: str | None, reading: Reading, what: str, max_bits: int = MAX_BITS
) -> None:
    """Refuses an array before memory is taken for it.

    Args:
        shape: of the array.
        dtype: as numpy writes it; None for Python objects.
        reading: how it is to be read.
        what: what messages call it.
        max_bits: the most code bits.

    Raises:
        CodesError: objects, an unknown dtype, other axes, an empty one, or too many bits.
    """
    if dtype is None:
        raise CodesError(f"{what} holds Python objects, which are never unpickled; save uint8")
    axes = possible_axes(len(shape), reading, what)[0]
    check_dtype(dtype, what)
    sizes = (*shape, reading.bits) if reading.bits else shape
    _check_size(sizes, axes, what, max_bits)


def check_dtype(dtype: str, what: str) -> None:
    """Refuses a dtype that is not one of `DTYPES`."""
    if dtype in DTYPES:
        return
    kind = dtype[1:2]
    wider = "float64" if kind == "f" else "uint8"
    raise CodesError(f"{what} has the unsupported dtype {dtype}; convert it to {wider}")


def take_array(
    array: Array, dtype: str, reading: Reading, what: str, form: ArraySource
) -> CodeArray:
    """Takes an array as codes.

    Args:
        array: as `check_array` allows; bfloat16 as the uint16 of its bytes.
        dtype: of `DTYPES`.
        reading: how it is to be read.
        what: what messages call it.
        form: says in which file it is, under which name.

    Raises:
        CodesError: its values are no codes, or do not fit the reading.
    """
    if reading.bits:
        if reading.bits > most_token_bits(dtype) and dtype[1] in "iu":
            raise CodesError(
                f"bits {reading.bits} of {what}: its dtype {dtype} has {most_token_bits(dtype)}; "
                "give as many at most"
            )
        bits, values, patterns = token_values(array, reading.bits, what), "msb", b""
    else:
        bits, values, patterns = two_values(array, dtype, what)
    form = replace(form, dtype=dtype, values=values, patterns=patterns)
    return take_bits(bits, reading, what, form)


def take_given(codes: Any, reading: Reading) -> CodeArray:
    """Takes what a caller gives as codes: an array, or a tensor.

    Args:
        codes: as for `as_array`.
        reading: how it is to be read.

    Raises:
        CodesError: it is no array, or cannot be taken as codes.
    """
    array, dtype = as_array(codes)
    what = "the array"
    if array.ndim != len(CANONICAL) and reading.axes == CANONICAL:  # as by default
        _refuse_axes(array, dtype, what)
    check_array(array.shape, dtype, reading, what)
    taken = take_array(array, dtype, reading, what, ArraySource())
    check_codes(taken.codes, taken.source, what)
    return taken


def _refuse_axes(array: Array, dtype: str, what: str) -> None:
    """Says what is wrong with an array that has not the axes of the code tensor."""
    check_dtype(dtype, what)
    if not array.size:
        check_sizes(array.shape, what, None)
    if array.dtype.kind == "f" and np.isnan(array).any():
        at = tuple(np.argwhere(np.isnan(array))[0].tolist())
        raise CodesError(f"value NaN at index {at} of {what}; {BINARISE}")
    remedy = f'give axes=..., as in "{example_axes(array.ndim)}"'
    if array.ndim in map(len, AUTO_AXES):
        remedy += ', or axes="auto"'
    if array.ndim > len(_BIT_AXES):
        remedy = f"reshape it to {len(_BIT_AXES)} at most"
    axes = "axis" if array.ndim == 1 else "axes"
    raise CodesError(
        f"{what} has {array.ndim} {axes}, and axes {CANONICAL} name {len(CANONICAL)}; {remedy}"
    )


def take_bits(bits: Codes, reading: Reading, what: str, form: ArraySource) -> CodeArray:
    """Takes the bits of an array, as `take_array`.

    Args:
        bits: uint8 {0, 1}, in the array's own axes; of tokens, the highest bit first.
        reading, what: as there.
        form: all but the axes.
    """
    tokens = form.values == "msb"
    count = bits.ndim - 1 if tokens else bits.ndim
    orders = [Order(axes) for axes in possible_axes(count, reading, what)]
    if tokens:
        wanted = TOKENS if reading.bit_order == AUTO else (reading.bit_order,)
        orders = [Order(order.axes, bit_order) for order in orders for bit_order in wanted]
    order, note = choose_order(bits, orders, reading.layer_depth)
    codes = order.apply(bits, reading.layer_depth)
    axes = order.axes
    frames = bits.shape[axes.index("t")] if {"n", "t"} <= set(axes) else 0
    values = order.bit_order or form.values
    source = replace(form, axes=axes, values=values, frames=frames)
    return CodeArray(codes, source, f"{what} {note}" if note else "")


def check_codes(codes: Codes, source: ArraySource, what: str) -> None:
    """Refuses codes above a limit of the format, and says so in the shape of their array.

    Raises:
        CodesError: too many bits at a position, or too many positions.
    """
    layers, batch, height, width, depth = codes.shape
    named = f"{what} ({source.array_axes}, {' x '.join(map(str, codes.shape))} as layers, "
    named += "pictures, rows, columns, bits)"
    if layers * depth > MAX_UNITS:
        raise CodesError(
            f"{named} is above the limit of {MAX_UNITS} bits at a position; take fewer layers, or "
            "name other axes if these are wrong"
        )
    if batch * height * width > MAX_POSITIONS:
        most = MAX_POSITIONS // (height * width)
        raise CodesError(f"{named} is above the limit of {MAX_POSITIONS} positions; {_split(most)}")


def array_of(codes: Codes, source: ArraySource) -> Array:
    """Undoes `take_array`.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth]; the first layers of the
            array give it shorter in the axis that has the layers.
        source: what the array was.

    Returns:
        The array; of packed codes, their bits.

    Raises:
        CodesError: the codes do not fit the source.
    """
    source.check_shape(codes.shape)
    bits = from_canonical(codes, source.axes, source.frames)
    return bits if source.format == "packed" else values_of(bits, source)


def _check_size(sizes: tuple[int, ...], axes: str, what: str, max_bits: int) -> None:
    plain = check_sizes(sizes, what, None)
    shape = code_shape(axes, plain)
    bits = int(np.prod(shape, dtype=object))
    if bits <= max_bits:
        return
    remedy = RAISE_MAX_BITS
    if max_bits >= MAX_BITS:
        remedy = _split(max_bits * shape[1] // bits)
    raise CodesError(f"{what} {plain} is above the limit of {max_bits} code bits; {remedy}")


def _split(pictures: int) -> str:
    if pictures < 1:
        return "one picture is too large: cut it into several"
    return f"split the batch, {pictures} pictures a file at most"
