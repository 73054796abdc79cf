"""How fast the adaptive stage learns, diagonal by diagonal."""

import numpy as np
import numpy.typing as npt

from nncodec.fixed_point import decaying_rate
from nncodec.schedule import Schedule

RATE_BITS = 20
"""Fractional bits of a rate."""

FULL_STEP = 16
"""Positions of a step that count in full. Longer ones learn as from so many, by their mean: images
of a batch that resemble each other, as frames do, would make larger steps overshoot."""


def diagonal_rates(schedule: Schedule, start: int, half_life: int) -> npt.NDArray[np.int64]:
    """The rate at which each position of a diagonal is learned from.

    Args:
        schedule: whose diagonals they are.
        start: the rate of the first diagonal, with RATE_BITS fractional bits.
        half_life: the number of positions after which the squared rate has halved.

    Returns:
        int64, (diagonals,), with RATE_BITS fractional bits.
    """
    sizes = schedule.diagonal_sizes
    counted = np.minimum(sizes, FULL_STEP)
    return decaying_rate(start, half_life, np.cumsum(counted) - counted) * counted // sizes
