"""A network at work: predicts the bits of one code tensor, step by step or all at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nncodec.contexts import UNIT, Context, Grid
from nncodec.fixed_point import LOGIT_BITS, scale_down, to_logits
from nncodec.integer_network import (
    SCALE_BITS,
    SUM_LIMIT,
    TRIANGLE_SHIFT,
    IntegerNetwork,
    tanh_table,
)
from nncodec.schedule import Schedule, Step

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Product = Callable[[Float32, Float32], npt.NDArray[np.floating]]
"""Multiplies matrices of integers, (..., n, k) by (..., k, m), exactly."""

_POSITIONS_AT_ONCE = 1024  # their inputs stay in the cache


class NetworkStage:
    """Predicts the bits of one code tensor with a network, step by step or all at once.

    A group of channels is predicted at the step of its first channel. What its hidden units say of
    the group and of higher ones is added to `_outputs`, where the steps of its channels find it,
    together with what the taps say of the group directly.
    """

    def __init__(
        self,
        network: IntegerNetwork,
        schedule: Schedule,
        grid: Grid,
        codes: npt.NDArray[np.uint8] | None = None,
        product: Product = np.matmul,
    ) -> None:
        """Starts with no bit known to the network, or with all of them.

        Args:
            network: of at least as many layers as the schedule has, and as many channels.
            schedule: of the code tensor.
            grid: holds the bits as they become known.
            codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth]: where they are all
                known beforehand, the network predicts them faster.
            product: multiplies matrices.
        """
        self._network, self._schedule, self._grid = network, schedule, grid
        self._product = product
        self._channels = schedule.channels
        self._outputs = np.zeros((grid.cell_count, self._channels))
        self._offsets = grid.offsets(network.taps.offsets)
        self._tanh = tanh_table().astype(np.float32)

        # The places' flags depend on nothing that is coded: what they add is known beforehand.
        layers, taps = schedule.layers, len(network.taps.offsets) * network.channels
        self._weights = network.weights[:taps].astype(np.float32)
        self._head = network.head[:layers].astype(np.float32)
        self._direct = network.direct[:layers, :taps].astype(np.float32)
        inside = network.taps.inside(schedule.height, schedule.width).astype(np.float32)
        inside = inside.reshape(-1, inside.shape[-1])
        self._place = schedule.positions() % len(inside)
        self._place_sums = inside @ network.weights[taps:].astype(np.float32)
        self._place_direct = inside @ network.direct[:layers, taps:].astype(np.float32)

        self._triangle = _columns_in_block(network.triangle[:layers], grid.block)
        self._bias = network.bias[:layers].reshape(-1, 1).astype(np.float64)
        self._known = codes is not None
        if codes is not None:
            self._predict_all(codes)

    def logits(self, step: Step, context: Context) -> Float64:
        """The logits of a step's bits, float64 (U, P): integers with LOGIT_BITS fractional bits."""
        if not self._known:
            self._predict_groups(step)
        channel = self._schedule.channel_of_unit[step.units, None]
        logits = self._outputs.reshape(-1)[context.positions * self._channels + channel]
        triangle = np.matmul(context.known, self._triangle[step.units])[..., 0]
        logits += triangle.astype(np.float64) * ((1 << TRIANGLE_SHIFT) // UNIT)
        logits += self._bias[step.units]
        return to_logits(logits, SCALE_BITS + LOGIT_BITS)

    def _predict_groups(self, step: Step) -> None:
        """Predicts the groups whose first channel is among the units of a step."""
        channels, units = self._channels, step.units
        for first in range(0, channels, self._network.group_size):
            begin = -(-(units.start - first) // channels)
            layers = np.arange(max(begin, 0), (units.stop - 1 - first) // channels + 1)
            if layers.size:
                diagonals = step.diagonals[layers * channels + first - units.start]
                self._predict(first, layers, diagonals, self._grid)

    def _predict_all(self, codes: npt.NDArray[np.uint8]) -> None:
        filled = Grid(self._schedule)
        filled.fill(codes)
        diagonals = np.arange(self._schedule.diagonal_count)
        at_once = max(1, _POSITIONS_AT_ONCE // self._place.shape[1])
        for layer in range(self._schedule.layers):
            for begin in range(0, len(diagonals), at_once):
                some = diagonals[begin : begin + at_once]
                for first in range(0, self._channels, self._network.group_size):
                    self._predict(first, np.full(len(some), layer), some, filled)

    def _predict(
        self,
        first: int,
        layers: npt.NDArray[np.int64],
        diagonals: npt.NDArray[np.int64],
        grid: Grid,
    ) -> None:
        """Adds what the hidden units of a group say.

        Args:
            first: the first channel of the group.
            layers, diagonals: int64 (n,), where the group is.
            grid: holds at least the bits that are known by then.
        """
        network = self._network
        group = first // network.group_size
        own = slice(first, min(first + network.group_size, self._channels))
        positions = grid.positions(layers, diagonals)
        place = self._place[diagonals]
        inputs = grid.bits(positions[..., None] + self._offsets[layers, None])
        inputs = inputs.reshape(*positions.shape, -1)

        direct = self._product(inputs, self._direct[layers, :, own]).astype(np.float64) / UNIT
        direct += self._place_direct[layers[:, None], place, own]
        self._outputs[positions, own] += direct * network.direct_scale[layers, None, own]
        units = slice(group * network.hidden_of_group, (group + 1) * network.hidden_of_group)
        sums = self._product(inputs, self._weights[:, units]).astype(np.float64) / UNIT
        sums += self._place_sums[place, units]
        sums *= network.scale[layers, None, units]
        sums += network.shift[layers, None, units]
        sums = scale_down(sums, SCALE_BITS)
        np.clip(sums, -SUM_LIMIT, SUM_LIMIT, out=sums)
        hidden = self._tanh.take(sums.astype(np.int64) + SUM_LIMIT)
        outputs = self._product(hidden, self._head[layers, units, first:]).astype(np.float64)
        self._outputs[positions, first:] += outputs * network.head_scale[layers, None, first:]


def _columns_in_block(triangle: npt.NDArray[np.int16], block: int) -> Float32:
    """A column of the triangle for every unit, as far as its block goes: [units, block, 1]."""
    layers, channels, _ = triangle.shape
    columns = np.zeros((layers, channels, block), dtype=np.float32)
    for channel in range(channels):
        begin = channel // block * block
        column = triangle[:, begin : begin + block, channel]
        columns[:, channel, : column.shape[1]] = column
    return columns.reshape(layers * channels, block, 1)
