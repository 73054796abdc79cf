"""A decoder of version 1, written from FORMAT.md alone, with the standard library alone.

Sections 3, 4, 6 and 7, slow and obvious, with the names of that page; the model is in
reference_model.py, model files in reference_model_file.py. It shares nothing with the package: what
both decode alike is on the page.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.reference_model import Prediction, ReferenceStage, Shape
from tests.reference_model_file import MAX_MODEL_BYTES, read_model
from tests.reference_numbers import FormatError, require

MAX_BITS = 1 << 28
MAX_UNITS = 1 << 14
MAX_POSITIONS = 1 << 22
MAX_BODY_BYTES = 1 << 20

FORMS = ("npy", "npz", "packed", "tensor")
LAYOUTS = ("nhwc", "nchw")
DTYPES = (
    *("|b1", "|i1", "|u1"),
    *("<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8"),
    *(">i2", ">i4", ">i8", ">u2", ">u4", ">u8", ">f2", ">f4", ">f8"),
)
NAMES = ("", "codes", "arr_0")

Parts = tuple[dict[str, Any] | None, dict[str, Any] | None]
"""A start and a network: nested lists by name, the network with its sizes; None for none."""


@dataclass(frozen=True)
class Segment:
    layers: int
    stored: bool
    byte_length: int
    checksum: int


@dataclass(frozen=True)
class Header:
    """Everything before the embedded model."""

    shape: Shape
    sequence: bool
    source: dict[str, Any]
    model_id: bytes
    embedded_bytes: int
    segments: list[Segment]
    byte_length: int


@dataclass(frozen=True)
class Decoded:
    """A code tensor.

    Attributes:
        shape: its layers, pictures, rows, columns and channels.
        sequence: whether the pictures are one.
        bits: in tensor order.
        source: what array it was made from.
    """

    shape: Shape
    sequence: bool
    bits: list[int]
    source: dict[str, Any]


def decode(data: bytes, *, model: bytes | None = None, layers: int | None = None) -> Decoded:
    """Decodes a container, or the beginning of one.

    Args:
        data: the container; with `layers`, as much of it as holds them.
        model: a model file, for a container that names a model and holds none.
        layers: how many first layers; by default all.

    Raises:
        FormatError: a rule of the format is broken, or it is not the model that is named.
    """
    header = read_header(data)
    wanted = header.shape[0] if layers is None else layers
    require(1 <= wanted <= header.shape[0], "there are not so many layers")
    end = header.byte_length + header.embedded_bytes
    start, network = _model(header, data[header.byte_length : end], model)

    segments: list[tuple[int, Segment, bytes]] = []
    held = 0
    for segment in header.segments:
        if held < wanted:
            begin, end = end, end + segment.byte_length
            require(end <= len(data), "the file ends early")
            segments.append((held, segment, data[begin:end]))
            held += segment.layers
    require(layers is not None or end == len(data), "the file goes on after the last payload")

    shape = (held, *header.shape[1:])
    stage = ReferenceStage(shape, start, network, sequence=header.sequence)
    bits = _decode_segments(shape, segments, stage)
    of_layer = math.prod(shape[1:])
    return Decoded((wanted, *shape[1:]), header.sequence, bits[: wanted * of_layer], header.source)


def _decode_segments(
    shape: Shape, segments: Sequence[tuple[int, Segment, bytes]], stage: ReferenceStage
) -> list[int]:
    of_layer = math.prod(shape[1:])
    stored: list[int] = []  # bits in tensor order; zeros where they are coded
    decoders: list[RangeDecoder | None] = []  # by layer; none where it is stored
    for _, segment, payload in segments:
        count = segment.layers * of_layer
        stored += unpack(payload, count) if segment.stored else [0] * count
        decoder = None if segment.stored else RangeDecoder(payload)
        decoders += [decoder] * segment.layers

    values: list[int] = []

    def value_of(prediction: Prediction) -> int:
        decoder = decoders[prediction.bit[0]]
        value = decoder.decode(prediction.frequency) if decoder else stored[len(values)]
        values.append(value)
        return value

    stage.run(value_of)
    for first, segment, payload in segments:
        own = values[first * of_layer : (first + segment.layers) * of_layer]
        checksum = zlib.crc32(payload, zlib.crc32(pack(own)))
        require(checksum == segment.checksum, f"the checksum of layer {first} is wrong")
    return values


def unpack(data: bytes, bits: int) -> list[int]:
    return [data[at // 8] >> 7 - at % 8 & 1 for at in range(bits)]


def pack(bits: Sequence[int]) -> bytes:
    packed = bytearray((len(bits) + 7) // 8)
    for at, bit in enumerate(bits):
        packed[at // 8] |= bit << 7 - at % 8
    return bytes(packed)


def _model(header: Header, embedded: bytes, given: bytes | None) -> Parts:
    if not header.model_id:
        return None, None
    if header.embedded_bytes:
        require(len(embedded) == header.embedded_bytes, "the file ends early")
        given = _inflate(embedded)
    require(given is not None, f"the file needs model {header.model_id.hex()}")
    start, network, model_id = read_model(given or b"")
    require(model_id == header.model_id, "this is not the model that the file names")
    layers, *_, channels = header.shape
    fits = len(start["units"]) >= layers and len(start["units"][0]) == channels
    require(fits, "the model is not one for such codes")
    return start, network


def _inflate(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        model = stream.decompress(data, MAX_MODEL_BYTES)
    except zlib.error:
        raise FormatError("the embedded model is damaged") from None
    require(stream.eof and not stream.unused_data, "the embedded model has another length")
    return model


# --- the range coder, section 7 ----------------------------------------------------------------


def zeros(frequency: int) -> int:
    """The parts of 2^24 that stand for a 0."""
    return 256 * (65536 - frequency) - (1 if frequency < 32768 else 0)


class RangeDecoder:
    """Takes bits from the payload of a coded segment.

    Attributes:
        range, offset: its state, two unsigned numbers of 64 bits.
    """

    def __init__(self, payload: bytes) -> None:
        self._words = [word for (word,) in struct.iter_unpack("<I", payload)]
        self._next = 0
        self.range = (1 << 64) - 1
        self.offset = (self._word() << 32) + self._word()

    def _word(self) -> int:
        self._next += 1
        return self._words[self._next - 1] if self._next <= len(self._words) else 0

    def decode(self, frequency: int) -> int:
        scale = self.range >> 24
        require(self.offset // scale < 1 << 24, "a payload is damaged")
        if self.offset < scale * zeros(frequency):
            bit = 0
            self.range = scale * zeros(frequency)
        else:
            bit = 1
            self.range = scale * ((1 << 24) - zeros(frequency))
            self.offset -= scale * zeros(frequency)
        if self.range < 1 << 32:
            self.range <<= 32
            self.offset = (self.offset << 32) + self._word()
        return bit


class RangeEncoder:
    """Makes the payload of a coded segment."""

    def __init__(self) -> None:
        self._words: list[int] = []
        self._lower, self._range = 0, (1 << 64) - 1
        self._empty = True

    def encode(self, bit: int, frequency: int) -> None:
        self._empty = False
        scale = self._range >> 24
        if bit:
            self._raise_lower(scale * zeros(frequency))
            self._range = scale * ((1 << 24) - zeros(frequency))
        else:
            self._range = scale * zeros(frequency)
        if self._range < 1 << 32:
            self._words.append(self._lower >> 32)
            self._lower = (self._lower << 32) % (1 << 64)
            self._range <<= 32

    def finish(self) -> bytes:
        """Gives the payload; nothing can be encoded after."""
        if not self._empty:
            upper = (self._lower + self._range) % (1 << 64) >> 32
            self._raise_lower((1 << 32) - 1)
            self._words.append(self._lower >> 32)
            if upper == self._words[-1]:
                self._words.append(0)
        return b"".join(struct.pack("<I", word) for word in self._words)

    def _raise_lower(self, by: int) -> None:
        self._lower += by
        if self._lower >= 1 << 64:
            self._lower -= 1 << 64
            at = len(self._words) - 1
            while self._words[at] == (1 << 32) - 1:
                self._words[at] = 0
                at -= 1
            self._words[at] += 1


# --- the container, sections 3 and 4 -----------------------------------------------------------


class Fields:
    """Takes fields from the beginning of bytes on."""

    def __init__(self, data: bytes) -> None:
        self._data, self.offset = data, 0

    def take(self, size: int) -> bytes:
        self.offset += size
        require(self.offset <= len(self._data), "the file, or its header, ends early")
        return self._data[self.offset - size : self.offset]

    def number(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def varint(self) -> int:
        value = 0
        for shift in range(0, 63, 7):
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                require(byte > 0 or shift == 0, "a varint is not as short as possible")
                return value
        raise FormatError("a varint is not below 2^63")


def read_header(data: bytes) -> Header:
    """Reads everything before the embedded model and the payloads."""
    file = Fields(data)
    require(file.take(6) == b"\x8eNNC\r\n", "this is no container")
    (version,) = file.take(1)
    body_bytes = file.varint()
    require(body_bytes <= MAX_BODY_BYTES, "the body is too long")
    body = file.take(body_bytes)
    framed = data[: file.offset]
    require(file.number() == zlib.crc32(framed), "the header's checksum is wrong")
    require(version == 1, "the file is of another version")

    fields = Fields(body)
    flags = fields.varint()
    require(flags < 8 and flags & 3 != 2, "the flags are unknown, or do not fit each other")
    layers, pictures, rows, columns, channels = (fields.varint() for _ in range(5))
    shape = (layers, pictures, rows, columns, channels)
    require(min(shape) >= 1, "an axis is empty")
    require(math.prod(shape) <= MAX_BITS, "there are too many bits")
    require(layers * channels <= MAX_UNITS, "there are too many units")
    require(pictures * rows * columns <= MAX_POSITIONS, "there are too many positions")
    source = _read_source(fields, pictures)
    model_id = fields.take(8) if flags & 1 else b""
    embedded_bytes = fields.varint() if flags & 2 else 0
    require(not flags & 2 or 1 <= embedded_bytes <= MAX_MODEL_BYTES, "no such embedded model")
    segments: list[Segment] = []
    while sum(segment.layers for segment in segments) < layers:
        kind, length, checksum = fields.varint(), fields.varint(), fields.number()
        segment = Segment(kind >> 1, bool(kind & 1), length, checksum)
        _check_segment(segment, segment.layers * math.prod(shape[1:]))
        segments.append(segment)
    require(sum(segment.layers for segment in segments) == layers, "there are too many layers")
    require(fields.offset == len(body), "the body goes on after its fields")
    sequence = bool(flags & 4)
    return Header(shape, sequence, source, model_id, embedded_bytes, segments, file.offset)


def _read_source(fields: Fields, pictures: int) -> dict[str, Any]:
    first, second = fields.take(2)
    axes, dtype, name_code = (first >> 3 & 3) + 3, second & 31, second >> 5
    require(first < 64 and axes <= 5 and dtype < 21 and name_code < 4, "the source is unknown")
    name = NAMES[name_code] if name_code < 3 else _read_name(fields)
    form, layout = FORMS[first & 3], LAYOUTS[first >> 2 & 1]
    kind, signed = DTYPES[dtype][1], bool(first >> 5 & 1)
    require(form != "packed" or kind in "iu", "packed has no integer dtype")
    require(not signed or (form != "packed" and kind in "if"), "this cannot be signed")
    require(not name or form == "npz", "only npz has a name")
    plain = (layout, axes, DTYPES[dtype], signed) == ("nhwc", 5, "|u1", False)
    require(form != "tensor" or plain, "a tensor is nhwc of 5 axes, |u1")
    require(axes > 3 or pictures == 1, "3 axes have no pictures")
    return {
        "form": form,
        "layout": layout,
        "axes": axes,
        "dtype": DTYPES[dtype],
        "signed": signed,
        "name": name,
    }


def _read_name(fields: Fields) -> str:
    size = fields.varint()
    require(size <= 255, "the name is too long")
    try:
        name = fields.take(size).decode()
    except UnicodeDecodeError:
        raise FormatError("the name is not UTF-8") from None
    require(name not in NAMES and "\0" not in name, "the name has a number, or a zero byte")
    return name


def _check_segment(segment: Segment, bits: int) -> None:
    length = segment.byte_length
    require(segment.layers >= 1, "a segment has no layers")
    if segment.stored:
        require(length == (bits + 7) // 8, "a stored payload has another length")
    else:
        whole = length % 4 == 0
        require(whole and length <= 4 * bits + 16, "a payload has a wrong length")
        require(bits <= (length + 8) << 19, "a payload is too short")
