"""The command that trains a model.

A training folder holds the three configurations as they were given, `resolved_config.json` with the
values of all keys, the last checkpoint, and in the end the float network and the model;
TensorBoard's events too, where that is installed.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from nncodec.commands.options import device_option, quiet_option
from nncodec.commands.terminal import print_text, progress_bar
from nncodec.commands.training_progress import showing_training
from nncodec.errors import NncodecError
from nncodec.files.model_files import ADAPTIVE, save_model
from nncodec.files.streams import file_label, naming, open_output
from nncodec.model.model import Model
from nncodec.training import require_packages
from nncodec.training.networks.registry import NETWORKS, config_class, make_network

if TYPE_CHECKING:
    from nncodec.model.adaptive.start import Start
    from nncodec.training.configs import ConfigFile, InputConfig, ModelConfig, TrainingConfig
    from nncodec.training.data.code_sets import CodeSets
    from nncodec.training.networks.network import Network
    from nncodec.training.trainer import Trained, Trainer, Update

CHECKPOINT = "checkpoint.safetensors"
MODEL = "model.safetensors"
NETWORK = "network.safetensors"

MAX_BITS_BESIDE = 1 << 25
"""Above, a network is trained by itself, because the adaptive stage would take too long first."""


@click.command()
@click.option(
    "--model",
    type=click.Choice([*NETWORKS, ADAPTIVE]),
    default="grouped",
    show_default=True,
    help="The network; adaptive for none, only the start of the adaptive stage.",
)
@click.option("--model-config", required=True, metavar="FILE", help="JSON: layer_depth and so on.")
@click.option("--train-config", required=True, metavar="FILE", help="JSON: batch_size and so on.")
@click.option("--input-config", required=True, metavar="FILE", help="JSON: data and so on.")
@click.option("--train-dir", required=True, metavar="FOLDER", help="Where everything is kept.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in the folder, if any.")
@device_option
@quiet_option
def train(
    model: str,
    model_config: str,
    train_config: str,
    input_config: str,
    train_dir: str,
    resume: bool,
    device: str,
    quiet: bool,
) -> None:
    """Trains a model for the codes of an encoder, and writes FOLDER/model.safetensors.

    Beside it lies network.safetensors, the float network.

    Stops when validation codes no longer get smaller. Whatever interrupts it, --resume goes on from
    the last evaluation and ends with the same model. Several processes train together if torchrun
    starts them.

    \b
    Example:
      nncodec train --model-config model.json --train-config train.json \\
        --input-config input.json --train-dir trained
      torchrun --nproc-per-node 2 --no-python nncodec train --model-config ...
    """
    require_packages("training", pydantic="pydantic")
    if model != ADAPTIVE:
        require_packages("training a network", torch="PyTorch")
    configs = _read_configs(model, model_config, train_config, input_config)
    if model == ADAPTIVE:
        _train_adaptive(_Run(configs, train_dir, resume, quiet))
    else:
        _train_network(_Run(configs, train_dir, resume, quiet), device)


@dataclass(frozen=True)
class _Configs:
    """The configurations of a training.

    Attributes:
        name: of the network, or ADAPTIVE.
        model, training, input_: what is in the files.
        files: by the names under which the training folder keeps them.
    """

    name: str
    model: ModelConfig
    training: TrainingConfig
    input_: InputConfig
    files: dict[str, ConfigFile]

    def facts(self) -> dict[str, Any]:
        model_config = self.model.model_dump()
        return {"model": self.name, "model_config": model_config, "data": self.input_.data}


def _read_configs(name: str, model: str, training: str, input_: str) -> _Configs:
    from nncodec.training.configs import InputConfig, ModelConfig, TrainingConfig, read_config_file

    paths = {"model_config": model, "train_config": training, "input_config": input_}
    files = {f"{key}.json": read_config_file(path) for key, path in paths.items()}
    model_file, training_file, input_file = files.values()
    return _Configs(
        training=training_file.parse(TrainingConfig),
        input_=input_file.parse(InputConfig),
        model=model_file.parse(ModelConfig if name == ADAPTIVE else config_class(name)),
        name=name,
        files=files,
    )


@dataclass(frozen=True)
class _Run:
    """A training in a folder.

    Attributes:
        configs: what is trained, and how.
        folder: where everything is kept.
        resume: whether the folder may have a checkpoint to go on from.
        quiet: whether to print nothing.
    """

    configs: _Configs
    folder: str
    resume: bool
    quiet: bool

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def prepare_folder(self) -> None:
        with naming(file_label(self.folder)):
            os.makedirs(self.folder, exist_ok=True)
            if os.listdir(self.folder) and not self.resume:
                raise NncodecError(
                    "is not empty; add --resume to go on in it, or name another folder"
                )

    def read_code_sets(self) -> CodeSets:
        from nncodec.training.data.code_sets import read_code_sets

        training = self.configs.training
        with progress_bar("reading codes", 0, self.quiet) as progress:
            return read_code_sets(
                self.configs.input_,
                self.configs.model,
                validation_share=training.validation_share,
                seed=training.seed,
                progress=progress,
            )

    def save_configs(self) -> None:
        configs = self.configs
        contents = {name: file.content for name, file in configs.files.items()}
        resolved = {
            "model": configs.name,
            "model_config": configs.model.model_dump(),
            "train_config": configs.training.model_dump(),
            "input_config": configs.input_.model_dump(),
        }
        contents["resolved_config.json"] = json.dumps(resolved, indent=2).encode() + b"\n"
        for name, content in contents.items():
            with open_output(self.path(name), force=True) as file:
                file.write(content)

    def save_model(
        self, network: Network | None, start: Start | None, sets: CodeSets, facts: dict[str, Any]
    ) -> None:
        """Turns what was trained into a model, in integers and with a start, and writes it."""
        from nncodec.training.model_building import bits_to_build, build_model

        files = sets.training.files, sets.validation.files
        bits = bits_to_build(*files, beside_start=start is not None, network=network is not None)
        with progress_bar("building the model", bits, self.quiet) as progress:
            model = build_model(
                network,
                *files,
                layer_count=self.configs.model.layer_count,
                start=start,
                progress=progress,
            )
        path = self.path(MODEL)
        save_model(Model(model.start, model.network, {**facts, **model.facts}), path)
        self.report(path, model.facts["validation_rate"])

    def report(self, path: str, rate: float | None, name: str = "") -> None:
        """Prints what was written, and its rate on validation codes if there are any."""
        said = [name] if name else []
        said += [f"validation rate {rate:.4f}"] if rate else []
        if not self.quiet:
            print_text(": ".join(filter(None, [file_label(path), ", ".join(said)])))


def _train_adaptive(run: _Run) -> None:
    from nncodec.training.configs import library_versions

    run.prepare_folder()
    sets = run.read_code_sets()
    run.save_configs()
    facts = run.configs.facts() | {"versions": library_versions("numpy")}
    run.save_model(None, None, sets, facts)


def _train_network(run: _Run, device: str) -> None:
    from nncodec.training.distributed import join_process_group
    from nncodec.training.networks.files import save_network
    from nncodec.training.trainer import Trainer

    configs = run.configs
    with join_process_group(device) as group:
        if group.rank == 0:
            run.prepare_folder()
        else:
            run = _Run(configs, run.folder, run.resume, quiet=True)
        group.wait()
        sets = run.read_code_sets()
        network = make_network(configs.name, configs.model.model_dump(), seed=configs.training.seed)
        start = None
        if _start_comes_first(configs, network, sets):
            start, sets = _fit_start_first(run, sets)
        trainer = Trainer(network, sets.training, sets.validation, configs.training, group)
        checkpoint = run.path(CHECKPOINT)
        if run.resume and os.path.exists(checkpoint):
            trainer.load(checkpoint)
        if group.rank > 0:
            trainer.run()
            return
        run.save_configs()
        trained = _train_visibly(run, trainer)
    facts = configs.facts() | trained.facts | {"start_fitting": "first" if start else "last"}
    save_network(trained.network, run.path(NETWORK), facts)
    if trained.network.integer_form:
        run.save_model(trained.network, start, sets, facts)
        return
    run.report(run.path(NETWORK), facts["network_validation_rate"], configs.name)
    if not run.quiet:
        print_text(f"{configs.name} has no integer form: it measures codes, and codes none")


def _train_visibly(run: _Run, trainer: Trainer) -> Trained:
    from nncodec.training.curves import drawing_curves

    config = run.configs.training
    with (
        drawing_curves(run.folder, trainer.step) as draw,
        showing_training(config, trainer.step, run.quiet) as show,
    ):

        def watch(update: Update) -> None:
            show(update)
            draw(update)

        return trainer.run(run.path(CHECKPOINT), watch)


def _start_comes_first(configs: _Configs, network: Network, sets: CodeSets) -> bool:
    from nncodec.training.configs import SYNTHETIC

    order = configs.training.start_fitting
    if order != "auto":
        return order == "first"
    endless = configs.input_.data == SYNTHETIC
    return network.integer_form and not endless and sets.training.bits <= MAX_BITS_BESIDE


def _fit_start_first(run: _Run, sets: CodeSets) -> tuple[Start, CodeSets]:
    """Fits the start of the adaptive stage; gives it, and both sets with the stage's logits."""
    from nncodec.training.data.batches import CodeSet
    from nncodec.training.data.code_sets import CodeSets
    from nncodec.training.model_building import bits_to_fit, fit_first_files
    from nncodec.training.start_fitting import left_by_stage

    bits = bits_to_fit(sets.training.files) + sets.training.bits + sets.validation.bits
    with progress_bar("adaptive stage", bits, run.quiet) as progress:
        layer_count = run.configs.model.layer_count
        start = fit_first_files(sets.training.files, layer_count, progress=progress)
        model = Model(start)
        with_logits = (
            CodeSet(codes.files, [left_by_stage(file, model, progress) for file in codes.files])
            for codes in sets
        )
        return start, CodeSets(*with_logits)
