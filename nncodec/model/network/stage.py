"""A network at work: predicts the bits of one group as they become known.

Operations that see nothing of their own layer are due for whole rows. Those that do are due for
every position before its first bit; where all bits are known from the first, as in encoding, for
whole rows too. A head adds every bit to its sums as soon as that is known.
"""

import numpy as np
import numpy.typing as npt

from nncodec.model.contexts import BLOCKS, CHANNELS, MARGIN, OF_BLOCK, Grid, Spot
from nncodec.model.coverage import CoverageStage, has_layer
from nncodec.model.kernels.compilation import inlined, linked
from nncodec.model.kernels.integers import clamped, rounded
from nncodec.model.kernels.long_rows import LANES, accumulate, padded_columns
from nncodec.model.kernels.matrices import COPIED, Scaling, scale_sums
from nncodec.model.network import columns
from nncodec.model.network.operate import clear, clear_beside, limits, operate, put_through_tanh
from nncodec.model.network.operations import SCALE_BITS, VALUE_BITS
from nncodec.model.network.planes import TOGETHER, NetworkStage

Bits = npt.NDArray[np.uint8]


@linked
def begin_position(
    network: NetworkStage,
    grid: Grid,
    coverage: CoverageStage | None,
    spot: Spot,
    bits: Bits,
    index: int,
) -> None:
    """Computes what is due before the first bit of a position.

    Args:
        network: the network; its planes are written to.
        grid: as far as bits are known.
        coverage: which layers positions have, this one among them; None where all have all.
        spot: the position.
        bits: uint8, one axis, the bits of the tensor.
        index: of the first bit of the position; -1 where bits are not known from the first, as
            they are in encoding.
    """
    known = index >= 0
    if known and spot.column == 0:
        _show_row(grid, coverage, spot, bits, index)
    operations, height, width = network.operations, spot.picture.height, spot.picture.width
    first = spot.row
    if spot.column == 0 and first == 0:
        first = -MARGIN  # rows that are due before the first
        if len(grid.runs) > 2 and spot.picture.before == 0:
            clear_beside(network, spot)
    for base in range(first, spot.row + 1):
        for number in range(len(operations)):
            row, begin, end = base, 0, width
            if operations[number, columns.EARLY]:
                row += operations[number, columns.AHEAD]
                if spot.column:
                    end = 0
            elif base < spot.row:
                end = 0
            elif operations[number, columns.KIND] == columns.HEAD or not known:
                begin, end = spot.column, spot.column + 1
            elif spot.column:
                end = 0
            column = begin if 0 <= row < height else end
            while column < end:
                count = min(TOGETHER, end - column)
                if coverage is not None:
                    back = int(operations[number, columns.EARLY])
                    count = _count_alike(coverage, grid, spot, back, (row, column, count))
                if count > 0:
                    operate(network, grid, spot, number, (row, column, count))
                else:
                    clear(network, spot, number, (row, column, -count))
                column += abs(count)


@linked
def _count_alike(
    coverage: CoverageStage, grid: Grid, spot: Spot, back: int, place: tuple[int, int, int]
) -> int:
    """Counts the positions that have a layer, or have not, as the first one of some in a row does.

    Args:
        coverage: as far as it is known.
        grid: whose positions they are.
        spot: what is coded.
        back: how many layers before that of the spot the layer is.
        place: the row, the first column, and how many at most.

    Returns:
        How many; the negative number if they have not.
    """
    row, column, most = place
    first = spot.first + (row - spot.row) * spot.picture.line
    first += (column - spot.column) * grid.sizes[BLOCKS]
    has, count = has_layer(coverage, grid, spot, back, first), 1
    while count < most:
        if has_layer(coverage, grid, spot, back, first + count * grid.sizes[BLOCKS]) != has:
            break
        count += 1
    return count if has else -count


@linked
def _show_row(
    grid: Grid, coverage: CoverageStage | None, spot: Spot, bits: Bits, index: int
) -> None:
    """Puts the bits of a row of positions into the grid, ahead of their turn."""
    channels, blocks = grid.sizes[CHANNELS], grid.sizes[BLOCKS]
    for column in range(spot.picture.width):
        row, has = spot.first + column * blocks, 1
        if coverage is not None:
            has = has_layer(coverage, grid, spot, 0, row)
        first = row * grid.sizes[OF_BLOCK]
        for channel in range(channels):
            bit = int(bits[index + column * channels + channel])
            grid.signs[first + channel] = has * (2 * bit - 1)


@linked
def predict_network(network: NetworkStage, grid: Grid, spot: Spot, channel: int) -> int:
    """Gives the logit of a bit; bits of a position are asked for in order.

    Args:
        network: the network; the position was begun.
        grid: as far as it is known, the lower channels of the position among it.
        spot: the position.
        channel: which of its bits.
    """
    operations, workspace = network.operations, network.workspace
    heads, logits = workspace.sums, workspace.logits
    channels, head = grid.sizes[CHANNELS], len(operations) - 1
    units, begin = operations[head, columns.UNITS], operations[head, columns.WIDTH]
    if channel:
        sign = int(grid.signs[spot.first * grid.sizes[OF_BLOCK] + channel - 1]) << VALUE_BITS
        row = spot.layer * channels + channel - 1
        accumulate(heads, 0, network.lower, row, sign, _vector_of(units * channel))
    scale = operations[head, columns.SCALES] + spot.layer * padded_columns(
        (units + 1) * channels, COPIED
    )
    activation = operations[head, columns.ACTIVATION]
    least, most = limits(activation)
    first = units * channel
    scaling = Scaling(0, first, scale + first, 0, columns.BITS, units, least, most, SCALE_BITS)
    scale_sums(heads, network.scales, network.shifts, workspace.units, scaling)
    if activation == columns.TANH:
        put_through_tanh(network, workspace.units, 0, units)
    for unit in range(units):
        row = spot.layer * units * channels + first + unit
        value = int(workspace.units[unit])
        accumulate(logits, 0, network.output, row, value, _vector_of(channel))
    at = scale + units * channels + channel
    total = int(heads[0, begin + channel]) * int(network.scales[at]) + int(network.shifts[at])
    total += int(workspace.skipped[channel])
    total += int(logits[0, channel]) * int(network.output_scales[spot.layer, channel])
    return clamped(rounded(total, SCALE_BITS), operations[head, columns.LIMIT])


@inlined
def _vector_of(column: int) -> int:
    """The first column of the vector that a column is in."""
    return column & -LANES
