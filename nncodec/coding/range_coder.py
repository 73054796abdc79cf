"""Bits and frequencies <-> payload bytes: the range coder of `constriction`.

A payload is a number, the highest byte first, which stands for all bits: the coder's 32-bit words,
without the zeros at the end. `constriction` writes it in one call, once all frequencies of a
segment are known; its end is then made shorter. Decoding needs every bit before the next frequency;
a call of `constriction` costs as much as a hundred bits, so that its decoder stands here once more,
in integers, as a part of the compiled loop (traversal.py): FORMAT.md defines it, the tests hold it
against `constriction`.

The coder itself hardly ever notices damage: lengths and checksums are the container's job.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import constriction
import numpy as np
import numpy.typing as npt

from nncodec.format.groups import least_bytes
from nncodec.model.fixed_point import FREQUENCY_BITS, FREQUENCY_ONE
from nncodec.model.kernels.compilation import inlined

Bits = npt.NDArray[np.uint8]
Frequencies = npt.NDArray[np.uint16]
Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]

WORD_BITS = 32
WORD_BYTES = WORD_BITS // 8
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
        decisions: uint16 (layers * positions,), at which it was asked for that a position has a
            layer; or none.
        marks: uint8 (layers * positions,), {0, 1}, whether each position has each layer; what is
            read is written. None where every position has all.
        known: bool (segments,), whether the bits of each are.
        plain: bool (segments,), whether all bits of each have the frequency 1/2.
        words: uint32, of the payloads that are read, one after another.
        word_ends: int64 (segments,), where those of each end.
        states: uint64 (segments, 8), of each the numbers of these names in FORMAT.md, section 7:
            range, offset, next; and whether an encoder could have written what was read so far. A
            row is as long as a line of a processor's cache, which threads would else fight for.
    """

    bits: Bits
    frequencies: Frequencies
    decisions: Frequencies
    marks: Bits
    known: npt.NDArray[np.bool_]
    plain: npt.NDArray[np.bool_]
    words: npt.NDArray[np.uint32]
    word_ends: Int64
    states: UInt64


def encoders(codes: Bits, segments: int, marks: Bits | None = None) -> Coders:
    """Makes coders that know all bits, and keep at what frequencies they are asked for.

    Args:
        codes: uint8 {0, 1}, [layers, ...]; the bits of the segments, one after another.
        segments: how many there are.
        marks: uint8 {0, 1}, [layers, positions], whether positions have layers, where they may end
            early. The frequency of what is not asked for is 0.
    """
    # Nothing is written to it, but compiled functions do not take what cannot be written to.
    writable = np.require(codes, requirements=["C", "W"])
    coders = decoders(writable, [None] * segments)
    if marks is None:
        return coders._replace(frequencies=np.empty(codes.size, dtype=np.uint16))
    return coders._replace(
        frequencies=np.zeros(codes.size, dtype=np.uint16),
        decisions=np.zeros(marks.size, dtype=np.uint16),
        marks=marks.reshape(-1),
    )


def decoders(
    codes: Bits,
    payloads: Sequence[bytes | None],
    marks: Bits | None = None,
    plain: Sequence[bool] | None = None,
) -> Coders:
    """Makes coders that read.

    Args:
        codes: uint8, any shape, C-contiguous; what is read is written to it.
        payloads: of every segment; None where the bits in `codes` are known.
        marks, plain: as for `waiting_decoders`.
    """
    lengths = [len(payload or b"") for payload in payloads]
    coders = waiting_decoders(codes, lengths, marks, plain)
    for segment, payload in enumerate(payloads):
        give_payload(coders, segment, payload)
    return coders


