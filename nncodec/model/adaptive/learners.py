"""The learners of the adaptive stage: two logistic regressions for every unit.

The fast one sees how surprising the known bits of the position were, the slow one the layer before;
both see everything else in the context. The weights of the neighbours in the bit's own channel are
sums of a part that the channels of a layer learn together and, for the nearest, a part of the
unit's own. What all channels of the neighbours say, both learners are told by the same weights,
which learn from the errors of the mixer.
"""

import numpy as np
import numpy.typing as npt

from nncodec.model.adaptive.learning_rates import (
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
    SHARED_TAPS,
    SLOW,
    TAPS,
)
from nncodec.model.adaptive.start import LARGEST_WEIGHT
from nncodec.model.adaptive.weights import (
    PREDICTION_BITS,
    ROUNDED_BITS,
    WEIGHT_BITS,
    Seen,
    Speeds,
    Weights,
)
from nncodec.model.contexts import CHANNEL_TAPS, LAYER_TAPS, NEAR, UNIT_BITS, Contexts, Grid
from nncodec.model.fixed_point import FREQUENCY_BITS, LOGIT_BITS, clamped, rounded, to_logit
from nncodec.model.kernels.compilation import inlined
from nncodec.model.kernels.long_rows import dot, gather, move, padded_columns
from nncodec.model.kernels.short_rows import list_moves
from nncodec.model.schedule import Runs

Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

MIXER_CONSTANT = 77  # 0.3, as a logit

NETWORK_LIMIT = 8
"""A network's logit is clamped to this, either way, where learners weigh it."""

_LIMIT = LARGEST_WEIGHT << WEIGHT_BITS
_CUTS = SHARE_BITS, FREQUENCY_BITS + RATE_BITS - WEIGHT_BITS
_SIGNS, _SIXTEENTHS = (0, _LIMIT, ROUNDED_BITS), (UNIT_BITS, _LIMIT, ROUNDED_BITS)
_UNCLAMPED_SIGNS = (0, (1 << 31) - 1, ROUNDED_BITS)
"""How weights move: along inputs that are signs, or sixteenths."""


@inlined
def predict_units(
    weights: Weights, grid: Grid, layer: int, runs: Runs, contexts: Contexts, seen: Seen, count: int
) -> None:
    """Writes the first inputs of the mixer for the bits that a layer has at a step.

    Args:
        weights: as they are.
        grid: has the sizes.
        layer: which.
        runs: of the layer.
        contexts: of its bits.
        seen: has the network's logits, if there is a network; the mixer's inputs are written.
        count: how many runs there are.
    """
    own, logits = weights.units_rounded, seen.logits
    position, neighbours = contexts.position, contexts.neighbours
    width = (position.shape[1] - NEAR) // 3
    constant, network = 2 * width + NEAR, 2 * width + NEAR + 1
    fraction = PREDICTION_BITS + UNIT_BITS
    inputs, bit = padded_columns(grid.around_counts[layer] * grid.block), 0
    for run in range(count):
        unit = runs.units[run]
        fast, slow = unit * LEARNERS + FAST, unit * LEARNERS + SLOW
        _join_nearby(weights, seen.nearby, layer, unit, 2 * width)
        while bit < runs.ends[run]:
            around = dot(weights.around_rounded, unit, 0, contexts.around, bit, 0, inputs)
            plain = around + int(own[fast, constant]) + dot(own, fast, 0, position, bit, 0, width)
            total = plain << UNIT_BITS
            total += dot(own, fast, width, position, bit, 2 * width, width)
            total += dot(seen.nearby, FAST, 0, neighbours, bit, 0, neighbours.shape[1])
            before = dot(own, slow, width, position, bit, width, width) << UNIT_BITS
            nearby = dot(seen.nearby, SLOW, 0, neighbours, bit, 0, neighbours.shape[1])
            plain = around + int(own[slow, constant]) + dot(own, slow, 0, position, bit, 0, width)
            slow_total = (plain << UNIT_BITS) + before + nearby
            if own.shape[1] > network:
                total += int(own[fast, network]) * int(seen.network[bit])
                slow_total += int(own[slow, network]) * int(seen.network[bit])
            logits[bit, FAST] = to_logit(total, fraction)
            logits[bit, SLOW] = to_logit(slow_total, fraction)
            logits[bit, LEARNERS] = to_logit(nearby, fraction)
            logits[bit, LEARNERS + 1] = to_logit(before, fraction)
            logits[bit, LEARNERS + 2] = MIXER_CONSTANT
            logits[bit, LEARNERS + 3] = to_logit(around, PREDICTION_BITS)
            bit += 1


@inlined
def _join_nearby(weights: Weights, nearby: Int16, layer: int, unit: int, near: int) -> None:
    for learner in range(LEARNERS):
        of_layer, of_unit = layer * LEARNERS + learner, unit * LEARNERS + learner
        for i in range(nearby.shape[1]):
            nearby[learner, i] = weights.shared_rounded[of_layer, i]
        for i in range(len(CHANNEL_TAPS)):
            nearby[learner, i] += weights.units_rounded[of_unit, near + i]


