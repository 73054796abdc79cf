"""Which bits of a code tensor each segment has, and in which order: whole adjacent layers.

A segment's bits are coded in the order of a schedule of just its layers.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec.model.schedule import Schedule

Int64 = npt.NDArray[np.int64]


class Segments:
    """The segments of a code tensor.

    Attributes:
        layers: of each of them.
    """

    def __init__(self, schedule: Schedule, layers: Sequence[range]) -> None:
        """Takes the schedule of the tensor, and all of its layers, segment by segment."""
        self.layers = layers
        self._shape = (schedule.batch, schedule.height, schedule.width, schedule.channels)

    @cached_property
    def orders(self) -> list[Int64]:
        """The coding order of every segment: indices into its flattened layers."""
        counts = [len(layers) for layers in self.layers]
        by_count = {count: Schedule(count, *self._shape).order() for count in set(counts)}
        return [by_count[count] for count in counts]

    def split(self, tensor: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The layers of every segment, views of [layers, batch, height, width, layer_depth]."""
        return [tensor[layers.start : layers.stop] for layers in self.layers]

    def deal(self, joined: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The numbers of every segment, views of those of one segment after the other."""
        return np.split(joined, np.cumsum([order.size for order in self.orders])[:-1])
