"""What a code file was: the facts, besides the bits, that restore it.

Apart from `codes`, because containers keep a `Source` and know no numpy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nncodec.errors import BitstreamError, CodesError, UnsupportedError
from nncodec.format.fields import REMEDY, UPGRADE, Fields, varint

MAX_BITS = 1 << 28
"""Limit of the code bits of a file, and with it of the memory that a small one can ask for. Whoever
reads files of strangers can set a lower one, `max_bits`, but none that is higher."""

MAX_UNITS = 1 << 14
"""Limit of layers x layer_depth: each takes memory of its own (`memory_bound`)."""

MAX_POSITIONS = 1 << 22
"""Limit of batch x height x width, which can all be one step's."""

THREAD_BITS = 1 << 16
"""The least code bits for which another thread is worth starting."""

MAX_HIDDEN = 64
"""Limit of a network's hidden units for each bit of a layer: every position keeps theirs."""

MAX_NAME_BYTES = 255
"""Limit of an array's name, in UTF-8."""

# Containers store the index of these: their order is frozen, new ones go to the end.
FORMATS = ("npy", "npz", "packed", "tensor")
LAYOUTS = ("nhwc", "nchw")
DTYPES = (
    *("|b1", "|i1", "|u1"),
    *("<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8"),
    *(">i2", ">i4", ">i8", ">u2", ">u4", ">u8", ">f2", ">f4", ">f8"),
)

NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
"""The first bytes of a `.npz`, and of one without arrays."""

_NAMES = ("", "codes", "arr_0")
_OTHER_NAME = len(_NAMES)


@dataclass(frozen=True)
class Source:
    """What the arrays behind a code tensor were, apart from their values and sizes.

    Attributes:
        format: "npy", "npz" (one unpacked array), "packed" (`.npz` of `codes` and `shape`), or
            "tensor" for an array given to the API, which becomes a canonical `.npy`.
        layout: "nhwc" or "nchw".
        axes: 3, 4 or 5.
        dtype: one of `DTYPES`: of the unpacked array, or of `shape` when packed.
        signed: whether the array holds {-1, +1} rather than {0, 1}.
        name: the array's name in an "npz", else empty.

    Raises:
        CodesError: the attributes contradict each other.
    """

    format: str = "tensor"
    layout: str = "nhwc"
    axes: int = 5
    dtype: str = "|u1"
    signed: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        canonical = (self.layout, self.axes, self.dtype) == ("nhwc", 5, "|u1")
        if (
            self.format not in FORMATS
            or self.layout not in LAYOUTS
            or self.axes not in (3, 4, 5)
            or self.dtype not in DTYPES
            or (self.format == "packed" and self.dtype[1] not in "iu")
            or (self.format == "tensor" and not canonical)
            or (self.signed and (self.format == "packed" or self.dtype[1] not in "if"))
            or (self.name and self.format != "npz")
            or not name_fits(self.name)
        ):
            raise CodesError(f"no code file can be described by {self}")


def check_limits(shape: Sequence[int]) -> None:
    """Refuses code tensors that are too large.

    Args:
        shape: layers, batch, height, width, layer_depth.

    Raises:
        CodesError: more than MAX_BITS, MAX_UNITS or MAX_POSITIONS.
    """
    for size, limit, what in (
        (math.prod(shape), MAX_BITS, "code bits"),
        (shape[0] * shape[4], MAX_UNITS, "bits at a position"),
        (math.prod(shape[1:4]), MAX_POSITIONS, "positions"),
    ):
        if size > limit:
            raise CodesError(f"shape {tuple(shape)} is above the limit of {limit} {what}")


def check_bits(bits: int, what: str, max_bits: int) -> None:
    """Refuses more code bits than whoever reads the file allows.

    Raises:
        CodesError: more than `max_bits`.
    """
    if bits > max_bits:
        remedy = limit_remedy(max_bits)
        raise CodesError(f"{what} is above the limit of {max_bits} code bits; {remedy}")


