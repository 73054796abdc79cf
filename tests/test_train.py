"""The command `train`: what it keeps in its folder, prints and refuses."""

import contextlib
import io
import json
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import pytest
import torch
from click.testing import Result
from tqdm import tqdm

import nncodec.training
from nncodec.coding.codec import code_lengths
from nncodec.commands import training_progress
from nncodec.commands.terminal import Commands
from nncodec.commands.train import train
from nncodec.files.array_files import npz_bytes
from nncodec.files.model_files import read_model
from nncodec.model.model import Model
from nncodec.training import curves, model_building, plan
from nncodec.training.checkpoints import read_checkpoint
from nncodec.training.configs import TrainingConfig
from nncodec.training.data import tfrecord
from nncodec.training.networks.files import load_network
from nncodec.training.networks.progressive import Progressive
from nncodec.training.trainer import Update
from tests.command_line import invoke
from tests.samples import averaged_codes
from tests.tiny_network import LAYER_DEPTH

CONFIGS: dict[str, dict[str, Any]] = {
    "model": {"layer_depth": LAYER_DEPTH, "layer_count": 3},
    "train": {
        "batch_size": 2,
        "learning_rate": 0.03,
        "decay_rate": 0.9,
        "samples_per_decay": 1000,
        "epsilon": 1e-8,
        "steps": 6,
        "steps_per_evaluation": 2,
        "validation_share": 0.25,
        "input_dropout": 0.2,
    },
    "input": {"data": "codes", "unique_code_size": True, "axes": "lnhwc"},
}


class Run(Protocol):
    def __call__(self, *options: str, model: str = "shallow") -> Result: ...


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Trains in an empty folder, which is the current one, on codes that are soon learned."""
    monkeypatch.chdir(tmp_path)
    group = Commands()
    group.add_command(train)

    os.mkdir("codes")
    for number in range(4):
        codes = averaged_codes((3, 1, 6, 7, LAYER_DEPTH), seed=number)
        packed = npz_bytes({"shape": np.array(codes.shape), "codes": np.packbits(codes)})
        pathlib.Path("codes", f"{number}.npz").write_bytes(packed)
    write_configs()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def run_training(*options: str, model: str = "shallow") -> Result:
        args = ["train", "--model", model, "--train-dir", "trained", *options]
        for kind in CONFIGS:
            args += [f"--{kind}-config", f"{kind}.json"]
        return invoke(*args, group=group)

    yield run_training
    torch.set_num_threads(threads)


def saved_model() -> Model:
    return read_model("trained/model.safetensors")


def write_configs(**changes: dict[str, Any]) -> None:
    for kind, words in CONFIGS.items():
        content = json.dumps(words | changes.get(kind, {}))
        pathlib.Path(f"{kind}.json").write_text(content)


def assert_refused(result: Result, line: str) -> None:
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"nncodec: {line}\n"


def without(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a package seem not to be installed."""
    for module in (nncodec.training, curves):
        monkeypatch.setattr(module, "find_spec", lambda name: None if name == package else name)


def test_a_training_folder(run: Run) -> None:
    result = run()
    assert (result.exit_code, result.stderr) == (0, "")
    codes, *steps, last = result.stdout.splitlines()
    assert codes == (
        "codes: 3 pictures (1,512 bits) to train on, 1 picture (504 bits) to validate with; at "
        "most 3 layers of 4 bits, axes lnhwc"
    )
    assert [line.split(":")[0] for line in steps] == [f"step {step} of 6" for step in (2, 4, 6)]
    for part in (", validation ", ", layers ", " million bits a second, ", " left"):
        assert all(part in line for line in steps)
    rate = saved_model().facts["validation_rate"]
    assert 0.2 < rate < 1
    what = "shallow and the adaptive stage, in integers"
    assert last == f"trained/model.safetensors: {what}, validation rate {rate:.4f}"
    names = {name for name in os.listdir("trained") if "tfevents" not in name}
    assert names == {
        *({"curve.png"} if find_spec("matplotlib") else ()),
        "checkpoint.safetensors",
        "curve.csv",
        "input_config.json",
        "model.safetensors",
        "model_config.json",
        "network.safetensors",
        "resolved_config.json",
        "train_config.json",
    }
    for kind in CONFIGS:
        given = pathlib.Path(f"{kind}.json").read_bytes()
        assert pathlib.Path(f"trained/{kind}_config.json").read_bytes() == given
    resolved = json.loads(pathlib.Path("trained/resolved_config.json").read_text())
    assert resolved["model"] == "shallow"
    assert resolved["model_config"].items() >= CONFIGS["model"].items()
    assert resolved["model_config"]["coded_layer_count"] == 0
    assert resolved["train_config"].items() >= CONFIGS["train"].items()
    assert resolved["train_config"]["patience"] == 15
    assert resolved["input_config"] == CONFIGS["input"] | {"validation": []}


