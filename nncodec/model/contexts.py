"""Which known bits a bit sees: neighbours in space, in earlier layers, in the frames before.

Bits are signs: a 1 is +1, a 0 is -1, and what lies outside the tensor is 0. FORMAT.md, section 8.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.model.kernels.compilation import inlined
from nncodec.model.kernels.short_rows import EIGHT, GATE_BITS
from nncodec.model.schedule import Schedule, block_count, block_size

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

SIGN_BITS = 4
"""Fractional bits of inputs that are no signs."""

Tap = tuple[int, int, int, int]
"""A neighbour: frames back, layers back, rows down, columns right."""

RESEMBLANCE_TAPS: tuple[Tap, ...] = (
    (0, 0, 0, -1),
    (0, 0, -1, 0),
    (0, 0, -1, 1),
    (0, 0, -1, -1),
    (0, 0, 0, -2),
    (0, 0, -2, 0),
)
"""Neighbours that the position may resemble."""

FRAME_TAPS: tuple[Tap, ...] = ((1, 0, 0, 0), (2, 0, 0, 0))
"""In a sequence, two more of these: the position in the two frames before."""

MORE_TAPS: tuple[Tap, ...] = (
    *((0, 1, 0, 0), (0, 2, 0, 0), (0, 3, 0, 0)),
    *((0, 0, -1, -2), (0, 0, -2, 1), (0, 0, -2, -1), (0, 0, 0, -3), (0, 0, -3, 0)),
    *((0, back, 0, 0) for back in range(4, 9)),
)
"""Neighbours farther away, and the position in earlier layers."""

CHANNEL_TAPS = (*RESEMBLANCE_TAPS, *FRAME_TAPS, *MORE_TAPS)
"""Neighbours of which a bit sees its own channel, by weights that a layer's channels share."""

GATES = len(RESEMBLANCE_TAPS) + len(FRAME_TAPS)
"""How many of the CHANNEL_TAPS, from the first, count by how much the position resembles them."""

FRAME_BEFORE = CHANNEL_TAPS.index((1, 0, 0, 0))

BLOCK_BEFORE: Tap = (-1, 0, 0, 0)
"""Stands for the block before at the position itself: no frame, which would be one to come."""

BEFORE_TAPS: tuple[Tap, ...] = ((0, 1, 0, 0),)
"""The position in the layer before, of which every channel weighs every channel; where a position
has several blocks, BLOCK_BEFORE comes first."""

AROUND_TAPS: tuple[Tap, ...] = (
    *((0, 0, 0, -1), (0, 0, -1, 0), (0, 0, -1, 1), (0, 0, -1, -1)),
    *((0, 1, 0, -1), (0, 1, -1, 0), (0, 1, 0, 1), (0, 1, 1, 0)),
    *((0, back, 0, 0) for back in range(2, 9)),
)
"""Neighbours of which every channel weighs every channel."""

STEP_BITS = 1
"""Fractional bits of a step."""
AROUND_STEPS: tuple[int, ...] = (3, 3, 1, 1, *[2] * 11)
"""How fast the weights of each of these learn, with STEP_BITS: fastest where it says most."""

MOTION_TAPS: tuple[Tap, ...] = ((1, 0, 0, 0), (1, 1, 0, 0))
"""In a sequence, also these: the position in the frame before, and there in the layer before."""

MARGIN = 3
"""Rows and columns around a picture that hold zeros, at least as far as any tap reaches."""

LAYER_GATE = 8 << SIGN_BITS
"""A gate if all known bits of the layer agree."""
EARLIER_GATE = 4 << SIGN_BITS
"""A gate if all bits of the layer before agree."""
DOUBT = 4
"""How many bits more that differ a gate counts, so that few bits decide little."""
FRAME_TRUST = 16
"""How many bits it counts for that the position resembled the frame before until now."""


class Taps(NamedTuple):
    """Where neighbours lie in a grid.

    Attributes:
        offsets: int64 (layers, taps), how many rows of the grid farther, within the line.
        lines: int64 (taps,), how many lines farther.
        frames: int64 (taps,), how many frames back.
        counts: int64 (layers,), how many taps, from the first, lie within the tensor.
    """

    offsets: Int64
    lines: Int64
    frames: Int64
    counts: Int64


class Grid(NamedTuple):
    """The codes of a group as far as they are known, with zeros around them: nothing needs a check.

    A *row* holds one block of the channels of one position of one layer. The first layer of rows is
    all zeros and stands for what is outside.

    Attributes:
        signs: int8 (rows * block,), row after row.
        agreement: int8 (rows, EIGHT), how many bits agree with those of each of the
            RESEMBLANCE_TAPS and FRAME_TAPS, less how many differ, once the block is known.
        sizes: int64: channels, block, blocks, rows of a layer.
        runs: int64 (runs + 1, 6), of each run of pictures of one size: its first position, its
            first row in a layer, height, width, rows of a picture, of a line. The last line has
            the position at which the layer ends.
        channel: where the CHANNEL_TAPS lie.
        gate_scales: int32 (block, EIGHT), by rank, how much a gate grows with agreement.
        earlier_gates: int64 (2 * block + 1,), the gate by block + agreement in the layer before.
    """

    signs: Int8
    agreement: Int8
    sizes: Int64
    runs: Int64
    channel: Taps
    gate_scales: Int32
    earlier_gates: Int64


CHANNELS, OF_BLOCK, BLOCKS, OF_LAYER = range(4)
"""The places of these in `Grid.sizes`."""
FIRST_POSITION, FIRST_ROW, HEIGHT, WIDTH, OF_PICTURE, OF_LINE = range(6)
"""The columns of `Grid.runs`."""


