"""Which (layer, channel, position) is coded at which step: a wavefront.

A *unit* is one channel of one layer, unit = layer * channels + channel. Its bit at row y and column
x is coded at step

    layer_lag * layer + channel + row_stride * y + column_stride * x

so that everything its context looks at (contexts.py) belongs to an earlier step, and all the bits
of one step are independent of each other. The positions of a unit that are coded together have the
same row_stride * y + column_stride * x, over all images of the batch: they are a *diagonal*.

    step 6      unit 0       unit 1       unit 2
                . . . # .    . . . . .    . . # . .       with a column stride of 2 and a row stride
                # . . . .    . . . . .    . . . . .       of 6: the unit in between has no position
                                                          at this step
A bit sees the channels c of a neighbour for which

    c < channel + layer_lag * layers back - row_stride * rows down - column_stride * columns right

Layers do not see each other's bits of a step at all, nor later ones. A layer may thus be any number
of steps behind the one before it, and is coded as many at a time as may be (coding/threads.py):
what it needs then stays in the processor's caches.

The strides are a compromise: at longer ones a bit sees more channels of its neighbours, at shorter
ones there are fewer steps, of more bits. At the left it sees at least half of the channels, above
three quarters, above to the right a quarter, and of the layer before all at the adjacent positions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.model.kernels.compilation import compiled, inlined

Int64 = npt.NDArray[np.int64]


class Plan(NamedTuple):
    """A schedule as compiled functions take it.

    Attributes:
        layers, channels, layer_lag: of the schedule.
        begins: int64 (diagonals + 1,), where each diagonal begins among the positions.
    """

    layers: int
    channels: int
    layer_lag: int
    begins: Int64


class Runs(NamedTuple):
    """Which bits of a layer a step has, in coding order: runs, each a diagonal of a channel.

    Attributes:
        channels, units, diagonals: int64 (channels,), of each run.
        ends: int64 (channels,), where its bits end among those of the layer at this step.
    """

    channels: Int64
    units: Int64
    diagonals: Int64
    ends: Int64


@compiled
def active_layers(plan: Plan, step: int) -> tuple[int, int]:
    """The first layer that may have bits at a step, and the end of those that may."""
    steps_of_layer = len(plan.begins) - 2 + plan.channels
    first = (step - steps_of_layer) // plan.layer_lag + 1
    return max(0, first), min(plan.layers, step // plan.layer_lag + 1)


@compiled
def list_runs(plan: Plan, step: int, layer: int, runs: Runs) -> int:
    """Lists the runs that a layer has at a step.

    Args:
        plan: of the schedule.
        step, layer: their numbers.
        runs: is written to.

    Returns:
        How many there are.
    """
    count, end = 0, 0
    ahead, last = step - plan.layer_lag * layer, len(plan.begins) - 2
    for channel in range(max(0, ahead - last), min(plan.channels, ahead + 1)):
        diagonal = ahead - channel
        size = plan.begins[diagonal + 1] - plan.begins[diagonal]
        if size:
            end += size
            runs.channels[count], runs.units[count] = channel, layer * plan.channels + channel
            runs.diagonals[count], runs.ends[count] = diagonal, end
            count += 1
    return count


@inlined
def bits_of(runs: Runs, count: int) -> int:
    """How many bits the first runs have."""
    return runs.ends[count - 1] if count else 0


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
    def shape(self) -> tuple[int, int, int, int, int]:
        """Of the code tensor."""
        return self.layers, self.batch, self.height, self.width, self.channels

    @property
    def column_stride(self) -> int:
        return -(-self.channels // 2)

    @property
    def row_stride(self) -> int:
        return self.column_stride + -(-self.channels // 4)

    @property
    def layer_lag(self) -> int:
        return self.row_stride + self.channels

    @property
    def diagonal_count(self) -> int:
        """How many diagonals there are, with those between that have no position."""
        return self.row_stride * (self.height - 1) + self.column_stride * (self.width - 1) + 1

    @property
    def step_count(self) -> int:
        return self.steps_of_layers(range(self.layers)).stop

    def steps_of_layers(self, layers: range) -> range:
        """The steps from the first at which some adjacent layers have bits to the last."""
        of_layer = self.channels - 1 + self.diagonal_count
        return range(self.layer_lag * layers.start, self.layer_lag * (layers.stop - 1) + of_layer)

    @cached_property
    def diagonal_of_position(self) -> Int64:
        """int64 (positions,): the diagonal of position (image * height + y) * width + x."""
        row, column = np.indices((self.height, self.width))
        diagonal = self.row_stride * row + self.column_stride * column
        return np.tile(diagonal.ravel(), self.batch)

    @cached_property
    def diagonal_sizes(self) -> Int64:
        """int64 (diagonals,): how many positions, over the batch, each diagonal has."""
        return np.bincount(self.diagonal_of_position, minlength=self.diagonal_count)

    @cached_property
    def positions(self) -> Int64:
        """int64 (positions,): the positions of all diagonals, each in ascending order."""
        return np.argsort(self.diagonal_of_position, kind="stable")

    @cached_property
    def plan(self) -> Plan:
        begins = np.concatenate([[0], np.cumsum(self.diagonal_sizes)])
        return Plan(self.layers, self.channels, self.layer_lag, begins)

    def sizes_up_to_layer(self, layers: int) -> Int64:
        """int64 (steps,): how many bits of so many layers, from the first, each step has."""
        # The sums of so many adjacent diagonals as there are channels.
        sums = np.cumsum(np.pad(self.diagonal_sizes, (self.channels, self.channels - 1)))
        layer = sums[self.channels :] - sums[: -self.channels]
        sizes = np.zeros(self.step_count, dtype=np.int64)
        for begin in range(0, layers * self.layer_lag, self.layer_lag):
            sizes[begin : begin + len(layer)] += layer
        return sizes

    def order(self) -> Int64:
        """The coding order: int64 (bits,), indices into the flattened code tensor.

        Any group of adjacent layers is coded in the order of a schedule of just these layers.
        """
        order = np.empty(self.layers * self.channels * len(self.positions), dtype=np.int64)
        _order(self.plan, self.step_count, self.positions, self.room(), order)
        return order

    def parts(self) -> Iterator[tuple[int, int]]:
        """Steps and their active layers: the order in which bits are coded, part by part."""
        for step in range(self.step_count):
            for layer in range(*active_layers(self.plan, step)):
                yield step, layer

    def room(self) -> Runs:
        """Room for the runs of any layer at any step."""
        return Runs(*np.zeros((4, self.channels), dtype=np.int64))


@compiled
def _order(plan: Plan, steps: int, positions: Int64, runs: Runs, order: Int64) -> None:
    end = 0
    for step in range(steps):
        first, last = active_layers(plan, step)
        for layer in range(first, last):
            for run in range(list_runs(plan, step, layer, runs)):
                diagonal = runs.diagonals[run]
                for place in range(plan.begins[diagonal], plan.begins[diagonal + 1]):
                    position = layer * len(positions) + positions[place]
                    order[end] = position * plan.channels + runs.channels[run]
                    end += 1
