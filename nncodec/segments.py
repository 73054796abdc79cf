"""Which bits of a code tensor each segment has, and in which order: whole adjacent layers.

A segment's bits are coded in the order of a schedule of just its layers. The traversal, which has
all layers under way, meets them in runs: at every step, those of the first segment, of the second,
and so on.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from nncodec.compiled import compiled
from nncodec.schedule import Schedule

Int64 = npt.NDArray[np.int64]
Number = TypeVar("Number", bound=np.unsignedinteger[Any])


class Segments:
    """The segments of a code tensor.

    Attributes:
        counts: how many layers each of them has.
        ends: int64 (steps, segments), where its bits end among those of a step.
    """

    def __init__(self, schedule: Schedule, counts: Sequence[int]) -> None:
        """Takes the schedule of the tensor, and numbers of layers that add up to all of it."""
        self.counts = counts
        layers = np.cumsum(counts).tolist()
        self.ends = np.stack([schedule.sizes_up_to_layer(count) for count in layers], axis=1)
        self._shape = (schedule.batch, schedule.height, schedule.width, schedule.channels)

    @cached_property
    def orders(self) -> list[Int64]:
        """The coding order of every segment: indices into its flattened layers."""
        by_count = {count: Schedule(count, *self._shape).order() for count in set(self.counts)}
        return [by_count[count] for count in self.counts]

    def split(self, tensor: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The layers of every segment, views of [layers, batch, height, width, layer_depth]."""
        return np.split(tensor, np.cumsum(self.counts)[:-1])

    def interleave(self, parts: Sequence[npt.NDArray[Number]]) -> npt.NDArray[Number]:
        """Numbers of every segment's bits, in its coding order, as the traversal meets them."""
        joined = np.concatenate(parts)
        whole = np.empty_like(joined)
        _run(self.ends, self._begins(), joined, whole, True)
        return whole

    def deal(self, whole: npt.NDArray[Number]) -> list[npt.NDArray[Number]]:
        """Undoes `interleave`."""
        joined = np.empty_like(whole)
        begins = self._begins()
        _run(self.ends, begins.copy(), joined, whole, False)
        return np.split(joined, begins[1:])

    def _begins(self) -> Int64:
        sizes = np.array(self.counts) * math.prod(self._shape)
        begins: Int64 = np.cumsum(sizes) - sizes
        return begins


@compiled
def _run(
    ends: Int64,
    places: Int64,
    joined: npt.NDArray[Number],
    whole: npt.NDArray[Number],
    interleave: bool,
) -> None:
    """Copies run by run between segments that are joined and the order of the traversal."""
    at = 0
    for step in range(len(ends)):
        begin = 0
        for segment in range(ends.shape[1]):
            for _ in range(begin, ends[step, segment]):
                if interleave:
                    whole[at] = joined[places[segment]]
                else:
                    joined[places[segment]] = whole[at]
                at += 1
                places[segment] += 1
            begin = ends[step, segment]