class Picture(NamedTuple):
    """What is known of the picture that a position is in.

    Attributes:
        height, width: in positions.
        rows, line: the rows of the grid that a picture of its size has, and a line of it.
        before: how many pictures of its size come immediately before it: its frames.
    """

    height: int
    width: int
    rows: int
    line: int
    before: int


class Spot(NamedTuple):
    """A position.

    Attributes:
        layer: its number.
        position: its number in the layer.
        row, column: where it lies in its picture.
        first: the row of the grid of its first block.
        picture: in which it lies.
    """

    layer: int
    position: int
    row: int
    column: int
    first: int
    picture: Picture


def make_grid(schedule: Schedule) -> Grid:
    """Makes the grid of a schedule, before the first bit is known."""
    block, blocks = block_size(schedule.channels), block_count(schedule.channels)
    runs, layer = _place_runs(schedule)
    rows = (schedule.layers + 1) * layer
    gate_scales, earlier_gates = _gate_tables(block)
    return Grid(
        # Vectors read beyond the end of a row.
        signs=np.zeros(rows * block + 64, dtype=np.int8),
        agreement=np.zeros((rows, gate_scales.shape[1]), dtype=np.int8),
        sizes=np.array([schedule.channels, block, blocks, layer]),
        runs=runs,
        channel=place_taps(CHANNEL_TAPS, schedule),
        gate_scales=gate_scales,
        earlier_gates=earlier_gates,
    )


def _place_runs(schedule: Schedule) -> tuple[Int64, int]:
    """Gives `Grid.runs`, and the rows of a layer."""
    runs, blocks = schedule.extent.runs, block_count(schedule.channels)
    placed = np.zeros((len(runs) + 1, 6), dtype=np.int64)
    # The right margin of a line is the left margin of the next, the margin above a picture that
    # below the one before: of the last, in the layer before.
    position = row = 0
    line_before = (runs[-1].width + MARGIN) * blocks
    for number, (count, height, width) in enumerate(runs):
        line = (width + MARGIN) * blocks
        row += MARGIN * max(0, line_before - line)
        picture = (height + MARGIN) * line
        placed[number] = position, row, height, width, picture, line
        position += count * height * width
        row += count * picture
        line_before = line
    placed[-1, FIRST_POSITION] = position
    return placed, row + MARGIN * blocks


def place_taps(taps: Sequence[Tap], schedule: Schedule) -> Taps:
    """Says where neighbours lie in the grid of a schedule.

    Args:
        taps: layers back never decrease among those of a frame.
        schedule: whose grid it is.
    """
    frames, back, down, right = np.array(taps, dtype=np.int64).reshape(-1, 4).T
    if not schedule.sequence:  # no picture has a frame before it
        frames = np.where(frames > 0, schedule.extent.pictures, frames)
    layers, blocks = np.arange(schedule.layers)[:, None], block_count(schedule.channels)
    _, layer_rows = _place_runs(schedule)
    # Layers before the first are all the one of zeros.
    offsets = right * blocks - np.minimum(back, layers + 1) * layer_rows
    # A view would be another type, for which all is compiled once more.
    frames, down = np.ascontiguousarray(frames), np.ascontiguousarray(down)
    return Taps(offsets, down, frames, (back <= layers).sum(axis=1))


@inlined
def run_of(grid: Grid, position: int) -> int:
    """Finds the run of pictures that a position of a layer lies in."""
    low, high = 0, len(grid.runs) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if grid.runs[middle, FIRST_POSITION] <= position:
            low = middle
        else:
            high = middle
    return low


@inlined
def spot_of(grid: Grid, run: int, layer: int, position: int) -> Spot:
    """Gives the spot of a position of a layer, which lies in a run of pictures."""
    runs, sizes = grid.runs, grid.sizes
    height, width, rows, line = (
        runs[run, HEIGHT],
        runs[run, WIDTH],
        runs[run, OF_PICTURE],
        runs[run, OF_LINE],
    )
    below = (position - runs[run, FIRST_POSITION]) // width
    column = position - runs[run, FIRST_POSITION] - below * width
    before = below // height
    row = below - before * height
    first = (layer + 1) * sizes[OF_LAYER] + runs[run, FIRST_ROW] + before * rows
    first += (row + MARGIN) * line + (column + MARGIN) * sizes[BLOCKS]
    return Spot(layer, position, row, column, first, Picture(height, width, rows, line, before))


@inlined
def first_sign(grid: Grid, taps: Taps, layer: int, tap: int, row: int, picture: Picture) -> int:
    """Gives the index of the first sign of a neighbour of a row; of zeros if it is outside."""
    frames = taps.frames[tap]
    blocks = grid.sizes[BLOCKS]
    if frames > picture.before or (frames < 0 and row % blocks == 0):
        return 0
    if frames < 0:
        row, frames = row - 1, 0
    offset = taps.offsets[layer, tap] + taps.lines[tap] * picture.line - frames * picture.rows
    first: int = (row + offset) * grid.sizes[OF_BLOCK]
    return first


def _gate_tables(block: int) -> tuple[Int32, Int64]:
    """Computes by how much a neighbour's bit counts, FORMAT.md section 8.

    With n known bits, of which the agreeing exceed the differing by a, the gate is
    8 a |a| / (n + 4)^2 within the layer, and 4 a / (block + 4) in the layer before.
    """
    rank, doubt = np.arange(block)[:, None], np.full(GATES, DOUBT)
    doubt[FRAME_BEFORE] += FRAME_TRUST
    scales = (LAYER_GATE << GATE_BITS) // (rank + doubt) ** 2
    excess = np.arange(-block, block + 1)
    earlier = EARLIER_GATE * abs(excess) // (block + DOUBT) * np.sign(excess)
    return scales.astype(np.int32), earlier.astype(np.int64)


assert GATES == EIGHT
