"""Containers that no encoder wrote, with right checksums of their headers."""

import zlib
from collections.abc import Sequence
from typing import Literal

from nncodec.format.container import Container, Part, pack
from nncodec.format.extent import Extent
from nncodec.format.fields import varint
from nncodec.format.groups import Group, Segment
from nncodec.format.header import VERSION, Header
from nncodec.format.magic import MAGIC
from nncodec.format.source import Source

Shape = tuple[int, int, int, int, int]
Payload = Literal["largest", "smallest", "stored"]


def plain_header(
    shape: Shape,
    source: Source,
    model_id: bytes,
    segments: Sequence[Segment],
    embedded_bytes: int = 0,
    sequence: bool = False,
    decisions: tuple[bool, ...] | None = None,
) -> Header:
    """The header of one tensor, which is one group."""
    held = 0
    if decisions and any(decisions):  # as few as may be
        positions = shape[1] * shape[2] * shape[3]
        held = decisions.index(True) * (positions - 1) + len(decisions)
    groups = (Group(shape[1], tuple(segments), decisions, held),)
    return Header(Extent.of_shape(shape), source, model_id, groups, embedded_bytes, sequence)


def plain_container(header: Header, payloads: list[bytes], model: bytes = b"") -> Container:
    """A container of one group."""
    return Container(header, [Part(0, payloads)], model)


def framed(body: bytes, version: int = VERSION, length: bytes | None = None) -> bytes:
    """A header with a right checksum, whatever is in it."""
    length = varint(len(body)) if length is None else length
    data = MAGIC + bytes([version]) + length + body
    return data + zlib.crc32(data).to_bytes(4, "little")


def framed_shape(shape: Shape) -> bytes:
    """The header of one coded segment without bytes, of any shape."""
    body = b"\0" + b"".join(map(varint, shape)) + b"\x03\x02" + varint(shape[0] << 1)
    return framed(body + varint(0) + bytes(4))


def forged(shape: Shape, layers: int, payload: Payload, *, sequence: bool = False) -> bytes:
    """A container of a shape, with zeros for payloads.

    Args:
        shape: of the code tensor.
        layers: of a segment.
        payload: the most or fewest bytes that a coded segment may have, or a stored one.
        sequence: whether its pictures are frames.
    """
    of_layer = shape[1] * shape[2] * shape[3] * shape[4]
    counts = [min(layers, shape[0] - first) for first in range(0, shape[0], layers)]
    segments = []
    for count in counts:
        bits = count * of_layer
        size = {
            "stored": (bits + 7) // 8,
            "largest": 4 * bits + 16,
            "smallest": max(0, -(-bits // (1 << 19)) - 8),
        }[payload]
        segments.append(Segment(count, payload == "stored", size, 0))
    header = plain_header(shape, Source(), b"", segments, sequence=sequence)
    return pack(plain_container(header, [bytes(one.byte_length) for one in segments]))
