"""Which known bits a bit sees: neighbours in space, in the earlier layers, at the position itself.

Bits are signs: a 1 is +1, a 0 is -1, and what lies outside the tensor or is not known yet is 0.
Nothing is masked: a bit that has not been coded has not been written, because encoder and decoder
fill the same grid in the same order. What is no sign counts in sixteenths (`UNIT`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.model.kernels.compilation import inlined
from nncodec.model.kernels.long_rows import LANES, WIDTH, copy, padded, padded_columns
from nncodec.model.schedule import Plan, Runs, Schedule

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int64 = npt.NDArray[np.int64]

UNIT_BITS = 4
UNIT = 1 << UNIT_BITS
"""What stands for 1.0 in an input that is no sign."""

Tap = tuple[int, int, int]
"""A neighbour: layers back, rows down, columns right."""

RESEMBLANCE_TAPS: tuple[Tap, ...] = (
    *((0, 0, -1), (0, -1, 0), (0, -1, 1), (0, -1, -1), (0, 0, -2), (0, -2, 0)),
)
"""Neighbours that the position may resemble."""

CHANNEL_TAPS: tuple[Tap, ...] = (*RESEMBLANCE_TAPS, (1, 0, 0), (2, 0, 0), (3, 0, 0))
"""Neighbours in the same channel that every channel weighs for itself, beside its layer."""

LAYER_TAPS: tuple[Tap, ...] = (
    *CHANNEL_TAPS,
    *((0, -1, -2), (0, -2, 1), (0, -2, -1), (0, 0, -3), (0, -3, 0)),
    *((back, 0, 0) for back in range(4, 9)),
)
"""Neighbours in the same channel whose weights the channels of a layer learn together."""

LAYER_INPUTS = len(LAYER_TAPS) + 2 * len(RESEMBLANCE_TAPS)

AROUND_TAPS: tuple[Tap, ...] = (
    *((0, 0, -1), (0, -1, 0), (0, -1, 1), (0, -1, -1)),
    *((1, 0, -1), (1, -1, 0), (1, 0, 1), (1, 1, 0)),
    *((back, 0, 0) for back in range(2, 9)),
)
"""Neighbours of which every channel weighs every channel. Layers back never decrease: the first
layers have just the first of these taps."""

NEAR = padded(len(CHANNEL_TAPS), LANES)
"""Room for the CHANNEL_TAPS."""

BLOCK = 64
"""Most channels of a position that a unit sees; deeper layers are cut into equal blocks."""

LAYER_GATE = 8 * UNIT  # by how much a neighbour's bit grows if all known bits of its layer agree
EARLIER_GATE = 4 * UNIT  # and if all bits of the layer before agree

MARGIN = 3
"""The farthest tap, in rows and in columns."""


def block_size(channels: int) -> int:
    """How many channels of a position a unit sees: all, or equal blocks of at most BLOCK."""
    return -(-channels // -(-channels // BLOCK))


def around_taps_of_layer(layer: int) -> int:
    """How many of the AROUND_TAPS, from the first, lie within the tensor for a layer."""
    return sum(back <= layer for back, _, _ in AROUND_TAPS)


class Grid(NamedTuple):
    """The code tensor as far as it is known, padded so that no neighbour needs a bounds check.

    A *row* holds one block of the channels of one position of one layer.

    Attributes:
        signs: int8 (rows * block,), row after row.
        surprise: int8, likewise, twice (bit - probability) of the known bits, in sixteenths.
        agreement: int8 (rows, RESEMBLANCE_TAPS), how many of the known bits agree with those of a
            neighbour, less how many differ.
        block: channels of a row.
        layer_rows: rows of a layer.
        blocks: rows of a position.
        rows: int64 (positions,), the first row of a position of the layer before the first, the
            positions in the order of the schedule.
        taps: int64 (layers, LAYER_TAPS), how many signs farther a neighbour is.
        around: int64 (layers, AROUND_TAPS), likewise.
        around_counts: int64 (layers,), `around_taps_of_layer`.
        layer_gates: int16 (block, 2 * block + 1), by known bits and block + agreement.
        earlier_gates: int16 (2 * block + 1,), by block + agreement.
    """

    signs: Int8
    surprise: Int8
    agreement: Int8
    block: int
    layer_rows: int
    blocks: int
    rows: Int64
    taps: Int64
    around: Int64
    around_counts: Int64
    layer_gates: Int16
    earlier_gates: Int16


class Contexts(NamedTuple):
    """What the bits see that a layer has at a step: N, in coding order.

    Attributes:
        rows: int64 (N,), of the grid.
        around: int8 (N, `padded` AROUND_TAPS * block), signs of the block at these neighbours.
        position: int8 (N, 3 * `padded` block + NEAR): signs of the block, those in the layer
            before, how surprising the known ones were; those of the CHANNEL_TAPS.
        neighbours: int16 (N, `padded` LAYER_INPUTS), in sixteenths: the LAYER_TAPS of the channel,
            then the RESEMBLANCE_TAPS times how much the position resembles that neighbour, by the
            known bits of this layer, then by those of the layer before.
        network: int8 (some, columns), what a network sees of positions that it predicts one by one.
    """

    rows: Int64
    around: Int8
    position: Int8
    neighbours: Int16
    network: Int8


def empty_grid(schedule: Schedule) -> Grid:
    """The grid of a schedule, before the first bit is known."""
    block = block_size(schedule.channels)
    blocks = -(-schedule.channels // block)
    # One plane a layer, after a plane of zeros that stands for the layers before the first.
    stride, cells = _cells(schedule)
    layer_rows = cells * blocks
    rows = (schedule.layers + 1) * layer_rows
    row, column = np.divmod(schedule.positions, schedule.width)
    image, row = np.divmod(row, schedule.height)
    cell = (image * (schedule.height + MARGIN) + row + MARGIN) * stride + column + MARGIN
    layer_gates, earlier_gates = _gate_tables(block)
    return Grid(
        signs=np.zeros(rows * block, dtype=np.int8),
        surprise=np.zeros(rows * block, dtype=np.int8),
        agreement=np.zeros((rows, len(RESEMBLANCE_TAPS)), dtype=np.int8),
        block=block,
        layer_rows=layer_rows,
        blocks=blocks,
        rows=cell * blocks,
        taps=row_offsets(schedule, LAYER_TAPS) * block,
        around=row_offsets(schedule, AROUND_TAPS) * block,
        around_counts=np.array([around_taps_of_layer(layer) for layer in range(schedule.layers)]),
        layer_gates=layer_gates,
        earlier_gates=earlier_gates,
    )


def room_for_contexts(block: int, bits: int, network: tuple[int, int]) -> Contexts:
    """Room for contexts of so many bits, and in this shape for those of a network."""
    return Contexts(
        rows=np.zeros(bits, dtype=np.int64),
        around=np.zeros((bits, padded(len(AROUND_TAPS) * block)), dtype=np.int8),
        position=np.zeros((bits, 3 * padded(block) + NEAR), dtype=np.int8),
        neighbours=np.zeros((bits, padded(LAYER_INPUTS)), dtype=np.int16),
        network=np.zeros(network, dtype=np.int8),
    )


def row_offsets(schedule: Schedule, taps: Sequence[Tap]) -> Int64:
    """How many rows farther in the grid neighbours are: int64 (layers, taps)."""
    back, down, right = np.array(taps).T
    stride, cells = _cells(schedule)
    # Layers before the first are all the plane of zeros.
    planes = np.minimum(back, np.arange(schedule.layers)[:, None] + 1)
    blocks = -(-schedule.channels // block_size(schedule.channels))
    offsets: Int64 = (down * stride + right - planes * cells) * blocks
    return offsets


@inlined
def see(plan: Plan, grid: Grid, layer: int, runs: Runs, contexts: Contexts, count: int) -> None:
    """Collects the contexts of the bits that a layer has at a step.

    Args:
        plan: of the schedule.
        grid: as far as it is known.
        layer: which.
        runs: of the layer.
        contexts: is written to.
        count: how many runs there are.
    """
    # A size that the compiler knows makes every copy a single move.
    if grid.block == WIDTH:
        _see(plan, grid, layer, runs, contexts, count, WIDTH)
    else:
        _see(plan, grid, layer, runs, contexts, count, grid.block)


@inlined
def _see(
    plan: Plan, grid: Grid, layer: int, runs: Runs, contexts: Contexts, count: int, block: int
) -> None:
    signs, around, position = grid.signs, contexts.around, contexts.position
    width = (position.shape[1] - NEAR) // 3
    taps, bit = grid.around_counts[layer], 0
    for run in range(count):
        number, rank = divmod(runs.channels[run], block)
        first = (layer + 1) * grid.layer_rows + number
        place = plan.begins[runs.diagonals[run]]
        while bit < runs.ends[run]:
            row = first + grid.rows[place]
            here, before = row * block, (row - grid.layer_rows) * block
            contexts.rows[bit] = row
            for tap in range(taps):
                copy(signs, here + grid.around[layer, tap], around, bit, tap * block, block)
            for i in range(taps * block, padded_columns(taps * block)):
                around[bit, i] = 0
            copy(signs, here, position, bit, 0, block)
            copy(signs, before, position, bit, width, block)
            copy(grid.surprise, here, position, bit, 2 * width, block)
            _neighbours(grid, layer, rank, row, here + rank, contexts, bit)
            bit += 1
            place += 1


@inlined
def _neighbours(
    grid: Grid, layer: int, rank: int, row: int, here: int, contexts: Contexts, bit: int
) -> None:
    signs, inputs, position = grid.signs, contexts.neighbours, contexts.position
    taps, pairs = len(LAYER_TAPS), len(RESEMBLANCE_TAPS)
    before, block, near = row - grid.layer_rows, grid.block, position.shape[1] - NEAR
    for tap in range(taps):
        sign = signs[np.uintp(here + grid.taps[layer, tap])]
        inputs[bit, np.uintp(tap)] = UNIT * sign
        if tap < len(CHANNEL_TAPS):
            position[bit, np.uintp(near + tap)] = sign
    for pair in range(pairs):
        sign = position[bit, np.uintp(near + pair)]
        gate = grid.layer_gates[rank, np.uintp(block + np.int64(grid.agreement[row, pair]))]
        inputs[bit, np.uintp(taps + pair)] = sign * gate
        gate = grid.earlier_gates[np.uintp(block + np.int64(grid.agreement[before, pair]))]
        inputs[bit, np.uintp(taps + pairs + pair)] = sign * gate


@inlined
def record(grid: Grid, layer: int, rank: int, row: int, sign: int, surprise: int) -> None:
    """Writes a bit, once everything at its step has been predicted and learned from."""
    here = row * grid.block + rank
    grid.signs[here] = sign
    grid.surprise[here] = surprise
    for pair in range(len(RESEMBLANCE_TAPS)):
        neighbour = grid.signs[np.uintp(here + grid.taps[layer, pair])]
        grid.agreement[row, pair] += sign * neighbour


def _cells(schedule: Schedule) -> tuple[int, int]:
    """Cells of a row of an image, and of a layer."""
    # The right margin of a row is the left margin of the next.
    stride = schedule.width + MARGIN
    return stride, schedule.batch * (schedule.height + MARGIN) * stride + MARGIN


def _gate_tables(block: int) -> tuple[Int16, Int16]:
    """By how much a neighbour's bit grows, for every count of agreeing less differing bits.

    With n known bits, of which the agreeing exceed the differing by a, the gate is
    8 a |a| / (n + 4)^2 within the layer, and 4 a / (block + 4) in the layer before, both rounded
    down to sixteenths in magnitude.
    """
    excess = np.arange(-block, block + 1)
    known = np.arange(block)[:, None]
    layer = LAYER_GATE * excess**2 // (known + 4) ** 2
    layer = np.where(abs(excess) <= known, layer * np.sign(excess), 0)
    earlier = EARLIER_GATE * abs(excess) // (block + 4) * np.sign(excess)
    return layer.astype(np.int16), earlier.astype(np.int16)
