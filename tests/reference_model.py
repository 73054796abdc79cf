"""The adaptive stage a second time, in plain Python integers: slow, obvious, without arrays.

It shares the format's parameters with the package, and no function: every number below is a Python
int, every rounding `rounded`, every neighbour a look-up among the bits known so far.
"""

import decimal
import functools
import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TypeVar

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
)
from nncodec.fixed_point import FREQUENCY_BITS, LOGIT_BITS, LOGIT_LIMIT
from nncodec.learners import (
    CHANNEL_TAP_SHIFT,
    CHUNK,
    FAST,
    HALF_LIFE,
    LARGEST_WEIGHT,
    LAYER_SHARE,
    LAYER_SHARE_BITS,
    LEARNERS,
    MIXER_CONSTANT,
    PREDICTION_BITS,
    SLOW,
    START_RATES,
    WEIGHT_BITS,
)
from nncodec.mixer import (
    LARGEST_MIXER_WEIGHT,
    MIXER_BITS,
    MIXER_HALF_LIFE,
    MIXER_START,
    MIXER_START_RATE,
    UNIT_SHARE,
)
from nncodec.rates import FULL_STEP, RATE_BITS
from nncodec.schedule import SLOPE

Bit = tuple[int, int, int, int, int]
"""Layer, image, row, column, channel: an index into the code tensor."""

Unit = tuple[int, int]
"""Layer, channel."""

K = TypeVar("K")

Inputs = dict[str, list[int]]
"""What a bit sees, by kind. Weights come in lists of the same lengths."""

OWN = {
    FAST: ("known", "surprise", "constant"),
    SLOW: ("known", "earlier", "constant"),
}
"""What each unit alone weighs. The neighbours are weighed by its layer, the first by both."""


def rounded(value: int, bits: int) -> int:
    """value / 2^bits, rounded half up."""
    return (value + (1 << bits >> 1)) >> bits


def clamped(value: int, limit: int) -> int:
    return min(max(value, -limit), limit)


def for_prediction(weight: int) -> int:
    return rounded(weight, WEIGHT_BITS - PREDICTION_BITS)


def dot(a: Iterable[int], b: Iterable[int]) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True))


@functools.cache
def frequency_of(logit: int) -> int:
    with decimal.localcontext() as context:
        context.prec = 60
        probability = 1 / (1 + (-Decimal(logit) / (1 << LOGIT_BITS)).exp())
        nearest = math.floor(probability * (1 << FREQUENCY_BITS) + Decimal("0.5"))
    return min(max(nearest, 1), (1 << FREQUENCY_BITS) - 1)


