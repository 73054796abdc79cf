"""How fast the codec could be: the model's multiply-accumulates, and nothing else."""

import time
from dataclasses import dataclass

import numpy as np

from nncodec.model.contexts import (
    AROUND_TAPS,
    BEFORE_TAPS,
    CHANNEL_TAPS,
    GATES,
    MOTION_TAPS,
    Tap,
    place_taps,
)
from nncodec.model.kernels.compilation import compiled
from nncodec.model.kernels.long_rows import Extent, Int8, Int16, Int32, learn_and_sum
from nncodec.model.kernels.short_rows import EIGHT
from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.model.schedule import Schedule, block_count, block_size

UNITS, COLUMNS, ROUNDS, REPEATS = 16, 480, 200, 20
"""Rows of weights as long as what is around a bit, so few of them that they lie in the nearest
cache; how often each is passed; how often that is timed."""


@dataclass(frozen=True)
class Products:
    """Multiply-accumulates of the model for a code bit, by the part of the model.

    A weight that a bit sees counts once to predict, and once more to learn. Zeros count too:
    neighbours outside of the picture. What is done once a position or block does not count.
    """

    known: float
    surprise: float
    nearby: float
    gates: float
    before: float
    around: float
    motion: float
    mixer_of_unit: float
    mixer_of_layer: float
    network: float

    @property
    def total(self) -> float:
        return sum(map(float, vars(self).values()))


def products(schedule: Schedule, network: IntegerNetwork | None = None) -> Products:
    """Counts the multiply-accumulates of a code tensor's bits, in the mean."""
    channels = schedule.channels
    block, blocks = block_size(channels), block_count(channels)
    rank = float((np.arange(channels) % block).mean())

    def blocks_at(*taps: Tap) -> float:
        return 2 * block * float(place_taps(taps, schedule).counts.mean())

    return Products(
        known=2 * rank,
        surprise=2 * rank,
        nearby=2 * len(CHANNEL_TAPS),
        gates=2 * GATES,
        before=blocks_at(*BEFORE_TAPS) + 2 * block * (blocks - 1) / blocks,
        around=blocks_at(*AROUND_TAPS),
        motion=blocks_at(*MOTION_TAPS) if schedule.sequence else 0,
        mixer_of_unit=2 * EIGHT,
        mixer_of_layer=EIGHT,  # predicts together with that of the unit
        network=_of_network(network) if network else 0,
    )


def products_per_second() -> float:
    """Multiply-accumulates of int16 and int8 a second, of this machine, on one thread, at best."""
    random = np.random.default_rng(0)
    weights = random.integers(-100, 100, (UNITS, COLUMNS), dtype=np.int16)
    inputs, pending = random.integers(-1, 2, (2, 1, COLUMNS), dtype=np.int8)
    moves = np.ones((1, UNITS), dtype=np.int16)
    sums = np.zeros((1, UNITS), dtype=np.int32)
    best = float("inf")
    for number in range(REPEATS + 1):
        begin = time.perf_counter()
        _pass(weights, moves, pending, inputs, sums)
        if number:  # the first one compiles
            best = min(best, time.perf_counter() - begin)
    return 2 * ROUNDS * weights.size / best


@compiled
def _pass(weights: Int16, moves: Int16, pending: Int8, inputs: Int8, sums: Int32) -> None:
    for _ in range(ROUNDS):
        learn_and_sum(weights, moves, pending, inputs, sums, Extent(0, UNITS, COLUMNS, 0, 0))


def _of_network(network: IntegerNetwork) -> float:
    """Its weights do not learn; those of its hidden units count once a position."""
    inputs = len(network.taps.offsets) * network.channels + len(network.taps.places)
    groups = np.arange(network.channels) // network.group_size + 1
    hidden = inputs * network.hidden / network.channels
    return float(hidden + groups.mean() * network.hidden_of_group)
