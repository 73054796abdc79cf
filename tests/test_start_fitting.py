"""Starts that are fitted to training codes, and models that are built of them."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from nncodec.coding.codec import code_lengths
from nncodec.model.adaptive.learning_rates import LARGEST_RATES, TRAINED
from nncodec.model.adaptive.start import MIXER_BITS, Start, untrained
from nncodec.model.adaptive.untrained_weights import START_BITS
from nncodec.model.model import Model
from nncodec.training import start_fitting
from nncodec.training.data.batches import CodeSet
from nncodec.training.model_building import SPEEDS, bits_to_build, build_model, left_by_stage
from nncodec.training.start_fitting import (
    PASSES,
    Pass,
    at_speed,
    beside_network,
    best_by_layer,
    fit_start,
    refit_start,
    with_coding_rates,
)
from tests.sample_networks import NetworkMaker, random_network
from tests.samples import averaged_codes, coded, frequencies_of, random_start

Codes = npt.NDArray[np.uint8]

FILES = [averaged_codes((2, 1, 12, 14, 6), seed=seed) for seed in range(3)]
FILES.append(averaged_codes((1, 2, 9, 8, 6), seed=3))
BITS = sum(codes.size for codes in FILES)
HELD_OUT = averaged_codes((2, 1, 16, 16, 6), seed=9)
WEIGHTS = ("units", "shared", "around", "mixers", "sets")


@pytest.fixture(scope="module")
def fitted() -> Start:
    return fit_start(FILES, 3)


def size(codes: Codes, model: Model | None) -> float:
    return float(code_lengths(codes, model=model).sum())


def same(ours: Start, theirs: Start) -> bool:
    pairs = zip(ours.arrays().values(), theirs.arrays().values(), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


def test_codes_of_the_same_kind_are_cheaper_from_a_fitted_start(fitted: Start) -> None:
    assert size(HELD_OUT, Model(fitted)) < 0.97 * size(HELD_OUT, None)
    rates, half_lives = TRAINED.of_layers(3)
    np.testing.assert_array_equal(fitted.rates, rates)
    np.testing.assert_array_equal(fitted.half_lives, half_lives)


def test_layers_that_no_file_has_keep_what_an_untrained_stage_starts_from(fitted: Start) -> None:
    plain = untrained(3, 6)
    for name in WEIGHTS:
        np.testing.assert_array_equal(getattr(fitted, name)[2], getattr(plain, name)[2])
        assert (getattr(fitted, name)[:2] != getattr(plain, name)[:2]).any(), name


def test_fitting_passes_all_files_again_and_again() -> None:
    told: list[int] = []
    fit_start(FILES, 2, progress=told.append)
    assert sum(told) == len(PASSES) * BITS


@pytest.mark.parametrize("with_network", [False, True])
def test_files_one_after_another_teach_as_one_stage_would(with_network: bool) -> None:
    """A pass over one file leaves what a stage has learned from it, at the rates of the pass."""
    network = random_network(2, 6, 0) if with_network else None
    start = random_start(2, 6, 0, with_network=with_network)
    one = Pass(0.01, 0.004, 0.001, 200, 0.0006, 0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(start_fitting, "PASSES", (one,))
        patch.setattr(start_fitting, "untrained", lambda layers, channels: start)
        patch.setattr(start_fitting, "beside_network", lambda start: start)
        found = fit_start(FILES[:1], 2, network)
    at_rates = start_fitting._with_pass_rates(start, one)
    _, stage = coded(FILES[0], Model(at_rates, network))
    for name, learned in stage.learned().items():
        bits = MIXER_BITS if name in ("mixers", "sets") else START_BITS
        largest = 8 << MIXER_BITS if name in ("mixers", "sets") else (1 << 15) - 1
        expected = np.clip(np.round(learned * (1 << bits)), -largest, largest)
        np.testing.assert_array_equal(getattr(found, name), expected, name)


def test_what_was_learned_after_every_file_counts_alike() -> None:
    """The files come again in another order, as long as no pass has gone before."""
    one = Pass(0.01, 0.004, 0.001, 200, 0.0006, 0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(start_fitting, "PASSES", (one,))
        whole = fit_start(FILES[:2], 2)
        first = fit_start(FILES[:1], 2)
    _, ends = start_fitting._pass(FILES[:2], untrained(2, 6), one, None, None, False)
    assert same(with_coding_rates(ends[0]), first)
    for name in WEIGHTS:
        mean = np.mean([getattr(end, name) for end in ends], axis=0)
        np.testing.assert_array_equal(getattr(whole, name), np.round(mean), name)


def test_a_pass_forgets_what_is_around_by_every_position_of_a_file() -> None:
    start = random_start(3, 4, 0)
    one = Pass(0.0, 0.0, 0.0, 1, 0.0, 0.001)
    codes = averaged_codes((2, 2, 5, 7, 4), seed=0)
    after, _ = start_fitting._pass([codes], start, one, None, None, False)
    kept = np.array([0.999**70, 0.997**70, 1])[:, None, None, None]
    np.testing.assert_array_equal(after.around, np.round(start.around * kept))
    np.testing.assert_array_equal(after.shared, start.shared)


def test_a_start_beside_a_network_takes_its_logit_as_it_is(fitted: Start) -> None:
    beside = beside_network(fitted)
    assert beside.with_network
    assert (beside.units[..., -1] == 1 << START_BITS).all()
    assert not beside.mixers[..., -1].any()
    assert not beside.sets[..., -1].any()
    for name in WEIGHTS:
        own = getattr(fitted, name)
        np.testing.assert_array_equal(getattr(beside, name)[..., : own.shape[-1]], own)
    silent = NetworkMaker(3, 6, 0, gain=0).head()
    assert size(HELD_OUT, Model(beside, silent)) == size(HELD_OUT, Model(fitted))


def test_a_start_is_fitted_once_more_beside_a_trained_network(fitted: Start) -> None:
    network, beside = random_network(3, 6, 0, gain=0.5), beside_network(fitted)
    told: list[int] = []
    again = refit_start(FILES, beside, network, told.append)
    assert sum(told) == BITS
    assert size(HELD_OUT, Model(again, network)) < size(HELD_OUT, Model(beside, network))


def test_speeds_are_doublings_within_the_limit(fitted: Start) -> None:
    for doublings in (-2, -1, 0, 1, 9):
        start = at_speed(fitted, doublings)
        expected = np.minimum(np.floor(fitted.rates * 2.0**doublings), LARGEST_RATES)
        np.testing.assert_array_equal(start.rates, expected)
        assert same(replace(start, rates=fitted.rates), fitted)


def test_every_layer_is_from_the_start_under_which_it_is_smallest(fitted: Start) -> None:
    plain = untrained(3, 6)
    mixed = {
        name: np.concatenate([array[:1], getattr(fitted, name)[1:]])
        for name, array in plain.arrays().items()
    }
    half = Start(**mixed)
    validation = [HELD_OUT, FILES[0]]
    told: list[int] = []
    candidates = [plain, half, fitted]
    best = best_by_layer(candidates, None, validation, told.append)
    assert sum(told) == 3 * sum(codes.size for codes in validation)
    lengths = np.array(
        [sum(code_lengths(codes, model=Model(one)) for codes in validation) for one in candidates]
    )
    found = sum(code_lengths(codes, model=Model(best)) for codes in validation)
    np.testing.assert_array_equal(found, lengths.min(axis=0))
    assert same(best_by_layer([fitted, fitted], None, validation), fitted)
    # No file has the third layer: the first start wins.
    np.testing.assert_array_equal(best.units[2], plain.units[2])


def test_what_the_stage_leaves_are_the_logits_of_its_frequencies(fitted: Start) -> None:
    told: list[int] = []
    logits = left_by_stage(HELD_OUT, Model(fitted), told.append)
    assert logits.dtype == np.float16
    assert logits.shape == HELD_OUT.shape
    assert sum(told) == HELD_OUT.size
    ones = frequencies_of(HELD_OUT, fitted) / 65536
    np.testing.assert_allclose(logits, np.log(ones / (1 - ones)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("beside", [False, True])
def test_a_model_without_a_network_is_what_suits_the_validation_codes(
    fitted: Start, beside: bool
) -> None:
    told: list[int] = []
    start = fitted if beside else None
    validation = [HELD_OUT, FILES[0]]
    sets = CodeSet(FILES), CodeSet(validation)
    model = build_model(None, *sets, layer_count=3, start=start, progress=told.append)
    assert sum(told) == bits_to_build(*sets, beside_start=beside, network=False)
    candidates = [at_speed(fitted, doublings) for doublings in SPEEDS]
    assert same(model.start, best_by_layer(candidates, None, validation))
    rates = [code_lengths(codes, model=Model(model.start)) / codes[0].size for codes in validation]
    expected = np.mean(rates, axis=0)
    assert model.facts["validation_layer_rates"] == pytest.approx(expected.tolist())
    assert model.facts["validation_rate"] == pytest.approx(expected.mean())
