"""Bits and frequencies <-> payload bytes: the range coder of `constriction`.

A payload is the coder's 32-bit words, little-endian. `constriction` writes it in one call, once all
frequencies of a segment are known. Decoding needs every bit before the next frequency; a call of
`constriction` costs as much as a hundred bits, so that its decoder stands here once more, in
integers, as a part of the compiled loop (traversal.py): FORMAT.md defines it, the tests hold it
against `constriction`.

The coder itself hardly ever notices damage: lengths and checksums are the container's job.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import constriction
import numpy as np
import numpy.typing as npt

from nncodec.model.fixed_point import FREQUENCY_BITS, FREQUENCY_ONE
from nncodec.model.kernels.compilation import compiled, inlined

Bits = npt.NDArray[np.uint8]
Frequencies = npt.NDArray[np.uint16]
Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]

WORD_BITS = 32
PROBABILITY_BITS = 24
"""A range is divided into 2^24 parts."""


class Coders(NamedTuple):
    """The coders of all segments, one after another: whatever gives the traversal its bits.

    Those of a segment are known beforehand, as in an encoder and where it is stored, or they are
    read from its words.

    Attributes:
        bits: uint8 (bits,), {0, 1}, of every segment in its coding order; what is read is written.
        frequencies: uint16 (bits,), at which a 1 was asked for; or none, if nobody wants them.
        places: int64 (segments,), where the next bit of each is.
        known: bool (segments,), whether its bits are.
        words: uint32, of the payloads that are read, one after another.
        word_places, word_ends: int64 (segments,), the next word of each, and where they end.
        ranges: uint64 (segments,), what is left of the coder's range.
        offsets: uint64 (segments,), where in it the payload points to.
        possible: bool (segments,), whether an encoder could have written what was read so far.
    """

    bits: Bits
    frequencies: Frequencies
    places: Int64
    known: npt.NDArray[np.bool_]
    words: npt.NDArray[np.uint32]
    word_places: Int64
    word_ends: Int64
    ranges: UInt64
    offsets: UInt64
    possible: npt.NDArray[np.bool_]


def encoders(parts: Sequence[Bits]) -> Coders:
    """Coders that know the bits of every segment, and keep at what frequencies they are asked.

    Args:
        parts: uint8 {0, 1}, each in the coding order of its segment.
    """
    coders = decoders([part.size for part in parts], parts)
    return coders._replace(frequencies=np.empty(coders.bits.size, dtype=np.uint16))


def decoders(sizes: Sequence[int], sources: Sequence[bytes | Bits]) -> Coders:
    """Coders that read.

    Args:
        sizes: how many bits each segment has.
        sources: for each its payload, of whole words; or, where they are known, its bits, uint8
            {0, 1}, in its coding order.
    """
    payloads = [source if isinstance(source, bytes) else b"" for source in sources]
    lengths = np.array([len(payload) // 4 for payload in payloads])
    bits, ends, word_ends = np.zeros(sum(sizes), np.uint8), np.cumsum(sizes), np.cumsum(lengths)
    known = np.array([not isinstance(source, bytes) for source in sources])
    coders = Coders(
        bits=bits,
        frequencies=np.empty(0, dtype=np.uint16),
        places=ends - np.array(sizes),
        known=known,
        words=np.frombuffer(b"".join(payloads), dtype="<u4").astype(np.uint32),
        word_places=word_ends - lengths,
        word_ends=word_ends,
        ranges=np.full(len(sizes), np.iinfo(np.uint64).max),
        offsets=np.zeros(len(sizes), dtype=np.uint64),
        possible=np.ones(len(sizes), dtype=np.bool_),
    )
    for part, source in zip(np.split(bits, ends[:-1]), sources, strict=True):
        if not isinstance(source, bytes):
            part[:] = source
    start_reading(coders)
    return coders


def payload(bits: Bits, frequencies: Frequencies) -> bytes:
    """The range-coded bits.

    Args:
        bits: uint8 {0, 1}.
        frequencies: uint16, 1 ... 65535, of a 1 for each.
    """
    encoder = constriction.stream.queue.RangeEncoder()
    encoder.encode(bits.astype(np.int32), _BERNOULLI, frequencies / FREQUENCY_ONE)
    words: npt.NDArray[np.uint32] = encoder.get_compressed()
    return words.astype("<u4").tobytes()


def code_lengths(bits: Bits, frequencies: Frequencies) -> npt.NDArray[np.float32]:
    """float32 (bits,): -log2 of every bit's probability, for people; nothing is coded by it."""
    # That of a zero is 2^16 less the frequency: -frequency in 16 bits.
    flips = bits.astype(np.uint16) - np.uint16(1)
    own: Frequencies = (frequencies ^ flips) - flips
    return _code_length_table()[own]


