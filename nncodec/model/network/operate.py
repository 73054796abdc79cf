"""What the operations of a network do at some positions, FORMAT.md section 10."""

from nncodec.model.contexts import (
    BLOCKS,
    CHANNELS,
    MARGIN,
    OF_BLOCK,
    OF_LAYER,
    Grid,
    Spot,
    first_sign,
)
from nncodec.model.fixed_point import FREQUENCY_ONE, LOGIT_LIMIT
from nncodec.model.kernels.compilation import inlined, linked
from nncodec.model.kernels.integers import clamped, rounded
from nncodec.model.kernels.long_rows import padded_columns
from nncodec.model.kernels.matrices import (
    COPIED,
    INPUTS,
    Scaling,
    copy_numbers,
    copy_signs,
    multiply_rows,
    scale_sums,
)
from nncodec.model.network import columns
from nncodec.model.network.operations import CELL_BITS, SCALE_BITS, VALUE_BITS, VALUE_LIMIT
from nncodec.model.network.planes import Int16, NetworkStage

TANH_LIMIT = 6 << VALUE_BITS
"""Beyond it, tanh is that of it."""
_CELL_LIMIT = (1 << 15) - 1
_SIGMOID_BITS = 16


@linked
def operate(
    network: NetworkStage,
    grid: Grid,
    spot: Spot,
    number: int,
    place: tuple[int, int, int],
) -> None:
    """Performs an operation at adjacent positions of a row; a head at a single one.

    Args:
        network: its planes are written to.
        grid: as far as bits are known.
        spot: what is coded.
        number: of the operation.
        place: the row, the first column, and how many.
    """
    operations, workspace = network.operations, network.workspace
    row, column, count = place
    kind, inputs = operations[number, columns.KIND], 0
    for i in range(count):
        if kind == columns.LSTM:
            _step(network, spot, number, row, column + i)
        else:
            inputs = _gather(network, grid, spot, number, (row, column + i, i))
    if kind != columns.LSTM:
        base = operations[number, columns.WEIGHTS] + spot.layer * operations[number, columns.OF_SET]
        outputs = operations[number, columns.PADDED]
        multiply_rows(
            network.weights, base, outputs, workspace.inputs, inputs, workspace.sums, count
        )
    if kind == columns.CONVOLVE:
        for i in range(count):
            _activate_plane(network, spot, number, (row, column + i, i))
    elif kind == columns.HEAD:
        skip = operations[number, columns.SKIP]
        at = _cell(network, spot, row, column) + skip
        for channel in range(workspace.logits.shape[1]):
            workspace.logits[0, channel] = 0
        for channel in range(grid.sizes[CHANNELS]):
            skipped = int(network.planes[at + channel]) if skip != columns.BITS else 0
            workspace.skipped[channel] = skipped << SCALE_BITS


@linked
def clear(network: NetworkStage, spot: Spot, number: int, place: tuple[int, int, int]) -> None:
    """Makes what an operation writes zero, at adjacent positions of a row: as outside."""
    operations = network.operations
    row, column, count = place
    width = operations[number, columns.WIDTH]
    if operations[number, columns.KIND] == columns.LSTM:
        width *= 2
    if operations[number, columns.KIND] == columns.HEAD:
        width = 0
    for i in range(count):
        first = _cell(network, spot, row, column + i) + operations[number, columns.PLANE]
        for j in range(first, first + width):
            network.planes[j] = 0


@inlined
def clear_beside(network: NetworkStage, spot: Spot) -> None:
    """Makes what lies beside the lines of a picture zero, where a wider one may have been."""
    sizes = network.sizes
    for slot in range(sizes[columns.RING_ROWS]):
        cell = slot * sizes[columns.OF_LINE] + spot.picture.width + MARGIN
        first = spot.layer * sizes[columns.OF_LAYER_OF_PLANES] + cell * sizes[columns.OF_POSITION]
        for i in range(first, first + MARGIN * sizes[columns.OF_POSITION]):
            network.planes[i] = 0


@linked
def _gather(
    network: NetworkStage,
    grid: Grid,
    spot: Spot,
    number: int,
    place: tuple[int, int, int],
) -> int:
    """Writes what an operation sees at a position into a row of the inputs; counts them."""
    operations, taps = network.operations, network.taps
    inputs = network.workspace.inputs
    row, column, i = place
    sizes, end = grid.sizes, 0
    down, right = row - spot.row, column - spot.column
    first = spot.first + down * spot.picture.line + right * sizes[BLOCKS]
    for tap in range(operations[number, columns.FIRST_TAP], operations[number, columns.END_TAP]):
        width, plane = taps[tap, columns.TAP_WIDTH], taps[tap, columns.OF_PLANE]
        if plane == columns.BITS:
            at = first_sign(grid, network.bits, spot.layer, tap, first, spot.picture)
            copy_signs(grid.signs, at, inputs, i, end, width, VALUE_BITS)
        elif taps[tap, columns.OF_CARRIED] != columns.BITS:
            at = _carried(network, spot, row, column) + taps[tap, columns.OF_CARRIED]
            copy_numbers(network.carried, at, inputs, i, end, width)
        else:
            at = _cell(
                network,
                spot,
                row + taps[tap, columns.DOWN],
                column + taps[tap, columns.RIGHT],
            )
            copy_numbers(network.planes, at + plane, inputs, i, end, width)
        end += width
    if operations[number, columns.EARLIER]:
        for layer in range(spot.layer):
            at = (first - (spot.layer - layer) * sizes[OF_LAYER]) * sizes[OF_BLOCK]
            copy_signs(grid.signs, at, inputs, i, end, sizes[CHANNELS], VALUE_BITS)
            end += sizes[CHANNELS]
    for padding in range(INPUTS):
        inputs[i, end + padding] = 0
    count: int = padded_columns(end, INPUTS)
    return count


