"""A network at work: predicts the bits of one code tensor as they become known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.model.contexts import Grid, Taps, first_sign, place_taps
from nncodec.model.fixed_point import LOGIT_BITS, to_logit
from nncodec.model.kernels.compilation import inlined
from nncodec.model.kernels.integers import clamped, rounded
from nncodec.model.kernels.long_rows import copy, dot, padded, padded_columns
from nncodec.model.network.integer_network import (
    SCALE_BITS,
    SUM_LIMIT,
    IntegerNetwork,
    tanh_table,
)
from nncodec.model.schedule import Schedule

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class Spot(NamedTuple):
    """Where a network predicts.

    Attributes:
        layer, picture: their numbers.
        position: its number within the picture.
        row: of the grid, the first of the position.
    """

    layer: int
    picture: int
    position: int
    row: int


class NetworkStage(NamedTuple):
    """A network, laid out for the positions of a schedule; all empty where there is none.

    Attributes:
        group_size: channels of a group; 0 where there is no network.
        hidden_of_group: hidden units of a group.
        weights: int16 (hidden, padded taps * channels).
        scale, shift: int64 (layers, hidden).
        head: int16 (layers * channels, padded hidden); 0 for groups that are not predicted yet.
        head_scale, bias: int64 (layers, channels).
        tanh: int8, the table.
        taps: where the neighbours lie.
        place_sums: int32 (positions of a picture, hidden), what the flags of a position add.
    """

    group_size: int
    hidden_of_group: int
    weights: Int16
    scale: Int64
    shift: Int64
    head: Int16
    head_scale: Int64
    bias: Int64
    tanh: Int8
    taps: Taps
    place_sums: Int32


class NetworkWorkspace(NamedTuple):
    """What a thread needs for a network at a position.

    Attributes:
        inputs: int8 (1, padded taps * channels), the signs that the network sees.
        activations: int8 (1, padded hidden), of the groups that are predicted.
    """

    inputs: Int8
    activations: Int8


def make_network_stage(network: IntegerNetwork | None, schedule: Schedule) -> NetworkStage:
    """Lays out the first layers of a network, or nothing."""
    layers = schedule.layers
    if network is None:
        none = np.zeros((0, 0), dtype=np.int64)
        narrow, sums = none.astype(np.int16), none.astype(np.int32)
        taps = place_taps((), schedule)
        return NetworkStage(
            *(0, 0, narrow, none, none, narrow, none, none, tanh_table(), taps, sums)
        )
    inputs = len(network.taps.offsets) * network.channels
    weights = network.weights.astype(np.int32)
    more = ((0, 0), (0, padded(inputs) - inputs))
    head = network.head[:layers].swapaxes(1, 2).reshape(-1, network.hidden)
    head = np.pad(head, ((0, 0), (0, padded(network.hidden) - network.hidden)))
    inside = network.taps.inside(schedule.height, schedule.width)
    flags = inside.reshape(-1, inside.shape[-1]).astype(np.int32)
    return NetworkStage(
        group_size=network.group_size,
        hidden_of_group=network.hidden_of_group,
        weights=np.ascontiguousarray(np.pad(weights[:inputs].T, more), dtype=np.int16),
        scale=network.scale[:layers].astype(np.int64),
        shift=network.shift[:layers].copy(),
        head=np.ascontiguousarray(head, dtype=np.int16),
        head_scale=network.head_scale[:layers].astype(np.int64),
        bias=network.bias[:layers].copy(),
        tanh=tanh_table(),
        taps=place_taps([(0, *offset) for offset in network.taps.offsets], schedule),
        place_sums=flags @ weights[inputs:],
    )


def make_network_workspace(network: NetworkStage) -> NetworkWorkspace:
    """Makes the workspace of one thread."""
    return NetworkWorkspace(
        inputs=np.zeros((1, network.weights.shape[1]), dtype=np.int8),
        activations=np.zeros((1, network.head.shape[1]), dtype=np.int8),
    )


@inlined
def predict_network(
    network: NetworkStage, workspace: NetworkWorkspace, grid: Grid, spot: Spot, channel: int
) -> int:
    """Gives the logit of a bit, FORMAT.md section 10; bits of a position are asked for in order.

    Args:
        network: the network.
        workspace: keeps what it says of the position.
        grid: as far as it is known, the lower channels of the position among it.
        spot: where.
        channel: which bit of the position.
    """
    layer = spot.layer
    if channel % network.group_size == 0:
        _predict_group(network, workspace, grid, spot, channel)
    unit = layer * network.bias.shape[1] + channel
    hidden = padded_columns((channel // network.group_size + 1) * network.hidden_of_group)
    total = dot(network.head, unit, workspace.activations, 0, hidden)
    logit = total * network.head_scale[layer, channel] + network.bias[layer, channel]
    return to_logit(logit, SCALE_BITS + LOGIT_BITS)


@inlined
def _predict_group(
    network: NetworkStage, workspace: NetworkWorkspace, grid: Grid, spot: Spot, channel: int
) -> None:
    layer, inputs = spot.layer, workspace.inputs
    channels = network.bias.shape[1]
    # The position itself is the first tap; the others are all known when it begins.
    for tap in range(1 if channel else len(network.taps.frames)):
        first = first_sign(grid, network.taps, layer, tap, spot.row, spot.picture)
        copy(grid.signs, first, inputs, 0, tap * channels, channels)
    begin = channel // network.group_size * network.hidden_of_group
    for unit in range(begin, begin + network.hidden_of_group):
        total = dot(network.weights, unit, inputs, 0, inputs.shape[1])
        total += int(network.place_sums[spot.position, unit])
        total = total * network.scale[layer, unit] + network.shift[layer, unit]
        scaled = clamped(rounded(total, SCALE_BITS), SUM_LIMIT)
        workspace.activations[0, unit] = network.tanh[SUM_LIMIT + scaled]
