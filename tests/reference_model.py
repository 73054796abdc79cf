"""The model of version 1, written from FORMAT.md alone: sections 6, 8, 9 and 10.

Plain Python integers, slow and obvious, with the names of that page. A start and a network are what
a model file holds: nested lists by the names of its arrays, without `start.` and `network.`, a
network with its sizes.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tests.reference_numbers import (
    AROUND_TAPS,
    EARLIER_GATE,
    FULL_STEP,
    LAYER_GATE,
    LAYER_TAPS,
    MIXER_CONSTANT,
    NEAR_TAPS,
    PAIRS,
    SURE,
    VERY_SURE,
    Tap,
    block_size,
    clamped,
    dot,
    frequency_of,
    network_places,
    network_taps,
    rounded,
    strides,
    tanh_of,
    to_logit,
    untrained,
)

Shape = tuple[int, int, int, int, int]
"""Layers, images, rows, columns, channels of a code tensor."""

Bit = tuple[int, int, int, int, int]
"""An index into it: layer, image, row, column, channel."""

Place = tuple[int, int, int, int]
"""Where a bit is, but for its channel."""

Signs = Mapping[Place, Sequence[int]]
"""Those of the channels of every place of which a bit is known; 0 for those that are not."""

OWN_KINDS = ("known", "own", "near", "constant", "network")
"""The weights of a unit, and then of a layer, in the order of their kinds of rates."""
LAYER_KINDS = ("layer", "gates")


class Weights:
    """Weights that are used together.

    Attributes:
        exact: with 24 fractional bits.
        predicting: P of them, with 10.
    """

    def __init__(self, start: Iterable[int]) -> None:
        self.exact = [weight << 12 for weight in start]
        self.settle()

    def settle(self) -> None:
        """Clamps them, and rounds them for the next prediction."""
        self.exact = clamp_all(self.exact, 4 << 24)
        self.predicting = [(weight + 8192) >> 14 for weight in self.exact]


class Mixing:
    """Weights of the mixer, with 24 fractional bits."""

    def __init__(self, start: Iterable[int]) -> None:
        self.exact = [weight << 8 for weight in start]

    def settle(self) -> None:
        self.exact = clamp_all(self.exact, 8 << 24)


def clamp_all(weights: list[int], limit: int) -> list[int]:
    if max(weights) > limit or min(weights) < -limit:
        return [clamped(weight, limit) for weight in weights]
    return weights


class ReferenceStage:
    """Predicts the bits of a code tensor, step by step, and learns from them.

    Attributes:
        steps: the bits of every step, in coding order.
        asked: the predictions of the step whose frequencies were asked for last.
    """

    def __init__(
        self,
        shape: Shape,
        start: Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
    ) -> None:
        """Takes no start for the untrained one."""
        layers, images, rows, columns, channels = shape
        self.channels, self.block = channels, block_size(channels)
        self.signs: dict[Place, list[int]] = {}
        self.surprises: dict[Place, list[int]] = {}
        self._nothing = [0] * self.block * math.ceil(channels / self.block)
        self.network = ReferenceNetwork(network, self.signs, (rows, columns)) if network else None
        self.column_stride, self.row_stride, layer_lag = strides(channels)

        steps: dict[int, list[tuple[int, int, Bit]]] = {}
        for bit in every_bit(shape):
            layer, *_, channel = bit
            step = layer_lag * layer + channel + self.diagonal_of(bit)
            steps.setdefault(step, []).append((layer, channel, bit))
        self.steps = [
            [bit for *_, bit in sorted(steps.get(step, []))] for step in range(max(steps) + 1)
        ]

        positions = itertools.product(range(images), range(rows), range(columns))
        diagonals = [self.diagonal_of((0, *position, 0)) for position in positions]
        self.sizes = {d: diagonals.count(d) for d in sorted(set(diagonals))}
        self.counted = {d: min(size, FULL_STEP) for d, size in self.sizes.items()}
        before = itertools.accumulate(self.counted.values(), initial=0)
        self.seen = dict(zip(self.counted, before, strict=False))
        self._shares: dict[tuple[int, int], int] = {}

        start = start or untrained(layers, channels)
        self.rates, self.half_lives = start["rates"], start["half_lives"]
        units = list(itertools.product(range(layers), range(channels)))
        lengths = [self.block, self.block, len(NEAR_TAPS), 1, int(network is not None)]
        self.own = {
            (layer, channel, learner): split(
                start["units"][layer][channel][learner], OWN_KINDS, lengths
            )
            for layer, channel in units
            for learner in (0, 1)
        }
        lengths = [len(LAYER_TAPS), 2 * len(PAIRS)]
        self.shared = {
            (layer, learner): split(start["shared"][layer][learner], LAYER_KINDS, lengths)
            for layer in range(layers)
            for learner in (0, 1)
        }
        self.around = {
            (layer, channel): [Weights(row) for row in start["around"][layer][channel]]
            for layer, channel in units
        }
        self.mixers = {(layer, c): Mixing(start["mixers"][layer][c]) for layer, c in units}
        self.sets = [[Mixing(row) for row in rows] for rows in start["sets"][:layers]]
        self.asked: list[Prediction] = []

    def learned(self) -> dict[str, list[int]]:
        """The weights as they have become, by the names of a start, one after another."""
        own = [row for by_kind in self.own.values() for row in by_kind.values()]
        shared = [row for by_kind in self.shared.values() for row in by_kind.values()]
        return {
            "units": [w for row in own for w in row.exact],
            "shared": [w for row in shared for w in row.exact],
            "around": [w for taps in self.around.values() for row in taps for w in row.exact],
            "mixers": [w for row in self.mixers.values() for w in row.exact],
            "sets": [w for rows in self.sets for row in rows for w in row.exact],
        }

    def diagonal_of(self, bit: Bit) -> int:
        return self.row_stride * bit[2] + self.column_stride * bit[3]

    def rate(self, layer: int, kind: int, life: int, diagonal: int) -> int:
        """R of a kind of weights at a diagonal."""
        half_life: int = self.half_lives[layer][life]
        share = self._shares.get((half_life, diagonal))
        if share is None:
            root = math.isqrt((half_life << 40) // (half_life + self.seen[diagonal]))
            share = root * self.counted[diagonal] // self.sizes[diagonal]
            self._shares[half_life, diagonal] = share
        falling: int = self.rates[layer][kind] * share >> 20
        return falling

    def frequencies(self, step: Sequence[Bit]) -> list[int]:
        """The frequency of every bit of a step."""
        self.asked = [Prediction(self, bit) for bit in step]
        return [prediction.frequency for prediction in self.asked]

    def learn(self, bits: Sequence[int]) -> None:
        """Learns from the bits whose frequencies were asked for last."""
        shared: dict[tuple[int, int, str], list[int]] = {}
        sets: dict[tuple[int, int], list[int]] = {}
        for prediction, bit in zip(self.asked, bits, strict=True):
            for learner in (0, 1):
                self._learn_learner(prediction, learner, bit, shared)
            self._learn_around(prediction, bit)
            self._learn_mixing(prediction, bit, sets)

        for unit, diagonal in {p.unit: self.diagonal_of(p.bit) for p in self.asked}.items():
            layer = unit[0]
            forgotten = self.rates[layer][18] * self.counted[diagonal]
            for row in self.around[unit][: taps_around(layer)]:
                if forgotten:
                    row.exact = [w - rounded(w * forgotten, 24) for w in row.exact]
                row.settle()
            for learner in (0, 1):
                for row in self.own[(*unit, learner)].values():
                    row.settle()
            self.mixers[unit].settle()
        for (layer, learner, kind), sums in shared.items():
            row = self.shared[layer, learner][kind]
            row.exact = [w + rounded(s, 4) for w, s in zip(row.exact, sums, strict=True)]
            row.settle()
        for (layer, number), sums in sets.items():
            mixing = self.sets[layer][number]
            mixing.exact = [w + s for w, s in zip(mixing.exact, sums, strict=True)]
            mixing.settle()

        for prediction, bit in zip(self.asked, bits, strict=True):
            *place, channel = prediction.bit
            at = (place[0], place[1], place[2], place[3])
            error = 65536 * bit - frequency_of(prediction.z[0])
            self.signs.setdefault(at, self._nothing.copy())[channel] = 2 * bit - 1
            self.surprises.setdefault(at, self._nothing.copy())[channel] = rounded(error, 11)

    def _learn_learner(
        self,
        prediction: "Prediction",
        learner: int,
        bit: int,
        shared: dict[tuple[int, int, str], list[int]],
    ) -> None:
        layer, channel = prediction.unit
        diagonal, inputs = self.diagonal_of(prediction.bit), prediction.inputs[learner]
        error = 65536 * bit - frequency_of(prediction.z[learner])

        def move(kind: int) -> int:
            return rounded(error * self.rate(layer, 7 * learner + kind, learner, diagonal), 16)

        for kind, row in self.own[layer, channel, learner].items():
            step = move(OWN_KINDS.index(kind))
            row.exact = [
                w + ((step * x + 8) >> 4) for w, x in zip(row.exact, inputs[kind], strict=True)
            ]
        for kind in LAYER_KINDS:
            step = move(len(OWN_KINDS) + LAYER_KINDS.index(kind))
            values = inputs[kind]
            sums = shared.get((layer, learner, kind), [0] * len(values))
            shared[layer, learner, kind] = [s + step * x for s, x in zip(sums, values, strict=True)]

    def _learn_around(self, prediction: "Prediction", bit: int) -> None:
        layer, diagonal = prediction.unit[0], self.diagonal_of(prediction.bit)
        error = 65536 * bit - prediction.frequency
        move = rounded(error * self.rate(layer, 17, 3, diagonal), 16)
        for row, signs in zip(self.around[prediction.unit], prediction.around, strict=False):
            row.exact = [w + move * sign for w, sign in zip(row.exact, signs, strict=True)]

    def _learn_mixing(
        self, prediction: "Prediction", bit: int, sets: dict[tuple[int, int], list[int]]
    ) -> None:
        layer, diagonal = prediction.unit[0], self.diagonal_of(prediction.bit)
        error = 65536 * bit - prediction.frequency
        gradients = [rounded(error * x, 8) for x in prediction.x]
        of_unit, of_layer, of_set = (self.rate(layer, kind, 2, diagonal) for kind in (14, 15, 16))
        row = self.mixers[prediction.unit]
        changes = [rounded(gradient * of_unit, 16) for gradient in gradients]
        row.exact = [w + change for w, change in zip(row.exact, changes, strict=True)]
        for number, rate in zip(prediction.sets, (of_layer, of_set, of_set), strict=True):
            sums = sets.get((layer, number), [0] * len(gradients))
            sets[layer, number] = [
                s + rounded(gradient * rate, 16)
                for s, gradient in zip(sums, gradients, strict=True)
            ]

    def block_at(self, known: Signs, bit: Bit, tap: Tap) -> Sequence[int]:
        """What is known of the channels of a bit's block at a tap."""
        first = bit[4] - bit[4] % self.block
        return known.get(place_of(bit, tap), self._nothing)[first : first + self.block]

    def agreement(self, bit: Bit, back: int, pair: Tap) -> int:
        here = self.block_at(self.signs, bit, (back, 0, 0))
        return dot(here, self.block_at(self.signs, bit, (back, *pair[1:])))

    def inputs(self, bit: Bit) -> dict[str, list[int]]:
        """What a bit sees, but for `around` and the network."""
        rank = bit[4] % self.block
        neighbours = [self.block_at(self.signs, bit, tap)[rank] for tap in LAYER_TAPS]
        gates, earlier_gates = [], []
        for sign, pair in zip(neighbours, PAIRS, strict=False):
            a, b = self.agreement(bit, 0, pair), self.agreement(bit, 1, pair)
            gate = LAYER_GATE * a * a // (rank + 4) ** 2
            earlier_gate = EARLIER_GATE * abs(b) // (self.block + 4)
            gates.append(sign * (gate if a >= 0 else -gate))
            earlier_gates.append(sign * (earlier_gate if b >= 0 else -earlier_gate))
        layer = [16 * sign for sign in neighbours]
        return {
            "known": [16 * sign for sign in self.block_at(self.signs, bit, (0, 0, 0))],
            "surprise": list(self.block_at(self.surprises, bit, (0, 0, 0))),
            "before": [16 * sign for sign in self.block_at(self.signs, bit, (1, 0, 0))],
            "near": layer[: len(NEAR_TAPS)],
            "constant": [16],
            "layer": layer,
            "gates": gates + earlier_gates,
        }


