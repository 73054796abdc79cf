"""The learners of the adaptive stage: two logistic regressions for every unit.

The fast one sees how surprising the known bits of the position were, the slow one the layer before;
both see everything else in the context. The weights of the neighbours in the bit's own channel are
sums of a part that the channels of a layer learn together and, for the nearest, a part of the
unit's own. What all channels of the neighbours say, both learners are told by the same weights,
which learn from the errors of the mixer.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.compiled import inlined
from nncodec.contexts import (
    AROUND_TAPS,
    CHANNEL_TAPS,
    LAYER_INPUTS,
    LAYER_TAPS,
    UNIT_BITS,
    Grid,
)
from nncodec.fixed_point import FREQUENCY_BITS, LOGIT_BITS, clamped, dot, rounded, to_logit
from nncodec.rates import (
    AROUND,
    AROUND_LIFE,
    CONSTANT,
    FAST,
    FORGETTING,
    KINDS,
    KNOWN,
    LEARNERS,
    NETWORK,
    OWN,
    RATE_BITS,
    SHARE_BITS,
    SHARED_GATES,
    SHARED_TAPS,
    TAPS,
    counted_positions,
    shares,
)
from nncodec.schedule import Bits, Schedule
from nncodec.start import LARGEST_WEIGHT, START_BITS, Start

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

WEIGHT_BITS = 24
"""Fractional bits of a weight as it learns."""
PREDICTION_BITS = 10
"""Fractional bits of a weight as it predicts."""
MIXER_CONSTANT = 77  # 0.3, as a logit

NETWORK_LIMIT = 8
"""A network's logit is clamped to this, either way, where learners weigh it."""

