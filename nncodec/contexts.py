"""Which known bits a step sees: neighbours in space, in the earlier layers, at the position itself.

Inputs are integers in sixteenths (`UNIT`), carried by float32: a 1 is +UNIT, a 0 is -UNIT, and
what lies outside the tensor or is not known yet is 0. Nothing is masked: a bit that has not been
coded has not been written, because encoder and decoder fill the same grid in the same order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nncodec.schedule import Schedule, Step

UNIT_BITS = 4
UNIT = 1 << UNIT_BITS
"""What stands for 1.0 in an input."""

RESEMBLANCE_TAPS = ((0, 0, -1), (0, -1, 0), (0, -1, 1), (0, -1, -1), (0, 0, -2), (0, -2, 0))
"""Neighbours (layers back, rows down, columns right) that the position may resemble."""

CHANNEL_TAPS = (*RESEMBLANCE_TAPS, (1, 0, 0), (2, 0, 0), (3, 0, 0))
"""Neighbours in the same channel that every channel weighs for itself, beside its layer."""

LAYER_TAPS = (
    *CHANNEL_TAPS,
    *((0, -1, 2), (0, -1, -2), (0, -2, 1), (0, -2, -1), (0, 0, -3), (0, -3, 0)),
    *((back, 0, 0) for back in range(4, 9)),
)
"""Neighbours in the same channel whose weights the channels of a layer learn together."""

LAYER_INPUTS = len(LAYER_TAPS) + 2 * len(RESEMBLANCE_TAPS)

BLOCK = 64
"""Most channels of a position that a unit sees; deeper layers are cut into equal blocks."""


def block_size(channels: int) -> int:
    """How many channels of a position a unit sees: all, or equal blocks of at most BLOCK."""
    return -(-channels // -(-channels // BLOCK))


LAYER_GATE = 8 * UNIT  # by how much a neighbour's bit grows if all known bits of its layer agree
EARLIER_GATE = 4 * UNIT  # and if all bits of the layer before agree

_MARGIN_ROWS, _MARGIN_COLUMNS = 3, 3  # the farthest tap, in rows and in columns


@dataclass(frozen=True)
class Context:
    """What the units of one step see: U units by P positions.

    Attributes:
        positions: int64 (U, P), where the grid holds the layer's bits at the position.
        rows: int64 (U, P), the rows of the grid, one a position and block, that hold the bits to
            be coded.
        cells: int64 (U, P), the same bit by bit.
        valid: bool (U, P), False where a diagonal has fewer than P positions.
        known: float32 (U, P, B), the bits of the unit's block at the position.
        surprise: float32 (U, P, B), twice (bit - probability) of those bits.
        earlier: float32 (U, P, B), the block's bits at the position in the layer before.
        neighbours: float32 (U, P, LAYER_INPUTS), the LAYER_TAPS of the channel, then the
            RESEMBLANCE_TAPS times how much the position resembles that neighbour, by the known bits
            of this layer, then by those of the layer before.
        resemblance: int8 (U, P, RESEMBLANCE_TAPS), how many of the known bits of this layer agree
            with the neighbour's, less how many differ.
    """

    positions: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    cells: npt.NDArray[np.int64]
    valid: npt.NDArray[np.bool_]
    known: npt.NDArray[np.float32]
    surprise: npt.NDArray[np.float32]
    earlier: npt.NDArray[np.float32]
    neighbours: npt.NDArray[np.float32]
    resemblance: npt.NDArray[np.int8]


class Grid:
    """The code tensor as far as it is known, padded so that no neighbour needs a bounds check."""

    def __init__(self, schedule: Schedule) -> None:
        layers, batch, channels = schedule.layers, schedule.batch, schedule.channels
        self._channels = channels
        self.block = block_size(channels)
        self._blocks = -(-channels // self.block)

        # One plane a layer, after a plane of zeros that stands for the layers before the first.
        # The right margin of a row is the left margin of the next.
        stride = schedule.width + _MARGIN_COLUMNS
        plane = batch * (schedule.height + _MARGIN_ROWS) * stride + _MARGIN_COLUMNS
        depth = self._blocks * self.block
        self._stride, self._plane = stride, plane
        self.cell_count = (layers + 1) * plane
        self._known = np.zeros(self.cell_count * depth, dtype=np.float32)
        self._surprise = np.zeros_like(self._known)
        self._resemblance = np.zeros(
            (self.cell_count * self._blocks, len(RESEMBLANCE_TAPS)), dtype=np.int8
        )

        self._position = position = schedule.positions()
        row, column = np.divmod(position, schedule.width)
        image, row = np.divmod(row, schedule.height)
        cell = (image * (schedule.height + _MARGIN_ROWS) + row + _MARGIN_ROWS) * stride
        cell += column + _MARGIN_COLUMNS
        self._valid = position >= 0
        # Where a diagonal has no more positions, a cell of the margin, which stays zero.
        self._cells = np.where(self._valid, cell, _MARGIN_ROWS * stride + _MARGIN_COLUMNS - 1)

        self._unit_layer = schedule.layer_of_unit
        self._unit_channel = schedule.channel_of_unit
        self._unit_block, self._unit_rank = np.divmod(schedule.channel_of_unit, self.block)
        self._plane_rows = plane * self._blocks
        self._depth = depth

        self._tap_offsets = self.offsets(LAYER_TAPS) * depth
        self._layer_gate, self._earlier_gate = _gate_tables(self.block)

    def positions(
        self, layers: npt.NDArray[np.int64], diagonals: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Where the bits of layers, int64 (n,), are on diagonals, int64 (n,): int64 (n, P)."""
        positions: npt.NDArray[np.int64] = self._cells[diagonals]
        return positions + (layers[:, None] + 1) * self._plane

    def offsets(self, taps: Sequence[tuple[int, int, int]]) -> npt.NDArray[np.int64]:
        """How far neighbours are from a position.

        Args:
            taps: (layers back, rows down, columns right), up to a margin away.

        Returns:
            int64 (layers, taps), to add to `positions`.
        """
        back, down, right = np.array(taps).T
        layers = np.arange(self.cell_count // self._plane - 1)[:, None]
        # Layers before the first are all the plane of zeros.
        planes = np.minimum(back, layers + 1) * self._plane
        offsets: npt.NDArray[np.int64] = down * self._stride + right - planes
        return offsets

    def bits(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """All channels at positions, float32 (..., channels), as a context has them."""
        known = self._known.reshape(-1, self._depth)[:, : self._channels]
        bits: npt.NDArray[np.float32] = known[positions]
        return bits

    def fill(self, codes: npt.NDArray[np.uint8]) -> None:
        """Makes all bits known: uint8 {0, 1}, [layers, batch, height, width, layer_depth]."""
        layers, *_, channels = codes.shape
        known = self._known.reshape(layers + 1, self._plane, self._depth)
        flat = codes.reshape(layers, -1, channels)
        signs = (flat.astype(np.float32) * 2 - 1) * UNIT
        known[1:, self._cells[self._valid], :channels] = signs[:, self._position[self._valid]]

    def context(self, step: Step) -> Context:
        """Collects what the units of a step see."""
        units = step.units
        position = self.positions(self._unit_layer[units], step.diagonals)
        cells = position * self._depth + self._unit_channel[units, None]
        rows = position
        if self._blocks > 1:
            rows = position * self._blocks + self._unit_block[units, None]
        rows_before = rows - self._plane_rows
        known_rows = self._known.reshape(-1, self.block)

        offsets = self._tap_offsets[self._unit_layer[units], None]
        neighbours = np.empty((*cells.shape, LAYER_INPUTS), dtype=np.float32)
        neighbours[..., : len(LAYER_TAPS)] = self._known.take(cells[:, :, None] + offsets)
        gated = neighbours[..., : len(RESEMBLANCE_TAPS)]
        by_layer = neighbours[..., len(LAYER_TAPS) : -len(RESEMBLANCE_TAPS)]
        by_earlier = neighbours[..., -len(RESEMBLANCE_TAPS) :]
        resemblance = self._resemblance.take(rows, axis=0)
        index = (self._unit_rank[units] * (2 * self.block + 1) + self.block)[:, None, None]
        np.multiply(self._layer_gate.take(resemblance + index), gated, out=by_layer)
        index = np.add(self._resemblance.take(rows_before, axis=0), self.block, dtype=np.int64)
        np.multiply(self._earlier_gate.take(index), gated, out=by_earlier)
        return Context(
            positions=position,
            rows=rows,
            cells=cells,
            valid=self._valid[step.diagonals],
            known=known_rows.take(rows, axis=0),
            surprise=self._surprise.reshape(-1, self.block).take(rows, axis=0),
            earlier=known_rows.take(rows_before, axis=0),
            neighbours=neighbours,
            resemblance=resemblance,
        )

    def record(
        self,
        context: Context,
        signs: npt.NDArray[np.float32],
        surprise: npt.NDArray[np.float32],
    ) -> None:
        """Writes the bits of a step, once they are known.

        Args:
            context: what the step saw.
            signs: float32 (U, P): 1 or -1, and 0 where `context.valid` is False.
            surprise: float32 (U, P): twice (bit - probability), in sixteenths, likewise.
        """
        self._known[context.cells] = signs * UNIT
        self._surprise[context.cells] = surprise
        # Two units of a step never share a row: at one position they would be at two steps.
        agree = context.neighbours[..., : len(RESEMBLANCE_TAPS)] * (signs / UNIT)[..., None]
        self._resemblance[context.rows] = context.resemblance + agree.astype(np.int8)


def _gate_tables(block: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """By how much a neighbour's bit grows, for every count of agreeing less differing bits.

    With n known bits, of which the agreeing exceed the differing by a, the gate is
    8 a |a| / (n + 4)^2 within the layer, and 4 a / (block + 4) in the layer before, both rounded
    down to sixteenths in magnitude: dividing by UNIT below is exact and undone by the bit's ±UNIT.

    Returns:
        float32 (block * (2 * block + 1),), index n * (2 * block + 1) + block + a, and float32
        (2 * block + 1,), index block + a.
    """
    excess = np.arange(-block, block + 1)
    known = np.arange(block)[:, None]
    layer = LAYER_GATE * excess**2 // (known + 4) ** 2
    layer = np.where(abs(excess) <= known, layer * np.sign(excess), 0)
    earlier = EARLIER_GATE * abs(excess) // (block + 4) * np.sign(excess)
    tables = layer.ravel() / UNIT, earlier / UNIT
    return tables[0].astype(np.float32), tables[1].astype(np.float32)