def most_threads(shape: Sequence[int]) -> int:
    """How many threads can work at the same time, and are worth starting.

    At most one a layer; a layer follows the one before it when about two rows of that are done;
    and the memory that each takes for itself stays small beside the tensor's.

    Args:
        shape: layers, batch, height, width, layer_depth.
    """
    (layers, _, height, width, _), bits = shape, math.prod(shape)
    rooms = 1 + 16 * bits // _room_of_step(shape)
    return max(1, min(layers, (2 * height + width) // 3, bits // THREAD_BITS, rooms))


def memory_bound(shape: Sequence[int]) -> int:
    """The most bytes of memory that encoding or decoding a code tensor takes.

    Measured over all kinds of shapes, and rounded up: for every code bit, its payload among it; for
    every position; for what is known of the tensor, with margins; for the steps, which pictures of
    one long row or column have most of; for every thread, the bits that a layer has at a step, no
    more than three in a row or column of a picture; for every unit, its weights; and for the
    program itself, its compiler among it.

    Args:
        shape: layers, batch, height, width, layer_depth.
    """
    layers, batch, height, width, channels = shape
    of_bits = 40 * math.prod(shape) + 96 * batch * height * width
    known = (layers + 1) * batch * (height + 3) * (width + 3) * (2 * channels + 8)
    of_steps = 160 * layers * (channels + 1) * (height + width)
    of_steps += most_threads(shape) * _room_of_step(shape)
    return (384 << 20) + of_bits + known + of_steps + 24_000 * layers * channels


def _room_of_step(shape: Sequence[int]) -> int:
    """The most bytes that a thread needs for the bits that a layer has at a step."""
    _, batch, height, width, channels = shape
    largest_step = batch * min(height * width, 3 * height, 3 * width)
    return (640 + 64 * min(channels, 64)) * largest_step


def limit_remedy(max_bits: int) -> str:
    """What to do about a file above a limit."""
    return "split the batch" if max_bits >= MAX_BITS else "raise --max-bits if you trust it"


def name_fits(name: str) -> bool:
    """Whether an array's name can be kept: valid UTF-8, not too long, without NUL."""
    encoded = name.encode("utf-8", "replace")
    return len(encoded) <= MAX_NAME_BYTES and encoded.decode() == name and "\0" not in name


def pack_source(source: Source) -> bytes:
    """Gives a source's field of a container, as `container` describes it."""
    kind = FORMATS.index(source.format) | LAYOUTS.index(source.layout) << 2
    first = kind | (source.axes - 3) << 3 | source.signed << 5
    name = _NAMES.index(source.name) if source.name in _NAMES else _OTHER_NAME
    packed = bytes([first, DTYPES.index(source.dtype) | name << 5])
    if name != _OTHER_NAME:
        return packed
    text = source.name.encode()
    return packed + varint(len(text)) + text


def unpack_source(fields: Fields) -> Source:
    """Undoes `pack_source`.

    Raises:
        BitstreamError: the field is not what `pack_source` gives.
        UnsupportedError: it uses what version 1 reserves.
        CodesError: no code file can be like that.
    """
    first, second = fields.take(2)
    axes, dtype, name_code = 3 + (first >> 3 & 3), second & 31, second >> 5
    if first >> 6 or axes > 5 or dtype >= len(DTYPES) or name_code > _OTHER_NAME:
        raise UnsupportedError(
            f"the file has the unknown source {first:#04x} {second:#04x}; {UPGRADE}"
        )
    name = fields.text(MAX_NAME_BYTES) if name_code == _OTHER_NAME else _NAMES[name_code]
    if name_code == _OTHER_NAME and name in _NAMES:
        raise BitstreamError(f"the name {name!r} is not in its shortest form; {REMEDY}")
    layout, signed = LAYOUTS[first >> 2 & 1], bool(first >> 5)
    return Source(FORMATS[first & 3], layout, axes, DTYPES[dtype], signed, name)
