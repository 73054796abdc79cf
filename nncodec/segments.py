"""Which bits of a code tensor each segment has, and in which order: whole adjacent layers.

A segment's bits are coded in the order of a schedule of just its layers. The traversal, which has
all layers under way, meets them run by run.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec.schedule import Schedule

Int64 = npt.NDArray[np.int64]


class Segments:
    """The segments of a code tensor.

    Attributes:
        counts: how many layers each of them has.
        of_layers: int64 (layers,), the segment of each.
    """

    def __init__(self, schedule: Schedule, counts: Sequence[int]) -> None:
        """Takes the schedule of the tensor, and numbers of layers that add up to all of it."""
        self.counts = counts
        self.of_layers = np.repeat(np.arange(len(counts)), counts)
        self._shape = (schedule.batch, schedule.height, schedule.width, schedule.channels)

    @cached_property
    def orders(self) -> list[Int64]:
        """The coding order of every segment: indices into its flattened layers."""
        by_count = {count: Schedule(count, *self._shape).order() for count in set(self.counts)}
        return [by_count[count] for count in self.counts]

    def split(self, tensor: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The layers of every segment, views of [layers, batch, height, width, layer_depth]."""
        return np.split(tensor, np.cumsum(self.counts)[:-1])

    def deal(self, joined: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The numbers of every segment, views of those of one segment after the other."""
        return np.split(joined, np.cumsum([order.size for order in self.orders])[:-1])
