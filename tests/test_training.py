"""Training: what it lowers, what it keeps, and that an interruption changes nothing."""

import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nncodec.errors import NncodecError
from nncodec.format.code_tensor import ABSENT, mark_absent, split_absent
from nncodec.training import trainer as trainer_module
from nncodec.training.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from nncodec.training.code_length import code_lengths_of_network, loss_of_rates, measure, signs
from nncodec.training.data.batches import CodeSet
from nncodec.training.data.packed_codes import PackedCodes
from nncodec.training.distributed import ProcessGroup, join_process_group
from nncodec.training.optimiser import Optimiser
from nncodec.training.trainer import Trained, Trainer, Update
from tests.samples import averaged_codes
from tests.tiny_network import LAYER_DEPTH, code_sets, config, tiny, trainer

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def same(ours: nn.Module, theirs: nn.Module) -> bool:
    pairs = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def updates_of(run: Trainer) -> tuple[Trained, list[Update]]:
    updates: list[Update] = []
    return run.run(watch=updates.append), updates


# --- what is lowered and kept ------------------------------------------------------------------


def test_rates_fall() -> None:
    _, validation = code_sets()
    before = measure(tiny(), validation, 4)
    trained = trainer(steps=60, learning_rate=0.03).run()
    after = measure(trained.network, validation, 4)
    assert before
    assert after
    assert after.total < 0.97 * before.total
    assert all(a < b for a, b in zip(after.layers, before.layers, strict=True))
    assert trained.facts["network_validation_rate"] == after.total
    assert trained.facts["network_validation_layer_rates"] == after.layers


def test_the_loss_is_the_code_length_of_a_bit() -> None:
    run = trainer(steps=1)
    _, (update,) = updates_of(run)
    codes = code_sets()[0].batches(4).draw(0)
    lengths = tiny().code_length(signs(codes, torch.device("cpu")))
    assert update.training.total == pytest.approx(lengths.sum().item() / codes.size, rel=1e-5)
    assert update.training.layers == pytest.approx(
        (lengths / codes.size * len(lengths)).tolist(), rel=1e-5
    )


def test_measure_weighs_bits_alike_and_changes_nothing() -> None:
    network = tiny().train()
    network.input_dropout = 0.5
    codes = code_sets()[0]
    rates = measure(network, codes, 3)
    assert network.training
    network.eval()
    lengths = [0.0] * 3
    for file in codes.files:
        for layer, length in enumerate(
            network.code_length(signs(next(CodeSet([file]).in_order(99)), torch.device("cpu")))
        ):
            lengths[layer] += length.item()
    bits = [sum(file[0].size for file in codes.files if len(file) > k) for k in range(3)]
    assert rates
    assert rates.total == pytest.approx(sum(lengths) / codes.bits, rel=1e-5)
    assert rates.layers == pytest.approx(
        [length / count for length, count in zip(lengths, bits, strict=True)], rel=1e-5
    )
    assert measure(network, CodeSet([]), 3) is None


def test_processes_measure_different_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[torch.Tensor] = []

    def keep(processes: ProcessGroup, values: torch.Tensor) -> torch.Tensor:
        told.append(values)
        return values

    monkeypatch.setattr(ProcessGroup, "sum", keep)
    codes = code_sets()[0]
    for processes in (ProcessGroup(), ProcessGroup(0, 2), ProcessGroup(1, 2)):
        measure(tiny(), codes, 2, processes)
    whole, first, second = told
    assert torch.allclose(first + second, whole)
    assert first[1].any()
    assert second[1].any()


def test_the_best_parameters_are_kept() -> None:
    # So high a learning rate that the rate rises and falls.
    run = trainer(steps=60, learning_rate=1.0, patience=99, steps_per_evaluation=3)
    trained, updates = updates_of(run)
    rates = [update.validation.total for update in updates if update.validation]
    assert len(rates) == 20
    assert min(rates) < rates[-1]
    found = measure(trained.network, code_sets()[1], 4)
    assert found
    assert found.total == trained.facts["network_validation_rate"] == min(rates)
    assert trained.facts["steps"] == 3 * (rates.index(min(rates)) + 1)
    assert trained.facts["last_step"] == 60
    bests = [update.best for update in updates if update.validation]
    assert bests == np.minimum.accumulate(rates).tolist()


