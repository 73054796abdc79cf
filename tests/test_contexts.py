"""Contexts: every field at every step against loops over a dictionary of the bits known so far."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncodec.contexts import (
    BLOCK,
    EARLIER_GATE,
    LAYER_GATE,
    LAYER_TAPS,
    RESEMBLANCE_TAPS,
    UNIT,
    Context,
    Grid,
)
from nncodec.schedule import Schedule, Step

Bit = tuple[int, int, int, int, int]
"""Layer, image, row, column, channel: an index into the code tensor."""

Seen = dict[str, list[int]]
"""What one bit sees, by the names of the fields of Context."""

FIELDS = ("known", "surprise", "earlier", "neighbours", "resemblance")


class ReferenceGrid:
    """The known bits, by their place in the tensor; what is not among them counts as 0."""

    def __init__(self, channels: int) -> None:
        blocks = -(-channels // BLOCK)
        self.block = -(-channels // blocks)
        self.signs: dict[Bit, int] = {}
        self.surprises: dict[Bit, int] = {}

    def context(self, bit: Bit) -> Seen:
        layer, image, row, column, channel = bit
        rank = channel % self.block
        block = range(channel - rank, channel - rank + self.block)

        def sign(back: int, down: int, right: int, channel: int) -> int:
            return self.signs.get((layer - back, image, row + down, column + right, channel), 0)

        def resemblance(back: int, down: int, right: int) -> int:
            return sum(sign(back, 0, 0, c) * sign(back, down, right, c) for c in block)

        taps = [UNIT * sign(*tap, channel) for tap in LAYER_TAPS]
        layer_gates, earlier_gates = [], []
        for _, down, right in RESEMBLANCE_TAPS:
            neighbour = sign(0, down, right, channel)
            excess = resemblance(0, down, right)
            gate = LAYER_GATE * excess**2 // (rank + 4) ** 2
            layer_gates.append((gate if excess > 0 else -gate) * neighbour)
            excess = resemblance(1, down, right)
            gate = EARLIER_GATE * abs(excess) // (self.block + 4)
            earlier_gates.append((gate if excess > 0 else -gate) * neighbour)
        return {
            "known": [UNIT * sign(0, 0, 0, c) for c in block],
            "surprise": [self.surprises.get((layer, image, row, column, c), 0) for c in block],
            "earlier": [UNIT * sign(1, 0, 0, c) for c in block],
            "neighbours": taps + layer_gates + earlier_gates,
            "resemblance": [resemblance(*tap) for tap in RESEMBLANCE_TAPS],
        }


def places(schedule: Schedule, step: Step) -> Iterator[tuple[int, int, Bit]]:
    """The bits of a step, each after its row and column in the arrays of a context."""
    positions = schedule.positions()
    for row, diagonal in enumerate(step.diagonals.tolist()):
        layer, channel = divmod(step.units.start + row, schedule.channels)
        for column, position in enumerate(positions[diagonal].tolist()):
            if position >= 0:
                y, x = divmod(position, schedule.width)
                image, y = divmod(y, schedule.height)
                yield row, column, (layer, image, y, x, channel)


def walk(
    schedule: Schedule, signs: npt.NDArray[np.int64], surprises: npt.NDArray[np.int64]
) -> Iterator[tuple[Step, Grid, Context]]:
    """Drives a grid through the whole schedule, and gives every context before it is recorded."""
    grid = Grid(schedule)
    for step in schedule:
        context = grid.context(step)
        yield step, grid, context
        recorded = np.zeros((2, *context.valid.shape), dtype=np.float32)
        for row, column, bit in places(schedule, step):
            recorded[:, row, column] = signs[bit], surprises[bit]
        grid.record(context, *recorded)


def random_bits(shape: Bit, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Signs, smooth enough that neighbours resemble each other, and any surprises."""
    random = np.random.default_rng(seed)
    image = random.normal(size=(*shape[:4], 1)).cumsum(axis=2).cumsum(axis=3)
    signs = np.where(image + random.normal(size=shape) > 0, 1, -1)
    return signs, random.integers(-2 * UNIT, 2 * UNIT, size=shape, endpoint=True)


def assert_contexts_are_as_defined(shape: Bit, seed: int) -> None:
    schedule = Schedule(*shape)
    signs, surprises = random_bits(shape, seed)
    reference = ReferenceGrid(schedule.channels)
    for step, grid, context in walk(schedule, signs, surprises):
        assert grid.block == reference.block
        valid = np.zeros_like(context.valid)
        for row, column, bit in places(schedule, step):
            valid[row, column] = True
            expected = reference.context(bit)
            seen = {name: getattr(context, name)[row, column].tolist() for name in FIELDS}
            assert seen == expected, bit
        np.testing.assert_array_equal(context.valid, valid)

        rank = np.arange(step.units.start, step.units.stop) % schedule.channels % grid.block
        rows = (context.cells - rank[:, None]) / grid.block
        np.testing.assert_array_equal(context.rows, rows)
        assert len(np.unique(context.cells[valid])) == valid.sum()

        for _, _, bit in places(schedule, step):
            reference.signs[bit] = int(signs[bit])
            reference.surprises[bit] = int(surprises[bit])


@st.composite
def shapes(draw: st.DrawFn, most_bits: int = 250) -> Bit:
    sizes = [draw(st.integers(1, most)) for most in (5, 2, 5, 6, 6)]
    for axis in draw(st.permutations(range(5))):
        sizes[axis] = max(1, min(sizes[axis], most_bits * sizes[axis] // int(np.prod(sizes))))
    layers, batch, height, width, channels = sizes
    return layers, batch, height, width, channels


seeds = st.integers(0, 2**32 - 1)


@given(shapes(), seeds)
def test_contexts_are_as_defined(shape: Bit, seed: int) -> None:
    assert_contexts_are_as_defined(shape, seed)


@pytest.mark.parametrize(
    "shape", [(10, 1, 2, 2, 2), (2, 1, 2, 2, 64), (2, 1, 2, 2, 70), (1, 2, 2, 1, 130)]
)
def test_contexts_of_many_layers_or_channels_are_as_defined(shape: Bit) -> None:
    assert_contexts_are_as_defined(shape, seed=0)


@given(shapes(), st.integers(1, 3), seeds)
def test_images_of_a_batch_do_not_see_each_other(shape: Bit, batch: int, seed: int) -> None:
    layers, _, height, width, channels = shape
    signs, surprises = random_bits((layers, batch, height, width, channels), seed)
    together = walk(Schedule(layers, batch, height, width, channels), signs, surprises)
    alone = [
        walk(
            Schedule(layers, 1, height, width, channels),
            signs[:, [image]],
            surprises[:, [image]],
        )
        for image in range(batch)
    ]
    for (_, _, context), *contexts in zip(together, *alone, strict=True):
        for name in FIELDS:
            for unit, valid in enumerate(context.valid):
                of_images = [getattr(each, name)[unit][each.valid[unit]] for _, _, each in contexts]
                of_batch = getattr(context, name)[unit][valid]
                np.testing.assert_array_equal(of_batch, np.concatenate(of_images))