def decayed(start: int, half_life: int, samples: int) -> int:
    """start / sqrt(1 + samples / half_life), rounded down."""
    return math.isqrt(start * start * half_life // (half_life + samples))


class ReferenceStage:
    """Predicts the bits of a code tensor, step by step, and learns from them.

    Attributes:
        steps: the bits of every step, in coding order.
    """

    def __init__(self, layers: int, batch: int, height: int, width: int, channels: int) -> None:
        self.slope = min(SLOPE, width)
        self.block = -(-channels // -(-channels // BLOCK))

        steps: dict[int, list[tuple[Unit, Bit]]] = {}
        for layer in range(layers):
            for image in range(batch):
                for row in range(height):
                    for column in range(width):
                        for channel in range(channels):
                            step = channels * layer + channel + self.slope * row + column
                            bit = (layer, image, row, column, channel)
                            steps.setdefault(step, []).append(((layer, channel), bit))
        self.steps = [[bit for _, bit in sorted(steps[step])] for step in sorted(steps)]

        diagonals = [self.slope * y + x for y in range(height) for x in range(width)] * batch
        sizes = [diagonals.count(diagonal) for diagonal in range(max(diagonals) + 1)]
        # In long steps, errors times their low rates keep more bits, which the sums then lose.
        self.spare_bits = [max(0, (size // CHUNK).bit_length() - 1) for size in sizes]
        self.rates = {
            learner: decaying_rates(sizes, START_RATES[learner], HALF_LIFE)
            for learner in range(LEARNERS)
        }
        self.mixer_rates = decaying_rates(sizes, MIXER_START_RATE, MIXER_HALF_LIFE)

        lengths = {
            "known": self.block,
            "surprise": self.block,
            "earlier": self.block,
            "constant": 1,
            "neighbours": len(CHANNEL_TAPS),
        }
        units = [(layer, channel) for layer in range(layers) for channel in range(channels)]
        self.own: dict[tuple[Unit, int], Inputs] = {
            (unit, learner): {name: [0] * lengths[name] for name in (*OWN[learner], "neighbours")}
            for unit in units
            for learner in range(LEARNERS)
        }
        start = [[int(w) << (WEIGHT_BITS - START_BITS) for w in row] for row in START_WEIGHTS]
        self.shared = {
            (layer, learner): list(start[min(layer, len(start) - 1)])
            for layer in range(layers)
            for learner in range(LEARNERS)
        }
        self.mixer = {unit: list(MIXER_START) for unit in units}

        self.signs: dict[Bit, int] = {}
        self.surprises: dict[Bit, int] = {}
        self._asked: list[Prediction] = []

    def frequencies(self, step: Sequence[Bit]) -> list[int]:
        """The frequency of a 1 for every bit of a step."""
        self._asked = [Prediction(self, bit) for bit in step]
        return [prediction.frequency for prediction in self._asked]

    def learn(self, bits: Sequence[int]) -> None:
        """Learns from the bits whose frequencies were asked for last."""
        one = 1 << FREQUENCY_BITS
        own: dict[tuple[Unit, int, str], list[int]] = {}
        mixer: dict[Unit, list[int]] = {}
        diagonals: dict[Unit, int] = {}
        for prediction, bit in zip(self._asked, bits, strict=True):
            unit, inputs = prediction.unit, prediction.inputs
            diagonal = diagonals[unit] = prediction.diagonal  # the same for all its bits of a step
            accumulate(mixer, unit, bit * one - prediction.frequency, prediction.logits)
            for learner in range(LEARNERS):
                error = bit * one - prediction.learner_frequencies[learner]
                rate = self.rates[learner][diagonal] << self.spare_bits[diagonal]
                for name in (*OWN[learner], "neighbours"):
                    accumulate(
                        own, (unit, learner, name), rounded(error * rate, RATE_BITS), inputs[name]
                    )

        shared: dict[tuple[int, int], list[int]] = {}
        for (unit, learner, name), sums in own.items():
            changes = [rounded(value, self.spare_bits[diagonals[unit]]) for value in sums]
            if name == "neighbours":
                accumulate(shared, (unit[0], learner), LAYER_SHARE, changes)
                of_channel = changes[: len(CHANNEL_TAPS)]
                changes = [rounded(change, CHANNEL_TAP_SHIFT) for change in of_channel]
            move(self.own[unit, learner][name], changes, LARGEST_WEIGHT << WEIGHT_BITS)
        for layer, sums in shared.items():
            changes = [rounded(value, LAYER_SHARE_BITS) for value in sums]
            move(self.shared[layer], changes, LARGEST_WEIGHT << WEIGHT_BITS)

        scale = FREQUENCY_BITS + LOGIT_BITS - MIXER_BITS
        mixer_changes = {
            unit: [rounded(g, scale) * self.mixer_rates[diagonals[unit]] for g in gradient]
            for unit, gradient in mixer.items()
        }
        for unit, own_change in mixer_changes.items():
            of_layer = [change for other, change in mixer_changes.items() if other[0] == unit[0]]
            changes = [
                rounded(sum(all_units) + UNIT_SHARE * mine, RATE_BITS)
                for mine, *all_units in zip(own_change, *of_layer, strict=True)
            ]
            move(self.mixer[unit], changes, LARGEST_MIXER_WEIGHT << MIXER_BITS)

        for prediction, bit in zip(self._asked, bits, strict=True):
            error = bit * one - prediction.learner_frequencies[FAST]
            self.signs[prediction.bit] = 2 * bit - 1
            # Twice the error, in sixteenths.
            self.surprises[prediction.bit] = rounded(error, FREQUENCY_BITS - 1 - UNIT_BITS)

    def inputs(self, bit: Bit) -> Inputs:
        """What a bit sees; what lies outside the tensor or is not known yet is 0."""
        layer, image, row, column, channel = bit
        rank = channel % self.block
        block = range(channel - rank, channel - rank + self.block)

        def sign(back: int, down: int, right: int, channel: int) -> int:
            return self.signs.get((layer - back, image, row + down, column + right, channel), 0)

        gates, earlier_gates = [], []
        for _, down, right in RESEMBLANCE_TAPS:
            neighbour = sign(0, down, right, channel)
            excess = sum(sign(0, 0, 0, c) * sign(0, down, right, c) for c in block)
            size = LAYER_GATE * excess * excess // (rank + 4) ** 2
            gates.append(neighbour * (size if excess > 0 else -size))
            excess = sum(sign(1, 0, 0, c) * sign(1, down, right, c) for c in block)
            size = EARLIER_GATE * abs(excess) // (self.block + 4)
            earlier_gates.append(neighbour * (size if excess > 0 else -size))
        return {
            "known": [UNIT * sign(0, 0, 0, c) for c in block],
            "surprise": [self.surprises.get((layer, image, row, column, c), 0) for c in block],
            "earlier": [UNIT * sign(1, 0, 0, c) for c in block],
            "constant": [UNIT],
            "neighbours": [UNIT * sign(*tap, channel) for tap in LAYER_TAPS]
            + gates
            + earlier_gates,
        }


class Prediction:
    """What the stage computes to predict one bit."""

    def __init__(self, stage: ReferenceStage, bit: Bit) -> None:
        layer, _, row, column, channel = bit
        self.bit = bit
        self.unit = (layer, channel)
        self.diagonal = stage.slope * row + column
        self.inputs = stage.inputs(bit)

        sums, parts = [], {}
        for learner in range(LEARNERS):
            own = stage.own[self.unit, learner]
            weights = list(map(for_prediction, stage.shared[layer, learner]))
            for index, weight in enumerate(own["neighbours"]):
                weights[index] += for_prediction(weight)
            parts = {
                name: dot(map(for_prediction, own[name]), self.inputs[name])
                for name in OWN[learner]
            }
            parts["neighbours"] = dot(weights, self.inputs["neighbours"])
            sums.append(sum(parts.values()))
        sums += [parts["neighbours"], parts["earlier"]]  # of the slow learner
        extra_bits = PREDICTION_BITS + UNIT_BITS - LOGIT_BITS
        self.logits = [clamped(rounded(value, extra_bits), LOGIT_LIMIT) for value in sums]
        self.logits.append(MIXER_CONSTANT)
        self.learner_frequencies = [frequency_of(self.logits[i]) for i in range(LEARNERS)]

        mixed = rounded(dot(stage.mixer[self.unit], self.logits), MIXER_BITS)
        self.frequency = frequency_of(clamped(mixed, LOGIT_LIMIT))


def decaying_rates(sizes: Sequence[int], start: int, half_life: int) -> list[int]:
    """The rate of every diagonal, by the positions before it, of which a step counts FULL_STEP."""
    rates, before = [], 0
    for size in sizes:
        counted = min(size, FULL_STEP)
        rates.append(decayed(start, half_life, before) * counted // size)
        before += counted
    return rates


def accumulate(sums: dict[K, list[int]], key: K, factor: int, values: Sequence[int]) -> None:
    """Adds factor times values to the sums of a key."""
    total = sums.setdefault(key, [0] * len(values))
    for index, value in enumerate(values):
        total[index] += factor * value


def move(weights: list[int], changes: Sequence[int], largest: int) -> None:
    """Adds the changes, and clamps the weights to `largest` either way."""
    for index, change in enumerate(changes):
        weights[index] = clamped(weights[index] + change, largest)