def test_training_stops_when_nothing_gets_better() -> None:
    # A rate that changes no parameter: the first evaluation remains the best.
    run = trainer(steps=1000, learning_rate=1e-30, patience=3, steps_per_evaluation=4)
    trained, updates = updates_of(run)
    assert [update.step for update in updates if update.validation] == [4, 8, 12, 16]
    assert run.finished
    assert (trained.facts["steps"], trained.facts["last_step"]) == (4, 16)
    assert same(trained.network, tiny())


def test_evaluations_look_at_some_of_many_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "EVALUATION_BITS", 3000)
    training, _ = code_sets()
    run = Trainer(tiny(), training, training, config(steps=5))
    _, updates = updates_of(run)
    expected = measure(run._network, training.some(3000, 0), 4)
    assert expected
    assert updates[-1].validation == expected
    assert expected != measure(run._network, training, 4)


def test_the_last_step_is_evaluated() -> None:
    _, updates = updates_of(trainer(steps=7))
    assert [update.step for update in updates if update.validation] == [5, 7]


def test_without_validation_the_last_parameters_count() -> None:
    network = tiny()
    run = Trainer(network, code_sets()[0], CodeSet([]), config(steps=12, patience=1))
    trained, updates = updates_of(run)
    assert updates[-1].step == 12
    assert all(update.validation is None and update.best is None for update in updates)
    assert trained.facts["network_validation_rate"] is None
    assert trained.facts["steps"] == 12
    with_validation = trainer(steps=12, patience=99)
    with_validation.run()
    assert same(trained.network, with_validation._network)


def test_facts() -> None:
    training, validation = code_sets()
    facts = trainer(steps=6, seed=3).run().facts
    assert json.loads(json.dumps(facts)) == facts
    assert facts["training_samples"] == training.samples == 11
    assert facts["validation_samples"] == validation.samples == 3
    assert facts["samples_seen"] == sum(training.batches(4, seed=3).size(i) for i in range(6))
    assert facts["training_config"]["learning_rate"] == 0.01
    assert (facts["seed"], facts["processes"], facts["device"]) == (3, 1, "cpu")
    assert facts["parameters"] == 3 * (8 * 4 + 4)
    assert facts["versions"].keys() == {"nncodec", "torch", "numpy", "python"}
    assert facts["versions"]["torch"].startswith(torch.__version__.split("+")[0])


def test_words_of_the_configuration_matter() -> None:
    plain = trainer(steps=3).run().network
    for words in (
        {"input_dropout": 0.3},
        {"weight_decay": 0.1},
        {"clip_norm": 1e-3, "epsilon": 1.0},
        {"mixed_precision": True},
        {"crop": 3},
        {"seed": 1},
        {"warmup_steps": 3},
        {"schedule": "cosine"},
        {"optimiser": "adamw"},
        {"batch_bits": 500},
    ):
        assert not same(trainer(steps=3, **words).run().network, plain), words
    assert same(trainer(steps=3).run().network, plain)


def test_mixed_precision_is_close() -> None:
    exact, mixed = (updates_of(trainer(steps=5, mixed_precision=on))[1] for on in (False, True))
    for ours, theirs in zip(mixed, exact, strict=True):
        assert ours.training.total == pytest.approx(theirs.training.total, rel=0.01)
        assert ours.training.total != theirs.training.total


def test_random_numbers_of_the_caller_are_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    trainer(steps=2, input_dropout=0.5).run()
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_is_for_training_only() -> None:
    rates = measure(trainer(steps=5, input_dropout=0.5).run().network, code_sets()[1], 4)
    _, updates = updates_of(trainer(steps=5, input_dropout=0.5))
    assert updates[-1].validation == rates


def test_code_lengths_that_are_not_finite() -> None:
    network = tiny()
    with torch.no_grad():
        network.get_parameter("maps.1.bias")[2] = math.nan
    with pytest.raises(NncodecError) as caught:
        Trainer(network, *code_sets(), config()).run()
    assert str(caught.value) == (
        "the code length is nan at step 0; lower learning_rate, or set clip_norm, in the training "
        "configuration"
    )
    three_layers, two_layers = code_sets()[0].files[:2]
    run = Trainer(network, CodeSet([two_layers[:1]]), CodeSet([three_layers]), config())
    with pytest.raises(NncodecError, match="the code length is nan at step 5; lower"):
        run.run()  # validation alone sees the second layer


# --- Adam --------------------------------------------------------------------------------------


