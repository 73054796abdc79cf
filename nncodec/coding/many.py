"""Many code tensors <-> one container: members, of which groups of pictures are made.

A group is filled with the pictures of one member after another. Only as many groups are in memory
as are worked on side by side, so that there may be any number of members.
"""

import bisect
import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nncodec.coding.codec import Encoded, decode_parts, encoded_of
from nncodec.coding.groups import CodedGroup, encode_group, map_groups
from nncodec.coding.threads import ONE_THREAD, Threads
from nncodec.errors import CodesError
from nncodec.format.code_tensor import Codes
from nncodec.format.container import ContainerReader
from nncodec.format.extent import Extent
from nncodec.format.header import Header
from nncodec.format.limits import MAX_BITS, MAX_GROUPS, MAX_POSITIONS
from nncodec.format.members import Member
from nncodec.format.source import Source
from nncodec.model.model import Model

GROUP_POSITIONS = 1 << 14
"""Pictures are coded together until they have so many positions, where nobody says how many shall.
From there on the model has learned most of what it can: all pictures together take 0 to 0.5 % less,
but each group more is one that another thread can decode, and less to decode for one picture."""


@dataclass(frozen=True)
class Coding:
    """How members are put into a container.

    Attributes:
        model: what to predict with; None for the adaptive stage alone.
        embedded: the model, as it shall lie in the container.
        sequence: whether the pictures are frames, each predicted from those before in its group.
        group: how many pictures a group has, the last perhaps fewer; 0 for all; None for as many
            as have GROUP_POSITIONS. One that would be above a limit of the format has fewer.
    """

    model: Model | None = None
    embedded: bytes = b""
    sequence: bool = False
    group: int | None = None


def encode_members(
    members: Iterable[tuple[Member, Sequence[Codes]]],
    coding: Coding,
    threads: Threads = ONE_THREAD,
) -> Encoded:
    """Compresses code tensors into one container.

    Args:
        members: what each is, and the code tensors of its arrays: uint8 {0, 1}, [layers, batch,
            height, width, layer_depth], all of the same layers and depth; they are taken as they
            are needed, and then let go.
        coding: how.
        threads: that work side by side; what they make is the same for any number.

    Raises:
        CodesError: there are none, or they differ in layers or depth; a picture is above a limit.
        ModelError: the model does not fit the codes.
    """
    kept: list[Member] = []

    def taken() -> Iterator[Codes]:
        first: tuple[int, int] | None = None
        for member, tensors in members:
            for codes, source in zip(tensors, member.source.arrays, strict=True):
                layers, *_, channels = codes.shape
                first = first or (layers, channels)
                if (layers, channels) != first:
                    name = member.name or source.array_names[0] or f"array {len(kept)}"
                    raise CodesError(
                        f"{name}: has {layers} layers of {channels} bits, the first {first[0]} of "
                        f"{first[1]}; name the axes, or put it into another container"
                    )
                yield codes
            kept.append(member)

    extent, coded = _encode(taken(), coding, threads)
    return _contained(coded, coding, extent, Source(), tuple(kept))


def encode_file(
    tensors: Sequence[Codes], source: Source, coding: Coding, threads: Threads = ONE_THREAD
) -> Encoded:
    """Compresses the code tensors of one file.

    Args:
        tensors: as many as the source has arrays; as for `encode_members`.
        source: what the file was.
        coding, threads: as for `encode_members`.

    Raises:
        CodesError, ModelError: as for `encode_members`.
    """
    if len(tensors) > 1:
        member = Member(tuple(codes.shape[1] for codes in tensors), source)
        return encode_members([(member, tensors)], coding, threads)
    extent, coded = _encode(tensors, coding, threads)
    return _contained(coded, coding, extent, source, ())


def _encode(
    tensors: Iterable[Codes], coding: Coding, threads: Threads
) -> tuple[Extent, list[CodedGroup]]:
    """Encodes tensors in groups; gives the sizes of all."""
    shapes: list[Sequence[int]] = []

    def noted() -> Iterator[Codes]:
        for codes in tensors:
            shapes.append(codes.shape)
            yield codes

    def encode(some: list[Codes], who: Threads) -> CodedGroup:
        extent = Extent.of_shapes(codes.shape for codes in some)
        together = _joined(some)
        return encode_group(together, extent, coding.model, sequence=coding.sequence, threads=who)

    coded = list(map_groups(encode, _grouped(noted(), coding.group), threads))
    return Extent.of_shapes(shapes), coded


def _contained(
    coded: list[CodedGroup],
    coding: Coding,
    extent: Extent,
    source: Source,
    members: tuple[Member, ...],
) -> Encoded:
    header = Header(
        extent,
        source,
        coding.model.model_id if coding.model else b"",
        tuple(one.group for one in coded),
        len(coding.embedded),
        coding.sequence,
        members,
    )
    return encoded_of(header, coded, coding.embedded)