SHARED_WIDTH = -(-LAYER_INPUTS // 16) * 16
"""LAYER_INPUTS and zeros: processors multiply sixteen at once, and what is left over one by one."""

_LIMIT = LARGEST_WEIGHT << WEIGHT_BITS
_NEAR, _FAR = len(CHANNEL_TAPS), len(LAYER_TAPS)


class Speeds(NamedTuple):
    """How fast everything learns.

    Attributes:
        rates: int32 (layers, RATES), with RATE_BITS.
        shares: int64 (layers, HALF_LIVES, diagonals), what is left of them, with SHARE_BITS.
        counted: int64 (diagonals,), for how many positions a diagonal counts.
    """

    rates: Int32
    shares: Int64
    counted: Int64


class Weights(NamedTuple):
    """The weights of all units and layers, with WEIGHT_BITS, and rounded to PREDICTION_BITS.

    Attributes:
        units, units_rounded: int32 and int16 (units * LEARNERS, unit inputs).
        shared, shared_rounded: int32 and int16 (layers * LEARNERS, SHARED_WIDTH).
        around, around_rounded: int32 and int16 (units, AROUND_TAPS * block).
        together: int64 (LEARNERS, SHARED_WIDTH), the change of the shared weights of a layer while
            its units learn.
    """

    units: Int32
    units_rounded: Int16
    shared: Int32
    shared_rounded: Int16
    around: Int32
    around_rounded: Int16
    together: Int64


class Seen(NamedTuple):
    """What the bits of a step see, beside their rows, and are predicted by: N, in coding order.

    Attributes:
        rows: int64 (N,), of the grid.
        around: int8 (N, AROUND_TAPS * block), signs of the unit's block at the neighbours.
        neighbours: int16 (N, SHARED_WIDTH), as contexts.neighbours has them.
        network: int16 (N,), the network's logit in sixteenths, if there is one.
        logits: int32 (N, mixer inputs).
        sets: int64 (N, 2), the sets of the mixer that are chosen.
        mixed: int32 (N,), the mixed logit.
        errors: int32 (N, LEARNERS + 1), bit less probability, with FREQUENCY_BITS, by the learners
            and by the mixer; until the bits are known, for zeros.
    """

    rows: Int64
    around: Int8
    neighbours: Int16
    network: Int16
    logits: Int32
    sets: Int64
    mixed: Int32
    errors: Int32


def speeds(schedule: Schedule, start: Start) -> Speeds:
    """The speeds of the first layers of a start."""
    some = slice(schedule.layers)
    return Speeds(
        np.ascontiguousarray(start.rates[some]),
        shares(schedule, start.half_lives[some]),
        counted_positions(schedule),
    )


def weights(schedule: Schedule, start: Start) -> Weights:
    """The weights of the first layers of a start."""
    some, shift = slice(schedule.layers), WEIGHT_BITS - START_BITS
    units = start.units[some].astype(np.int32) << shift
    units = units.reshape(-1, units.shape[-1])
    shared = (start.shared[some].astype(np.int32) << shift).reshape(-1, LAYER_INPUTS)
    shared = np.pad(shared, ((0, 0), (0, SHARED_WIDTH - LAYER_INPUTS)))
    around = (start.around[some].astype(np.int32) << shift).reshape(len(units) // LEARNERS, -1)
    rounded = [
        (whole + (1 << WEIGHT_BITS - PREDICTION_BITS - 1) >> WEIGHT_BITS - PREDICTION_BITS).astype(
            np.int16
        )
        for whole in (units, shared, around)
    ]
    together = np.zeros((LEARNERS, SHARED_WIDTH), dtype=np.int64)
    return Weights(units, rounded[0], shared, rounded[1], around, rounded[2], together)


def learned(weights: Weights, layers: int) -> tuple[Float64, Float64, Float64]:
    """The weights as numbers.

    Returns:
        float64: of the units, [layers, channels, LEARNERS, unit inputs], of the layers, [layers,
        LEARNERS, LAYER_INPUTS], and of what is around, [layers, channels, AROUND_TAPS, block].
    """
    one = 1 << WEIGHT_BITS
    units = weights.units.reshape(layers, -1, LEARNERS, weights.units.shape[-1])
    shared = weights.shared.reshape(layers, LEARNERS, -1)[..., :LAYER_INPUTS]
    around = weights.around.reshape(*units.shape[:2], len(AROUND_TAPS), -1)
    return units / one, shared / one, around / one


@inlined
def predict_units(weights: Weights, grid: Grid, bits: Bits, seen: Seen, count: int) -> None:
    """Writes the first inputs of the mixer for the bits of a step.

    Args:
        weights: as they are.
        grid: the signs and surprises that the bits see in their rows.
        bits: of the step.
        seen: the bits' contexts; the logits are written.
        count: how many bits there are.
    """
    own, shared, logits = weights.units_rounded, weights.shared_rounded, seen.logits
    signs, surprise, block = grid.signs, grid.surprise, grid.signs.shape[1]
    near = 2 * block
    fraction = PREDICTION_BITS + UNIT_BITS
    for bit in range(count):
        layer, unit, here = bits.layers[bit], bits.units[bit], seen.rows[bit]
        inputs = grid.around_counts[layer] * block
        around = dot(weights.around_rounded, unit, 0, seen.around, bit, inputs)
        for learner in range(LEARNERS):
            row = unit * LEARNERS + learner
            plain = dot(own, row, 0, signs, here, block) + around + int(own[row, near + _NEAR])
            nearby = dot(own, row, near, seen.neighbours, bit, _NEAR)
            nearby += dot(shared, layer * LEARNERS + learner, 0, seen.neighbours, bit, SHARED_WIDTH)
            if learner == FAST:
                part = dot(own, row, block, surprise, here, block)
            else:
                part = dot(own, row, block, signs, here - grid.layer_rows, block) << UNIT_BITS
                logits[bit, LEARNERS] = to_logit(nearby, fraction)
                logits[bit, LEARNERS + 1] = to_logit(part, fraction)
            total = (plain << UNIT_BITS) + nearby + part
            if own.shape[1] > near + _NEAR + 1:
                total += int(own[row, near + _NEAR + 1]) * int(seen.network[bit])
            logits[bit, learner] = to_logit(total, fraction)
        logits[bit, LEARNERS + 2] = MIXER_CONSTANT
        logits[bit, LEARNERS + 3] = to_logit(around, PREDICTION_BITS)


@inlined
def learn_units(
    weights: Weights, speeds: Speeds, grid: Grid, bits: Bits, seen: Seen, count: int
) -> None:
    """Moves the weights of the units of a step, along the gradient of the bits' code lengths.

    Args:
        weights: which move. All bits of a unit, or of a layer for what it learns together, are
            added up before anything is clamped and rounded for the next prediction.
        speeds: at which.
        grid: the signs and surprises that the bits see in their rows.
        bits: of the step.
        seen: what they were predicted from, and the errors.
        count: how many bits there are.
    """
    own, around, rates, together = weights.units, weights.around, speeds.rates, weights.together
    signs, surprise, block = grid.signs, grid.surprise, grid.signs.shape[1]
    near = 2 * block
    for bit in range(count):
        layer, unit, diagonal = bits.layers[bit], bits.units[bit], bits.diagonals[bit]
        here, inputs = seen.rows[bit], grid.around_counts[layer] * block
        last = bit + 1 == count or bits.units[bit + 1] != unit
        for learner in range(LEARNERS):
            row, kinds = unit * LEARNERS + learner, learner * KINDS
            error = seen.errors[bit, learner]
            share = speeds.shares[layer, learner, diagonal]
            move = _move(error, rates[layer, kinds + KNOWN], share)
            _add(own, row, 0, signs, here, block, move)
            move = _move(error, rates[layer, kinds + OWN], share)
            if learner == FAST:
                _add_sixteenths(own, row, block, surprise, here, block, move)
            else:
                _add(own, row, block, signs, here - grid.layer_rows, block, move)
            move = _move(error, rates[layer, kinds + TAPS], share)
            _add_sixteenths(own, row, near, seen.neighbours, bit, _NEAR, move)
            own[row, near + _NEAR] += _move(error, rates[layer, kinds + CONSTANT], share)
            if own.shape[1] > near + _NEAR + 1:
                move = _move(error, rates[layer, kinds + NETWORK], share)
                own[row, near + _NEAR + 1] += rounded(move * seen.network[bit], UNIT_BITS)
            if last:
                _round(own, weights.units_rounded, row, own.shape[1])
            of_tap = _move(error, rates[layer, kinds + SHARED_TAPS], share)
            of_gate = _move(error, rates[layer, kinds + SHARED_GATES], share)
            for i in range(SHARED_WIDTH):
                move = of_tap if i < _FAR else of_gate
                together[learner, i] += _product(move, seen.neighbours[bit, i])
        share = speeds.shares[layer, AROUND_LIFE, diagonal]
        move = _move(seen.errors[bit, LEARNERS], rates[layer, AROUND], share)
        _add(around, unit, 0, seen.around, bit, inputs, move)
        if last:
            forgotten = rates[layer, FORGETTING] * speeds.counted[diagonal]
            if forgotten:
                for i in range(inputs):
                    around[unit, i] -= rounded(around[unit, i] * forgotten, RATE_BITS)
            _round(around, weights.around_rounded, unit, inputs)
        if bit + 1 == count or bits.layers[bit + 1] != layer:
            _move_layer(weights.shared, weights.shared_rounded, together, layer)


@inlined
def _move_layer(shared: Int32, shared_rounded: Int16, together: Int64, layer: int) -> None:
    for learner in range(LEARNERS):
        row = layer * LEARNERS + learner
        for i in range(SHARED_WIDTH):
            change = rounded(together[learner, i], UNIT_BITS)
            shared[row, i] = clamped(shared[row, i] + change, _LIMIT)
            together[learner, i] = 0
        _round(shared, shared_rounded, row, SHARED_WIDTH)


@inlined
def network_input(logit: int) -> int:
    """A network's logit as learners see it, in sixteenths."""
    return clamped(rounded(logit, LOGIT_BITS - UNIT_BITS), NETWORK_LIMIT << UNIT_BITS)


@inlined
def _move(error: int, rate: int, share: int) -> int:
    """Error times rate, with WEIGHT_BITS."""
    return rounded(error * (rate * share >> SHARE_BITS), FREQUENCY_BITS + RATE_BITS - WEIGHT_BITS)


@inlined
def _product(move: int, value: int) -> np.int32:
    """Move times input, which fit into 32 bits: 2^22, at the largest rates, times 2^7."""
    return np.int32(np.int32(move) * np.int32(value))


@inlined
def _add(
    weights: Int32, row: int, begin: int, signs: Int8, input_row: int, count: int, move: int
) -> None:
    """Moves weights of a row, from column `begin`, along the first signs of another."""
    # See `dot` for the casts.
    for i in range(count):
        column = np.uintp(begin + i)
        change = _product(move, signs[input_row, np.uintp(i)])
        weights[row, column] = np.int32(weights[row, column] + change)


@inlined
def _add_sixteenths(
    weights: Int32,
    row: int,
    begin: int,
    inputs: npt.NDArray[np.signedinteger],
    input_row: int,
    count: int,
    move: int,
) -> None:
    half = np.int32(1 << (UNIT_BITS - 1))
    for i in range(count):
        column = np.uintp(begin + i)
        change = np.int32(_product(move, inputs[input_row, np.uintp(i)]) + half) >> np.int32(
            UNIT_BITS
        )
        weights[row, column] = np.int32(weights[row, column] + np.int32(change))


@inlined
def _round(weights: Int32, rounded_weights: Int16, row: int, count: int) -> None:
    limit, half = np.int32(_LIMIT), np.int32(1 << (WEIGHT_BITS - PREDICTION_BITS - 1))
    for i in range(count):
        weight = min(max(weights[row, i], np.int32(-limit)), limit)
        weights[row, i] = weight
        rounded_weights[row, i] = np.int32(weight + half) >> np.int32(WEIGHT_BITS - PREDICTION_BITS)
