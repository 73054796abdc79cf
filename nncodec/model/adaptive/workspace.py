"""What a thread needs for itself while it codes a position: the numbers of one block at a time."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.model.adaptive.learning_rates import RATES
from nncodec.model.adaptive.weights import SUMS, Weights
from nncodec.model.contexts import CHANNEL_TAPS, OF_BLOCK, Grid
from nncodec.model.kernels.long_rows import LANES, padded
from nncodec.model.kernels.short_rows import EIGHT

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

MOVES = 2
KNOWN_MOVE, SURPRISE_MOVE = range(MOVES)
"""How far weights move, by kind."""

ERRORS = 2
LEARNER_ERROR, MIXED_ERROR = range(ERRORS)
"""Bit less probability, by the learner and by the mixer."""


class Workspace(NamedTuple):
    """The numbers of one block of one position.

    Attributes:
        rates: int64 (RATES,), what is left of the rates at the position.
        inputs: int8 (1, columns), the signs that a matrix sees.
        signs: int8 (CHANNEL_TAPS, padded block), those of every channel at its taps.
        pairs: int8 (padded block, EIGHT), the first of them, turned.
        factors: int32 (CHANNEL_TAPS,), what the signs of each tap are weighed with.
        gates: int64 (EIGHT,), those by the layer before.
        sums: int32 (SUMS, padded block), the parts of the logits; 0 where there is no channel.
        moves: int16 (MOVES, padded block).
        errors: int32 (ERRORS, padded block), with FREQUENCY_BITS.
        totals: int64 (CHANNEL_TAPS,), sums over channels of errors times signs.
        agreement: int32 (EIGHT,), how many bits known so far agree with those of each pair.
        gated: int32 (EIGHT,), the signs of a bit's pairs times their gates.
        logits: int32 (EIGHT,), what the mixer mixes.
        chosen: int64 (1,), the row of the mixer's set for a bit.
        known: int64 (3, block), of the bits known so far: the signs, the surprise, and the
            network's logits as the learner saw them.
    """

    rates: Int64
    inputs: Int8
    signs: Int8
    pairs: Int8
    factors: Int32
    gates: Int64
    sums: Int32
    moves: Int16
    errors: Int32
    totals: Int64
    agreement: Int32
    gated: Int32
    logits: Int32
    chosen: Int64
    known: Int64


def make_workspace(grid: Grid, weights: Weights) -> Workspace:
    """Makes the workspace of one thread."""
    block = int(grid.sizes[OF_BLOCK])
    channels = padded(block, LANES)
    matrices = (weights.around, weights.before, weights.motion)
    columns = max(matrix.inputs.shape[1] for matrix in matrices)
    return Workspace(
        rates=np.zeros(RATES, dtype=np.int64),
        inputs=np.zeros((1, columns), dtype=np.int8),
        signs=np.zeros((len(CHANNEL_TAPS), channels), dtype=np.int8),
        pairs=np.zeros((channels, EIGHT), dtype=np.int8),
        factors=np.zeros(len(CHANNEL_TAPS), dtype=np.int32),
        gates=np.zeros(EIGHT, dtype=np.int64),
        sums=np.zeros((SUMS, channels), dtype=np.int32),
        moves=np.zeros((MOVES, channels), dtype=np.int16),
        errors=np.zeros((ERRORS, channels), dtype=np.int32),
        totals=np.zeros(len(CHANNEL_TAPS), dtype=np.int64),
        agreement=np.zeros(EIGHT, dtype=np.int32),
        gated=np.zeros(EIGHT, dtype=np.int32),
        logits=np.zeros(EIGHT, dtype=np.int32),
        chosen=np.zeros(1, dtype=np.int64),
        known=np.zeros((3, block), dtype=np.int64),
    )
