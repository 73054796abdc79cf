"""Which bits of a code tensor each segment has, and in which order: whole adjacent layers.

A segment's bits are coded in the order of a schedule of just its layers. The traversal, which has
all layers under way, meets them in runs: at every step, those of the first segment, of the second,
and so on.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from nncodec.compiled import compiled
from nncodec.schedule import Schedule

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Number = TypeVar("Number", bound=np.unsignedinteger[Any])


class Segments:
    """The segments of a code tensor.

    Attributes:
        counts: how many layers each of them has.
    """

    def __init__(self, schedule: Schedule, counts: Sequence[int]) -> None:
        """Takes the schedule of the tensor, and numbers of layers that add up to all of it."""
        self.counts = counts
        self._shape = (schedule.batch, schedule.height, schedule.width, schedule.channels)
        sizes = Schedule(1, *self._shape).sizes_up_to_layer(1)
        owners = np.repeat(np.arange(len(counts)), counts)
        # Of the runs that are not empty, which are never more than bits: a table of steps by
        # segments would let a file of 16,384 segments of a bit each ask for gigabytes.
        most = len(owners) * np.count_nonzero(sizes)
        self._starts = np.zeros(schedule.step_count + 1, dtype=np.int64)
        self._owners, self._lengths = np.empty((2, most), dtype=np.int32)
        count = _list_runs(
            sizes, schedule.layer_lag, owners, self._starts, self._owners, self._lengths
        )
        self._owners, self._lengths = self._owners[:count], self._lengths[:count]

    def runs(self, step: int) -> Iterator[tuple[int, int]]:
        """The segments that have bits at a step, in order, each with how many it has."""
        some = slice(self._starts[step], self._starts[step + 1])
        return zip(self._owners[some].tolist(), self._lengths[some].tolist(), strict=True)

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
        _copy_runs(self._owners, self._lengths, self._begins(), joined, whole, True)
        return whole

    def deal(self, whole: npt.NDArray[Number]) -> list[npt.NDArray[Number]]:
        """Undoes `interleave`."""
        joined = np.empty_like(whole)
        begins = self._begins()
        _copy_runs(self._owners, self._lengths, begins.copy(), joined, whole, False)
        return np.split(joined, begins[1:])

    def _begins(self) -> Int64:
        sizes = np.array(self.counts) * math.prod(self._shape)
        begins: Int64 = np.cumsum(sizes) - sizes
        return begins


@compiled
def _list_runs(
    sizes: Int64, lag: int, owner_of_layer: Int64, starts: Int64, owners: Int32, lengths: Int32
) -> int:
    """Lists the runs of all steps.

    Args:
        sizes: int64, how many bits a layer has at each of its steps.
        lag: how many steps a layer begins after the one before.
        owner_of_layer: int64 (layers,), the segment of each.
        starts: int64 (steps + 1,), zeros; where the runs of each step begin is written to it.
        owners, lengths: int32 (runs or more,), written to: of each run, its segment and its bits.

    Returns:
        How many there are.
    """
    count = 0
    for step in range(len(starts) - 1):
        begin = count
        first = max(0, (step - len(sizes)) // lag + 1)
        for layer in range(first, min(len(owner_of_layer), step // lag + 1)):
            size = sizes[step - lag * layer]
            if size:
                if count == begin or owners[count - 1] != owner_of_layer[layer]:
                    owners[count], lengths[count] = owner_of_layer[layer], 0
                    count += 1
                lengths[count - 1] += size
        starts[step + 1] = count
    return count


@compiled
def _copy_runs(
    owners: Int32,
    lengths: Int32,
    places: Int64,
    joined: npt.NDArray[Number],
    whole: npt.NDArray[Number],
    interleave: bool,
) -> None:
    """Copies run by run between segments that are joined and the order of the traversal."""
    at = 0
    for run in range(len(owners)):
        segment = owners[run]
        for _ in range(lengths[run]):
            if interleave:
                whole[at] = joined[places[segment]]
            else:
                joined[places[segment]] = whole[at]
            at += 1
            places[segment] += 1
