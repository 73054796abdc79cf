"""The whole model a second time, in plain Python integers: slow, obvious, without arrays.

It shares the format's parameters with the package, and no function: every number below is a Python
int, every rounding `rounded`, every neighbour a look-up among the bits known so far. What a model
file holds, it takes as nested lists.
"""

import decimal
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from nncodec.contexts import (
    AROUND_TAPS,
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
    IntegerNetwork,
)
from nncodec.learners import MIXER_CONSTANT, NETWORK_LIMIT, PREDICTION_BITS, WEIGHT_BITS
from nncodec.mixer import AGREES, MIXING_BITS, RESEMBLES, SURE, VERY_SURE
from nncodec.rates import (
    AROUND,
    AROUND_LIFE,
    FAST,
    FORGETTING,
    FULL_STEP,
    LEARNERS,
    MIXER_LIFE,
    MIXER_OF_LAYER,
    MIXER_OF_SET,
    MIXER_OF_UNIT,
    RATE_BITS,
    SHARE_BITS,
    SLOW,
)
from nncodec.start import (
    LARGEST_MIXER_WEIGHT,
    LARGEST_WEIGHT,
    MIXER_BITS,
    START_BITS,
    Start,
    untrained,
)

Bit = tuple[int, int, int, int, int]
"""Layer, image, row, column, channel: an index into the code tensor."""

Unit = tuple[int, int]
"""Layer, channel."""

Inputs = dict[str, list[int]]
"""What a bit sees, by kind, in sixteenths. Weights come in lists of the same lengths."""

OWN = {FAST: "surprise", SLOW: "earlier"}
"""What only one learner sees."""

KINDS = ("known", "own", "taps", "constant", "network", "layer taps", "gates")
"""The kinds of weights that learn at rates of their own, in the order of a start's rates."""

SHARED_KINDS = KINDS[-2:]


def rounded(value: int, bits: int) -> int:
    """value / 2^bits, rounded half up."""
    return (value + (1 << bits >> 1)) >> bits


def clamped(value: int, limit: int) -> int:
    return min(max(value, -limit), limit)


def to_logit(value: int, bits: int) -> int:
    """A number with so many fractional bits as a logit."""
    return clamped(rounded(value, bits - LOGIT_BITS), LOGIT_LIMIT)


def dot(a: Iterable[int], b: Iterable[int]) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True))


def prediction(weights: Iterable[int], inputs: Iterable[int]) -> int:
    """The sum of weights times inputs, with PREDICTION_BITS + UNIT_BITS."""
    return dot((rounded(weight, WEIGHT_BITS - PREDICTION_BITS) for weight in weights), inputs)


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


