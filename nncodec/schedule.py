"""Which (layer, channel, position) is coded at which step: a wavefront.

A *unit* is one channel of one layer, unit = layer * channels + channel. Its bit at row y and column
x is coded at step

    unit + slope * y + x

so that everything its context looks at (contexts.py) belongs to an earlier step, and all the bits
of one step are independent of each other. At every step a unit is at one *diagonal*: the positions
with the same slope * y + x, of all images of the batch.

    step 4      unit 0       unit 1       unit 2
                . . . . #    . . . # .    . . # . .        with a slope of 2: the units are on the
                . . # . .    . # . . .    # . . . .        diagonals 4, 3 and 2

A unit therefore sees the lower channels of its own position and all of the layers before, there and
at every position that was passed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

SLOPE = 8
"""Columns that the row above is ahead by."""


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
    def diagonal_count(self) -> int:
        return SLOPE * (self.height - 1) + self.width

    @cached_property
    def layer_of_unit(self) -> npt.NDArray[np.int64]:
        """int64 (units,)."""
        return np.repeat(np.arange(self.layers), self.channels)

    @cached_property
    def channel_of_unit(self) -> npt.NDArray[np.int64]:
        """int64 (units,)."""
        return np.tile(np.arange(self.channels), self.layers)

    @cached_property
    def diagonal_sizes(self) -> npt.NDArray[np.int64]:
        """int64 (diagonals,): how many positions, over the batch, each diagonal has."""
        rows, columns = np.indices((self.height, self.width))
        return np.bincount((SLOPE * rows + columns).ravel()) * self.batch

    def positions(self) -> npt.NDArray[np.int64]:
        """The positions of each diagonal, in the order in which they are coded.

        Returns:
            int64 (diagonals, most positions of a diagonal): position numbers
            (image * height + y) * width + x in ascending order, -1 where a diagonal has fewer.
        """
        _, row, column = np.indices((self.batch, self.height, self.width)).reshape(3, -1)
        diagonal = SLOPE * row + column
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
        steps = []
        for step in self:
            at = positions[step.diagonals]
            plane = self.layer_of_unit[step.units, None] * count
            cells = (plane + at) * self.channels + self.channel_of_unit[step.units, None]
            steps.append(cells[at >= 0])
        return np.concatenate(steps)

    def __iter__(self) -> Iterator[Step]:
        units = self.layers * self.channels
        for step in range(units - 1 + self.diagonal_count):
            begin, end = max(0, step - self.diagonal_count + 1), min(units, step + 1)
            layers = slice(begin // self.channels, (end - 1) // self.channels + 1)
            starts = np.arange(layers.start, layers.stop) * self.channels - begin
            starts[0] = 0
            yield Step(slice(begin, end), step - np.arange(begin, end), layers, starts)
