"""Contexts: which bits a bit sees, by the bits whose frequencies change with it."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncodec.model.adaptive.learning_rates import FAST
from nncodec.model.adaptive.start import MIXER_BITS, START_BITS, Start
from nncodec.model.contexts import (
    AROUND_TAPS,
    CHANNEL_TAPS,
    LAYER_TAPS,
    MARGIN,
    RESEMBLANCE_TAPS,
    around_taps_of_layer,
    block_size,
)
from nncodec.model.network.taps import LARGEST_REACH
from tests.samples import frequencies_of, random_network, random_start, steps_of

Codes = npt.NDArray[np.uint8]
Shape = tuple[int, int, int, int, int]


def random_codes(shape: Shape, seed: int = 0) -> Codes:
    return np.random.default_rng(seed).integers(0, 2, shape, dtype=np.uint8)


def fixed_start(layers: int, channels: int) -> Start:
    """One that learns nothing and sees no surprise, so that only a bit's context decides."""
    random, start = np.random.default_rng(0), random_start(layers, channels, seed=0)
    arrays = {
        name: random.integers(-(1 << START_BITS - 2), 1 << START_BITS - 2, array.shape, np.int16)
        for name, array in start.arrays().items()
        if name in ("units", "shared", "around")
    }
    block = block_size(channels)
    arrays["units"][:, :, FAST, block : 2 * block] = 0
    mixers = np.zeros_like(start.mixers)
    mixers[:] = (np.array([0.5, 0.25, 0.25, 0.25, 1, 0.25]) * (1 << MIXER_BITS)).astype(np.int32)
    return replace(start, mixers=mixers, sets=start.sets * 0, rates=start.rates * 0, **arrays)


def sees(shape: Shape) -> npt.NDArray[np.bool_]:
    """Which bits every bit should see, by their indices in the flattened codes: [seen, sees]."""
    height, width, channels = shape[2:]
    left, above = -(-channels // 2), -(-channels // 2) + -(-channels // 4)
    block = block_size(channels)
    seen = np.zeros((*shape, *shape), dtype=np.bool_)
    for at in np.ndindex(shape):
        layer, image, row, column, channel = at
        begin = channel // block * block
        of_block = range(begin, min(begin + block, channels))
        looked_at = [(*tap, channel) for tap in LAYER_TAPS]
        looked_at += [(*tap, c) for tap in AROUND_TAPS for c in of_block]
        looked_at += [(0, 0, 0, c) for c in of_block] + [(1, 0, 0, c) for c in of_block]
        # They agree or differ with the known bits, and with those of the layer before.
        for _, down, right in RESEMBLANCE_TAPS:
            looked_at += [(0, down, right, c) for c in of_block if c < channel]
            if row + down >= 0 and 0 <= column + right < width:
                looked_at += [(1, down, right, c) for c in of_block]
        for back, down, right, c in looked_at:
            y, x = row + down, column + right
            step = c - channel + above * down + left * right - (above + channels) * back
            if step < 0 and back <= layer and 0 <= y < height and 0 <= x < width:
                seen[(layer - back, image, y, x, c, *at)] = True
    bits = int(np.prod(shape))
    return seen.reshape(bits, bits)


@pytest.mark.parametrize(
    "shape", [(3, 2, 4, 5, 3), (2, 1, 4, 7, 6), (10, 1, 2, 2, 2), (2, 1, 1, 2, 70)]
)
def test_a_bit_sees_all_that_it_should_and_nothing_else(shape: Shape) -> None:
    start, seen = fixed_start(shape[0], shape[4]), sees(shape)
    changed = np.zeros_like(seen)
    for seed in range(3):  # what is seen may not tell at once: a rounding, a gate
        codes = random_codes(shape, seed)
        frequencies = frequencies_of(codes, start)
        for bit, row in enumerate(changed):
            codes.flat[bit] ^= 1
            row |= (frequencies_of(codes, start) != frequencies).ravel()
            codes.flat[bit] ^= 1
    assert not changed[~seen].any()
    assert changed[seen].mean() > 0.99


@st.composite
def shapes(draw: st.DrawFn, most_bits: int = 300) -> Shape:
    sizes = [draw(st.integers(1, most)) for most in (5, 3, 5, 6, 6)]
    for axis in draw(st.permutations(range(5))):
        sizes[axis] = max(1, min(sizes[axis], most_bits * sizes[axis] // int(np.prod(sizes))))
    layers, batch, height, width, channels = sizes
    return layers, batch, height, width, channels


seeds = st.integers(0, 2**32 - 1)


@given(shapes(), seeds, st.data())
def test_no_bit_changes_a_frequency_at_or_before_its_step(
    shape: Shape, seed: int, data: st.DataObject
) -> None:
    layers, *_, channels = shape
    network = None
    if seed % 2:
        network = random_network(layers, channels, seed, group_size=1 + seed // 2 % channels)
    start = random_start(layers, channels, seed, with_network=bool(seed % 2))
    codes, steps = random_codes(shape, seed), steps_of(shape)
    frequencies = frequencies_of(codes, start, network)
    for bit in data.draw(st.lists(st.integers(0, codes.size - 1), min_size=1, max_size=4)):
        changed = codes.copy()
        changed.flat[bit] ^= 1
        same = frequencies_of(changed, start, network) == frequencies
        assert same[steps <= steps.flat[bit]].all()


@given(shapes(), seeds)
def test_images_of_a_batch_do_not_see_each_other(shape: Shape, seed: int) -> None:
    layers, batch, *_, channels = shape
    codes, start = random_codes(shape, seed), random_start(layers, channels, seed)
    start = replace(start, rates=start.rates * 0)  # they do learn together
    together = frequencies_of(codes, start)
    alone = [frequencies_of(codes[:, [image]], start) for image in range(batch)]
    np.testing.assert_array_equal(together, np.concatenate(alone, axis=1))


def test_no_tap_is_beyond_the_margins() -> None:
    for _, down, right in (*LAYER_TAPS, *AROUND_TAPS):
        assert max(abs(down), abs(right)) <= MARGIN
    assert LARGEST_REACH <= MARGIN


def test_taps_come_in_the_orders_that_others_rely_on() -> None:
    assert LAYER_TAPS[: len(CHANNEL_TAPS)] == CHANNEL_TAPS
    assert CHANNEL_TAPS[: len(RESEMBLANCE_TAPS)] == RESEMBLANCE_TAPS
    back = [tap[0] for tap in AROUND_TAPS]
    assert back == sorted(back)
    for taps in (LAYER_TAPS, AROUND_TAPS):
        assert len(set(taps)) == len(taps)
    for layer in range(12):
        within = AROUND_TAPS[: around_taps_of_layer(layer)]
        assert list(within) == [tap for tap in AROUND_TAPS if tap[0] <= layer]


def test_blocks_are_equal_and_no_larger_than_needed() -> None:
    assert [block_size(channels) for channels in (1, 63, 64, 65, 128, 129)] == [
        1,
        63,
        64,
        33,
        64,
        43,
    ]
