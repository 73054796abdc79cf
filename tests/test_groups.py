"""Containers of several groups, sizes and members: headers, what is read, a message each."""

import dataclasses
import io
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncodec.errors import BitstreamError, CodesError, TruncatedError
from nncodec.format.container import Container, Part, pack, read_container
from nncodec.format.extent import Extent, Run
from nncodec.format.fields import varint
from nncodec.format.groups import Group, Segment
from nncodec.format.header import Header, pack_header, unpack_header
from nncodec.format.limits import MAX_GROUPS, MAX_MEMBERS, MAX_MEMBERS_BYTES, MAX_PICTURES
from nncodec.format.members import Member
from nncodec.format.source import Source
from tests.forged import framed
from tests.sources import sources
from tests.test_container import Counting

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\\"), max_size=9)
SEGMENT = b"\x03\x01\x07\x00\x00\x00"
"""One bit in one layer, stored."""


def stored_segments(layers: int, bits: int, split: int) -> tuple[Segment, ...]:
    """Segments of so many layers each, all stored."""
    counts = [min(split, layers - first) for first in range(0, layers, split)]
    return tuple(Segment(count, True, (count * bits + 7) // 8, count) for count in counts)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    layers, channels = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    sizes = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
    shapes = [(layers, *size, channels) for size in draw(st.lists(sizes, min_size=1, max_size=6))]
    extent = Extent.of_shapes(shapes)
    counts, left = [], extent.pictures
    while left:
        counts.append(draw(st.integers(1, left)))
        left -= counts[-1]
    split = draw(st.integers(1, layers))
    groups = tuple(
        Group(part.pictures, stored_segments(layers, part.bits_per_layer, split))
        for part in extent.cut(counts)
    )
    members: tuple[Member, ...] = ()
    source = Source()
    if len(extent.runs) > 1 or draw(st.booleans()):
        named = draw(st.booleans())
        members = tuple(
            Member(
                (shape[1],),
                draw(sources(shape)),
                f"of {draw(NAMES).replace('/', '')}/{number}.npy" if named else "",
            )
            for number, shape in enumerate(shapes)
        )
    model_id = draw(st.sampled_from([b"", b"modelid8"]))
    return Header(extent, source, model_id, groups, 0, draw(st.booleans()), members)


def payloads_of(header: Header) -> list[Part]:
    return [
        Part(number, [bytes([number % 251]) * one.byte_length for one in group.segments])
        for number, group in enumerate(header.groups)
    ]


def container(sizes: Sequence[tuple[int, int, int]], counts: Sequence[int]) -> Container:
    """Two layers of stored bits, a segment each, of pictures and groups of these sizes."""
    shapes = [(2, *size, 3) for size in sizes]
    extent = Extent.of_shapes(shapes)
    groups = tuple(
        Group(part.pictures, stored_segments(2, part.bits_per_layer, 1))
        for part in extent.cut(counts)
    )
    members = tuple(Member((size[0],), Source()) for size in sizes)
    header = Header(extent, Source(), b"", groups, members=members)
    return Container(header, payloads_of(header))


CONTAINER = container([(2, 4, 5), (1, 3, 7), (3, 4, 5)], [2, 3, 1])


@given(headers())
def test_headers_come_back(header: Header) -> None:
    data = pack_header(header)
    assert unpack_header(data + b"more") == (header, len(data))
    parts = payloads_of(header)
    stream = Counting(pack(Container(header, parts)))
    assert read_container(stream.stream) == Container(header, parts)


def test_what_a_header_says_of_groups_takes_few_bytes() -> None:
    for pictures in (10, 1000, 100_000):
        extent = Extent(1, (Run(pictures, 8, 8),), 18)
        groups = tuple(
            Group(64, (Segment(1, False, 4096, 1 << 31),)) for _ in range(pictures // 64)
        )
        rest = pictures % 64
        groups += (Group(rest, (Segment(1, False, 2048, 1 << 31),)),)
        members = (Member((1,), Source()),) * pictures
        header = Header(extent, Source(), b"", groups, members=members)
        assert len(pack_header(header)) < 60 + pictures / 8


@pytest.mark.parametrize("groups", [{0}, {1}, {2}, {0, 2}, {1, 2}, set()])
def test_groups_are_read_alone(groups: set[int]) -> None:
    data = pack(CONTAINER)
    expected = [part for part in CONTAINER.parts if part.group in groups]
    for stream in (io.BytesIO(data), Counting(data).stream):
        assert read_container(stream, groups=groups).parts == expected


@pytest.mark.parametrize("groups", [None, {0}, {2}, {0, 1, 2}])
def test_first_layers_of_groups_are_read_alone(groups: set[int] | None) -> None:
    data = pack(CONTAINER)
    expected = [
        Part(number, payloads[:1])
        for number, payloads in CONTAINER.parts
        if groups is None or number in groups
    ]
    end = len(data) - len(CONTAINER.parts[-1].payloads[-1])
    for stream in (io.BytesIO(data[:end]), Counting(data + b"more").stream):
        assert read_container(stream, layers=1, groups=groups).parts == expected


def test_a_file_that_ends_early_has_its_first_groups() -> None:
    data = pack(CONTAINER)
    lengths = [sum(map(len, part.payloads)) for part in CONTAINER.parts]
    ends = [len(data) - sum(lengths[number:]) for number in range(4)]
    for size in range(ends[0], len(data)):
        whole = sum(end <= size for end in ends[1:])
        for make in (io.BytesIO, lambda data: Counting(data).stream):
            line = "early, no group is whole; get another copy"
            if whole:
                line = f"only {whole} of its 3 groups are whole; --partial gives what is whole"
                part = read_container(make(data[:size]), partial=True)
                assert part.parts == CONTAINER.parts[:whole]
            else:
                with pytest.raises(TruncatedError, match=line):
                    read_container(make(data[:size]), partial=True)
            with pytest.raises(TruncatedError, match=line):
                read_container(make(data[:size]))
            with pytest.raises(TruncatedError, match="the file ends early, "):
                read_container(make(data[:size]), groups={2})
    with pytest.raises(BitstreamError, match="at least one byte follows the last payload"):
        read_container(io.BytesIO(data + b"\0"))


def test_extents_are_cut_and_joined() -> None:
    extent = CONTAINER.header.extent
    assert extent.runs == ((2, 4, 5), (1, 3, 7), (3, 4, 5))
    assert (extent.pictures, extent.positions, extent.bits) == (6, 121, 726)
    assert [part.runs for part in extent.cut([2, 3, 1])] == [
        ((2, 4, 5),),
        ((1, 3, 7), (2, 4, 5)),
        ((1, 4, 5),),
    ]
    assert Extent.of_shapes([(1, 2, 3, 4, 5), (1, 4, 3, 4, 5)]).shape == (1, 6, 3, 4, 5)
    with pytest.raises(CodesError, match="several sizes; use decode_many"):
        _ = extent.shape
    with pytest.raises(CodesError, match="1 layers of 3 bits among others of 2 of 3; put what dif"):
        Extent.of_shapes([(2, 1, 1, 1, 3), (1, 1, 1, 1, 3)])
    with pytest.raises(CodesError, match="there are no codes; give at least one"):
        Extent.of_shapes([])


# --- what cannot be ----------------------------------------------------------------------------


def body(
    *,
    flags: int = 0,
    sizes: bytes = b"\x01\x01",
    pictures: int = 2,
    members: bytes = b"",
    groups: bytes = b"",
    segments: bytes = SEGMENT,
) -> bytes:
    """A header of bits of one layer, of one stored segment."""
    data = bytes([flags, 1]) + varint(pictures) + sizes + b"\x01"
    data += varint(len(members)) + members if flags & 32 else b"\x03\x02"
    return framed(data + groups + segments)


def described(*members: bytes, sources: bytes = b"\x01\x03\x02") -> bytes:
    return zlib.compress(sources + b"".join(members))


ONE = b"\x00\x01\x00"
"""A member of one picture, without a name."""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (body(flags=8, sizes=b"\x02\x01\x01"), "the sizes are not those of 2 pictures; "),
        (body(flags=8, sizes=b"\x01\x01\x02\x02\x01\x01"), "the sizes are not those of 2 pict"),
        (body(flags=8, sizes=b"\x01\x01\x01\x01\x01\x01"), "sizes are not counted in the one way"),
        (body(flags=8, sizes=b"\x00\x01\x01\x02\x01\x02"), "sizes are not counted in the one way"),
        (body(flags=8, sizes=b"\x01\x01\x01\x01\x01\x02"), "the pictures are of several sizes; "),
        (body(pictures=MAX_PICTURES + 1), "4194305 pictures are above the limit of 4194304; "),
        (body(flags=16, groups=b"\x01\x02"), "flagged to have groups, and has one; "),
        (body(flags=16, groups=b"\x01\x01\x01\x01"), "groups are not counted in the one way"),
        (body(flags=16, groups=b"\x00\x01\x02\x01"), "groups are not counted in the one way"),
        (body(flags=16, groups=b"\x02\x00"), "groups are not counted in the one way"),
        (
            body(
                flags=80,
                pictures=MAX_GROUPS + 1,
                groups=varint(MAX_GROUPS + 1) + b"\1",
                segments=b"\1" * (MAX_GROUPS + 1),
            ),
            "131073 groups are above the limit of 131072; ",
        ),
        (body(flags=16, groups=b"\x02\x01"), "claims more groups than it can have; "),
        (
            body(flags=16, groups=b"\x02\x01", segments=b"\x03\x02\x07\0\0\0" + SEGMENT),
            "segment 0 of group 0 stores 1 bits in 2 bytes; ",
        ),
        (
            body(flags=16, groups=b"\x02\x01", segments=SEGMENT + b"\x05\x01\x07\0\0\0"),
            "the segments of group 1 hold 2 layers, not 1; ",
        ),
        (
            body(flags=16, groups=b"\x02\x02", segments=SEGMENT * 2),
            "the groups hold 4 pictures, not 2; ",
        ),
        (body(flags=32, members=b"no zlib"), "the field of the members cannot be unpacked; "),
        (
            body(flags=32, members=described(ONE, ONE)[:-1]),
            "the field of the members does not end where it should; ",
        ),
        (
            body(flags=32, members=described(ONE, ONE) + b"\0"),
            "the field of the members does not end where it should; ",
        ),
        (
            body(flags=32, members=described(bytes(MAX_MEMBERS_BYTES + 1))),
            "the field of the members does not end where it should; ",
        ),
        (body(flags=32, members=described(ONE, ONE, sources=b"\x00")), "are not in order; "),
        (
            body(flags=32, members=described(b"\x01\x02\x00", sources=b"\x02\x03\x02\x20\x02")),
            "are not in order; ",
        ),
        (
            body(flags=32, members=described(ONE, ONE, sources=b"\x02\x03\x02\x20\x02")),
            "members have other sources than they should; ",
        ),
        (
            body(flags=32, members=described(ONE, b"\x01\x01\x00", sources=b"\2\x03\2\x03\2")),
            "members have other sources than they should; ",
        ),
        (
            body(flags=32, members=described(sources=b"\x00")),
            "flagged to have members, and has none; ",
        ),
        (body(flags=32, members=described(ONE)), "the members hold 1 pictures, not 2; "),
        (body(flags=32, members=described(ONE, b"\x00\x00\x00")), "cannot have 0 pictures; "),
        (body(flags=32, members=described(ONE, b"\x00\x01\x01")), "need more bytes than it h"),
        (
            body(flags=32, members=described(ONE, b"\x00\x01\x01a")),
            "two members have one name, or some have none; ",
        ),
        (
            body(flags=32, members=described(*[b"\x00\x01\x01a"] * 2)),
            "two members have one name, or some have none; ",
        ),
        (
            body(flags=32, members=described(ONE * (MAX_MEMBERS + 1))),
            "more than 262144 members are above the limit; ",
        ),
        (
            body(flags=32, members=described(b"\x00\x02\x00", sources=b"\x01\x20\x02")),
            "cannot be an array of the axes hwc",
        ),
        *(
            (
                body(flags=32, members=described(b"\x00\x02", varint(len(name)), name)),
                "no member can be named ",
            )
            for name in (b"/a", b"a//b", b"../a", b"a/..", b"./a", b"a/", b"a\0b", b"a\\b")
        ),
        (
            body(flags=32, members=described(b"\x00\x02", varint(1025), bytes(1025))),
            "a text of 1025 bytes is above the limit of 1024; ",
        ),
        (
            body(flags=32, members=described(b"\x00\x02\x01\xff")),
            "a text is not UTF-8; ",
        ),
    ],
)
def test_damage(data: bytes, message: str) -> None:
    with pytest.raises(BitstreamError, match=message) as caught:
        unpack_header(data)
    assert "the file is damaged; get another copy" in str(caught.value)


def test_headers_that_cannot_be() -> None:
    header = CONTAINER.header
    with pytest.raises(CodesError, match="the pictures are of several sizes"):
        dataclasses.replace(header, members=())
    with pytest.raises(CodesError, match="the members hold 3 pictures, not 6"):
        dataclasses.replace(header, members=header.members[:2])
    with pytest.raises(CodesError, match="262145 members are above the limit of 262144"):
        dataclasses.replace(header, members=header.members[:1] * (MAX_MEMBERS + 1))
    with pytest.raises(CodesError, match="131073 groups are above the limit of 131072"):
        dataclasses.replace(header, groups=header.groups[:1] * (MAX_GROUPS + 1))
    with pytest.raises(CodesError, match="no member can be named '\\\\ud800'"):
        Member((1,), Source(), "\ud800")


def test_headers_that_are_too_long() -> None:
    names = [f"{number:06}" * 150 for number in range(20_000)]
    members = tuple(Member((1,), Source(), name) for name in names)
    extent = Extent(1, (Run(len(names), 1, 1),), 1)
    groups = (Group(len(names), (Segment(1, True, len(names) // 8, 0),)),)
    header = Header(extent, Source(), b"", groups, members=members)
    with pytest.raises(CodesError, match=r"names take 18\d+ bytes, above the limit of 16777216; p"):
        pack_header(header)
    extent = Extent(1000, (Run(700, 1, 1),), 1)
    single = Group(1, (Segment(1, True, 1, 0),) * 1000)
    header = Header(extent, Source(), b"", (single,) * 700)
    with pytest.raises(CodesError, match=r"header takes 42\d+ bytes, above the limit of 4194304"):
        pack_header(header)