def share(half_life: int, samples: int) -> int:
    """1 / sqrt(1 + samples / half_life), rounded down."""
    return math.isqrt((half_life << 2 * SHARE_BITS) // (half_life + samples))


def move(error: int, rate: int) -> int:
    """Error times rate, with WEIGHT_BITS."""
    return rounded(error * rate, FREQUENCY_BITS + RATE_BITS - WEIGHT_BITS)


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
        start = start or untrained(layers, channels, with_network=network is not None)
        self.block = -(-channels // -(-channels // BLOCK))
        self.column_stride = math.ceil(channels / 2)
        self.row_stride = self.column_stride + math.ceil(channels / 4)
        self.signs: dict[Bit, int] = {}
        self.surprises: dict[Bit, int] = {}
        self.network = network and ReferenceNetwork(network, self.signs, (height, width))

        steps: dict[int, list[tuple[Unit, Bit]]] = {}
        for layer in range(layers):
            for image in range(batch):
                for row in range(height):
                    for column in range(width):
                        for channel in range(channels):
                            bit = (layer, image, row, column, channel)
                            step = (self.row_stride + channels) * layer + channel
                            step += self.diagonal_of(bit)
                            steps.setdefault(step, []).append(((layer, channel), bit))
        self.steps = [
            [bit for _, bit in sorted(steps.get(step, []))] for step in range(max(steps) + 1)
        ]

        diagonals = [
            self.row_stride * y + self.column_stride * x
            for y in range(height)
            for x in range(width)
        ] * batch
        # By diagonal: how many positions it has, for how many it counts, how many counted before.
        self.sizes: dict[int, int] = {}
        self.counted: dict[int, int] = {}
        self.before: dict[int, int] = {}
        for diagonal in sorted(set(diagonals)):
            self.before[diagonal] = sum(self.counted.values())
            self.sizes[diagonal] = diagonals.count(diagonal)
            self.counted[diagonal] = min(self.sizes[diagonal], FULL_STEP)

        self.rates, self.half_lives = start.rates.tolist(), start.half_lives.tolist()
        units = [(layer, channel) for layer in range(layers) for channel in range(channels)]
        weights, around = start.units.tolist(), start.around.tolist()
        mixers, sets = start.mixers.tolist(), start.sets.tolist()
        self.own: dict[tuple[Unit, int], Inputs] = {
            ((layer, channel), learner): self._parts(weights[layer][channel][learner])
            for layer, channel in units
            for learner in range(LEARNERS)
        }
        self.shared: dict[tuple[int, int], Inputs] = {}
        for layer, rows in enumerate(start.shared.tolist()[:layers]):
            for learner, row in enumerate(rows):
                taps, gates = row[: len(LAYER_TAPS)], row[len(LAYER_TAPS) :]
                self.shared[layer, learner] = {
                    "layer taps": learning(taps),
                    "gates": learning(gates),
                }
        self.around = {
            (layer, channel): [learning(row) for row in around[layer][channel]]
            for layer, channel in units
        }
        more = MIXING_BITS - MIXER_BITS
        self.mixers = {(layer, c): [w << more for w in mixers[layer][c]] for layer, c in units}
        self.sets = [[[w << more for w in row] for row in rows] for rows in sets[:layers]]
        self._asked: list[Prediction] = []

    def _parts(self, weights: list[int]) -> Inputs:
        """A unit's weights by kind."""
        lengths = [self.block, self.block, len(CHANNEL_TAPS), 1, int(self.network is not None)]
        assert len(weights) == sum(lengths)
        parts, end = {}, 0
        for kind, length in zip(KINDS, lengths, strict=False):
            begin, end = end, end + length
            if length:
                parts[kind] = learning(weights[begin:end])
        return parts

    def learned(self) -> dict[str, list[int]]:
        """The weights as they have become, by the names of a start, one after another."""
        own = [row for by_kind in self.own.values() for row in by_kind.values()]
        shared = [row for by_kind in self.shared.values() for row in by_kind.values()]
        return {
            "units": [w for row in own for w in row],
            "shared": [w for row in shared for w in row],
            "around": [w for taps in self.around.values() for row in taps for w in row],
            "mixers": [w for row in self.mixers.values() for w in row],
            "sets": [w for rows in self.sets for row in rows for w in row],
        }

    def diagonal_of(self, bit: Bit) -> int:
        return self.row_stride * bit[2] + self.column_stride * bit[3]

    def rate(self, layer: int, kind: int, life: int, diagonal: int) -> int:
        """The rate of a kind of weights at a diagonal."""
        left = share(self.half_lives[layer][life], self.before[diagonal])
        left = left * self.counted[diagonal] // self.sizes[diagonal]
        whole: int = self.rates[layer][kind] * left >> SHARE_BITS
        return whole

    def frequencies(self, step: Sequence[Bit]) -> list[int]:
        """The frequency of a 1 for every bit of a step."""
        self._asked = [Prediction(self, bit) for bit in step]
        return [prediction.frequency for prediction in self._asked]

    def learn(self, bits: Sequence[int]) -> None:
        """Learns from the bits whose frequencies were asked for last."""
        shared: dict[tuple[int, int, str], list[int]] = {}
        sets: dict[tuple[int, int], list[int]] = {}
        for prediction, bit in zip(self._asked, bits, strict=True):
            one = bit << FREQUENCY_BITS
            for learner in range(LEARNERS):
                self._learn_learner(prediction, learner, one, shared)
            self._learn_around(prediction, one)
            self._learn_mixing(prediction, one, sets)

        largest = LARGEST_WEIGHT << WEIGHT_BITS
        for unit, diagonal in {p.unit: self.diagonal_of(p.bit) for p in self._asked}.items():
            for weights in self.around[unit][: len(around_taps(unit[0]))]:
                forgotten = self.rates[unit[0]][FORGETTING] * self.counted[diagonal]
                for i, weight in enumerate(weights):
                    kept = weight - rounded(weight * forgotten, RATE_BITS)
                    weights[i] = clamped(kept, largest)
            for learner in range(LEARNERS):
                for weights in self.own[unit, learner].values():
                    weights[:] = [clamped(weight, largest) for weight in weights]
            move_weights(self.mixers[unit], [], LARGEST_MIXER_WEIGHT << MIXING_BITS)
        for (layer, learner, kind), sums in shared.items():
            changes = [rounded(value, UNIT_BITS) for value in sums]
            move_weights(self.shared[layer, learner][kind], changes, largest)
        for (layer, number), changes in sets.items():
            move_weights(self.sets[layer][number], changes, LARGEST_MIXER_WEIGHT << MIXING_BITS)

        for prediction, bit in zip(self._asked, bits, strict=True):
            error = (bit << FREQUENCY_BITS) - prediction.learner_frequencies[FAST]
            self.signs[prediction.bit] = 2 * bit - 1
            # Twice the error, in sixteenths.
            self.surprises[prediction.bit] = rounded(error, FREQUENCY_BITS - 1 - UNIT_BITS)

    def _learn_learner(
        self,
        prediction: "Prediction",
        learner: int,
        one: int,
        shared: dict[tuple[int, int, str], list[int]],
    ) -> None:
        layer, diagonal = prediction.unit[0], self.diagonal_of(prediction.bit)
        error = one - prediction.learner_frequencies[learner]
        for kind, values in prediction.inputs[learner].items():
            number = learner * len(KINDS) + KINDS.index(kind)
            step = move(error, self.rate(layer, number, learner, diagonal))
            changes = [step * value for value in values]
            if kind in SHARED_KINDS:
                total = shared.setdefault((layer, learner, kind), [0] * len(changes))
                total[:] = [a + b for a, b in zip(total, changes, strict=True)]
            else:
                weights = self.own[prediction.unit, learner][kind]
                for i, change in enumerate(changes):
                    weights[i] += rounded(change, UNIT_BITS)

    def _learn_around(self, prediction: "Prediction", one: int) -> None:
        layer, diagonal = prediction.unit[0], self.diagonal_of(prediction.bit)
        rate = self.rate(layer, AROUND, AROUND_LIFE, diagonal)
        step = move(one - prediction.frequency, rate)
        for tap, signs in enumerate(prediction.around):
            weights = self.around[prediction.unit][tap]
            for i, sign in enumerate(signs):
                weights[i] += step * sign

    def _learn_mixing(
        self, prediction: "Prediction", one: int, sets: dict[tuple[int, int], list[int]]
    ) -> None:
        layer, diagonal = prediction.unit[0], self.diagonal_of(prediction.bit)
        error = one - prediction.frequency
        gradients = [rounded(error * logit, LOGIT_BITS) for logit in prediction.logits]
        bits = FREQUENCY_BITS + RATE_BITS - MIXING_BITS
        rate_of_unit, rate_of_layer, rate_of_set = (
            self.rate(layer, kind, MIXER_LIFE, diagonal)
            for kind in (MIXER_OF_UNIT, MIXER_OF_LAYER, MIXER_OF_SET)
        )
        for i, gradient in enumerate(gradients):
            self.mixers[prediction.unit][i] += rounded(gradient * rate_of_unit, bits)
        for number, rate in zip(prediction.sets, (rate_of_layer, *[rate_of_set] * 2), strict=True):
            total = sets.setdefault((layer, number), [0] * len(gradients))
            for i, gradient in enumerate(gradients):
                total[i] += rounded(gradient * rate, bits)

    def sign(self, bit: Bit, tap: tuple[int, int, int], channel: int) -> int:
        """That of a neighbour; 0 where it is outside the tensor or not known yet."""
        layer, image, row, column, _ = bit
        back, down, right = tap
        return self.signs.get((layer - back, image, row + down, column + right, channel), 0)

    def channels_of_block(self, bit: Bit) -> range:
        begin = bit[-1] // self.block * self.block
        return range(begin, begin + self.block)

    def agreement(self, bit: Bit, tap: tuple[int, int, int]) -> int:
        """How many of the block's bits agree with those of a neighbour, less how many differ."""
        back, *_ = tap
        return sum(
            self.sign(bit, (back, 0, 0), c) * self.sign(bit, tap, c)
            for c in self.channels_of_block(bit)
        )

    def inputs(self, bit: Bit) -> Inputs:
        """What a bit sees, but for what is around."""
        block, channel = self.channels_of_block(bit), bit[-1]
        gates, earlier_gates = [], []
        for _, down, right in RESEMBLANCE_TAPS:
            neighbour = self.sign(bit, (0, down, right), channel)
            excess = self.agreement(bit, (0, down, right))
            size = LAYER_GATE * excess * excess // (channel % self.block + 4) ** 2
            gates.append(neighbour * (size if excess > 0 else -size))
            excess = self.agreement(bit, (1, down, right))
            size = EARLIER_GATE * abs(excess) // (self.block + 4)
            earlier_gates.append(neighbour * (size if excess > 0 else -size))
        return {
            "known": [UNIT * self.sign(bit, (0, 0, 0), c) for c in block],
            "surprise": [self.surprises.get((*bit[:-1], c), 0) for c in block],
            "earlier": [UNIT * self.sign(bit, (1, 0, 0), c) for c in block],
            "taps": [UNIT * self.sign(bit, tap, channel) for tap in CHANNEL_TAPS],
            "constant": [UNIT],
            "layer taps": [UNIT * self.sign(bit, tap, channel) for tap in LAYER_TAPS],
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
        self.around = [
            [stage.sign(bit, tap, c) for c in stage.channels_of_block(bit)]
            for tap in around_taps(layer)
        ]

        around = UNIT * sum(
            prediction(weights, signs)
            for weights, signs in zip(stage.around[self.unit], self.around, strict=False)
        )
        sums, parts = [], {}
        for learner, inputs in enumerate(self.inputs):
            weights = stage.own[self.unit, learner] | stage.shared[layer, learner]
            assert weights.keys() == inputs.keys()
            parts = {kind: prediction(row, inputs[kind]) for kind, row in weights.items()}
            sums.append(sum(parts.values()) + around)
        # Of the slow learner: what the neighbours say, and the layer before.
        sums += [parts["taps"] + parts["layer taps"] + parts["gates"], parts["own"]]
        *logits, around_logit = [to_logit(v, PREDICTION_BITS + UNIT_BITS) for v in [*sums, around]]
        self.logits = [*logits, MIXER_CONSTANT, around_logit, *network]
        self.learner_frequencies = [frequency_of(self.logits[i]) for i in range(LEARNERS)]

        agreement, known = stage.agreement(bit, (0, 0, -1)), channel % stage.block
        sure, first, second = abs(self.logits[SLOW]), 1, 4
        if sure > SURE:
            first = 2
        if sure > VERY_SURE:
            first = 3
        if 10 * agreement > AGREES * known:
            second = 5
        if 10 * agreement > RESEMBLES * known:
            second = 6
        self.sets = (0, first, second)
        total = dot(stage.mixers[self.unit], self.logits)
        for number in self.sets:
            total += dot(stage.sets[layer][number], self.logits)
        self.frequency = frequency_of(to_logit(total, MIXING_BITS + LOGIT_BITS))


class ReferenceNetwork:
    """A network that predicts one bit after another.

    It may know more bits than are coded by then: the weights of those are zeros.
    """

    def __init__(
        self, network: IntegerNetwork, signs: Mapping[Bit, int], size: tuple[int, int]
    ) -> None:
        """Takes the signs as far as they are known, and the picture's height and width."""
        self._network, self._signs, self._size = network, signs, size
        self._arrays = {name: array.tolist() for name, array in network.arrays().items()}

    def logit(self, bit: Bit) -> int:
        """The logit of a bit, with LOGIT_BITS."""
        layer, image, row, column, channel = bit
        network, arrays, (height, width) = self._network, self._arrays, self._size
        inputs = []
        for back, down, right in network.taps.offsets:
            at = (layer - back, image, row + down, column + right)
            inputs += [self._signs.get((*at, c), 0) for c in range(network.channels)]
        for down, right in network.taps.places:
            y, x = row + down, column + right
            inputs.append(int(0 <= y < height and 0 <= x < width))

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
        logit = dot(hidden, (row[channel] for row in arrays["head"][layer]))
        logit *= arrays["head_scale"][layer][channel]
        logit += arrays["bias"][layer][channel]
        return to_logit(logit, SCALE_BITS + LOGIT_BITS)


def around_taps(layer: int) -> list[tuple[int, int, int]]:
    """Those within the tensor."""
    return [tap for tap in AROUND_TAPS if tap[0] <= layer]


def learning(weights: Iterable[int]) -> list[int]:
    """Weights of a start as they learn, with WEIGHT_BITS."""
    return [weight << WEIGHT_BITS - START_BITS for weight in weights]


def move_weights(weights: list[int], changes: Sequence[int], largest: int) -> None:
    """Adds the changes, and clamps the weights to `largest` either way."""
    for index, change in enumerate(changes):
        weights[index] += change
    weights[:] = [clamped(weight, largest) for weight in weights]
