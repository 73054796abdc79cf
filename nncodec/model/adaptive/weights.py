"""What the learners of the adaptive stage have learned, and what they learn from."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.model.adaptive.learning_rates import LEARNERS, counted_positions, shares
from nncodec.model.adaptive.start import MIXER_SETS, START_BITS, Start
from nncodec.model.contexts import AROUND_TAPS, CHANNEL_TAPS, LAYER_INPUTS, NEAR, block_size
from nncodec.model.kernels.long_rows import padded
from nncodec.model.kernels.short_rows import EIGHT
from nncodec.model.schedule import Schedule

Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

WEIGHT_BITS = 24
"""Fractional bits of a weight as it learns."""
PREDICTION_BITS = 10
"""Fractional bits of a weight as it predicts."""
ROUNDED_BITS = WEIGHT_BITS - PREDICTION_BITS


class Speeds(NamedTuple):
    """How fast everything learns.

    Attributes:
        rates: int32 (layers, RATES and EIGHT zeros), with RATE_BITS.
        shares: int64 (layers, HALF_LIVES, diagonals), what is left of them, with SHARE_BITS.
        counted: int64 (diagonals,), for how many positions a diagonal counts.
    """

    rates: Int32
    shares: Int64
    counted: Int64


class Weights(NamedTuple):
    """The weights of all units and layers, with WEIGHT_BITS, and rounded to PREDICTION_BITS.

    Rows are as long as those of the contexts, with zeros that never move.

    Attributes:
        units, units_rounded: int32 and int16 (units * LEARNERS, 2 * padded block + NEAR + 1 or 2):
            of the known bits, of what only this learner sees, of the CHANNEL_TAPS, of the constant,
            of the network's logit if there is one.
        shared, shared_rounded: int32 and int16 (layers * LEARNERS, padded LAYER_INPUTS).
        around, around_rounded: int32 and int16 (units, padded AROUND_TAPS * block).
    """

    units: Int32
    units_rounded: Int16
    shared: Int32
    shared_rounded: Int16
    around: Int32
    around_rounded: Int16


class Seen(NamedTuple):
    """What the bits are predicted by, beside their contexts, that a layer has at a step: N.

    Attributes:
        network: int16 (N,), the network's logit in sixteenths, if there is one.
        logits: int32 (N, EIGHT), the mixer's inputs, and zeros.
        sets: int64 (N, 2), the sets of the mixer that are chosen.
        mixed: int32 (N,), the mixed logit.
        moves: int32 (N, EIGHT), how far weights of some kinds move by the bits of a run.
        errors: int32 (N, LEARNERS + 1), bit less probability, with FREQUENCY_BITS, by the learners
            and by the mixer; until the bits are known, for zeros.
        nearby: int16 (LEARNERS, padded LAYER_INPUTS), what a unit and its layer make of the
            neighbours, while its bits are predicted.
        together: int64 (LEARNERS, padded LAYER_INPUTS), the change of the shared weights of a layer
            while its units learn.
        sets_together: int64 (MIXER_SETS, EIGHT), likewise of the layer's sets of the mixer.
    """

    network: Int16
    logits: Int32
    sets: Int64
    mixed: Int32
    moves: Int32
    errors: Int32
    nearby: Int16
    together: Int64
    sets_together: Int64


def speeds(schedule: Schedule, start: Start) -> Speeds:
    """The speeds of the first layers of a start."""
    some = slice(schedule.layers)
    return Speeds(
        np.pad(start.rates[some], ((0, 0), (0, EIGHT))),
        shares(schedule, start.half_lives[some]),
        counted_positions(schedule),
    )


def weights(schedule: Schedule, start: Start) -> Weights:
    """The weights of the first layers of a start."""
    some, shift = slice(schedule.layers), WEIGHT_BITS - START_BITS
    block = block_size(schedule.channels)
    units = start.units[some].reshape(-1, start.units.shape[-1])
    ends = [block, 2 * block, 2 * block + len(CHANNEL_TAPS)]
    known, own, near, rest = np.split(units, ends, axis=1)
    around = start.around[some].reshape(len(units) // LEARNERS, -1)
    whole = [
        np.hstack([_padded(known), _padded(own), _padded(near, NEAR), rest]).astype(np.int32)
        << shift,
        _padded(start.shared[some].reshape(-1, LAYER_INPUTS)).astype(np.int32) << shift,
        _padded(around).astype(np.int32) << shift,
    ]
    half = 1 << ROUNDED_BITS - 1
    rounded = [(array + half >> ROUNDED_BITS).astype(np.int16) for array in whole]
    return Weights(
        units=whole[0],
        units_rounded=rounded[0],
        shared=whole[1],
        shared_rounded=rounded[1],
        around=whole[2],
        around_rounded=rounded[2],
    )


def learned(weights: Weights, schedule: Schedule) -> tuple[Float64, Float64, Float64]:
    """The weights as numbers.

    Returns:
        float64: of the units, [layers, channels, LEARNERS, unit inputs], of the layers, [layers,
        LEARNERS, LAYER_INPUTS], and of what is around, [layers, channels, AROUND_TAPS, block].
    """
    one, block = 1 << WEIGHT_BITS, block_size(schedule.channels)
    layers, channels, width = schedule.layers, schedule.channels, padded(block)
    near = 2 * width + len(CHANNEL_TAPS)
    ends = [block, width, width + block, 2 * width, near, 2 * width + NEAR]
    parts = np.split(weights.units, ends, axis=1)
    units = np.hstack(parts[::2]).reshape(layers, channels, LEARNERS, -1)
    shared = weights.shared[:, :LAYER_INPUTS].reshape(layers, LEARNERS, -1)
    around = weights.around[:, : len(AROUND_TAPS) * block]
    return units / one, shared / one, around.reshape(layers, channels, len(AROUND_TAPS), -1) / one


def _padded(rows: Int16, width: int | None = None) -> Int16:
    more = (width or padded(rows.shape[1])) - rows.shape[1]
    return np.pad(rows, ((0, 0), (0, more)))


def room_for_seen(bits: int) -> Seen:
    """Room for what so many bits are predicted by."""
    return Seen(
        network=np.zeros(bits, dtype=np.int16),
        logits=np.zeros((bits, EIGHT), dtype=np.int32),
        sets=np.zeros((bits, 2), dtype=np.int64),
        mixed=np.zeros(bits, dtype=np.int32),
        moves=np.zeros((bits, EIGHT), dtype=np.int32),
        errors=np.zeros((bits, LEARNERS + 1), dtype=np.int32),
        nearby=np.zeros((LEARNERS, padded(LAYER_INPUTS)), dtype=np.int16),
        together=np.zeros((LEARNERS, padded(LAYER_INPUTS)), dtype=np.int64),
        sets_together=np.zeros((MIXER_SETS, EIGHT), dtype=np.int64),
    )