def test_what_the_model_is_made_of(run: Run) -> None:
    run()
    model = saved_model()
    network = load_network("trained/network.safetensors")
    best = read_checkpoint("trained/checkpoint.safetensors").groups["best"]
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, best[name])
    assert model.network
    for name, array in network.quantise().arrays().items():
        assert (array == model.network.arrays()[name]).all()
    assert (model.layers, model.channels) == (3, LAYER_DEPTH)
    facts = model.facts
    assert (facts["model"], facts["data"], facts["start_fitting"]) == ("shallow", "codes", "first")
    assert facts["model_config"].items() >= CONFIGS["model"].items()
    assert (facts["training_samples"], facts["last_step"]) == (3, 6)


@pytest.fixture
def evaluate(run: Run) -> Callable[..., Result]:
    """`evaluate` under a network that was trained, of codes that it has not seen."""
    run()
    codes = averaged_codes((3, 2, 6, 7, LAYER_DEPTH), seed=9)
    np.save("codes.npy", codes)
    options = ("--axes", "lnhwc", "--json")
    return lambda *more: invoke("evaluate", "codes.npy", *options, *more)


NETWORK = ("--network", "trained/network.safetensors")


def test_evaluate_a_network(evaluate: Callable[..., Result]) -> None:
    facts = json.loads(evaluate(*NETWORK, "--device", "cpu").stdout)
    network = load_network("trained/network.safetensors")
    codes = np.load("codes.npy")
    with torch.no_grad():
        expected = sum(
            network.code_length(torch.from_numpy(signs)).double()
            for signs in np.moveaxis(codes, 0, 3).reshape(2, 1, 6, 7, -1).astype(np.float32) * 2 - 1
        )
    lengths = [layer["code_length"] for layer in facts["layers"]]
    np.testing.assert_allclose(lengths, expected, rtol=1e-5)
    assert facts["model"] == "trained/network.safetensors"


@pytest.mark.parametrize("option", [("--model", "adaptive"), ("--effort", "best")])
def test_evaluate_a_network_or_a_model(
    evaluate: Callable[..., Result], option: tuple[str, str]
) -> None:
    result = evaluate(*NETWORK, *option)
    assert result.exit_code == 2
    assert "--network stands in place of a model; leave --model and --effort" in result.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_evaluate_a_network_on_a_gpu(evaluate: Callable[..., Result]) -> None:
    lengths = {
        device: [
            layer["code_length"]
            for layer in json.loads(evaluate(*NETWORK, "--device", device).stdout)["layers"]
        ]
        for device in ("cpu", "cuda")
    }
    np.testing.assert_allclose(lengths["cuda"], lengths["cpu"], rtol=1e-3)


