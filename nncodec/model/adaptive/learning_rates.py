"""How fast the adaptive stage learns: rates by kind of weight and layer, which fall as it goes on.

FORMAT.md, section 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.model.fixed_point import falling_share
from nncodec.model.kernels.compilation import inlined

RATES = 10
KNOWN, SURPRISE, BEFORE, CONSTANT, NETWORK, TAPS, GATES, AROUND = range(8)
"""The rates of a layer: of the weights of the block's known bits; of how surprising they were; of
the layer before; of the constant; of the network's logit; of the CHANNEL_TAPS; of their gates; of
what is around."""
MIXER_OF_UNIT, MIXER_OF_LAYER = range(8, RATES)
"""Those of the mixer's weights: of a unit, and of a layer."""

HALF_LIVES = 4
LEARNER_LIFE, BEFORE_LIFE, AROUND_LIFE, MIXER_LIFE = range(HALF_LIVES)
"""The half-lives of a layer: of the mixer's rates, of BEFORE, of AROUND, of all other rates."""

RATE_BITS = 24
"""Fractional bits of a rate."""
SHARE_BITS = 20
"""Fractional bits of the share of a rate that is left."""
LARGEST_RATES = np.array([1 << 22] * 8 + [1 << 20] * 2)

EXACT_BITS = 6
"""Bits of a position's number that its rates depend on, from its highest."""


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


UNTRAINED = RateTable(
    rates=(
        (0.035, 0.039, 0.034, 0.036, 0.00016),
        (0.039, 0.022, 0.026, 0.03, 0.0086),
        (0.008, 0.032, 0.013, 0.012, 0.00065),
        (0.039, 0.052, 0.069, 0.09, 0.03),
        (0.0075, 0.0075, 0.0075, 0.0075, 0.0075),
        (0.0065, 0.0046, 0.0042, 0.0032, 0.0018),
        (0.0056, 0.0014, 0.0028, 0.0014, 0.002),
        (0.006, 0.00135, 0.0012, 0.0015, 0.00062),
        (0.0077, 0.009, 0.013, 0.016, 0.036),
        (0.011, 0.033, 0.019, 0.027, 0.054),
    ),
    half_lives=(
        (51, 28, 24, 21, 100),
        (200, 35, 130, 130, 800),
        (200, 25600, 6400, 1000, 2100),
        (920, 62, 50, 14, 22),
    ),
)
"""Where weights start from zero."""

TRAINED = RateTable(
    rates=(
        (0.0107, 0.0107, 0.00375, 0.00187, 0.00003),
        (0.015, 0.0075, 0.00375, 0.0027, 0.0026),
        (0.004, 0.0057, 0.004, 0.004, 0.0029),
        (0.03, 0.03, 0.0038, 0.0027, 0.0027),
        (0.00375, 0.00375, 0.00375, 0.00375, 0.00375),
        (0.002, 0.0007, 0.0007, 0.0007, 0.0014),
        (0.0028, 0.0014, 0.001, 0.002, 0.0028),
        (0.003, 0.00075, 0.00075, 0.00075, 0.000375),
        (0.0064, 0.0126, 0.0126, 0.036, 0.009),
        (0.012, 0.0625, 0.024, 0.0625, 0.006),
    ),
    half_lives=(
        (188, 48, 192, 94, 36),
        (200, 274, 286, 17, 11),
        (200, 400, 800, 400, 6400),
        (800, 50, 50, 9, 143),
    ),
)
"""Where weights start from training."""


class Shares(NamedTuple):
    """What is left of rates at every position.

    Attributes:
        lives: int64 (layers, HALF_LIVES), the row of each.
        table: int64 (rows, indices), with SHARE_BITS fractional bits; `share_index` gives the index
            of a position.
    """

    lives: npt.NDArray[np.int64]
    table: npt.NDArray[np.int64]


def make_shares(half_lives: npt.NDArray[np.int32], positions: int) -> Shares:
    """Computes what is left of rates.

    Args:
        half_lives: (layers, HALF_LIVES).
        positions: how many a layer has.
    """
    one = 1 << EXACT_BITS
    begins = [*range(one)]
    while begins[-1] < positions:
        begins += [2 * begin for begin in begins[-one // 2 :]]
    lives, index = np.unique(half_lives, return_inverse=True)
    seen = np.array(begins)
    table = np.stack([falling_share(life, seen, SHARE_BITS) for life in lives.tolist()])
    return Shares(index.reshape(half_lives.shape), table)


@inlined
def share_index(position: int) -> int:
    """Gives the index of a position's share: by its highest bits, so that the table stays small."""
    dropped = 0
    while position >> dropped >= 1 << EXACT_BITS:
        dropped += 1
    return (dropped << EXACT_BITS - 1) + (position >> dropped)
