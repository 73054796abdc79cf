"""The code tensor: its validation, and packing its bits (FORMAT.md, section 2).

The canonical code tensor is uint8 {0, 1} with the axes (layers, batch, height, width, layer_depth).
"""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec.errors import CodesError
from nncodec.format.limits import MAX_BITS, check_bits

Codes = npt.NDArray[np.uint8]


def validate_codes(array: npt.ArrayLike) -> Codes:
    """Checks that an array is a canonical code tensor.

    Args:
        array: bool, integer or float {0, 1}, [layers, batch, height, width, layer_depth].

    Returns:
        uint8, C-contiguous, the same values; the array itself where it is that already.

    Raises:
        CodesError: another number of axes, an empty axis, another dtype or another value.
    """
    try:
        codes = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CodesError("codes cannot be made an array; give a numpy array of uint8") from error
    check_shape(codes.shape, (5,), "the code tensor")
    if codes.dtype.kind not in "biuf":
        raise CodesError(f"the code tensor has dtype {codes.dtype.name}; convert it to uint8")
    if codes.dtype.kind == "b":
        codes = codes.view(np.uint8)
    with np.errstate(invalid="ignore"):  # signalling NaN
        zeros, ones = codes == 0, codes == 1
    require_values(zeros | ones, codes, "the code tensor", "must be 0 or 1")
    return np.ascontiguousarray(codes if codes.dtype == np.uint8 else ones.view(np.uint8))


def pack_bits(codes: npt.NDArray[Any]) -> bytes:
    """Packs bits into bytes, the first bit highest, zeros at the end (FORMAT.md, section 2).

    Args:
        codes: uint8 {0, 1} of any shape; its bits are taken in C order.
    """
    return np.packbits(codes, axis=None).tobytes()


def unpack_bits(
    data: bytes | bytearray | memoryview | npt.NDArray[np.uint8],
    shape: Sequence[int],
    max_bits: int = MAX_BITS,
) -> Codes:
    """Undoes `pack_bits`.

    Args:
        data: the packed bits.
        shape: at least one axis, none of them empty.
        max_bits: the most bits to unpack.

    Returns:
        uint8 {0, 1} of that shape.

    Raises:
        CodesError: `shape` has more bits, `data` is too short or too long for `shape`, or its
            padding bits are not zero.
    """
    packed = np.frombuffer(data, dtype=np.uint8)
    sizes = check_sizes(shape, "the shape", max_bits)
    bits = math.prod(sizes)
    needed = (bits + 7) // 8
    if len(packed) != needed:
        raise CodesError(
            f"packed codes are too {'short' if len(packed) < needed else 'long'} for shape "
            f"{sizes}: {len(packed)} bytes, not {needed}; one of the two is wrong"
        )
    if bits % 8 and packed[-1] & ((1 << (8 - bits % 8)) - 1):
        raise CodesError(
            f"packed codes have padding bits other than zero after the last bit of shape {sizes}; "
            "the shape is wrong or the codes are damaged"
        )
    return np.unpackbits(packed, count=bits).reshape(sizes)


def require_values(
    good: npt.NDArray[np.bool_], values: npt.NDArray[Any], what: str, rule: str
) -> None:
    """Refuses an array for the first of its values that is not good.

    Args:
        good: whether each value is allowed.
        values: the array.
        what: what the message calls it.
        rule: what every value must be, for the message.

    Raises:
        CodesError: a value is not good.
    """
    if good.all():
        return
    index = tuple(int(i) for i in np.unravel_index(int(np.argmin(good)), good.shape))
    value = str(values[index]).replace("nan", "NaN")
    raise CodesError(f"value {value} at index {index} of {what}; every value {rule}")


def check_shape(
    shape: Sequence[int], axes: tuple[int, ...], what: str, max_bits: int = MAX_BITS
) -> None:
    """Refuses a shape of another number of axes, and what `check_sizes` refuses."""
    if len(shape) not in axes:
        allowed = " or ".join(str(n) for n in axes)
        raise CodesError(f"{what} has {len(shape)} axes, a wrong number; it must have {allowed}")
    check_sizes(shape, what, max_bits)


def check_sizes(shape: Sequence[int], what: str, max_bits: int = MAX_BITS) -> tuple[int, ...]:
    """Refuses sizes below 1, and more than `max_bits` codes; gives the sizes as plain integers."""
    sizes = tuple(operator.index(size) for size in shape)
    if any(size < 0 for size in sizes):
        raise CodesError(f"{what} {sizes} has a negative size; every axis starts at 1")
    if not sizes or 0 in sizes:
        raise CodesError(f"{what} {sizes} has an empty axis; there are no codes in it")
    check_bits(math.prod(sizes), f"{what} {sizes}", max_bits)
    return sizes
