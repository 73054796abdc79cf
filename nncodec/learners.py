"""The learners of the adaptive stage: two logistic regressions for every unit.

The fast one sees how surprising the known bits of the position were, the slow one the layer before;
both see everything else in the context. The weights of the neighbours are sums of a part that the
channels of a layer learn together and, for the nearest, a part of the unit's own.

Weights and inputs are integers, carried by float32 so that sums of products are matrix products.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from nncodec.adaptive_start import START_BITS, START_WEIGHTS
from nncodec.contexts import (
    BLOCK,
    CHANNEL_TAPS,
    EARLIER_GATE,
    LAYER_GATE,
    LAYER_TAPS,
    RESEMBLANCE_TAPS,
    UNIT,
    UNIT_BITS,
    Context,
)
from nncodec.fixed_point import (
    FREQUENCY_BITS,
    LOGIT_BITS,
    clamp,
    require_exact,
    round_half_up,
    scale_down,
    to_logits,
)
from nncodec.mixer import MIXER_START
from nncodec.rates import FULL_STEP, RATE_BITS, diagonal_rates
from nncodec.schedule import Schedule, Step

Float32: TypeAlias = npt.NDArray[np.float32]
Float64: TypeAlias = npt.NDArray[np.float64]

LEARNERS = 2
FAST, SLOW = range(LEARNERS)
START_RATES = (31457, 8389)  # 0.03 and 0.008, with RATE_BITS fractional bits
HALF_LIFE = 200
CHANNEL_TAP_SHIFT = 2
"""A tap's weight in one channel learns at a quarter of the rate."""
LAYER_SHARE, LAYER_SHARE_BITS = 3, 5
"""A layer's weights learn 3/32 of what each of its channels would learn alone."""

WEIGHT_BITS = FREQUENCY_BITS + UNIT_BITS
"""Fractional bits of a weight as it learns: those of an error times an input."""
PREDICTION_BITS = 10
"""Fractional bits of a weight as it predicts."""
LARGEST_WEIGHT = 4
MIXER_CONSTANT = 77  # 0.3, as a logit

CHUNK = 60
"""Positions over which a change is summed in float32. Longer steps have spare bits in their moves,
one for every doubling: part of the format."""


