"""Containers: golden bytes, round trips, what is read of a file, and a message for each refusal."""

import dataclasses
import io
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nncodec.errors import BitstreamError, CodesError, TruncatedError, UnsupportedError
from nncodec.format.container import pack, read_container
from nncodec.format.extent import Extent
from nncodec.format.fields import varint
from nncodec.format.groups import Group, Segment
from nncodec.format.header import Header, pack_header, read_header, unpack_header
from nncodec.format.limits import MAX_MODEL_BYTES, MAX_UNITS
from nncodec.format.magic import MAGIC
from nncodec.format.source import FORMATS, Source
from tests.forged import framed, plain_container, plain_header
from tests.sources import source_of, sources

SOURCE = source_of("npz", "lnchw", "<f4", values="signed", name="bits")
HEADER = plain_header(
    shape=(4, 1, 3, 200, 2),
    source=SOURCE,
    model_id=b"modelid8",
    segments=(
        Segment(1, True, 150, 0x01020304),
        Segment(2, False, 8, 0xFFFFFFFF),
        Segment(1, False, 0, 0),
    ),
)
PAYLOADS = [bytes(range(150)), b"\x00\x01\x02\x03\x04\x05\x06\x07", b""]
GOLDEN_BODY = (
    b"\x01"  # flags: a model id
    b"\x04\x01\x03\xc8\x01\x02"  # shape: 4, 1, 3, 200, 2
    b"\xc9\x2a"  # npz 1, lnchw 1 << 3, name 3 << 6; dtype 10 "<f4", signed 1 << 5
    b"\x04bits"
    b"modelid8"
    b"\x03\x96\x01\x04\x03\x02\x01"  # 1 layer, stored, 150 bytes
    b"\x04\x08\xff\xff\xff\xff"  # 2 layers, coded, 8 bytes
    b"\x02\x00\x00\x00\x00\x00"  # 1 layer, coded, 0 bytes
)
GOLDEN_HEADER = b"\x8eNNC\r\n" + b"\x01" + b"\x29" + GOLDEN_BODY + b"\x8b\xa0\x07\xb0"
FILE = GOLDEN_HEADER + b"".join(PAYLOADS)

EMBEDDING = dataclasses.replace(HEADER, embedded_bytes=5)

# Of the one that is plainest: no model, no name, one stored bit.
TINY = plain_header((1, 1, 1, 1, 1), Source(), b"", (Segment(1, True, 1, 7),))
TINY_BODY = b"\x00" + b"\x01\x01\x01\x01\x01" + b"\x03\x02" + b"\x03\x01\x07\x00\x00\x00"


EMBEDDING_BODY = b"\x03" + GOLDEN_BODY[1:].replace(b"modelid8", b"modelid8\x05")
SEQUENCE_BODY = b"\x05" + GOLDEN_BODY[1:]


def tiny_body(
    *,
    flags: bytes = b"\x00",
    shape: bytes = b"\x01\x01\x01\x01\x01",
    source: bytes = b"\x03\x02",
    model_id: bytes = b"",
    segments: bytes = b"\x03\x01\x07\x00\x00\x00",
) -> bytes:
    return flags + shape + source + model_id + segments


class Counting(io.RawIOBase):
    """A stream that cannot seek, gives few bytes at a time, and counts them."""

    def __init__(self, data: bytes) -> None:
        self.inner = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        assert size >= 0
        return self.inner.read(min(size, 7))

    @property
    def count(self) -> int:
        return self.inner.tell()

    @property
    def stream(self) -> BinaryIO:
        return cast(BinaryIO, self)


# --- bytes -------------------------------------------------------------------------------------


def test_golden_bytes() -> None:
    assert pack_header(HEADER) == GOLDEN_HEADER
    assert unpack_header(GOLDEN_HEADER) == (HEADER, len(GOLDEN_HEADER))
    assert pack(plain_container(HEADER, PAYLOADS)) == FILE
    assert unpack_header(FILE) == (HEADER, len(GOLDEN_HEADER))
    assert read_header(io.BytesIO(FILE)) == HEADER
    assert read_container(io.BytesIO(FILE)) == plain_container(HEADER, PAYLOADS)


