"""The header of a container <-> bytes: what a container says of itself before its payloads.

    magic, version, length, body, CRC-32

FORMAT.md has the layout in section 3. Magic, version, length, body and CRC-32 frame every version:
where the CRC-32 is right and the version unknown, the file is from a newer nncodec; where it is
wrong, the file is damaged. Sizes are checked against the shape before anything is allocated.
"""

import io
import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

from nncodec.errors import BitstreamError, CodesError, UnsupportedError
from nncodec.format.extent import Extent, Shape, pack_extent, unpack_extent
from nncodec.format.fields import DAMAGED, NEWER, Fields, read_exactly, read_up_to, varint
from nncodec.format.groups import Group, Segment, check_groups, pack_groups, unpack_groups
from nncodec.format.limits import (
    MAX_BODY_BYTES,
    MAX_MODEL_BYTES,
    MAX_PICTURES,
    memory_bound,
    memory_bound_of_coverage,
    memory_bound_of_model,
    memory_of_codes,
    memory_of_header,
)
from nncodec.format.magic import MAGIC, check_magic
from nncodec.format.members import Member, check_members, pack_members, unpack_members
from nncodec.format.source import ArraySource, Source
from nncodec.format.source_fields import pack_source, unpack_source

VERSION = 1
MODEL_ID_BYTES = 8

# The flags of a body; all other bits are 0.
_HAS_MODEL_ID = 1
_HAS_EMBEDDED_MODEL = 2
_IS_SEQUENCE = 4
_HAS_SIZES = 8
_HAS_GROUPS = 16
_HAS_MEMBERS = 32
_ENDS_EARLY = 64
_ALL_FLAGS = 127


