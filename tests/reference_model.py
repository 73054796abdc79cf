"""The whole model a second time, in plain Python integers: slow, obvious, without arrays.

It shares the format's parameters with the package, and no function: every number below is a Python
int, every rounding `rounded`, every neighbour a look-up among the bits known so far. What a model
file holds, it takes as nested lists.
"""

import decimal
import functools
import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TypeVar

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
from nncodec.integer_network import (
    ACTIVATION_ONE,
    SCALE_BITS,
    SUM_BITS,
    SUM_LIMIT,
    TRIANGLE_BITS,
    IntegerNetwork,
)
from nncodec.learners import (
    CHUNK,
    LAYER_SHARE,
    LAYER_SHARE_BITS,
    MIXER_CONSTANT,
    NETWORK_LIMIT,
    PREDICTION_BITS,
    WEIGHT_BITS,
)
from nncodec.rates import FULL_STEP, RATE_BITS
from nncodec.schedule import SLOPE
from nncodec.start import (
    FAST,
    LARGEST_MIXER_WEIGHT,
    LARGEST_WEIGHT,
    LEARNERS,
    MIXER_BITS,
    SLOW,
    START_BITS,
    Start,
    untrained,
)

Bit = tuple[int, int, int, int, int]
"""Layer, image, row, column, channel: an index into the code tensor."""

Unit = tuple[int, int]
"""Layer, channel."""

K = TypeVar("K")

Inputs = dict[str, list[int]]
"""What a bit sees, by kind. Weights come in lists of the same lengths."""

OWN = {FAST: "surprise", SLOW: "earlier"}
"""What only one learner sees."""

KINDS = ("known", "own", "taps", "constant", "network", "layer taps", "gates")
"""The kinds of weights that learn at rates of their own, in the order of a start's shifts."""


def rounded(value: int, bits: int) -> int:
    """value / 2^bits, rounded half up; `bits` may be negative."""
    return (value + (1 << bits >> 1)) >> bits if bits >= 0 else value << -bits


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


@functools.cache
def tanh_of(scaled_sum: int) -> int:
    """The activation of a clamped sum: 127 (2 logistic(2 z) - 1), from a logistic of 16 bits."""
    tanh = 2 * frequency_of(2 * scaled_sum << LOGIT_BITS - SUM_BITS) - (1 << FREQUENCY_BITS)
    return rounded(tanh * ACTIVATION_ONE, FREQUENCY_BITS)


