"""The adaptive stage: the integers that its definition gives, whatever carries them."""

import contextlib
import itertools
import types
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nncodec import adaptive, contexts, learners, mixer, rates
from nncodec.adaptive import AdaptiveStage
from nncodec.adaptive_start import START_BITS, START_WEIGHTS
from nncodec.learners import CHUNK, LEARNERS
from nncodec.rates import FULL_STEP
from nncodec.schedule import Schedule
from tests import reference_model
from tests.reference_model import ReferenceStage

Codes = npt.NDArray[np.uint8]
Shape = tuple[int, int, int, int, int]

KINDS = ("random", "biased", "zeros", "ones", "smooth", "expected", "unexpected")
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


def assert_frequencies_are_the_references(shape: Shape, kind: str, seed: int) -> ReferenceStage:
    codes = make_codes(shape, kind, seed)
    schedule = Schedule(*shape)
    stage, reference = AdaptiveStage(schedule), ReferenceStage(*shape)
    for step, places in zip(schedule, reference.steps, strict=True):
        frequencies = stage.frequencies(step)
        assert frequencies.tolist() == reference.frequencies(places)
        if codes is None:
            bits = choose(kind, frequencies)
        else:
            bits = np.array([codes[place] for place in places])
        stage.learn(step, bits)
        reference.learn(bits.tolist())
    # They show what the frequencies of a few bits are too coarse for.
    for (layer, learner), weights in reference.shared.items():
        learned = stage.layer_weights()[layer, learner] * (1 << learners.WEIGHT_BITS)
        assert learned.tolist() == weights
    return reference


@contextlib.contextmanager
def extreme_parameters(largest_weight: int = learners.LARGEST_WEIGHT) -> Iterator[None]:
    """Large weights that never learn more slowly, so that a few steps reach every limit.

    After the first step, their rates are powers of two: much that is rounded ends in a half.
    """
    start = (largest_weight << START_BITS) // int(abs(START_WEIGHTS).max()) * START_WEIGHTS
    parameters = {
        "START_WEIGHTS": start,
        "LARGEST_WEIGHT": largest_weight,
        "START_RATES": ((1 << 15) + 1, (1 << 13) + 1),
        "HALF_LIFE": 1 << 50,
        "FULL_STEP": 40,
        "LAYER_SHARE": 8 * learners.LAYER_SHARE,
        "MIXER_START_RATE": (1 << 17) + 1,
        "MIXER_HALF_LIFE": 1 << 50,
    }
    with pytest.MonkeyPatch.context() as patch:
        for module, (name, value) in itertools.product(
            (learners, mixer, rates, reference_model), parameters.items()
        ):
            if hasattr(module, name):
                patch.setattr(module, name, value)
        yield


@contextlib.contextmanager
def wide_carriers() -> Iterator[None]:
    """Carries by float64 whatever the package carries by float32."""
    wide = types.SimpleNamespace(**{**vars(np), "float32": np.float64})
    with pytest.MonkeyPatch.context() as patch:
        for module in (adaptive, contexts, learners, mixer):
            patch.setattr(module, "np", wide)
        yield


@st.composite
def shapes(draw: st.DrawFn, most_bits: int) -> Shape:
    sizes = [draw(st.integers(1, most)) for most in (5, 4, 6, 8, 6)]
    for axis in draw(st.permutations(range(5))):
        sizes[axis] = max(1, min(sizes[axis], most_bits * sizes[axis] // int(np.prod(sizes))))
    layers, batch, height, width, channels = sizes
    return layers, batch, height, width, channels


kinds = st.sampled_from(KINDS)
seeds = st.integers(0, 2**32 - 1)


@given(shapes(300), kinds, seeds)
def test_frequencies_are_those_of_the_reference_model(shape: Shape, kind: str, seed: int) -> None:
    assert_frequencies_are_the_references(shape, kind, seed)


@given(shapes(150), kinds, seeds)
@example((2, 8, 4, 4, 3), "smooth", 0)  # errors where logits are clamped
@example((1, 10, 5, 5, 2), "biased", 0)
def test_frequencies_are_those_of_the_reference_model_at_extreme_parameters(
    shape: Shape, kind: str, seed: int
) -> None:
    with extreme_parameters():
        assert_frequencies_are_the_references(shape, kind, seed)


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
def test_frequencies_of_large_sizes_are_those_of_the_reference_model(
    shape: Shape, kind: str
) -> None:
    assert_frequencies_are_the_references(shape, kind, seed=0)


def test_frequencies_are_those_of_the_reference_model_where_everything_is_clamped() -> None:
    with extreme_parameters(largest_weight=1):
        reference = assert_frequencies_are_the_references((2, 40, 1, 8, 4), "unexpected", seed=0)
    own = [w for by_name in reference.own.values() for row in by_name.values() for w in row]
    shared = [w for row in reference.shared.values() for w in row]
    mixed = [w for row in reference.mixer.values() for w in row]
    assert max(map(abs, own)) == 1 << learners.WEIGHT_BITS
    assert max(map(abs, shared)) == 1 << learners.WEIGHT_BITS
    assert max(map(abs, mixed)) == mixer.LARGEST_MIXER_WEIGHT << mixer.MIXER_BITS


@given(shapes(3000), kinds, seeds, st.booleans())
def test_frequencies_are_integers_between_0_and_one(
    shape: Shape, kind: str, seed: int, extreme: bool
) -> None:
    with extreme_parameters() if extreme else contextlib.nullcontext():
        stage = AdaptiveStage(Schedule(*shape))
        for step in Schedule(*shape):
            frequencies = stage.frequencies(step)
            assert frequencies.dtype == np.int32
            assert frequencies.min() >= 1
            assert frequencies.max() <= 65535
            stage.learn(step, choose("unexpected", frequencies))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 2, 5, 9, 6), (2, 45, 2, 3, 2), (2, 1, 4, 4, 70)])
def test_everything_carried_by_floats_is_an_integer(shape: Shape, kind: str) -> None:
    stage = AdaptiveStage(Schedule(*shape))
    code(shape, kind, make_codes(shape, kind, seed=0), stage)
    carried = {
        name: values
        for part in (stage._grid, stage._learners, stage._mixer)
        for name, values in vars(part).items()
        if name in ("_known", "_surprise", "_units", "_layers", "_weights")
        or name.endswith("_predicting")
    }
    assert len(carried) == 7
    for name, values in carried.items():
        assert values.any(), name
        np.testing.assert_array_equal(values, np.floor(values), err_msg=name)


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("kind", ["smooth", "unexpected"])
@pytest.mark.parametrize("shape", [(3, 2, 7, 12, 8), (2, 50, 3, 5, 3), (3, 1, 4, 6, 64)])
def test_wider_floats_carry_the_same_integers(shape: Shape, kind: str, extreme: bool) -> None:
    with extreme_parameters() if extreme else contextlib.nullcontext():
        codes, frequencies = code(shape, kind, make_codes(shape, kind, seed=0))
        with wide_carriers():
            stage = AdaptiveStage(Schedule(*shape))
            assert stage._grid._known.dtype == np.float64
            assert stage._learners._units_predicting.dtype == np.float64
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
    start = START_WEIGHTS[[0, 1, 2, 3, 3, 3]] / (1 << START_BITS)
    np.testing.assert_array_equal(stage.layer_weights(), np.stack([start] * LEARNERS, axis=1))
    code((6, 1, 4, 6, 3), "random", make_codes((6, 1, 4, 6, 3), "random", seed=0), stage)
    assert (stage.layer_weights() != np.stack([start] * LEARNERS, axis=1)).any(axis=2).all()