def test_a_flag_says_that_the_pictures_are_a_sequence() -> None:
    header = dataclasses.replace(HEADER, sequence=True)
    assert pack_header(header) == framed(SEQUENCE_BODY)
    assert unpack_header(framed(SEQUENCE_BODY)) == (header, len(GOLDEN_HEADER))
    tiny = dataclasses.replace(TINY, sequence=True)  # one picture may be one, too
    assert unpack_header(framed(tiny_body(flags=b"\x04")))[0] == tiny


def test_tiny_golden_bytes() -> None:
    assert tiny_body() == TINY_BODY
    assert pack_header(TINY) == b"\x8eNNC\r\n\x01\x0e" + TINY_BODY + b"\x72\x95\xad\x0b"
    assert unpack_header(framed(TINY_BODY)) == (TINY, len(TINY_BODY) + 12)


def test_what_a_header_knows() -> None:
    assert HEADER.layers == 4
    assert HEADER.bits_per_layer == 1200
    assert HEADER.bits == 4800
    assert HEADER.segment_layers() == [range(1), range(1, 3), range(3, 4)]


@pytest.mark.parametrize("format_", FORMATS)
def test_overhead(format_: str) -> None:
    dtype = "<i8" if format_ == "packed" else "<f4"
    shape_dtype = "<i8" if format_ == "flat" else ""
    for name in ("", "arr_0", "codes") if format_ == "npz" else ("",):
        header = plain_header(
            (16, 1, 240, 135, 32),
            source_of(format_, dtype=dtype, name=name, shape_dtype=shape_dtype),
            b"modelid8",
            (Segment(1, False, (2 << 20) - 4, 0xFFFFFFFF),) * 16,
        )
        assert len(pack_header(header)) <= 32 + 8 * 16


def test_pack_refuses_other_payloads() -> None:
    for payloads in (PAYLOADS[:2], [*PAYLOADS[:2], b"1234"], [*PAYLOADS, b""]):
        with pytest.raises(ValueError, match="the payloads or the model are not those of the head"):
            pack(plain_container(HEADER, payloads))
    for header, model in ((HEADER, b"model"), (EMBEDDING, b"mode"), (EMBEDDING, b"")):
        with pytest.raises(ValueError, match="the payloads or the model are not those of the head"):
            pack(plain_container(header, PAYLOADS, model))


def test_an_embedded_model_lies_between_header_and_payloads() -> None:
    data = pack(plain_container(EMBEDDING, PAYLOADS, b"model"))
    head = pack_header(EMBEDDING)
    assert data == head + b"model" + b"".join(PAYLOADS)
    assert head == framed(EMBEDDING_BODY)
    assert read_container(io.BytesIO(data)).model == b"model"
    for size in range(len(head), len(head) + 5):
        with pytest.raises(TruncatedError, match="ends early, no layer is whole; get another copy"):
            read_container(io.BytesIO(data[:size]), partial=True)


# --- properties --------------------------------------------------------------------------------


@st.composite
def headers(draw: st.DrawFn, largest: int = 30) -> Header:
    parts = draw(st.lists(st.integers(1, largest), min_size=1, max_size=5))
    batch = draw(st.integers(1, largest))
    height, width = draw(st.integers(1, 200)), draw(st.integers(1, 2))
    shape = (sum(parts), batch, height, width, draw(st.integers(1, 64)))
    source = draw(sources(shape))
    bits_per_layer = shape[1] * shape[2] * shape[3] * shape[4]
    segments = []
    for layers in parts:
        bits = layers * bits_per_layer
        stored = draw(st.booleans())
        coded = draw(st.integers(bits >> 19, 4 * bits + 16))
        checksum = draw(st.integers(0, 0xFFFFFFFF))
        length = (bits + 7) // 8 if stored else coded
        segments.append(Segment(layers, stored, length, checksum))
    model_id = draw(st.sampled_from([b"", b"\0" * 8, b"modelid8"]))
    embedded = draw(st.sampled_from([0, 1, 300])) if model_id else 0
    return plain_header(shape, source, model_id, segments, embedded, draw(st.booleans()))


