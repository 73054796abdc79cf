"""The model of version 1, written from FORMAT.md alone: sections 6, 8 and 9.

Plain Python integers, slow and obvious, with the names of that page. A start is what a model file
holds: nested lists by the names of its arrays, without `start.`; a network is that of
reference_network.py.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from tests.reference_coverage import ReferenceCoverage
from tests.reference_network import Picture, Place, ReferenceNetwork, Signs, has_frames
from tests.reference_numbers import (
    AROUND_STEPS,
    AROUND_TAPS,
    CHANNEL_TAPS,
    DOUBT,
    EARLIER_GATE,
    FRAME_TENTHS,
    FRAME_TRUST,
    HALF_LIFE_OF_KIND,
    HANDOVER,
    LAYER_GATE,
    MIXER_CONSTANT,
    MOTION_TAPS,
    NEW_FRAME,
    PAIRS,
    Tap,
    block_size,
    clamped,
    dot,
    frequency_of,
    rounded,
    saturated,
    to_logit,
    untrained,
)

Shape = tuple[int, int, int, int, int]
"""Layers, pictures, rows, columns, channels of a code tensor."""

Bit = tuple[int, int, int, int, int]
"""An index into it: layer, picture, row, column, channel."""

HERE: Tap = (0, 0, 0, 0)
LAYER_BEFORE: Tap = (0, 1, 0, 0)
FRAME_BEFORE = 6
"""The pair that has a trust."""

MIXER_INPUTS = 8


class Unit:
    """The weights of a layer's channel."""

    def __init__(
        self,
        units: list[int],
        around: list[list[int]],
        mixer: list[int],
        *,
        blocks: int,
        with_network: bool,
    ) -> None:
        """Starts at the numbers of a model file."""
        block, numbers = len(around[0]), iter(units)
        self.known = list(itertools.islice(numbers, block))
        self.surprise = list(itertools.islice(numbers, block))
        self.beside = list(itertools.islice(numbers, block if blocks > 1 else 0))
        self.before = list(itertools.islice(numbers, block))
        self.constant = next(numbers) << 10
        self.network = next(numbers) << 10 if with_network else 0
        assert not list(numbers)
        self.around = [row.copy() for row in around]
        self.motion = [[0] * block for _ in MOTION_TAPS]
        self.mixer = mixer_weights(mixer)


class Layer:
    """The weights that the channels of a layer share."""

    def __init__(self, shared: list[int], mixer_set: list[int], sequence: bool) -> None:
        """Starts at the numbers of a model file."""
        weights = iter([weight << 10 for weight in shared])
        new_frame = NEW_FRAME if sequence else 0
        of_frames = {FRAME_BEFORE: new_frame, FRAME_BEFORE + 1: 0}
        self.near = [
            of_frames[number] if number in of_frames else next(weights)
            for number in range(len(CHANNEL_TAPS))
        ]
        self.gates = [*itertools.islice(weights, 6), new_frame, 0]
        self.earlier = [*itertools.islice(weights, 6), new_frame, 0]
        assert not list(weights)
        self.sets = [mixer_weights(mixer_set) for _ in range(len(FRAME_TENTHS) + 1)]


def mixer_weights(start: Sequence[int]) -> list[int]:
    return [weight << 8 for weight in start] + [0] * (MIXER_INPUTS - len(start))


