"""A network, laid out for the positions of a schedule: its weights, its planes.

Planes are needed a few rows up and down, so a layer has rings of rows. FORMAT.md does not say how
they lie: no number depends on it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.errors import ModelError
from nncodec.format.limits import MAX_PLANE_BYTES, RING_ROWS
from nncodec.model.contexts import MARGIN, Taps, place_taps
from nncodec.model.kernels.long_rows import padded
from nncodec.model.kernels.matrices import COPIED, INPUTS, OUTPUTS, ROWS, arranged
from nncodec.model.network import columns
from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.model.network.operations import ACTIVATIONS, STEPS, Convolve, Head, Lstm, Tap
from nncodec.model.schedule import Schedule

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

TOGETHER = 2 * ROWS
"""So many positions are computed together."""


class NetworkWorkspace(NamedTuple):
    """What a thread needs for a network.

    Attributes:
        inputs: int16 (TOGETHER, inputs), what is seen from some positions.
        sums: int32 (TOGETHER, outputs); those of a head grow as bits become known.
        logits: int32 (1, logits), what units add.
        units: int16 (units of a channel), padded.
        skipped: int64 (logits,), what a plane adds.
    """

    inputs: Int16
    sums: Int32
    logits: Int32
    units: Int16
    skipped: Int64


class NetworkStage(NamedTuple):
    """A network as compiled functions take it, in one thread.

    Attributes:
        operations: int64 (operations, as `columns` says).
        taps: int64 (taps of all operations, as `columns` says).
        bits: where the taps of bits lie in a grid, as many.
        weights: int8, all matrices, `arranged`; those of a head have its units, then its logits.
        scales, shifts: int32 and int64, of the outputs of all layers, each layer's padded.
        lower: int16 (sets * channels, units and logits), of the bits of lower channels.
        output: int16 (layers * units, logits).
        output_scales: int64 (layers, channels).
        sizes: int64, as `columns` says: rows of a ring, numbers of a position, positions of a
            line, numbers of a layer, carried numbers of a position.
        planes: int16, the rings of all layers, with lines for the widest picture. The line after a
            ring holds zeros, for what is outside of the picture.
        carried: int16 (positions * numbers), what goes from a layer to the next.
        squash: int32, the table of frequencies.
        workspace: of the thread.
    """

    operations: Int64
    taps: Int64
    bits: Taps
    weights: Int8
    scales: Int32
    shifts: Int64
    lower: Int16
    output: Int16
    output_scales: Int64
    sizes: Int64
    planes: Int16
    carried: Int16
    squash: Int32
    workspace: NetworkWorkspace


def make_network_stage(network: IntegerNetwork, schedule: Schedule, squash: Int32) -> NetworkStage:
    """Lays out a network.

    Args:
        network: which fits the schedule.
        schedule: of the code tensor.
        squash: the table of frequencies.

    Raises:
        ModelError: its planes would take too much memory.
    """
    return _laid_out(network).stage(schedule, squash)


def of_another_thread(network: NetworkStage) -> NetworkStage:
    """Gives the same network with a workspace of its own."""
    workspace = NetworkWorkspace(*map(np.zeros_like, network.workspace))
    return network._replace(workspace=workspace)


@functools.lru_cache(maxsize=2)
def _laid_out(network: IntegerNetwork) -> _Layout:
    """That of a network, kept for the groups that follow: it takes longer than a small one does."""
    return _Layout(network)


class _Layout:
    """The arrays of a stage as they are put together, operation by operation."""

    def __init__(self, network: IntegerNetwork) -> None:
        self._operations: list[list[int]] = []
        self._taps: list[tuple[int, ...]] = []
        self._bit_taps: list[tuple[int, int, int, int]] = []
        self._weights: list[Int8] = []
        self._scales: list[Int32] = []
        self._shifts: list[Int64] = []
        self._lower = np.zeros((0, 0), dtype=np.int16)
        self._output = np.zeros((0, 0), dtype=np.int16)
        self._output_scales = np.zeros((0, 0), dtype=np.int64)
        self._carried = 0
        # Whole vectors are written.
        self._inputs = 0
        widths = [padded(plane.width, COPIED) for plane in network.planes[1:]]
        self._offsets = [columns.BITS, *np.cumsum([0, *widths]).tolist()]
        self._of_position = self._offsets.pop()
        self._carried_planes: dict[int, int] = {}
        self._carry(network)
        for number in range(len(network.operations)):
            self._add(network, number)
        self._joined = {
            "operations": np.array(self._operations, dtype=np.int64).reshape(-1, columns.LIMIT + 1),
            "taps": np.array(self._taps, dtype=np.int64).reshape(-1, columns.OF_CARRIED + 1),
            "weights": _joined(self._weights, np.int8),
            "scales": _joined(self._scales, np.int32),
            "shifts": _joined(self._shifts, np.int64),
        }

    def stage(self, schedule: Schedule, squash: Int32) -> NetworkStage:
        ring = 1
        while ring < min(schedule.height, RING_ROWS):
            ring *= 2
        line = schedule.width + MARGIN
        of_layer = (ring + 1) * line * self._of_position
        numbers = schedule.layers * of_layer + MARGIN * self._of_position
        carried = schedule.positions * self._carried
        if 2 * (numbers + carried) > MAX_PLANE_BYTES:
            raise ModelError(
                f"the network would keep {2 * (numbers + carried)} bytes for codes of this shape; "
                "cut them into several, or use adaptive"
            )
        return NetworkStage(
            **self._joined,
            bits=place_taps(self._bit_taps, schedule),
            lower=self._lower,
            output=self._output,
            output_scales=self._output_scales,
            sizes=np.array([ring, self._of_position, line, of_layer, self._carried]),
            planes=np.zeros(numbers + COPIED, dtype=np.int16),
            carried=np.zeros(carried + COPIED, dtype=np.int16),
            squash=squash,
            workspace=self._workspace(),
        )

    def _workspace(self) -> NetworkWorkspace:
        widest = max(row[columns.PADDED] for row in self._operations)
        logits = self._output.shape[1]
        return NetworkWorkspace(
            # Copies write some numbers more than they are asked for.
            inputs=np.zeros((TOGETHER, padded(self._inputs + COPIED + INPUTS)), dtype=np.int16),
            sums=np.zeros((TOGETHER, widest), dtype=np.int32),
            logits=np.zeros((1, logits), dtype=np.int32),
            units=np.zeros(padded(self._operations[-1][columns.UNITS], COPIED), dtype=np.int16),
            skipped=np.zeros(logits, dtype=np.int64),
        )

    def _carry(self, network: IntegerNetwork) -> None:
        for number, plane in enumerate(network.planes):
            writer = network.operations[plane.writer] if number else None
            if isinstance(writer, Lstm) and writer.over == "layers":
                self._carried_planes[number] = self._carried
                self._carried += plane.width

    def _add(self, network: IntegerNetwork, number: int) -> None:
        operation = network.operations[number]
        row = [0] * (columns.LIMIT + 1)
        row[columns.EARLY], row[columns.AHEAD] = network.early[number], network.ahead[number]
        planes = [n for n, plane in enumerate(network.planes) if plane.writer == number]
        row[columns.PLANE] = self._offsets[planes[0]] if planes else columns.BITS
        row[columns.FIRST_TAP] = row[columns.END_TAP] = len(self._taps)
        if isinstance(operation, Lstm):
            row[columns.KIND], row[columns.WIDTH] = columns.LSTM, operation.width
            row[columns.GATES] = self._offsets[operation.gates]
            row[columns.OVER] = STEPS.index(operation.over)
            row[columns.CARRIED] = self._carried_planes.get(planes[0], 0)
            self._operations.append(row)
            return
        assert isinstance(operation, Convolve | Head)
        for tap in operation.taps:
            self._add_tap(network, tap)
        row[columns.END_TAP], row[columns.EARLIER] = len(self._taps), operation.earlier
        row[columns.SKIP] = self._offsets[operation.skip]
        seen = sum(network.planes[tap.plane].width for tap in operation.taps)
        earlier = operation.earlier * (network.layers - 1) * network.channels
        self._inputs = max(self._inputs, seen + earlier)
        row[columns.ACTIVATION] = ACTIVATIONS.index(operation.activation)
        row[columns.WEIGHTS], row[columns.SCALES] = _length(self._weights), _length(self._scales)
        if isinstance(operation, Convolve):
            row[columns.KIND] = columns.CONVOLVE
            row[columns.WIDTH] = operation.widths[0]
            row[columns.PADDED] = padded(row[columns.WIDTH], OUTPUTS)
            row[columns.OF_SET] = self._add_sets(operation.weights)
            self._add_scales(operation.scale, operation.shift)
        else:
            self._add_head(network, operation, row)
        self._operations.append(row)

    def _add_tap(self, network: IntegerNetwork, tap: Tap) -> None:
        width = network.planes[tap.plane].width
        carried = self._carried_planes[tap.plane] if tap.plane and tap.layers else columns.BITS
        self._taps.append((self._offsets[tap.plane], width, tap.down, tap.right, carried))
        of_bits = (tap.frames, tap.layers, tap.down, tap.right)
        self._bit_taps.append((0, 0, 0, 0) if tap.plane else of_bits)

    def _add_sets(self, weights: npt.NDArray[np.int8]) -> int:
        """Adds matrices; gives how far one is from the next, 0 where there is one for all."""
        sets = [arranged(matrix) for matrix in weights]
        self._weights += sets
        return len(sets[0]) if len(sets) > 1 else 0

    def _add_head(self, network: IntegerNetwork, head: Head, row: list[int]) -> None:
        layers, channels = network.layers, network.channels
        units = head.unit_weights.shape[1]
        row[columns.KIND], row[columns.UNITS], row[columns.LIMIT] = (
            columns.HEAD,
            head.units,
            head.limit,
        )
        # Units are padded, so that logits begin a vector of their own.
        row[columns.WIDTH] = padded(units, OUTPUTS)
        row[columns.PADDED] = row[columns.WIDTH] + padded(channels, OUTPUTS)

        def side_by_side(first: Int8, second: Int8) -> npt.NDArray[np.int8]:
            sets = max(len(first), len(second))
            first, second = (
                np.broadcast_to(matrices, (sets, *matrices.shape[1:]))
                for matrices in (first, second)
            )
            more = [(0, 0), (0, row[columns.WIDTH] - units), (0, 0)]
            return np.concatenate([np.pad(first, more), second], axis=1)

        matrices = side_by_side(head.unit_weights, head.weights)
        row[columns.OF_SET] = self._add_sets(matrices)
        lower = side_by_side(head.unit_lower, head.lower)
        lower = np.broadcast_to(lower, (layers, *lower.shape[1:])).swapaxes(1, 2)
        more = [(0, 0), (0, 0), (0, row[columns.PADDED] - lower.shape[2])]
        self._lower = _rows(np.pad(lower, more))
        output = head.output.swapaxes(1, 2)
        more = [(0, 0), (0, 0), (0, padded(channels, OUTPUTS) - channels)]
        self._output = _rows(np.pad(output, more))
        self._output_scales = head.output_scale.astype(np.int64)
        self._add_scales(
            np.concatenate([head.unit_scale, head.scale], axis=1),
            np.concatenate([head.unit_shift, head.shift], axis=1),
        )

    def _add_scales(self, scales: Int32, shifts: Int64) -> None:
        more = [(0, 0), (0, -scales.shape[1] % COPIED)]
        self._scales.append(np.pad(scales, more).reshape(-1))
        self._shifts.append(np.pad(shifts, more).reshape(-1))


def _rows(matrices: npt.NDArray[np.int8]) -> Int16:
    return np.ascontiguousarray(matrices.reshape(-1, matrices.shape[-1]), dtype=np.int16)


def _length(arrays: Sequence[npt.NDArray[Any]]) -> int:
    return sum(map(len, arrays))


def _joined(arrays: Sequence[npt.NDArray[Any]], dtype: type) -> npt.NDArray[Any]:
    # Vectors read beyond the end.
    return np.concatenate([*arrays, np.zeros(COPIED, dtype=dtype)])