@given(headers(), st.binary(max_size=20))
def test_header_round_trip(header: Header, tail: bytes) -> None:
    data = pack_header(header)
    assert unpack_header(data + tail) == (header, len(data))
    stream = Counting(data + tail)
    assert read_header(stream.stream) == header
    assert stream.count == len(data)


@given(headers(largest=3), st.data())
def test_container_round_trip(header: Header, data: st.DataObject) -> None:
    payloads = [bytes([index]) * one.byte_length for index, one in enumerate(header.segments)]
    model = data.draw(st.binary(min_size=header.embedded_bytes, max_size=header.embedded_bytes))
    packed = pack(plain_container(header, payloads, model))
    stream = Counting(packed)
    assert read_container(stream.stream) == plain_container(header, payloads, model)

    layers = data.draw(st.integers(1, header.layers))
    held = [index for index, one in enumerate(header.segment_layers()) if one.start < layers]
    stream = Counting(packed + b"no matter what follows")
    some = payloads[: len(held)]
    assert read_container(stream.stream, layers=layers) == plain_container(header, some, model)
    assert stream.count == len(pack_header(header)) + len(model) + sum(map(len, some))


def refused_or_canonical(data: bytes) -> None:
    """Bytes that are taken must be the only ones for what they say."""
    try:
        header, offset = unpack_header(data)
    except BitstreamError as error:
        assert str(error).isprintable()  # noqa: PT017
        assert "; " in str(error)  # noqa: PT017
    else:
        assert pack_header(header) == data[:offset]


@given(st.binary(max_size=80), st.integers(0, len(MAGIC) + 1))
def test_any_bytes_are_refused(tail: bytes, kept: int) -> None:
    data = (MAGIC + b"\x01")[:kept] + tail
    refused_or_canonical(data)


@settings(max_examples=500)
@given(st.binary(max_size=60), st.sampled_from([0, 1, 1, 1, 1, 2, 255]))
def test_any_body_is_refused_or_canonical(body: bytes, version: int) -> None:
    refused_or_canonical(framed(body, version))


@settings(max_examples=500)
@given(st.sampled_from([TINY_BODY, GOLDEN_BODY, EMBEDDING_BODY, SEQUENCE_BODY]), st.data())
def test_any_changed_body_is_refused_or_canonical(body: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 2)))
    middle = data.draw(st.binary(max_size=3))
    refused_or_canonical(framed(body[:start] + middle + body[end:]))


@pytest.mark.parametrize("header", [HEADER, TINY, EMBEDDING])
def test_every_flipped_bit_of_a_header_is_refused(header: Header) -> None:
    intact = pack_header(header)
    for bit in range(8 * len(intact)):
        data = bytearray(intact)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BitstreamError) as caught:
            unpack_header(bytes(data) + bytes(300))
        assert not isinstance(caught.value, UnsupportedError)


def test_every_truncation_is_refused() -> None:
    ends = [len(GOLDEN_HEADER) + 150, len(FILE)]  # of the segments that have bytes
    for size in range(len(FILE)):
        whole = 1 if size >= ends[0] else 0
        with pytest.raises(TruncatedError if size else BitstreamError) as caught:
            read_container(Counting(FILE[:size]).stream)
        assert getattr(caught.value, "whole_layers", 0) == whole
        if size < len(GOLDEN_HEADER):
            with pytest.raises(BitstreamError):
                unpack_header(FILE[:size])


@given(st.binary(min_size=1, max_size=9))
def test_every_extension_is_refused(tail: bytes) -> None:
    with pytest.raises(BitstreamError, match="at least one byte follows the last payload; the fil"):
        read_container(io.BytesIO(FILE + tail))
    with pytest.raises(BitstreamError, match="at least one byte follows"):
        read_container(io.BytesIO(FILE + tail), partial=True)


# --- parts of a file ---------------------------------------------------------------------------


@pytest.mark.parametrize(("layers", "count"), [(1, 1), (2, 2), (3, 2), (4, 3)])
def test_the_first_layers_alone_are_read(layers: int, count: int) -> None:
    end = len(GOLDEN_HEADER) + sum(map(len, PAYLOADS[:count]))
    for data in (FILE + b"more", FILE[:end]):
        stream = Counting(data)
        assert read_container(stream.stream, layers=layers) == plain_container(
            HEADER, PAYLOADS[:count]
        )
        assert stream.count == end