class Learners:
    """The weights of all units and layers, as they learn.

    Raises:
        OverflowError: the code tensor is so large that float64 could not carry a sum.
    """

    def __init__(self, schedule: Schedule, block: int) -> None:
        """Starts the weights for units that see `block` channels of a position."""
        _prove_exact(schedule)
        self._block = block
        self._units = np.zeros(
            (schedule.layers * schedule.channels, LEARNERS, 2 * block + len(CHANNEL_TAPS) + 1),
            dtype=np.float32,
        )
        self._units_predicting = _for_prediction(self._units)
        rows = np.minimum(np.arange(schedule.layers), len(START_WEIGHTS) - 1)
        start = START_WEIGHTS[rows, None] << (WEIGHT_BITS - START_BITS)
        self._layers = np.repeat(start, LEARNERS, axis=1).astype(np.float64)
        self._layers_predicting = _for_prediction(self._layers)
        self._layer_of_unit = schedule.layer_of_unit

        # Where steps are long and rates low, moves keep spare bits, which their sum then loses.
        times = [int(size) // CHUNK for size in schedule.diagonal_sizes]
        spare = np.array([1 << max(0, n.bit_length() - 1) for n in times])[:, None, None]
        rates = [diagonal_rates(schedule, rate, HALF_LIFE) for rate in START_RATES]
        self._rates = np.stack(rates, axis=1)[:, None] * spare / (1 << RATE_BITS)
        self._without_spare = 1 / spare

    def layer_weights(self) -> Float64:
        """What the layers have learned, (layers, LEARNERS, LAYER_INPUTS)."""
        return self._layers / (1 << WEIGHT_BITS)

    def logits(self, step: Step, context: Context) -> Float64:
        """The mixer's inputs: the learners' logits, two parts of the slow one's, a constant.

        Returns:
            float64 (U, P, 5), integers with LOGIT_BITS fractional bits.
        """
        units, block = self._units_predicting[step.units], self._block
        sums = _sums(context.known, units[..., :block])
        sums += units[:, None, :, -1] * UNIT
        sums[..., FAST] += _sums(context.surprise, units[:, FAST : FAST + 1, block : 2 * block])[
            ..., 0
        ]
        earlier = _sums(context.earlier, units[:, SLOW : SLOW + 1, block : 2 * block])[..., 0]
        sums[..., SLOW] += earlier

        weights = self._layers_predicting.take(self._layer_of_unit[step.units], axis=0)
        weights[..., : len(CHANNEL_TAPS)] += units[..., 2 * block : -1]
        neighbours = _sums(context.neighbours, weights)

        logits = np.empty((*earlier.shape, len(MIXER_START)))
        np.add(sums, neighbours, out=logits[..., :LEARNERS], dtype=np.float64)
        logits[..., LEARNERS] = neighbours[..., SLOW]
        logits[..., LEARNERS + 1] = earlier
        logits[..., LEARNERS + 2] = MIXER_CONSTANT << (PREDICTION_BITS + UNIT_BITS - LOGIT_BITS)
        return to_logits(logits, PREDICTION_BITS + UNIT_BITS)

    def learn(self, step: Step, context: Context, errors: npt.NDArray[np.int32]) -> None:
        """Moves the weights along the gradient of the step's code length.

        Args:
            step: the step.
            context: what `logits` was given.
            errors: int32 (U, P, LEARNERS): bit - probability, with FREQUENCY_BITS fractional bits.
        """
        moves = round_half_up(errors * self._rates[step.diagonals])
        moves = moves.swapaxes(1, 2).astype(np.float32)
        neighbours = self._change(step, moves, context.neighbours)
        constant = np.full((*errors.shape[:2], 1), UNIT, dtype=np.float32)
        block = self._block

        change = np.empty((len(errors), *self._units.shape[1:]), dtype=np.float32)
        change[..., :block] = self._change(step, moves, context.known)
        for learner, inputs in ((FAST, context.surprise), (SLOW, context.earlier)):
            own = self._change(step, moves[:, learner : learner + 1], inputs)
            change[:, learner, block : 2 * block] = own[:, 0]
        taps = neighbours[..., : len(CHANNEL_TAPS)]
        change[..., 2 * block : -1] = scale_down(taps, CHANNEL_TAP_SHIFT)
        change[..., -1:] = self._change(step, moves, constant)
        weights = self._units[step.units]
        weights += change
        clamp(weights, LARGEST_WEIGHT << WEIGHT_BITS)
        self._units_predicting[step.units] = _for_prediction(weights)

        together = np.add.reduceat(neighbours, step.starts, dtype=np.float64)
        shared = self._layers[step.layers]
        shared += scale_down(together * LAYER_SHARE, LAYER_SHARE_BITS)
        clamp(shared, LARGEST_WEIGHT << WEIGHT_BITS)
        self._layers_predicting[step.layers] = _for_prediction(shared)

    def _change(self, step: Step, moves: Float32, inputs: Float32) -> Float32:
        """Sums move times input over the positions.

        Args:
            step: the step.
            moves: float32 (U, learners, P): errors times rates, with FREQUENCY_BITS and the spare
                fractional bits.
            inputs: float32 (U, P, inputs).

        Returns:
            float32 (U, learners, inputs), with WEIGHT_BITS fractional bits.
        """
        change: Float32 = np.matmul(moves[..., :CHUNK], inputs[:, :CHUNK])
        if inputs.shape[1] <= CHUNK:
            return change  # of steps so short that nothing was spare
        total = np.zeros(change.shape)
        total += change
        for begin in range(CHUNK, inputs.shape[1], CHUNK):
            chunk = slice(begin, begin + CHUNK)
            total += np.matmul(moves[..., chunk], inputs[:, chunk])
        total *= self._without_spare[step.diagonals]
        return round_half_up(total).astype(np.float32)


def _sums(inputs: Float32, weights: Float32) -> Float32:
    """Inputs (U, P, inputs) times weights (U, learners, inputs): (U, P, learners)."""
    sums: Float32 = np.matmul(inputs, weights.swapaxes(1, 2))
    return sums


def _for_prediction(weights: Float32 | Float64) -> Float32:
    return scale_down(weights, WEIGHT_BITS - PREDICTION_BITS).astype(np.float32)


def _prove_exact(schedule: Schedule) -> None:
    weight = LARGEST_WEIGHT << PREDICTION_BITS
    # The bits of the block, what was surprising of them at twice the unit, the constant.
    require_exact((BLOCK + 2 * BLOCK + 1) * UNIT * weight, np.float32)
    taps = (len(LAYER_TAPS) + len(CHANNEL_TAPS)) * UNIT  # the latter have two weights
    gates = len(RESEMBLANCE_TAPS) * (LAYER_GATE + EARLIER_GATE)
    require_exact((taps + gates) * weight, np.float32)

    # Rates fall as steps grow: a change stays within the moves of a full step, and half a unit for
    # every move that was rounded.
    move = (max(START_RATES) >> (RATE_BITS - FREQUENCY_BITS)) + 1
    change = (FULL_STEP * move + CHUNK) * LAYER_GATE
    require_exact(CHUNK * move * LAYER_GATE, np.float32)
    require_exact((LARGEST_WEIGHT << WEIGHT_BITS) + change, np.float32)
    require_exact(schedule.channels * change * LAYER_SHARE, np.float64)