class Prediction:
    """What is computed to predict a bit.

    Attributes:
        bit, unit: of which.
        inputs: of both learners, by the kinds of their weights.
        around: signs of the block at the taps that the layer uses.
        z: the logits of both learners.
        x: the mixer's inputs.
        sets: of the mixer, that are chosen.
        mixed: the mixer's logit.
        frequency: the bit's.
    """

    def __init__(self, stage: ReferenceStage, bit: Bit) -> None:
        layer, *_, channel = bit
        self.bit, self.unit = bit, (layer, channel)
        inputs = stage.inputs(bit)
        network = []
        if stage.network:
            network = [stage.network.logit(bit)]
            inputs["network"] = [clamped(rounded(network[0], 4), 128)]
        self.inputs = [inputs | {"own": inputs["surprise"]}, inputs | {"own": inputs["before"]}]
        used = AROUND_TAPS[: taps_around(layer)]
        self.around = [stage.block_at(stage.signs, bit, tap) for tap in used]

        around_sum = sum(
            dot(row.predicting, signs)
            for row, signs in zip(stage.around[self.unit], self.around, strict=False)
        )
        self.z: list[int] = []
        nearby = own = 0  # those of the slow learner remain
        for learner in (0, 1):
            weights = stage.own[layer, channel, learner] | stage.shared[layer, learner]
            parts = {
                kind: dot(row.predicting, self.inputs[learner][kind])
                for kind, row in weights.items()
            }
            nearby = parts["near"] + parts["layer"] + parts["gates"]
            own = parts["own"]
            self.z.append(to_logit(sum(parts.values()) + 16 * around_sum, 14))
        self.x = [*self.z, to_logit(nearby, 14), to_logit(own, 14)]
        self.x += [MIXER_CONSTANT, to_logit(around_sum, 10), *network]

        sure = abs(self.z[1])
        agreement, rank = stage.agreement(bit, 0, PAIRS[0]), channel % stage.block
        first = 1 + (sure > SURE) + (sure > VERY_SURE)
        second = 4 + (10 * agreement > 2 * rank) + (10 * agreement > 5 * rank)
        self.sets = (0, first, second)
        total = dot(stage.mixers[self.unit].exact, self.x)
        total += sum(dot(stage.sets[layer][number].exact, self.x) for number in self.sets)
        self.mixed = to_logit(total, 32)
        self.frequency = frequency_of(self.mixed)


