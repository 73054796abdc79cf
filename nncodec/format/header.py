"""The header of a container <-> bytes: what a container says of itself before its payloads.

    magic, version, length, body, CRC-32

FORMAT.md has the layout in section 3. Magic, version, length, body and CRC-32 frame every version:
where the CRC-32 is right and the version unknown, the file is from a newer nncodec; where it is
wrong, the file is damaged. Sizes are checked against the shape before anything is allocated.
"""

import io
import itertools
import math
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from nncodec.errors import BitstreamError, CodesError, TruncatedError, UnsupportedError
from nncodec.format.fields import (
    DAMAGED,
    NEWER,
    NO_WHOLE_LAYER,
    Fields,
    read_exactly,
    read_up_to,
    varint,
)
from nncodec.format.limits import (
    MAX_BODY_BYTES,
    MAX_MODEL_BYTES,
    check_limits,
    memory_bound,
    memory_bound_of_model,
)
from nncodec.format.source import NPY_MAGIC, ZIP_MAGICS, Source, pack_source, unpack_source

MAGIC = b"\x8eNNC\r\n"
VERSION = 1
MODEL_ID_BYTES = 8

MAX_BITS_PER_PAYLOAD_BYTE = 1 << 19
"""A tiny file cannot claim a huge tensor: no frequency is above 65535 / 65536, so a code bit costs
at least 2.2e-5 bits, and a payload byte holds at most 363,400 of them (8 bytes are slack)."""

MAX_PAYLOAD_BYTES_PER_BIT = 4
"""No frequency is below 1 / 65536, so a code bit costs at most 2 bytes (16 bytes are slack)."""

# The flags of a body; all other bits are 0.
_HAS_MODEL_ID = 1
_HAS_EMBEDDED_MODEL = 2
_IS_SEQUENCE = 4


@dataclass(frozen=True, slots=True)
class Segment:
    """Some adjacent layers of a code tensor, and what is known of their payload.

    Attributes:
        layers: how many it has; they follow those of the segments before.
        stored: whether the payload is the bits, packed in the order of the tensor.
        byte_length: bytes of the payload.
        checksum: CRC-32 of the decoded bits, packed in the order of the tensor, continued over the
            payload: some of a payload's bits decide nothing, and their damage must show too.
    """

    layers: int
    stored: bool
    byte_length: int
    checksum: int


