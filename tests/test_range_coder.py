"""The range coder: exact bytes, exact bits back, within a hair of the ideal size."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncodec.errors import BitstreamError
from nncodec.range_coder import Bits, Coder, Decoder, Encoder, Frequencies, KnownBits

Message = tuple[Bits, Frequencies]


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


def coded(coder: Coder, frequencies: Frequencies) -> Bits:
    bits = np.full(len(frequencies), 7, dtype=np.uint8)
    coder.code(frequencies, bits)
    return bits


def encoded(bits: Bits, frequencies: Frequencies) -> Encoder:
    encoder = Encoder(bits)
    np.testing.assert_array_equal(coded(encoder, frequencies), bits)
    return encoder


def pieces(frequencies: Frequencies, cuts: Sequence[int]) -> list[Frequencies]:
    limits = sorted({0, *(cut % (len(frequencies) + 1) for cut in cuts), len(frequencies)})
    return [frequencies[begin:end] for begin, end in itertools.pairwise(limits)]


MESSAGE: Message = (
    np.array([1, 0, 1, 1, 0, 0, 1, 0], dtype=np.uint8),
    np.array([65535, 1, 32768, 60000, 100, 20000, 40000, 30000], dtype=np.int32),
)


def test_payloads_never_change() -> None:
    bits, frequencies = MESSAGE
    assert encoded(bits, frequencies).payload() == bytes.fromhex("d462 7daa")
    assert encoded(1 - bits, frequencies).payload() == bytes.fromhex("ffff 0000 befc ce08")
    assert Encoder(bits[:0]).payload() == b""


@given(messages(), st.lists(st.integers(0, 3000), max_size=20))
def test_decoder_reads_what_encoder_was_given(message: Message, cuts: list[int]) -> None:
    bits, frequencies = message
    encoder = Encoder(bits)
    given_bits = [coded(encoder, piece) for piece in pieces(frequencies, cuts)]
    decoder = Decoder(encoder.payload())
    read_bits = [coded(decoder, piece) for piece in pieces(frequencies, cuts)]
    for expected, read in zip(given_bits, read_bits, strict=True):
        np.testing.assert_array_equal(read, expected)
    np.testing.assert_array_equal(encoder.bits(), bits)


@given(messages())
def test_payload_is_whole_words_of_nearly_the_ideal_size(message: Message) -> None:
    bits, frequencies = message
    # constriction divides its range by 2^24 and gives the ones the rounding: 256 f parts, and
    # one more where f is below one half.
    ones = (256 * frequencies + (frequencies < 32768)) / (1 << 24)
    divided = math.fsum(-np.log2(np.where(bits, ones, 1 - ones)))
    encoder = encoded(bits, frequencies)
    ideal = math.fsum(encoder.code_lengths())
    payload = encoder.payload()
    assert len(payload) % 4 == 0
    assert 0.9996 * ideal <= divided <= ideal + 2e-6 * len(bits)
    assert divided - 1e-6 <= 8 * len(payload) <= 1.0005 * ideal + 64


@given(messages())
def test_code_lengths_are_those_of_the_frequencies(message: Message) -> None:
    bits, frequencies = message
    lengths = encoded(bits, frequencies).code_lengths()
    assert lengths.dtype == np.float32
    of_bits = zip(bits.tolist(), frequencies.tolist(), strict=True)
    expected = [-math.log2((f if bit else 65536 - f) / 65536) for bit, f in of_bits]
    np.testing.assert_allclose(lengths, expected, rtol=1e-6)


@given(messages(), st.integers(0, 3000))
def test_known_bits_come_in_order_whatever_their_frequencies(message: Message, cut: int) -> None:
    bits, frequencies = message
    coder = KnownBits(bits)
    end = 0
    for piece in pieces(frequencies, [cut]):
        begin, end = end, end + len(piece)
        np.testing.assert_array_equal(coded(coder, piece), bits[begin:end])


def decode_anything(payload: bytes, frequencies: Frequencies) -> None:
    """Decodes to bits of the right number, or a BitstreamError; anything else fails."""
    decoder = Decoder(payload)
    try:
        for piece in np.array_split(frequencies, 3):
            assert not (coded(decoder, piece) > 1).any()
    except BitstreamError:
        return


@given(messages(), st.data())
def test_decoder_reads_bits_or_refuses_when_a_payload_is_damaged(
    message: Message, data: st.DataObject
) -> None:
    bits, frequencies = message
    payload = bytearray(encoded(bits, frequencies).payload())
    for flipped in data.draw(st.lists(st.integers(0, 1 << 20), max_size=5)) if payload else []:
        payload[flipped // 8 % len(payload)] ^= 1 << flipped % 8
    words = data.draw(st.integers(0, len(payload) // 4))
    decode_anything(bytes(payload[: 4 * words]), frequencies)
    decode_anything(bytes(payload) + bytes(4 * words), frequencies)


@given(st.lists(st.binary(min_size=4, max_size=4), max_size=50), messages())
def test_decoder_reads_bits_or_refuses_whatever_the_payload(
    words: list[bytes], message: Message
) -> None:
    decode_anything(b"".join(words), message[1])


def test_decoder_refuses_what_no_encoder_writes() -> None:
    with pytest.raises(BitstreamError, match="a payload is damaged; get another copy of the file"):
        coded(Decoder(b"\xff" * 8), np.full(1000, 32768, dtype=np.int32))
