"""A network at work: predicts the bits of one code tensor as they become known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.model.contexts import Contexts, Grid, row_offsets
from nncodec.model.fixed_point import LOGIT_BITS, clamped, rounded, to_logit
from nncodec.model.kernels.compilation import inlined
from nncodec.model.kernels.long_rows import copy, dot, padded, padded_columns
from nncodec.model.network.integer_network import SCALE_BITS, SUM_LIMIT, IntegerNetwork, tanh_table
from nncodec.model.schedule import Plan, Runs, Schedule

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


INPUT_BYTES = 1 << 14
"""Room for inputs: of a few positions, within the nearest cache; of at least one."""


class NetworkStage(NamedTuple):
    """A network, laid out for the positions of a schedule; all empty where there is none.

    A group of channels is predicted when its first channel is to be coded: the activations of its
    hidden units are kept for the channels of this group and of higher ones.

    Attributes:
        group_size: channels of a group; 0 where there is no network.
        hidden_of_group: hidden units of a group.
        weights: int16 (hidden, padded taps * channels).
        scale, shift: int64 (layers, hidden).
        head: int16 (layers * channels, padded hidden); 0 for groups that are not predicted yet.
        head_scale, bias: int64 (layers, channels).
        tanh: int8, the table.
        taps: int64 (layers, taps), how many rows farther a neighbour is.
        place_sums: int32 (places of a picture, hidden), what the flags of a place add.
        places: int64 (positions,), the place of each, in the order of the schedule.
        activations: int8 (layers * positions, padded hidden).
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
    taps: Int64
    place_sums: Int32
    places: Int64
    activations: Int8


def network_stage(network: IntegerNetwork | None, schedule: Schedule) -> NetworkStage:
    """Lays out the first layers of a network, or nothing."""
    layers, positions = schedule.layers, schedule.positions
    if network is None:
        none = np.zeros((0, 0), dtype=np.int64)
        narrow, tiny = none.astype(np.int16), none.astype(np.int8)
        sums, places = none.astype(np.int32), np.zeros(0, dtype=np.int64)
        return NetworkStage(
            *(0, 0, narrow, none, none, narrow, none, none, tanh_table(), none, sums, places),
            tiny,
        )
    inputs = len(network.taps.offsets) * network.channels
    weights = network.weights.astype(np.int32)
    more = ((0, 0), (0, padded(inputs) - inputs))
    head = network.head[:layers].swapaxes(1, 2).reshape(-1, network.hidden)
    inside = network.taps.inside(schedule.height, schedule.width)
    flags = inside.reshape(-1, inside.shape[-1]).astype(np.int32)
    return NetworkStage(
        group_size=network.group_size,
        hidden_of_group=network.hidden_of_group,
        weights=np.ascontiguousarray(np.pad(weights[:inputs].T, more), dtype=np.int16),
        scale=network.scale[:layers].astype(np.int64),
        shift=network.shift[:layers].copy(),
        head=np.ascontiguousarray(
            np.pad(head, ((0, 0), (0, padded(network.hidden) - network.hidden))), dtype=np.int16
        ),
        head_scale=network.head_scale[:layers].astype(np.int64),
        bias=network.bias[:layers].copy(),
        tanh=tanh_table(),
        taps=row_offsets(schedule, network.taps.offsets),
        place_sums=flags @ weights[inputs:],
        places=positions % len(flags),
        activations=np.zeros((layers * len(positions), padded(network.hidden)), dtype=np.int8),
    )


def input_shape(network: NetworkStage) -> tuple[int, int]:
    """Rows and columns of the room that `Contexts.network` needs."""
    columns = network.weights.shape[1]
    return (max(1, INPUT_BYTES // columns) if columns else 0, columns)


@inlined
def predict_groups(
    plan: Plan,
    network: NetworkStage,
    grid: Grid,
    layer: int,
    runs: Runs,
    contexts: Contexts,
    count: int,
) -> None:
    """Predicts the groups whose first channel is among the bits that a layer has at a step.

    Args:
        plan: of the schedule.
        network: which keeps the activations.
        grid: as far as it is known.
        layer: which.
        runs: of the layer.
        contexts: has the rows of the bits; what the network sees is written.
        count: how many runs there are.
    """
    rows, inputs = contexts.rows, contexts.network
    room, begin = len(inputs), 0
    for run in range(count):
        channel, end = runs.channels[run], runs.ends[run]
        if channel % network.group_size == 0:
            number, place = channel // grid.block, plan.begins[runs.diagonals[run]]
            while begin < end:
                some = min(room, end - begin)
                # All of them first: what was written this instant is slow to read.
                for index in range(some):
                    _collect(network, grid, layer, rows[begin + index] - number, inputs, index)
                for index in range(some):
                    _predict_group(network, layer, channel, place + index, inputs, index)
                begin += some
                place += some
        begin = end


@inlined
def _predict_group(
    network: NetworkStage, layer: int, channel: int, place: int, inputs: Int8, index: int
) -> None:
    row, sums = layer * len(network.places) + place, network.places[place]
    first = channel // network.group_size * network.hidden_of_group
    for unit in range(first, first + network.hidden_of_group):
        total = dot(network.weights, unit, 0, inputs, index, 0, inputs.shape[1])
        total += int(network.place_sums[sums, unit])
        total = total * network.scale[layer, unit] + network.shift[layer, unit]
        scaled = clamped(rounded(total, SCALE_BITS), SUM_LIMIT)
        network.activations[row, unit] = network.tanh[SUM_LIMIT + scaled]


@inlined
def _collect(
    network: NetworkStage, grid: Grid, layer: int, row: int, inputs: Int8, index: int
) -> None:
    channels = network.bias.shape[1]
    for tap in range(network.taps.shape[1]):
        at = (row + network.taps[layer, tap]) * grid.block
        copy(grid.signs, at, inputs, index, tap * channels, channels)


@inlined
def network_logit(network: NetworkStage, layer: int, channel: int, place: int) -> int:
    """The logit of a bit, whose group has been predicted."""
    row = layer * len(network.places) + place
    unit = layer * network.bias.shape[1] + channel
    hidden = padded_columns((channel // network.group_size + 1) * network.hidden_of_group)
    total = dot(network.head, unit, 0, network.activations, row, 0, hidden)
    logit = total * network.head_scale[layer, channel] + network.bias[layer, channel]
    return to_logit(logit, SCALE_BITS + LOGIT_BITS)
