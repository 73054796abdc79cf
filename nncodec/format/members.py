"""The members of a container <-> bytes: the code files, or arrays, whose pictures it holds.

FORMAT.md, section 3.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from nncodec.errors import BitstreamError, CodesError
from nncodec.format.fields import DAMAGED, Fields, inflate, varint
from nncodec.format.limits import MAX_MEMBER_NAME_BYTES, MAX_MEMBERS, MAX_MEMBERS_BYTES
from nncodec.format.source import Source
from nncodec.format.source_fields import pack_source, unpack_source


@dataclass(frozen=True, slots=True)
class Member:
    """A code file in a container, or an array.

    Attributes:
        pictures: how many each of its code arrays has; they follow those of the members before.
        source: what it was made from, with as many arrays.
        name: a path below some folder, its parts joined by "/"; or empty.

    Raises:
        CodesError: an array has no pictures, or the name leads out of the folder.
    """

    pictures: tuple[int, ...]
    source: Source
    name: str = ""

    def __post_init__(self) -> None:
        if len(self.pictures) != len(self.source.arrays) or min(self.pictures) < 1:
            counts = ", ".join(map(str, self.pictures))
            raise CodesError(f"a member cannot have {counts} pictures")
        if self.name and not member_name_fits(self.name):
            raise CodesError(f"no member can be named {self.name!a}")


def member_name_fits(name: str) -> bool:
    """Whether a name leads to a file below a folder, wherever that is, and is not too long."""
    encoded = name.encode("utf-8", "replace")
    return (
        len(encoded) <= MAX_MEMBER_NAME_BYTES
        and encoded.decode() == name
        and "\0" not in name
        and "\\" not in name
        and all(part not in ("", ".", "..") for part in name.split("/"))
    )


def check_members(members: Sequence[Member], pictures: int) -> None:
    """Refuses members that have not these pictures, or of which two have one name.

    Raises:
        CodesError: so it is, or there are too many.
    """
    if len(members) > MAX_MEMBERS:
        raise CodesError(f"{len(members)} members are above the limit of {MAX_MEMBERS}")
    held = sum(sum(member.pictures) for member in members)
    if held != pictures:
        raise CodesError(f"the members hold {held} pictures, not {pictures}")
    names = [member.name for member in members if member.name]
    known = set(names)
    if names and len(known) != len(members):
        raise CodesError("two members have one name, or some have none")
    for name in names:
        folder, _, last = name.rpartition("/")
        while folder and last:
            if folder in known:
                raise CodesError(f"the member {folder!a} is a file, and the folder of {name!a}")
            folder, _, last = folder.rpartition("/")


def pack_members(members: Sequence[Member]) -> bytes:
    """Packs members into their field of a header: names and sources resemble each other."""
    numbers: dict[Source, int] = {}  # most sources are equal
    for member in members:
        numbers.setdefault(member.source, len(numbers))
    unpacked = bytearray(varint(len(numbers)))
    for source in numbers:
        unpacked += pack_source(source)
    for member in members:
        name = member.name.encode()
        unpacked += varint(numbers[member.source])
        for count in member.pictures:
            unpacked += varint(count)
        unpacked += varint(len(name)) + name
    if len(unpacked) > MAX_MEMBERS_BYTES:
        raise CodesError(
            f"the members' names take {len(unpacked)} bytes, above the limit of "
            f"{MAX_MEMBERS_BYTES}; put fewer files into a container"
        )
    packed = zlib.compress(bytes(unpacked), 9)
    return varint(len(packed)) + packed


def unpack_members(fields: Fields) -> tuple[Member, ...]:
    """Undoes `pack_members`.

    Raises:
        BitstreamError: the field is not what `pack_members` gives, or its source is none.
        CodesError: no member can be like that, or there are too many.
    """
    packed = fields.take(fields.varint())
    rest = Fields(inflate(packed, MAX_MEMBERS_BYTES, "the field of the members"))
    sources: list[Source] = []
    count = rest.varint()
    while len(sources) < min(count, MAX_MEMBERS):
        sources.append(unpack_source(rest))
    members: list[Member] = []
    used = 0
    while rest.rest:
        if len(members) == MAX_MEMBERS:
            raise CodesError(f"more than {MAX_MEMBERS} members are above the limit")
        number = rest.varint()
        if number > used or number >= len(sources):
            raise BitstreamError(f"the sources of members are not in order; {DAMAGED}")
        used = max(used, number + 1)
        pictures = tuple(rest.varint() for _ in sources[number].arrays)
        members.append(Member(pictures, sources[number], rest.text(MAX_MEMBER_NAME_BYTES)))
    if used < count or len(set(sources)) < count:
        raise BitstreamError(f"members have other sources than they should; {DAMAGED}")
    return tuple(members)