@pytest.mark.parametrize("layers", [0, -1, 5])
def test_layers_that_are_not_there(layers: int) -> None:
    stream = Counting(FILE)
    with pytest.raises(CodesError, match=f"layers {layers}: the file has 4; ask for some of them"):
        read_container(stream.stream, layers=layers)
    assert stream.count == len(GOLDEN_HEADER)


def test_partial_gives_what_is_whole() -> None:
    first = len(GOLDEN_HEADER) + 150
    for size in range(first, len(FILE)):
        first_alone = plain_container(HEADER, PAYLOADS[:1])
        assert read_container(io.BytesIO(FILE[:size]), partial=True) == first_alone
        assert read_container(io.BytesIO(FILE[:size]), layers=2, partial=True) == first_alone
        with pytest.raises(
            TruncatedError,
            match="the file ends early, only 1 of its 4 layers are whole; --partial ",
        ):
            read_container(io.BytesIO(FILE[:size]), layers=2)
    for size in (first - 1, len(GOLDEN_HEADER), len(GOLDEN_HEADER) - 1):
        with pytest.raises(TruncatedError, match="ends early, no layer is whole; get another copy"):
            read_container(io.BytesIO(FILE[:size]), partial=True)
    assert read_container(io.BytesIO(FILE), partial=True) == plain_container(HEADER, PAYLOADS)


