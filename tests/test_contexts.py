"""Contexts: which bits a bit sees, by the bits whose frequencies change with it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncodec.format.extent import Extent
from nncodec.model.adaptive import weights as weights_of
from nncodec.model.adaptive.start import MIXER_BITS, Start
from nncodec.model.adaptive.untrained_weights import START_BITS
from nncodec.model.adaptive.weights import WEIGHT_BITS, Weights
from nncodec.model.contexts import (
    AROUND_TAPS,
    BEFORE_TAPS,
    BLOCK_BEFORE,
    CHANNEL_TAPS,
    FRAME_BEFORE,
    FRAME_TAPS,
    GATES,
    MARGIN,
    MORE_TAPS,
    MOTION_TAPS,
    RESEMBLANCE_TAPS,
    Grid,
    Tap,
    Taps,
    first_sign,
    make_grid,
    place_taps,
    run_of,
    spot_of,
)
from nncodec.model.kernels.compilation import compiled
from nncodec.model.kernels.short_rows import EIGHT
from nncodec.model.schedule import Schedule, block_count, block_size
from tests.sample_networks import random_network
from tests.samples import frequencies_of, random_start, steps_of

Codes = npt.NDArray[np.uint8]
Shape = tuple[int, int, int, int, int]

LEARNED = ("units", "shared", "around")
ALL_TAPS = (*CHANNEL_TAPS, *BEFORE_TAPS, *AROUND_TAPS, *MOTION_TAPS)


def random_codes(shape: Shape, seed: int = 0) -> Codes:
    return np.random.default_rng(seed).integers(0, 2, shape, dtype=np.uint8)


seeds = st.integers(0, 2**32 - 1)


@st.composite
def shapes(draw: st.DrawFn, most_bits: int = 300) -> Shape:
    sizes = [draw(st.integers(1, most)) for most in (5, 4, 5, 6, 6)]
    for axis in draw(st.permutations(range(5))):
        sizes[axis] = max(1, min(sizes[axis], most_bits * sizes[axis] // int(np.prod(sizes))))
    layers, batch, height, width, channels = sizes
    return layers, batch, height, width, channels


# --- which bits change the frequency of a bit --------------------------------------------------


def drawn(like: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Weights of an eighth to a quarter, either way."""
    random = np.random.default_rng(like.size)
    sizes = random.integers(1 << bits - 3, 1 << bits - 2, like.shape)
    return np.asarray(sizes * random.choice([-1, 1], like.shape), dtype=like.dtype)


def fixed_start(layers: int, channels: int) -> Start:
    """One that learns nothing and sees no surprise, so that only a bit's context decides."""
    start = random_start(layers, channels, seed=0)
    arrays = {name: drawn(getattr(start, name), START_BITS) for name in LEARNED}
    block = block_size(channels)
    arrays["units"][:, :, block : 2 * block] = 0
    mixers = np.zeros_like(start.mixers)
    mixers[:] = (np.array([0.5, 0.25, 0.25, 0.25, 0.5, 0.25]) * (1 << MIXER_BITS)).astype(np.int32)
    return replace(start, mixers=mixers, sets=start.sets * 0, rates=start.rates * 0, **arrays)


@pytest.fixture
def weighed_frames() -> Iterator[None]:
    """Weights of the frames before, of which a start has few, as if they had been learned."""
    make = weights_of.make_weights

    def with_frames(schedule: Schedule, start: Start) -> Weights:
        weights = make(schedule, start)
        weights.motion.weights[:] = drawn(weights.motion.weights, START_BITS)
        for shared in (weights.taps, weights.gates, weights.earlier_gates):
            frames = shared[:, FRAME_BEFORE : FRAME_BEFORE + len(FRAME_TAPS)]
            frames[:] = drawn(frames, WEIGHT_BITS)
        return weights

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights_of, "make_weights", with_frames)
        yield