@compiled
def start_reading(coders: Coders) -> None:
    """Takes the first words of every payload."""
    for segment in range(len(coders.places)):
        for _ in range(64 // WORD_BITS):
            coders.offsets[segment] = _with_next_word(coders, segment, coders.offsets[segment])


@inlined
def code(
    coders: Coders,
    segment: int,
    frequencies: npt.NDArray[np.int32],
    bits: Bits,
    count: int,
) -> None:
    """Gives the next bits of a segment, at their frequencies.

    Args:
        coders: that of the segment moves on.
        segment: its number.
        frequencies: int32, 1 ... 65535, of a 1 for each bit, and more.
        bits: uint8, likewise; {0, 1} are written to it.
        count: how many.
    """
    place = coders.places[segment]
    coders.places[segment] = place + count
    if len(coders.frequencies):
        for bit in range(count):
            coders.frequencies[place + bit] = frequencies[bit]
    if coders.known[segment]:
        for bit in range(count):
            bits[bit] = coders.bits[place + bit]
        return
    # The casts keep everything in unsigned integers of 64 bits.
    size, offset = coders.ranges[segment], coders.offsets[segment]
    possible = coders.possible[segment]
    for bit in range(count):
        part = size >> np.uint64(PROBABILITY_BITS)
        possible &= offset < part << np.uint64(PROBABILITY_BITS)
        zeros = part * np.uint64(parts_of_zero(frequencies[bit]))
        if offset < zeros:
            bits[bit] = 0
            size = zeros
        else:
            bits[bit] = 1
            offset -= zeros
            size = (part << np.uint64(PROBABILITY_BITS)) - zeros
        coders.bits[place + bit] = bits[bit]
        if size < np.uint64(1 << WORD_BITS):
            size <<= np.uint64(WORD_BITS)
            offset = _with_next_word(coders, segment, offset)
    coders.ranges[segment], coders.offsets[segment] = size, offset
    coders.possible[segment] = possible


@inlined
def parts_of_zero(frequency: int) -> int:
    """How many of a range's 2^24 parts a 0 gets, where a 1 has a frequency: 1 ... 2^24 - 1.

    `constriction` gives the ones floor(frequency (2^24 - 2) / 2^16) and one more, and the zeros
    the rest, both in floating point; that is this.
    """
    shift = PROBABILITY_BITS - FREQUENCY_BITS
    return (FREQUENCY_ONE - frequency << shift) - (frequency < FREQUENCY_ONE // 2)


@inlined
def _with_next_word(coders: Coders, segment: int, offset: np.uint64) -> np.uint64:
    """An offset, one word more exact; behind the end of a payload there are zeros."""
    offset <<= np.uint64(WORD_BITS)
    place = coders.word_places[segment]
    if place < coders.word_ends[segment]:
        coders.word_places[segment] = place + 1
        offset |= np.uint64(coders.words[place])
    return offset


@cache
def _code_length_table() -> npt.NDArray[np.float32]:
    """float32 (2^16,): the code length of a bit by its own frequency."""
    with np.errstate(divide="ignore"):  # nothing has the frequency 0
        table = -np.log2(np.arange(FREQUENCY_ONE) / FREQUENCY_ONE).astype(np.float32)
    table.flags.writeable = False
    return table


# Fixed by the format: `perfect=True` computes in floating point.
_BERNOULLI = constriction.stream.model.Bernoulli(perfect=False)
