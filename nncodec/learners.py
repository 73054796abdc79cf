"""The learners of the adaptive stage: two logistic regressions for every unit.

The fast one sees how surprising the known bits of the position were, the slow one the layer before;
both see everything else in the context. The weights of the neighbours are sums of a part that the
channels of a layer learn together and, for the nearest, a part of the unit's own.

Weights and inputs are integers, carried by float32 so that sums of products are matrix products.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

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
from nncodec.rates import FULL_STEP, RATE_BITS, Rates
from nncodec.schedule import Schedule, Step
from nncodec.start import (
    CONSTANT,
    FAST,
    KNOWN,
    LARGEST_RATES,
    LARGEST_SHIFTS,
    LARGEST_WEIGHT,
    LEARNERS,
    MIXER_INPUTS,
    NETWORK,
    OWN,
    SHARED_GATES,
    SHARED_TAPS,
    SLOW,
    START_BITS,
    TAPS,
    Start,
)

Float32: TypeAlias = npt.NDArray[np.float32]
Float64: TypeAlias = npt.NDArray[np.float64]

LAYER_SHARE, LAYER_SHARE_BITS = 3, 5
"""A layer's weights learn 3/32 of what each of its channels would learn alone."""

WEIGHT_BITS = FREQUENCY_BITS + UNIT_BITS
"""Fractional bits of a weight as it learns: those of an error times an input."""
PREDICTION_BITS = 10
"""Fractional bits of a weight as it predicts."""
MIXER_CONSTANT = 77  # 0.3, as a logit

NETWORK_LIMIT = 8
"""A network's logit is clamped to this, either way, where learners weigh it."""

CHUNK = 60
"""Positions over which a change is summed in float32. Longer steps have spare bits in their moves,
one for every doubling: part of the format."""


