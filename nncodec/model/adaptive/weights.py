"""The weights of the adaptive stage, as they learn: FORMAT.md section 8 names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.model.adaptive.learning_rates import Shares, make_shares
from nncodec.model.adaptive.start import MIXER_BITS, Start
from nncodec.model.adaptive.untrained_weights import START_BITS
from nncodec.model.contexts import (
    AROUND_STEPS,
    AROUND_TAPS,
    BEFORE_TAPS,
    BLOCK_BEFORE,
    CHANNEL_TAPS,
    FRAME_TAPS,
    GATES,
    MOTION_TAPS,
    RESEMBLANCE_TAPS,
    Tap,
    Taps,
    place_taps,
)
from nncodec.model.kernels.long_rows import LANES, padded
from nncodec.model.kernels.short_rows import EIGHT
from nncodec.model.schedule import Schedule, block_count, block_size

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

UNIT_BITS = START_BITS
"""Fractional bits of a unit's weights of bits, which have 16 bits, and saturate."""
WEIGHT_BITS = 24
"""Fractional bits of all other weights, as they learn."""
WEIGHT_LIMIT = 4 << WEIGHT_BITS
"""The largest of these, either way, but the mixer's."""
MIXER_LIMIT = 8 << WEIGHT_BITS
"""The largest weight of the mixer, either way."""

SETS = 7
"""The sets of the mixer that a layer has: the first for all bits, in a sequence each for some, by
how much the position resembles the frame before."""

NEW_FRAME = round(0.3 * (1 << WEIGHT_BITS))
"""What the weights of the frame before start from: as it is, and times either gate."""


SUMS = 5
AROUND_SUM, BEFORE_SUM, MOTION_SUM, KNOWN_SUM, NEARBY_SUM = range(SUMS)
"""The parts of a logit: of what is around, of the layer before, of the frames before; of the known
bits, their surprise and the constant; of the CHANNEL_TAPS."""


class Matrix(NamedTuple):
    """Weights of whole blocks of signs at some neighbours, one row a unit.

    They learn when they are next used, in the same pass over memory; until then it is pending.

    Attributes:
        weights: int16 (units, `padded` taps * block), with UNIT_BITS.
        moves: int16 (layers * blocks, padded block), how far the weights of each unit move.
        inputs: int8 (layers * blocks, padded taps * block), the signs along which, times `steps`.
        steps: int8 (1, padded taps * block), how much farther some weights move.
        taps: where the neighbours lie.
        sums: the row of `Workspace.sums` that their sums go to.
    """

    weights: Int16
    moves: Int16
    inputs: Int8
    steps: Int8
    taps: Taps
    sums: int


class Weights(NamedTuple):
    """The weights of all units and layers, and how fast they learn.

    A unit's row is (layer * blocks + block of the unit) * block size + rank in the block. *Rows of
    a block* have a column for every channel of it, and are numbered likewise by the channel that
    is seen.

    Attributes:
        around, before, motion: of the taps of these names.
        known, surprise: int16 (units, padded block), rows of a block: of a known bit, and of how
            surprising it was, with UNIT_BITS.
        constant, network: int32 (units,), with WEIGHT_BITS, as are all that follow.
        taps: int32 (layers, CHANNEL_TAPS).
        gates, earlier_gates: int32 (layers, 2 * EIGHT): a line of a processor's cache each, which
            threads would else fight for.
        mixers: int32 (units, EIGHT).
        sets: int32 (layers * SETS, EIGHT).
        rates: int32 (layers, RATES), with RATE_BITS.
        shares: what is left of them.
    """

    around: Matrix
    before: Matrix
    motion: Matrix
    known: Int16
    surprise: Int16
    constant: Int32
    network: Int32
    taps: Int32
    gates: Int32
    earlier_gates: Int32
    mixers: Int32
    sets: Int32
    rates: Int32
    shares: Shares


_SPATIAL = [tap not in FRAME_TAPS for tap in CHANNEL_TAPS]


def make_weights(schedule: Schedule, start: Start) -> Weights:
    """Makes the weights of the first layers of a start."""
    layers, some = schedule.layers, slice(schedule.layers)
    block = block_size(schedule.channels)
    more = block_count(schedule.channels) * block - schedule.channels  # channels without a bit

    def of_units(values: npt.NDArray[np.signedinteger]) -> npt.NDArray[np.int64]:
        whole = np.pad(values[some], ((0, 0), (0, more), *[(0, 0)] * (values.ndim - 2)))
        return whole.reshape(-1, *values.shape[2:]).astype(np.int64)

    units, raised = of_units(start.units), WEIGHT_BITS - START_BITS
    seen = [*[BLOCK_BEFORE] * (block_count(schedule.channels) > 1), *BEFORE_TAPS]
    ends = [block, 2 * block, (2 + len(seen)) * block]
    known, surprise, before, rest = np.split(units, ends, axis=1)
    pairs, frames = len(RESEMBLANCE_TAPS), len(FRAME_TAPS)
    shared = start.shared[some].astype(np.int64) << raised
    new = [NEW_FRAME, *[0] * (frames - 1)] if schedule.sequence else [0] * frames
    taps, gates, earlier = np.split(shared, [shared.shape[1] - 2 * pairs, -pairs], axis=1)
    all_taps = np.tile(np.array([0] * pairs + new + [0] * (taps.shape[1] - pairs)), (layers, 1))
    all_taps[:, _SPATIAL] = taps
    with_frames = [np.hstack([part, np.tile(new, (layers, 1))]) for part in (gates, earlier)]
    mixer_shift = WEIGHT_BITS - MIXER_BITS
    sets = start.sets[some].astype(np.int64) << mixer_shift
    around = of_units(start.around)
    motion = MOTION_TAPS if schedule.sequence else ()
    still = np.zeros((len(units), len(motion) * block), dtype=np.int64)
    return Weights(
        around=_matrix(
            around.reshape(len(units), -1), AROUND_TAPS, AROUND_SUM, schedule, AROUND_STEPS
        ),
        before=_matrix(before, seen, BEFORE_SUM, schedule),
        motion=_matrix(still, motion, MOTION_SUM, schedule),
        known=_rows_of_blocks(known, block),
        surprise=_rows_of_blocks(surprise, block),
        constant=_int32(rest[:, 0] << raised),
        network=_int32(rest[:, -1] << raised if start.with_network else 0 * rest[:, 0]),
        taps=_int32(all_taps),
        gates=_int32(np.pad(with_frames[0], ((0, 0), (0, EIGHT)))),
        earlier_gates=_int32(np.pad(with_frames[1], ((0, 0), (0, EIGHT)))),
        mixers=_lanes(of_units(start.mixers) << mixer_shift),
        sets=_lanes(np.repeat(sets, SETS, axis=0)),
        rates=start.rates[some].copy(),
        shares=make_shares(start.half_lives[some], schedule.positions),
    )