@inlined
def learn_units(
    weights: Weights,
    speeds: Speeds,
    grid: Grid,
    layer: int,
    runs: Runs,
    contexts: Contexts,
    seen: Seen,
    count: int,
) -> None:
    """Moves the weights of a layer's units at a step, along the gradient of the bits' code lengths.

    Args:
        weights: which move. All bits of a unit, or of the layer for what it learns together, are
            added up before anything is clamped and rounded for the next prediction.
        speeds: at which.
        grid: has the sizes.
        layer: which.
        runs: of the layer.
        contexts: what its bits were predicted from.
        seen: has the network's logits, if there is a network, and the errors.
        count: how many runs there are.
    """
    own, rounded_own, rates, moves = weights.units, weights.units_rounded, speeds.rates, seen.moves
    position, neighbours = contexts.position, contexts.neighbours
    width = (position.shape[1] - NEAR) // 3
    near, constant, network = 2 * width, 2 * width + NEAR, 2 * width + NEAR + 1
    begin = 0
    for run in range(count):
        unit, diagonal, end = runs.units[run], runs.diagonals[run], runs.ends[run]
        bits = (begin, end)
        for learner in range(LEARNERS):
            row, kinds = unit * LEARNERS + learner, learner * KINDS
            share = speeds.shares[layer, learner, diagonal]
            list_moves(seen.errors, learner, rates, layer, kinds, share, moves, bits, _CUTS)
            columns = (0, 0, width)
            move(own, rounded_own, row, columns, position, moves, KNOWN, bits, _SIGNS)
            if learner == FAST:
                columns = (width, 2 * width, width)
                move(own, rounded_own, row, columns, position, moves, OWN, bits, _SIXTEENTHS)
            else:
                columns = (width, width, width)
                move(own, rounded_own, row, columns, position, moves, OWN, bits, _SIGNS)
            columns = (near, 3 * width, NEAR)
            move(own, rounded_own, row, columns, position, moves, TAPS, bits, _SIGNS)
            for bit in range(begin, end):
                own[row, constant] += moves[bit, CONSTANT]
            if own.shape[1] > network:
                for bit in range(begin, end):
                    change = int(moves[bit, NETWORK]) * int(seen.network[bit])
                    own[row, network] += rounded(change, UNIT_BITS)
            _round(own, rounded_own, row, constant, own.shape[1])
            inputs, split = neighbours.shape[1], len(LAYER_TAPS)
            gather(seen.together, learner, neighbours, inputs, split, moves, SHARED_TAPS, bits)
        _learn_around(weights, speeds, grid, contexts, seen, layer, unit, diagonal, begin, end)
        begin = end
    if count:
        _move_layer(weights.shared, weights.shared_rounded, seen.together, layer)


@inlined
def _learn_around(
    weights: Weights,
    speeds: Speeds,
    grid: Grid,
    contexts: Contexts,
    seen: Seen,
    layer: int,
    unit: int,
    diagonal: int,
    begin: int,
    end: int,
) -> None:
    around, inputs = weights.around, grid.around_counts[layer] * grid.block
    rates, moves, bits = speeds.rates, seen.moves, (begin, end)
    share = speeds.shares[layer, AROUND_LIFE, diagonal]
    list_moves(seen.errors, LEARNERS, rates, layer, AROUND, share, moves, bits, _CUTS)
    forgotten = rates[layer, FORGETTING] * speeds.counted[diagonal]
    columns = (0, 0, padded_columns(inputs))
    form = _UNCLAMPED_SIGNS if forgotten else _SIGNS
    move(around, weights.around_rounded, unit, columns, contexts.around, moves, 0, bits, form)
    if forgotten:
        for i in range(inputs):
            around[unit, i] -= rounded(around[unit, i] * forgotten, RATE_BITS)
        _round(around, weights.around_rounded, unit, 0, inputs)


@inlined
def _move_layer(shared: Int32, shared_rounded: Int16, together: Int64, layer: int) -> None:
    for learner in range(LEARNERS):
        row = layer * LEARNERS + learner
        for i in range(shared.shape[1]):
            change = rounded(together[learner, i], UNIT_BITS)
            shared[row, i] = clamped(shared[row, i] + change, _LIMIT)
            together[learner, i] = 0
        _round(shared, shared_rounded, row, 0, shared.shape[1])


@inlined
def network_input(logit: int) -> int:
    """A network's logit as learners see it, in sixteenths."""
    return clamped(rounded(logit, LOGIT_BITS - UNIT_BITS), NETWORK_LIMIT << UNIT_BITS)


@inlined
def _round(weights: Int32, rounded_weights: Int16, row: int, begin: int, end: int) -> None:
    """Clamps weights of a row, and rounds them for the next prediction."""
    for i in range(begin, end):
        weight = clamped(weights[row, i], _LIMIT)
        weights[row, i] = weight
        rounded_weights[row, i] = rounded(weight, ROUNDED_BITS)
