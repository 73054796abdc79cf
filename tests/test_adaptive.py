"""The adaptive stage: the integers that its definition gives, whatever carries them."""

import contextlib
import types
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nncodec import (
    adaptive,
    adaptive_start,
    contexts,
    integer_network,
    learners,
    mixer,
    network_stage,
)
from nncodec.adaptive import AdaptiveStage
from nncodec.integer_network import IntegerNetwork
from nncodec.learners import CHUNK, WEIGHT_BITS
from nncodec.network_stage import NetworkStage
from nncodec.rates import FULL_STEP
from nncodec.schedule import Schedule
from nncodec.start import (
    KINDS,
    LARGEST_MIXER_WEIGHT,
    LARGEST_WEIGHT,
    LEARNERS,
    MIXER_BITS,
    START_BITS,
    Start,
    untrained,
)
from tests.reference_model import ReferenceStage
from tests.samples import random_network, random_start

Codes = npt.NDArray[np.uint8]
Shape = tuple[int, int, int, int, int]
Made = tuple[Start | None, IntegerNetwork | None]

BITS = ("random", "biased", "zeros", "ones", "smooth", "expected", "unexpected")
"""The last two are the bits that the stage itself finds likely, and unlikely."""


def make_codes(shape: Shape, kind: str, seed: int) -> Codes | None:
    """A code tensor, or None where the frequencies decide the bits."""
    random = np.random.default_rng(seed)
    if kind == "smooth":
        noise = random.normal(size=shape).cumsum(axis=2).cumsum(axis=3)
        return (noise > 0).astype(np.uint8)
    ones = {"random": 0.5, "biased": 0.05, "zeros": 0.0, "ones": 1.0}
    return (random.random(shape) < ones[kind]).astype(np.uint8) if kind in ones else None


