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
def test_ends_are_where_the_bits_of_a_segment_end_at_a_step(
    given_segments: tuple[Schedule, Segments],
) -> None:
    schedule, some = given_segments
    bits_per_layer = len(schedule.order()) // schedule.layers
    segment = np.repeat(np.arange(len(some.counts)), some.counts)[
        schedule.order() // bits_per_layer
    ]
    begin = 0
    for ends in some.ends.tolist():
        at_step = segment[begin : begin + ends[-1]].tolist()
        assert at_step == sorted(at_step)
        assert [sum(one <= which for one in at_step) for which in range(len(ends))] == ends
        begin += ends[-1]
    assert begin == len(segment)