def seen_by(shape: Shape, at: Shape, sequence: bool) -> Iterator[Shape]:
    """The bits that a bit should see, by FORMAT.md, section 8; some are outside of the tensor."""
    layer, picture, row, column, channel = at
    channels = shape[4]
    block = block_size(channels)
    begin = channel // block * block
    of_block = range(begin, min(begin + block, channels))

    def tap_of(tap: Tap, at_channels: Iterator[int] | range, *of: Tap) -> Iterator[Shape]:
        frames, back, down, right = np.sum([tap, *of], axis=0).tolist()
        for one in (tap, *of):
            if one[0] and not sequence:
                return
        for seen in at_channels:
            yield layer - back, picture - frames, row + down, column + right, seen

    here, before, lower = (0, 0, 0, 0), (0, 1, 0, 0), range(begin, channel)
    yield from tap_of(here, lower)
    yield from tap_of(here, range(max(0, begin - block), begin))
    yield from tap_of(before, of_block)
    for tap in CHANNEL_TAPS:
        yield from tap_of(tap, range(channel, channel + 1))
    for tap in (*AROUND_TAPS, *MOTION_TAPS):
        yield from tap_of(tap, of_block)
    # They agree or differ with the known bits, and with those of the layer before.
    for pair in CHANNEL_TAPS[:GATES]:
        yield from tap_of(pair, lower)
        if tap_inside(shape, at, pair) and (sequence or not pair[0]):
            yield from tap_of(pair, of_block, before)
    # In the first layer, the frame before is trusted as it was to the left and above.
    if layer == 0:
        for aside in ((0, 0, 0, -1), (0, 0, -1, 0)):
            if sequence and picture:
                yield from tap_of(aside, of_block)
                yield from tap_of((1, 0, 0, 0), of_block, aside)


def neighbour(at: Shape, tap: Tap) -> tuple[int, int, int, int]:
    """The layer, picture, row and column at a tap."""
    frames, back, down, right = tap
    return at[0] - back, at[1] - frames, at[2] + down, at[3] + right


def tap_inside(shape: Shape, at: Shape, tap: Tap) -> bool:
    """Whether a neighbour lies in the tensor."""
    place = neighbour(at, tap)
    return all(0 <= index < size for index, size in zip(place, shape, strict=False))


def sees(shape: Shape, sequence: bool) -> npt.NDArray[np.bool_]:
    """Which bits every bit should see, by their indices in the flattened codes: [seen, sees]."""
    seen = np.zeros((*shape, *shape), dtype=np.bool_)
    for at in np.ndindex(shape):
        for bit in seen_by(shape, at, sequence):
            if all(0 <= index < size for index, size in zip(bit, shape, strict=True)):
                seen[bit + at] = True
    bits = int(np.prod(shape))
    return seen.reshape(bits, bits)


@pytest.mark.usefixtures("weighed_frames")
@pytest.mark.parametrize(
    ("shape", "sequence"),
    [
        ((3, 2, 4, 5, 3), False),
        ((2, 1, 4, 7, 6), False),
        ((10, 1, 2, 2, 2), False),
        ((2, 1, 1, 2, 70), False),
        ((2, 4, 3, 3, 3), True),
        ((1, 4, 4, 3, 4), True),
        ((2, 2, 1, 1, 70), True),
    ],
)
def test_a_bit_sees_all_that_it_should_and_nothing_else(shape: Shape, sequence: bool) -> None:
    start, seen = fixed_start(shape[0], shape[4]), sees(shape, sequence)
    changed = np.zeros_like(seen)
    for seed in range(3):  # what is seen may not tell at once: a rounding, a gate
        codes = random_codes(shape, seed)
        frequencies = frequencies_of(codes, start, sequence=sequence)
        for bit, row in enumerate(changed):
            codes.flat[bit] ^= 1
            row |= (frequencies_of(codes, start, sequence=sequence) != frequencies).ravel()
            codes.flat[bit] ^= 1
    assert not changed[~seen].any()
    assert changed[seen].mean() > 0.99