def choose(kind: str, frequencies: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    likely = (frequencies >= 1 << 15).astype(np.int64)
    return likely if kind == "expected" else 1 - likely


def code(
    shape: Shape, kind: str, codes: Codes | None, stage: AdaptiveStage | None = None
) -> tuple[Codes, npt.NDArray[np.int32]]:
    """Codes a tensor; gives it back, and the frequency of each of its bits."""
    schedule = Schedule(*shape)
    stage = stage or AdaptiveStage(schedule)
    order = schedule.order()
    known = None if codes is None else codes.ravel()[order]
    all_bits, all_frequencies = np.empty(order.size, np.uint8), np.empty(order.size, np.int32)
    end = 0
    for step in schedule:
        frequencies = stage.frequencies(step)
        begin, end = end, end + len(frequencies)
        bits = choose(kind, frequencies) if known is None else known[begin:end]
        stage.learn(step, bits)
        all_bits[order[begin:end]] = bits
        all_frequencies[order[begin:end]] = frequencies
    return all_bits.reshape(shape), all_frequencies.reshape(shape)


def assert_frequencies_are_the_references(
    shape: Shape, kind: str, seed: int, made: Made = (None, None)
) -> ReferenceStage:
    codes = make_codes(shape, kind, seed)
    schedule = Schedule(*shape)
    stage, reference = AdaptiveStage(schedule, *made), ReferenceStage(shape, *made)
    for step, places in zip(schedule, reference.steps, strict=True):
        frequencies = stage.frequencies(step)
        assert frequencies.tolist() == reference.frequencies(places)
        if codes is None:
            bits = choose(kind, frequencies)
        else:
            bits = np.array([codes[place] for place in places], dtype=np.int64)
        stage.learn(step, bits)
        reference.learn(bits.tolist())
    # They show what the frequencies of a few bits are too coarse for.
    units, layers, mixers = stage.learned()
    own = [[w for row in by_kind.values() for w in row] for by_kind in reference.own.values()]
    assert (units.reshape(len(own), -1) * (1 << WEIGHT_BITS)).tolist() == own
    shared = list(reference.shared.values())
    assert (layers.reshape(len(shared), -1) * (1 << WEIGHT_BITS)).tolist() == shared
    assert (mixers * (1 << MIXER_BITS)).tolist() == list(reference.mixer.values())
    return reference


def make(shape: Shape, seed: int, *, extreme: bool = False) -> Made:
    """A start, for more layers than there are, and for every other seed a network."""
    layers, channels = shape[0] + seed % 3, shape[4]
    network = None
    if seed % 2:
        network = random_network(
            layers,
            channels,
            seed,
            group_size=1 + seed // 2 % channels,
            reach=1 + seed // 16 % 3,
            earlier_layers=seed // 64 % 4,
            gain=8 if extreme else 1,
        )
    start = random_start(layers, channels, seed, with_network=bool(seed % 2), extreme=extreme)
    return start, network


@contextlib.contextmanager
def wide_carriers() -> Iterator[None]:
    """Carries by float64 whatever the package carries by float32."""
    wide = types.SimpleNamespace(**{**vars(np), "float32": np.float64})
    with pytest.MonkeyPatch.context() as patch:
        for module in (adaptive, contexts, integer_network, learners, mixer, network_stage):
            patch.setattr(module, "np", wide)
        yield


@st.composite
def shapes(draw: st.DrawFn, most_bits: int) -> Shape:
    sizes = [draw(st.integers(1, most)) for most in (5, 4, 6, 8, 6)]
    for axis in draw(st.permutations(range(5))):
        sizes[axis] = max(1, min(sizes[axis], most_bits * sizes[axis] // int(np.prod(sizes))))
    layers, batch, height, width, channels = sizes
    return layers, batch, height, width, channels


kinds = st.sampled_from(BITS)
seeds = st.integers(0, 2**32 - 1)


@given(shapes(300), kinds, seeds)
def test_frequencies_are_those_of_the_reference_model(shape: Shape, kind: str, seed: int) -> None:
    assert_frequencies_are_the_references(shape, kind, seed)


@given(shapes(200), kinds, seeds)
def test_frequencies_of_any_start_and_network_are_those_of_the_reference_model(
    shape: Shape, kind: str, seed: int
) -> None:
    assert_frequencies_are_the_references(shape, kind, seed, make(shape, seed))


@given(shapes(150), kinds, seeds)
@example((2, 8, 4, 4, 3), "smooth", 0)  # errors where logits are clamped
@example((1, 10, 5, 5, 2), "biased", 0)
def test_frequencies_are_those_of_the_reference_model_at_the_limits_of_a_start(
    shape: Shape, kind: str, seed: int
) -> None:
    assert_frequencies_are_the_references(shape, kind, seed, make(shape, seed, extreme=True))


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((1, FULL_STEP + 1, 1, 4, 2), "random"),  # steps that count as shorter ones
        ((2, CHUNK + 9, 1, 2, 2), "smooth"),  # a change in two chunks
        (
            (1, CHUNK + 9, 2, 5, 1),
            "biased",
        ),  # diagonals of both kinds, with a spare bit and without
        ((2, 2 * CHUNK + 5, 2, 2, 3), "smooth"),  # one spare bit, and resemblance
        ((1, 4 * CHUNK + 9, 1, 4, 3), "biased"),  # two spare bits
        ((1, 7, 7, 25, 1), "random"),  # more columns than rows
        ((2, 1, 1, 2, 64), "ones"),  # a full block
        ((2, 1, 2, 2, 70), "smooth"),  # two blocks
        ((1, 1, 1, 2, 131), "biased"),  # three, the last one shorter
        ((10, 1, 2, 2, 2), "smooth"),  # every layer tap, every start
    ],
)
@pytest.mark.parametrize("trained", [False, True])
def test_frequencies_of_large_sizes_are_those_of_the_reference_model(
    shape: Shape, kind: str, trained: bool
) -> None:
    made = make(shape, seed=1) if trained else (None, None)
    assert_frequencies_are_the_references(shape, kind, seed=0, made=made)


@pytest.mark.parametrize("seed", [0, 1])
def test_frequencies_are_those_of_the_reference_model_where_everything_is_clamped(
    seed: int,
) -> None:
    shape = (2, 40, 1, 8, 4)
    made = make(shape, seed, extreme=True)
    reference = assert_frequencies_are_the_references(shape, "unexpected", seed, made)
    own = [w for by_kind in reference.own.values() for row in by_kind.values() for w in row]
    shared = [w for row in reference.shared.values() for w in row]
    mixed = [w for row in reference.mixer.values() for w in row]
    for weights, largest, bits in (
        (own, LARGEST_WEIGHT, WEIGHT_BITS),
        (shared, LARGEST_WEIGHT, WEIGHT_BITS),
        (mixed, LARGEST_MIXER_WEIGHT, MIXER_BITS),
    ):
        assert max(weights) == -min(weights) == largest << bits


@pytest.mark.parametrize("kind", range(KINDS))
def test_every_kind_of_weight_learns_at_its_own_shift(kind: int) -> None:
    shape = (2, 2, 5, 6, 4)
    codes = make_codes(shape, "smooth", seed=0)
    start, network = make(shape, seed=1)
    assert start
    shifts = np.full_like(start.shifts, -12)
    start = replace(start, shifts=shifts, rates=np.full_like(start.rates, 10486))
    shifts = shifts.copy()
    shifts[..., kind] = 0
    learned = []
    for one in (start, replace(start, shifts=shifts)):
        stage = AdaptiveStage(Schedule(*shape), one, network)
        code(shape, "smooth", codes, stage)
        units, layers, _ = stage.learned()
        # The part of every kind, in their order; a layer has three times as many layer taps.
        parts = [*np.split(units, np.cumsum([4, 4, 9, 1]), axis=-1), *np.split(layers, [20], -1)]
        learned.append(parts)
    changes = [abs(fast - slow).mean() for slow, fast in zip(*learned, strict=True)]
    assert np.argmax(changes) == kind


@given(shapes(3000), seeds, st.booleans())
def test_frequencies_are_integers_between_0_and_one(shape: Shape, seed: int, extreme: bool) -> None:
    stage = AdaptiveStage(Schedule(*shape), *make(shape, seed, extreme=extreme))
    for step in Schedule(*shape):
        frequencies = stage.frequencies(step)
        assert frequencies.dtype == np.int32
        assert frequencies.min(initial=1) >= 1
        assert frequencies.max(initial=1) <= 65535
        stage.learn(step, choose("unexpected", frequencies))


@pytest.mark.parametrize("kind", BITS)
@pytest.mark.parametrize("shape", [(3, 2, 5, 9, 6), (2, 45, 2, 3, 2), (2, 1, 4, 4, 70)])
@pytest.mark.parametrize("seed", [0, 1])
def test_everything_carried_by_floats_is_an_integer(shape: Shape, kind: str, seed: int) -> None:
    stage = AdaptiveStage(Schedule(*shape), *make(shape, seed))
    code(shape, kind, make_codes(shape, kind, seed=0), stage)
    carried = {
        name: values
        for part in (stage._grid, stage._learners, stage._mixer, stage._network)
        if part
        for name, values in vars(part).items()
        if name in ("_surprise", "_units", "_layers", "_weights", "_outputs")
        or name.endswith("_predicting")
    } | {"_known": stage._grid._known}
    assert len(carried) == 7 + seed
    for name, values in carried.items():
        assert values.any(), name
        np.testing.assert_array_equal(values, np.floor(values), err_msg=name)


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("kind", ["smooth", "unexpected"])
@pytest.mark.parametrize("shape", [(3, 2, 7, 12, 8), (2, 50, 3, 5, 3), (3, 1, 4, 6, 64)])
def test_wider_floats_carry_the_same_integers(shape: Shape, kind: str, extreme: bool) -> None:
    made = make(shape, seed=1, extreme=extreme)
    stage = AdaptiveStage(Schedule(*shape), *made)
    codes, frequencies = code(shape, kind, make_codes(shape, kind, seed=0), stage)
    with wide_carriers():
        stage = AdaptiveStage(Schedule(*shape), *made)
        assert stage._grid._known.dtype == np.float64
        assert stage._learners._units_predicting.dtype == np.float64
        assert isinstance(stage._network, NetworkStage)
        assert stage._network._groups[0].weights.dtype == np.float64
        _, wide = code(shape, kind, codes, stage)
    np.testing.assert_array_equal(frequencies, wide)


@given(shapes(1000), kinds, seeds, st.data())
def test_the_first_layers_are_coded_as_if_there_were_no_more(
    shape: Shape, kind: str, seed: int, data: st.DataObject
) -> None:
    codes, frequencies = code(shape, kind, make_codes(shape, kind, seed))
    layers = data.draw(st.integers(1, shape[0]))
    _, of_these = code((layers, *shape[1:]), kind, codes[:layers])
    np.testing.assert_array_equal(frequencies[:layers], of_these)


@given(shapes(1000), kinds, seeds)
def test_the_order_of_the_images_in_a_batch_decides_nothing(
    shape: Shape, kind: str, seed: int
) -> None:
    codes, frequencies = code(shape, kind, make_codes(shape, kind, seed))
    _, of_reversed = code(shape, kind, codes[:, ::-1])
    np.testing.assert_array_equal(frequencies[:, ::-1], of_reversed)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, ">i4", np.int64, np.uint64, bool])