class ReferenceStage:
    """Predicts the bits of a code tensor in coding order, and learns from them."""

    def __init__(
        self,
        shape: Shape,
        start: Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
        *,
        sequence: bool = False,
        pictures: Sequence[Picture] | None = None,
        decided: Sequence[bool] | None = None,
    ) -> None:
        """Takes no start for the untrained one; `decided` where positions may end early.

        Pictures of several sizes are given by their rows and columns; those of the shape, and how
        many there are, do not count then.
        """
        layers, count, rows, columns, channels = shape
        self.shape, self.sequence = shape, sequence
        self.pictures = [(rows, columns)] * count if pictures is None else list(pictures)
        self.block = block_size(channels)
        self.signs: dict[Place, list[int]] = {}
        self.surprises: dict[Place, list[int]] = {}
        block_count = math.ceil(channels / self.block)
        self._nothing = [0] * self.block * block_count
        self.coverage: ReferenceCoverage | None = None
        if decided is not None:
            self.coverage = ReferenceCoverage(decided, self.pictures, sequence=sequence)
        self.network: ReferenceNetwork | None = None
        if network:
            has = self.coverage.has if self.coverage else None
            self.network = ReferenceNetwork(
                network, self.signs, self.pictures, sequence=sequence, has=has
            )
        self._has_model = start is not None
        start = start or untrained(layers, channels)
        self.rates, self.half_lives = start["rates"], start["half_lives"]
        self.units = {
            (layer, channel): Unit(
                start["units"][layer][channel],
                start["around"][layer][channel],
                start["mixers"][layer][channel],
                blocks=block_count,
                with_network=network is not None,
            )
            for layer, channel in itertools.product(range(layers), range(channels))
        }
        self.layers = [
            Layer(start["shared"][layer], start["sets"][layer], sequence) for layer in range(layers)
        ]

    def run(
        self,
        value_of: Callable[["Prediction"], int],
        decision_of: Callable[[Place, int], int] | None = None,
    ) -> None:
        """Section 6: asks for the value of every bit, in coding order, as soon as it is predicted.

        Args:
            value_of: takes what is predicted of a bit, and gives the bit's value.
            decision_of: takes a place and the frequency of it that the position has the layer, and
                gives whether it has, where positions may end early.
        """
        layers, *_, channels = self.shape
        for block in blocks(layers, self.pictures, channels):
            place, channel = block[0][:4], block[0][4]
            if self.coverage and decision_of and channel == 0:
                self.coverage.decide(place, partial(decision_of, place))
            if not self.coverage or self.coverage.has(place):
                predictions, values = [], []
                for bit in block:
                    predictions.append(Prediction(self, bit))
                    values.append(value_of(predictions[-1]))
                    self._learn_from_bit(predictions[-1], values[-1])
                self._learn_from_block(predictions)
            last = min(HANDOVER, sum(rows * columns for rows, columns in self.pictures)) - 1
            if block[-1][4] == channels - 1 and self._number(place) == last:
                self._hand_over(place[0])

    def learned(self) -> dict[str, list[int]]:
        """The weights as they have become, by the names of those that there are."""
        units, layers = self.units.values(), self.layers
        weights = {
            "known": [weight for unit in units for weight in unit.known],
            "surprise": [weight for unit in units for weight in unit.surprise],
            "beside": [weight for unit in units for weight in unit.beside],
            "before": [weight for unit in units for weight in unit.before],
            "around": [weight for unit in units for row in unit.around for weight in row],
            "motion": [weight for unit in units for row in unit.motion for weight in row],
            "constant": [unit.constant for unit in units],
            "network": [unit.network for unit in units if self.network],
            "near": [weight for layer in layers for weight in layer.near],
            "gates": [weight for layer in layers for weight in layer.gates],
            "earlier": [weight for layer in layers for weight in layer.earlier],
            "unit": [weight for unit in units for weight in unit.mixer],
            "set": [weight for layer in layers for row in layer.sets for weight in row],
        }
        return {name: numbers for name, numbers in weights.items() if numbers}

    # --- what a bit sees, section 8 ---

    def block_at(self, known: Signs, bit: Bit, *taps: Tap) -> Sequence[int]:
        """What is known of the channels of a bit's block at a tap, or at one seen from another."""
        layer, picture, row, column, channel = bit
        for frames, back, down, right in taps:
            if frames > 0 and not (self.sequence and has_frames(self.pictures, picture, frames)):
                return self._nothing[: self.block]
            layer, picture, row, column = layer - back, picture - frames, row + down, column + right
        first = channel - channel % self.block
        return known.get((layer, picture, row, column), self._nothing)[first : first + self.block]

    def beside(self, bit: Bit) -> Sequence[int]:
        """The signs of the block before; none where a position is one block."""
        layer, picture, row, column, channel = bit
        if self.block == self.shape[4]:
            return []
        if channel < self.block:
            return self._nothing[: self.block]
        of_block_before = (layer, picture, row, column, channel - self.block)
        return self.block_at(self.signs, of_block_before, HERE)

    def agreement(self, bit: Bit, pair: int, of: Tap = HERE) -> int:
        """How much the block at a tap agrees with its neighbour at a pair."""
        neighbour = self.block_at(self.signs, bit, of, PAIRS[pair])
        return dot(self.block_at(self.signs, bit, of), neighbour)

    def trust(self, bit: Bit) -> int:
        """How much the frame before is trusted; 0 where there is none."""
        if bit[0] > 0:
            agreement = self.agreement(bit, FRAME_BEFORE, LAYER_BEFORE)
        else:
            left = self.agreement(bit, FRAME_BEFORE, (0, 0, 0, -1))
            above = self.agreement(bit, FRAME_BEFORE, (0, 0, -1, 0))
            agreement = (left + above) >> 1
        return FRAME_TRUST * agreement // self.block

    # --- learning, section 9 ---

    def rate(self, bit: Bit, kind: int) -> int:
        """R of a kind of weights, for a bit."""
        layer, picture, row, column, _ = bit
        half_life: int = self.half_lives[layer][HALF_LIFE_OF_KIND[kind]]
        seen = self._number((layer, picture, row, column))
        if self.coverage:
            seen -= self.coverage.missing[layer]
        if seen >= 64:
            lower_bits = seen.bit_length() - 6
            seen = seen >> lower_bits << lower_bits
        share = math.isqrt((half_life << 40) // (half_life + seen))
        rate: int = self.rates[layer][kind]
        return rate * share >> 20

    def _number(self, place: Place) -> int:
        """How many positions of its layer come before one, whether they have it or not."""
        _, picture, row, column = place
        before = sum(rows * columns for rows, columns in self.pictures[:picture])
        return before + row * self.pictures[picture][1] + column

    def _hand_over(self, layer: int) -> None:
        """Makes the next layer begin with the weights of a layer, where it does."""
        if not self.coverage or not self.coverage.inherits(layer + 1):
            return
        self.coverage.hand_over(layer)
        if self._has_model:
            return
        for channel in range(self.shape[4]):
            old, new = self.units[layer, channel], self.units[layer + 1, channel]
            new.known = [weight * 3 >> 2 for weight in old.known]
            new.surprise = [weight >> 1 for weight in old.surprise]
            new.beside = [weight >> 2 for weight in old.beside]
            new.before = [weight >> 2 for weight in old.before]
            for t, tap in enumerate(AROUND_TAPS):
                if tap[1] <= layer:
                    new.around[t] = [weight >> 2 for weight in old.around[t]]
            new.constant = old.constant
        self.layers[layer + 1].sets = [row.copy() for row in self.layers[layer].sets]

    def _learn_from_bit(self, prediction: "Prediction", value: int) -> None:
        layer, picture, row, column, channel = prediction.bit
        prediction.error = 65536 * value - frequency_of(prediction.z)
        prediction.mixed_error = 65536 * value - prediction.frequency
        for weights, kind in ((prediction.unit.mixer, 8), (prediction.mixer_set, 9)):
            for i, x in enumerate(prediction.x):
                gradient = rounded(prediction.mixed_error * x, 8)
                change = rounded(gradient * prediction.rates[kind], 16)
                weights[i] = clamped(weights[i] + change, 8 << 24)
        move = rounded(prediction.error * prediction.rates[6], 16)
        gates = prediction.layer.gates
        for k, gate_input in enumerate(prediction.gates):
            gates[k] = clamped(gates[k] + rounded(move * gate_input, 4), 4 << 24)
        at = (layer, picture, row, column)
        self.signs.setdefault(at, self._nothing.copy())[channel] = 1 if value else -1
        surprise = rounded(prediction.error, 11)
        self.surprises.setdefault(at, self._nothing.copy())[channel] = surprise

    def _learn_from_block(self, predictions: Sequence["Prediction"]) -> None:
        for prediction in predictions:
            self._learn_unit(prediction)
        layer, rates = predictions[0].layer, predictions[0].rates
        for t in range(len(CHANNEL_TAPS)):
            total = sum(prediction.error * prediction.near[t] for prediction in predictions)
            change = rounded(total * rates[5], 16)
            layer.near[t] = clamped(layer.near[t] + change, 4 << 24)
            if t < len(PAIRS):
                earlier_gate = predictions[0].earlier_gate[t]
                change = rounded(total * earlier_gate * rates[6], 20)
                layer.earlier[t] = clamped(layer.earlier[t] + change, 4 << 24)

    def _learn_unit(self, prediction: "Prediction") -> None:
        unit, error, rates = prediction.unit, prediction.error, prediction.rates
        learn_signs(unit.known, prediction.known, rounded(error * rates[0], 26))
        move = rounded(error * rates[1], 26)
        for j, surprise in enumerate(prediction.surprise):
            unit.surprise[j] = saturated(unit.surprise[j] + rounded(move * surprise, 4))
        learn_signs(unit.before, prediction.before, rounded(error * rates[2], 26))
        learn_signs(unit.beside, prediction.beside, rounded(error * rates[2], 26))
        move = rounded(prediction.mixed_error * rates[7], 27)
        for weights, signs, step in zip(unit.around, prediction.around, AROUND_STEPS, strict=False):
            learn_signs(weights, signs, move * step)
        move = rounded(prediction.mixed_error * (rates[7] >> 1), 26)
        for weights, signs in zip(unit.motion, prediction.motion, strict=True):
            learn_signs(weights, signs, move)
        change = rounded(error * rates[3], 16)
        unit.constant = clamped(unit.constant + change, 4 << 24)
        if self.network:
            move = rounded(error * rates[4], 16)
            change = rounded(move * prediction.network_input, 4)
            unit.network = clamped(unit.network + change, 4 << 24)


class Prediction:
    """What a bit sees, and how it is predicted.

    Attributes:
        bit: which it is of.
        unit, layer: the weights of its unit and of its layer.
        agreement, earlier_agreement, gate, earlier_gate: of every pair.
        trust: in the frame before.
        known, surprise, beside, before, around, motion, near, gates, earlier: its inputs.
        network_input: what the network says, for the sum; 0 without one.
        sums: by their names.
        z: the logit of all sums.
        x: the mixer's inputs.
        chosen: the number of the mixer's set.
        mixer_set: its weights.
        mixed: the mixer's logit.
        frequency: the bit's.
        rates: R of every kind, to learn with.
        error, mixed_error: once the bit is known.
    """

    def __init__(self, stage: ReferenceStage, bit: Bit) -> None:
        layer, *_, channel = self.bit = bit
        rank = channel % stage.block
        self.unit, self.layer = stage.units[layer, channel], stage.layers[layer]
        self.known = stage.block_at(stage.signs, bit, HERE)[:rank]
        self.surprise = stage.block_at(stage.surprises, bit, HERE)[:rank]
        self.beside = stage.beside(bit)
        self.before = stage.block_at(stage.signs, bit, LAYER_BEFORE)
        used = [tap for tap in AROUND_TAPS if tap[1] <= layer]
        self.around = [stage.block_at(stage.signs, bit, tap) for tap in used]
        self.motion = [stage.block_at(stage.signs, bit, tap) for tap in MOTION_TAPS]
        self.near = [stage.block_at(stage.signs, bit, tap)[rank] for tap in CHANNEL_TAPS]
        pairs = range(len(PAIRS))
        self.agreement = [stage.agreement(bit, pair) for pair in pairs]
        self.earlier_agreement = [stage.agreement(bit, pair, LAYER_BEFORE) for pair in pairs]
        self.trust = stage.trust(bit)
        self.gate = [gate(a, rank + DOUBT) for a in self.agreement]
        a = self.agreement[FRAME_BEFORE] + self.trust
        self.gate[FRAME_BEFORE] = gate(a, rank + DOUBT + FRAME_TRUST)
        self.earlier_gate = [earlier_gate(b, stage.block) for b in self.earlier_agreement]
        self.gates = [self.near[k] * self.gate[k] for k in pairs]
        self.earlier = [self.near[k] * self.earlier_gate[k] for k in pairs]
        network_logit = stage.network.logit(bit[:4], channel) if stage.network else 0
        self.network_input = clamped(rounded(network_logit, 4), 128)
        self.rates = [stage.rate(bit, kind) for kind in range(len(HALF_LIFE_OF_KIND))]
        self.error = self.mixed_error = 0

        unit, shared = self.unit, self.layer
        around_sum = 16 * sum(map(dot, unit.around, self.around))
        motion_sum = 16 * sum(map(dot, unit.motion, self.motion))
        before_sum = 16 * dot(unit.before, self.before) + 16 * dot(unit.beside, self.beside)
        known_sum = (unit.constant >> 6) + 16 * dot(unit.known[:rank], self.known)
        known_sum += dot(unit.surprise[:rank], self.surprise)
        nearby_sum = 16 * dot(predicting(shared.near), self.near)
        nearby_sum += dot(predicting(shared.earlier), self.earlier)
        nearby_sum += dot(predicting(shared.gates), self.gates)
        network_sum = dot(predicting([unit.network]), [self.network_input])
        self.sums = {
            "around_sum": around_sum,
            "motion_sum": motion_sum,
            "before_sum": before_sum,
            "known_sum": known_sum,
            "nearby_sum": nearby_sum,
            "network_sum": network_sum,
        }
        total = sum(self.sums.values())
        self.z = to_logit(total, 18)
        self.x = [
            self.z,
            to_logit(known_sum, 18),
            to_logit(nearby_sum, 18),
            to_logit(before_sum, 18),
            to_logit(around_sum, 18),
            MIXER_CONSTANT,
            network_logit,
            to_logit(motion_sum, 18),
        ]
        self.chosen = 0
        if stage.sequence:
            resemblance = 10 * (self.agreement[FRAME_BEFORE] + self.trust)
            self.chosen = sum(resemblance > n * (rank + FRAME_TRUST) for n in FRAME_TENTHS)
        self.mixer_set = shared.sets[self.chosen]
        weights = [own + of_set for own, of_set in zip(unit.mixer, self.mixer_set, strict=True)]
        self.mixed = to_logit(dot(weights, self.x), 32)
        self.frequency = frequency_of(self.mixed)


def learn_signs(weights: list[int], signs: Sequence[int], move: int) -> None:
    """Moves saturated weights of signs, as many as there are."""
    for j, sign in enumerate(signs):
        weights[j] = saturated(weights[j] + move * sign)


def gate(a: int, doubt: int) -> int:
    scale = (LAYER_GATE << 16) // doubt**2
    return a * abs(a) * scale >> 16


def earlier_gate(b: int, block: int) -> int:
    magnitude = EARLIER_GATE * abs(b) // (block + DOUBT)
    return magnitude if b >= 0 else -magnitude


def predicting(weights: Sequence[int]) -> list[int]:
    """P of weights."""
    return [weight >> 10 for weight in weights]


def blocks(layers: int, pictures: Sequence[Picture], channels: int) -> Iterator[list[Bit]]:
    """The bits of every block, in coding order."""
    block = block_size(channels)
    places = (
        (layer, picture, row, column)
        for layer in range(layers)
        for picture, (rows, columns) in enumerate(pictures)
        for row, column in itertools.product(range(rows), range(columns))
    )
    for layer, picture, row, column in places:
        for first in range(0, channels, block):
            last = min(first + block, channels)
            yield [(layer, picture, row, column, channel) for channel in range(first, last)]
