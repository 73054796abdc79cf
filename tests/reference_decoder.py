"""A decoder of version 1, written from FORMAT.md alone, with the standard library alone.

Sections 3, 4, 6 and 7, slow and obvious, with the names of that page; the model is in
reference_model.py, model files in reference_model_file.py. It shares nothing with the package: what
both decode alike is on the page.
"""

import itertools
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from tests.reference_coverage import ReferenceCoverage
from tests.reference_model import Prediction, ReferenceStage, Shape
from tests.reference_model_file import MAX_MODEL_BYTES, read_model
from tests.reference_network import Picture, Place
from tests.reference_numbers import FormatError, require

MAX_BITS = 1 << 28
MAX_UNITS = 1 << 14
MAX_POSITIONS = 1 << 22
MAX_BODY_BYTES = 1 << 22
MAX_PICTURES = 1 << 22
MAX_GROUPS = 1 << 17
MAX_MEMBERS = 1 << 18
MAX_MEMBERS_BYTES = 1 << 24
MAX_MEMBER_NAME_BYTES = 1024

FORMS = ("npy", "npz", "packed", "tensor", "safetensors", "flat")
AXES = ("lnhwc", "lnchw", "nhwc", "nchw", "hwc", "chw", "nc")
VALUES = ("binary", "signed", "pair", "msb", "lsb")
DTYPES = (
    *("|b1", "|i1", "|u1"),
    *("<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8"),
    *(">i2", ">i4", ">i8", ">u2", ">u4", ">u8", ">f2", ">f4", ">f8"),
    "bfloat16",
)
MAX_ARRAYS = 1 << 12
MAX_EXTRAS_BYTES = 1 << 19
MAX_EXTRAS_UNPACKED = 1 << 24
NAMES = ("", "codes", "arr_0")

Parts = tuple[dict[str, Any] | None, dict[str, Any] | None]
"""A start and a network: nested lists by name, the network with its sizes; None for none."""


@dataclass(frozen=True)
class Segment:
    layers: int
    stored: bool
    byte_length: int
    checksum: int


@dataclass(frozen=True)
class Source:
    """A file: the records of its arrays of codes, and what else it holds."""

    records: list[dict[str, Any]]
    extras: bytes


@dataclass(frozen=True)
class Member:
    """Pictures that come from one file: how many for each record, what it was, and its name."""

    pictures: list[int]
    source: Source
    name: str = ""


@dataclass(frozen=True)
class Header:
    """Everything before the embedded model.

    Attributes:
        layers, channels: of every picture.
        pictures: their rows and columns.
        sequence: whether the pictures of a group are one.
        members: at least one.
        groups: of each, how many pictures it has, its segments, and for every layer that it has
            whether that has decisions, None where no position ends early; and how many layers all
            positions have together, if any has.
    """

    layers: int
    pictures: list[Picture]
    channels: int
    sequence: bool
    members: list[Member]
    model_id: bytes
    embedded_bytes: int
    groups: list[tuple[int, list[Segment], list[bool] | None, int]]
    byte_length: int


@dataclass(frozen=True)
class Decoded:
    """A code tensor.

    Attributes:
        shape: its layers, pictures, rows, columns and channels.
        sequence: whether the pictures are one.
        bits: in tensor order.
        source: the record of the array it was made from.
        extras: what else its file holds.
        name: of the member.
        coverage: how many layers every position has.
    """

    shape: Shape
    sequence: bool
    bits: list[int]
    source: dict[str, Any]
    extras: bytes = b""
    name: str = ""
    coverage: list[int] = field(default_factory=list)


def decode(data: bytes, *, model: bytes | None = None, layers: int | None = None) -> Decoded:
    """Decodes a container of one code tensor, or the beginning of one; as `decode_arrays`."""
    (decoded,) = decode_arrays(data, model=model, layers=layers)
    return decoded


