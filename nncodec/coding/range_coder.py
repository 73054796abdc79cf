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
from nncodec.model.kernels.compilation import inlined

Bits = npt.NDArray[np.uint8]
Frequencies = npt.NDArray[np.uint16]
Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]

WORD_BITS = 32
PROBABILITY_BITS = 24
"""A range is divided into 2^24 parts."""

RANGE, OFFSET, NEXT, POSSIBLE = range(4)
"""The columns of `Coders.states`."""


class Coders(NamedTuple):
    """The coders of all segments, one after another: whatever gives the traversal its bits.

    Those of a segment are known beforehand, as in an encoder and where it is stored, or they are
    read from its words.

    Attributes:
        bits: uint8 (bits,), {0, 1}, of the tensor; what is read is written.
        frequencies: uint16 (bits,), at which a 1 was asked for; or none, if nobody wants them.
        known: bool (segments,), whether the bits of each are.
        words: uint32, of the payloads that are read, one after another.
        word_ends: int64 (segments,), where those of each end.
        states: uint64 (segments, 8), of each the numbers of these names in FORMAT.md, section 7:
            range, offset, next; and whether an encoder could have written what was read so far. A
            row is as long as a line of a processor's cache, which threads would else fight for.
    """

    bits: Bits
    frequencies: Frequencies
    known: npt.NDArray[np.bool_]
    words: npt.NDArray[np.uint32]
    word_ends: Int64
    states: UInt64


def encoders(codes: Bits, segments: int) -> Coders:
    """Makes coders that know all bits, and keep at what frequencies they are asked for.

    Args:
        codes: uint8 {0, 1}, any shape; the bits of the segments, one after another.
        segments: how many there are.
    """
    # Nothing is written to it, but compiled functions do not take what cannot be written to.
    writable = np.require(codes, requirements=["C", "W"])
    coders = decoders(writable, [None] * segments)
    return coders._replace(frequencies=np.empty(codes.size, dtype=np.uint16))


def decoders(codes: Bits, payloads: Sequence[bytes | None]) -> Coders:
    """Makes coders that read.

    Args:
        codes: uint8, any shape, C-contiguous; what is read is written to it.
        payloads: of every segment, whole words; None where the bits in `codes` are known.
    """
    lengths = np.array([len(payload or b"") // 4 for payload in payloads])
    ends = np.cumsum(lengths)
    words = np.frombuffer(b"".join(filter(None, payloads)), dtype="<u4")
    states = np.zeros((len(payloads), 8), dtype=np.uint64)
    states[:, RANGE] = np.iinfo(np.uint64).max
    states[:, NEXT] = ends - lengths
    states[:, POSSIBLE] = 1
    coders = Coders(
        bits=codes.reshape(-1),
        frequencies=np.empty(0, dtype=np.uint16),
        known=np.array([payload is None for payload in payloads]),
        words=words.astype(np.uint32),
        word_ends=ends,
        states=states,
    )
    for state, end in zip(states, ends.tolist(), strict=True):
        for _ in range(64 // WORD_BITS):
            word = 0
            if state[NEXT] < end:
                word = int(coders.words[state[NEXT]])
                state[NEXT] += np.uint64(1)
            state[OFFSET] = int(state[OFFSET]) << WORD_BITS | word
    return coders


def payload(bits: Bits, frequencies: Frequencies) -> bytes:
    """The range-coded bits.

    Args:
        bits: uint8 {0, 1}, any shape.
        frequencies: uint16, 1 ... 65535, of a 1 for each, the same shape.
    """
    encoder = constriction.stream.queue.RangeEncoder()
    symbols, probabilities = bits.reshape(-1), frequencies.reshape(-1)
    encoder.encode(symbols.astype(np.int32), _BERNOULLI, probabilities / FREQUENCY_ONE)
    words: npt.NDArray[np.uint32] = encoder.get_compressed()
    return words.astype("<u4").tobytes()


def code_lengths(bits: Bits, frequencies: Frequencies) -> npt.NDArray[np.float32]:
    """-log2 of every bit's probability, for people, float32, in their shape; it codes nothing."""
    # That of a zero is 2^16 less the frequency: -frequency in 16 bits.
    flips = bits.astype(np.uint16) - np.uint16(1)
    own: Frequencies = (frequencies ^ flips) - flips
    return _code_length_table()[own]


@inlined
def code_bit(coders: Coders, segment: int, index: int, frequency: int) -> int:
    """Gives the next bit of a segment: one that is known, or the next that its payload holds.

    Args:
        coders: that of the segment moves on.
        segment: its number.
        index: of the bit in the tensor.
        frequency: of a 1, 1 ... 65535.
    """
    if len(coders.frequencies):
        coders.frequencies[index] = frequency
    if coders.known[segment]:
        return int(coders.bits[index])
    # The casts keep everything in unsigned integers of 64 bits.
    states = coders.states
    scale, offset = states[segment, RANGE] >> np.uint64(PROBABILITY_BITS), states[segment, OFFSET]
    if offset >= scale << np.uint64(PROBABILITY_BITS):
        states[segment, POSSIBLE] = 0
    size = scale * np.uint64(parts_of_zero(frequency))
    bit = int(offset >= size)
    if bit:
        offset -= size
        size = (scale << np.uint64(PROBABILITY_BITS)) - size
    coders.bits[index] = bit
    if size < np.uint64(1 << WORD_BITS):
        size <<= np.uint64(WORD_BITS)
        offset <<= np.uint64(WORD_BITS)
        word = np.int64(states[segment, NEXT])
        if word < coders.word_ends[segment]:  # behind the end of a payload there are zeros
            offset |= np.uint64(coders.words[word])
            states[segment, NEXT] = word + 1
    states[segment, RANGE], states[segment, OFFSET] = size, offset
    return bit


@inlined
def parts_of_zero(frequency: int) -> int:
    """How many of a range's 2^24 parts a 0 gets, where a 1 has a frequency: 1 ... 2^24 - 1.

    `constriction` gives the ones floor(frequency (2^24 - 2) / 2^16) and one more, and the zeros
    the rest, both in floating point; that is this.
    """
    shift = PROBABILITY_BITS - FREQUENCY_BITS
    return (FREQUENCY_ONE - frequency << shift) - (frequency < FREQUENCY_ONE // 2)


@cache
def _code_length_table() -> npt.NDArray[np.float32]:
    """float32 (2^16,): the code length of a bit by its own frequency."""
    with np.errstate(divide="ignore"):  # nothing has the frequency 0
        table = -np.log2(np.arange(FREQUENCY_ONE) / FREQUENCY_ONE).astype(np.float32)
    table.flags.writeable = False
    return table


# Fixed by the format: `perfect=True` computes in floating point.
_BERNOULLI = constriction.stream.model.Bernoulli(perfect=False)
