"""The adaptive stage: a model that learns from the bits of this very file while it codes them.

Two logistic *learners* predict every bit from its context (contexts.py), one fast, one slow; a
*mixer* weighs their logits. Each unit (schedule.py) has weights of its own; what the channels of a
layer have in common, they learn together. All of it starts from the same fixed weights, sees a bit
only after it is coded, and is integer arithmetic throughout.

    context ─┬─ fast learner ─┬─ mixer ── frequency ── coder ── bit
             └─ slow learner ─┘                                  │
                  └────────── errors: bit - probability ─────────┘

The integers are carried by float32 and float64 arrays, where `require_exact` proves that they fit:
sums of products are fast there, and the same in whatever order they are computed.
"""

from typing import Any, TypeAlias

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
    Grid,
)
from nncodec.fixed_point import (
    FREQUENCY_BITS,
    LOGIT_BITS,
    LOGIT_LIMIT,
    decaying_rate,
    logistic_table,
    require_exact,
    round_half_up,
)
from nncodec.schedule import Schedule, Step

Float32: TypeAlias = npt.NDArray[np.float32]
Float64: TypeAlias = npt.NDArray[np.float64]

WEIGHT_BITS = FREQUENCY_BITS + UNIT_BITS  # fractional bits of a weight: those of error times input
_PREDICTION_BITS = 10  # fractional bits of a weight as it predicts
_SUM_BITS = _PREDICTION_BITS + UNIT_BITS  # fractional bits of a sum of weights times inputs
_LARGEST_WEIGHT = 4

LEARNERS = 2
FAST, SLOW = range(LEARNERS)
_RATE_BITS = 20
_START_RATES = (31457, 8389)  # 0.03 and 0.008, with _RATE_BITS fractional bits
_HALF_LIFE = 200
_CHANNEL_TAP_SHIFT = 2  # a tap's weight in one channel learns at a quarter of the rate
_LAYER_SHARE, _LAYER_SHIFT = 3, 5  # a layer's weights learn 3/32 of what each channel's would

_MIXER_BITS = 16  # fractional bits of a mixer's weight
_MIXER_START = (1 << 15, 1 << 15, 0, 0, 0)  # fast, slow, two parts of the slow, a constant
_MIXER_CONSTANT = 77  # 0.3, as a logit
_MIXER_START_RATE = 3146  # 0.003
_MIXER_HALF_LIFE = 400
_MIXER_UNIT_SHARE = 3  # what a unit's own errors count in its mixer, beside those of its layer
_LARGEST_MIXER_WEIGHT = 8

_FULL_STEP = 16
"""A step of more positions learns from their mean as if it had this many; larger sums diverge."""

_CHUNK = 60
"""Positions over which a change is summed in float32."""


class AdaptiveStage:
    """Predicts the bits of one code tensor, step by step, and learns from them.

    `frequencies` and `learn` are called in turn for every step of the schedule, with the same bits
    when encoding as when decoding.
    """

    def __init__(self, schedule: Schedule) -> None:
        _prove_exact(schedule)
        self._grid = Grid(schedule)
        self._learners = _Learners(schedule, self._grid.block)
        self._mixer = _Mixer(schedule)
        self._squash = logistic_table()

    def frequencies(self, step: Step) -> npt.NDArray[np.int32]:
        """The frequency of a 1 for every bit of a step: int32, units in order, then positions."""
        context = self._context = self._grid.context(step)
        logits = self._mixer_inputs = self._learners.logits(step, context)
        self._learner_frequencies = self._frequency(logits[..., :LEARNERS])
        self._mixed_frequencies = self._frequency(self._mixer.logits(step, logits))
        return self._mixed_frequencies[context.valid]

    def learn(self, step: Step, bits: npt.NDArray[np.integer]) -> None:
        """Learns from the bits whose frequencies were asked for last.

        Args:
            step: the step that `frequencies` was given.
            bits: {0, 1}, one for each frequency.
        """
        context, valid = self._context, self._context.valid
        ones = np.zeros(valid.shape, dtype=np.int32)
        ones[valid] = bits
        target = ones << FREQUENCY_BITS

        error = (target - self._mixed_frequencies) * valid
        self._mixer.learn(step, self._mixer_inputs, error.astype(np.float64))

        errors = (target[..., None] - self._learner_frequencies) * valid[..., None]
        surprise = _scaled(errors[..., FAST], UNIT_BITS + 1 - FREQUENCY_BITS).astype(np.float32)
        self._learners.learn(step, context, errors)
        signs = (2 * ones - 1) * valid
        self._grid.record(context, signs.astype(np.float32), surprise)

    def layer_weights(self) -> Float64:
        """What the layers have learned, (layers, LEARNERS, LAYER_TAPS and gates)."""
        return self._learners.layers / (1 << WEIGHT_BITS)

    def _frequency(self, logits: Float64) -> npt.NDArray[np.int32]:
        return self._squash.take(logits.astype(np.int64) + LOGIT_LIMIT)