def decode_members(
    reader: ContainerReader,
    *,
    model: Model | None = None,
    only: Collection[int] | None = None,
    partial: bool = False,
    threads: Threads = ONE_THREAD,
) -> Iterator[tuple[int, list[Codes]]]:
    """Decodes the members of a container one after another.

    Args:
        reader, model, partial, threads: as for `decode_arrays`.
        only: the numbers of the members that are wanted; all by default.

    Yields:
        The number of a member, and the code tensors of its arrays.

    Raises:
        BitstreamError, ModelError: as for `decode_arrays`.
    """
    members = reader.header.members
    counts = [len(member.pictures) for member in members] or [1]
    starts = [0, *itertools.accumulate(counts)]
    wanted = range(len(counts)) if only is None else only
    arrays = [number for one in wanted for number in range(starts[one], starts[one + 1])]
    tensors: dict[int, list[Codes]] = {}
    for array, codes in decode_arrays(
        reader,
        model=model,
        only=None if only is None else arrays,
        partial=partial,
        threads=threads,
    ):
        number = bisect.bisect_right(starts, array) - 1
        found = tensors.setdefault(number, [])
        found.append(codes)
        if len(found) == counts[number]:
            yield number, tensors.pop(number)


def decode_arrays(
    reader: ContainerReader,
    *,
    model: Model | None = None,
    only: Collection[int] | None = None,
    partial: bool = False,
    threads: Threads = ONE_THREAD,
) -> Iterator[tuple[int, Codes]]:
    """Decodes the code arrays of a container one after another, those of one member after another.

    Args:
        reader: of the container, of which nothing but the header was read.
        model: the one that its header names.
        only: the numbers of the arrays that are wanted; all by default.
        partial: leave out the arrays that the file has not whole, rather than to raise an error.
        threads: that work side by side.

    Yields:
        The number of an array, and uint8 {0, 1}, [layers that were asked for, batch, height,
        width, layer_depth].

    Raises:
        BitstreamError: as for `ContainerReader.parts` and `decode_parts`.
        ModelError: as for `decode_parts`.
    """
    header = reader.header
    extents = header.array_extents
    ends = list(itertools.accumulate(extent.pictures for extent in extents))
    wanted = set(range(len(extents)) if only is None else only)
    groups = None if only is None else set(_groups_of(header, sorted(wanted), extents))
    parts = reader.parts(partial=partial, groups=groups)
    starts = [0, *itertools.accumulate(group.pictures for group in header.groups)]
    pieces: list[Codes] = []
    for group, codes in decode_parts(header, parts, model=model, partial=partial, threads=threads):
        begin, end = starts[group : group + 2]
        at, number = 0, bisect.bisect_right(ends, begin)
        while begin < end:
            extent, last = extents[number], min(end, ends[number])
            _, batch, *sizes = extent.shape
            bits = (last - begin) * math.prod(sizes)
            if begin == ends[number] - batch:
                pieces = []
            if codes is not None and number in wanted:
                piece = codes[: reader.wanted, at : at + bits]
                pieces.append(piece.reshape(len(piece), last - begin, *sizes))
            if last == ends[number] and sum(piece.shape[1] for piece in pieces) == batch:
                yield number, pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)
                pieces = []
            at, begin, number = at + bits, last, number + 1


def _groups_of(header: Header, arrays: Sequence[int], extents: Sequence[Extent]) -> Iterator[int]:
    """The groups in which the pictures of some arrays lie."""
    ends = list(itertools.accumulate(extent.pictures for extent in extents))
    group_ends = list(itertools.accumulate(group.pictures for group in header.groups))
    for number in arrays:
        first, last = ends[number] - extents[number].pictures, ends[number] - 1
        begin, end = (bisect.bisect_right(group_ends, picture) for picture in (first, last))
        yield from range(begin, end + 1)


def _grouped(tensors: Iterable[Codes], most: int | None) -> Iterator[list[Codes]]:
    """Cuts the pictures of some tensors into groups, so that each is as large as it may be.

    Args:
        tensors: one after another, of the same layers and channels.
        most: the pictures that a group has; as in `Coding`.
    """
    group: list[Codes] = []
    groups = pictures = positions = 0
    for codes in tensors:
        layers, batch, height, width, channels = codes.shape
        begin, each = 0, height * width
        while begin < batch:
            room = min(MAX_POSITIONS, MAX_BITS // (layers * channels)) - positions
            count = min(batch - begin, room // each)
            if most is None:
                count = min(count, math.ceil((GROUP_POSITIONS - positions) / each))
            elif most:
                count = min(count, most - pictures)
            if count < 1 and group:
                yield group
                groups += 1
                if groups >= MAX_GROUPS:
                    raise CodesError(
                        f"the pictures need more groups than the limit of {MAX_GROUPS}; use larger "
                        "ones, or several containers"
                    )
                group, pictures, positions = [], 0, 0
                continue
            count = max(1, count)  # where one is above a limit, that is found out later
            group.append(codes[:, begin : begin + count])
            begin, pictures = begin + count, pictures + count
            positions += count * each
    if group:
        yield group


def _joined(tensors: Sequence[Codes]) -> Codes:
    """The bits of a layer of some tensors one after another, [layers, bits of a layer]."""
    return np.concatenate([codes.reshape(len(codes), -1) for codes in tensors], axis=1)