def test_adam_is_the_originals() -> None:
    gradients = np.random.default_rng(0).normal(0, 2, (50, 3))
    module = nn.Linear(3, 1, bias=False).double()
    expected = module.weight.detach().numpy()[0].copy()
    optimiser = Optimiser(module, config(epsilon=1.0, learning_rate=0.1), 4)
    first, second = np.zeros(3), np.zeros(3)
    for step, gradient in enumerate(gradients):
        rate = optimiser.minimise((module.weight * torch.from_numpy(gradient)).sum(), step)
        # As TensorFlow's AdamOptimizer documents it: epsilon is beside the uncorrected root.
        assert rate == 0.1 * 0.9 ** (step // 10)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        corrected = rate * math.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        expected -= corrected * first / (np.sqrt(second) + 1.0)
        assert module.weight.detach().numpy()[0] == pytest.approx(expected, rel=1e-12)


def test_adamw_is_pytorchs() -> None:
    ours, theirs = (nn.Linear(3, 1, bias=False) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    words: dict[str, Any] = {"learning_rate": 0.1, "weight_decay": 0.3, "samples_per_decay": 1e9}
    optimiser = Optimiser(ours, config(optimiser="adamw", epsilon=1e-3, **words), 4)
    expected = torch.optim.AdamW(
        theirs.parameters(), lr=0.1, betas=(0.9, 0.98), eps=1e-3, weight_decay=0.3
    )
    for step in range(20):
        values = torch.randn(4, 3)
        optimiser.minimise(ours(values).square().sum(), step)
        expected.zero_grad()
        theirs(values).square().sum().backward()
        expected.step()
    assert same(ours, theirs)


def test_weight_decay_is_decoupled() -> None:
    module = nn.Linear(2, 1)
    before = [parameter.detach().clone() for parameter in module.parameters()]
    optimiser = Optimiser(module, config(weight_decay=0.5, learning_rate=0.1), 4)
    optimiser.minimise(0 * module(torch.ones(1, 2)).sum(), 0)
    for parameter, value in zip(module.parameters(), before, strict=True):
        assert torch.allclose(parameter, value * (1 - 0.1 * 0.5), rtol=1e-6)


def test_gradients_are_clipped() -> None:
    module = nn.Linear(2, 1, bias=False)
    for clip_norm, expected in ((0.0, 50.0), (10.0, 10.0), (99.0, 50.0)):
        optimiser = Optimiser(module, config(clip_norm=clip_norm), 4)
        optimiser.minimise((module.weight * torch.tensor([30.0, 40.0])).sum(), 0)
        assert module.weight.grad is not None
        assert module.weight.grad.norm().item() == pytest.approx(expected, rel=1e-4)


# --- interruptions -----------------------------------------------------------------------------


def _interrupted(checkpoint: str, **words: Any) -> None:
    """Ends a run of 20 steps after 10."""

    def watch(update: Update) -> None:
        if update.step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(steps=20, **words).run(checkpoint, watch)


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"input_dropout": 0.3, "crop": 5, "warmup_steps": 12, "clip_norm": 0.5},
        {"weight_decay": 0.1, "epsilon": 1.0, "mixed_precision": True},
        {"batch_bits": 1500, "optimiser": "adamw", "schedule": "cosine", "final_rate": 0.005},
    ],
    ids=["plain", "dropout", "bfloat16", "bits"],
)
def test_a_run_goes_on_bit_for_bit(tmp_path: pathlib.Path, words: dict[str, Any]) -> None:
    whole, part = str(tmp_path / "whole"), str(tmp_path / "part")
    expected = trainer(steps=20, **words).run(whole)

    _interrupted(part, **words)
    other_start = Trainer(tiny(seed=9), *code_sets(), config(steps=20, **words))
    other_start.load(part)
    assert other_start.step == 10
    assert not other_start.finished
    torch.manual_seed(123)
    trained = other_start.run(part)

    assert same(trained.network, expected.network)
    assert trained.facts == expected.facts
    assert pathlib.Path(part).read_bytes() == pathlib.Path(whole).read_bytes()


def test_a_run_without_validation_goes_on(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "checkpoint")
    networks = []
    for stops in ((20,), (10, 20)):
        for steps in stops:
            run = Trainer(tiny(), code_sets()[0], CodeSet([]), config(steps=steps))
            if steps > stops[0]:
                run.load(path)
            trained = run.run(path)
        networks.append(trained.network)
    assert same(*networks)


