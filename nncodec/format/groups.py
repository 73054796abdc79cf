"""The groups of a container <-> bytes: pictures that are coded together, and their segments.

FORMAT.md, section 3.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from nncodec.errors import BitstreamError, CodesError
from nncodec.format.extent import Extent
from nncodec.format.fields import DAMAGED, Fields, varint
from nncodec.format.limits import MAX_GROUPS, check_limits

MAX_BITS_PER_PAYLOAD_BYTE = 1 << 19
"""A tiny file cannot claim a huge tensor: no frequency is above 65535 / 65536, so a code bit costs
at least 2.2e-5 bits, and a payload byte holds at most 363,400 of them (8 bytes are slack)."""

MAX_PAYLOAD_BYTES_PER_BIT = 4
"""No frequency is below 1 / 65536, so a code bit costs at most 2 bytes (16 bytes are slack)."""

_LEAST_GROUP_BYTES = 6
"""A group takes as many bytes of a header at least; one, where its positions may have no layer."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Some adjacent layers of a code tensor, and what is known of their payload.

    Attributes:
        layers: how many it has; they follow those of the segments before.
        stored: whether the payload is the bits, packed in the order of the tensor; if some position
            has not all of its layers, whether all bits are coded at the frequency 1/2.
        byte_length: bytes of the payload.
        checksum: CRC-32 of the decoded bits, packed in the order of the tensor, continued over the
            payload: some of a payload's bits decide nothing, and their damage must show too.
    """

    layers: int
    stored: bool
    byte_length: int
    checksum: int


@dataclass(frozen=True, slots=True)
class Group:
    """Some adjacent pictures that are coded together, and apart from all others.

    Attributes:
        pictures: how many it has; they follow those of the groups before.
        segments: of all layers that it has, in order.
        decisions: for each layer that any of its positions has, whether some end right before it;
            None where every position has all layers.
        held: how many layers its positions have, summed up, if some have not all of these; else 0.
    """

    pictures: int
    segments: tuple[Segment, ...]
    decisions: tuple[bool, ...] | None = None
    held: int = 0

    @property
    def whole_layers(self) -> int:
        """How many layers, from the first, all positions have."""
        if self.decisions is None:
            return sum(segment.layers for segment in self.segments)
        return [*self.decisions, True].index(True)

    def coded_bits(self, extent: Extent) -> int:
        """How many bits it codes, if its sizes are these."""
        layers = sum(segment.layers for segment in self.segments)
        return (self.held or layers * extent.positions) * extent.channels

    @property
    def byte_length(self) -> int:
        """The bytes of its payloads."""
        return sum(segment.byte_length for segment in self.segments)

    def segment_layers(self) -> list[range]:
        """Gives the layers of each segment."""
        ends = itertools.accumulate(segment.layers for segment in self.segments)
        return [
            range(end - segment.layers, end)
            for segment, end in zip(self.segments, ends, strict=True)
        ]


def end_early(groups: Sequence[Group]) -> bool:
    """Whether positions of any group do."""
    return any(group.decisions is not None for group in groups)


def pack_groups(groups: Sequence[Group]) -> bytes:
    """Packs groups into their fields of a header: how many pictures they have, their segments."""
    early = end_early(groups)
    fields = bytearray()
    if len(groups) > 1:
        for pictures, equal in itertools.groupby(group.pictures for group in groups):
            fields += varint(len(list(equal))) + varint(pictures)
    for group in groups:
        if early:
            fields += _pack_decisions(group.decisions)
        if any(group.decisions or ()):
            fields += varint(group.held)
        for segment in group.segments:
            fields += varint(segment.layers << 1 | segment.stored) + varint(segment.byte_length)
            fields += segment.checksum.to_bytes(4, "little")
    return bytes(fields)


def unpack_groups(
    fields: Fields, extent: Extent, *, several: bool, early: bool
) -> tuple[Group, ...]:
    """Undoes `pack_groups`.

    Args:
        fields: of the header.
        extent: of all codes.
        several: whether there is more than one.
        early: whether positions end early in some of them.

    Raises:
        BitstreamError: the fields are not what `pack_groups` gives.
    """
    counts = [extent.pictures]
    if several:
        counts = _unpack_counts(fields, extent.pictures, early)
    groups = []
    for count in counts:
        decisions = _unpack_decisions(fields, extent.layers) if early else None
        held = fields.varint() if any(decisions or ()) else 0
        layers = extent.layers if decisions is None else len(decisions)
        groups.append(Group(count, _unpack_segments(fields, layers), decisions, held))
    if early and not end_early(groups):
        raise BitstreamError(f"positions are flagged to end early, and none does; {DAMAGED}")
    return tuple(groups)


def _pack_decisions(decisions: Sequence[bool] | None) -> bytes:
    """Packs how many layers there are, and how many in turn have no decisions, and have some.

    The number of layers is one more than it is, so that 0 stands for all, without any decision.
    """
    if decisions is None:
        return varint(0)
    fields = bytearray(varint(len(decisions) + 1))
    if decisions and decisions[0]:
        fields += varint(0)
    for _, alike in itertools.groupby(decisions):
        fields += varint(len(list(alike)))
    return bytes(fields)


def _unpack_decisions(fields: Fields, most: int) -> tuple[bool, ...] | None:
    layers = fields.varint() - 1
    if layers < 0:
        return None
    if layers > most:
        raise BitstreamError(f"positions have {layers} layers, not at most {most}; {DAMAGED}")
    decisions: list[bool] = []
    decided = False
    while len(decisions) < layers:
        count = fields.varint()
        if count > layers - len(decisions) or not (count or not (decisions or decided)):
            raise BitstreamError(f"layers are not counted in the one way allowed; {DAMAGED}")
        decisions += [decided] * count
        decided = not decided
    return tuple(decisions)


def check_groups(groups: Sequence[Group], extent: Extent) -> None:
    """Refuses groups that have not these pictures and layers, or are above a limit.

    Raises:
        CodesError: so it is.
    """
    if len(groups) > MAX_GROUPS:
        raise CodesError(f"{len(groups)} groups are above the limit of {MAX_GROUPS}")
    held = sum(group.pictures for group in groups)
    if held != extent.pictures:
        raise CodesError(f"the groups hold {held} pictures, not {extent.pictures}")
    parts = extent.cut(group.pictures for group in groups)
    for number, (group, part) in enumerate(zip(groups, parts, strict=True)):
        check_limits(part)
        where = f" of group {number}" if len(groups) > 1 else ""
        _check_layers(group, part, where)
        whole = group.whole_layers
        for index, (segment, layers) in enumerate(
            zip(group.segments, group.segment_layers(), strict=True)
        ):
            what = f"segment {index}{where}"
            least_number = min(segment.layers - 1, segment.byte_length, segment.checksum)
            if least_number < 0 or segment.checksum >> 32:
                raise CodesError(f"{what} cannot be {segment}")
            least, most = _bits_of_segment(group, whole, layers, part)
            if segment.stored and layers.stop <= whole:
                if segment.byte_length != (most + 7) // 8:
                    raise CodesError(f"{what} stores {most} bits in {segment.byte_length} bytes")
            else:
                _check_length(segment.byte_length, least, most, what)


def _unpack_counts(fields: Fields, pictures: int, early: bool) -> list[int]:
    """How many pictures each group has."""
    counts: list[int] = []
    least = 1 if early else _LEAST_GROUP_BYTES
    held, before = 0, 0
    while held < pictures:
        groups, each = fields.varint(), fields.varint()
        if not groups or not each or each == before:
            raise BitstreamError(f"groups are not counted in the one way allowed; {DAMAGED}")
        if len(counts) + groups > fields.rest // least:
            raise BitstreamError(f"the header claims more groups than it can have; {DAMAGED}")
        if len(counts) + groups > MAX_GROUPS:  # before memory is taken for them
            raise CodesError(f"{len(counts) + groups} groups are above the limit of {MAX_GROUPS}")
        counts += [each] * groups
        held, before = held + groups * each, each
    if len(counts) < 2:
        raise BitstreamError(f"the file is flagged to have groups, and has one; {DAMAGED}")
    return counts


def _unpack_segments(fields: Fields, layers: int) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    covered = 0
    while covered < layers:
        head, byte_length = fields.varint(), fields.varint()
        segments.append(Segment(head >> 1, bool(head & 1), byte_length, fields.checksum()))
        covered += head >> 1
    return tuple(segments)


def least_bytes(bits: int) -> int:
    """Gives the fewest bytes of a coded payload of so many bits: zeros fill it up to these."""
    return max(0, -(-bits // MAX_BITS_PER_PAYLOAD_BYTE) - 8)


def _check_layers(group: Group, extent: Extent, where: str) -> None:
    layers = extent.layers
    if group.decisions is not None:
        if len(group.decisions) > layers:
            raise CodesError(f"positions{where} have {len(group.decisions)} layers, not {layers}")
        layers, least, most = len(group.decisions), 0, 0
        if any(group.decisions):  # some position has all of these
            least = group.whole_layers * (extent.positions - 1) + layers
            most = layers * extent.positions
        if not least <= group.held <= most:
            raise CodesError(f"positions{where} cannot have {group.held} layers in all")
    covered = sum(segment.layers for segment in group.segments)
    if covered != layers:
        raise CodesError(f"the segments{where} hold {covered} layers, not {layers}")


def _bits_of_segment(group: Group, whole: int, layers: range, extent: Extent) -> tuple[int, int]:
    """How many bits and decisions a segment has at least, and at most.

    Args:
        group: that it is of.
        whole: how many whole layers that has, counted once for all of its segments.
        layers: of the segment.
        extent: of the group.
    """
    decisions = group.decisions or ()
    of_whole = max(0, min(whole, layers.stop) - layers.start)
    least = of_whole * extent.bits_per_layer + (whole in layers) * extent.positions
    most = len(layers) * extent.bits_per_layer
    return least, most + sum(decisions[layers.start : layers.stop]) * extent.positions


def _check_length(length: int, least: int, most: int, what: str) -> None:
    """Refuses a payload of the range coder that cannot be one of so many bits."""
    if length < least_bytes(least):
        raise CodesError(f"{what} claims {least} bits, more than its {length} bytes can hold")
    if length > MAX_PAYLOAD_BYTES_PER_BIT * most + 16:
        raise CodesError(f"{what} claims {length} bytes, more than its {most} bits can need")