def test_evaluate_where_there_is_no_gpu(
    evaluate: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert_refused(
        evaluate(*NETWORK, "--device", "cuda"),
        "PyTorch finds no CUDA device here; choose --device cpu, or install PyTorch for CUDA",
    )
    result = evaluate("--device", "cuda")
    assert result.exit_code == 2
    assert "--device cuda is for --network; models compute on processors" in result.stderr


def test_a_network_that_is_trained_by_itself(run: Run) -> None:
    write_configs(train={"start_fitting": "last"})
    run()
    model = saved_model()
    assert model.network
    assert model.facts["start_fitting"] == "last"
    beside = model.start.units
    write_configs(train={"start_fitting": "first"})
    run("--train-dir", "other")
    assert (read_model("other/model.safetensors").start.units != beside).any()


def test_the_originals_network_codes(run: Run) -> None:
    last = run(model="progressive").stdout.splitlines()[-1]
    assert "progressive and the adaptive stage, in integers" in last
    model = saved_model()
    assert model.network
    codes = averaged_codes((model.layers, 1, 5, 6, model.channels), seed=0)
    assert (nncodec.decode(nncodec.encode(codes, model=model), model=model) == codes).all()
    assert isinstance(load_network("trained/network.safetensors"), Progressive)


def test_the_model_codes_smaller(run: Run) -> None:
    write_configs(train={"steps": 40})
    assert run().exit_code == 0
    codes = averaged_codes((3, 1, 6, 7, LAYER_DEPTH), seed=9)
    trained = code_lengths(codes, model=saved_model()).sum()
    assert trained < code_lengths(codes).sum()


def test_seeds_make_models(run: Run) -> None:
    weights = []
    for number, seed in enumerate((0, 0, 1)):
        write_configs(train={"seed": seed})
        assert run("--train-dir", f"trained{number}").exit_code == 0
        weights.append(read_model(f"trained{number}/model.safetensors").model_id)
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_resume_ends_with_the_same_model(run: Run) -> None:
    run()
    expected = pathlib.Path("trained/model.safetensors").read_bytes()
    os.rename("trained", "whole")
    write_configs(train={"steps": 4})
    run()
    assert pathlib.Path("trained/model.safetensors").read_bytes() != expected
    write_configs()
    result = run("--resume")
    assert [line.split(":")[0] for line in result.stdout.splitlines()][1:-1] == ["step 6 of 6"]
    assert pathlib.Path("trained/model.safetensors").read_bytes() == expected
    result = run("--resume")  # there is nothing left to do
    assert len(result.stdout.splitlines()) == 2
    assert pathlib.Path("trained/model.safetensors").read_bytes() == expected


def test_resume_where_nothing_is(run: Run) -> None:
    assert run("--resume").exit_code == 0
    assert saved_model().facts["last_step"] == 6


def test_resume_under_other_conditions(run: Run) -> None:
    run()
    before = {path.name: path.read_bytes() for path in pathlib.Path("trained").iterdir()}
    write_configs(train={"learning_rate": 0.01})
    result = run("--resume")
    assert (result.exit_code, result.stdout.count("\n")) == (1, 1)  # how many codes there are
    assert result.stderr == (
        "nncodec: trained/checkpoint.safetensors: is of a run with learning_rate 0.03, not 0.01; "
        "go on under the same conditions, or start again in another folder\n"
    )
    assert {path.name: path.read_bytes() for path in pathlib.Path("trained").iterdir()} == before


def test_a_folder_that_is_not_empty(run: Run) -> None:
    os.mkdir("trained")
    pathlib.Path("trained/precious").write_text("mine")
    assert_refused(
        run(),
        "trained: is not empty; add --resume to go on in it, or name another folder",
    )
    assert os.listdir("trained") == ["precious"]


def test_a_folder_that_is_a_file(run: Run) -> None:
    pathlib.Path("trained").write_text("mine")
    assert_refused(run(), "trained: is no folder; name another")


def test_adaptive_trains_no_network(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    without("torch", monkeypatch)  # nor does it need PyTorch
    result = run(model="adaptive")
    model = saved_model()
    rate = model.facts["validation_rate"]
    assert result.stdout.splitlines()[1:] == [
        f"trained/model.safetensors: the adaptive stage, in integers, validation rate {rate:.4f}"
    ]
    assert (model.network, model.layers) == (None, 3)
    assert model.facts["model"] == "adaptive"
    assert "torch" not in model.facts["versions"]
    assert "checkpoint.safetensors" not in os.listdir("trained")
    assert_refused(
        run(model="adaptive"),
        "trained: is not empty; add --resume to go on in it, or name another folder",
    )
    assert run("--resume", model="adaptive").exit_code == 0


def test_without_pytorch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    without("torch", monkeypatch)
    assert_refused(
        run(),
        "training a network needs PyTorch, which is not installed; run: pip install torch",
    )


def test_without_pydantic(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    without("pydantic", monkeypatch)
    assert_refused(
        run(model="adaptive"),
        "training needs pydantic, which is not installed; run: pip install pydantic",
    )


def test_quiet(run: Run) -> None:
    result = run("--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert saved_model().facts["last_step"] == 6


def test_without_validation(run: Run) -> None:
    write_configs(train={"validation_share": 0})
    _, *steps, last = run().stdout.splitlines()
    assert len(steps) == 3
    assert not any("validation" in line for line in steps)
    assert last == "trained/model.safetensors: shallow and the adaptive stage, in integers"
    assert saved_model().facts["validation_samples"] == 0


@pytest.mark.skipif(not find_spec("tensorboard"), reason="TensorBoard is not installed")
def test_tensorboard(run: Run) -> None:
    run()
    (events,) = pathlib.Path("trained").glob("events.out.tfevents.*")
    written = b"".join(tfrecord.read_records(events))
    for tag in ("learning_rate", "rate/training", "rate/validation", "rate_of_layer_02/validation"):
        assert tag.encode() in written


def test_without_tensorboard(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    without("tensorboard", monkeypatch)
    assert run().exit_code == 0
    assert not list(pathlib.Path("trained").glob("events*"))


def test_a_bar_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    class Eager(tqdm):  # type: ignore[type-arg]
        def __init__(self, **options: Any) -> None:
            super().__init__(mininterval=0, **options)

    terminal, output = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", output)
    # However fast the steps are: a bar that was drawn a moment ago waits.
    monkeypatch.setattr("tqdm.tqdm", Eager)
    files = {f"{kind}_config": f"{kind}.json" for kind in CONFIGS}
    assert train.callback
    options: dict[str, Any] = {"data": (), "validation": (), "layer_depth": None, "minutes": None}
    options["axes"] = "auto"
    options |= {"train_dir": "trained", "resume": False, "device": "cpu", "quiet": False}
    train.callback(model="shallow", **options, **files)
    bar = r"training: +[1-9]\d*%.* [1-9]/6 .*step/s, rate 0\.\d{4}, validation 0\.\d{4} "
    assert re.search(bar + r"\(best 0\.\d{4}\), \d+\.\d\d million bits", terminal.getvalue())
    assert output.getvalue().count("\n") == 2  # the codes and the model


@pytest.mark.parametrize(
    ("kind", "words", "complaint"),
    [
        (
            "model",
            {"width": 3},
            "unknown key 'width'; the keys are layer_depth, layer_count, coded",
        ),
        ("model", {"layer_depth": "4"}, 'layer_depth must be a whole number, at least 1, not "4"'),
        ("model", {"layer_count": 0}, "layer_count must be a whole number, at least 1, not 0"),
        ("train", {"rate": 1}, "unknown key 'rate'; the keys are batch_size, learning_rate"),
        ("input", {"data": 3}, "data must be a path or some paths, not 3"),
    ],
)
def test_configurations_are_named(
    run: Run, kind: str, words: dict[str, Any], complaint: str
) -> None:
    write_configs(**{kind: words})
    result = run()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"nncodec: {kind}.json: {complaint}")
    assert not os.path.exists("trained")


# --- without configuration files ---------------------------------------------------------------


@pytest.fixture
def train_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Trains on nothing but --data and what else is given, for a few steps."""
    monkeypatch.setattr(plan, "STEPS", (6, 8))
    monkeypatch.setattr(plan, "EVALUATIONS", 3)
    group = Commands()
    group.add_command(train)

    def run_training(*options: str, folder: str = "trained") -> Result:
        return invoke("train", "--data", "codes", "--train-dir", folder, *options, group=group)

    return run_training


def resolved(folder: str = "trained") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pathlib.Path(folder, "resolved_config.json").read_text())
    return found


@pytest.mark.parametrize("few", [True, False])
def test_a_folder_of_codes_is_enough(
    train_alone: Callable[..., Result], few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not few:
        monkeypatch.setattr(plan, "MAX_FEW_BITS", 1000)
    monkeypatch.setattr(model_building, "LEAST_GAIN", -1.0)  # the network stays
    result = train_alone()
    assert (result.exit_code, result.stderr) == (0, "")
    name = plan.FEW_CODES if few else plan.PLENTY
    config = resolved()
    assert config["model"] == name
    keys = ("layer_depth", "layer_count", "coded_layer_count")
    assert [config["model_config"][key] for key in keys] == [LAYER_DEPTH, 3, 0]
    assert (config["train_config"]["steps"], config["train_config"]["steps_per_evaluation"]) == (
        8,
        3,
    )
    assert config["input_config"]["data"] == "codes"
    facts = saved_model().facts
    assert (facts["model"], facts["start_fitting"]) == (name, "first" if few else "last")
    assert saved_model().network
    assert not {f"{kind}_config.json" for kind in CONFIGS} & set(os.listdir("trained"))


def test_frames_are_trained_on_as_a_sequence(
    train_alone: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_building, "LEAST_GAIN", -1.0)
    still = averaged_codes((2, 1, 8, 9, LAYER_DEPTH), seed=1)
    for folder in ("video", "others"):
        os.mkdir(folder)
        np.save(f"{folder}/frames.npy", np.repeat(still, 10, axis=1))
    small = {"width": 8, "embedding": 8, "blocks": 1, "units": 1}
    pathlib.Path("model.json").write_text(json.dumps(small))
    pathlib.Path("train.json").write_text('{"start_fitting": "last", "learning_rate": 0.02}')
    options = ["--data", "video", "--validation", "others", "--train-config", "train.json"]
    options += ["--model", "residual-64", "--model-config", "model.json"]
    monkeypatch.setattr(plan, "STEPS", (100, 100))
    rates = []
    for axes in ("lthwc", "lnhwc"):
        result = train_alone(*options, "--axes", axes, folder=axes)
        assert (result.exit_code, result.stderr) == (0, "")
        config = resolved(axes)
        assert config["model_config"]["frame_before"] is (axes == "lthwc")
        assert config["input_config"]["axes"] == axes
        rates.append(read_model(f"{axes}/model.safetensors").facts["validation_rate"])
    # Every frame is the one before: whoever looks there, knows all but the first.
    assert rates[0] < 0.8 * rates[1]
    network = ("--network", "lthwc/network.safetensors", "--json")
    lengths = [
        json.loads(invoke("evaluate", "video/frames.npy", "--axes", axes, *network, *more).stdout)
        for axes, more in (
            ("lthwc", ()),
            ("lnhwc", ("--sequence",)),
            ("lnhwc", ()),  # which is found out
            ("lthwc", ("--no-sequence",)),
        )
    ]
    sums = [sum(layer["code_length"] for layer in one["layers"]) for one in lengths]
    assert sums[0] == sums[1] == sums[2] < 0.9 * sums[3]


def test_axes_that_are_none(train_alone: Callable[..., Result]) -> None:
    assert_refused(
        train_alone("--axes", "xyz"),
        '--data or --axes: axes must be auto, or letters, as in lnhwc or hwc,chw, not "xyz"',
    )


def test_options_change_files(train_alone: Callable[..., Result]) -> None:
    pathlib.Path("train.json").write_text('{"seed": 5, "passes": 0, "steps": 2}')
    pathlib.Path("model.json").write_text('{"units": 3}')
    os.mkdir("others")
    os.rename("codes/3.npz", "others/3.npz")
    options = ("--train-config", "train.json", "--model-config", "model.json", "--model", "shallow")
    assert train_alone(*options, "--validation", "others").exit_code == 0
    config = resolved()
    assert config["model_config"]["units"] == 3
    assert config["model_config"]["layer_depth"] == LAYER_DEPTH
    assert (config["train_config"]["seed"], config["train_config"]["steps"]) == (5, 2)
    assert config["train_config"]["optimiser"] == "adamw"
    assert config["input_config"]["validation"] == ["others"]
    assert saved_model().facts["training_samples"] == 3
    assert {"train_config.json", "model_config.json"} < set(os.listdir("trained"))


@pytest.mark.parametrize("few", [True, False])
def test_a_network_that_adds_nothing_is_left_out(
    train_alone: Callable[..., Result], few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not few:
        monkeypatch.setattr(plan, "MAX_FEW_BITS", 1000)
    monkeypatch.setattr(model_building, "LEAST_GAIN", 0.9)
    *_, left_out, last = train_alone().stdout.splitlines()
    name = plan.FEW_CODES if few else plan.PLENTY
    assert left_out == f"{name} adds too little to the adaptive stage: it is left out"
    model = saved_model()
    assert (model.network, model.facts["model"]) == (None, "adaptive")
    rate = model.facts["validation_rate"]
    assert last.endswith(f": the adaptive stage, in integers, validation rate {rate:.4f}")
    train_alone("--model", "adaptive", folder="alone")
    assert read_model("alone/model.safetensors").model_id == model.model_id
    train_alone("--model", "shallow", folder="kept")  # whoever asks for it gets it
    assert read_model("kept/model.safetensors").network


@contextlib.contextmanager
def interrupting(folder: str, step: int) -> Iterator[Callable[[Update], None]]:
    """In place of curves, an interruption after the fourth step."""

    def draw(update: Update) -> None:
        if update.step == 4:
            raise KeyboardInterrupt

    yield draw


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("options", [(), ("--minutes", "3")])
def test_resume_without_files_ends_with_the_same_model(
    train_alone: Callable[..., Result],
    options: tuple[str, ...],
    few: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not few:
        monkeypatch.setattr(plan, "MAX_FEW_BITS", 1000)
    # The clock says something else each time.
    steps = iter([5, 5, 7])

    def measured(config: TrainingConfig, minutes: float, *_: object) -> TrainingConfig:
        assert minutes == 3
        return config.model_copy(update={"steps": next(steps), "steps_per_evaluation": 2})

    monkeypatch.setattr(plan, "within_minutes", measured)
    assert train_alone(*options, folder="whole").exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr(curves, "drawing_curves", interrupting)
        assert train_alone(*options).exit_code == 130
    assert not os.path.exists("trained/model.safetensors")
    assert train_alone(*options, "--resume").exit_code == 0
    for name in ("model.safetensors", "checkpoint.safetensors", "resolved_config.json"):
        ours, theirs = (pathlib.Path(folder, name) for folder in ("trained", "whole"))
        assert ours.read_bytes() == theirs.read_bytes(), name


def test_lines_off_a_terminal(
    train_alone: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_progress, "SECONDS", 0.0)
    lines = train_alone().stdout.splitlines()
    speed = r"\d+\.\d\d million bits a second"
    assert re.fullmatch(f"reading codes: {speed}", lines[0])
    assert sum(line.startswith("codes: ") for line in lines) == 1
    for label in ("adaptive stage", "building the model"):
        shown = [line for line in lines if line.startswith(label)]
        assert len(shown) > 3
        shares = [int(re.findall(r": (\d+)%, ", line)[0]) for line in shown]
        assert shares == sorted(shares)
        assert shares[-1] == 100
        assert all(re.search(f"{speed}, (\\d+) (s|min) left$", line) for line in shown)
    steps = [line for line in lines if line.startswith("step ")]
    assert [line.split(":")[0] for line in steps] == [f"step {i} of 8" for i in range(1, 9)]
    assert ["layers" in line for line in steps] == [i in (3, 6, 8) for i in range(1, 9)]
    assert all(re.search(rf"rate 0\.\d{{4}}.*, {speed}, \d+ s left$", line) for line in steps)


def test_layers_that_nobody_says(train_alone: Callable[..., Result]) -> None:
    np.save("codes/flat.npy", averaged_codes((6, 7, 3 * LAYER_DEPTH), seed=8))
    assert train_alone().stderr == (
        "nncodec: codes/flat.npy: has the axes hwc, which do not say how many bits a layer has; "
        "give --layer-depth\n"
    )
    assert train_alone("--resume", "--layer-depth", str(LAYER_DEPTH)).exit_code == 0


def test_resume_where_what_was_decided_is_damaged(train_alone: Callable[..., Result]) -> None:
    os.mkdir("trained")
    for content in ("{", "[]", "{}"):
        pathlib.Path("trained/resolved_config.json").write_text(content)
        assert train_alone("--resume").stderr == (
            "nncodec: trained/resolved_config.json: is damaged; bring it back, or begin in a new "
            "folder\n"
        )


def test_usage(run: Run) -> None:
    nothing = invoke("train", "--train-dir", "trained")
    assert nothing.exit_code == 2
    assert "nothing to train on; give --data PATH, or --input-config FILE" in nothing.stderr
    assert run(model="transformer").exit_code == 2
    assert run("--device", "tpu").exit_code == 2


def test_codes_that_do_not_fit(run: Run) -> None:
    write_configs(model={"layer_count": 2})
    result = run()
    assert result.stderr.startswith("nncodec: codes/0.npz: the number of layers, 3, is above")
