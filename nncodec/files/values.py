"""The values of code arrays <-> bits: two values, whatever they are, or the bits of tokens.

FORMAT.md specifies this in section 4.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec.errors import CodesError
from nncodec.format.code_tensor import Codes
from nncodec.format.source import ArraySource, itemsize, token_bits

Array = npt.NDArray[Any]

BFLOAT16 = "bfloat16"
MAX_TOKEN_BITS = 64


def array_dtype(dtype: str) -> np.dtype[Any]:
    """Gives the dtype of arrays in memory: numpy has no bfloat16, whose bytes are a uint16's."""
    return np.dtype("<u2" if dtype == BFLOAT16 else dtype)


BINARISE = "codes have two values that are numbers: binarise them first"
"""What to do about NaN."""


def two_values(array: Array, dtype: str, what: str) -> tuple[Codes, str, bytes]:
    """Takes an array of at most two distinct values, bit for bit.

    Args:
        array: not empty, of `array_dtype(dtype)`.
        dtype: of `DTYPES`.
        what: what messages call the array.

    Returns:
        uint8 {0, 1} of the same shape: 1 for the larger value; of one that is alone 0, unless it
        is 1. And the `values` and `patterns` of its `ArraySource`.

    Raises:
        CodesError: more than two values, or one that is not a number.
    """
    raw = array.view(f"u{itemsize(dtype)}")
    first = raw[(0,) * raw.ndim]
    other = raw != first
    second = raw[_place(other)] if other.any() else first
    if second != first:
        third = other & (raw != second)
        if third.any():
            places = [(0,) * raw.ndim, _place(other), _place(third)]
            raise CodesError(_more_values(array, dtype, places, what))
    of = {pattern.tobytes(): _value(pattern.tobytes(), dtype) for pattern in (first, second)}

    def order(pattern: bytes) -> tuple[Any, float]:
        return of[pattern], _sign(of[pattern])

    for pattern, value in of.items():
        if value != value:
            at = _place(raw == np.frombuffer(pattern, raw.dtype)[0])
            raise CodesError(f"value NaN at index {at} of {what}; {BINARISE}")
    low, high = min(of, key=order), max(of, key=order)
    for kind, values in (("binary", (0, 1)), ("signed", (-1, 1))):
        if values[0] < 0 and (dtype[1] in "bu"):
            continue
        pair = [_pattern(value, dtype) for value in values]
        if {low, high} <= set(pair):
            ones = raw == np.frombuffer(pair[1], raw.dtype)[0]
            return ones.view(np.uint8), kind, b""
    ones = other if first.tobytes() == low else ~other
    if low == high:
        ones = np.zeros(raw.shape, dtype=bool)
    little = [pattern[::-1] if dtype[0] == ">" else pattern for pattern in (low, high)]
    return ones.view(np.uint8), "pair", b"".join(little)


def token_values(array: Array, bits: int, what: str) -> Codes:
    """Takes the bits of whole numbers.

    Args:
        array: integers, not empty.
        bits: of each, 1 to 64.
        what: what messages call the array.

    Returns:
        uint8 {0, 1}, one axis more, of `bits` bits, the highest first.

    Raises:
        CodesError: no integers, or a number below 0 or of more bits.
    """
    if array.dtype.kind not in "iu":
        raise CodesError(f"{what} has dtype {array.dtype.name}; tokens are integers: convert it")
    for extreme, wrong in ((array.argmin(), "negative"), (array.argmax(), "large")):
        at = tuple(map(int, np.unravel_index(int(extreme), array.shape)))
        value = int(array[at])
        if wrong == "negative" and value < 0:
            raise CodesError(
                f"value {value} at index {at} of {what}; tokens are whole numbers from 0 on: give "
                "padding a number of its own"
            )
        if value.bit_length() > bits:
            raise CodesError(
                f"value {value} at index {at} of {what} has {value.bit_length()} bits, not "
                f"{bits}; give --bits {value.bit_length()}"
            )
    width = next(width for width in (8, 16, 32, 64) if width >= bits)
    flat = np.ascontiguousarray(array).astype(f">u{width // 8}")
    unpacked = np.unpackbits(flat.reshape(-1).view(np.uint8)).reshape(*array.shape, width)
    return unpacked[..., width - bits :]


def values_of(bits: Codes, source: ArraySource) -> Array:
    """Undoes `two_values` and `token_values`.

    Args:
        bits: uint8 {0, 1}, in the array's own axes; of tokens, with the axis of their bits.
        source: what the array was.

    Returns:
        The array, of `array_dtype(source.dtype)`.
    """
    dtype = array_dtype(source.dtype)
    if source.is_tokens:
        ordered = bits if source.values == "msb" else bits[..., ::-1]
        width = next(width for width in (8, 16, 32, 64) if width >= bits.shape[-1])
        wide = np.zeros((*bits.shape[:-1], width), dtype=np.uint8)
        wide[..., width - bits.shape[-1] :] = ordered
        numbers = np.packbits(wide, axis=-1).view(f">u{width // 8}")[..., 0]
        return numbers.astype(dtype)
    if source.values == "pair":
        half = len(source.patterns) // 2
        patterns = [source.patterns[:half], source.patterns[half:]]
        if source.dtype[0] == ">":
            patterns = [pattern[::-1] for pattern in patterns]
    else:
        low = -1 if source.values == "signed" else 0
        patterns = [_pattern(low, source.dtype), _pattern(1, source.dtype)]
    # As patterns, which no conversion may touch.
    pair = np.frombuffer(b"".join(patterns), dtype=f"u{dtype.itemsize}")
    return pair[bits].view(dtype)


def most_token_bits(dtype: str) -> int:
    """Gives how many bits a token of a dtype can have."""
    return min(MAX_TOKEN_BITS, token_bits(dtype))


def _place(mask: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """Gives the index of the first value that is true."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


def _pattern(value: float, dtype: str) -> bytes:
    """Gives the bytes of a value, as they lie in an array."""
    if dtype == BFLOAT16:
        return np.array(value, dtype="<f4").tobytes()[2:]
    return np.array(value, dtype=dtype).tobytes()


def _value(pattern: bytes, dtype: str) -> Any:
    """Undoes `_pattern`; a bool that is neither is a number."""
    if dtype == BFLOAT16:
        return np.frombuffer(b"\0\0" + pattern, dtype="<f4")[0].item()
    plain = dtype if dtype[1] != "b" else "u1"
    return np.frombuffer(pattern, dtype=plain)[0].item()


def _sign(value: Any) -> float:
    """Orders -0.0 before 0.0."""
    return float(np.copysign(1.0, value)) if isinstance(value, float) else 0.0


def _more_values(array: Array, dtype: str, places: list[tuple[int, ...]], what: str) -> str:
    values = [_value(array[at].tobytes(), dtype) for at in places]
    named = [
        f"{value!r} at {at}".replace("nan", "NaN") for value, at in zip(values, places, strict=True)
    ]
    remedy = "codes have two: binarise them first"
    if dtype[1] in "iu" and not (array < 0).any():
        remedy = f"if these are tokens, whole numbers, give --bits {int(array.max()).bit_length()}"
    elif dtype != BFLOAT16 and bool(np.isin(array, (-1, 0, 1)).all()):
        remedy = (
            "0 is what sign gives of 0: take numpy.where(x < 0, -1, 1) in its place, and -1 beyond "
            "a coverage"
        )
    return f"{what} holds more than two values, {', '.join(named)}; {remedy}"