def learned(weights: Weights, schedule: Schedule, start: Start) -> dict[str, Float64]:
    """Says what the weights have become, in the form and by the names of a start.

    Args:
        weights: after a traversal.
        schedule: of it.
        start: that they began from.

    Returns:
        float64, the weights as numbers, of the layers that the schedule has.
    """
    layers, channels = schedule.layers, schedule.channels
    block, pairs = block_size(channels), len(RESEMBLANCE_TAPS)
    inputs = start.mixers.shape[-1]

    def by_channel(values: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        of_layers = values.reshape(layers, -1, *values.shape[1:])[:, :channels]
        return of_layers.astype(np.int64)

    known, surprise = (
        by_channel(_rows_of_units(rows, block)) for rows in (weights.known, weights.surprise)
    )
    lower = np.arange(block) < np.arange(channels)[:, None] % block
    around, before = (
        by_channel(_settled(matrix, block)) for matrix in (weights.around, weights.before)
    )
    singles = [weights.constant, *[weights.network] * start.with_network]
    units = [
        known * lower,
        surprise * lower,
        before[..., : len(weights.before.taps.frames) * block],
    ]
    shared = [
        weights.taps[:, _SPATIAL],
        weights.gates[:, :pairs],
        weights.earlier_gates[:, :pairs],
    ]
    one, unit_one = 1 << WEIGHT_BITS, 1 << UNIT_BITS
    rest = np.stack([by_channel(single) for single in singles], axis=-1) / one
    sets = weights.sets[::SETS, :inputs]
    taps = len(AROUND_TAPS)
    return {
        "units": np.concatenate([*(part / unit_one for part in units), rest], axis=-1),
        "shared": np.hstack(shared) / one,
        "around": around[..., : taps * block].reshape(layers, channels, taps, block) / unit_one,
        "mixers": by_channel(weights.mixers)[..., :inputs] / one,
        "sets": sets / one,
    }


def _matrix(
    values: Int64,
    taps: Sequence[Tap],
    sums: int,
    schedule: Schedule,
    steps: Sequence[int] | None = None,
) -> Matrix:
    """Makes a matrix of some weights; all of them learn alike without `steps` of the taps."""
    block, blocks = block_size(schedule.channels), block_count(schedule.channels)
    rows, columns = schedule.layers * blocks, padded(len(taps) * block)
    weights = np.pad(values, ((0, 0), (0, columns - values.shape[1])))
    all_steps = np.ones((1, columns), dtype=np.int8)
    if steps is not None:
        all_steps[0, : len(taps) * block] = np.repeat(steps, block)
    return Matrix(
        weights=np.ascontiguousarray(weights, dtype=np.int16),
        moves=np.zeros((rows, padded(block, LANES)), dtype=np.int16),
        inputs=np.zeros((rows, columns), dtype=np.int8),
        steps=all_steps,
        taps=place_taps(taps, schedule),
        sums=sums,
    )


def _settled(matrix: Matrix, block: int) -> Int64:
    """The weights of a matrix with what they have not learned yet."""
    moves = matrix.moves[:, :block].reshape(-1, 1).astype(np.int64)
    changes = moves * np.repeat(matrix.inputs, block, axis=0)
    settled: Int64 = np.clip(matrix.weights + changes, -(1 << 15), (1 << 15) - 1)
    return settled


def _rows_of_blocks(units: Int64, block: int) -> Int16:
    """From rows of units, [units, seen channel], to rows of a block, [seen, padded units]."""
    turned = units.reshape(-1, block, block).swapaxes(1, 2).reshape(-1, block)
    return np.pad(turned, ((0, 0), (0, padded(block, LANES) - block))).astype(np.int16)


def _rows_of_units(rows: Int16, block: int) -> Int16:
    """Undoes `_rows_of_blocks`."""
    return rows[:, :block].reshape(-1, block, block).swapaxes(1, 2).reshape(-1, block)


def _lanes(values: Int64) -> Int32:
    return _int32(np.pad(values, ((0, 0), (0, EIGHT - values.shape[1]))))


def _int32(values: Int64) -> Int32:
    return np.ascontiguousarray(values, dtype=np.int32)


assert GATES == EIGHT
