"""Reports of containers of several members."""

import itertools
from collections.abc import Iterator
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
from nncodec.format.header import VERSION, Header


def member_bytes(header: Header) -> list[float]:
    """Gives the payload bytes of each member: its share of those of its groups, by its positions.

    How its bits cost is not known from the header: pictures that are coded together share.
    """
    sizes = [0.0] * len(header.members)
    for owner, number, share in _pieces(header):
        sizes[owner] += float(share * header.groups[number].byte_length)
    return sizes


def member_bits(header: Header) -> list[int | None]:
    """Gives the code bits of each member, where positions end early those that are coded.

    None where that is not known: a member shares a group in which positions end early.
    """
    bits: list[int | None] = [0] * len(header.members)
    parts = zip(header.groups, header.group_extents(), strict=True)
    counts = [group.coded_bits(part) for group, part in parts]
    for owner, number, share in _pieces(header):
        known = share == 1 or not any(header.groups[number].decisions or ())
        before = bits[owner]
        bits[owner] = before + int(share * counts[number]) if known and before is not None else None
    return bits


def _pieces(header: Header) -> Iterator[tuple[int, int, Fraction]]:
    """Gives the pieces into which groups cut members.

    Yields:
        The numbers of the member and of the group, and which part of its positions a piece has.
    """
    counts, owners, groups = [], [], []
    ends = itertools.accumulate(sum(member.pictures) for member in header.members)
    number, member_end, begin, end = 0, next(ends), 0, 0
    for group_number, group in enumerate(header.groups):
        end += group.pictures
        while begin < end:
            last = min(end, member_end)
            counts.append(last - begin)
            owners.append(number)
            groups.append(group_number)
            if last == member_end:
                number, member_end = number + 1, next(ends, 0)
            begin = last
    positions = [extent.positions for extent in header.group_extents()]
    for owner, group_number, piece in zip(owners, groups, header.extent.cut(counts), strict=True):
        share = Fraction(piece.positions, positions[group_number])
        yield owner, group_number, share


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


def solid_line(label: str, header: Header, size: int, model: str) -> str:
    """Says in a line what became of files that were compressed together."""
    files, groups = counted(len(header.members), "file"), counted(len(header.groups), "group")
    return (
        f"{label}: {files} of {header.coded_bits} bits -> {size} bytes, rate "
        f"{rate_of(8 * size, header.coded_bits):.4f} ({groups}, model {model})"
    )


def members_text(label: str, header: Header, model: str) -> str:
    """Describes a container of members by its header, and names its model as it is called here."""
    facts = member_facts(header)
    size = packed_bytes(header)
    rows = [
        {
            "file": row["name"] or _arrays_text(header, number),
            "codes": shapes_text(row["shapes"]),
            "bits": "?" if row["input_bits"] is None else row["input_bits"],
            "bytes": row["output_bytes"],
            "rate": "?" if row["rate"] is None else row["rate"],
        }
        for number, row in enumerate(facts["members"])
    ]
    pictures = [group.pictures for group in header.groups]
    unknown = ""
    if any(row["rate"] is None for row in facts["members"]):
        unknown = (
            " How many of the bits of a group are whose is not stored where positions end early."
        )
    most = f"{counted(max(pictures), 'picture')}" + (" at most" if len(set(pictures)) > 1 else "")
    return (
        f"{label}: nncodec container, version {VERSION}\n"
        f"  holds   {counted(len(header.members), 'file')}, "
        f"{counted(header.extent.pictures, 'picture')}{frames(header)}\n"
        f"  groups  {len(pictures)}, of {most}; each is decoded apart\n"
        f"  model   {model_text(header, model)}\n"
        f"{coverage_line(header)}"
        f"  size    {header.coded_bits} bits -> {size} bytes, "
        f"rate {rate_of(8 * size, header.coded_bits):.4f}\n"
        f"  memory  at most {header.memory_bound / 1e6:.0f} MB to decode a group\n"
        f"{table(rows)}\n"
        f"What a file takes is its share of the bytes of its groups, by its positions.{unknown}"
    )


def _arrays_text(header: Header, number: int) -> str:
    """Names the arrays of a member without a name, or its number where they have none."""
    names = [one.array_names[0] for one in header.members[number].source.arrays]
    return ", ".join(names) if all(names) else str(number)
