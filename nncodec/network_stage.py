"""A network at work: predicts the bits of one code tensor as they become known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.compiled import inlined
from nncodec.contexts import Grid, row_offsets
from nncodec.fixed_point import LOGIT_BITS, clamped, dot, rounded, to_logit
from nncodec.integer_network import SCALE_BITS, SUM_LIMIT, IntegerNetwork, tanh_table
from nncodec.schedule import Bits, Schedule

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class NetworkStage(NamedTuple):
    """A network, laid out for the positions of a schedule; all empty where there is none.

    A group of channels is predicted when its first channel is to be coded: the activations of its
    hidden units are kept for the channels of this group and of higher ones.

    Attributes:
        group_size: channels of a group; 0 where there is no network.
        hidden_of_group: hidden units of a group.
        weights: int16 (hidden, taps * channels).
        scale, shift: int64 (layers, hidden).
        head: int16 (layers * channels, hidden).
        head_scale, bias: int64 (layers, channels).
        tanh: int8, the table.
        taps: int64 (layers, taps), how many rows farther a neighbour is.
        place_sums: int32 (places of a picture, hidden), what the flags of a place add.
        places: int64 (positions,), the place of each, in the order of the schedule.
        inputs: int8 (1, taps * channels), those of the position that is being predicted.
        activations: int8 (layers * positions, hidden).
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
    inputs: Int8
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
            *(tiny, tiny),
        )
    inputs = len(network.taps.offsets) * network.channels
    weights = network.weights.astype(np.int32)
    inside = network.taps.inside(schedule.height, schedule.width)
    flags = inside.reshape(-1, inside.shape[-1]).astype(np.int32)
    return NetworkStage(
        group_size=network.group_size,
        hidden_of_group=network.hidden_of_group,
        weights=np.ascontiguousarray(weights[:inputs].T).astype(np.int16),
        scale=network.scale[:layers].astype(np.int64),
        shift=network.shift[:layers].copy(),
        head=network.head[:layers].swapaxes(1, 2).reshape(-1, network.hidden).astype(np.int16),
        head_scale=network.head_scale[:layers].astype(np.int64),
        bias=network.bias[:layers].copy(),
        tanh=tanh_table(),
        taps=row_offsets(schedule, network.taps.offsets),
        place_sums=flags @ weights[inputs:],
        places=positions % len(flags),
        inputs=np.zeros((1, inputs), dtype=np.int8),
        activations=np.zeros((layers * len(positions), network.hidden), dtype=np.int8),
    )


@inlined
def predict_groups(network: NetworkStage, grid: Grid, bits: Bits, rows: Int64, count: int) -> None:
    """Predicts the groups whose first channel is among the bits of a step.

    Args:
        network: which keeps the activations.
        grid: as far as it is known.
        bits: of the step.
        rows: of the bits, in the grid.
        count: how many bits there are.
    """
    inputs, signs, activations = network.inputs, grid.signs, network.activations
    block, channels = signs.shape[1], network.bias.shape[1]
    for bit in range(count):
        layer, channel, position = bits.layers[bit], bits.channels[bit], bits.places[bit]
        if channel % network.group_size:
            continue
        for tap in range(network.taps.shape[1]):
            neighbour = rows[bit] - channel // block + network.taps[layer, tap]
            for number in range(grid.blocks):
                begin = tap * channels + number * block
                for i in range(min(block, channels - number * block)):
                    inputs[0, np.uintp(begin + i)] = signs[neighbour + number, np.uintp(i)]
        place, row = network.places[position], layer * len(network.places) + position
        first = channel // network.group_size * network.hidden_of_group
        for unit in range(first, first + network.hidden_of_group):
            total = dot(network.weights, unit, 0, inputs, 0, inputs.shape[1])
            total += int(network.place_sums[place, unit])
            total = total * network.scale[layer, unit] + network.shift[layer, unit]
            scaled = clamped(rounded(total, SCALE_BITS), SUM_LIMIT)
            activations[row, unit] = network.tanh[SUM_LIMIT + scaled]


@inlined
def network_logit(network: NetworkStage, bits: Bits, bit: int) -> int:
    """The logit of a bit of a step, whose group has been predicted."""
    layer, channel = bits.layers[bit], bits.channels[bit]
    row = layer * len(network.places) + bits.places[bit]
    hidden = (channel // network.group_size + 1) * network.hidden_of_group
    total = dot(network.head, bits.units[bit], 0, network.activations, row, hidden)
    logit = total * network.head_scale[layer, channel] + network.bias[layer, channel]
    return to_logit(logit, SCALE_BITS + LOGIT_BITS)
