"""Reports of containers of several members."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction
from typing import Any

from nncodec.commands.reports import (
    counted,
    coverage_line,
    frames,
    model_text,
    rate_of,
    shapes_text,
    table,
)
from nncodec.format.container import packed_bytes
from nncodec.format.header import VERSION, Header, pack_header

NAMED = 5
"""How many names a line has at most."""


def member_bytes(header: Header) -> list[float]:
    """Gives the payload bytes of each member: its share of those of its groups, by its positions.

    How its bits cost is not known from the header: pictures that are coded together share.
    """
    return _bytes(header, [sum(member.pictures) for member in header.members])


def member_bits(header: Header) -> list[int | None]:
    """Gives the code bits of each member, where positions end early those that are coded.

    None where that is not known: a member shares a group in which positions end early.
    """
    return _bits(header, [sum(member.pictures) for member in header.members])


def bytes_read(header: Header, members: Collection[int], layers: int) -> int:
    """Counts the bytes of a container that its first layers of some members are decoded from."""
    pictures = [sum(member.pictures) for member in header.members]
    groups = {group for owner, group, _ in _pieces(header, pictures) if owner in members}
    payloads = sum(
        segment.byte_length
        for group in groups
        for segment, those in zip(
            header.groups[group].segments, header.groups[group].segment_layers(), strict=True
        )
        if those.start < layers
    )
    return len(pack_header(header)) + header.embedded_bytes + payloads


def _bits(header: Header, pictures: Sequence[int]) -> list[int | None]:
    """Gives the same of owners of so many pictures each: members, or arrays."""
    bits: list[int | None] = [0] * len(pictures)
    parts = zip(header.groups, header.group_extents(), strict=True)
    counts = [group.coded_bits(part) for group, part in parts]
    for owner, number, share in _pieces(header, pictures):
        known = share == 1 or not any(header.groups[number].decisions or ())
        before = bits[owner]
        bits[owner] = before + int(share * counts[number]) if known and before is not None else None
    return bits


def _bytes(header: Header, pictures: Sequence[int]) -> list[float]:
    """Gives the same of owners of so many pictures each: members, or arrays."""
    sizes = [0.0] * len(pictures)
    for owner, number, share in _pieces(header, pictures):
        sizes[owner] += float(share * header.groups[number].byte_length)
    return sizes


def _pieces(header: Header, pictures: Sequence[int]) -> Iterator[tuple[int, int, Fraction]]:
    """Gives the pieces into which groups cut what owners of so many pictures have.

    Yields:
        The numbers of the owner and of the group, and which part of its positions a piece has.
    """
    counts, owners, groups = [], [], []
    ends = itertools.accumulate(pictures)
    number, owner_end, begin, end = 0, next(ends), 0, 0
    for group_number, group in enumerate(header.groups):
        end += group.pictures
        while begin < end:
            last = min(end, owner_end)
            counts.append(last - begin)
            owners.append(number)
            groups.append(group_number)
            if last == owner_end:
                number, owner_end = number + 1, next(ends, 0)
            begin = last
    positions = [extent.positions for extent in header.group_extents()]
    for owner, group_number, piece in zip(owners, groups, header.extent.cut(counts), strict=True):
        yield owner, group_number, Fraction(piece.positions, positions[group_number])


def member_facts(header: Header) -> dict[str, Any]:
    """Gives what --json prints of groups and members, beside what it prints of any container.

    Bits and rate of a member are null where they are not known (`member_bits`).
    """
    rows = zip(
        header.members,
        header.member_extents(),
        member_bytes(header),
        member_bits(header),
        strict=True,
    )
    members = [
        {
            "name": member.name or None,
            "shapes": [list(extent.shape) for extent in extents],
            "input_bits": bits,
            "output_bytes": round(size, 1),
            "rate": None if bits is None else rate_of(8 * size, bits),
        }
        for member, extents, size, bits in rows
    ]
    return {"groups": [group.pictures for group in header.groups], "members": members}


def lost_text(header: Header, names: Sequence[str], damaged: Sequence[int], there: int) -> str:
    """Says which groups of a container are not whole, which files are lost, and what can be done.

    Args:
        header: of the container.
        names: of its files.
        damaged: the numbers of groups, from 0.
        there: how many groups, from the first, the file has.
    """
    count = len(header.groups)
    causes = []
    if damaged:
        numbers = some_of([str(number) for number in damaged])
        one = len(damaged) == 1
        causes.append(f"group {numbers} is damaged" if one else f"groups {numbers} are damaged")
    if there < count:
        causes.append(f"the file ends early, only {there} of its {count} groups are whole")
    pictures = [sum(member.pictures) for member in header.members]
    not_whole = {*damaged, *range(there, count)}
    lost = sorted({owner for owner, group, _ in _pieces(header, pictures) if group in not_whole})
    if len(lost) == len(names):
        return f"{' and '.join(causes)}; no file is whole, get another copy"
    them = some_of([names[number] for number in lost])
    return (
        f"{' and '.join(causes)}: {them} cannot be restored; decompress --partial restores the "
        "others, or get another copy"
    )


def some_of(names: Sequence[str]) -> str:
    """Lists the first of some names, and says how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def solid_line(label: str, header: Header, size: int, model: str) -> str:
    """Says in a line what became of files that were compressed together."""
    files, groups = counted(len(header.members), "file"), counted(len(header.groups), "group")
    return (
        f"{label}: {files} of {header.coded_bits} bits -> {size} bytes, rate "
        f"{rate_of(8 * size, header.coded_bits):.4f} ({groups}, model {model})"
    )