def decode_arrays(
    data: bytes, *, model: bytes | None = None, layers: int | None = None
) -> list[Decoded]:
    """Decodes a container, or the beginning of one.

    Args:
        data: the container; with `layers`, as much of it as holds them.
        model: a model file, for a container that names a model and holds none.
        layers: how many first layers; by default all.

    Raises:
        FormatError: a rule of the format is broken, or it is not the model that is named.
    """
    header = read_header(data)
    wanted = header.layers if layers is None else layers
    require(1 <= wanted <= header.layers, "there are not so many layers")
    end = header.byte_length + header.embedded_bytes
    start, network = _model(header, data[header.byte_length : end], model)

    first, layers_of_pictures, coverages = 0, [], []
    for count, described, decided, total in header.groups:
        pictures = header.pictures[first : first + count]
        first += count
        segments: list[tuple[int, Segment, bytes]] = []
        held, begin = 0, end
        for segment in described:
            end = begin + segment.byte_length
            if held < wanted:
                require(end <= len(data), "the file ends early")
                segments.append((held, segment, data[begin:end]))
                held += segment.layers
            begin = end
        shape = (held, 0, 0, 0, header.channels)
        stage = ReferenceStage(
            shape,
            start,
            network,
            sequence=header.sequence,
            pictures=pictures,
            decided=None if decided is None else decided[:held],
        )
        of_layer = header.channels * sum(rows * columns for rows, columns in pictures)
        bits = _decode_segments(of_layer, segments, stage, decided)
        coverages += [wanted] * (of_layer // header.channels)
        if stage.coverage:
            coverage = _coverage(stage.coverage, held, pictures)
            coverages[-len(coverage) :] = coverage
            if total and held == len(decided or ()):
                require(max(coverage) == held, "no position has the last layer")
                require(sum(coverage) == total, "positions have other layers in all")
            bits += [0] * (wanted - held) * of_layer
        at = [layer * of_layer for layer in range(wanted)]
        for rows, columns in pictures:
            size = rows * columns * header.channels
            layers_of_pictures.append([bits[begin : begin + size] for begin in at])
            at = [begin + size for begin in at]
    require(layers is not None or end == len(data), "the file goes on after the last payload")

    decoded, first, position = [], 0, 0
    for member in header.members:
        for count, record in zip(member.pictures, member.source.records, strict=True):
            some = layers_of_pictures[first : first + count]
            rows, columns = header.pictures[first]
            bits = [bit for layer in range(wanted) for picture in some for bit in picture[layer]]
            shape = (wanted, count, rows, columns, header.channels)
            size = count * rows * columns
            own = [min(held, wanted) for held in coverages[position : position + size]]
            extras = member.source.extras
            decoded.append(Decoded(shape, header.sequence, bits, record, extras, member.name, own))
            first, position = first + count, position + size
    return decoded


def _coverage(
    coverage: ReferenceCoverage, layers: int, pictures: Sequence[tuple[int, int]]
) -> list[int]:
    """How many layers every position has."""
    return [
        sum(coverage.has((layer, picture, row, column)) for layer in range(layers))
        for picture, (rows, columns) in enumerate(pictures)
        for row in range(rows)
        for column in range(columns)
    ]


def _decode_segments(
    of_layer: int,
    segments: Sequence[tuple[int, Segment, bytes]],
    stage: ReferenceStage,
    decided: Sequence[bool] | None,
) -> list[int]:
    early = decided is not None
    stored: list[int] = []  # bits in tensor order; zeros where they are coded
    decoders: list[RangeDecoder | None] = []  # by layer; none where it is stored
    plain: list[bool] = []  # by layer: whether its bits are coded as they are
    for first, segment, payload in segments:
        count, end = segment.layers * of_layer, first + segment.layers
        packed = segment.stored and not any((decided or [])[:end])
        stored += unpack(payload, count) if packed else [0] * count
        decoders += [None if packed else RangeDecoder(payload)] * segment.layers
        plain += [segment.stored] * segment.layers

    values = [0] * len(decoders) * of_layer
    channels, positions = stage.shape[4], of_layer // stage.shape[4]
    starts = [0, *itertools.accumulate(rows * columns for rows, columns in stage.pictures)]
    marks = [0] * len(decoders) * positions

    def number(layer: int, picture: int, row: int, column: int) -> int:
        """Of a position, over all layers."""
        return layer * positions + starts[picture] + row * stage.pictures[picture][1] + column

    def value_of(prediction: Prediction) -> int:
        *place, channel = prediction.bit
        at = number(*place) * channels + channel
        decoder = decoders[place[0]]
        frequency = 32768 if plain[place[0]] else prediction.frequency
        values[at] = decoder.decode(frequency) if decoder else stored[at]
        return values[at]

    def decision_of(place: Place, frequency: int) -> int:
        decoder = decoders[place[0]]
        assert decoder
        return decoder.decode(frequency)

    stage.run(value_of, decision_of if early else None)
    if stage.coverage:
        for layer in range(len(decoders)):
            for picture, (rows, columns) in enumerate(stage.pictures):
                for row, column in itertools.product(range(rows), range(columns)):
                    place = (layer, picture, row, column)
                    marks[number(*place)] = int(stage.coverage.has(place))
    for first, segment, payload in segments:
        end = first + segment.layers
        checksum = zlib.crc32(pack(values[first * of_layer : end * of_layer]))
        if early:
            checksum = zlib.crc32(pack(marks[first * positions : end * positions]), checksum)
        checksum = zlib.crc32(payload, checksum)
        require(checksum == segment.checksum, f"the checksum of layer {first} is wrong")
    return values


def unpack(data: bytes, bits: int) -> list[int]:
    return [data[at // 8] >> 7 - at % 8 & 1 for at in range(bits)]


def pack(bits: Sequence[int]) -> bytes:
    packed = bytearray((len(bits) + 7) // 8)
    for at, bit in enumerate(bits):
        packed[at // 8] |= bit << 7 - at % 8
    return bytes(packed)


def _model(header: Header, embedded: bytes, given: bytes | None) -> Parts:
    if not header.model_id:
        return None, None
    if header.embedded_bytes:
        require(len(embedded) == header.embedded_bytes, "the file ends early")
        given = _inflate(embedded)
    require(given is not None, f"the file needs model {header.model_id.hex()}")
    start, network, model_id = read_model(given or b"")
    require(model_id == header.model_id, "this is not the model that the file names")
    layers, channels = len(start["units"]), len(start["units"][0])
    fits = layers >= header.layers and channels == header.channels
    require(fits, "the model is not one for such codes")
    return start, network


def _inflate(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        model = stream.decompress(data, MAX_MODEL_BYTES)
    except zlib.error:
        raise FormatError("the embedded model is damaged") from None
    require(stream.eof and not stream.unused_data, "the embedded model has another length")
    return model


# --- the range coder, section 7 ----------------------------------------------------------------


def zeros(frequency: int) -> int:
    """The parts of 2^24 that stand for a 0."""
    return 256 * (65536 - frequency) - (1 if frequency < 32768 else 0)


class RangeDecoder:
    """Takes bits from the payload of a coded segment.

    Attributes:
        range, offset: its state, two unsigned numbers of 64 bits.
    """

    def __init__(self, payload: bytes) -> None:
        whole = payload + bytes(-len(payload) % 4)
        self._words = [word for (word,) in struct.iter_unpack(">I", whole)]
        self._next = 0
        self.range = (1 << 64) - 1
        self.offset = (self._word() << 32) + self._word()

    def _word(self) -> int:
        self._next += 1
        return self._words[self._next - 1] if self._next <= len(self._words) else 0

    def decode(self, frequency: int) -> int:
        scale = self.range >> 24
        require(self.offset // scale < 1 << 24, "a payload is damaged")
        if self.offset < scale * zeros(frequency):
            bit = 0
            self.range = scale * zeros(frequency)
        else:
            bit = 1
            self.range = scale * ((1 << 24) - zeros(frequency))
            self.offset -= scale * zeros(frequency)
        if self.range < 1 << 32:
            self.range <<= 32
            self.offset = (self.offset << 32) + self._word()
        return bit


class RangeEncoder:
    """Makes the payload of a coded segment."""

    def __init__(self) -> None:
        self._words: list[int] = []
        self._lower, self._range = 0, (1 << 64) - 1
        self._bits = 0

    def encode(self, bit: int, frequency: int) -> None:
        self._bits += 1
        scale = self._range >> 24
        if bit:
            self._raise_lower(scale * zeros(frequency))
            self._range = scale * ((1 << 24) - zeros(frequency))
        else:
            self._range = scale * zeros(frequency)
        if self._range < 1 << 32:
            self._words.append(self._lower >> 32)
            self._lower = (self._lower << 32) % (1 << 64)
            self._range <<= 32

    def finish(self) -> bytes:
        """Gives the payload; nothing can be encoded after."""
        if not self._bits:
            return b""
        for zeros in range(64, -1, -8):
            end = -(-self._lower // 2**zeros) * 2**zeros
            if end < self._lower + self._range:
                break
        self._raise_lower(end - self._lower)
        self._words += [self._lower >> 32, self._lower % (1 << 32)]
        data = b"".join(struct.pack(">I", word) for word in self._words)
        while data and data[-1] == 0:
            data = data[:-1]
        while self._bits > (len(data) + 8) << 19:
            data += b"\0"
        return data

    def _raise_lower(self, by: int) -> None:
        self._lower += by
        if self._lower >= 1 << 64:
            self._lower -= 1 << 64
            at = len(self._words) - 1
            while self._words[at] == (1 << 32) - 1:
                self._words[at] = 0
                at -= 1
            self._words[at] += 1


# --- the container, sections 3 and 4 -----------------------------------------------------------


class Fields:
    """Takes fields from the beginning of bytes on."""

    def __init__(self, data: bytes) -> None:
        self._data, self.offset = data, 0

    def take(self, size: int) -> bytes:
        self.offset += size
        require(self.offset <= len(self._data), "the file, or its header, ends early")
        return self._data[self.offset - size : self.offset]

    def at_end(self) -> bool:
        return self.offset == len(self._data)

    def number(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def varint(self) -> int:
        value = 0
        for shift in range(0, 63, 7):
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                require(byte > 0 or shift == 0, "a varint is not as short as possible")
                return value
        raise FormatError("a varint is not below 2^63")


def read_header(data: bytes) -> Header:
    """Reads everything before the embedded model and the payloads."""
    file = Fields(data)
    require(file.take(6) == b"\x8eNNC\r\n", "this is no container")
    (version,) = file.take(1)
    body_bytes = file.varint()
    require(body_bytes <= MAX_BODY_BYTES, "the body is too long")
    body = file.take(body_bytes)
    framed = data[: file.offset]
    require(file.number() == zlib.crc32(framed), "the header's checksum is wrong")
    require(version == 1, "the file is of another version")

    fields = Fields(body)
    flags = fields.varint()
    require(flags < 128 and flags & 3 != 2, "the flags are unknown, or do not fit each other")
    layers, count = fields.varint(), fields.varint()
    runs = _read_runs(fields, count) if flags & 8 else [(count, fields.varint(), fields.varint())]
    channels = fields.varint()
    require(count <= MAX_PICTURES, "there are too many pictures")
    require(min(layers, channels, *(min(run) for run in runs)) >= 1, "an axis is empty")
    require(layers * channels <= MAX_UNITS, "there are too many units")
    members = _read_members(fields) if flags & 32 else [_one_member(fields, count)]
    model_id = fields.take(8) if flags & 1 else b""
    embedded_bytes = fields.varint() if flags & 2 else 0
    require(not flags & 2 or 1 <= embedded_bytes <= MAX_MODEL_BYTES, "no such embedded model")
    most = (len(body) - fields.offset) // (1 if flags & 64 else 6)
    most = min(most, MAX_GROUPS)
    counts = _read_counts(fields, count, most) if flags & 16 else [count]
    require(max(counts) <= MAX_POSITIONS, "there are too many positions")
    held = sum(sum(member.pictures) for member in members)
    require(held == count, "the members have other pictures")

    pictures = [(rows, columns) for number, rows, columns in runs for _ in range(number)]
    groups, first = [], 0
    for number in counts:
        positions = sum(rows * columns for rows, columns in pictures[first : first + number])
        first += number
        require(positions <= MAX_POSITIONS, "there are too many positions")
        require(layers * positions * channels <= MAX_BITS, "there are too many bits")
        decided = _read_decided(fields, layers) if flags & 64 else None
        total = 0
        if decided and any(decided):
            total, whole = fields.varint(), decided.index(True)
            require(total >= whole * (positions - 1) + len(decided), "there are too few layers")
            require(total <= len(decided) * positions, "there are too many layers")
        segments = _read_segments(fields, layers, positions, channels, decided)
        groups.append((number, segments, decided, total))
    require(fields.offset == len(body), "the body goes on after its fields")
    early = any(decided is not None for *_, decided, _ in groups)
    require(early or not flags & 64, "no position ends early")
    first = 0
    for member in members:
        for number, record in zip(member.pictures, member.source.records, strict=True):
            own = set(pictures[first : first + number])
            require(len(own) == 1, "an array has pictures of several sizes")
            _check_axes(record, (layers, number, *own.pop(), channels))
            first += number
    return Header(
        layers,
        pictures,
        channels,
        bool(flags & 4),
        members,
        model_id,
        embedded_bytes,
        groups,
        file.offset,
    )


def _read_runs(fields: Fields, count: int) -> list[tuple[int, int, int]]:
    """How many pictures of one size come one after another, their rows and columns."""
    runs: list[tuple[int, int, int]] = []
    while sum(run[0] for run in runs) < count:
        runs.append((fields.varint(), fields.varint(), fields.varint()))
        require(len(runs) == 1 or runs[-1][1:] != runs[-2][1:], "two runs are of one size")
        require(runs[-1][0] >= 1, "a run is empty")
    require(sum(run[0] for run in runs) == count and len(runs) > 1, "these are no several sizes")
    return runs


def _read_counts(fields: Fields, count: int, most: int) -> list[int]:
    """How many pictures each group has."""
    counts: list[int] = []
    while sum(counts) < count:
        groups, pictures = fields.varint(), fields.varint()
        require(min(groups, pictures) >= 1, "a group is empty")
        require(not counts or counts[-1] != pictures, "groups of one size are counted apart")
        require(len(counts) + groups <= most, "there are too many groups")
        counts += [pictures] * groups
    require(sum(counts) == count and len(counts) > 1, "these are no several groups")
    return counts


def _one_member(fields: Fields, count: int) -> Member:
    source = _read_source(fields)
    require(len(source.records) == 1, "there is a code tensor for each record, and one code tensor")
    return Member([count], source)


def _read_members(fields: Fields) -> list[Member]:
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(fields.take(fields.varint()), MAX_MEMBERS_BYTES)
    except zlib.error:
        raise FormatError("the members are damaged") from None
    require(stream.eof and not stream.unused_data, "the members have another length")
    rest, members = Fields(unpacked), []
    count, numbers = rest.varint(), []
    require(count <= MAX_MEMBERS, "there are too many sources")
    sources = [_read_source(rest) for _ in range(count)]
    while rest.offset < len(unpacked):
        number = rest.varint()
        require(number < count, "there is no such source")
        pictures = [rest.varint() for _ in sources[number].records]
        size = rest.varint()
        numbers.append(number)
        require(size <= MAX_MEMBER_NAME_BYTES, "a member's name is too long")
        try:
            name = rest.take(size).decode()
        except UnicodeDecodeError:
            raise FormatError("a member's name is not UTF-8") from None
        require(min(pictures) >= 1, "an array has no pictures")
        safe = all(part not in ("", ".", "..") for part in name.split("/"))
        require(not name or (safe and not {"\0", "\\"} & set(name)), "a name is not allowed")
        members.append(Member(pictures, sources[number], name))
    require(list(dict.fromkeys(numbers)) == list(range(count)), "sources are not in order")
    differ = all(one not in sources[:number] for number, one in enumerate(sources))
    require(differ, "two sources are equal")
    names = {member.name for member in members}
    require(0 < len(members) <= MAX_MEMBERS, "there are no members, or too many")
    require(names == {""} or ("" not in names and len(names) == len(members)), "names are equal")
    folders = {
        "/".join(name.split("/")[:count])
        for name in names
        for count in range(1, name.count("/") + 1)
    }
    require(not folders & names, "a member is the folder of another")
    return members


def _read_decided(fields: Fields, most: int) -> list[bool] | None:
    """For every layer that any position has, whether it has decisions; None if all have all."""
    layers = fields.varint() - 1
    if layers < 0:
        return None
    require(layers <= most, "positions have too many layers")
    decided: list[bool] = []
    runs = 0
    while len(decided) < layers:
        count = fields.varint()
        require(count > 0 or runs == 0, "a run of layers is empty")
        decided += [runs % 2 == 1] * count
        runs += 1
        require(len(decided) <= layers, "there are too many layers")
    return decided


def _read_segments(
    fields: Fields, layers: int, positions: int, channels: int, decided: list[bool] | None
) -> list[Segment]:
    layers = layers if decided is None else len(decided)
    segments: list[Segment] = []
    held = 0
    while held < layers:
        kind, length, checksum = fields.varint(), fields.varint(), fields.number()
        segment = Segment(kind >> 1, bool(kind & 1), length, checksum)
        least = most = 0
        require(segment.layers <= layers - held, "there are too many layers")
        for layer in range(held, held + segment.layers):
            decides = decided is not None and decided[layer]
            if decided is None or not any(decided[:layer]):
                least += positions if decides else positions * channels
            most += positions * (channels + decides)
        end = held + segment.layers
        packed = segment.stored and not any((decided or [])[:end])
        _check_segment(segment, least, most, packed=packed)
        segments.append(segment)
        held += segment.layers
    return segments


def _read_source(fields: Fields) -> Source:
    (first,) = fields.take(1)
    if first & 7 != 7:
        records, extras = [_read_record(first, fields)], b""
    else:
        count = fields.varint()
        require(first == 7 and 1 <= count <= MAX_ARRAYS, "the source is unknown")
        records = [_read_record(fields.take(1)[0], fields) for _ in range(count)]
        size = fields.varint()
        require(size <= MAX_EXTRAS_BYTES and size + count > 1, "there are no extras, or too many")
        extras = fields.take(size)
        forms = {record["form"] for record in records}
        one_kind = forms <= {"npz", "packed", "flat"} or forms == {"safetensors"}
        require(one_kind, "these are not in one file")
    names = [name for record in records for name in _names_of(record)]
    require(len(set(names)) == len(names), "two arrays have one name")
    covered = any(record["coverage"] for record in records)
    require(not covered or len(records) == 1, "a coverage is of one array alone")
    for record in records:
        _check_record(record)
    return Source(records, extras)


def _names_of(record: dict[str, Any]) -> list[str]:
    beside = [record["coverage"]["name"]] if record["coverage"] else []
    if record["form"] not in ("packed", "flat"):
        return [record["name"], *beside]
    return [record["name"] or "codes", record["shape_name"] or "shape", *beside]


def read_extras(extras: bytes) -> dict[str, bytes]:
    """Unpacks what is beside the codes: the bytes of every array by its name."""
    stream = zlib.decompressobj()
    try:
        fields = Fields(stream.decompress(extras, MAX_EXTRAS_UNPACKED))
    except zlib.error:
        raise FormatError("the extras are damaged") from None
    require(stream.eof and not stream.unused_data, "the extras have another length")
    found: dict[str, bytes] = {}
    while not fields.at_end():
        name = _read_name(fields)
        found[name] = fields.take(fields.varint())
    return found


def _read_record(first: int, fields: Fields) -> dict[str, Any]:
    coverage = None
    if first == 6:
        coverage = _read_coverage(fields)
        (first,) = fields.take(1)
    (second,) = fields.take(1)
    form, axes_code, name_code = first & 7, first >> 3 & 7, first >> 6
    dtype, values = second & 31, second >> 5
    require(form < 6 and dtype < 22 and values < 5, "the source is unknown")
    axes = AXES[axes_code] if axes_code < 7 else _read_axes(fields)
    frames = fields.varint() if "n" in axes and "t" in axes else 0
    require(frames > 0 or "n" not in axes or "t" not in axes, "there are no frames")
    size = 2 if dtype == 21 else int(DTYPES[dtype][2:])
    pair = fields.take(2 * size) if VALUES[values] == "pair" else b""
    shape_dtype = ""
    if FORMS[form] == "flat":
        (index,) = fields.take(1)
        require(index < 21 and DTYPES[index][1] in "iu", "the shape has no integer dtype")
        shape_dtype = DTYPES[index]
    has_shape = FORMS[form] in ("packed", "flat")
    require(not has_shape or name_code in (0, 3), "this name has no shape's name")
    name = NAMES[name_code] if name_code < 3 else _read_name(fields)
    shape_name = ""
    if has_shape and name_code == 3:
        shape_name = _read_name(fields)
        require(bool(name and shape_name) and name != shape_name, "two arrays have two names")
        require((name, shape_name) != ("codes", "shape"), "these names are 0")
    elif name_code == 3:
        require(name not in NAMES, "the name has a number")
    return {
        "form": FORMS[form],
        "axes": axes,
        "dtype": DTYPES[dtype],
        "values": VALUES[values],
        "name": name,
        "pair": pair,
        "shape_name": shape_name,
        "shape_dtype": shape_dtype,
        "frames": frames,
        "coverage": coverage,
    }


def _read_axes(fields: Fields) -> str:
    (code,) = fields.take(1)
    letters = [letter for bit, letter in enumerate("lnthwc") if code >> bit & 1]
    require(code < 128 and len(letters) > 0, "the axes are unknown")
    orders = ["".join(order) for order in permutations(letters)]  # sorted, as the letters are
    rank = fields.varint() if code & 64 else 0
    require(rank < len(orders) and (rank > 0) == bool(code & 64), "the order is unknown")
    require(orders[rank] not in AXES, "the axes have a number")
    return orders[rank]


def _read_coverage(fields: Fields) -> dict[str, Any]:
    (first,) = fields.take(1)
    require(first & 31 < 21 and DTYPES[first & 31][1] in "biu", "the coverage is unknown")
    name = _read_name(fields)
    require(name != "coverage", "the name is known")
    axes = [bool(first >> 5 + axis & 1) for axis in range(3)]
    return {"dtype": DTYPES[first & 31], "axes": axes, "name": name or "coverage"}


def _read_name(fields: Fields) -> str:
    size = fields.varint()
    require(size <= 255, "the name is too long")
    try:
        name = fields.take(size).decode()
    except UnicodeDecodeError:
        raise FormatError("the name is not UTF-8") from None
    require("\0" not in name, "the name has a zero byte")
    return name


def _check_record(record: dict[str, Any]) -> None:
    form, dtype, values = record["form"], record["dtype"], record["values"]
    tokens = values in ("msb", "lsb") and form != "packed"
    integer = dtype[1] in "iu"
    if form == "packed":
        require(integer and values in ("binary", "lsb"), "packed has an integer dtype, and bits")
    require(
        values != "signed" or (dtype[1] in "if" or dtype == "bfloat16"), "this cannot be signed"
    )
    require(not tokens or (integer and record["axes"][-1] == "c"), "these are no tokens")
    require(not record["name"] or form not in ("npy", "tensor"), "this has no name")
    require(dtype != "bfloat16" or form in ("tensor", "safetensors"), "this is no bfloat16")
    require(dtype[0] != ">" or form != "safetensors", "tensors are little-endian")
    room = form in ("npz", "packed", "flat")
    require(not record["coverage"] or room, "there is no room for a coverage")


def _check_axes(record: dict[str, Any], shape: Shape) -> None:
    layers, pictures, rows, columns, channels = shape
    axes = record["axes"]
    tokens = record["values"] in ("msb", "lsb") and record["form"] != "packed"
    require("n" in axes or "t" in axes or pictures == 1, "the array has no pictures")
    require(not record["frames"] or pictures % record["frames"] == 0, "other frames")
    require("h" in axes or rows == 1, "the array has no rows")
    require("w" in axes or columns == 1, "the array has no columns")
    require("c" in axes or channels == 1, "the array has no bits of a position")
    require("l" in axes or ("c" in axes and not tokens) or layers == 1, "it has no layers")
    there = record["coverage"]["axes"] if record["coverage"] else [True] * 3
    sizes = (pictures, rows, columns)
    fits = all(has or size == 1 for has, size in zip(there, sizes, strict=True))
    require(fits, "the coverage lacks an axis")
    if tokens:
        dtype = record["dtype"]
        most = 8 * int(dtype[2:]) - (dtype[1] == "i")
        require(channels <= most, "the tokens have too few bits")


def _check_segment(segment: Segment, least: int, most: int, *, packed: bool) -> None:
    length = segment.byte_length
    require(segment.layers >= 1, "a segment has no layers")
    if packed:
        require(length == (most + 7) // 8, "a stored payload has another length")
    else:
        require(length <= 4 * most + 16, "a payload has a wrong length")
        require(least <= (length + 8) << 19, "a payload is too short")
