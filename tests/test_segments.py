"""Segments: their bits in the order of their own schedule, as the traversal meets them."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nncodec.coding.segments import Segments
from nncodec.model.schedule import Schedule


@st.composite
def segments(draw: st.DrawFn) -> tuple[Schedule, Segments]:
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    sizes = [draw(st.integers(1, most)) for most in (2, 4, 5, 6)]
    schedule = Schedule(sum(counts), *sizes)
    bounds = itertools.pairwise([0, *itertools.accumulate(counts)])
    return schedule, Segments(schedule, [range(*one) for one in bounds])


@given(segments())
def test_the_traversal_meets_the_bits_of_each_segment_in_its_order(
    given_segments: tuple[Schedule, Segments],
) -> None:
    schedule, some = given_segments
    shape = schedule.layers, schedule.batch, schedule.height, schedule.width, schedule.channels
    numbers = np.arange(np.prod(shape)).reshape(shape)
    whole = numbers.reshape(-1)[schedule.order()]
    layer_of_bit = whole // numbers[0].size
    parts = zip(some.layers, some.split(numbers), some.orders, strict=True)
    for layers, part, order in parts:
        met = whole[np.isin(layer_of_bit, layers)]
        np.testing.assert_array_equal(part.reshape(-1)[order], met)


@given(segments())
def test_what_is_joined_is_dealt_again(given_segments: tuple[Schedule, Segments]) -> None:
    schedule, some = given_segments
    dealt = some.deal(np.concatenate(some.orders))
    for part, order in zip(dealt, some.orders, strict=True):
        np.testing.assert_array_equal(part, order)
    assert [layer for layers in some.layers for layer in layers] == list(range(schedule.layers))
