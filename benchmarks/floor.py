"""How fast the codec could be: the model's multiply-accumulates, and nothing else."""

import time
from collections.abc import Callable
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
from nncodec.model.kernels.matrices import ROWS, arranged, multiply_rows
from nncodec.model.kernels.short_rows import EIGHT
from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.model.schedule import Schedule, block_count, block_size

UNITS, COLUMNS, OUTPUTS, ROUNDS, REPEATS = 16, 480, 64, 200, 20
"""Rows of weights as long as what is around a bit, so few of them that they lie in the nearest
cache; outputs of a network; how often each is passed; how often that is timed."""


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
        network=network.products() if network else 0,
    )


@dataclass(frozen=True)
class ProductRates:
    """Multiply-accumulates a second of this machine, on one thread, at best.

    Attributes:
        adaptive: of int16 weights that learn while they predict.
        network: of int8 weights and int16 inputs of several positions.
    """

    adaptive: float
    network: float


def products_per_second() -> ProductRates:
    """Times the two loops that most multiply-accumulates are in."""
    random = np.random.default_rng(0)
    weights = random.integers(-100, 100, (UNITS, COLUMNS), dtype=np.int16)
    inputs, pending = random.integers(-1, 2, (2, 1, COLUMNS), dtype=np.int8)
    moves = np.ones((1, UNITS), dtype=np.int16)
    sums = np.zeros((1, UNITS), dtype=np.int32)
    matrix = arranged(random.integers(-100, 100, (OUTPUTS, COLUMNS), dtype=np.int8))
    seen = random.integers(-256, 257, (ROWS, COLUMNS), dtype=np.int16)
    totals = np.zeros((ROWS, OUTPUTS), dtype=np.int32)
    learning = _fastest(lambda: _pass(weights, moves, pending, inputs, sums))
    multiplying = _fastest(lambda: _multiply(matrix, seen, totals))
    return ProductRates(
        2 * ROUNDS * weights.size / learning, ROUNDS * ROWS * matrix.size / multiplying
    )


def _fastest(call: Callable[[], object]) -> float:
    call()  # compiles
    best = float("inf")
    for _ in range(REPEATS):
        begin = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begin)
    return best


@compiled
def _pass(weights: Int16, moves: Int16, pending: Int8, inputs: Int8, sums: Int32) -> None:
    for _ in range(ROUNDS):
        learn_and_sum(weights, moves, pending, inputs, sums, Extent(0, UNITS, COLUMNS, 0, 0))


@compiled
def _multiply(matrix: Int8, inputs: Int16, sums: Int32) -> None:
    for _ in range(ROUNDS):
        multiply_rows(matrix, 0, OUTPUTS, inputs, COLUMNS, sums, ROWS)
