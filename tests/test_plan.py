"""What is decided where nobody says: the network, how it is trained, and for how long."""

import math
from typing import Any

import pytest
import torch

from nncodec.errors import NncodecError
from nncodec.training.configs import TrainingConfig, make_config
from nncodec.training.data.batches import CodeSet, SyntheticSet
from nncodec.training.devices import has_fast_bfloat16
from nncodec.training.distributed import ProcessGroup
from nncodec.training.plan import (
    FEW_CODES,
    FEW_CODES_CONFIG,
    MAX_FEW_BITS,
    PLENTY,
    STEPS,
    bits_of,
    choose_network,
    start_comes_first,
    training_config,
    with_steps,
    within_minutes,
)
from tests.samples import averaged_codes
from tests.tiny_network import code_sets, config, tiny

BITS = code_sets()[0].bits
ORIGINAL = {"batch_size": 4, "learning_rate": 0.1, "decay_rate": 0.9, "samples_per_decay": 20000}


def test_how_many_bits_are_few() -> None:
    assert choose_network(MAX_FEW_BITS) == (FEW_CODES, FEW_CODES_CONFIG)
    assert choose_network(MAX_FEW_BITS + 1) == (PLENTY, {})
    few, plenty = (training_config({}, MAX_FEW_BITS + more) for more in (0, 1))
    assert few.input_dropout > plenty.input_dropout == 0
    assert few.weight_decay > plenty.weight_decay == 1e-4
    for one in (few, plenty):
        assert (one.schedule, one.optimiser, one.epsilon) == ("cosine", "adamw", 1e-8)
        assert (one.batch_bits, one.clip_norm, one.final_rate) == (460_000, 1.0, 0.005)


def test_there_is_no_end_of_synthetic_codes() -> None:
    bits = bits_of(SyntheticSet(2, 4, 2, seed=0, stream=0))
    assert bits == math.inf
    assert choose_network(bits)[0] == PLENTY
    assert training_config({}, bits).batch_bits == 460_000
    assert bits_of(code_sets()[0]) == BITS


def test_when_the_start_comes_first() -> None:
    assert start_comes_first(config(), MAX_FEW_BITS)
    assert not start_comes_first(config(), MAX_FEW_BITS + 1)
    assert start_comes_first(config(start_fitting="first"), math.inf)
    assert not start_comes_first(config(start_fitting="last"), 1)


def test_few_codes_are_seen_the_more_often() -> None:
    sizes = (0, 10**6, 10**7, MAX_FEW_BITS, MAX_FEW_BITS + 1, 4 * 10**8, 10**9, math.inf)
    passes = [training_config({}, bits).passes for bits in sizes]
    assert passes == pytest.approx([250, 250, 64, 20, 60, 35, 14, 12])


def test_a_file_of_the_original_means_what_it_meant() -> None:
    assert training_config(ORIGINAL, 10**9) == make_config(TrainingConfig, ORIGINAL)
    for key in ("decay_rate", "samples_per_decay"):
        with pytest.raises(NncodecError, match="is missing; add it"):
            training_config({key: 0.5}, 10**9)


def test_other_files_change_defaults() -> None:
    defaults = training_config({}, 10**9)
    assert training_config({"seed": 3}, 10**9) == defaults.model_copy(update={"seed": 3})
    assert training_config({"steps": 7}, 10**9).passes == 0
    counted = training_config({"batch_size": 7}, 10**9)
    assert (counted.batch_size, counted.batch_bits) == (7, 0)
    with pytest.raises(NncodecError, match="unknown key 'sed'"):
        training_config({"sed": 3}, 0)


def test_bfloat16_where_it_is_fast() -> None:
    cpu = torch.device("cpu")
    assert training_config({}, 10**9, cpu).mixed_precision == has_fast_bfloat16(cpu)
    assert not training_config({}, 10**6, cpu).mixed_precision
    assert not training_config({"mixed_precision": False}, 10**9, cpu).mixed_precision


@pytest.mark.parametrize(
    ("words", "processes", "steps"),
    [
        ({"passes": 2000.0, "batch_bits": 5000}, 1, 2000 * BITS / 5000),
        ({"passes": 2000.0, "batch_bits": 5000}, 2, 2000 * BITS / 10000),
        ({"passes": 500.0, "batch_size": 4}, 1, 500 * 11 / 4),
        ({"passes": 0.01}, 1, STEPS[0]),
        ({"passes": 1e9}, 1, STEPS[1]),
    ],
)
def test_passes_are_steps(words: dict[str, Any], processes: int, steps: float) -> None:
    found = with_steps(config(**words), code_sets()[0], processes)
    assert found.steps == round(steps)
    assert 19 * found.steps_per_evaluation < found.steps <= 20 * found.steps_per_evaluation


def test_without_passes_steps_are_steps() -> None:
    assert with_steps(config(steps=7), code_sets()[0]) == config(steps=7)


def test_batches_of_few_codes_are_smaller() -> None:
    codes = CodeSet([averaged_codes((2, 1, 8, 8, 4), seed=i) for i in range(16)])
    assert training_config({}, codes.bits).batch_bits == codes.bits // 12


def test_minutes_are_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(0.5 * tick for tick in range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    network, (training, _) = tiny(), code_sets()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = within_minutes(config(steps=1000), 2, network, training, ProcessGroup())
    assert found.steps == int(0.9 * 2 * 60 / 0.5)
    assert found.steps_per_evaluation == -(-found.steps // 20)
    assert all(torch.equal(network.state_dict()[name], before[name]) for name in before)
    assert within_minutes(config(steps=100), 2, network, training, ProcessGroup()).steps == 100