def test_missing_bytes_take_no_memory() -> None:
    sizes = []

    class Short(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            sizes.append(size)
            return super().read(size)

    huge = plain_header(
        (1, 1, 1 << 12, 1 << 10, 64), Source(), b"", (Segment(1, True, 1 << 25, 0),)
    )
    with pytest.raises(TruncatedError, match="no layer is whole"):
        read_container(Short(pack_header(huge) + b"12345"))
    assert max(sizes) <= 1 << 20
    assert sizes[-1] > 1 << 19


# --- refusals ----------------------------------------------------------------------------------

DAMAGED = "the file is damaged; get another copy"
NEWER = "it was written by a newer version; upgrade nncodec"
NO_CONTAINER = "the file is no container; give a file that nncodec compress wrote"
CODE_FILE = "the file is a code file, not a container; use nncodec compress on it"
LINE_ENDS = "the file's line ends were changed as if it were text; get a copy in binary mode"
TOO_FEW = "the header's fields need more bytes than it has; "
SHORTEST = "a number is not in its shortest form; "


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty; give a file that nncodec compress wrote"),
        (b"some text\n", NO_CONTAINER),
        (b"x", NO_CONTAINER),
        (b"\x8eNNCxx", NO_CONTAINER),
        (b"\x93NUMPY\x01\x00", CODE_FILE),
        (b"PK\x03\x04\x14\x00", CODE_FILE),
        (b"PK\x05\x06" + bytes(18), CODE_FILE),
        (FILE.replace(b"\r\n", b"\n"), LINE_ENDS),
        (FILE.replace(b"\n", b"\r\n"), LINE_ENDS),
        (FILE.replace(b"\n", b"\r"), LINE_ENDS),
        (FILE.replace(b"\r", b"\n"), LINE_ENDS),
    ],
)
def test_no_container(data: bytes, message: str) -> None:
    with pytest.raises(BitstreamError) as caught:
        unpack_header(data)
    assert str(caught.value) == message
    assert type(caught.value) is BitstreamError


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            MAGIC + b"\x01\xff\xff\xff\x7f" + bytes(9),
            "claims 268435455 bytes, above the limit of 4194304",
        ),
        (framed(TINY_BODY, length=b"\x8e\x00"), SHORTEST),
        (MAGIC + b"\x01" + b"\x80" * 9 + bytes(9), r"a number is not below 2\^63; "),
        (framed(TINY_BODY)[:-1] + b"\x00", "the header's checksum is wrong; "),
        (framed(b""), TOO_FEW),
        (framed(TINY_BODY[:-1]), TOO_FEW),
        (framed(TINY_BODY + b"\0\0"), "the header goes on 2 bytes after its fields; "),
        (framed(tiny_body(flags=b"\x80\x00")), SHORTEST),
        (framed(tiny_body(shape=b"\x01\x01\x81\x00\x01\x01")), SHORTEST),
        (framed(tiny_body(segments=b"\x83\x00\x01\x07\0\0\0")), SHORTEST),
        (framed(tiny_body(segments=b"\x03\x81\x00\x07\0\0\0")), SHORTEST),
        (framed(tiny_body(shape=b"\x01\x01\x01\x01" + b"\xff" * 9)), r"not below 2\^63; "),
        (framed(tiny_body(shape=b"\x01\x01\x01\x00\x01")), r"shape \(1, 1, 1, 0, 1\) is not of 5"),
        (
            framed(
                tiny_body(
                    shape=varint(1 << 60) + b"\x01" * 4,
                    segments=varint(1 << 61) + bytes(5),
                )
            ),
            "is above the limit of 268435456 code bits; ",
        ),
        (
            framed(tiny_body(shape=b"\x01" * 4 + varint((1 << 28) + 1))),
            "is above the limit of 268435456 code bits; ",
        ),
        (framed(tiny_body(source=b"\x3b\x02\x3b")), "axes are not in their shortest form; "),
        (framed(tiny_body(source=b"\x3b\x02\x41\x00")), "axes are not in their shortest form; "),
        (framed(tiny_body(source=b"\x3b\x02\x43\x02")), "axes are not in their shortest form; "),
        (framed(tiny_body(source=b"\x07\x01\x01\x02\x00")), "a source is not in its shortest"),
        (framed(tiny_body(source=b"\x07\x01\x03\x02\x01x")), "no code file can hold these array"),
        (framed(tiny_body(source=b"\x07\x02\x01\x02\x41\x02\x00")), "2 arrays are not the source"),
        (framed(tiny_body(source=b"\xc2\x05\x00\x00")), "an array with a shape has no name; "),
        (framed(tiny_body(source=b"\x43\x02")), "no code file can be described by ArraySource"),
        (framed(tiny_body(source=b"\x00\x20")), "no code file can be described by ArraySource"),
        (framed(tiny_body(source=b"\x40\x02")), "no code file can be described by ArraySource"),
        (framed(tiny_body(source=b"\xc1\x02\x05codes")), "the name 'codes' is not in its shortest"),
        (framed(tiny_body(source=b"\xc1\x02\x00")), "the name '' is not in its shortest form"),
        (framed(tiny_body(source=b"\xc1\x02\x02\xff\xff")), "a text is not UTF-8; "),
        (
            framed(tiny_body(source=b"\xc1\x02\x03\0ab")),
            "no code file can be described by ArraySource",
        ),
        (
            framed(tiny_body(source=b"\xc1\x02\x80\x02" + b"x" * 256)),
            "a text of 256 bytes is above the limit of 255; ",
        ),
        (framed(tiny_body(source=b"\xc1\x02\x7fx")), TOO_FEW),
        (
            framed(tiny_body(shape=b"\x01\x02\x01\x01\x01", source=b"\x20\x02")),
            r"codes of the shape \(1, 2, 1, 1, 1\) cannot be an array of the axes hwc; ",
        ),
        (framed(tiny_body(flags=b"\x01", model_id=b"short")), TOO_FEW),
        (
            framed(tiny_body(flags=b"\x02", model_id=b"\x05")),
            "the file cannot hold a model of 5 bytes; ",
        ),
        (
            framed(tiny_body(flags=b"\x03", model_id=b"modelid8" + varint(MAX_MODEL_BYTES + 1))),
            "the file cannot hold a model of 268435457 bytes; ",
        ),
        (
            framed(tiny_body(flags=b"\x03", model_id=b"modelid8\x00")),
            "the file is flagged to hold a model, of 0 bytes; ",
        ),
        (framed(tiny_body(segments=b"\x05\x01\0\0\0\0")), "segments hold 2 layers, not 1; "),
        (
            framed(tiny_body(segments=b"\x01\x00\0\0\0\0\x03\x01\x07\0\0\0")),
            r"segment 0 cannot be Segment\(layers=0, ",
        ),
        (framed(tiny_body(segments=b"\x03\x02\0\0\0\0")), "segment 0 stores 1 bits in 2 bytes; "),
        (
            framed(
                tiny_body(
                    shape=b"\x01\x01" + varint(2097153) + b"\x01\x03",
                    segments=b"\x02\x04\0\0\0\0",
                )
            ),
            "segment 0 claims 6291459 bits, more than its 4 bytes can hold; ",
        ),
        (
            framed(tiny_body(segments=b"\x02\x18\0\0\0\0")),
            "segment 0 claims 24 bytes, more than its 1 bits can need; ",
        ),
    ],
)
def test_damage(data: bytes, message: str) -> None:
    with pytest.raises(BitstreamError, match=message) as caught:
        unpack_header(data)
    assert type(caught.value) is BitstreamError
    assert str(caught.value).endswith(DAMAGED)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (framed(b"anything", version=2), "the file is of version 2, not 1; "),
        (framed(b"", version=255), "the file is of version 255, not 1; "),
        (framed(tiny_body(flags=b"\x80\x01")), "the file has the unknown flags 0x80; "),
        (framed(tiny_body(source=b"\x0e\x02")), "the file has the unknown source 0x0e 0x02; "),
        (framed(tiny_body(source=b"\6\xf6\0")), "the file has the unknown coverage 0xf6; "),
        (framed(tiny_body(source=b"\x07\x00")), "the file has the unknown source 0x07; "),
        (framed(tiny_body(source=b"\x03\x16")), "the file has the unknown source 0x03 0x16; "),
        (framed(tiny_body(source=b"\x03\xa2")), "the file has the unknown source 0x03 0xa2; "),
        (framed(tiny_body(source=b"\x3b\x02\x80")), "the file has the unknown axes 0x80; "),
        (framed(tiny_body(source=b"\x3b\x02\x00")), "the file has the unknown axes 0x00; "),
        (framed(tiny_body(source=b"\x05\x02\x1f")), "the file has the unknown dtype 31; "),
    ],
)
def test_newer_versions_are_told_from_damage(data: bytes, message: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        unpack_header(data)
    assert str(caught.value) == message + NEWER
    damaged = bytearray(data)
    damaged[-1] ^= 1
    with pytest.raises(BitstreamError, match="checksum is wrong") as caught_damage:
        unpack_header(bytes(damaged))
    assert type(caught_damage.value) is BitstreamError


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"extent": Extent(1, (), 3)}, "shape .* is not of 5 sizes from 1 on"),
        ({"extent": Extent.of_shape((1, 1, 0, 1, 1))}, "is not of 5 sizes from 1 on"),
        ({"model_id": b"short"}, "a model id of 5 bytes is not 8"),
        ({"embedded_bytes": 1}, "the file cannot hold a model of 1 bytes"),
        (
            {"model_id": b"modelid8", "embedded_bytes": MAX_MODEL_BYTES + 1},
            "the file cannot hold a model of 268435457 bytes",
        ),
        ({"model_id": b"modelid8", "embedded_bytes": -1}, "cannot hold a model of -1 bytes"),
        ({"groups": (Group(1, ()),)}, "the segments hold 0 layers, not 1"),
        ({"groups": (Group(1, (Segment(1, True, 1, 1 << 32),)),)}, "segment 0 cannot be Segment"),
        ({"groups": (Group(1, (Segment(1, False, -4, 0),)),)}, "segment 0 cannot be Segment"),
    ],
)
def test_headers_that_cannot_be(fields: dict[str, object], message: str) -> None:
    with pytest.raises(CodesError, match=message):
        dataclasses.replace(TINY, **fields)  # type: ignore[arg-type]


def test_the_most_segments_fit_a_header() -> None:
    segments = (Segment(1, True, 1 << 11, 0),) * MAX_UNITS
    header = plain_header((MAX_UNITS, 1, 1 << 7, 1 << 7, 1), Source(), b"modelid8", segments)
    assert unpack_header(pack_header(header))[0] == header