class Learners:
    """The weights of all units and layers, as they learn.

    Raises:
        OverflowError: the code tensor is so large that float64 could not carry a sum.
    """

    def __init__(self, schedule: Schedule, block: int, start: Start) -> None:
        """Starts the weights for units that see `block` channels of a position.

        Args:
            schedule: of the code tensor.
            block: how many channels a unit sees.
            start: of at least the layers of the schedule.
        """
        _prove_exact(schedule)
        self._block = block
        self._taps = slice(2 * block, 2 * block + len(CHANNEL_TAPS))
        shift = WEIGHT_BITS - START_BITS
        units = start.units[: schedule.layers].astype(np.float32) * (1 << shift)
        self._units = units.reshape(-1, *units.shape[2:])
        self._units_predicting = _for_prediction(self._units)
        self._layers = start.shared[: schedule.layers].astype(np.float64) * (1 << shift)
        self._layers_predicting = _for_prediction(self._layers)
        self._layer_of_unit = schedule.layer_of_unit

        # Where steps are long and rates low, moves keep spare bits, which their sum then loses.
        times = [int(size) // CHUNK for size in schedule.diagonal_sizes]
        spare = np.array([1 << max(0, n.bit_length() - 1) for n in times])
        rates, half_lives = start.rates[:, :LEARNERS], start.half_lives[:, :LEARNERS]
        some = slice(schedule.layers)
        self._rates = Rates(schedule, rates[some], half_lives[some], scale=spare)
        self._without_spare = 1 / spare[:, None, None]
        # Powers of two, [layers, learners, kinds]: exact as factors.
        self._speeds = np.exp2(start.shifts[some].astype(np.float64))
        counts = (block, block, len(CHANNEL_TAPS), 1, int(start.with_network))
        kinds = np.repeat((KNOWN, OWN, TAPS, CONSTANT, NETWORK), counts)
        speeds = self._speeds[:, :, kinds].astype(np.float32)
        self._unit_speeds = speeds.repeat(schedule.channels, axis=0)

    def unit_weights(self) -> Float64:
        """What the units have learned, (units, LEARNERS, unit inputs)."""
        return self._units / (1 << WEIGHT_BITS)

    def layer_weights(self) -> Float64:
        """What the layers have learned, (layers, LEARNERS, LAYER_INPUTS)."""
        return self._layers / (1 << WEIGHT_BITS)

    def logits(self, step: Step, context: Context, network: Float64 | None) -> Float64:
        """The mixer's inputs.

        Args:
            step: the step.
            context: what its units see.
            network: the network's logits, float64 (U, P), if there is one.

        Returns:
            float64 (U, P, MIXER_INPUTS (+ 1)), integers with LOGIT_BITS fractional bits: the
            learners' logits, two parts of the slow one's, a constant, the network's.
        """
        units, block = self._units_predicting[step.units], self._block
        self._network = None if network is None else _network_input(network)
        sums = _sums(context.known, units[..., :block])
        sums += units[:, None, :, self._taps.stop] * UNIT
        if self._network is not None:
            sums += units[:, None, :, -1] * self._network
        sums[..., FAST] += _sums(context.surprise, units[:, FAST : FAST + 1, block : 2 * block])[
            ..., 0
        ]
        earlier = _sums(context.earlier, units[:, SLOW : SLOW + 1, block : 2 * block])[..., 0]
        sums[..., SLOW] += earlier

        weights = self._layers_predicting.take(self._layer_of_unit[step.units], axis=0)
        weights[..., : len(CHANNEL_TAPS)] += units[..., self._taps]
        neighbours = _sums(context.neighbours, weights)

        inputs = MIXER_INPUTS + (network is not None)
        logits = np.empty((*earlier.shape, inputs))
        np.add(sums, neighbours, out=logits[..., :LEARNERS], dtype=np.float64)
        logits[..., LEARNERS] = neighbours[..., SLOW]
        logits[..., LEARNERS + 1] = earlier
        logits[..., LEARNERS + 2] = MIXER_CONSTANT << (PREDICTION_BITS + UNIT_BITS - LOGIT_BITS)
        logits[..., :MIXER_INPUTS] = to_logits(
            logits[..., :MIXER_INPUTS], PREDICTION_BITS + UNIT_BITS
        )
        if network is not None:
            logits[..., MIXER_INPUTS] = network
        return logits

    def learn(self, step: Step, context: Context, errors: npt.NDArray[np.int32]) -> None:
        """Moves the weights along the gradient of the step's code length.

        Args:
            step: the step.
            context: what `logits` was given.
            errors: int32 (U, P, LEARNERS): bit - probability, with FREQUENCY_BITS fractional bits.
        """
        moves = round_half_up(errors * self._rates.of(step)[:, None])
        moves = moves.swapaxes(1, 2).astype(np.float32)
        neighbours = self._change(step, moves, context.neighbours)
        constant = np.full((*errors.shape[:2], 1), UNIT, dtype=np.float32)
        block = self._block

        change = np.empty((len(errors), *self._units.shape[1:]), dtype=np.float32)
        change[..., :block] = self._change(step, moves, context.known)
        for learner, inputs in ((FAST, context.surprise), (SLOW, context.earlier)):
            own = self._change(step, moves[:, learner : learner + 1], inputs)
            change[:, learner, block : 2 * block] = own[:, 0]
        change[..., self._taps] = neighbours[..., : len(CHANNEL_TAPS)]
        at_constant = slice(self._taps.stop, self._taps.stop + 1)
        change[..., at_constant] = self._change(step, moves, constant)
        if self._network is not None:
            change[..., -1:] = self._change(step, moves, self._network)
        change *= self._unit_speeds[step.units]
        weights = self._units[step.units]
        weights += round_half_up(change)
        clamp(weights, LARGEST_WEIGHT << WEIGHT_BITS)
        self._units_predicting[step.units] = _for_prediction(weights)

        together = np.add.reduceat(neighbours, step.starts, dtype=np.float64)
        speeds_of_layers = self._speeds[step.layers, :, :, None]
        together[..., : len(LAYER_TAPS)] *= speeds_of_layers[:, :, SHARED_TAPS]
        together[..., len(LAYER_TAPS) :] *= speeds_of_layers[:, :, SHARED_GATES]
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


def _network_input(logits: Float64) -> Float32:
    """A network's logits (U, P) as an input (U, P, 1)."""
    inputs = scale_down(logits, LOGIT_BITS - UNIT_BITS)
    clamp(inputs, NETWORK_LIMIT << UNIT_BITS)
    return inputs.astype(np.float32)[..., None]


def _for_prediction(weights: Float32 | Float64) -> Float32:
    return scale_down(weights, WEIGHT_BITS - PREDICTION_BITS).astype(np.float32)


def _prove_exact(schedule: Schedule) -> None:
    weight = LARGEST_WEIGHT << PREDICTION_BITS
    # The block's bits, what was surprising of them at twice the unit, the constant, the network.
    bits = (BLOCK + 2 * BLOCK + 1) * UNIT
    require_exact((bits + (NETWORK_LIMIT << UNIT_BITS)) * weight, np.float32)
    taps = (len(LAYER_TAPS) + len(CHANNEL_TAPS)) * UNIT  # the latter have two weights
    gates = len(RESEMBLANCE_TAPS) * (LAYER_GATE + EARLIER_GATE)
    require_exact((taps + gates) * weight, np.float32)

    # Rates fall as steps grow: a change stays within the moves of a full step, and half a unit for
    # every move that was rounded.
    move = (int(LARGEST_RATES.max()) >> (RATE_BITS - FREQUENCY_BITS)) + 1
    inputs = {KNOWN: UNIT, OWN: 2 * UNIT, TAPS: UNIT, CONSTANT: UNIT, NETWORK: LAYER_GATE}
    change = max(size << int(LARGEST_SHIFTS[kind]) for kind, size in inputs.items())
    change *= FULL_STEP * move + CHUNK
    require_exact(CHUNK * move * LAYER_GATE, np.float32)
    require_exact((LARGEST_WEIGHT << WEIGHT_BITS) + change, np.float32)
    change = (FULL_STEP * move + CHUNK) * LAYER_GATE << int(LARGEST_SHIFTS.max())
    require_exact(schedule.channels * change * LAYER_SHARE, np.float64)