def decayed(start: int, half_life: int, samples: int) -> int:
    """start / sqrt(1 + samples / half_life), rounded down."""
    return math.isqrt(start * start * half_life // (half_life + samples))


class ReferenceStage:
    """Predicts the bits of a code tensor, step by step, and learns from them.

    Attributes:
        steps: the bits of every step, in coding order.
    """

    def __init__(
        self,
        shape: tuple[int, int, int, int, int],
        start: Start | None = None,
        network: IntegerNetwork | None = None,
    ) -> None:
        layers, batch, height, width, channels = shape
        start = start or untrained(layers, channels)
        self.block = -(-channels // -(-channels // BLOCK))
        self.height, self.width = height, width
        self.network = network and ReferenceNetwork(network, self)

        last = channels * layers - 1 + SLOPE * (height - 1) + width - 1
        steps: list[list[tuple[Unit, Bit]]] = [[] for _ in range(last + 1)]
        for layer in range(layers):
            for image in range(batch):
                for row in range(height):
                    for column in range(width):
                        for channel in range(channels):
                            step = channels * layer + channel + SLOPE * row + column
                            bit = (layer, image, row, column, channel)
                            steps[step].append(((layer, channel), bit))
        self.steps = [[bit for _, bit in sorted(step)] for step in steps]

        diagonals = [SLOPE * y + x for y in range(height) for x in range(width)] * batch
        sizes = [diagonals.count(diagonal) for diagonal in range(max(diagonals) + 1)]
        # In long steps, errors times their low rates keep more bits, which the sums then lose.
        self.spare_bits = [max(0, (size // CHUNK).bit_length() - 1) for size in sizes]
        half_lives = [[*own, own[-1]] for own in start.half_lives.tolist()]
        self.rates = [
            [decaying_rates(sizes, *one) for one in zip(*layer, strict=True)]
            for layer in zip(start.rates.tolist()[:layers], half_lives[:layers], strict=True)
        ]
        self.shifts = [
            [dict(zip(KINDS, learner, strict=True)) for learner in layer]
            for layer in start.shifts.tolist()
        ]

        units = [(layer, channel) for layer in range(layers) for channel in range(channels)]
        weights, mixers = start.units.tolist(), start.mixers.tolist()
        self.own: dict[tuple[Unit, int], Inputs] = {
            ((layer, channel), learner): self._parts(weights[layer][channel][learner])
            for layer, channel in units
            for learner in range(LEARNERS)
        }
        self.shared = {
            (layer, learner): [w << WEIGHT_BITS - START_BITS for w in row]
            for layer, rows in enumerate(start.shared.tolist()[:layers])
            for learner, row in enumerate(rows)
        }
        self.mixer = {(layer, channel): mixers[layer][channel] for layer, channel in units}

        self.signs: dict[Bit, int] = {}
        self.surprises: dict[Bit, int] = {}
        self._asked: list[Prediction] = []
        self._step, self._diagonal_count = 0, len(sizes)

    def _parts(self, weights: list[int]) -> Inputs:
        """A unit's weights by kind, with WEIGHT_BITS."""
        lengths = [self.block, self.block, len(CHANNEL_TAPS), 1, int(self.network is not None)]
        assert len(weights) == sum(lengths)
        parts, end = {}, 0
        for kind, length in zip(KINDS, lengths, strict=False):
            begin, end = end, end + length
            parts[kind] = [weight << WEIGHT_BITS - START_BITS for weight in weights[begin:end]]
        return parts

    def frequencies(self, step: Sequence[Bit]) -> list[int]:
        """The frequency of a 1 for every bit of a step."""
        self._asked = [Prediction(self, bit) for bit in step]
        return [prediction.frequency for prediction in self._asked]

    def learn(self, bits: Sequence[int]) -> None:
        """Learns from the bits whose frequencies were asked for last."""
        one = 1 << FREQUENCY_BITS
        # The units on their way through the picture, some of them between two of its rows.
        diagonals = {unit: self._step - number for number, unit in enumerate(self.mixer)}
        diagonals = {unit: at for unit, at in diagonals.items() if 0 <= at < self._diagonal_count}
        self._step += 1
        own: dict[tuple[Unit, int, str], list[int]] = {}
        mixer = {unit: [0] * len(self.mixer[unit]) for unit in diagonals}
        for prediction, bit in zip(self._asked, bits, strict=True):
            unit = prediction.unit
            diagonal = diagonals[unit]
            accumulate(mixer, unit, bit * one - prediction.frequency, prediction.logits)
            for learner in range(LEARNERS):
                error = bit * one - prediction.learner_frequencies[learner]
                rate = self.rates[unit[0]][learner][diagonal] << self.spare_bits[diagonal]
                move = rounded(error * rate, RATE_BITS)
                for kind, values in prediction.inputs[learner].items():
                    accumulate(own, (unit, learner, kind), move, values)

        shared: dict[tuple[int, int, str], list[int]] = {}
        for (unit, learner, kind), sums in own.items():
            changes = [rounded(value, self.spare_bits[diagonals[unit]]) for value in sums]
            if kind in ("layer taps", "gates"):
                accumulate(shared, (unit[0], learner, kind), LAYER_SHARE, changes)
                continue
            shift = self.shifts[unit[0]][learner][kind]
            changes = [rounded(change, -shift) for change in changes]
            move_weights(self.own[unit, learner][kind], changes, LARGEST_WEIGHT << WEIGHT_BITS)
        for (layer, learner, kind), sums in shared.items():
            shift = self.shifts[layer][learner][kind]
            changes = [rounded(value, LAYER_SHARE_BITS - shift) for value in sums]
            begin = 0 if kind == "layer taps" else len(LAYER_TAPS)
            weights = self.shared[layer, learner][begin : begin + len(changes)]
            move_weights(weights, changes, LARGEST_WEIGHT << WEIGHT_BITS)
            self.shared[layer, learner][begin : begin + len(changes)] = weights

        scale = FREQUENCY_BITS + LOGIT_BITS - MIXER_BITS
        gradients = {unit: [rounded(g, scale) for g in sums] for unit, sums in mixer.items()}
        for unit, own_gradient in gradients.items():
            *_, own_rate, _ = (rates[diagonals[unit]] for rates in self.rates[unit[0]])
            changes = [own_rate * value for value in own_gradient]
            for other, gradient in gradients.items():
                if other[0] == unit[0]:
                    layer_rate = self.rates[unit[0]][-1][diagonals[other]]
                    changes = [c + layer_rate * g for c, g in zip(changes, gradient, strict=True)]
            changes = [rounded(change, RATE_BITS) for change in changes]
            move_weights(self.mixer[unit], changes, LARGEST_MIXER_WEIGHT << MIXER_BITS)

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
            "taps": [UNIT * sign(*tap, channel) for tap in CHANNEL_TAPS],
            "layer taps": [UNIT * sign(*tap, channel) for tap in LAYER_TAPS],
            "gates": gates + earlier_gates,
        }


class Prediction:
    """What the model computes to predict one bit."""

    def __init__(self, stage: ReferenceStage, bit: Bit) -> None:
        layer, *_, channel = bit
        self.bit = bit
        self.unit = (layer, channel)
        seen = stage.inputs(bit)
        network = []
        if stage.network:
            network = [stage.network.logit(bit)]
            limit = NETWORK_LIMIT << UNIT_BITS
            seen["network"] = [clamped(rounded(network[0], LOGIT_BITS - UNIT_BITS), limit)]
        self.inputs = [
            {kind: values for kind, values in seen.items() if kind not in OWN.values()}
            | {"own": seen[OWN[learner]]}
            for learner in range(LEARNERS)
        ]

        sums, parts = [], {}
        for learner, inputs in enumerate(self.inputs):
            weights = {kind: row for kind, row in stage.own[self.unit, learner].items() if row}
            shared = stage.shared[layer, learner]
            weights |= {"layer taps": shared[: len(LAYER_TAPS)]}
            weights |= {"gates": shared[len(LAYER_TAPS) :]}
            assert weights.keys() == inputs.keys()
            parts = {
                kind: dot(map(for_prediction, row), inputs[kind]) for kind, row in weights.items()
            }
            sums.append(sum(parts.values()))
        # Of the slow learner: what the neighbours say, and the layer before.
        sums += [parts["taps"] + parts["layer taps"] + parts["gates"], parts["own"]]
        extra_bits = PREDICTION_BITS + UNIT_BITS - LOGIT_BITS
        self.logits = [clamped(rounded(value, extra_bits), LOGIT_LIMIT) for value in sums]
        self.logits += [MIXER_CONSTANT, *network]
        self.learner_frequencies = [frequency_of(self.logits[i]) for i in range(LEARNERS)]

        mixed = rounded(dot(stage.mixer[self.unit], self.logits), MIXER_BITS)
        self.frequency = frequency_of(clamped(mixed, LOGIT_LIMIT))


class ReferenceNetwork:
    """A network that predicts one bit after another, from what the stage knows by then."""

    def __init__(self, network: IntegerNetwork, stage: ReferenceStage) -> None:
        self._stage, self._network = stage, network
        self._arrays = {name: array.tolist() for name, array in network.arrays().items()}

    def logit(self, bit: Bit) -> int:
        """The logit of a bit, with LOGIT_BITS."""
        layer, image, row, column, channel = bit
        network, arrays = self._network, self._arrays
        inputs = []
        for back, down, right in network.taps.offsets:
            at = (layer - back, image, row + down, column + right)
            inputs += [self._stage.signs.get((*at, c), 0) for c in range(network.channels)]
        for down, right in network.taps.places:
            y, x = row + down, column + right
            inputs.append(int(0 <= y < self._stage.height and 0 <= x < self._stage.width))

        sums = [0] * network.hidden
        for value, weights in zip(inputs, arrays["weights"], strict=True):
            if value:
                sums = [s + value * weight for s, weight in zip(sums, weights, strict=True)]
        hidden = [
            tanh_of(clamped(rounded(s * scale + shift, SCALE_BITS), SUM_LIMIT))
            for s, scale, shift in zip(
                sums, arrays["scale"][layer], arrays["shift"][layer], strict=True
            )
        ]
        own = self._stage.signs
        known = [own.get((*bit[:4], c), 0) for c in range(network.channels)]
        logit = dot(hidden, (row[channel] for row in arrays["head"][layer]))
        logit *= arrays["head_scale"][layer][channel]
        direct = dot(inputs, (row[channel] for row in arrays["direct"][layer]))
        logit += direct * arrays["direct_scale"][layer][channel]
        triangle = dot(known, (row[channel] for row in arrays["triangle"][layer]))
        logit += triangle << SCALE_BITS + LOGIT_BITS - TRIANGLE_BITS
        logit += arrays["bias"][layer][channel]
        return clamped(rounded(logit, SCALE_BITS), LOGIT_LIMIT)


def decaying_rates(sizes: Sequence[int], start: int, half_life: int) -> list[int]:
    """The rate of every diagonal, by the positions before it, of which a step counts FULL_STEP."""
    rates, before = [], 0
    for size in sizes:
        counted = min(size, FULL_STEP)
        rates.append(decayed(start, half_life, before) * counted // max(size, 1))
        before += counted
    return rates


def accumulate(sums: dict[K, list[int]], key: K, factor: int, values: Sequence[int]) -> None:
    """Adds factor times values to the sums of a key."""
    total = sums.setdefault(key, [0] * len(values))
    for index, value in enumerate(values):
        total[index] += factor * value


def move_weights(weights: list[int], changes: Sequence[int], largest: int) -> None:
    """Adds the changes, and clamps the weights to `largest` either way."""
    for index, change in enumerate(changes):
        weights[index] = clamped(weights[index] + change, largest)
