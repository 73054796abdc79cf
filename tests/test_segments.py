"""Segments: their bits in the order of their own schedule, met in runs by that of all layers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nncodec.schedule import Schedule
from nncodec.segments import Segments


@st.composite
def segments(draw: st.DrawFn) -> tuple[Schedule, Segments]:
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    sizes = [draw(st.integers(1, most)) for most in (2, 4, 5, 6)]
    schedule = Schedule(sum(counts), *sizes)
    return schedule, Segments(schedule, counts)


@given(segments(), st.integers(0, 2**32 - 1))
def test_the_traversal_meets_the_bits_of_all_segments_in_its_order(
    given_segments: tuple[Schedule, Segments], seed: int
) -> None:
    schedule, some = given_segments
    shape = schedule.layers, schedule.batch, schedule.height, schedule.width, schedule.channels
    numbers = np.random.default_rng(seed).permutation(int(np.prod(shape))).astype(np.uint16)
    codes = numbers.reshape(shape)
    parts = zip(np.split(codes, np.cumsum(some.counts)[:-1]), some.orders, strict=True)
    held = [part.reshape(-1)[order] for part, order in parts]
    whole = some.interleave(held)
    np.testing.assert_array_equal(whole, numbers[schedule.order()])
    for dealt, expected in zip(some.deal(whole), held, strict=True):
        np.testing.assert_array_equal(dealt, expected)


@given(segments())
def test_runs_are_the_bits_of_every_segment_at_a_step(
    given_segments: tuple[Schedule, Segments],
) -> None:
    schedule, some = given_segments
    bits_per_layer = len(schedule.order()) // schedule.layers
    segment = np.repeat(np.arange(len(some.counts)), some.counts)[
        schedule.order() // bits_per_layer
    ]
    runs = [list(some.runs(step)) for step in range(schedule.step_count)]
    met = [which for step in runs for which, count in step for _ in range(count)]
    assert met == segment.tolist()
    sizes = schedule.sizes_up_to_layer(schedule.layers).tolist()
    assert [sum(count for _, count in step) for step in runs] == sizes
    assert all(count for step in runs for _, count in step)
    owners = [[which for which, _ in step] for step in runs]
    assert all(one == sorted(set(one)) for one in owners)