@inlined
def _cell(network: NetworkStage, spot: Spot, row: int, column: int) -> int:
    """Gives the index of the first number of all planes at a position; of zeros if outside."""
    sizes = network.sizes
    slot = sizes[columns.RING_ROWS]
    if 0 <= row < spot.picture.height:
        slot = row & slot - 1
    cell = slot * sizes[columns.OF_LINE] + column + MARGIN
    first: int = spot.layer * sizes[columns.OF_LAYER_OF_PLANES] + cell * sizes[columns.OF_POSITION]
    return first


@inlined
def _carried(network: NetworkStage, spot: Spot, row: int, column: int) -> int:
    """Gives the index of the first number that a position carries from a layer to the next."""
    position = spot.position + (row - spot.row) * spot.picture.width + column - spot.column
    first: int = position * network.sizes[columns.OF_CARRIED_POSITION]
    return first


@linked
def _activate_plane(
    network: NetworkStage,
    spot: Spot,
    number: int,
    place: tuple[int, int, int],
) -> None:
    """Writes the plane of a convolution at a position, of a row of sums."""
    operations, planes = network.operations, network.planes
    width, activation = operations[number, columns.WIDTH], operations[number, columns.ACTIVATION]
    at = _cell(network, spot, place[0], place[1])
    skip = operations[number, columns.SKIP]
    target = at + operations[number, columns.PLANE]
    if skip != columns.BITS:
        skip += at
    least, most = limits(activation)
    first = operations[number, columns.SCALES] + spot.layer * padded_columns(width, COPIED)
    scaling = Scaling(place[2], 0, first, target, skip, width, least, most, SCALE_BITS)
    scale_sums(network.workspace.sums, network.scales, network.shifts, planes, scaling)
    if activation == columns.TANH:
        put_through_tanh(network, planes, target, width)


@inlined
def limits(activation: int) -> tuple[int, int]:
    """What a scaled sum is brought into: for tanh, before that; for others, after."""
    most = TANH_LIMIT if activation == columns.TANH else VALUE_LIMIT
    return 0 if activation == columns.RELU else -most, most


@inlined
def put_through_tanh(network: NetworkStage, numbers: Int16, begin: int, count: int) -> None:
    """Replaces adjacent numbers by their hyperbolic tangents."""
    for i in range(begin, begin + count):
        numbers[i] = rounded(_tanh(network, int(numbers[i])), _SIGMOID_BITS - VALUE_BITS)


@linked
def _step(network: NetworkStage, spot: Spot, number: int, row: int, column: int) -> None:
    """A step of an LSTM at a position."""
    operations, planes, squash = network.operations, network.planes, network.squash
    width = operations[number, columns.WIDTH]
    at = _cell(network, spot, row, column)
    above = _cell(network, spot, row - 1, column) + operations[number, columns.PLANE] + width
    carried = _carried(network, spot, row, column) + operations[number, columns.CARRIED]
    gates, target = at + operations[number, columns.GATES], at + operations[number, columns.PLANE]
    over_rows = operations[number, columns.OVER] == columns.ROWS_STEP
    for i in range(width):
        before = int(planes[above + i] if over_rows else network.carried[carried + width + i])
        kept = int(squash[LOGIT_LIMIT + planes[gates + i]]) * before << _SIGMOID_BITS - CELL_BITS
        admitted = int(squash[LOGIT_LIMIT + planes[gates + width + i]])
        admitted = admitted * _tanh(network, planes[gates + 2 * width + i])
        cell = clamped(rounded(kept + admitted, 2 * _SIGMOID_BITS - CELL_BITS), _CELL_LIMIT)
        emitted = int(squash[LOGIT_LIMIT + planes[gates + 3 * width + i]])
        emitted = emitted * _tanh(network, rounded(cell, CELL_BITS - VALUE_BITS))
        value = rounded(emitted, 2 * _SIGMOID_BITS - VALUE_BITS)
        planes[target + i] = value
        planes[target + width + i] = cell
        if not over_rows:
            network.carried[carried + i] = value
            network.carried[carried + width + i] = cell


@inlined
def _tanh(network: NetworkStage, value: int) -> int:
    """The hyperbolic tangent of a number of 8 fractional bits, with 16: 2 logistic(2 z) - 1."""
    frequency = int(network.squash[LOGIT_LIMIT + 2 * clamped(value, TANH_LIMIT)])
    return 2 * frequency - FREQUENCY_ONE
