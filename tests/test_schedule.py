"""The schedule: no segment comes to a position before what that sees of earlier layers is known."""

import itertools
from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nncodec.format.extent import Extent
from nncodec.model.contexts import AROUND_TAPS, BEFORE_TAPS, CHANNEL_TAPS, MOTION_TAPS, Tap
from nncodec.model.coverage import DECISION_TAPS
from nncodec.model.schedule import BLOCK, Schedule, block_count, block_size

Position = tuple[int, int, int, int]
"""Layer, picture, row, column."""

Coded = tuple[Schedule, list[range], int | None]
"""A schedule, the layers of its segments, and how many rows below a network sees; or none."""


@st.composite
def schedules(draw: st.DrawFn, *, equal: bool = False) -> Coded:
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    size = st.tuples(*(st.integers(1, most) for most in (2, 4, 5)))
    sizes = draw(st.lists(size, min_size=1, max_size=1 if equal else 3))
    extent = Extent.of_shapes([(sum(counts), *one, 2) for one in sizes])
    ends = draw(st.none() | st.just((True,) * sum(counts)))
    schedule = Schedule(extent, draw(st.booleans()), None if equal else ends)
    bounds = itertools.pairwise([0, *itertools.accumulate(counts)])
    rows_below = draw(st.none() | st.integers(0, 3))
    return schedule, [range(*bound) for bound in bounds], rows_below


def pictures_of(schedule: Schedule) -> list[tuple[int, int]]:
    """The rows and columns of every picture."""
    return [run[1:] for run in schedule.extent.runs for _ in range(run.pictures)]


def taps_of(schedule: Schedule, column: int, rows_below: int | None) -> set[Tap]:
    """Where a bit looks beside its own position: learner, gates, trust, decision, and a network.

    That has whole rows of earlier layers.
    """
    taps: set[Tap] = {*CHANNEL_TAPS, *BEFORE_TAPS, *AROUND_TAPS, *MOTION_TAPS}
    if schedule.decisions is not None:
        taps |= {*DECISION_TAPS}
    if rows_below is not None:
        columns = [at - column for at in range(schedule.width)]
        backs, downs = range(1, schedule.layers), range(-3, rows_below + 1)
        taps |= {(0, *at) for at in itertools.product(backs, downs, columns)}
    return taps


def seen(coded: Coded, position: Position) -> list[Position]:
    """The positions within the tensor that a position sees."""
    schedule, _, rows_below = coded
    layer, picture, row, column = position
    pictures, found = pictures_of(schedule), []
    for frames, back, down, right in taps_of(schedule, column, rows_below):
        if frames and not schedule.sequence:
            continue
        at = (layer - back, picture - frames, row + down, column + right)
        if min(at) < 0 or pictures[at[1]] != pictures[picture]:
            continue
        if at[2] < pictures[picture][0] and at[3] < pictures[picture][1]:
            found.append(at)
    return found


def numbered(coded: Coded) -> dict[Position, tuple[int, int]]:
    """The segment and the step of every position."""
    schedule, segments, rows_below = coded
    steps = schedule.steps(segments, rows_below)
    numbers: dict[Position, tuple[int, int]] = {}
    for number, (layers, some) in enumerate(zip(segments, steps, strict=True)):
        positions = (
            (layer, picture, *place)
            for layer in layers
            for picture, size in enumerate(pictures_of(schedule))
            for place in np.ndindex(size)
        )
        numbers |= {at: (number, step) for at, step in zip(positions, some, strict=True)}
    return numbers


@given(schedules())
def test_segments_number_their_positions_in_the_order_of_the_tensor(coded: Coded) -> None:
    schedule, segments, rows_below = coded
    assert len(numbered(coded)) == schedule.layers * schedule.positions
    steps = schedule.steps(segments, rows_below)
    for before, after in itertools.pairwise(steps):
        assert before.start <= after.start
        assert before.stop <= after.stop


@given(schedules(), st.integers(1, 20))
def test_a_segment_comes_to_no_position_before_what_it_sees_is_known(
    coded: Coded, handover: int
) -> None:
    schedule, segments, rows_below = coded
    with patch("nncodec.model.schedule.HANDOVER", handover):
        numbers, steps = numbered(coded), schedule.steps(segments, rows_below)
    if schedule.decisions is not None:
        wait = min(handover, schedule.positions)
        for before, after in itertools.pairwise(steps):
            assert after.start >= before.stop - schedule.positions + wait
    for position, (segment, step) in numbers.items():
        # How far the others are at least: each has passed the last step of the one behind it.
        done = {segment: step}
        for other in range(segment - 1, -1, -1):
            last = step if other == segment - 1 else done[other + 1] - 1
            done[other] = min(last + 1, steps[other].stop)
        for at in seen(coded, position):
            other, of_other = numbers[at]
            assert of_other < done[other], (position, at)


@given(schedules(equal=True))
def test_a_segment_waits_no_longer_than_it_must(coded: Coded) -> None:
    schedule, segments, _ = coded
    numbers = numbered(coded)
    for layers in segments[1:]:
        _, first = numbers[layers.start, 0, 0, 0]
        needed = max(numbers[at][1] for at in seen(coded, (layers.start, 0, 0, 0)))
        assert needed == first - (schedule.height == schedule.width == 1)


@given(schedules())
def test_a_position_sees_of_its_own_layer_what_comes_before_it(coded: Coded) -> None:
    schedule = coded[0]
    order = numbered((schedule, [range(schedule.layers)], None))
    for position in order:
        for at in seen(coded, position):
            assert order[at] < order[position]


def test_a_schedule_knows_its_tensor() -> None:
    schedule = Schedule(Extent.of_shapes([(2, 3, 4, 5, 6), (2, 1, 2, 7, 6)]))
    assert (schedule.layers, schedule.channels) == (2, 6)
    assert (schedule.height, schedule.width) == (4, 7)
    assert schedule.positions == 74
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
