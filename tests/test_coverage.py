"""Positions that end early: what comes back, what is seen of them, and what is refused."""

import io
import zlib
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nncodec
from nncodec.coding import segments
from nncodec.coding.codec import (
    code_lengths,
    decode_container,
    encode_source,
    traverse_known,
)
from nncodec.coding.segments import CodedSegment
from nncodec.coding.threads import Threads
from nncodec.errors import BitstreamError, CodesError
from nncodec.format.code_tensor import ABSENT, mark_absent, split_absent
from nncodec.format.container import Container, Part, pack, read_container
from nncodec.format.extent import Extent
from nncodec.format.groups import Group, Segment
from nncodec.format.header import Header, pack_header, unpack_header
from nncodec.format.source import Source
from nncodec.model.adaptive.start import untrained
from nncodec.model.coverage import DECISION_RATE, DECISION_START, DECISION_TAPS
from nncodec.model.model import Model
from nncodec.model.packing import pack_model
from nncodec.training.start_fitting import beside_network
from tests import reference_numbers
from tests.reference_coverage import ReferenceCoverage
from tests.reference_decoder import RangeEncoder, decode
from tests.sample_networks import random_network
from tests.samples import averaged_codes

Codes = npt.NDArray[np.uint8]
Coverage = npt.NDArray[np.int64]

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True, scope="module")
def small_segments() -> Iterator[None]:
    """Small codes have several segments, too."""
    with patch.object(segments, "ENDING_SEGMENT_BITS", 256):
        yield