def test_a_finished_run_goes_nowhere(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "checkpoint")
    words: dict[str, Any] = {"steps": 60, "learning_rate": 1e-30, "patience": 2}
    expected = trainer(**words).run(path)
    assert expected.facts["last_step"] == 15
    run = trainer(**words)
    run.load(path)
    assert run.finished
    trained = run.run()
    assert same(trained.network, expected.network)
    assert trained.facts == expected.facts


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    command = [sys.executable, "-m", "tests.tiny_network", str(tmp_path), "1000000"]
    with subprocess.Popen(command, cwd=ROOT) as process:
        seen: set[int] = set()
        deadline = time.monotonic() + 60
        while len(seen) < 20 and time.monotonic() < deadline:  # killed while it is being replaced
            if path.exists():
                seen.add(os.stat(path).st_mtime_ns)
            time.sleep(0.001)  # the other process needs the processor, too
        process.send_signal(signal.SIGKILL)
    assert len(seen) >= 20

    step = read_checkpoint(str(path)).state["step"]
    assert step % 5 == 0
    run = trainer(steps=step + 10, patience=10**6)
    run.load(str(path))
    expected = trainer(steps=step + 10, patience=10**6).run()
    assert same(run.run().network, expected.network)


# --- checkpoints that do not fit ---------------------------------------------------------------


def load_refusal(path: str, run: Trainer) -> str:
    with pytest.raises(NncodecError) as caught:
        run.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_checkpoints_of_other_runs(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "checkpoint")
    trainer(steps=1).run(path)
    advice = "; go on under the same conditions, or start again in another folder"
    assert load_refusal(path, trainer(steps=1, learning_rate=0.02)) == (
        f"is of a run with learning_rate 0.01, not 0.02{advice}"
    )
    larger = Trainer(tiny(layer_count=4), *code_sets(), config(steps=1))
    assert load_refusal(path, larger) == f"is of a run with layer_count 3, not 4{advice}"
    training, validation = code_sets()
    others = Trainer(tiny(), validation, validation, config(steps=1))
    assert load_refusal(path, others) == (
        f"is of a run with checksum of training codes {training.checksum()}, not "
        f"{validation.checksum()}{advice}"
    )
    trainer(steps=2, patience=7).load(path)


def test_checkpoints_without_a_state(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "checkpoint")
    trainer(steps=1).run(path)
    whole = read_checkpoint(path)
    without = {key: value for key, value in whole.state.items() if key != "stale"}
    for groups, state in (({}, whole.state), (whole.groups, {}), (whole.groups, without)):
        write_checkpoint(path, Checkpoint(groups, state))
        assert load_refusal(path, trainer(steps=1)) == (
            "is a checkpoint without the state of a training; start again in another folder"
        )


# --- several processes -------------------------------------------------------------------------