def test_bits_may_come_in_any_integer_type_and_layout(dtype: npt.DTypeLike) -> None:
    schedule = Schedule(2, 2, 4, 5, 3)
    plain, other = AdaptiveStage(schedule), AdaptiveStage(schedule)
    random = np.random.default_rng(0)
    for step in schedule:
        frequencies = plain.frequencies(step)
        np.testing.assert_array_equal(other.frequencies(step), frequencies)
        bits = random.integers(0, 2, len(frequencies))
        plain.learn(step, bits)
        backwards = np.repeat(bits, 3)[::-1].astype(dtype)
        other.learn(step, backwards[1::3][::-1])


def test_layers_start_from_the_fixed_weights_and_move_away_from_them() -> None:
    stage = AdaptiveStage(Schedule(6, 1, 4, 6, 3))
    fixed = adaptive_start.START_WEIGHTS[[0, 1, 2, 3, 3, 3]] / (1 << adaptive_start.START_BITS)
    expected = np.stack([fixed] * LEARNERS, axis=1)
    np.testing.assert_array_equal(stage.learned()[1], expected)
    code((6, 1, 4, 6, 3), "random", make_codes((6, 1, 4, 6, 3), "random", seed=0), stage)
    assert (stage.learned()[1] != expected).any(axis=2).all()


def test_a_stage_starts_from_its_start() -> None:
    start = random_start(3, 4, seed=0, with_network=True)
    stage = AdaptiveStage(Schedule(2, 1, 3, 3, 4), start, random_network(3, 4, seed=0))
    units, layers, mixers = stage.learned()
    np.testing.assert_array_equal(units * (1 << START_BITS), start.units[:2].reshape(8, 2, -1))
    np.testing.assert_array_equal(layers * (1 << START_BITS), start.shared[:2])
    np.testing.assert_array_equal(mixers * (1 << MIXER_BITS), start.mixers[:2].reshape(8, -1))


def test_no_start_is_an_untrained_one() -> None:
    shape = (3, 2, 5, 6, 4)
    codes = make_codes(shape, "smooth", seed=0)
    for network in (None, random_network(3, 4, seed=0)):
        plain = AdaptiveStage(Schedule(*shape), None, network)
        start = untrained(5, 4, with_network=network is not None)
        other = AdaptiveStage(Schedule(*shape), start, network)
        _, frequencies = code(shape, "smooth", codes, plain)
        np.testing.assert_array_equal(code(shape, "smooth", codes, other)[1], frequencies)
