"""The code tensor: its validation, and packing its bits (FORMAT.md, section 2).

The canonical code tensor is uint8 {0, 1} with the axes (layers, batch, height, width, layer_depth).
"""

import math
import operator
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.errors import CodesError
from nncodec.format.limits import MAX_BITS, check_bits

Codes = npt.NDArray[np.uint8]

Coverage = npt.NDArray[np.integer[Any]]
"""Whole numbers [batch, height, width]: how many layers each position has, from the first."""

ABSENT = 2
"""Stands in codes for bits that are not there, beyond the layers that a position has: so they stay
beside the others, wherever codes are cut or put together. Who gives and takes codes from outside
has a coverage in its place."""


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


def validate_coverage(array: npt.ArrayLike, codes: Codes) -> npt.NDArray[np.uint16]:
    """Checks that an array says of codes how many layers each position has.

    Args:
        array: whole numbers, [batch, height, width]; of one picture [height, width], too.
        codes: [layers, batch, height, width, layer_depth]; where a position has ended, 0.

    Returns:
        The same, [batch, height, width].

    Raises:
        CodesError: another shape, a number that is not one of layers, or a 1 that is not there.
    """
    try:
        coverage = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CodesError("the coverage cannot be made an array; give whole numbers") from error
    shape = coverage.shape
    if len(shape) == 2 and codes.shape[1] == 1:
        coverage = coverage[np.newaxis]
    if coverage.shape != codes.shape[1:4]:
        raise CodesError(
            f"the coverage has the shape {shape}, the codes have {codes.shape[1:4]} "
            "positions (batch, height, width); give a number of layers for each"
        )
    if coverage.dtype.kind not in "biu":
        raise CodesError(f"the coverage has dtype {coverage.dtype.name}; convert it to uint8")
    good = (coverage >= 0) & (coverage <= len(codes))
    rule = f"must be a number of layers, 0 to {len(codes)}"
    require_values(good, coverage, "the coverage", rule)
    checked = coverage.astype(np.uint16)
    beyond = (mark_absent(codes, checked) == ABSENT) & (codes > 0)
    if beyond.any():
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(beyond)), codes.shape))
        raise CodesError(
            f"the bit at index {index} is 1, beyond the coverage of its position; set what is not "
            "to be kept to the smaller of the two values, or raise the coverage"
        )
    return checked


def validate_covered(array: npt.ArrayLike, coverage: npt.ArrayLike | None) -> Codes:
    """Checks an array as `validate_codes` does, and marks what is beyond its coverage as ABSENT."""
    codes = validate_codes(array)
    return codes if coverage is None else mark_absent(codes, validate_coverage(coverage, codes))


def mark_absent(codes: Codes, coverage: Coverage | None) -> Codes:
    """Gives codes with ABSENT in place of the bits that are not there.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        coverage: of them; None where every position has all layers.
    """
    if coverage is None:
        return codes
    numbers = np.arange(len(codes))[:, None, None, None, None]
    return np.where(numbers < coverage[..., None], codes, np.uint8(ABSENT))


def split_absent(codes: Codes) -> tuple[Codes, npt.NDArray[np.uint16] | None]:
    """Undoes `mark_absent`: bits that are not there become 0."""
    present = codes[..., 0] != ABSENT
    if present.all():
        return codes, None
    return np.where(present[..., None], codes, np.uint8(0)), present.sum(axis=0, dtype=np.uint16)


class Covered(NamedTuple):
    """Codes, and how many of their layers each position has.

    Attributes:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth]; bits beyond are 0.
        coverage: uint16, [batch, height, width].
    """

    codes: Codes
    coverage: npt.NDArray[np.uint16]


def covered(marked: Codes) -> Covered:
    """Undoes `mark_absent`, for those who ask."""
    codes, coverage = split_absent(marked)
    if coverage is None:
        coverage = np.full(codes.shape[1:4], len(codes), dtype=np.uint16)
    return Covered(codes, coverage)


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
    *,
    little: bool = False,
) -> Codes:
    """Undoes `pack_bits`.

    Args:
        data: the packed bits.
        shape: at least one axis, none of them empty.
        max_bits: the most bits to unpack.
        little: whether the first bit is the lowest of its byte, not the highest.

    Returns:
        uint8 {0, 1} of that shape.

    Raises:
        CodesError: `shape` has more bits, `data` is too short or too long for `shape`, or its
            padding bits are not zero.
    """
    packed = np.frombuffer(data, dtype=np.uint8)
    sizes = check_sizes(shape, "the shape", max_bits)
    check_packed(len(packed), sizes)
    bits = math.prod(sizes)
    used = bits % 8
    if used and packed[-1] & (0xFF << used & 0xFF if little else 0xFF >> used):
        raise CodesError(
            f"packed codes have padding bits other than zero after the last bit of shape {sizes}; "
            "the shape is wrong, the codes are damaged, or packed in the other --bit-order"
        )
    order: Literal["little", "big"] = "little" if little else "big"
    return np.unpackbits(packed, count=bits, bitorder=order).reshape(sizes)


def check_packed(size: int, shape: Sequence[int]) -> None:
    """Refuses packed bits of another number of bytes than a shape needs."""
    needed = (math.prod(shape) + 7) // 8
    if size != needed:
        raise CodesError(
            f"packed codes are too {'short' if size < needed else 'long'} for shape "
            f"{tuple(shape)}: {size} bytes, not {needed}; one of the two is wrong"
        )


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


def check_sizes(
    shape: Sequence[int], what: str, max_bits: int | None = MAX_BITS
) -> tuple[int, ...]:
    """Refuses sizes below 1, and more than `max_bits` codes; gives the sizes as plain integers."""
    sizes = tuple(operator.index(size) for size in shape)
    if any(size < 0 for size in sizes):
        raise CodesError(f"{what} {sizes} has a negative size; every axis starts at 1")
    if not sizes or 0 in sizes:
        raise CodesError(f"{what} {sizes} has an empty axis; there are no codes in it")
    if max_bits is not None:
        check_bits(math.prod(sizes), f"{what} {sizes}", max_bits)
    return sizes
