"""A network at work: predicts the bits of one code tensor, step by step or all at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nncodec.contexts import UNIT, Context, Grid
from nncodec.fixed_point import LOGIT_BITS, clamp, quiet_products, scale_down, to_logits
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

    @quiet_products
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
        self._schedule, self._grid, self._product = schedule, grid, product
        self._channels, layers = schedule.channels, schedule.layers
        self._outputs = np.zeros((grid.cell_count, self._channels))
        self._offsets = grid.offsets(network.taps.offsets)
        self._tanh = tanh_table().astype(np.float32)
        inside = network.taps.inside(schedule.height, schedule.width)
        inside = inside.reshape(-1, inside.shape[-1])
        self._place = schedule.positions() % len(inside)
        self._groups = [_group(network, number, layers, inside) for number in range(network.groups)]
        self._triangle = _columns_in_block(network.triangle[:layers], grid.block)
        self._bias = network.bias[:layers].reshape(-1, 1).astype(np.float64)
        self._known = codes is not None
        if codes is not None:
            self._predict_all(codes)

    @quiet_products
    def logits(self, step: Step, context: Context) -> Float64:
        """The logits of a step's bits, float64 (U, P): integers with LOGIT_BITS fractional bits."""
        if not self._known:
            self._predict_groups(step)
        channel = self._schedule.channel_of_unit[step.units, None]
        logits = self._outputs.reshape(-1).take(context.positions * self._channels + channel)
        triangle = np.matmul(context.known, self._triangle[step.units])[..., 0]
        logits += triangle.astype(np.float64) * ((1 << TRIANGLE_SHIFT) // UNIT)
        logits += self._bias[step.units]
        return to_logits(logits, SCALE_BITS + LOGIT_BITS)

    def _predict_groups(self, step: Step) -> None:
        """Predicts the groups whose first channel is among the units of a step."""
        channels, units = self._channels, step.units
        for group in self._groups:
            begin = max(0, -(-(units.start - group.first) // channels))
            layers = slice(begin, (units.stop - 1 - group.first) // channels + 1)
            if layers.stop > begin:
                first_unit = begin * channels + group.first
                diagonals = step.diagonals[first_unit - units.start :: channels]
                positions = self._grid.positions(np.arange(begin, layers.stop), diagonals)
                self._predict(group, layers, positions, self._place[diagonals], self._grid)

    def _predict_all(self, codes: npt.NDArray[np.uint8]) -> None:
        filled = Grid(self._schedule)
        filled.fill(codes)
        diagonals = np.arange(self._schedule.diagonal_count)
        at_once = max(1, _POSITIONS_AT_ONCE // self._place.shape[1])
        for layer in range(self._schedule.layers):
            for begin in range(0, len(diagonals), at_once):
                some = diagonals[begin : begin + at_once]
                positions = filled.positions(np.full(len(some), layer), some).reshape(1, -1)
                place = self._place[some].reshape(1, -1)
                for group in self._groups:
                    self._predict(group, slice(layer, layer + 1), positions, place, filled)

    def _predict(
        self,
        group: _Group,
        layers: slice,
        positions: npt.NDArray[np.int64],
        place: npt.NDArray[np.int64],
        grid: Grid,
    ) -> None:
        """Adds what is said of a group, and what its hidden units say of higher ones.

        Args:
            group: what to predict.
            layers: where.
            positions: int64 (layers, P), in the grid.
            place: int64 (layers, P), the same within a picture.
            grid: holds at least the bits that are known by then.
        """
        inputs = grid.bits(positions[..., None] + self._offsets[layers, None])
        inputs = inputs.reshape(*positions.shape, -1)

        sums = self._product(inputs, group.weights).astype(np.float64)
        sums += group.place_sums[place]
        sums *= group.scale[layers]
        sums += group.shift[layers]
        sums = scale_down(sums, SCALE_BITS)
        clamp(sums, SUM_LIMIT)
        hidden = self._tanh.take(sums.astype(np.int64) + SUM_LIMIT)
        outputs = self._product(hidden, group.head[layers]).astype(np.float64)
        outputs *= group.head_scale[layers]

        direct = self._product(inputs, group.direct[layers]).astype(np.float64)
        at_place = np.arange(layers.start, layers.stop)[:, None], place
        direct += group.place_direct[at_place]
        direct *= group.direct_scale[layers]
        outputs[..., : direct.shape[-1]] += direct
        self._outputs[positions, group.first :] += outputs


@dataclass(frozen=True, eq=False)
class _Group:
    """What predicts a group of channels; UNIT is taken out of the inputs with the scales.

    Attributes:
        first: its first channel.
        weights: float32 (inputs, hidden).
        scale, shift: float64 (layers, 1, hidden).
        head: float32 (layers, hidden, channels from the first on).
        head_scale: float64 (layers, 1, the same channels).
        direct: float32 (layers, inputs, channels of the group).
        direct_scale: float64 (layers, 1, channels of the group).
        place_sums: float64 (places, hidden): what the flags of a place add, which depends on
            nothing that is coded.
        place_direct: float64 (layers, places, channels of the group), likewise.
    """

    first: int
    weights: Float32
    scale: Float64
    shift: Float64
    head: Float32
    head_scale: Float64
    direct: Float32
    direct_scale: Float64
    place_sums: Float64
    place_direct: Float64


def _group(
    network: IntegerNetwork, number: int, layers: int, inside: npt.NDArray[np.bool_]
) -> _Group:
    taps = len(network.taps.offsets) * network.channels
    first = number * network.group_size
    own = slice(first, first + network.group_size)
    hidden = slice(number * network.hidden_of_group, (number + 1) * network.hidden_of_group)
    flags = inside.astype(np.float64) * UNIT
    weights = network.weights[:, hidden].astype(np.float32)
    direct = np.ascontiguousarray(network.direct[:layers, :, own]).astype(np.float32)
    return _Group(
        first=first,
        weights=weights[:taps],
        scale=network.scale[:layers, None, hidden] / UNIT,
        shift=network.shift[:layers, None, hidden].astype(np.float64),
        head=np.ascontiguousarray(network.head[:layers, hidden, first:]).astype(np.float32),
        head_scale=network.head_scale[:layers, None, first:].astype(np.float64),
        direct=direct[:, :taps],
        direct_scale=network.direct_scale[:layers, None, own] / UNIT,
        place_sums=flags @ weights[taps:],
        place_direct=flags @ direct[:, taps:],
    )


def _columns_in_block(triangle: npt.NDArray[np.int16], block: int) -> Float32:
    """A column of the triangle for every unit, as far as its block goes: [units, block, 1]."""
    layers, channels, _ = triangle.shape
    columns = np.zeros((layers, channels, block), dtype=np.float32)
    for channel in range(channels):
        begin = channel // block * block
        column = triangle[:, begin : begin + block, channel]
        columns[:, channel, : column.shape[1]] = column
    return columns.reshape(layers * channels, block, 1)
