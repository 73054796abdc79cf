"""How fast the adaptive stage learns: rates by kind of weight and layer, falling by diagonal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nncodec.model.fixed_point import falling_share
from nncodec.model.schedule import Schedule

LEARNERS = 2
FAST, SLOW = range(LEARNERS)

KINDS = 7
"""Kinds of weights of a learner, which learn at rates of their own."""
KNOWN, OWN, TAPS, CONSTANT, NETWORK, SHARED_TAPS, SHARED_GATES = range(KINDS)
"""Of the known bits; of what only one learner sees; of the CHANNEL_TAPS; of the constant; of the
network's logit; of a layer's LAYER_TAPS; of its gates."""

RATES = LEARNERS * KINDS + 5
"""The kinds of the fast learner, those of the slow one, and these."""
MIXER_OF_UNIT, MIXER_OF_LAYER, MIXER_OF_SET, AROUND, FORGETTING = range(LEARNERS * KINDS, RATES)
"""Of the mixers; of the AROUND_TAPS; the share of these that is forgotten at every position."""

HALF_LIVES = 4
"""Of the fast learner's rates, the slow one's, the mixers', that of the AROUND_TAPS."""
MIXER_LIFE, AROUND_LIFE = range(LEARNERS, HALF_LIVES)

RATE_BITS = 24
"""Fractional bits of a rate."""
SHARE_BITS = 20
"""Fractional bits of the share of a rate that is left at a diagonal."""
LARGEST_RATES = np.array([1 << 22] * LEARNERS * KINDS + [1 << 18] * 3 + [1 << 20] * 2)

FULL_STEP = 16
"""Positions of a diagonal that count in full. Longer ones learn as from so many, by their mean:
images of a batch that resemble each other, as frames do, would make larger steps overshoot."""


@dataclass(frozen=True)
class RateTable:
    """Rates for codes of any encoder, by groups of layers: 0, 1, 2 and 3, 4 to 7, all later ones.

    Attributes:
        rates: RATES rows, one a kind, of five numbers.
        half_lives: HALF_LIVES rows, likewise: positions after which a squared rate has halved.
    """

    rates: tuple[tuple[float, ...], ...]
    half_lives: tuple[tuple[int, ...], ...]

    def of_layers(self, layers: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """int32 (layers, RATES), with RATE_BITS, and int32 (layers, HALF_LIVES)."""
        group = np.searchsorted((1, 2, 4, 8), np.arange(layers), side="right")
        rates = np.round(np.array(self.rates).T * (1 << RATE_BITS)).astype(np.int32)
        return rates[group], np.array(self.half_lives, dtype=np.int32).T[group]


# Both tables were found by coordinate search, in powers of two, on images of two encoders, beside
# others that were held out. A table of its own for each encoder gains 0.1 % at most.
UNTRAINED = RateTable(
    rates=(
        (0.12, 0.12, 0.06, 0.015, 0.001875),
        (0.12, 0.06, 0.06, 0.12, 0.015),
        (0.015, 0.00375, 0.00375, 0.001875, 0.0009375),
        (0.12, 0.12, 0.12, 0.12, 0.03),
        (0.0075, 0.0075, 0.0075, 0.0075, 0.0075),
        (0.0225, 0.01125, 0.01125, 0.0225, 0.0028125),
        (0.01125, 0.0028125, 0.0028125, 0.0028125, 0.0028125),
        (0.016, 0.016, 0.016, 0.032, 0.00025),
        (0.008, 0.016, 0.016, 0.016, 0.002),
        (0.004, 0.001, 0.0005, 0.001, 0.00025),
        (0.016, 0.016, 0.032, 0.064, 0.004),
        (0.002, 0.002, 0.002, 0.002, 0.002),
        (0.000375, 0.00009375, 0.0001875, 0.00075, 0.000375),
        (0.000375, 0.0001875, 0.0001875, 0.0015, 0.00075),
        (0.00225, 0.00225, 0.0045, 0.009, 0.009),
        (0.0015, 0.00075, 0.0015, 0.006, 0.0015),
        (0.0024, 0.0048, 0.0096, 0.0096, 0.0024),
        (0.006, 0.0015, 0.0015, 0.0015, 0.0001875),
        (0.0, 0.0, 0.0, 0.0, 0.0),
    ),
    half_lives=(
        (12, 12, 12, 6, 50),
        (200, 100, 50, 50, 200),
        (400, 100, 25, 25, 400),
        (200, 800, 400, 1600, 1600),
    ),
)
"""Where weights start from zero."""

TRAINED = RateTable(
    rates=(
        (0.03, 0.03, 0.03, 0.0075, 0.0075),
        (0.015, 0.015, 0.00375, 0.001875, 0.001875),
        (0.00375, 0.001875, 0.00375, 0.001875, 0.00375),
        (0.03, 0.0075, 0.015, 0.03, 0.06),
        (0.03, 0.0075, 0.015, 0.015, 0.0075),
        (0.005625, 0.01125, 0.005625, 0.0028125, 0.0028125),
        (0.0028125, 0.0028125, 0.0028125, 0.00140625, 0.005625),
        (0.000125, 0.002, 0.001, 0.0005, 0.001),
        (0.001, 0.002, 0.002, 0.001, 0.002),
        (0.00025, 0.001, 0.00025, 0.0005, 0.0005),
        (0.001, 0.004, 0.002, 0.004, 0.004),
        (0.000125, 0.004, 0.001, 0.001, 0.0005),
        (0.000046875, 0.000046875, 0.000375, 0.000375, 0.0001875),
        (0.000375, 0.000375, 0.000375, 0.000375, 0.0001875),
        (0.0015, 0.0015, 0.00075, 0.0015, 0.003),
        (0.00025, 0.00025, 0.0005, 0.001, 0.002),
        (0.0008, 0.0016, 0.0016, 0.0016, 0.0016),
        (0.0014, 0.0007, 0.0007, 0.0007, 0.00042),
        (0.0, 0.0, 0.0, 0.0, 0.0),
    ),
    half_lives=(
        (200, 25, 50, 400, 100),
        (200, 1600, 400, 200, 200),
        (1600, 3200, 800, 800, 400),
        (800, 800, 800, 200, 800),
    ),
)
"""Where weights start from training."""


def shares(schedule: Schedule, half_lives: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """What is left of rates at every diagonal.

    Args:
        schedule: whose diagonals they are.
        half_lives: (layers, HALF_LIVES).

    Returns:
        int64 (layers, HALF_LIVES, diagonals), with SHARE_BITS fractional bits.
    """
    sizes = schedule.diagonal_sizes
    counted = counted_positions(schedule)
    before = np.cumsum(counted) - counted
    lives, index = np.unique(half_lives, return_inverse=True)
    used = sizes > 0  # where a diagonal has no position, nothing asks
    table = np.zeros((len(lives), len(sizes)), dtype=np.int64)
    for row, life in zip(table, lives.tolist(), strict=True):
        row[used] = falling_share(life, before[used], SHARE_BITS)
    table *= counted
    table //= np.maximum(sizes, 1)
    whole: npt.NDArray[np.int64] = table[index.reshape(half_lives.shape)]
    return whole


def counted_positions(schedule: Schedule) -> npt.NDArray[np.int64]:
    """int64 (diagonals,): for how many positions a diagonal counts."""
    return np.minimum(schedule.diagonal_sizes, FULL_STEP)