def members_text(label: str, header: Header, model: str, names: Sequence[str]) -> str:
    """Describes a container of members by its header.

    Args:
        label: its name.
        header: what it says of itself.
        model: what its model is called here.
        names: of its files, by which they can be asked for; none if it holds one file.
    """
    size, rows = packed_bytes(header), _array_rows(header, names)
    arrays = [one for member in header.members for one in member.source.arrays]
    held = counted(len(names), "file") if names else f"{counted(len(arrays), 'array')} of one file"
    pictures = [group.pictures for group in header.groups]
    most = f"{counted(max(pictures), 'picture')}" + (" at most" if len(set(pictures)) > 1 else "")
    unknown = ""
    if any(row["rate"] == "?" for row in rows):
        unknown = (
            " How many of the bits of a group are whose is not stored where positions end early."
        )
    return (
        f"{label}: nncodec container, version {VERSION}\n"
        f"  holds   {held}, {counted(header.extent.pictures, 'picture')}{frames(header)}\n"
        f"  groups  {len(pictures)}, of {most}; each is decoded apart\n"
        f"  model   {model_text(header, model)}\n"
        f"{coverage_line(header)}"
        f"  size    {header.coded_bits} bits -> {size} bytes, "
        f"rate {rate_of(8 * size, header.coded_bits):.4f}\n"
        f"  memory  at most {header.memory_bound / 1e6:.0f} MB to decode a group\n"
        f"{table(rows)}\n"
        f"What {'a file' if names else 'an array'} takes is its share of the bytes of its groups, "
        f"by its positions.{unknown}"
    )


def _array_rows(header: Header, names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a table, one for each array of each file."""
    pictures = [count for member in header.members for count in member.pictures]
    sizes, bits = iter(_bytes(header, pictures)), iter(_bits(header, pictures))
    rows, extents = [], iter(header.array_extents)
    for number, member in enumerate(header.members):
        for source in member.source.arrays:
            title = [names[number]] if names else []
            title += [source.array_names[0]] if len(member.pictures) > 1 else []
            size, count = next(sizes), next(bits)
            row: dict[str, Any] = {"file" if names else "array": ": ".join(title)}
            row |= {"codes": shapes_text([next(extents).shape])}
            row |= {"bits": "?" if count is None else count, "bytes": size}
            rows.append({**row, "rate": "?" if count is None else rate_of(8 * size, count)})
    return rows
