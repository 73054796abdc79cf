"""The adaptive stage: the integers that its definition gives, all of its weights among them."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nncodec.coding.codec import traverse_known
from nncodec.format.extent import Extent
from nncodec.model.adaptive import untrained_weights
from nncodec.model.adaptive.learning_rates import (
    AROUND,
    BEFORE,
    CONSTANT,
    GATES,
    KNOWN,
    MIXER_OF_LAYER,
    MIXER_OF_UNIT,
    NETWORK,
    RATES,
    SURPRISE,
    TAPS,
)
from nncodec.model.adaptive.stage import AdaptiveStage
from nncodec.model.adaptive.start import MIXER_BITS, untrained
from nncodec.model.adaptive.untrained_weights import START_BITS
from nncodec.model.adaptive.weights import NEW_FRAME, SETS, Matrix
from nncodec.model.contexts import FRAME_TAPS
from nncodec.model.contexts import GATES as PAIRS
from nncodec.model.model import Model
from nncodec.model.schedule import Schedule, block_size
from tests.reference_model import Prediction, ReferenceStage
from tests.sample_networks import random_network
from tests.samples import coded, plain_network, plain_start, random_start

Codes = npt.NDArray[np.uint8]
Shape = tuple[int, int, int, int, int]
Numbers = npt.NDArray[np.int64]

BITS = ("random", "biased", "zeros", "ones", "smooth", "film", "expected", "unexpected")
"""The last two are the bits that the stage itself finds likely, and unlikely."""


def make_codes(shape: Shape, kind: str, seed: int) -> Codes:
    random = np.random.default_rng(seed)
    if kind in ("smooth", "film"):
        noise = random.normal(size=shape).cumsum(axis=2).cumsum(axis=3)
        return ((noise.cumsum(axis=1) if kind == "film" else noise) > 0).astype(np.uint8)
    ones = {"random": 0.5, "biased": 0.05, "zeros": 0.0, "ones": 1.0}
    return (random.random(shape) < ones[kind]).astype(np.uint8)


def make_model(shape: Shape, seed: int, *, extreme: bool = False) -> Model:
    """A model for more layers than there are, and for every other seed with a network."""
    layers, channels = shape[0] + seed % 3, shape[4]
    network = None
    if seed % 2:
        network = random_network(layers, channels, seed, gain=8 if extreme else 1)
    start = random_start(layers, channels, seed, with_network=bool(seed % 2), extreme=extreme)
    return Model(start, network)


@st.composite
def shapes(draw: st.DrawFn, most_bits: int) -> Shape:
    sizes = [draw(st.integers(1, most)) for most in (5, 4, 6, 8, 6)]
    for axis in draw(st.permutations(range(5))):
        sizes[axis] = max(1, min(sizes[axis], most_bits * sizes[axis] // int(np.prod(sizes))))
    layers, batch, height, width, channels = sizes
    return layers, batch, height, width, channels


kinds = st.sampled_from(BITS)
seeds = st.integers(0, 2**32 - 1)


# --- the reference -----------------------------------------------------------------------------


def weights_of(stage: AdaptiveStage, shape: Shape) -> dict[str, Numbers]:
    """All weights that are of use, by their names in FORMAT.md, section 8."""
    weights, layers, channels = stage.stage.weights, shape[0], shape[4]
    block = block_size(channels)

    def of_units(values: npt.NDArray[np.integer]) -> Numbers:
        by_layer = values.reshape(layers, len(values) // layers, *values.shape[1:])
        return by_layer[:, :channels].astype(np.int64)

    def of_matrix(matrix: Matrix) -> Numbers:
        """With what it has not learned yet."""
        inputs = np.repeat(matrix.inputs, block, axis=0).astype(np.int64)
        changes = matrix.moves[:, :block].reshape(-1, 1) * inputs
        settled = np.clip(matrix.weights + changes, -(1 << 15), (1 << 15) - 1)
        taps = len(matrix.taps.frames)
        return of_units(settled[:, : taps * block].reshape(len(settled), taps, block))

    def of_rows(rows: npt.NDArray[np.int16]) -> Numbers:
        by_unit = rows[:, :block].reshape(-1, block, block).swapaxes(1, 2).reshape(-1, block)
        return of_units(by_unit)[:, lower(channels)]

    before = of_matrix(weights.before)
    found = {
        "known": of_rows(weights.known),
        "surprise": of_rows(weights.surprise),
        "beside": before[:, :, :-1],
        "before": before[:, :, -1:],
        "around": of_matrix(weights.around),
        "motion": of_matrix(weights.motion),
        "constant": of_units(weights.constant),
        "network": of_units(weights.network),
        "near": weights.taps.astype(np.int64),
        "gates": weights.gates[:, :PAIRS].astype(np.int64),
        "earlier": weights.earlier_gates[:, :PAIRS].astype(np.int64),
        "unit": of_units(weights.mixers),
        "set": weights.sets.reshape(layers, SETS, -1).astype(np.int64),
    }
    return {name: values for name, values in found.items() if values.size}


def lower(channels: int) -> npt.NDArray[np.bool_]:
    """Which weights of the known bits are of use: those of bits that are known by then."""
    block = block_size(channels)
    return np.arange(block) < np.arange(channels)[:, None] % block


def assert_does_as_the_reference(
    shape: Shape, kind: str, seed: int, model: Model | None, *, sequence: bool
) -> None:
    """Codes a tensor by both; compares all frequencies, and all weights after the last bit."""
    start = plain_start(model.start) if model else None
    network = plain_network(model.network) if model else None
    reference = ReferenceStage(shape, start, network, sequence=sequence)
    chosen = None if kind in ("expected", "unexpected") else make_codes(shape, kind, seed)
    bits, frequencies = [], []

    def next_bit(prediction: Prediction) -> int:
        frequencies.append(prediction.frequency)
        if chosen is None:
            bits.append(int((prediction.frequency >= 1 << 15) == (kind == "expected")))
        else:
            bits.append(int(chosen[prediction.bit]))
        return bits[-1]

    reference.run(next_bit)
    codes = np.array(bits, dtype=np.uint8).reshape(shape)
    found, stage = coded(codes, model, sequence=sequence)
    assert found.ravel().tolist() == frequencies
    weights, learned = weights_of(stage, shape), reference.learned()
    layers, channels, block = shape[0], shape[4], reference.block
    for name in ("known", "surprise"):
        of_units = np.array(learned.pop(name)).reshape(layers, channels, block)
        expected = of_units[:, lower(channels)].ravel()
        found_of_name = weights.pop(name, np.zeros(0, dtype=np.int64)).ravel()
        np.testing.assert_array_equal(found_of_name, expected, name)
    if not sequence:
        assert not any(learned.pop("motion"))
    if not network:
        assert not weights.pop("network").any()
    for name, numbers in learned.items():
        np.testing.assert_array_equal(weights.pop(name).ravel(), numbers, name)
    assert not weights


@given(shapes(200), kinds, seeds, st.booleans())
def test_the_untrained_stage_does_as_the_reference(
    shape: Shape, kind: str, seed: int, sequence: bool
) -> None:
    assert_does_as_the_reference(shape, kind, seed, None, sequence=sequence)


@given(shapes(150), kinds, seeds, st.booleans())
def test_a_stage_of_any_start_and_network_does_as_the_reference(
    shape: Shape, kind: str, seed: int, sequence: bool
) -> None:
    model = make_model(shape, seed)
    assert_does_as_the_reference(shape, kind, seed, model, sequence=sequence)


@given(shapes(120), kinds, seeds, st.booleans())
@example((2, 8, 4, 4, 3), "smooth", 0, False)  # errors where logits are clamped
@example((2, 8, 4, 4, 3), "film", 0, True)
@example((1, 10, 5, 5, 2), "biased", 0, True)
def test_a_stage_at_the_limits_of_a_start_does_as_the_reference(
    shape: Shape, kind: str, seed: int, sequence: bool
) -> None:
    model = make_model(shape, seed, extreme=True)
    assert_does_as_the_reference(shape, kind, seed, model, sequence=sequence)


@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((2, 3, 1, 2, 64), "unexpected"),  # a full block
        ((2, 3, 1, 2, 70), "film"),  # two blocks
        ((1, 2, 1, 2, 131), "expected"),  # three, the last one shorter
    ],
)
def test_a_stage_of_several_blocks_does_as_the_reference(
    shape: Shape, kind: str, sequence: bool
) -> None:
    for extreme in (False, True):
        model = make_model(shape, seed=1, extreme=extreme)
        assert_does_as_the_reference(shape, kind, 0, model, sequence=sequence)


# --- what learns -------------------------------------------------------------------------------

OF_RATE = {
    KNOWN: {"known"},
    SURPRISE: {"surprise"},
    BEFORE: {"beside", "before"},
    CONSTANT: {"constant"},
    NETWORK: {"network"},
    TAPS: {"near"},
    GATES: {"gates", "earlier"},
    AROUND: {"around", "motion"},
    MIXER_OF_UNIT: {"unit"},
    MIXER_OF_LAYER: {"set"},
}


@pytest.mark.parametrize("kind", range(RATES))
@pytest.mark.parametrize("shape", [(2, 2, 5, 6, 4), (2, 2, 2, 3, 66)])
def test_every_kind_of_weight_learns_at_its_own_rate(shape: Shape, kind: int) -> None:
    model, codes = make_model(shape, seed=1), make_codes(shape, "film", seed=0)

    def learning_at(rate: int) -> AdaptiveStage:
        rates = np.zeros_like(model.start.rates)
        rates[:, kind] = rate
        learning = replace(model, start=replace(model.start, rates=rates))
        return coded(codes, learning, sequence=True)[1]

    unlearned, stage = learning_at(0), learning_at(1 << 18)
    before, after = weights_of(unlearned, shape), weights_of(stage, shape)
    for name in after:
        share = (after[name] != before[name]).mean()
        assert share > 0.2 if name in OF_RATE[kind] else not share, name


def test_what_is_not_learned_is_what_the_stage_started_from() -> None:
    shape = (2, 3, 3, 4, 5)
    model = make_model(shape, seed=1)
    start = replace(model.start, rates=model.start.rates * 0)
    codes = make_codes(shape, "film", seed=0)
    for sequence in (False, True):
        _, after = coded(codes, Model(start, model.network), sequence=sequence)
        assert_starts_from(after, Model(start, model.network), shape, sequence=sequence)


@given(shapes(300), st.sampled_from([1, 6, 64, 65, 131]), seeds, st.booleans())
def test_every_weight_starts_where_the_start_says(
    shape: Shape, channels: int, seed: int, sequence: bool
) -> None:
    layers, batch, height, width, _ = shape
    shape = (layers, batch, height, width, channels)
    model = make_model(shape, seed)
    schedule = Schedule(Extent.of_shape(shape), sequence)
    stage = AdaptiveStage(schedule, model.start, model.network)
    assert_starts_from(stage, model, shape, sequence=sequence)


def assert_starts_from(stage: AdaptiveStage, model: Model, shape: Shape, *, sequence: bool) -> None:
    layers, channels = shape[0], shape[4]
    block = block_size(channels)
    learned, start = stage.learned(), model.start.arrays()
    known = np.ones(start["units"].shape[2], dtype=np.bool_)
    used = np.tile(known, (channels, 1))
    used[:, : 2 * block] = np.hstack([lower(channels)] * 2)
    for name, weights in learned.items():
        assert weights.dtype == np.float64
        bits = MIXER_BITS if name in ("mixers", "sets") else START_BITS
        expected = start[name][:layers] * (used if name == "units" else 1)
        np.testing.assert_array_equal(weights * (1 << bits), expected, name)
    assert learned.keys() | {"rates", "half_lives"} == start.keys()
    # The rest is of the frames before.
    found, new = weights_of(stage, shape), [NEW_FRAME * sequence, 0]
    frames = slice(PAIRS - len(FRAME_TAPS), PAIRS)
    for name in ("near", "gates", "earlier"):
        assert (found[name][:, frames] == new).all()
    assert ("motion" in found) == sequence
    assert not sequence or not found["motion"].any()
    assert (found["set"] == found["set"][:, :1]).all()


def test_layers_start_from_the_fixed_weights_and_move_away_from_them() -> None:
    shape = (6, 1, 4, 6, 3)
    fixed = untrained_weights.START_WEIGHTS[[0, 1, 2, 3, 3, 3]]
    expected = fixed / (1 << untrained_weights.START_BITS)
    stage = AdaptiveStage(Schedule(Extent.of_shape(shape)))
    np.testing.assert_array_equal(stage.learned()["shared"], expected)
    _, stage = coded(make_codes(shape, "random", seed=0))
    assert (stage.learned()["shared"] != expected).any(axis=1).all()


def test_no_start_is_an_untrained_one() -> None:
    codes = make_codes((3, 2, 5, 6, 4), "smooth", seed=0)
    frequencies, _ = coded(codes)
    of_start, _ = coded(codes, Model(untrained(5, 4)))
    np.testing.assert_array_equal(frequencies, of_start)
    with_network = AdaptiveStage(
        Schedule(Extent.of_shape((3, 2, 5, 6, 4))), None, random_network(3, 4, seed=0)
    )
    expected = untrained(3, 4, with_network=True)
    for name, weights in with_network.learned().items():
        bits = MIXER_BITS if name in ("mixers", "sets") else START_BITS
        np.testing.assert_array_equal(weights * (1 << bits), getattr(expected, name))


# --- what decides nothing ----------------------------------------------------------------------


@given(shapes(1000), st.sampled_from(BITS[:-2]), seeds, st.booleans(), st.data())
def test_the_first_layers_are_coded_as_if_there_were_no_more(
    shape: Shape, kind: str, seed: int, sequence: bool, data: st.DataObject
) -> None:
    codes, model = make_codes(shape, kind, seed), make_model(shape, seed)
    layers = data.draw(st.integers(1, shape[0]))
    whole, stage = coded(codes, model, sequence=sequence)
    first, stage_of_first = coded(codes[:layers], model, sequence=sequence)
    np.testing.assert_array_equal(whole[:layers], first)
    learned = stage.learned()
    for name, weights in stage_of_first.learned().items():
        np.testing.assert_array_equal(learned[name][:layers], weights)


@given(shapes(1000), seeds, st.booleans())
def test_what_a_tensor_was_coded_after_decides_nothing(
    shape: Shape, seed: int, sequence: bool
) -> None:
    """Nothing of one stage is left to the next; a thread has no memory of its own."""
    codes, model = make_codes(shape, "random", seed), make_model(shape, seed)
    first, _ = coded(codes, model, sequence=sequence)
    traverse_known(1 - codes, model, sequence=not sequence)
    again, _ = coded(codes, model, sequence=sequence)
    np.testing.assert_array_equal(again, first)