class ReferenceNetwork:
    """A network that predicts one bit after another.

    It may know more bits than are coded when a group is due: the weights of those are zeros.
    """

    def __init__(self, network: Mapping[str, Any], signs: Signs, picture: tuple[int, int]) -> None:
        """Takes the signs as far as they are known, and the picture's rows and columns."""
        self._network, self._signs, self._picture = network, signs, picture
        self.channels: int = network["channels"]
        self._group_size: int = network["group_size"]
        groups = math.ceil(self.channels / self._group_size)
        self._hidden_of_group = len(network["weights"][0]) // groups
        self.taps = network_taps(network["reach"], network["earlier_layers"])
        self.places = network_places(self.taps)
        self._columns = list(zip(*network["weights"], strict=True))  # by hidden unit
        self._activations: dict[tuple[Place, int], list[int]] = {}

    def logit(self, bit: Bit) -> int:
        """The logit of a bit, with 8 fractional bits."""
        layer, *_, channel = bit
        activations = [
            activation
            for group in range(channel // self._group_size + 1)
            for activation in self._group(bit, group)
        ]
        head = [row[channel] for row in self._network["head"][layer][: len(activations)]]
        total = dot(activations, head) * self._network["head_scale"][layer][channel]
        return to_logit(total + self._network["bias"][layer][channel], 24)

    def _group(self, bit: Bit, group: int) -> list[int]:
        """The activations of a group's hidden units, kept from the first time they are asked."""
        layer, key = bit[0], (place_of(bit), group)
        if key not in self._activations:
            inputs, kept = self._inputs(bit), []
            begin = group * self._hidden_of_group
            for unit in range(begin, begin + self._hidden_of_group):
                total = dot(self._columns[unit], inputs) * self._network["scale"][layer][unit]
                total += self._network["shift"][layer][unit]
                kept.append(tanh_of(clamped(rounded(total, 16), 1024)))
            self._activations[key] = kept
        return self._activations[key]

    def _inputs(self, bit: Bit) -> list[int]:
        nothing = [0] * self.channels
        inputs: list[int] = []
        for tap in self.taps:
            inputs += self._signs.get(place_of(bit, tap), nothing)[: self.channels]
        rows, columns = self._picture
        for down, right in self.places:
            row, column = bit[2] + down, bit[3] + right
            inputs.append(int(0 <= row < rows and 0 <= column < columns))
        return inputs


def every_bit(shape: Shape) -> Iterator[Bit]:
    """All bits in tensor order."""
    layers, images, rows, columns, channels = map(range, shape)
    return itertools.product(layers, images, rows, columns, channels)


def place_of(bit: Bit, tap: Tap = (0, 0, 0)) -> Place:
    return bit[0] - tap[0], bit[1], bit[2] + tap[1], bit[3] + tap[2]


def taps_around(layer: int) -> int:
    """How many of the AROUND_TAPS, which never go fewer layers back, a layer uses."""
    return sum(back <= layer for back, _, _ in AROUND_TAPS)


def split(
    weights: Sequence[int], kinds: Iterable[str], lengths: Iterable[int]
) -> dict[str, Weights]:
    """Weights by kind, without the kinds of which there are none."""
    parts, end = {}, 0
    for kind, length in zip(kinds, lengths, strict=True):
        begin, end = end, end + length
        if length:
            parts[kind] = Weights(weights[begin:end])
    assert end == len(weights)
    return parts
