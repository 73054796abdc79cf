"""Which (layer, channel, position) is coded at which step: a wavefront.

A bit of layer l and channel c at row y and column x is coded at step

    lag * l + c + slope * y + x

so that everything its context looks at (contexts.py) belongs to an earlier step, and all the bits
of one step are independent of each other. A *unit* is one (layer, channel); at every step it is at
one *diagonal*: the positions with the same slope * y + x, of all images of the batch.

    step s      channel 0    channel 1    channel 2
                . . . . 3    . . . 2 .    . . 1 . .        units of one layer at step s = 4 stand on
                2 . . . .    1 . . . .    0 . . . .        the diagonals 4, 3, 2 (slope 2 drawn)

A channel therefore sees the lower channels of its own position, and every channel of the layer
before: `lag` is at least the number of channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

SLOPE = 8
"""Columns that the row above is ahead by. Narrower pictures use their width: raster order."""


@dataclass(frozen=True)
class Step:
    """The units that are coded together, and where each of them is.

    Attributes:
        units: a contiguous range of unit numbers; unit u is channel u % channels of layer
            u // channels.
        diagonals: int64 (units,), the diagonal that each unit is at.
        layers: the contiguous range of their layers.
        starts: int64 (layers,), where the units of each of these layers begin among `units`.
    """

    units: slice
    diagonals: npt.NDArray[np.int64]
    layers: slice
    starts: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Schedule:
    """The order in which a code tensor is coded.

    Attributes:
        layers, batch, height, width, channels: the axes of the code tensor, in its order.
    """

    layers: int
    batch: int
    height: int
    width: int
    channels: int

    @property
    def slope(self) -> int:
        return min(SLOPE, self.width)

    @property
    def lag(self) -> int:
        """Steps between a layer and the next: its neighbours one row below must be known too."""
        return max(self.channels, self.slope + 1)

    @property
    def diagonal_count(self) -> int:
        return self.slope * (self.height - 1) + self.width

    @cached_property
    def diagonal_sizes(self) -> npt.NDArray[np.int64]:
        """int64 (diagonals,): how many positions, over the batch, each diagonal has."""
        rows, columns = np.indices((self.height, self.width))
        return np.bincount((self.slope * rows + columns).ravel()) * self.batch

    def positions(self) -> npt.NDArray[np.int64]:
        """The positions of each diagonal, in the order in which they are coded.

        Returns:
            int64 (diagonals, most positions of a diagonal): position numbers
            (image * height + y) * width + x in ascending order, -1 where a diagonal has fewer.
        """
        _, row, column = np.indices((self.batch, self.height, self.width)).reshape(3, -1)
        diagonal = self.slope * row + column
        order = np.argsort(diagonal, kind="stable")
        start = np.cumsum(self.diagonal_sizes) - self.diagonal_sizes
        rank = np.arange(order.size) - start[diagonal[order]]
        table = np.full((self.diagonal_count, int(self.diagonal_sizes.max())), -1, dtype=np.int64)
        table[diagonal[order], rank] = order
        return table

    def order(self) -> npt.NDArray[np.int64]:
        """The coding order: int64 (bits,), indices into the flattened code tensor.

        Any group of adjacent layers is coded in the order of a schedule of just these layers.
        """
        positions = self.positions()
        count = self.batch * self.height * self.width
        layer, channel = np.indices((self.layers, self.channels)).reshape(2, -1)
        steps = []
        for step in self:
            at = positions[step.diagonals]
            plane = layer[step.units, None] * count
            cells = (plane + at) * self.channels + channel[step.units, None]
            steps.append(cells[at >= 0])
        return np.concatenate(steps)

    def __iter__(self) -> Iterator[Step]:
        layer, channel = np.indices((self.layers, self.channels)).reshape(2, -1)
        first_step = self.lag * layer + channel  # strictly increasing, because lag >= channels
        for step in range(first_step[-1] + self.diagonal_count):
            begin = int(np.searchsorted(first_step, step - self.diagonal_count, side="right"))
            end = int(np.searchsorted(first_step, step, side="right"))
            if begin < end:
                layers = slice(begin // self.channels, (end - 1) // self.channels + 1)
                starts = np.arange(layers.start, layers.stop) * self.channels - begin
                starts[0] = 0
                yield Step(slice(begin, end), step - first_step[begin:end], layers, starts)
