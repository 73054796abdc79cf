"""Bits and frequencies <-> payload bytes, by `constriction`'s range coder.

The traversal (codec.py) hands every coder the frequencies of the next bits and gets those bits:
an encoding coder has the bits that it was made with, a decoding coder reads them. A
payload is the coder's 32-bit words, little-endian. The coder itself hardly ever notices damage:
lengths and checksums are the container's job.
"""

from typing import Protocol

import constriction
import numpy as np
import numpy.typing as npt

from nncodec.errors import BitstreamError
from nncodec.fixed_point import FREQUENCY_ONE

Bits = npt.NDArray[np.uint8]
Frequencies = npt.NDArray[np.int32]


class Coder(Protocol):
    """What the traversal asks for bits."""

    def code(self, frequencies: Frequencies, bits: Bits) -> None:
        """Writes the next bits.

        Args:
            frequencies: int32, 1 ... 65535, of a 1 for each bit.
            bits: uint8, as many; {0, 1} are written to it.
        """
        ...


class KnownBits:
    """A coder whose bits are known beforehand: a stored segment, read without a range coder."""

    def __init__(self, bits: Bits) -> None:
        """Takes uint8 {0, 1}, in coding order."""
        self._bits = bits
        self._position = 0

    def code(self, frequencies: Frequencies, bits: Bits) -> None:
        begin = self._position
        self._position = begin + len(frequencies)
        bits[:] = self._bits[begin : self._position]


class Encoder(KnownBits):
    """Gives the bits that it was given and remembers at what frequencies they were asked for."""

    def __init__(self, bits: Bits, frequencies: npt.NDArray[np.uint16] | None = None) -> None:
        """Takes all bits, uint8 {0, 1}, in coding order, and their frequencies where known."""
        super().__init__(bits)
        if frequencies is None:
            frequencies = np.empty(len(bits), dtype=np.uint16)
        self._frequencies = frequencies

    def code(self, frequencies: Frequencies, bits: Bits) -> None:
        self._frequencies[self._position : self._position + len(frequencies)] = frequencies
        super().code(frequencies, bits)

    def bits(self) -> Bits:
        """All the bits, uint8 {0, 1}, in coding order."""
        return self._bits

    def frequencies(self) -> npt.NDArray[np.uint16]:
        """Those of a 1 at which its bits were asked for."""
        return self._frequencies

    def payload(self) -> bytes:
        """The range-coded bits."""
        encoder = constriction.stream.queue.RangeEncoder()
        encoder.encode(self._bits.astype(np.int32), _BERNOULLI, self._frequencies / FREQUENCY_ONE)
        words: npt.NDArray[np.uint32] = encoder.get_compressed()
        return words.astype("<u4").tobytes()

    def code_lengths(self) -> npt.NDArray[np.float32]:
        """float32 (bits,): -log2 of every bit's probability, for people; nothing is coded by it."""
        ones = self._frequencies.astype(np.float32) / FREQUENCY_ONE
        return -np.log2(np.where(self._bits, ones, 1 - ones))

    def logits(self) -> npt.NDArray[np.float64]:
        """float64 (bits,): ln(p / (1 - p)) of every bit's probability p of a 1, for training."""
        ones = self._frequencies / FREQUENCY_ONE
        return np.log(ones / (1 - ones))


class Decoder:
    """Reads the bits from a payload."""

    def __init__(self, payload: bytes) -> None:
        """Takes whole 4-byte words; too few or wrong ones give wrong bits and no error."""
        self._decoder = constriction.stream.queue.RangeDecoder(
            np.frombuffer(payload, dtype="<u4").astype(np.uint32)
        )

    def code(self, frequencies: Frequencies, bits: Bits) -> None:
        try:
            bits[:] = self._decoder.decode(_BERNOULLI, frequencies / FREQUENCY_ONE)
        except AssertionError as error:  # how constriction says that no encoder wrote this
            raise BitstreamError("a payload is damaged; get another copy of the file") from error


# Fixed by the format: `perfect=True` computes in floating point.
_BERNOULLI = constriction.stream.model.Bernoulli(perfect=False)