@given(shapes(), seeds, st.booleans(), st.data())
def test_no_bit_changes_a_frequency_at_or_before_it(
    shape: Shape, seed: int, sequence: bool, data: st.DataObject
) -> None:
    layers, *_, channels = shape
    network = None
    if seed % 2:
        network = random_network(layers, channels, seed)
    start = random_start(layers, channels, seed, with_network=bool(seed % 2))
    codes, steps = random_codes(shape, seed), steps_of(shape)
    frequencies = frequencies_of(codes, start, network, sequence=sequence)
    for bit in data.draw(st.lists(st.integers(0, codes.size - 1), min_size=1, max_size=4)):
        changed = codes.copy()
        changed.flat[bit] ^= 1
        same = frequencies_of(changed, start, network, sequence=sequence) == frequencies
        assert same[steps <= steps.flat[bit]].all()


@given(shapes(), seeds)
def test_pictures_that_are_no_sequence_do_not_see_each_other(shape: Shape, seed: int) -> None:
    layers, batch, *_, channels = shape
    codes, start = random_codes(shape, seed), random_start(layers, channels, seed)
    start = replace(start, rates=start.rates * 0)
    together = frequencies_of(codes, start)
    alone = [frequencies_of(codes[:, [picture]], start) for picture in range(batch)]
    np.testing.assert_array_equal(together, np.concatenate(alone, axis=1))


@pytest.mark.parametrize("sequence", [False, True])
def test_pictures_learn_from_those_before(sequence: bool) -> None:
    shape = (2, 3, 4, 4, 3)
    codes, start = random_codes(shape), random_start(2, 3, seed=0)
    together = frequencies_of(codes, start, sequence=sequence)
    for picture in range(3):
        alone = frequencies_of(codes[:, [picture]], start, sequence=sequence)[:, 0]
        assert (together[:, picture] == alone).all() == (picture == 0)


@given(shapes(), seeds)
def test_one_picture_is_coded_alike_whether_it_is_a_sequence(shape: Shape, seed: int) -> None:
    layers, _, height, width, channels = shape
    codes = random_codes((layers, 1, height, width, channels), seed)
    start = random_start(layers, channels, seed)
    still, moving = (frequencies_of(codes, start, sequence=one) for one in (False, True))
    np.testing.assert_array_equal(still, moving)


# --- where neighbours lie ----------------------------------------------------------------------


@compiled
def rows_of_positions(grid: Grid, layers: int, positions: int, rows: npt.NDArray[np.int64]) -> None:
    for layer in range(layers):
        for position in range(positions):
            run = run_of(grid, position)
            rows[layer, position] = spot_of(grid, run, layer, position).first


@compiled
def first_signs(
    grid: Grid, taps: Taps, layer: int, position: int, block: int, found: npt.NDArray[np.int64]
) -> None:
    spot = spot_of(grid, run_of(grid, position), layer, position)
    for tap in range(len(found)):
        found[tap] = first_sign(grid, taps, layer, tap, spot.first + block, spot.picture)


reach = st.integers(-MARGIN, MARGIN)
# Of its own layer and picture, a bit sees what comes before it.
taps = st.tuples(st.integers(0, 3), st.integers(0, 9), reach, reach).filter(
    lambda tap: tap[:2] > (0, 0) or tap[2:] < (0, 0)
)


pictures = st.lists(
    st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 6)), min_size=1, max_size=5
)


