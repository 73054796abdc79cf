"""The schedule: every bit once, always after everything its context looks at."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from nncodec.model.contexts import AROUND_TAPS, LAYER_TAPS
from nncodec.model.schedule import Schedule, active_layers, list_runs

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


def bits_of(schedule: Schedule, step: int) -> Iterator[Bit]:
    """The bits of a step, one by one: units in order, then the positions of their diagonals."""
    runs, begins = schedule.room(), schedule.plan.begins
    first, last = active_layers(schedule.plan, step)
    for layer in range(schedule.layers):
        count, end = list_runs(schedule.plan, step, layer, runs), 0
        assert count == 0 or first <= layer < last
        assert (np.diff(runs.units[:count]) > 0).all()
        for run in range(count):
            channel, diagonal = int(runs.channels[run]), int(runs.diagonals[run])
            assert runs.units[run] == layer * schedule.channels + channel
            positions = schedule.positions[begins[diagonal] : begins[diagonal + 1]]
            assert len(positions)
            end += len(positions)
            assert runs.ends[run] == end
            for position in positions.tolist():
                row, column = divmod(position, schedule.width)
                image, row = divmod(row, schedule.height)
                yield layer, image, row, column, channel


def step_numbers(schedule: Schedule) -> npt.NDArray[np.int64]:
    """For every bit, the number of the step that it is coded at."""
    numbers = np.full(shape_of(schedule), -1)
    for step in range(schedule.step_count):
        for bit in bits_of(schedule, step):
            numbers[bit] = step
    return numbers


@given(schedules())
def test_every_bit_is_coded_exactly_once(schedule: Schedule) -> None:
    times = np.zeros(shape_of(schedule), dtype=int)
    for step in range(schedule.step_count):
        for bit in bits_of(schedule, step):
            times[bit] += 1
    assert (times == 1).all()


@given(schedules())
def test_order_lists_the_bits_as_the_steps_do(schedule: Schedule) -> None:
    bits = [bit for step in range(schedule.step_count) for bit in bits_of(schedule, step)]
    expected = np.ravel_multi_index(tuple(np.array(bits).T), shape_of(schedule))
    np.testing.assert_array_equal(schedule.order(), expected)


@given(schedules())
def test_a_bit_is_coded_at_the_step_that_the_wavefront_gives_it(schedule: Schedule) -> None:
    half, quarter = (schedule.channels + 1) // 2, (schedule.channels + 3) // 4
    strides = (half + quarter, half, 1)
    layer, _, *place = np.indices(shape_of(schedule))
    wavefront = sum(stride * index for stride, index in zip(strides, place, strict=True))
    wavefront += (half + quarter + schedule.channels) * layer
    np.testing.assert_array_equal(step_numbers(schedule), wavefront)
    assert schedule.step_count == wavefront.max() + 1


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
    channels, height, width = schedule.channels, schedule.height, schedule.width
    half, quarter = (channels + 1) // 2, (channels + 3) // 4
    # How many channels of a neighbour every channel sees, where it is not all of them.
    fewer = {(0, 0, -1): half, (0, -1, 0): half + quarter, (0, -1, 1): quarter}
    for layer, image, row, column, channel in np.ndindex(numbers.shape):
        number = numbers[layer, image, row, column, channel]
        for tap in (*LAYER_TAPS, *AROUND_TAPS):
            back, down, right = tap
            y, x = row + down, column + right
            if layer >= back and 0 <= y < height and 0 <= x < width:
                before = numbers[layer - back, image, y, x] < number
                assert before[channel]
                if tap in AROUND_TAPS:
                    assert before[: fewer.get(tap, channels)].all()
        own = numbers[layer, image, row, column]
        assert (own[:channel] < number).all()
        assert (own[channel + 1 :] > number).all()
        if layer:
            assert (numbers[layer - 1, image, row, column] < number).all()


@given(schedules())
def test_sizes_say_how_many_bits_of_the_first_layers_a_step_has(schedule: Schedule) -> None:
    layers = [[bit[0] for bit in bits_of(schedule, step)] for step in range(schedule.step_count)]
    for count in range(schedule.layers + 1):
        expected = [sum(layer < count for layer in step) for step in layers]
        assert schedule.sizes_up_to_layer(count).tolist() == expected


@given(schedules())
def test_positions_lists_each_diagonal_in_ascending_order(schedule: Schedule) -> None:
    diagonals: list[list[int]] = [[] for _ in range(schedule.diagonal_count)]
    shape = schedule.batch, schedule.height, schedule.width
    for position, (_, row, column) in enumerate(np.ndindex(shape)):
        diagonal = schedule.row_stride * row + schedule.column_stride * column
        diagonals[diagonal].append(position)
        assert schedule.diagonal_of_position[position] == diagonal
    assert schedule.positions.tolist() == [at for diagonal in diagonals for at in diagonal]
    assert schedule.diagonal_sizes.tolist() == [len(diagonal) for diagonal in diagonals]
    np.testing.assert_array_equal(np.diff(schedule.plan.begins), schedule.diagonal_sizes)
