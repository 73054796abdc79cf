"""Segments: some adjacent layers that share a payload, whose bits lie together in the tensor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nncodec.coding.range_coder import code_lengths
from nncodec.format.code_tensor import Codes
from nncodec.model.fixed_point import FREQUENCY_ONE

SEGMENT_BITS = 2048
"""Layers smaller than this share a segment with the next ones, to save their 12 bytes each."""


@dataclass(frozen=True)
class CodedSegment:
    """A segment whose bits are known, after the traversal.

    Attributes:
        codes: uint8 {0, 1}, its layers, [layers, batch, height, width, layer_depth].
        frequencies: uint16, the same shape: of a 1, at which each bit was coded.
    """

    codes: Codes
    frequencies: npt.NDArray[np.uint16]

    def code_lengths(self) -> list[float]:
        """The sum of -log2 of the probability of every bit of each of its layers, in bits."""
        return [
            float(code_lengths(*layer).sum(dtype=float))
            for layer in zip(self.codes, self.frequencies, strict=True)
        ]

    def logits(self) -> npt.NDArray[np.float64]:
        """ln(p / (1 - p)) of every bit's probability p of a 1, in the shape of the codes."""
        ones = self.frequencies / FREQUENCY_ONE
        logits: npt.NDArray[np.float64] = np.log(ones / (1 - ones))
        return logits


def segment_layers(shape: Sequence[int]) -> list[range]:
    """Says which layers each segment of a container holds.

    Args:
        shape: of the code tensor: layers, batch, height, width, layer_depth.
    """
    together, layers = math.ceil(SEGMENT_BITS / math.prod(shape[1:])), range(shape[0])
    return [layers[first : first + together] for first in layers[::together]]
