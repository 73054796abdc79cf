"""Segments: some adjacent layers that share a payload, whose bits lie together in the tensor."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nncodec.coding.range_coder import Frequencies, code_lengths
from nncodec.format.code_tensor import Codes, pack_bits
from nncodec.model.fixed_point import FREQUENCY_ONE

SEGMENT_BITS = 3072
"""Layers smaller than this share a segment with the next ones, to save their 8 bytes each."""

ENDING_SEGMENT_BITS = 12288
"""The same where positions end early: layers of few bits are the rule there, and have to share.
Such a segment is about as long as a packet of a network."""


@dataclass(frozen=True)
class CodedSegment:
    """A segment whose bits are known, after the traversal.

    Attributes:
        codes: uint8 {0, 1}, or ABSENT, its layers, [layers, ...].
        frequencies: uint16, the same shape: of a 1, at which each bit was coded; 0 where a position
            has not the layer.
        marks: uint8 {0, 1}, [layers, positions], whether positions have its layers; None where
            every position has all layers.
        decisions: uint16, the same shape: of a 1, at which that was coded; 0 where it was not.
    """

    codes: Codes
    frequencies: Frequencies
    marks: Codes | None = None
    decisions: Frequencies | None = None

    def code_lengths(self) -> list[float]:
        """The sum of -log2 of the probability of all that each of its layers codes, in bits."""
        lengths = self._lengths
        if self.marks is not None and self.decisions is not None:
            more = _sums(self.marks, self.decisions)
            lengths = [sum(both) for both in zip(lengths, more, strict=True)]
        return lengths

    def bits_length(self) -> float:
        """The sum of -log2 of the probability of every bit, without decisions."""
        return sum(self._lengths)

    @cached_property
    def _lengths(self) -> list[float]:
        """Of the bits of each layer."""
        if self.marks is None:
            return _sums(self.codes, self.frequencies)
        sizes, some = (*self.marks.shape, -1), self.marks > 0
        codes, frequencies = self.codes.reshape(sizes), self.frequencies.reshape(sizes)
        layers = range(len(some))
        return _sums(
            [codes[layer, some[layer]] for layer in layers],
            [frequencies[layer, some[layer]] for layer in layers],
        )

    def bits(self) -> list[int]:
        """How many bits each of its layers codes, without decisions."""
        if self.marks is None:
            return [layer.size for layer in self.codes]
        channels = self.codes.size // self.marks.size
        return [int(layer.sum()) * channels for layer in self.marks]

    def symbols(self, *, plain: bool = False) -> tuple[Codes, Frequencies]:
        """Gives all that is coded, in coding order, and at what frequencies.

        Args:
            plain: give all bits the frequency 1/2.
        """
        frequencies = self.frequencies
        if plain:
            half = np.uint16(FREQUENCY_ONE >> 1)
            frequencies = np.where(frequencies > 0, half, frequencies)
        if self.marks is None or self.decisions is None:
            return self.codes.reshape(-1), frequencies.reshape(-1)
        # At a position the decision comes first.
        size, marks, decisions = self.marks.size, self.marks.ravel(), self.decisions.ravel()
        some = np.flatnonzero((marks > 0) | (decisions > 0))
        bits = np.column_stack([marks[some], self.codes.reshape(size, -1)[some]])
        asked = np.column_stack([decisions[some], frequencies.reshape(size, -1)[some]])
        coded = asked > 0
        return bits[coded], asked[coded]

    def logits(self) -> npt.NDArray[np.float64]:
        """ln(p / (1 - p)) of every bit's probability p of a 1, in the shape of the codes.

        Where a position has not the layer, it is 0.
        """
        half = np.uint16(FREQUENCY_ONE >> 1)
        ones = np.where(self.frequencies > 0, self.frequencies, half) / FREQUENCY_ONE
        logits: npt.NDArray[np.float64] = np.log(ones / (1 - ones))
        return logits


def _sums(bits: Iterable[Codes], frequencies: Iterable[Frequencies]) -> list[float]:
    return [
        float(code_lengths(*layer).sum(dtype=float))
        for layer in zip(bits, frequencies, strict=True)
    ]


def segment_layers(bits: Sequence[int], *, ending: bool = False) -> list[range]:
    """Says which layers each segment of a group holds.

    Args:
        bits: how many each layer has.
        ending: whether positions end early; then the last segment has no fewer bits than others.
    """
    least = ENDING_SEGMENT_BITS if ending else SEGMENT_BITS
    segments: list[range] = []
    begin, held = 0, 0
    for layer, count in enumerate(bits):
        held += count
        if held >= least or layer == len(bits) - 1:
            if ending and held < least and segments:
                begin = segments.pop().start
            segments.append(range(begin, layer + 1))
            begin, held = layer + 1, 0
    return segments


def segment_checksum(codes: Codes, marks: Codes | None, payload: bytes) -> int:
    """CRC-32 of a segment's bits, packed in the order of the tensor, and of its payload.

    Where positions may end early, which have its layers is between the two, likewise packed. The
    payload has bits that decide nothing; without it their damage would pass unseen.
    """
    if marks is None:
        crc = zlib.crc32(pack_bits(codes))
    else:  # what is not there is 0
        crc = zlib.crc32(pack_bits(codes == 1))
        crc = zlib.crc32(pack_bits(marks), crc)
    return zlib.crc32(payload, crc)
