"""The container: a header and the payloads of its segments <-> bytes, and only that.

    magic, version, length, body, CRC-32 │ embedded model │ payload │ payload │ ...
    └───────────── header ─────────────┘

FORMAT.md has the layout, byte by byte. Magic, version, length, body and CRC-32 frame every version:
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
    NO_LAYER,
    REMEDY,
    UPGRADE,
    Fields,
    read_exactly,
    read_up_to,
    varint,
)
from nncodec.format.source import (
    MAX_BITS,
    MAX_HIDDEN,
    NPY_MAGIC,
    ZIP_MAGICS,
    Source,
    check_bits,
    check_limits,
    memory_bound,
    pack_source,
    unpack_source,
)

MAGIC = b"\x8eNNC\r\n"
VERSION = 1
MODEL_ID_BYTES = 8
MAX_EMBEDDED_BYTES = 1 << 28
MAX_BODY_BYTES = 1 << 20

MAX_BITS_PER_PAYLOAD_BYTE = 1 << 19
"""A tiny file cannot claim a huge tensor: no frequency is above 65535 / 65536, so a code bit costs
at least 2.2e-5 bits, and a payload byte holds at most 363,400 of them (8 bytes are slack)."""

MAX_PAYLOAD_BYTES_PER_BIT = 4
"""No frequency is below 1 / 65536, so a code bit costs at most 2 bytes (16 bytes are slack)."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What is known of one payload before it is decoded.

    Attributes:
        layers: how many it holds; they follow those of the segments before.
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
    """Everything in a container but the payloads.

    Attributes:
        shape: of the code tensor, (layers, batch, height, width, layer_depth).
        source: what the code file was.
        model_id: 8 bytes, or none.
        segments: of the whole file, even where only a part of it was read.
        embedded_bytes: of the model that the file holds itself, or 0.

    Raises:
        CodesError: the attributes contradict each other, or are above a limit.
    """

    shape: tuple[int, int, int, int, int]
    source: Source
    model_id: bytes
    segments: tuple[Segment, ...]
    embedded_bytes: int = 0

    def __post_init__(self) -> None:
        if len(self.shape) != 5 or min(self.shape) < 1:
            raise CodesError(f"shape {self.shape} is not of 5 sizes from 1 on")
        check_limits(self.shape)
        if self.source.axes == 3 and self.shape[1] != 1:
            raise CodesError(f"shape {self.shape} has a batch, an array of 3 axes has none")
        if len(self.model_id) not in (0, MODEL_ID_BYTES):
            raise CodesError(f"a model id of {len(self.model_id)} bytes is not {MODEL_ID_BYTES}")
        if not 0 <= self.embedded_bytes <= MAX_EMBEDDED_BYTES * bool(self.model_id):
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
        """The most bytes of memory that decoding takes, whatever follows the header.

        Of an embedded model, which can grow by a factor of 1,032 as it is unpacked, up to
        MAX_EMBEDDED_BYTES, eight copies: arrays, and what proves that their sums are exact. Of any
        model, a byte for every hidden unit at every position of a layer, and five for the picture.
        """
        model = min(1032 * self.embedded_bytes, MAX_EMBEDDED_BYTES)
        known = memory_bound(self.shape) + self.embedded_bytes + 8 * model
        units = self.bits + 5 * self.bits_per_layer
        return known + MAX_HIDDEN * units * bool(self.model_id)

    def segment_layers(self) -> list[range]:
        """Gives the layers that each segment holds."""
        ends = itertools.accumulate(segment.layers for segment in self.segments)
        return [range(e - one.layers, e) for one, e in zip(self.segments, ends, strict=True)]

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


@dataclass(frozen=True)
class Container:
    """A header and what follows it, as far as it was read.

    Attributes:
        header: of the whole file.
        payloads: of the first segments.
        model: the embedded model, as it lies in the file, or b"".
    """

    header: Header
    payloads: list[bytes]
    model: bytes = b""


