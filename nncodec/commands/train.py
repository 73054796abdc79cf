"""The command that trains a model.

A training folder holds the three configurations as they were given, `resolved_config.json` with the
values of all keys, the last checkpoint, and in the end the float network and the model;
TensorBoard's events too, where that is installed.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from nncodec.commands.options import device_option, quiet_option
from nncodec.commands.terminal import print_text, progress_bar
from nncodec.commands.training_progress import watching
from nncodec.errors import NncodecError
from nncodec.files.model_files import ADAPTIVE
from nncodec.files.streams import file_label, naming, open_output
from nncodec.training.configs import (
    SYNTHETIC,
    ConfigFile,
    InputConfig,
    Layers,
    TrainingConfig,
    library_versions,
    read_config_file,
)
from nncodec.training.data.batches import CodeSet
from nncodec.training.data.code_sets import read_code_sets
from nncodec.training.networks.registry import NETWORKS, make_network

if TYPE_CHECKING:
    from nncodec.model.adaptive.start import Start
    from nncodec.training.networks.network import Network, NetworkConfig

CHECKPOINT = "checkpoint.safetensors"
MODEL = "model.safetensors"
NETWORK = "network.safetensors"

MAX_BITS_BESIDE = 1 << 25
"""Above, a network is trained by itself, because the adaptive stage would take too long first."""


@dataclass(frozen=True)
class _Configs:
    """What the command was given.

    Attributes:
        model: a network's name, or ADAPTIVE.
        words: of its configuration, all of them.
    """

    model: str
    words: dict[str, Any]
    layers: Layers
    training: TrainingConfig
    input_: InputConfig
    files: dict[str, ConfigFile]

    def facts(self) -> dict[str, Any]:
        return {"model": self.model, "model_config": self.words, "data": self.input_.data}


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
    configs = _read_configs(model, model_config, train_config, input_config)
    if model == ADAPTIVE:
        _prepare(train_dir, resume)
        training, validation = _read_sets(configs, quiet)
        _save_configs(configs, train_dir)
        facts = configs.facts() | {"versions": library_versions("numpy")}
        _write_model(None, None, training, validation, configs, facts, train_dir, quiet)
        return
    import torch

    from nncodec.training.distributed import join_processes
    from nncodec.training.networks.files import save_network
    from nncodec.training.trainer import Trainer

    with join_processes(device) as processes:
        quiet = quiet or processes.rank > 0
        if processes.rank == 0:
            _prepare(train_dir, resume)
        processes.wait()
        training, validation = _read_sets(configs, quiet)
        torch.manual_seed(configs.training.seed)
        network = make_network(model, configs.words)
        start = None
        if _start_comes_first(configs, network, training):
            start, training, validation = _beside_stage(configs, training, validation, quiet)
        trainer = Trainer(network, training, validation, configs.training, processes)
        checkpoint = os.path.join(train_dir, CHECKPOINT)
        if resume and os.path.exists(checkpoint):
            trainer.load(checkpoint)
        if processes.rank > 0:
            trainer.run()
            return
        _save_configs(configs, train_dir)
        with watching(configs.training, trainer.step, train_dir, quiet) as watch:
            trained = trainer.run(checkpoint, watch)
    facts = configs.facts() | trained.facts | {"start_fitting": "first" if start else "last"}
    save_network(trained.network, os.path.join(train_dir, NETWORK), facts)
    if not trained.network.integer_form:
        if not quiet:
            rate = facts["network_validation_rate"]
            measured = f", validation rate {rate:.4f}" if rate else ""
            print_text(f"{file_label(os.path.join(train_dir, NETWORK))}: {model}{measured}")
            print_text(f"{model} has no integer form: it measures codes, and codes none")
        return
    _write_model(trained.network, start, training, validation, configs, facts, train_dir, quiet)


def _read_configs(model: str, model_config: str, train_config: str, input_config: str) -> _Configs:
    files = {
        "model_config.json": read_config_file(model_config),
        "train_config.json": read_config_file(train_config),
        "input_config.json": read_config_file(input_config),
    }
    model_file, train_file, input_file = files.values()
    training, input_ = train_file.parse(TrainingConfig), input_file.parse(InputConfig)
    if model == ADAPTIVE:
        layers = model_file.parse(Layers)
        return _Configs(model, asdict(layers), layers, training, input_, files)
    if find_spec("torch") is None:
        raise NncodecError(
            "training a network needs PyTorch, which is not installed; run: pip install torch"
        )
    module, _, config_class = NETWORKS[model]
    config: NetworkConfig = model_file.parse(getattr(import_module(module), config_class))
    layers = Layers(config.layer_depth, config.layer_count, config.coded_layer_count)
    return _Configs(model, asdict(config), layers, training, input_, files)


def _read_sets(configs: _Configs, quiet: bool) -> tuple[CodeSet, CodeSet]:
    training = configs.training
    with progress_bar("reading codes", 0, quiet) as progress:
        return read_code_sets(
            configs.input_,
            configs.layers,
            validation_share=training.validation_share,
            seed=training.seed,
            progress=progress,
        )


def _prepare(train_dir: str, resume: bool) -> None:
    with naming(file_label(train_dir)):
        os.makedirs(train_dir, exist_ok=True)
        if os.listdir(train_dir) and not resume:
            raise NncodecError("is not empty; add --resume to go on in it, or name another folder")


def _save_configs(configs: _Configs, train_dir: str) -> None:
    contents = {name: file.content for name, file in configs.files.items()}
    resolved = {
        "model": configs.model,
        "model_config": configs.words,
        "train_config": asdict(configs.training),
        "input_config": asdict(configs.input_),
    }
    contents["resolved_config.json"] = json.dumps(resolved, indent=2).encode() + b"\n"
    for name, content in contents.items():
        with open_output(os.path.join(train_dir, name), force=True) as file:
            file.write(content)


def _start_comes_first(configs: _Configs, network: Network, training: CodeSet) -> bool:
    order = configs.training.start_fitting
    if order != "auto":
        return order == "first"
    endless = configs.input_.data == SYNTHETIC
    return network.integer_form and not endless and training.bits <= MAX_BITS_BESIDE


def _beside_stage(
    configs: _Configs, training: CodeSet, validation: CodeSet, quiet: bool
) -> tuple[Start, CodeSet, CodeSet]:
    """Fits the start of the adaptive stage; gives it, and both sets with what the stage says."""
    from nncodec.model.model import Model
    from nncodec.training.model_building import bits_to_fit, fit_some
    from nncodec.training.start_fitting import left_by_stage

    bits = bits_to_fit(training.files) + training.bits + validation.bits
    with progress_bar("adaptive stage", bits, quiet) as progress:
        start = fit_some(training.files, configs.layers.layer_count, progress=progress)
        model = Model(start)
        training, validation = (
            CodeSet(codes.files, [left_by_stage(file, model, progress) for file in codes.files])
            for codes in (training, validation)
        )
    return start, training, validation


def _write_model(
    network: Network | None,
    start: Start | None,
    training: CodeSet,
    validation: CodeSet,
    configs: _Configs,
    facts: dict[str, Any],
    train_dir: str,
    quiet: bool,
) -> None:
    """Turns what was trained into a model, in integers and with a start for the adaptive stage."""
    from nncodec.files.model_files import save_model
    from nncodec.training.model_building import bits_to_pass, build_model

    files = training.files, validation.files
    bits = bits_to_pass(*files, beside_start=start is not None, network=network is not None)
    with progress_bar("building the model", bits, quiet) as progress:
        model = build_model(
            network,
            *files,
            layer_count=configs.layers.layer_count,
            start=start,
            facts=facts,
            progress=progress,
        )
    path = os.path.join(train_dir, MODEL)
    save_model(model, path)
    if not quiet:
        rate = model.facts.get("validation_rate")
        print_text(file_label(path) + (f": validation rate {rate:.4f}" if rate else ""))