@st.composite
def covered(draw: st.DrawFn, most_bits: int = 3000) -> tuple[Codes, Coverage]:
    """Codes of any shape, 0 beyond a coverage of any kind."""
    sizes = [draw(st.integers(1, most)) for most in (8, 3, 12, 12, 70)]
    for axis in draw(st.permutations(range(5))):
        rest = int(np.prod(sizes)) // sizes[axis]
        sizes[axis] = max(1, min(sizes[axis], most_bits // rest))
    layers, *positions = sizes[:4]
    random = np.random.default_rng(draw(seeds))
    kind = draw(st.sampled_from(["noise", "slant", "same", "few", "some"]))
    coverage = random.integers(0, layers + 1, positions)
    if kind == "slant":
        row, column = np.indices(positions[1:])
        coverage = np.minimum(coverage % 2 + (row + column) // 2, layers)
    elif kind == "same":
        coverage[:] = draw(st.integers(0, layers))
    elif kind == "few":
        coverage *= random.random(positions) < 0.1
    elif kind == "some":
        coverage = np.maximum(coverage, draw(st.integers(0, layers)))
    ones = draw(st.sampled_from([0.5, 0.05, 1.0]))
    codes = (random.random(sizes) < ones).astype(np.uint8)
    return split_absent(mark_absent(codes, coverage))[0], coverage


# --- what comes back ---------------------------------------------------------------------------


@given(covered(), st.sampled_from([None, False, True]), st.data())
def test_codes_and_coverage_come_back(
    tensor: tuple[Codes, Coverage], sequence: bool | None, data: st.DataObject
) -> None:
    codes, coverage = tensor
    container = nncodec.encode(codes, "adaptive", coverage=coverage, sequence=sequence)
    decoded = nncodec.decode_covered(container)
    assert decoded.codes.dtype == np.uint8
    assert decoded.coverage.dtype == np.uint16
    np.testing.assert_array_equal(decoded.codes, codes)
    np.testing.assert_array_equal(decoded.coverage, coverage)
    np.testing.assert_array_equal(nncodec.decode(container), codes)
    layers = data.draw(st.integers(1, len(codes)))
    first = nncodec.decode_covered(container, layers=layers)
    np.testing.assert_array_equal(first.codes, codes[:layers])
    np.testing.assert_array_equal(first.coverage, np.minimum(coverage, layers))


@given(covered(), st.booleans())
def test_a_prefix_of_the_file_is_a_prefix_of_the_layers(
    tensor: tuple[Codes, Coverage], sequence: bool
) -> None:
    codes, coverage = tensor
    container = nncodec.encode(codes, "adaptive", coverage=coverage, sequence=sequence)
    header = nncodec.read_header(container)
    end = len(container)
    for segment, layers in zip(
        reversed(header.segments), reversed(header.segment_layers()), strict=True
    ):
        first = nncodec.decode_covered(container[:end], layers=layers.stop)
        np.testing.assert_array_equal(first.codes, codes[: layers.stop])
        np.testing.assert_array_equal(first.coverage, np.minimum(coverage, layers.stop))
        end -= segment.byte_length


@given(covered(), st.integers(2, 5), st.booleans())
def test_threads_change_nothing(
    tensor: tuple[Codes, Coverage], threads: int, sequence: bool
) -> None:
    marked = mark_absent(*tensor)
    model = None
    if tensor[0].shape[-1] <= 8:
        layers, channels = len(marked), marked.shape[-1]
        network = random_network(layers, channels, int(tensor[1].sum()))
        model = Model(beside_network(untrained(layers, channels)), network)
    one = encode_source(marked, Source(), model=model, sequence=sequence)
    several = Threads(threads)
    assert encode_source(marked, Source(), model=model, sequence=sequence, threads=several) == one
    read = read_container(io.BytesIO(one.data))
    np.testing.assert_array_equal(decode_container(read, model=model, threads=several), marked)


@settings(max_examples=30)
@given(covered(120), st.booleans(), st.booleans())
def test_the_reference_decodes_the_same(
    tensor: tuple[Codes, Coverage], sequence: bool, with_network: bool
) -> None:
    codes, coverage = tensor
    layers, channels = len(codes), codes.shape[-1]
    model = None
    if with_network and channels <= 8:
        network = random_network(layers, channels, int(coverage.sum()))
        model = Model(beside_network(untrained(layers, channels)), network)
    made = encode_source(mark_absent(*tensor), Source(), model=model, sequence=sequence)
    file = pack_model(model) if model else None
    for count in {1, layers}:
        decoded = decode(made.data, model=file, layers=count)
        assert decoded.bits == codes[:count].ravel().tolist()
        assert decoded.coverage == np.minimum(coverage, count).ravel().tolist()


@settings(max_examples=20)
@given(st.lists(covered(600), min_size=1, max_size=4), st.integers(1, 3), st.data())
def test_arrays_of_which_some_end_early_share_a_container(
    tensors: list[tuple[Codes, Coverage]], group: int, data: st.DataObject
) -> None:
    layers, channels = 2, 3
    arrays = [codes[:layers, ..., :channels] for codes, _ in tensors]
    arrays = [
        np.pad(
            codes,
            [
                (0, size - have)
                for size, have in zip(
                    (layers, *codes.shape[1:4], channels), codes.shape, strict=True
                )
            ],
        )
        for codes in arrays
    ]
    coverages = [np.minimum(coverage, layers) for _, coverage in tensors]
    whole = data.draw(st.integers(0, len(arrays)))
    given_ = [None if number == whole else one for number, one in enumerate(coverages)]
    container = nncodec.encode_many(arrays, "adaptive", group=group, coverages=given_)
    expected = [
        np.full_like(one, layers) if number == whole else one
        for number, one in enumerate(coverages)
    ]
    for found, codes, coverage in zip(
        nncodec.decode_many_covered(container), arrays, expected, strict=True
    ):
        np.testing.assert_array_equal(found.codes, codes)
        np.testing.assert_array_equal(found.coverage, coverage)
    for found_codes, codes in zip(nncodec.decode_many(container), arrays, strict=True):
        np.testing.assert_array_equal(found_codes, codes)


# --- what it costs -----------------------------------------------------------------------------


def test_the_same_coverage_everywhere_costs_next_to_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (9, 2, 12, 13, 16), dtype=np.uint8)
    for codes in (noise, averaged_codes((9, 2, 12, 13, 16), 1)):
        for layers in range(1, 10):
            whole = np.where(np.arange(9)[:, None, None, None, None] < layers, codes, 0)
            coverage = np.full((2, 12, 13), layers)
            bytes_ = len(nncodec.encode(whole, "adaptive", coverage=coverage))
            assert bytes_ <= len(nncodec.encode(codes[:layers], "adaptive")) + 8


def test_theory_says_how_large_a_container_is() -> None:
    codes = averaged_codes((4, 1, 30, 30, 16), 3)
    row, column = np.indices((1, 30, 30))[1:]
    coverage = np.minimum((row + column) // 12, 4)
    marked = mark_absent(codes, coverage)
    made = encode_source(marked, Source())
    bits = [16 * int((coverage > layer).sum()) for layer in range(4)]
    assert [layer.bits for layer in made.layers] == bits
    lengths = [layer.code_length or 0.0 for layer in made.layers]
    np.testing.assert_allclose(np.array(lengths), code_lengths(marked), rtol=1e-6)
    assert 0 < len(made.data) - code_lengths(marked).sum() / 8 < 32 + 4 * 12


def test_noise_costs_no_more_than_its_bits_and_decisions() -> None:
    codes = np.random.default_rng(0).integers(0, 2, (4, 1, 30, 30, 16), dtype=np.uint8)
    row, column = np.indices((1, 30, 30))[1:]
    coverage = np.minimum((row + column) // 12, 4)
    decisions: list[float] = []

    def keep(segment: CodedSegment) -> None:
        assert segment.marks is not None
        assert segment.decisions is not None
        decisions.extend(CodedSegment(segment.marks, segment.decisions).code_lengths())

    marked = mark_absent(codes, coverage)
    traverse_known(marked, None, keep)
    bits = coverage.sum() * 16
    assert len(encode_source(marked, Source()).data) < (bits + sum(decisions)) / 8 + 32 + 4 * 16


# --- what is seen ------------------------------------------------------------------------------


def frequencies(
    codes: Codes, model: Model | None = None, *, sequence: bool
) -> npt.NDArray[np.uint16]:
    """Of all bits, in the shape of the codes; 0 where there are none."""
    found: list[npt.NDArray[np.uint16]] = []

    def keep(segment: CodedSegment) -> None:
        found.append(segment.frequencies)

    traverse_known(codes, model, keep, sequence=sequence)
    return np.concatenate(found)


@given(st.booleans(), seeds, st.integers(0, 3), st.integers(0, 3))
def test_positions_without_layers_are_as_outside(
    sequence: bool, seed: int, above: int, beside: int
) -> None:
    codes = averaged_codes((3, 2, 5, 6, 4), seed)
    # With a model, no layer begins with what another has learned.
    model = Model(untrained(3, 4))
    expected = frequencies(codes, model, sequence=sequence)
    margins = ((0, 0), (0, 0), (above, 1), (beside, 2), (0, 0))
    wider = np.pad(codes, margins, constant_values=ABSENT)
    found = frequencies(wider, model, sequence=sequence)
    inside = (slice(None), slice(None), slice(above, above + 5), slice(beside, beside + 6))
    np.testing.assert_array_equal(found[inside], expected)
    assert found.sum() == expected.sum()


def test_a_layer_begins_with_what_the_one_before_has_learned() -> None:
    """Where channels agree in both, they cost less in the second: not where all have it."""
    codes = np.random.default_rng(0).integers(0, 2, (2, 1, 12, 12, 1), dtype=np.uint8)
    codes = np.repeat(codes, 16, axis=-1)
    coverage = np.full((1, 12, 12), 2)
    whole = code_lengths(mark_absent(codes, coverage))
    coverage[0, 0, 0] = 1
    found = code_lengths(mark_absent(codes, coverage))
    assert found[0] == pytest.approx(whole[0])
    assert found[1] < 0.9 * whole[1]


@pytest.mark.parametrize("model", [None, Model(untrained(3, 8))])
def test_threads_wait_until_a_layer_has_handed_over(model: Model | None) -> None:
    codes = averaged_codes((3, 2, 70, 75, 8), 0)
    row = np.indices((2, 70, 75))[1]
    marked = mark_absent(codes, 1 + row // 30)
    one = encode_source(marked, Source(), model=model)
    assert len(one.header.segments) == 3
    for threads in (2, 3):
        made = encode_source(marked, Source(), model=model, threads=Threads(threads))
        assert made.data == one.data
        read = read_container(io.BytesIO(one.data))
        decoded = decode_container(read, model=model, threads=Threads(threads))
        np.testing.assert_array_equal(decoded, marked)


def test_the_numbers_are_those_of_the_page() -> None:
    assert list(DECISION_TAPS) == reference_numbers.DECISION_TAPS
    assert DECISION_START == reference_numbers.DECISION_START
    assert DECISION_RATE == reference_numbers.DECISION_RATE


@pytest.mark.parametrize("kind", ["uint8", "int16", "int64"])
def test_a_coverage_may_be_a_tensor(kind: str) -> None:
    torch = pytest.importorskip("torch")
    coverage = np.arange(40).reshape(2, 4, 5) % 4
    tensor = torch.tensor(coverage, dtype=getattr(torch, kind))
    codes = np.zeros((3, 2, 4, 5, 6), dtype=np.uint8)
    expected = nncodec.encode(codes, "adaptive", coverage=coverage)
    assert nncodec.encode(codes, "adaptive", coverage=tensor) == expected
    many = nncodec.encode_many([codes], "adaptive", coverages=[tensor])
    assert (nncodec.decode_many_covered(many)[0].coverage == coverage).all()
    with pytest.raises(CodesError, match="has dtype float32; convert it to uint8"):
        nncodec.encode(codes, "adaptive", coverage=tensor.bfloat16().requires_grad_())


# --- what is refused ---------------------------------------------------------------------------

CODES = np.zeros((3, 2, 4, 5, 6), dtype=np.uint8)


class Unreadable:
    """What raises an error of its own where it is asked for its values."""

    def __array__(self, *_: object, **__: object) -> npt.NDArray[np.uint8]:
        raise KeyError("values")


@pytest.mark.parametrize(
    ("coverage", "message"),
    [
        (np.full((4, 5), 3), r"the coverage has the shape \(4, 5\), the codes have \(2, 4, 5\)"),
        (np.full((2, 4, 5), 4), r"value 4 at index \(0, 0, 0\) of the coverage; every value must "),
        (np.full((2, 4, 5), -1), "value -1 at .* must be a number of layers, 0 to 3"),
        (np.full((2, 4, 5), 1.0), "the coverage has dtype float64; convert it to uint8"),
        (np.full((2, 4, 5), "2"), "the coverage has dtype str32; convert it to uint8"),
        ([[1], [1, 2]], "the coverage cannot be made an array; give whole numbers"),
        (Unreadable(), "the coverage cannot be made an array; give whole numbers"),
    ],
)
def test_what_is_no_coverage_is_refused(coverage: npt.ArrayLike, message: str) -> None:
    with pytest.raises(CodesError, match=message):
        nncodec.encode(CODES, coverage=coverage)
    with pytest.raises(CodesError, match=f"array 1: .*{message}"):
        nncodec.encode_many([CODES, CODES], coverages=[None, coverage])


def test_a_coverage_of_one_picture_needs_no_batch() -> None:
    codes, coverage = CODES[:, :1], np.arange(20).reshape(4, 5) % 4
    data = nncodec.encode(codes, coverage=coverage)
    np.testing.assert_array_equal(nncodec.decode_covered(data).coverage, coverage[None])
    with pytest.raises(CodesError, match=r"has the shape \(5, 4\), the codes have \(1, 4, 5\)"):
        nncodec.encode(codes, coverage=coverage.T)


def test_bits_beyond_a_coverage_are_the_smaller_value() -> None:
    signs = np.sign(np.random.default_rng(0).normal(size=(3, 4, 5, 2)))
    coverage = np.full((4, 5), 2)
    signs[2] = 0  # what is left over
    message = r"0 at .*take numpy.where\(x < 0, -1, 1\) in its place, and -1 beyond a coverage$"
    with pytest.raises(CodesError, match=message):
        nncodec.encode(signs, axes="lhwc", coverage=coverage)
    signs[2] = 1
    with pytest.raises(CodesError, match="to the smaller of the two values, or raise"):
        nncodec.encode(signs, axes="lhwc", coverage=coverage)
    signs[2] = -1
    data = nncodec.encode(signs, axes="lhwc", coverage=coverage)
    np.testing.assert_array_equal(nncodec.decode(data, like="array"), signs)


def test_bits_beyond_the_coverage_are_refused() -> None:
    codes = CODES.copy()
    codes[2, 1, 3, 4, 5] = 1
    message = r"the bit at index \(2, 1, 3, 4, 5\) is 1, beyond the coverage of its position; set"
    with pytest.raises(CodesError, match=message):
        nncodec.encode(codes, coverage=np.full((2, 4, 5), 2))
    nncodec.encode(codes, coverage=np.full((2, 4, 5), 3))


def test_there_is_a_coverage_for_each_array_or_for_none() -> None:
    with pytest.raises(ValueError, match="there are 1 coverages of 2 arrays"):
        nncodec.encode_many([CODES, CODES], coverages=[None])


def header_of(group: Group, layers: int = 3) -> Header:
    return Header(Extent.of_shape((layers, 1, 4, 4, 2)), Source(), b"", (group,))


def test_every_header_with_decisions_reads_back() -> None:
    for decisions in [(), (False,), (False, False, True), (True, False, True)]:
        segments = tuple(Segment(1, False, 4, 0) for _ in decisions)
        header = header_of(Group(1, segments, decisions, 40 if any(decisions) else 0))
        assert unpack_header(pack_header(header))[0] == header


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (b"\x05", "positions have 4 layers, not at most 3"),
        (b"\x00\x06\x00" + bytes(4), "positions are flagged to end early, and none does"),
        (b"\x03\x01\x00", "layers are not counted in the one way allowed"),
        (b"\x03\x00\x00", "layers are not counted in the one way allowed"),
        (b"\x03\x03", "layers are not counted in the one way allowed"),
        (b"\x02\x01\x04\x00" + bytes(4), "the segments hold 2 layers, not 1"),
        (b"\x02\x00\x01\x11\x03\x04" + bytes(4), "positions cannot have 17 layers in all"),
        (b"\x02\x00\x01\x00\x03\x04" + bytes(4), "positions cannot have 0 layers in all"),
        (b"\x02\x01\x03\x05" + bytes(4), "segment 0 stores 32 bits in 5 bytes"),
        (
            b"\x02\x00\x01\x10\x02\xd8\x01" + bytes(4),
            "segment 0 claims 216 bytes, more than",
        ),
    ],
)
def test_headers_whose_layers_contradict_each_other_are_refused(
    fields: bytes, message: str
) -> None:
    whole = pack_header(header_of(Group(1, (), ())))
    body = whole[8:-5] + fields
    framed = whole[:7] + bytes([len(body)]) + body
    with pytest.raises(BitstreamError, match=message):
        unpack_header(framed + zlib.crc32(framed).to_bytes(4, "little"))


def test_a_header_of_more_layers_than_there_are_cannot_be_made() -> None:
    with pytest.raises(CodesError, match="positions have 4 layers, not 3"):
        header_of(Group(1, (Segment(4, False, 4, 0),), (True,) * 4))


@given(covered(600), st.booleans())
def test_layers_are_given_one_by_one(tensor: tuple[Codes, Coverage], sequence: bool) -> None:
    codes, coverage = tensor
    container = nncodec.encode(codes, "adaptive", coverage=coverage, sequence=sequence)
    with nncodec.open(container) as file:
        np.testing.assert_array_equal(np.stack(list(file.layers())), codes)
        np.testing.assert_array_equal(file.decode(), codes)


def test_a_coverage_is_of_the_code_tensor_whatever_the_axes() -> None:
    coverage = np.arange(40).reshape(2, 4, 5) % 4
    there = np.arange(3)[:, None, None, None] < coverage
    signs = np.where(there[..., None] & (np.arange(6) % 2 > 0), 1, -1).astype(np.float32)
    array = signs.transpose(1, 4, 0, 2, 3)  # ncl of bits last to first
    data = nncodec.encode(array, axes="nclhw", coverage=coverage)
    found = nncodec.decode_covered(data, like="array")
    np.testing.assert_array_equal(found.codes, array)
    np.testing.assert_array_equal(found.coverage, coverage)


def test_tiny_segments_claim_no_large_picture() -> None:
    extent = Extent.of_shape((1, 1, 1 << 11, 1 << 11, 64))
    for decided, bits in ((False, 1 << 28), (True, 1 << 22)):
        group = Group(1, (Segment(1, False, 0, 0),), (decided,), decided)
        if bits > 1 << 22:
            with pytest.raises(CodesError, match=f"segment 0 claims {bits} bits, more than its 0"):
                Header(extent, Source(), b"", (group,))
        else:
            Header(extent, Source(), b"", (group,))


def test_other_layers_than_the_header_tells_are_refused() -> None:
    marked = mark_absent(CODES, np.arange(40).reshape(2, 4, 5) % 4)
    read = read_container(io.BytesIO(encode_source(marked, Source()).data))
    (group,) = read.header.groups
    header = replace(read.header, groups=(replace(group, held=group.held + 1),))
    with pytest.raises(BitstreamError, match=f"positions have not {group.held + 1} layers in all"):
        nncodec.decode(pack(replace(read, header=header)))


def test_a_last_layer_that_no_position_has_is_refused() -> None:
    coverage, encoder = ReferenceCoverage([True], [(2, 3)], sequence=False), RangeEncoder()

    def ends(frequency: int) -> int:
        encoder.encode(0, frequency)
        return 0

    for row in range(2):
        for column in range(3):
            assert not coverage.decide((0, 0, row, column), ends)
    payload = encoder.finish()
    crc = zlib.crc32(payload, zlib.crc32(bytes(1), zlib.crc32(bytes(2))))
    group = Group(1, (Segment(1, False, len(payload), crc),), (True,), 1)
    header = Header(Extent.of_shape((2, 1, 2, 3, 2)), Source(), b"", (group,))
    data = pack(Container(header, [Part(0, [payload])]))
    with pytest.raises(BitstreamError, match="no position has layer 0"):
        nncodec.decode(data)
    more = replace(group, held=2)
    data = pack(Container(replace(header, groups=(more,)), [Part(0, [payload])]))
    with pytest.raises(BitstreamError, match="no position has layer 0"):
        nncodec.decode(data)
    wrong = replace(group, segments=(replace(group.segments[0], checksum=crc ^ 1),))
    data = pack(Container(replace(header, groups=(wrong,)), [Part(0, [payload])]))
    with pytest.raises(BitstreamError, match="the checksum of layer 0 is wrong"):
        nncodec.decode(data)
