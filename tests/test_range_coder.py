"""The range coder: exact bytes, exact bits back, within a hair of the ideal size."""

import math

import constriction
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncodec.coding.range_coder import (
    POSSIBLE,
    Bits,
    Coders,
    code_bit,
    code_lengths,
    decoders,
    encoders,
    payload,
)
from nncodec.format.groups import least_bytes
from nncodec.model.kernels.compilation import compiled
from tests.reference_decoder import RangeEncoder

Message = tuple[Bits, npt.NDArray[np.int32]]


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Bits as likely as their frequencies say, more so, or less so."""
    size = draw(st.integers(0, 3000))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    extreme = draw(st.sampled_from([None, [1, 65535], [1], [65535], [32767, 32768, 32769]]))
    if extreme is None:
        frequencies = random.integers(1, 65536, size)
    else:
        frequencies = random.choice(extreme, size)
    bits = {
        "as predicted": frequencies > random.integers(0, 65536, size),
        "random": random.integers(0, 2, size),
        "likely": frequencies >= 32768,
        "unlikely": frequencies < 32768,
    }[draw(st.sampled_from(["as predicted", "random", "likely", "unlikely"]))]
    return bits.astype(np.uint8), frequencies.astype(np.int32)


@compiled
def code_bits(
    coders: Coders, segment: int, first: int, frequencies: npt.NDArray[np.int32], bits: Bits
) -> None:
    for number in range(len(frequencies)):
        bits[number] = code_bit(coders, segment, first + number, frequencies[number])


def coded(
    coders: Coders, frequencies: npt.NDArray[np.int32], first: int = 0, segment: int = 0
) -> Bits:
    """The bits that a coder gives, from one of the tensor on; raises where none can be."""
    bits = np.full(len(frequencies), 7, dtype=np.uint8)
    code_bits(coders, segment, first, frequencies, bits)
    if not coders.states[segment, POSSIBLE]:
        raise ImpossibleError
    return bits


class ImpossibleError(Exception):
    """No encoder wrote this."""


def written(message: Message) -> bytes:
    bits, frequencies = message
    return payload(bits, frequencies.astype(np.uint16))


def read(message: Message, data: bytes) -> Bits:
    bits, frequencies = message
    return coded(decoders(np.full(len(bits), 7, dtype=np.uint8), [data]), frequencies)


MESSAGE: Message = (
    np.array([1, 0, 1, 1, 0, 0, 1, 0], dtype=np.uint8),
    np.array([65535, 1, 32768, 60000, 100, 20000, 40000, 30000], dtype=np.int32),
)


def test_payloads_never_change() -> None:
    bits, frequencies = MESSAGE
    assert written(MESSAGE) == bytes.fromhex("ab")
    assert written((1 - bits, frequencies)) == bytes.fromhex("0000 ffff 08cf")
    assert written((bits[:0], frequencies[:0])) == b""


@given(messages())
def test_what_was_written_is_read(message: Message) -> None:
    bits, frequencies = message
    known = encoders(bits, 1)
    np.testing.assert_array_equal(coded(known, frequencies), bits)
    np.testing.assert_array_equal(known.frequencies, frequencies)
    tensor = np.full(len(bits), 7, dtype=np.uint8)
    coders = decoders(tensor, [payload(bits, known.frequencies)])
    np.testing.assert_array_equal(coded(coders, frequencies), bits)
    np.testing.assert_array_equal(tensor, bits)  # it is written to where it lies
    assert not len(coders.frequencies)


@given(messages())
def test_bits_are_those_that_constriction_reads(message: Message) -> None:
    bits, frequencies = message
    data = written(message)
    words = np.frombuffer(data + bytes(-len(data) % 4), dtype=">u4").astype(np.uint32)
    decoder = constriction.stream.queue.RangeDecoder(words)
    bernoulli = constriction.stream.model.Bernoulli(perfect=False)
    np.testing.assert_array_equal(decoder.decode(bernoulli, frequencies / 65536), bits)


def test_every_frequency_divides_the_range_as_constriction_does() -> None:
    frequencies = np.repeat(np.arange(1, 65536, dtype=np.int32), 2)
    bits = np.tile(np.array([0, 1], dtype=np.uint8), 65535)
    for order in (slice(None), np.random.default_rng(0).permutation(len(bits))):
        message = bits[order], frequencies[order]
        np.testing.assert_array_equal(read(message, written(message)), message[0])


@given(st.lists(messages(), min_size=1, max_size=4), st.booleans())
def test_segments_are_read_one_beside_the_other(some: list[Message], encoding: bool) -> None:
    ends = np.cumsum([len(bits) for bits, _ in some]).tolist()
    whole = np.concatenate([bits for bits, _ in some])
    known = [encoding or index % 2 == 1 for index in range(len(some))]
    tensor = np.where(np.repeat(known, [len(bits) for bits, _ in some]), whole, 7).astype(np.uint8)
    sources = [None if plain else written(one) for one, plain in zip(some, known, strict=True)]
    coders = encoders(tensor, len(some)) if encoding else decoders(tensor, sources)
    halves = [len(bits) // 2 for bits, _ in some]
    for second in (False, True):  # they take turns
        for segment, ((bits, frequencies), half) in enumerate(zip(some, halves, strict=True)):
            part = slice(half, None) if second else slice(half)
            first = ends[segment] - len(bits) + (half if second else 0)
            values = coded(coders, frequencies[part], first, segment)
            np.testing.assert_array_equal(values, bits[part])
    np.testing.assert_array_equal(tensor, whole)
    if encoding:
        frequencies = np.concatenate([frequencies for _, frequencies in some])
        np.testing.assert_array_equal(coders.frequencies, frequencies)


@pytest.mark.parametrize("shape", [(0,), (7,), (2, 3, 4)])
def test_bits_of_any_shape_and_layout_are_encoded_and_stay_as_they_are(
    shape: tuple[int, ...],
) -> None:
    random = np.random.default_rng(0)
    bits = random.integers(0, 2, shape, dtype=np.uint8)
    frequencies = random.integers(1, 65536, bits.size, dtype=np.int32)
    locked = bits.copy()
    locked.flags.writeable = False
    for given_bits in (
        bits,
        locked,
        np.asfortranarray(bits),
        np.repeat(bits, 2, axis=-1)[..., ::2],
    ):
        coders = encoders(given_bits, 1)
        np.testing.assert_array_equal(coded(coders, frequencies), bits.ravel())
        np.testing.assert_array_equal(given_bits, bits)


@given(messages())
def test_payload_has_nearly_the_ideal_size(message: Message) -> None:
    bits, frequencies = message
    # constriction divides its range by 2^24 and gives the ones the rounding: 256 f parts, and
    # one more where f is below one half.
    ones = (256 * frequencies + (frequencies < 32768)) / (1 << 24)
    divided = math.fsum(-np.log2(np.where(bits, ones, 1 - ones)))
    ideal = math.fsum(code_lengths(bits, frequencies.astype(np.uint16)))
    data = written(message)
    assert 0.9996 * ideal <= divided <= ideal + 2e-6 * len(bits)
    assert 8 * len(data) <= 1.0005 * ideal + 9  # or fewer: a range may have a rounder number
    least = least_bytes(max(len(bits), 1))
    assert len(data) == least or data[-1]


@given(messages())
def test_payloads_are_those_of_the_reference(message: Message) -> None:
    encoder = RangeEncoder()
    for bit, frequency in zip(*(part.tolist() for part in message), strict=True):
        encoder.encode(bit, frequency)
    assert encoder.finish() == written(message)


def test_zeros_fill_up_a_payload_of_many_bits() -> None:
    bits = np.zeros((1 << 19) * 11 + 1, dtype=np.uint8)
    frequencies = np.full(bits.size, 9, dtype=np.int32)  # the range ends at 0
    data = written((bits, frequencies))
    assert data == bytes(4)
    np.testing.assert_array_equal(read((bits, frequencies), data), bits)


@given(messages())
def test_code_lengths_are_those_of_the_frequencies(message: Message) -> None:
    bits, frequencies = message
    lengths = code_lengths(bits, frequencies.astype(np.uint16))
    assert lengths.dtype == np.float32
    of_bits = zip(bits.tolist(), frequencies.tolist(), strict=True)
    expected = [-math.log2((f if bit else 65536 - f) / 65536) for bit, f in of_bits]
    np.testing.assert_allclose(lengths, expected, rtol=1e-6)


def read_anything(message: Message, data: bytes) -> None:
    """Gives bits, as many as there should be, or says that there are none; else fails."""
    try:
        assert not (read(message, data) > 1).any()
    except ImpossibleError:
        return


@given(messages(), st.data())
def test_a_damaged_payload_gives_bits_or_is_refused(message: Message, data: st.DataObject) -> None:
    damaged = bytearray(written(message))
    for flipped in data.draw(st.lists(st.integers(0, 1 << 20), max_size=5)) if damaged else []:
        damaged[flipped // 8 % len(damaged)] ^= 1 << flipped % 8
    kept = data.draw(st.integers(0, len(damaged)))
    read_anything(message, bytes(damaged[:kept]))
    read_anything(message, bytes(damaged) + bytes(kept))


@given(st.binary(max_size=200), messages())
def test_any_payload_gives_bits_or_is_refused(data: bytes, message: Message) -> None:
    read_anything(message, data)


def test_what_no_encoder_writes_is_refused() -> None:
    with pytest.raises(ImpossibleError):
        read((np.zeros(1000, np.uint8), np.full(1000, 32768, dtype=np.int32)), b"\xff" * 8)