@dataclass(frozen=True)
class Header:
    """Everything in a container but the embedded model and the payloads.

    Attributes:
        extent: the sizes of all codes.
        source: what they were made from; where there are members, each has its own.
        model_id: 8 bytes, or none.
        groups: of the whole file, even where only a part of it was read.
        embedded_bytes: the length of the embedded model, or 0.
        sequence: whether the pictures of a group are frames, predicted from those before.
        members: the code files, or arrays, that it holds; none where it is one.

    Raises:
        CodesError: the attributes contradict each other, or are above a limit.
    """

    extent: Extent
    source: Source
    model_id: bytes
    groups: tuple[Group, ...]
    embedded_bytes: int = 0
    sequence: bool = False
    members: tuple[Member, ...] = ()

    def __post_init__(self) -> None:
        extent = self.extent
        sizes = [extent.layers, extent.channels, *itertools.chain.from_iterable(extent.runs)]
        if not extent.runs or min(sizes) < 1:
            raise CodesError(f"shape {extent} is not of 5 sizes from 1 on")
        if extent.pictures > MAX_PICTURES:
            raise CodesError(f"{extent.pictures} pictures are above the limit of {MAX_PICTURES}")
        if len(self.model_id) not in (0, MODEL_ID_BYTES):
            raise CodesError(f"a model id of {len(self.model_id)} bytes is not {MODEL_ID_BYTES}")
        most = MAX_MODEL_BYTES if self.model_id else 0
        if not 0 <= self.embedded_bytes <= most:
            raise CodesError(f"the file cannot hold a model of {self.embedded_bytes} bytes")
        self._check_members()
        check_groups(self.groups, extent)

    def _check_members(self) -> None:
        if self.members:
            check_members(self.members, self.extent.pictures)
        elif len(self.source.arrays) != 1:
            raise CodesError(f"{len(self.source.arrays)} arrays are not the source of one shape")
        for source, part in zip(self.array_sources(), self.array_extents, strict=True):
            source.check_shape(part.shape)

    @property
    def shape(self) -> Shape:
        """That of the one code tensor that it holds; a CodesError if there are several sizes."""
        return self.extent.shape

    @property
    def holds_files(self) -> bool:
        """Whether it holds several files, or one by its name."""
        return len(self.members) > 1 or any(member.name for member in self.members)

    @property
    def file_source(self) -> Source:
        """What the only file was."""
        return self.members[0].source if self.members else self.source

    @property
    def layers(self) -> int:
        return self.extent.layers

    @property
    def bits_per_layer(self) -> int:
        return self.extent.bits_per_layer

    @property
    def bits(self) -> int:
        return self.extent.bits

    @property
    def coded_bits(self) -> int:
        """How many of the bits are coded: all, unless positions end early."""
        parts = zip(self.groups, self.group_extents(), strict=True)
        return sum(group.coded_bits(part) for group, part in parts)

    @property
    def memory_bound(self) -> int:
        """The most bytes of memory that decoding takes; of several files, decoding a group."""
        # The codes of the other groups of one file lie beside it.
        bits = 0 if self.holds_files else self.bits
        kept = memory_of_header(len(self.extent.runs), len(self.groups), len(self.segments))
        return kept + max(self._memory_bound(part, bits) for part in set(self.group_extents()))

    def _memory_bound(self, part: Extent, bits: int) -> int:
        bound = memory_bound(part) + memory_of_codes(max(0, bits - part.bits))
        if self.ends_early:
            bound += memory_bound_of_coverage(part)
        if self.model_id:
            bound += memory_bound_of_model(part, self.embedded_bytes)
        return bound

    @property
    def ends_early(self) -> bool:
        """Whether some positions have not all layers."""
        return any(group.decisions is not None for group in self.groups)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments of all groups, in the order of their payloads."""
        return tuple(segment for group in self.groups for segment in group.segments)

    def segment_layers(self) -> list[range]:
        """Gives the layers of each of the `segments`."""
        return [layers for group in self.groups for layers in group.segment_layers()]

    def group_extents(self) -> Iterator[Extent]:
        """Gives the sizes of each group."""
        return self.extent.cut(group.pictures for group in self.groups)

    def array_sources(self) -> list[ArraySource]:
        """Gives the description of each code array, of all members."""
        sources = [member.source for member in self.members] or [self.source]
        return [array for source in sources for array in source.arrays]

    def member_extents(self) -> list[list[Extent]]:
        """Gives the sizes of the code arrays of each member; of the whole, if there are none."""
        extents = iter(self.array_extents)
        if not self.members:
            return [list(extents)]
        return [list(itertools.islice(extents, len(one.pictures))) for one in self.members]

    @cached_property
    def array_extents(self) -> list[Extent]:
        """The sizes of each code array; of the whole, if there are no members."""
        counts = [count for member in self.members for count in member.pictures]
        return list(self.extent.cut(counts or [self.extent.pictures]))

    def layer_bytes(self) -> list[int]:
        """Gives the payload bytes of each layer; layers of one segment share its bytes evenly."""
        sums = [0] * self.layers
        for segment, layers in zip(self.segments, self.segment_layers(), strict=True):
            ends = [segment.byte_length * i // segment.layers for i in range(segment.layers + 1)]
            for layer, (begin, end) in zip(layers, itertools.pairwise(ends), strict=True):
                sums[layer] += end - begin
        return sums

    def layer_stored(self) -> list[bool]:
        """Gives, for each layer, whether its segments are stored, of all groups."""
        stored: dict[int, bool] = {}
        for segment, layers in zip(self.segments, self.segment_layers(), strict=True):
            stored |= {layer: stored.get(layer, True) and segment.stored for layer in layers}
        return [stored.get(layer, False) for layer in range(self.layers)]


def pack_header(header: Header) -> bytes:
    """Packs a header into the bytes before the embedded model (FORMAT.md, section 3)."""
    flags = _HAS_MODEL_ID if header.model_id else 0
    flags |= _HAS_EMBEDDED_MODEL if header.embedded_bytes else 0
    flags |= _IS_SEQUENCE if header.sequence else 0
    flags |= _HAS_SIZES if len(header.extent.runs) > 1 else 0
    flags |= _HAS_GROUPS if len(header.groups) > 1 else 0
    flags |= _HAS_MEMBERS if header.members else 0
    flags |= _ENDS_EARLY if header.ends_early else 0
    body = bytearray(varint(flags)) + pack_extent(header.extent)
    body += pack_members(header.members) if header.members else pack_source(header.source)
    body += header.model_id
    if header.embedded_bytes:
        body += varint(header.embedded_bytes)
    body += pack_groups(header.groups)
    if len(body) > MAX_BODY_BYTES:
        raise CodesError(
            f"the header takes {len(body)} bytes, above the limit of {MAX_BODY_BYTES}; use larger "
            "groups, or several containers"
        )
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
    check_magic(magic)
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


def _unpack_body(fields: Fields) -> Header:
    flags = fields.varint()
    if flags & ~_ALL_FLAGS:
        raise UnsupportedError(f"the file has the unknown flags {flags:#x}; {NEWER}")
    try:
        extent = unpack_extent(fields, several=bool(flags & _HAS_SIZES))
        members = unpack_members(fields) if flags & _HAS_MEMBERS else ()
        if flags & _HAS_MEMBERS and not members:
            raise BitstreamError(f"the file is flagged to have members, and has none; {DAMAGED}")
        source = Source() if members else unpack_source(fields)
        model_id = fields.take(MODEL_ID_BYTES) if flags & _HAS_MODEL_ID else b""
        embedded_bytes = _unpack_embedded_bytes(fields) if flags & _HAS_EMBEDDED_MODEL else 0
        several, early = bool(flags & _HAS_GROUPS), bool(flags & _ENDS_EARLY)
        groups = unpack_groups(fields, extent, several=several, early=early)
        sequence = bool(flags & _IS_SEQUENCE)
        header = Header(extent, source, model_id, groups, embedded_bytes, sequence, members)
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
