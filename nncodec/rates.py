"""How fast the adaptive stage learns, diagonal by diagonal."""

import numpy as np
import numpy.typing as npt

from nncodec.fixed_point import decaying_rate
from nncodec.schedule import Schedule, Step

RATE_BITS = 20
"""Fractional bits of a rate."""

FULL_STEP = 16
"""Positions of a step that count in full. Longer ones learn as from so many, by their mean: images
of a batch that resemble each other, as frames do, would make larger steps overshoot."""


class Rates:
    """The rate at which each position of a step is learned from."""

    def __init__(
        self,
        schedule: Schedule,
        starts: npt.NDArray[np.int32],
        half_lives: npt.NDArray[np.int32],
        scale: npt.ArrayLike = 1,
    ) -> None:
        """Computes the rates of all diagonals.

        Args:
            schedule: whose diagonals they are.
            starts: (layers, n), the rates of the first diagonal, with RATE_BITS fractional bits.
            half_lives: (layers, n), the numbers of positions after which a squared rate has halved.
            scale: powers of two, (diagonals,), that the rates are multiplied by.
        """
        sizes = schedule.diagonal_sizes
        counted = np.minimum(sizes, FULL_STEP)
        before = np.cumsum(counted) - counted
        kinds, kind_of_layer = np.unique(
            np.stack([starts, half_lives], axis=1), axis=0, return_inverse=True
        )
        falling = [
            [
                decaying_rate(int(start), int(life), before)
                for start, life in zip(*kind, strict=True)
            ]
            for kind in kinds
        ]
        # A narrow picture has empty diagonals.
        rates = np.array(falling) * counted // np.maximum(sizes, 1)
        self._rates = np.moveaxis(rates, 1, 2) * np.reshape(scale, (-1, 1)) / (1 << RATE_BITS)
        self._kind_of_unit = kind_of_layer.reshape(-1)[schedule.layer_of_unit]

    def of(self, step: Step) -> npt.NDArray[np.float64]:
        """The scaled rates of a step's units, as numbers: float64 (U, n)."""
        rates: npt.NDArray[np.float64] = self._rates[self._kind_of_unit[step.units], step.diagonals]
        return rates