def test_two_processes_do_what_one_does(tmp_path: pathlib.Path) -> None:
    # A batch of one sample leaves a process without, and two layers leave parameters unused.
    batches = [code_sets()[0].batches(4).draw(step) for step in range(20)]
    assert {(len(codes), codes.shape[-1]) for codes in batches} == {(1, 8), (2, 12), (3, 12)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node=2", "-m", "tests.tiny_network", str(tmp_path), "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours, theirs = (load_file(tmp_path / f"rank{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    run = trainer(steps=20)
    trained = run.run()
    for name, tensor in trained.network.state_dict().items():
        assert torch.allclose(ours[name], tensor, rtol=1e-4, atol=1e-6)
    state = read_checkpoint(str(tmp_path / "checkpoint.safetensors")).state
    assert state["samples"] == trained.facts["samples_seen"]
    assert state["best"]["total"] == pytest.approx(
        trained.facts["network_validation_rate"], rel=1e-5
    )


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NncodecError, match="there is no device 'tpu'; choose auto, cpu, cuda"):
        join_process_group("tpu").__enter__()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NncodecError, match="PyTorch finds no CUDA device here; choose --device"):
        join_process_group("cuda").__enter__()
    with join_process_group("auto") as processes:
        assert (processes.rank, processes.count, processes.device.type) == (0, 1, "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(NncodecError, match="process 2 of this machine has no CUDA device, there"):
        join_process_group("auto").__enter__()


def test_the_first_layers_count_more_than_later_ones() -> None:
    rates = torch.tensor([1.0, 2.0, 6.0], requires_grad=True)
    # The rates of the first one, two and three layers are 1, 1.5 and 3.
    loss = loss_of_rates(rates, torch.tensor([8, 8, 8]))
    torch.testing.assert_close(loss, torch.tensor((3 + (1 + 1.5 + 3) / 3) / 2))
    torch.autograd.backward(loss)
    assert rates.grad is not None
    assert (rates.grad.diff() < 0).all()
    torch.testing.assert_close(rates.grad.sum(), torch.tensor(1.0))


def test_layers_that_few_positions_have_count_by_their_bits() -> None:
    rates, bits = torch.tensor([1.0, 3.0, 0.0]), torch.tensor([9, 3, 0])
    # The rates of the first one, two and three layers are 1, 1.5 and 1.5.
    loss = loss_of_rates(rates, bits)
    torch.testing.assert_close(loss, torch.tensor((1.5 + (1 + 1.5 + 1.5) / 3) / 2))


def covered_set(seed: int) -> tuple[CodeSet, list[npt.NDArray[np.int64]]]:
    """Codes of which positions end early, packed, and their coverages."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, 2, (4, 3, 3, 6, 5, 4), dtype=np.uint8)
    coverages = [random.integers(0, 4, (3, 6, 5)) for _ in codes]
    files = [mark_absent(file, one) for file, one in zip(codes, coverages, strict=True)]
    return CodeSet([PackedCodes(file) for file in files]), coverages


def test_packed_codes_keep_their_coverage() -> None:
    packed, coverages = covered_set(3)
    for file, expected in zip(packed.files, coverages, strict=True):
        codes, coverage = split_absent(file)
        assert coverage is not None
        np.testing.assert_array_equal(coverage, expected)
        np.testing.assert_array_equal(mark_absent(codes, coverage), file)
        assert not codes[np.arange(3)[:, None, None, None] >= expected].any()
    (batch,) = packed.batches(99).draw(0, 0, 12)
    assert np.isin(batch, (0, 1, ABSENT)).all()
    assert (batch == ABSENT).any()
    whole = CodeSet([np.where(file == ABSENT, np.uint8(0), file) for file in packed.files])
    assert whole.checksum() != packed.checksum()


def test_rates_of_positions_that_end_early_are_of_their_bits_alone() -> None:
    network, (codes, coverages) = tiny(), covered_set(4)
    rates = measure(network, codes, 2)
    assert rates
    lengths = np.sum([code_lengths_of_network(network, file) for file in codes.files], axis=0)
    bits = 4 * np.array([sum((one > k).sum() for one in coverages) for k in range(3)])
    np.testing.assert_allclose(rates.layers, lengths / bits, rtol=1e-5)
    assert rates.total == pytest.approx(lengths.sum() / bits.sum(), rel=1e-5)


def test_a_training_on_positions_that_end_early_learns() -> None:
    codes, _ = covered_set(5)
    constant = [np.where(file == ABSENT, file, np.uint8(1)) for file in codes.files]
    training = CodeSet([PackedCodes(file) for file in constant])
    run = Trainer(tiny(), training, training, config(steps=30))
    before = measure(tiny(), training, 4)
    after = measure(run.run().network, training, 4)
    assert before
    assert after
    assert after.total < 0.7 * before.total


# --- sequences ---------------------------------------------------------------------------------


def test_frames_before_are_trained_on_but_for_one_picture_of_eight() -> None:
    frames = averaged_codes((2, 9, 8, 7, LAYER_DEPTH), seed=3)
    network, missing = tiny(), []
    network.sees_frame_before, predict = True, network.predict

    def watch(layers: Tensor, present: Tensor | None, frame_before: Tensor) -> Tensor:
        missing.append((frame_before == 0).all(dim=(0, 2, 3, 4)).tolist())
        return predict(layers, present)

    network.predict = watch  # type: ignore[assignment,method-assign]
    codes = CodeSet([frames], sequence=True)
    Trainer(network, codes, CodeSet([]), config(steps=8, patience=99, batch_size=3)).run()
    assert [len(batch) for batch in missing] == [3] * 8
    assert missing[0][0]
    assert missing[1][1]
    assert missing[2][2]
    # Others only where they are the first frame, once an epoch of three steps.
    assert 3 <= sum(map(sum, missing)) <= 3 + 3
    missing.clear()
    measure(network, codes, 4)
    assert missing == [[True, False, False, False], [False] * 4, [False]]
