"""The schedule: every bit once, always after everything its context looks at."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from nncodec.contexts import LAYER_TAPS
from nncodec.schedule import SLOPE, Schedule, Step

Bit = tuple[int, int, int, int, int]
"""Layer, image, row, column, channel: an index into the code tensor."""


@st.composite
def schedules(draw: st.DrawFn, most_bits: int = 2000) -> Schedule:
    width = draw(st.integers(1, 12))
    batch, channels = draw(st.integers(1, 3)), draw(st.integers(1, 9))
    layers = draw(st.integers(1, max(1, min(12, most_bits // (width * batch * channels)))))
    height = draw(st.integers(1, max(1, min(7, most_bits // (width * batch * channels * layers)))))
    return Schedule(layers, batch, height, width, channels)


def shape_of(schedule: Schedule) -> Bit:
    return schedule.layers, schedule.batch, schedule.height, schedule.width, schedule.channels


def bits_of(schedule: Schedule, step: Step) -> Iterator[Bit]:
    """The bits of a step, one by one: units in order, then the positions of their diagonals."""
    positions = schedule.positions()
    units = range(step.units.start, step.units.stop)
    for unit, diagonal in zip(units, step.diagonals.tolist(), strict=True):
        layer, channel = divmod(unit, schedule.channels)
        for position in positions[diagonal].tolist():
            if position >= 0:
                row, column = divmod(position, schedule.width)
                image, row = divmod(row, schedule.height)
                yield layer, image, row, column, channel


def step_numbers(schedule: Schedule) -> npt.NDArray[np.int64]:
    """For every bit, the number of the step that it is coded at, counted as they are given."""
    numbers = np.full(shape_of(schedule), -1)
    for number, step in enumerate(schedule):
        for bit in bits_of(schedule, step):
            numbers[bit] = number
    return numbers


@given(schedules())
def test_every_bit_is_coded_exactly_once(schedule: Schedule) -> None:
    times = np.zeros(shape_of(schedule), dtype=int)
    for step in schedule:
        for bit in bits_of(schedule, step):
            times[bit] += 1
    assert (times == 1).all()


@given(schedules())
def test_order_lists_the_bits_as_the_steps_do(schedule: Schedule) -> None:
    bits = [bit for step in schedule for bit in bits_of(schedule, step)]
    expected = np.ravel_multi_index(tuple(np.array(bits).T), shape_of(schedule))
    np.testing.assert_array_equal(schedule.order(), expected)


@given(schedules())
def test_a_bit_is_coded_at_the_step_that_the_wavefront_gives_it(schedule: Schedule) -> None:
    layer, _, row, column, channel = np.indices(shape_of(schedule))
    wavefront = schedule.channels * layer + channel + SLOPE * row + column
    np.testing.assert_array_equal(step_numbers(schedule), wavefront)
    assert len(list(schedule)) == wavefront.max() + 1


@given(schedules(), st.data())
def test_adjacent_layers_are_coded_in_the_order_of_their_own_schedule(
    schedule: Schedule, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, schedule.layers - 1))
    count = data.draw(st.integers(1, schedule.layers - first))
    shape = shape_of(schedule)
    bits_per_layer = int(np.prod(shape[1:]))
    order = schedule.order() - first * bits_per_layer
    within = order[(order >= 0) & (order < count * bits_per_layer)]
    np.testing.assert_array_equal(within, Schedule(count, *shape[1:]).order())


@given(schedules(most_bits=400))
def test_a_bit_is_coded_after_everything_its_context_looks_at(schedule: Schedule) -> None:
    numbers = step_numbers(schedule)
    height, width = schedule.height, schedule.width
    for layer, image, row, column, channel in np.ndindex(numbers.shape):
        number = numbers[layer, image, row, column, channel]
        for back, down, right in LAYER_TAPS:
            y, x = row + down, column + right
            if layer >= back and 0 <= y < height and 0 <= x < width:
                assert numbers[layer - back, image, y, x, channel] < number
        assert (numbers[layer, image, row, column, :channel] < number).all()
        assert (numbers[layer, image, row, column, channel + 1 :] > number).all()
        if layer:
            assert (numbers[layer - 1, image, row, column] < number).all()


@given(schedules())
def test_a_step_says_where_the_units_of_each_layer_begin(schedule: Schedule) -> None:
    for step in schedule:
        layers = np.arange(step.units.start, step.units.stop) // schedule.channels
        present, starts = np.unique(layers, return_index=True)
        assert list(range(step.layers.start, step.layers.stop)) == present.tolist()
        np.testing.assert_array_equal(step.starts, starts)
        assert len(step.diagonals) == len(layers)


@given(schedules())
def test_positions_lists_each_diagonal_in_ascending_order(schedule: Schedule) -> None:
    expected: list[list[int]] = [[] for _ in range(schedule.diagonal_count)]
    shape = schedule.batch, schedule.height, schedule.width
    for position, (_, row, column) in enumerate(np.ndindex(shape)):
        expected[SLOPE * row + column].append(position)
    table = schedule.positions().tolist()
    assert [[at for at in diagonal if at >= 0] for diagonal in table] == expected
    assert all(-1 not in diagonal[: len(at)] for diagonal, at in zip(table, expected, strict=True))
    np.testing.assert_array_equal(schedule.diagonal_sizes, [len(at) for at in expected])
