"""The schedule: no segment comes to a position before what that sees of earlier layers is known."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nncodec.model.contexts import AROUND_TAPS, BEFORE_TAPS, CHANNEL_TAPS, MOTION_TAPS, Tap
from nncodec.model.network.taps import LARGEST_REACH
from nncodec.model.network.taps import Taps as NetworkTaps
from nncodec.model.schedule import BLOCK, Schedule, block_count, block_size
from tests.samples import steps_of

Position = tuple[int, int, int, int]
"""Layer, picture, row, column."""


@st.composite
def schedules(draw: st.DrawFn) -> tuple[Schedule, list[range]]:
    """A schedule, and the layers of its segments."""
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    batch, height, width = (draw(st.integers(1, most)) for most in (3, 4, 5))
    schedule = Schedule(sum(counts), batch, height, width, 2, draw(st.booleans()))
    bounds = itertools.pairwise([0, *itertools.accumulate(counts)])
    return schedule, [range(*bound) for bound in bounds]


def taps_of(schedule: Schedule) -> set[Tap]:
    """Where a bit looks beside its own position: learner, gates, trust, the largest network."""
    network = NetworkTaps(LARGEST_REACH, schedule.layers)
    own = {(0, *offset) for offset in network.offsets} - {(0, 0, 0, 0)}
    return {*CHANNEL_TAPS, *BEFORE_TAPS, *AROUND_TAPS, *MOTION_TAPS, *own}


def seen(schedule: Schedule, position: Position) -> list[Position]:
    """The positions within the tensor that a position sees."""
    layer, picture, row, column = position
    sizes = schedule.shape[:4]
    found = []
    for frames, back, down, right in taps_of(schedule):
        if frames and not schedule.sequence:
            continue
        at = (layer - back, picture - frames, row + down, column + right)
        if all(0 <= index < size for index, size in zip(at, sizes, strict=True)):
            found.append(at)
    return found


def numbered(schedule: Schedule, segments: list[range]) -> dict[Position, tuple[int, int]]:
    """The segment and the step of every position."""
    steps = schedule.steps(segments)
    numbers: dict[Position, tuple[int, int]] = {}
    for number, (layers, some) in enumerate(zip(segments, steps, strict=True)):
        _, pictures, rows, columns, _ = map(range, schedule.shape)
        positions = itertools.product(layers, pictures, rows, columns)
        numbers |= {at: (number, step) for at, step in zip(positions, some, strict=True)}
    return numbers


@given(schedules())
def test_segments_number_their_positions_in_the_order_of_the_tensor(
    given_segments: tuple[Schedule, list[range]],
) -> None:
    schedule, segments = given_segments
    numbers = numbered(schedule, segments)
    assert len(numbers) == schedule.layers * schedule.positions
    steps = schedule.steps(segments)
    for before, after in itertools.pairwise(steps):
        assert before.start <= after.start
        assert before.stop <= after.stop


@given(schedules())
def test_a_segment_comes_to_no_position_before_what_it_sees_is_known(
    given_segments: tuple[Schedule, list[range]],
) -> None:
    schedule, segments = given_segments
    numbers, steps = numbered(schedule, segments), schedule.steps(segments)
    for position, (segment, step) in numbers.items():
        # How far the others are at least: each has passed the last step of the one behind it.
        done = {segment: step}
        for other in range(segment - 1, -1, -1):
            last = step if other == segment - 1 else done[other + 1] - 1
            done[other] = min(last + 1, steps[other].stop)
        for at in seen(schedule, position):
            other, of_other = numbers[at]
            assert of_other < done[other], (position, at)


@given(schedules())
def test_a_segment_waits_no_longer_than_it_must(
    given_segments: tuple[Schedule, list[range]],
) -> None:
    schedule, segments = given_segments
    numbers = numbered(schedule, segments)
    for layers in segments[1:]:
        _, first = numbers[layers.start, 0, 0, 0]
        needed = max(numbers[at][1] for at in seen(schedule, (layers.start, 0, 0, 0)))
        assert needed == first - (schedule.height == schedule.width == 1)


@given(schedules())
def test_a_position_sees_of_its_own_layer_what_comes_before_it(
    given_segments: tuple[Schedule, list[range]],
) -> None:
    schedule, _ = given_segments
    order = steps_of((*schedule.shape[:4], 1))[..., 0]
    for position in np.ndindex(order.shape):
        for at in seen(schedule, position):
            assert order[at] < order[position]


def test_a_schedule_knows_its_tensor() -> None:
    schedule = Schedule(2, 3, 4, 5, 6)
    assert schedule.shape == (2, 3, 4, 5, 6)
    assert schedule.positions == 60
    assert not schedule.sequence


def test_blocks_are_equal_and_no_larger_than_needed() -> None:
    sizes = {1: 1, 63: 63, 64: 64, 65: 33, 128: 64, 129: 43, 200: 50}
    assert {channels: block_size(channels) for channels in sizes} == sizes
    for channels in range(1, 1000):
        block, count = block_size(channels), block_count(channels)
        assert block <= BLOCK
        assert (count - 1) * block < channels <= count * block
        assert (count - 1) * BLOCK < channels
        assert (block - 1) * count < channels
