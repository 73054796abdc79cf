"""The adaptive stage: the integers that its definition gives, compiled or not."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nncodec.model.adaptive import untrained_weights
from nncodec.model.adaptive.learning_rates import FORGETTING, FULL_STEP, KINDS, LEARNERS, RATES
from nncodec.model.adaptive.mixer import MIXING_BITS
from nncodec.model.adaptive.stage import AdaptiveStage
from nncodec.model.adaptive.start import (
    LARGEST_MIXER_WEIGHT,
    LARGEST_WEIGHT,
    MIXER_BITS,
    START_BITS,
    Start,
    untrained,
)
from nncodec.model.adaptive.weights import WEIGHT_BITS
from nncodec.model.contexts import AROUND_TAPS, CHANNEL_TAPS, LAYER_TAPS
from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.model.schedule import Schedule
from tests.reference_model import ReferenceStage
from tests.samples import plain_network, plain_start, random_network, random_start, steps_of

Codes = npt.NDArray[np.uint8]
Shape = tuple[int, int, int, int, int]
Made = tuple[Start | None, IntegerNetwork | None]

BITS = ("random", "biased", "zeros", "ones", "smooth", "expected", "unexpected")
"""The last two are the bits that the stage itself finds likely, and unlikely."""


FRACTION = dict.fromkeys(("units", "shared", "around"), WEIGHT_BITS)
FRACTION |= dict.fromkeys(("mixers", "sets"), MIXING_BITS)
"""Fractional bits of what is learned."""


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
    for part in schedule.parts():
        frequencies = stage.frequencies(*part)
        begin, end = end, end + len(frequencies)
        bits = choose(kind, frequencies) if known is None else known[begin:end]
        all_frequencies[order[begin:end]] = frequencies
        stage.learn(bits)
        all_bits[order[begin:end]] = bits
    return all_bits.reshape(shape), all_frequencies.reshape(shape)


def assert_frequencies_are_the_references(
    shape: Shape, kind: str, seed: int, made: Made = (None, None)
) -> ReferenceStage:
    codes = make_codes(shape, kind, seed)
    schedule = Schedule(*shape)
    start, network = made
    stage = AdaptiveStage(schedule, *made)
    reference = ReferenceStage(shape, plain_start(start), plain_network(network))
    assert schedule.step_count == len(reference.steps)
    for step, places in enumerate(reference.steps):
        # The reference predicts, and learns, what all layers have at a step at once.
        expected, learned = reference.frequencies(places), []
        for layer in range(schedule.layers):
            frequencies = stage.frequencies(step, layer)
            own = [index for index, place in enumerate(places) if place[0] == layer]
            assert frequencies.tolist() == [expected[index] for index in own]
            if codes is None:
                bits = choose(kind, frequencies)
            else:
                bits = np.array([codes[places[index]] for index in own], dtype=np.int64)
            stage.learn(bits)
            learned += bits.tolist()
        reference.learn(learned)
    # They show what the frequencies of a few bits are too coarse for.
    weights = stage.learned()
    for name, expected in reference.learned().items():
        assert (weights.pop(name).ravel() * (1 << FRACTION[name])).tolist() == expected, name
    assert not weights
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
        ((2, 5 * FULL_STEP + 3, 2, 2, 2), "smooth"),
        ((1, FULL_STEP - 1, 3, 5, 1), "biased"),  # shorter ones and longer ones
        ((1, 7, 7, 25, 1), "random"),  # more columns than rows
        ((2, 1, 1, 2, 64), "ones"),  # a full block
        ((2, 1, 2, 2, 70), "smooth"),  # two blocks
        ((1, 1, 1, 2, 131), "biased"),  # three, the last one shorter
        ((11, 1, 2, 2, 2), "smooth"),  # every tap, every start
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
    for name, weights in reference.learned().items():
        largest = LARGEST_MIXER_WEIGHT if name in ("mixers", "sets") else LARGEST_WEIGHT
        assert max(weights) == -min(weights) == largest << FRACTION[name], name


@pytest.mark.parametrize("kind", range(RATES))
def test_every_kind_of_weight_learns_at_its_own_rate(kind: int) -> None:
    shape = (2, 2, 5, 6, 4)
    start, network = make(shape, seed=1)
    assert start
    rates = np.zeros_like(start.rates)
    rates[:, kind] = 1 << 12
    stage = AdaptiveStage(Schedule(*shape), replace(start, rates=rates), network)
    before = stage.learned()
    code(shape, "smooth", make_codes(shape, "smooth", seed=0), stage)
    changes = {name: after != before[name] for name, after in stage.learned().items()}
    parts: list[npt.NDArray[np.bool_]] = []  # in the order of the rates
    ends = np.cumsum([4, 4, len(CHANNEL_TAPS), 1])
    for learner in range(LEARNERS):
        parts += np.split(changes["units"][:, :, learner], ends, axis=-1)
        parts += np.split(changes["shared"][:, learner], [len(LAYER_TAPS)], axis=-1)
    parts += [changes["mixers"], changes["sets"][:, 0], changes["sets"][:, 1:], changes["around"]]
    assert parts[min(kind, RATES - 2)].mean() > 0.3
    assert not any(part.any() for i, part in enumerate(parts) if i != min(kind, RATES - 2))
    assert len(parts) == LEARNERS * KINDS + 4 == RATES - 1


def test_what_is_around_is_forgotten_where_it_can_be_learned() -> None:
    shape = (3, 1, 4, 5, 4)
    start, _ = make(shape, seed=0)
    assert start
    rates = np.zeros_like(start.rates)
    rates[:, FORGETTING] = 1 << 19
    stage = AdaptiveStage(Schedule(*shape), replace(start, rates=rates))
    before = stage.learned()["around"]
    code(shape, "random", make_codes(shape, "random", seed=0), stage)
    after = stage.learned()["around"]
    back = np.array(AROUND_TAPS)[:, 0]
    for layer in range(3):
        known = back <= layer
        assert abs(after[layer][:, known]).mean() < 0.6 * abs(before[layer][:, known]).mean()
        np.testing.assert_array_equal(after[layer][:, ~known], before[layer][:, ~known])


@given(shapes(3000), seeds, st.booleans())
def test_frequencies_are_integers_between_0_and_one(shape: Shape, seed: int, extreme: bool) -> None:
    schedule = Schedule(*shape)
    stage = AdaptiveStage(schedule, *make(shape, seed, extreme=extreme))
    for part in schedule.parts():
        frequencies = stage.frequencies(*part)
        assert frequencies.dtype == np.int32
        assert frequencies.min(initial=1) >= 1
        assert frequencies.max(initial=1) <= 65535
        stage.learn(choose("unexpected", frequencies))


@given(shapes(1000), kinds, seeds, st.data())
def test_the_first_layers_are_coded_as_if_there_were_no_more(
    shape: Shape, kind: str, seed: int, data: st.DataObject
) -> None:
    codes, frequencies = code(shape, kind, make_codes(shape, kind, seed))
    layers = data.draw(st.integers(1, shape[0]))
    _, of_these = code((layers, *shape[1:]), kind, codes[:layers])
    np.testing.assert_array_equal(frequencies[:layers], of_these)


@given(shapes(1000), kinds, seeds)
def test_how_far_a_layer_is_behind_the_one_before_it_decides_nothing(
    shape: Shape, kind: str, seed: int
) -> None:
    schedule, made = Schedule(*shape), make(shape, seed)
    stage = AdaptiveStage(schedule, *made)
    codes, frequencies = code(shape, kind, make_codes(shape, kind, seed), stage)
    order, step_of_bit = schedule.order(), steps_of(shape).reshape(-1)
    stage, random = AdaptiveStage(schedule, *made), np.random.default_rng(seed)
    steps = [schedule.steps_of_layers(range(layer, layer + 1)) for layer in range(shape[0])]
    ends = [some.stop for some in steps]
    following = [some.start for some in steps]
    while following != ends:
        layer = int(random.integers(shape[0]))
        end = ends[layer]
        if layer and following[layer - 1] < ends[layer - 1]:
            end = min(end, following[layer - 1])
        own = order[order // codes[0].size == layer]
        while following[layer] < end and random.random() < 0.95:
            step, asked = following[layer], stage.frequencies(following[layer], layer)
            here = own[step_of_bit[own] == step]
            np.testing.assert_array_equal(asked, frequencies.reshape(-1)[here])
            stage.learn(codes.reshape(-1)[here])
            following[layer] += 1


@given(shapes(1000), kinds, seeds)
def test_the_order_of_the_images_in_a_batch_decides_nothing(
    shape: Shape, kind: str, seed: int
) -> None:
    made = make(shape, seed, extreme=True)
    schedule = Schedule(*shape)
    stage = AdaptiveStage(schedule, *made)
    codes, frequencies = code(shape, kind, make_codes(shape, kind, seed), stage)
    _, of_reversed = code(shape, kind, codes[:, ::-1], AdaptiveStage(schedule, *made))
    np.testing.assert_array_equal(frequencies[:, ::-1], of_reversed)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, ">i4", np.int64, np.uint64, bool])
def test_bits_may_come_in_any_integer_type_and_layout(dtype: npt.DTypeLike) -> None:
    schedule = Schedule(2, 2, 4, 5, 3)
    plain, other = AdaptiveStage(schedule), AdaptiveStage(schedule)
    random = np.random.default_rng(0)
    for part in schedule.parts():
        frequencies = plain.frequencies(*part)
        np.testing.assert_array_equal(other.frequencies(*part), frequencies)
        bits = random.integers(0, 2, len(frequencies))
        plain.learn(bits)
        backwards = np.repeat(bits, 3)[::-1].astype(dtype)
        other.learn(backwards[1::3][::-1])


def test_layers_start_from_the_fixed_weights_and_move_away_from_them() -> None:
    stage = AdaptiveStage(Schedule(6, 1, 4, 6, 3))
    fixed = untrained_weights.START_WEIGHTS[[0, 1, 2, 3, 3, 3]] / (
        1 << untrained_weights.START_BITS
    )
    expected = np.stack([fixed] * LEARNERS, axis=1)
    np.testing.assert_array_equal(stage.learned()["shared"], expected)
    code((6, 1, 4, 6, 3), "random", make_codes((6, 1, 4, 6, 3), "random", seed=0), stage)
    assert (stage.learned()["shared"] != expected).any(axis=2).all()


def test_a_stage_starts_from_its_start() -> None:
    start = random_start(3, 4, seed=0, with_network=True)
    stage = AdaptiveStage(Schedule(2, 1, 3, 3, 4), start, random_network(3, 4, seed=0))
    fraction = dict.fromkeys(FRACTION, START_BITS) | {"mixers": MIXER_BITS, "sets": MIXER_BITS}
    for name, weights in stage.learned().items():
        np.testing.assert_array_equal(weights * (1 << fraction[name]), getattr(start, name)[:2])


def test_no_start_is_an_untrained_one() -> None:
    shape = (3, 2, 5, 6, 4)
    codes = make_codes(shape, "smooth", seed=0)
    for network in (None, random_network(3, 4, seed=0)):
        plain = AdaptiveStage(Schedule(*shape), None, network)
        start = untrained(5, 4, with_network=network is not None)
        other = AdaptiveStage(Schedule(*shape), start, network)
        _, frequencies = code(shape, "smooth", codes, plain)
        np.testing.assert_array_equal(code(shape, "smooth", codes, other)[1], frequencies)