@dataclass(frozen=True)
class Header:
    """Everything in a container but the embedded model and the payloads.

    Attributes:
        shape: of the code tensor, (layers, batch, height, width, layer_depth).
        source: what the code tensor was made from.
        model_id: 8 bytes, or none.
        segments: of the whole file, even where only a part of it was read.
        embedded_bytes: the length of the embedded model, or 0.
        sequence: whether the pictures of the batch are frames, predicted from those before.

    Raises:
        CodesError: the attributes contradict each other, or are above a limit.
    """

    shape: tuple[int, int, int, int, int]
    source: Source
    model_id: bytes
    segments: tuple[Segment, ...]
    embedded_bytes: int = 0
    sequence: bool = False

    def __post_init__(self) -> None:
        if len(self.shape) != 5 or min(self.shape) < 1:
            raise CodesError(f"shape {self.shape} is not of 5 sizes from 1 on")
        check_limits(self.shape)
        if self.source.axes == 3 and self.shape[1] != 1:
            raise CodesError(f"shape {self.shape} has a batch, an array of 3 axes has none")
        if len(self.model_id) not in (0, MODEL_ID_BYTES):
            raise CodesError(f"a model id of {len(self.model_id)} bytes is not {MODEL_ID_BYTES}")
        most = MAX_MODEL_BYTES if self.model_id else 0
        if not 0 <= self.embedded_bytes <= most:
            raise CodesError(f"the file cannot hold a model of {self.embedded_bytes} bytes")
        for index, segment in enumerate(self.segments):
            _check_segment(segment, segment.layers * self.bits_per_layer, f"segment {index}")
        covered = sum(segment.layers for segment in self.segments)
        if covered != self.layers:
            raise CodesError(f"the segments hold {covered} layers, not {self.layers}")

    @property
    def layers(self) -> int:
        return self.shape[0]

    @property
    def bits_per_layer(self) -> int:
        return math.prod(self.shape[1:])

    @property
    def bits(self) -> int:
        return math.prod(self.shape)

    @property
    def memory_bound(self) -> int:
        """The most bytes of memory that decoding takes, whatever follows the header."""
        bound = memory_bound(self.shape)
        if self.model_id:
            bound += memory_bound_of_model(self.shape, self.embedded_bytes)
        return bound

    def segment_layers(self) -> list[range]:
        """Gives the layers of each segment."""
        ends = itertools.accumulate(segment.layers for segment in self.segments)
        return [
            range(end - segment.layers, end)
            for segment, end in zip(self.segments, ends, strict=True)
        ]

    def layer_bytes(self) -> list[int]:
        """Gives the payload bytes of each layer; layers of one segment share its bytes evenly."""
        shares = []
        for segment in self.segments:
            ends = [segment.byte_length * i // segment.layers for i in range(segment.layers + 1)]
            shares += [end - begin for begin, end in itertools.pairwise(ends)]
        return shares

    def layer_stored(self) -> list[bool]:
        """Gives, for each layer, whether its segment is stored."""
        return [segment.stored for segment in self.segments for _ in range(segment.layers)]


def pack_header(header: Header) -> bytes:
    """Packs a header into the bytes before the embedded model (FORMAT.md, section 3)."""
    flags = _HAS_MODEL_ID if header.model_id else 0
    flags |= _HAS_EMBEDDED_MODEL if header.embedded_bytes else 0
    flags |= _IS_SEQUENCE if header.sequence else 0
    body = bytearray(varint(flags))
    for size in header.shape:
        body += varint(size)
    body += pack_source(header.source) + header.model_id
    if header.embedded_bytes:
        body += varint(header.embedded_bytes)
    for segment in header.segments:
        body += varint(segment.layers << 1 | segment.stored) + varint(segment.byte_length)
        body += segment.checksum.to_bytes(4, "little")
    framed = MAGIC + bytes([VERSION]) + varint(len(body)) + body
    return framed + zlib.crc32(framed).to_bytes(4, "little")


def unpack_header(data: bytes) -> tuple[Header, int]:
    """Undoes `pack_header`.

    Args:
        data: a container, or as much of it as holds the header.

    Returns:
        The header, and how many bytes it has.

    Raises:
        BitstreamError: no container, a damaged one, or (`TruncatedError`) one that ends too early.
        UnsupportedError: a container of a newer version.
    """
    file = io.BytesIO(data)
    return read_header(file), file.tell()


def read_header(file: BinaryIO) -> Header:
    """Reads a header, and no byte beyond; errors as for `unpack_header`.

    Args:
        file: binary stream, at the start of a container; it need not be seekable.
    """
    magic = read_up_to(file, len(MAGIC))
    _check_magic(magic)
    frame = magic + read_exactly(file, 2)
    while frame[-1] >= 0x80 and len(frame) < len(MAGIC) + 10:
        frame += read_exactly(file, 1)
    body_bytes = Fields(frame[len(MAGIC) + 1 :]).varint()
    if body_bytes > MAX_BODY_BYTES:
        raise BitstreamError(
            f"the header claims {body_bytes} bytes, above the limit of {MAX_BODY_BYTES}; {DAMAGED}"
        )
    body = read_exactly(file, body_bytes)
    if zlib.crc32(frame + body) != Fields(read_exactly(file, 4)).checksum():
        raise BitstreamError(f"the header's checksum is wrong; {DAMAGED}")
    version = frame[len(MAGIC)]
    if version != VERSION:
        raise UnsupportedError(f"the file is of version {version}, not {VERSION}; {NEWER}")
    return _unpack_body(Fields(body))


def _check_magic(magic: bytes) -> None:
    if magic == MAGIC:
        return
    if magic and MAGIC.startswith(magic):
        raise TruncatedError(NO_WHOLE_LAYER)
    if magic.startswith((NPY_MAGIC, *ZIP_MAGICS)):
        raise BitstreamError("the file is a code file, not a container; use nncodec compress on it")
    if magic[:5] in (MAGIC[:4] + b"\r", MAGIC[:4] + b"\n"):
        raise BitstreamError(
            "the file's line ends were changed as if it were text; get a copy in binary mode"
        )
    what = "no container" if magic else "empty"
    raise BitstreamError(f"the file is {what}; give a file that nncodec compress wrote")


def _unpack_body(fields: Fields) -> Header:
    flags = fields.varint()
    if flags & ~(_HAS_MODEL_ID | _HAS_EMBEDDED_MODEL | _IS_SEQUENCE):
        raise UnsupportedError(f"the file has the unknown flags {flags:#x}; {NEWER}")
    layers, batch, height, width, layer_depth = (fields.varint() for _ in range(5))
    shape = layers, batch, height, width, layer_depth
    try:
        source = unpack_source(fields)
        model_id = fields.take(MODEL_ID_BYTES) if flags & _HAS_MODEL_ID else b""
        embedded_bytes = _unpack_embedded_bytes(fields) if flags & _HAS_EMBEDDED_MODEL else 0
        segments = _unpack_segments(fields, layers)
        sequence = bool(flags & _IS_SEQUENCE)
        header = Header(shape, source, model_id, segments, embedded_bytes, sequence)
    except CodesError as error:
        raise BitstreamError(f"{error}; {DAMAGED}") from error
    if fields.rest:
        raise BitstreamError(f"the header goes on {fields.rest} bytes after its fields; {DAMAGED}")
    return header


def _unpack_embedded_bytes(fields: Fields) -> int:
    embedded_bytes = fields.varint()
    if not embedded_bytes:
        raise BitstreamError(f"the file is flagged to hold a model, of 0 bytes; {DAMAGED}")
    return embedded_bytes


def _unpack_segments(fields: Fields, layers: int) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    covered = 0
    while covered < layers:
        head, byte_length = fields.varint(), fields.varint()
        segments.append(Segment(head >> 1, bool(head & 1), byte_length, fields.checksum()))
        covered += head >> 1
    return tuple(segments)


def _check_segment(segment: Segment, bits: int, what: str) -> None:
    length = segment.byte_length
    if segment.layers < 1 or length < 0 or not 0 <= segment.checksum < 1 << 32:
        raise CodesError(f"{what} cannot be {segment}")
    if segment.stored:
        if length != (bits + 7) // 8:
            raise CodesError(f"{what} stores {bits} bits in {length} bytes")
    elif length % 4:
        raise CodesError(f"{what} has {length} bytes, which are no whole words of 4")
    elif bits > MAX_BITS_PER_PAYLOAD_BYTE * (length + 8):
        raise CodesError(f"{what} claims {bits} bits, more than its {length} bytes can hold")
    elif length > MAX_PAYLOAD_BYTES_PER_BIT * bits + 16:
        raise CodesError(f"{what} claims {length} bytes, more than its {bits} bits can need")