def pack_header(header: Header) -> bytes:
    """Gives the bytes before the first payload."""
    body = bytearray(varint(bool(header.model_id) | bool(header.embedded_bytes) << 1))
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
        The header, and the offset of the first payload.

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
            f"the header claims {body_bytes} bytes, above the limit of {MAX_BODY_BYTES}; {REMEDY}"
        )
    body = read_exactly(file, body_bytes)
    if zlib.crc32(frame + body) != int.from_bytes(read_exactly(file, 4), "little"):
        raise BitstreamError(f"the header's checksum is wrong; {REMEDY}")
    version = frame[len(MAGIC)]
    if version != VERSION:
        raise UnsupportedError(f"the file is of version {version}, not {VERSION}; {UPGRADE}")
    return _unpack_body(Fields(body))


def pack(container: Container) -> bytes:
    """Gives the bytes of a whole container."""
    header, payloads, model = container.header, container.payloads, container.model
    lengths = [segment.byte_length for segment in header.segments]
    if [len(payload) for payload in payloads] != lengths or len(model) != header.embedded_bytes:
        raise ValueError("the payloads or the model are not those of the header")
    return b"".join([pack_header(header), model, *payloads])


def read_container(
    file: BinaryIO,
    *,
    layers: int | None = None,
    partial: bool = False,
    max_bits: int = MAX_BITS,
) -> Container:
    """Reads a header and payloads, and no byte beyond the last one that is needed.

    Args:
        file: binary stream, at the start of a container; it need not be seekable.
        layers: read only the segments that hold so many first layers. Otherwise all are read, and
            the file must end behind them.
        partial: take a file whose end is missing, if it has a whole segment.
        max_bits: the most code bits to decode; more are refused when the header is read.

    Returns:
        The header of the whole file, its model, and the payloads of the first segments.

    Raises:
        BitstreamError: as for `unpack_header`, or the file goes on behind the last payload.
        TruncatedError: the file ends within the payloads; it has the number of whole layers.
        CodesError: the file has fewer than `layers`, or their segments more than `max_bits`.
    """
    header = read_header(file)
    if layers is not None and not 1 <= layers <= header.layers:
        raise CodesError(f"layers {layers}: the file has {header.layers}; ask for some of them")
    ends = (held.stop for held in header.segment_layers())
    needed = next(end for end in ends if end >= (layers or header.layers))
    shape = (needed, *header.shape[1:])
    check_bits(math.prod(shape), f"a code tensor {shape}", max_bits)
    model = read_up_to(file, header.embedded_bytes)
    if len(model) < header.embedded_bytes:
        raise TruncatedError(NO_LAYER)
    container = Container(header, [], model)
    for segment, held in zip(header.segments, header.segment_layers(), strict=True):
        if layers is not None and held.start >= layers:
            return container
        payload = read_up_to(file, segment.byte_length)
        if len(payload) < segment.byte_length:
            if not held.start:
                raise TruncatedError(NO_LAYER)
            if partial:
                return container
            raise TruncatedError(
                f"the file ends early, only {held.start} of its {header.layers} layers are whole; "
                "--partial gives what is whole, or get another copy",
                held.start,
            )
        container.payloads.append(payload)
    if layers is None and read_up_to(file, 1):
        raise BitstreamError(f"at least one byte follows the last payload; {REMEDY}")
    return container


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


def _check_magic(magic: bytes) -> None:
    if magic == MAGIC:
        return
    if magic and MAGIC.startswith(magic):
        raise TruncatedError(NO_LAYER)
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
    if flags > 3:
        raise UnsupportedError(f"the file has the unknown flags {flags:#x}; {UPGRADE}")
    layers, batch, height, width, layer_depth = [fields.varint() for _ in range(5)]
    try:
        source = unpack_source(fields)
        model_id = fields.take(MODEL_ID_BYTES if flags & 1 else 0)
        embedded_bytes = fields.varint() if flags & 2 else 0
        if embedded_bytes == 0 and flags & 2:
            raise CodesError("the file is flagged to hold a model, of 0 bytes")  # noqa: TRY301
        segments, covered = [], 0
        while covered < layers:
            head, length = fields.varint(), fields.varint()
            checksum = int.from_bytes(fields.take(4), "little")
            segments.append(Segment(head >> 1, bool(head & 1), length, checksum))
            covered += head >> 1
        header = Header(
            (layers, batch, height, width, layer_depth),
            source,
            model_id,
            tuple(segments),
            embedded_bytes,
        )
    except CodesError as error:
        raise BitstreamError(f"{error}; {REMEDY}") from error
    if fields.rest:
        raise BitstreamError(f"the header goes on {fields.rest} bytes after its fields; {REMEDY}")
    return header