def waiting_decoders(
    codes: Bits,
    lengths: Sequence[int],
    marks: Bits | None = None,
    plain: Sequence[bool] | None = None,
) -> Coders:
    """Makes coders that read what `give_payload` gives them before their first bit.

    Args:
        codes: uint8, any shape, C-contiguous; what is read is written to it.
        lengths: the bytes of every payload.
        marks: uint8, [layers, positions], C-contiguous, where positions may end early; what is read
            is written to it.
        plain: of every segment, whether all its bits have the frequency 1/2.
    """
    words = np.array([-(-length // WORD_BYTES) for length in lengths])
    ends = np.cumsum(words)
    states = np.zeros((len(lengths), 8), dtype=np.uint64)
    states[:, RANGE] = np.iinfo(np.uint64).max
    states[:, NEXT] = ends - words
    states[:, POSSIBLE] = 1
    return Coders(
        bits=codes.reshape(-1),
        frequencies=np.empty(0, dtype=np.uint16),
        decisions=np.empty(0, dtype=np.uint16),
        marks=np.empty(0, dtype=np.uint8) if marks is None else marks.reshape(-1),
        known=np.zeros(len(lengths), dtype=np.bool_),
        plain=np.array(plain or [False] * len(lengths), dtype=np.bool_),
        words=np.zeros(words.sum(), dtype=np.uint32),
        word_ends=ends,
        states=states,
    )


def give_payload(coders: Coders, segment: int, payload: bytes | None) -> None:
    """Gives one of `waiting_decoders` its payload; None where its bits are known by now."""
    if payload is None:
        coders.known[segment] = True
        return
    state, end = coders.states[segment], int(coders.word_ends[segment])
    words = np.frombuffer(payload + bytes(-len(payload) % WORD_BYTES), dtype=">u4")
    coders.words[end - len(words) : end] = words
    for _ in range(64 // WORD_BITS):
        word = 0
        if state[NEXT] < end:
            word = int(coders.words[state[NEXT]])
            state[NEXT] += np.uint64(1)
        state[OFFSET] = int(state[OFFSET]) << WORD_BITS | word


def payload(bits: Bits, frequencies: Frequencies) -> bytes:
    """The range-coded bits.

    Args:
        bits: uint8 {0, 1}, any shape.
        frequencies: uint16, 1 ... 65535, of a 1 for each, the same shape.
    """
    encoder = constriction.stream.queue.RangeEncoder()
    symbols, probabilities = bits.reshape(-1), frequencies.reshape(-1)
    encoder.encode(symbols.astype(np.int32), _BERNOULLI, probabilities / FREQUENCY_ONE)
    if not symbols.size:
        return b""
    before, (lower, size) = encoder.pos()
    words: npt.NDArray[np.uint32] = encoder.get_compressed()
    number = words.astype(">u4").tobytes().ljust(WORD_BYTES * (before + 2), b"\0")
    number = _shortest(number, lower, size).rstrip(b"\0")
    return number.ljust(least_bytes(symbols.size), b"\0")


def _shortest(number: bytes, lower: int, size: int) -> bytes:
    """Finishes with the number that has the most zeros at its end (FORMAT.md, section 7).

    Args:
        number: one that stands for the bits, as `constriction` finishes, to the end of the window.
        lower: where the last range begins, of which the window is the last 8 bytes.
        size: of the last range.
    """
    window = int.from_bytes(number[-8:], "big")
    for zeros in range(64, -1, -8):
        end = -(-lower >> zeros) << zeros
        if end < lower + size:
            break
    # The window of the number lies in the same range, and has been carried if it begins below it.
    carry = (end >> 64) - (window < lower)
    head = number[:-8]
    if carry:
        head = (int.from_bytes(head, "big") + carry).to_bytes(len(head), "big")
    return head + (end & (1 << 64) - 1).to_bytes(8, "big")


def code_lengths(bits: Bits, frequencies: Frequencies) -> npt.NDArray[np.float32]:
    """-log2 of every bit's probability, for people, float32, in their shape; it codes nothing.

    Where the frequency and the bit are 0, nothing is coded, and it is 0.
    """
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
    bit = _read_bit(coders, segment, frequency)
    coders.bits[index] = bit
    return bit


@inlined
def code_decision(coders: Coders, segment: int, number: int, frequency: int) -> int:
    """Gives the next decision of a segment.

    Args:
        coders: that of the segment moves on.
        segment: its number.
        number: of the position, over all layers.
        frequency: of a 1, 1 ... 65535.
    """
    if coders.known[segment]:
        coders.decisions[number] = frequency
        return int(coders.marks[number])
    return _read_bit(coders, segment, frequency)


@inlined
def _read_bit(coders: Coders, segment: int, frequency: int) -> int:
    """Reads the next bit that a payload holds."""
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
    table[0] = 0  # stands for what is not coded
    table.flags.writeable = False
    return table


# Fixed by the format: `perfect=True` computes in floating point.
_BERNOULLI = constriction.stream.model.Bernoulli(perfect=False)
