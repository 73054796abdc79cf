"""The neighbours that a grouped network looks at, and which of their bits are known by then."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

LARGEST_REACH = 3
"""Rows above and columns aside that a network may see: the margins of the grid (contexts.py)."""


@dataclass(frozen=True)
class Taps:
    """A window of neighbours.

    Attributes:
        reach: rows above, and columns to either side, that are seen of the bit's own layer.
        earlier_layers: how many layers before are seen at the position; of the last of them also
            the four positions next to it.
    """

    reach: int
    earlier_layers: int

    @cached_property
    def offsets(self) -> list[tuple[int, int, int]]:
        """(layers back, rows down, columns right) of every tap; the first is the position."""
        aside = range(-self.reach, self.reach + 1)
        above = [(0, down, right) for down in range(-self.reach, 0) for right in aside]
        left = [(0, 0, right) for right in range(-self.reach, 0)]
        beside = [(1, -1, 0), (1, 0, -1), (1, 0, 1), (1, 1, 0)] if self.earlier_layers else []
        earlier = [(back, 0, 0) for back in range(1, self.earlier_layers + 1)]
        return [(0, 0, 0), *left, *above, *beside, *earlier]

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """(rows down, columns right) of all taps, each once, without the position itself."""
        return sorted({offset[1:] for offset in self.offsets} - {(0, 0)})

    def known(self, channels: int, group_size: int) -> npt.NDArray[np.bool_]:
        """Which bits are coded before the first channel of a group.

        Returns:
            bool [taps, channels, groups].
        """
        begins = np.arange(0, channels, group_size)
        known = np.ones((len(self.offsets), channels, len(begins)), dtype=np.bool_)
        known[0] = np.arange(channels)[:, None] < begins  # the position itself
        return known

    def inside(self, height: int, width: int) -> npt.NDArray[np.bool_]:
        """Which places lie within the picture: bool [height, width, places]."""
        y, x = np.indices((height, width))[..., None]
        down, right = np.array(self.places).T
        within_rows = (y + down >= 0) & (y + down < height)
        within: npt.NDArray[np.bool_] = within_rows & (x + right >= 0) & (x + right < width)
        return within