class _Learners:
    """Two logistic regressions for every unit, with a part that a layer's units share.

    The fast learner sees how surprising the known bits of the position were, the slow one the
    layer before; both see everything else in the context.

    Attributes:
        layers: float64 (layers, LEARNERS, LAYER_TAPS and gates), the shared weights.
    """

    def __init__(self, schedule: Schedule, block: int) -> None:
        # The weights of a unit are the columns of one row, so that they learn in one go.
        self._columns: dict[str, slice] = {}
        self._learners: dict[str, int] = {}
        learner: list[int] = []
        for name, learners, inputs in (
            ("known", (FAST, SLOW), block),
            ("surprise", (FAST,), block),
            ("earlier", (SLOW,), block),
            ("taps", (FAST, SLOW), len(CHANNEL_TAPS)),
            ("constant", (FAST, SLOW), 1),
        ):
            self._columns[name] = slice(len(learner), len(learner) + len(learners) * inputs)
            self._learners[name] = len(learners)
            learner += np.repeat(learners, inputs).tolist()
        units = schedule.layers * schedule.channels
        self._units = np.zeros((units, len(learner)), dtype=np.float32)
        self._predicting = _for_prediction(self._units)

        rows = np.minimum(np.arange(schedule.layers), len(START_WEIGHTS) - 1)
        start = START_WEIGHTS[rows, None] << (WEIGHT_BITS - START_BITS)
        self.layers = np.repeat(start, LEARNERS, axis=1).astype(np.float64)
        self._layers_predicting = _for_prediction(self.layers)
        self._layer_of_unit = np.repeat(np.arange(schedule.layers), schedule.channels)

        # Where steps are long and rates low, moves keep spare bits, which their sum then loses.
        times = [int(size) // _CHUNK for size in schedule.diagonal_sizes]
        spare = np.array([1 << max(0, n.bit_length() - 1) for n in times])[:, None, None]
        rates = np.stack([_rates(schedule, rate, _HALF_LIFE) for rate in _START_RATES], axis=1)
        self._rates = rates[:, None] * spare / (1 << _RATE_BITS)
        self._without_spare = 1 / spare

    def logits(self, step: Step, context: Context) -> Float64:
        """The learners' logits, and parts of the slow one's, for the mixer.

        Returns:
            float64 (U, P, mixer inputs), integers with LOGIT_BITS fractional bits.
        """
        own = self._sums("known", step, context.known)
        own += self._predicting[step.units, None, self._columns["constant"]] * UNIT
        own[..., FAST] += self._sums("surprise", step, context.surprise)[..., 0]
        earlier = self._sums("earlier", step, context.earlier)[..., 0]
        own[..., SLOW] += earlier

        weights = self._layers_predicting.take(self._layer_of_unit[step.units], axis=0)
        weights[..., : len(CHANNEL_TAPS)] += self._weights_of("taps", step)
        neighbours = np.matmul(context.neighbours, np.moveaxis(weights, 1, -1))

        logits = np.empty((*earlier.shape, len(_MIXER_START)))
        np.add(own, neighbours, out=logits[..., :LEARNERS], dtype=np.float64)
        logits[..., LEARNERS] = neighbours[..., SLOW]
        logits[..., LEARNERS + 1] = earlier
        logits[..., LEARNERS + 2] = _MIXER_CONSTANT << (_SUM_BITS - LOGIT_BITS)
        return _to_logits(logits, _SUM_BITS)

    def learn(self, step: Step, context: Context, errors: npt.NDArray[Any]) -> None:
        """Moves the weights along the gradient of the step's code length.

        Args:
            step: the step.
            context: what `logits` was given.
            errors: int32 (U, P, LEARNERS), with FREQUENCY_BITS fractional bits.
        """
        moves = round_half_up(errors * self._rates[step.diagonals])
        moves = np.moveaxis(moves, -1, 1).astype(np.float32)
        constant = np.full((*errors.shape[:2], 1), UNIT, dtype=np.float32)
        fast, slow = moves[:, FAST : FAST + 1], moves[:, SLOW : SLOW + 1]
        neighbours = self._change(step, moves, context.neighbours)
        change = np.empty((len(errors), self._units.shape[1]), dtype=np.float32)
        for name, part in (
            ("known", self._change(step, moves, context.known)),
            ("surprise", self._change(step, fast, context.surprise)),
            ("earlier", self._change(step, slow, context.earlier)),
            ("taps", _scaled(neighbours[..., : len(CHANNEL_TAPS)], -_CHANNEL_TAP_SHIFT)),
            ("constant", self._change(step, moves, constant)),
        ):
            change[:, self._columns[name]] = part.reshape(len(errors), -1)
        weights = self._units[step.units]
        weights += change
        _clamp(weights, _LARGEST_WEIGHT << WEIGHT_BITS)
        self._predicting[step.units] = _for_prediction(weights)

        together = np.add.reduceat(neighbours, step.starts, dtype=np.float64)
        shared = self.layers[step.layers]
        shared += _scaled(together * _LAYER_SHARE, -_LAYER_SHIFT)
        _clamp(shared, _LARGEST_WEIGHT << WEIGHT_BITS)
        self._layers_predicting[step.layers] = _for_prediction(shared)

    def _change(self, step: Step, moves: Float32, inputs: Float32) -> Float32:
        """Sums move times input over the positions.

        Args:
            step: the step.
            moves: float32 (U, learners, P): errors times rates, with WEIGHT_BITS - UNIT_BITS and
                the spare fractional bits.
            inputs: float32 (U, P, inputs).

        Returns:
            float32 (U, learners, inputs), with WEIGHT_BITS fractional bits.
        """
        change: Float32 = np.matmul(moves[..., :_CHUNK], inputs[:, :_CHUNK])
        if inputs.shape[1] <= _CHUNK:
            return change  # of steps so short that nothing was spare
        total = np.zeros(change.shape)
        total += change
        for begin in range(_CHUNK, inputs.shape[1], _CHUNK):
            chunk = slice(begin, begin + _CHUNK)
            total += np.matmul(moves[..., chunk], inputs[:, chunk])
        total *= self._without_spare[step.diagonals]
        return round_half_up(total).astype(np.float32)

    def _sums(self, name: str, step: Step, inputs: Float32) -> Float32:
        """float32 (U, P, learners), integers with _SUM_BITS fractional bits."""
        sums: Float32 = np.matmul(inputs, np.moveaxis(self._weights_of(name, step), 1, -1))
        return sums

    def _weights_of(self, name: str, step: Step) -> Float32:
        """float32 (U, learners, inputs), integers with _PREDICTION_BITS fractional bits."""
        weights = self._predicting[step.units, self._columns[name]]
        return weights.reshape(len(weights), self._learners[name], -1)


class _Mixer:
    """Weighs logits, unit by unit: what the learners say, each as far as it has been right."""

    def __init__(self, schedule: Schedule) -> None:
        units = schedule.layers * schedule.channels
        self._weights = np.tile(np.array(_MIXER_START, dtype=np.float64), (units, 1))
        self._layer_of_unit = np.repeat(np.arange(schedule.layers), schedule.channels)
        rates = _rates(schedule, _MIXER_START_RATE, _MIXER_HALF_LIFE)
        self._rates = (rates / (1 << _RATE_BITS))[:, None]

    def logits(self, step: Step, inputs: Float64) -> Float64:
        """The mixed logits, float64 (U, P), of logits (U, P, inputs)."""
        mixed = np.matmul(inputs, self._weights[step.units, :, None])[..., 0]
        return _to_logits(mixed, LOGIT_BITS + _MIXER_BITS)

    def learn(self, step: Step, inputs: Float64, error: Float64) -> None:
        """Learns from errors, float64 (U, P), with FREQUENCY_BITS fractional bits."""
        change = np.matmul(error[:, None], inputs)[:, 0]
        change = _scaled(change, _MIXER_BITS - FREQUENCY_BITS - LOGIT_BITS)
        change *= self._rates[step.diagonals]
        together = np.add.reduceat(change, step.starts)
        of_unit = self._layer_of_unit[step.units] - step.layers.start
        weights = self._weights[step.units]
        weights += round_half_up(together[of_unit] + _MIXER_UNIT_SHARE * change)
        _clamp(weights, _LARGEST_MIXER_WEIGHT << _MIXER_BITS)


def _rates(schedule: Schedule, start: int, half_life: int) -> npt.NDArray[np.int64]:
    """The rate of every diagonal, which falls with the positions before it."""
    sizes = schedule.diagonal_sizes
    counted = np.minimum(sizes, _FULL_STEP)
    rates = decaying_rate(start, half_life, np.cumsum(counted) - counted)
    return rates * counted // sizes


def _scaled(values: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Multiplies by 2^bits, where bits <= 0, and rounds."""
    return round_half_up(values * (1 / (1 << -bits)))


def _for_prediction(weights: npt.NDArray[Any]) -> Float32:
    return _scaled(weights, _PREDICTION_BITS - WEIGHT_BITS).astype(np.float32)


def _to_logits(values: Float64, bits: int) -> Float64:
    """Rounds numbers with `bits` fractional bits to logits, and clamps them."""
    logits: Float64 = _scaled(values, LOGIT_BITS - bits)
    _clamp(logits, LOGIT_LIMIT)
    return logits


def _clamp(values: npt.NDArray[Any], limit: int) -> None:
    np.clip(values, -limit, limit, out=values)


def _prove_exact(schedule: Schedule) -> None:
    """Raises OverflowError where a sum could outgrow what carries it."""
    weight = _LARGEST_WEIGHT << _PREDICTION_BITS
    own = (BLOCK + 2 * BLOCK + 1) * UNIT  # known, surprise, constant
    require_exact(own * weight, np.float32)
    gates = len(RESEMBLANCE_TAPS) * (LAYER_GATE + EARLIER_GATE)
    taps = (len(LAYER_TAPS) + len(CHANNEL_TAPS)) * UNIT  # some have two weights
    require_exact((gates + taps) * weight, np.float32)

    # Rates fall as steps grow beyond _FULL_STEP: a change stays within that many moves, and half
    # a unit for each that was rounded.
    move = (max(_START_RATES) >> (_RATE_BITS - FREQUENCY_BITS)) + 1
    change = (_FULL_STEP * move + _CHUNK) * LAYER_GATE
    require_exact((_LARGEST_WEIGHT << WEIGHT_BITS) + change, np.float32)
    require_exact(_CHUNK * move * LAYER_GATE, np.float32)
    positions = _FULL_STEP * schedule.channels
    require_exact(schedule.channels * change * _LAYER_SHARE, np.float64)
    mixed = LOGIT_LIMIT * (_LARGEST_MIXER_WEIGHT << _MIXER_BITS)
    require_exact(len(_MIXER_START) * mixed, np.float64)
    gradient = LOGIT_LIMIT << FREQUENCY_BITS
    require_exact(int(schedule.diagonal_sizes.max()) * gradient, np.float64)
    gradient >>= FREQUENCY_BITS + LOGIT_BITS - _MIXER_BITS
    change = gradient * _MIXER_START_RATE * (1 + _MIXER_UNIT_SHARE)
    require_exact(positions * change, np.float64)