@given(
    st.tuples(st.integers(1, 4), st.sampled_from([1, 3, 64, 65, 150])),
    pictures,
    st.booleans(),
    st.sets(taps),
)
def test_neighbours_are_where_they_should_be_and_zeros_outside(
    depths: tuple[int, int], sizes: list[tuple[int, int, int]], sequence: bool, drawn: set[Tap]
) -> None:
    layers, channels = depths
    shapes = [(layers, *size, channels) for size in sizes]
    schedule = Schedule(Extent.of_shapes(shapes), sequence)
    places = list(places_of([size[1:] for size in sizes for _ in range(size[0])]))
    some = [BLOCK_BEFORE, *sorted(drawn | set(ALL_TAPS), key=lambda tap: tap[1])]
    grid, placed = make_grid(schedule), place_taps(some, schedule)
    block, blocks = block_size(channels), block_count(channels)
    rows = np.zeros((layers, schedule.positions), dtype=np.int64)
    rows_of_positions(grid, layers, schedule.positions, rows)
    of_positions = {row + number for row in rows.ravel().tolist() for number in range(blocks)}
    assert len(of_positions) == rows.size * blocks  # no two are in one row
    assert max(of_positions) < len(grid.agreement)
    assert len(grid.signs) >= (len(grid.agreement) + 1) * block
    numbers = {place: number for number, (place, _) in enumerate(places)}
    found = np.zeros(len(some), dtype=np.int64)
    for (layer, position), first in np.ndenumerate(rows):
        (picture, row, column), before = places[position]
        for number in range(blocks):
            first_signs(grid, placed, layer, position, number, found)
            for tap, index in zip(some, found.tolist(), strict=True):
                assert index % block == 0
                assert 0 <= index // block < len(grid.agreement)
                frames, back, down, right = tap
                at = numbers.get((picture - frames, row + down, column + right))
                expected = None
                if tap == BLOCK_BEFORE:
                    expected = int(first) + number - 1 if number else None
                elif frames <= (before if sequence else 0) and back <= layer and at is not None:
                    expected = int(rows[layer - back, at]) + number
                if expected is None:
                    assert index // block not in of_positions  # nobody writes to it
                else:
                    assert index // block == expected


def places_of(
    pictures: list[tuple[int, int]],
) -> Iterator[tuple[tuple[int, int, int], int]]:
    """Picture, row and column of every position, and how many frames its picture has before it."""
    before = 0
    for picture, (height, width) in enumerate(pictures):
        before = before + 1 if picture and pictures[picture - 1] == (height, width) else 0
        for row, column in np.ndindex(height, width):
            yield (picture, row, column), before


@given(shapes(), st.lists(taps, max_size=9))
def test_taps_within_the_tensor_are_counted(shape: Shape, drawn: list[Tap]) -> None:
    some = sorted(drawn, key=lambda tap: tap[1])
    counts = place_taps(some, Schedule(Extent.of_shape(shape))).counts
    for layer, count in enumerate(counts.tolist()):
        assert all(back <= layer for _, back, _, _ in some[:count])
        assert all(back > layer for _, back, _, _ in some[count:])


# --- tables ------------------------------------------------------------------------------------


def test_no_tap_is_beyond_the_margins() -> None:
    for _, _, down, right in ALL_TAPS:
        assert max(abs(down), abs(right)) <= MARGIN


def test_taps_come_in_the_orders_that_others_rely_on() -> None:
    assert (*RESEMBLANCE_TAPS, *FRAME_TAPS, *MORE_TAPS) == CHANNEL_TAPS
    assert len(RESEMBLANCE_TAPS) + len(FRAME_TAPS) == GATES == EIGHT
    assert CHANNEL_TAPS[FRAME_BEFORE] == (1, 0, 0, 0) == FRAME_TAPS[0]
    for table in (CHANNEL_TAPS, BEFORE_TAPS, AROUND_TAPS, MOTION_TAPS):
        assert len(set(table)) == len(table)
    for table in (AROUND_TAPS, MOTION_TAPS):  # what is within the tensor comes first
        back = [tap[1] for tap in table]
        assert back == sorted(back)


@pytest.mark.parametrize("channels", [1, 5, 64, 65, 130])
def test_gates_are_those_of_the_definition(channels: int) -> None:
    grid, block = make_grid(Schedule(Extent.of_shape((1, 1, 1, 1, channels)))), block_size(channels)
    assert grid.gate_scales.shape == (block, GATES)
    for rank in range(block):
        for pair in range(GATES):
            doubt = rank + 4 + 16 * (pair == FRAME_BEFORE)
            assert grid.gate_scales[rank, pair] == (128 << 16) // doubt**2
    for agreement in range(-block, block + 1):
        size = 64 * abs(agreement) // (block + 4)
        expected = -size if agreement < 0 else size
        assert grid.earlier_gates[block + agreement] == expected
