"""The command that trains a model."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from nncodec.commands.options import axes_option, device_option, quiet_option
from nncodec.commands.training_folder import (
    CHECKPOINT,
    MODEL,
    NETWORK,
    Configs,
    Given,
    TrainingFolder,
    read_given,
)
from nncodec.commands.training_progress import TrainingProgress
from nncodec.files.model_choice import AUTO
from nncodec.files.model_files import ADAPTIVE, save_model
from nncodec.files.streams import file_label
from nncodec.model.model import Model
from nncodec.training import require_packages
from nncodec.training.networks.registry import NETWORKS, make_network

if TYPE_CHECKING:
    from nncodec.model.adaptive.start import Start
    from nncodec.training.data.code_sets import CodeSets
    from nncodec.training.networks.network import Network
    from nncodec.training.trainer import Trained, Trainer, Update


@click.command()
@click.option(
    "--data",
    multiple=True,
    metavar="PATH",
    help="What to train on: a folder, a code file, a TFRecord file, or a glob; may be repeated.",
)
@click.option(
    "--validation",
    multiple=True,
    metavar="PATH",
    help="What to validate with and never train on; otherwise a tenth of the files, at random.",
)
@click.option("--train-dir", required=True, metavar="FOLDER", help="Where everything is kept.")
@click.option(
    "--model",
    type=click.Choice([AUTO, *NETWORKS, ADAPTIVE]),
    default=AUTO,
    show_default=True,
    help="The network; auto for the one that suits so many codes, or none if it does not help; "
    "adaptive for none, only the start of the adaptive stage.",
)
@click.option(
    "--layer-depth",
    type=click.IntRange(min=1),
    metavar="N",
    help="Bits of a layer at a position; arrays of 5 axes say it themselves.",
)
@axes_option
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True, max=10_000),
    metavar="M",
    help="Train the network for about so many minutes at most, by the time that its first steps "
    "take; what is fitted beside it takes some more.",
)
@click.option("--model-config", metavar="FILE", help="JSON: layer_depth, layer_count and so on.")
@click.option("--train-config", metavar="FILE", help="JSON: batch_size and so on.")
@click.option("--input-config", metavar="FILE", help="JSON: data, axes and so on.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in the folder, if any.")
@device_option
@quiet_option
def train(
    data: tuple[str, ...],
    validation: tuple[str, ...],
    train_dir: str,
    model: str,
    layer_depth: int | None,
    axes: str,
    minutes: float | None,
    model_config: str | None,
    train_config: str | None,
    input_config: str | None,
    resume: bool,
    device: str,
    quiet: bool,
) -> None:
    """Trains a model for the codes of an encoder, and writes FOLDER/model.safetensors.

    Beside it lies network.safetensors, the float network. The files of the original coder's
    configurations are optional; without them, everything follows from the codes.

    Stops when validation codes have not become smaller for ten evaluations, and keeps the best.
    Whatever interrupts it, --resume goes on from the last evaluation and ends with the same model.
    Several processes train together if torchrun starts them.

    \b
    Example:
      nncodec train --data codes --train-dir trained
      nncodec train --data codes --validation others --minutes 20 --train-dir trained
      torchrun --nproc-per-node 2 --no-python nncodec train --data codes ...
    """
    if not data and not input_config:
        raise click.UsageError("nothing to train on; give --data PATH, or --input-config FILE")
    if minutes is not None and math.isnan(minutes):
        raise click.UsageError("--minutes is no number; give one above 0")
    require_packages("training", pydantic="pydantic")
    if model != ADAPTIVE:
        require_packages("training a network", torch="PyTorch")
    progress = TrainingProgress(quiet)
    given = read_given(
        model,
        data=data,
        validation=validation,
        layer_depth=layer_depth,
        axes=axes,
        minutes=minutes,
        model_config=model_config,
        train_config=train_config,
        input_config=input_config,
    )
    run = _Run(given, TrainingFolder(train_dir, resume), progress)
    if model == ADAPTIVE:
        _train_adaptive(run)
    else:
        _train_network(run, device)


@dataclass(frozen=True)
class _Run:
    """A training in a folder.

    Attributes:
        given: what is trained, and how.
        folder: where everything is kept.
        progress: what is seen of it.
    """

    given: Given
    folder: TrainingFolder
    progress: TrainingProgress

    def read_code_sets(self) -> CodeSets:
        from nncodec.training.data.code_sets import read_code_sets

        training = self.given.training_config(0)
        with self.progress.bits("reading codes") as progress:
            sets = read_code_sets(
                self.given.input_,
                self.given.layers,
                validation_share=training.validation_share,
                seed=training.seed,
                progress=progress,
            )
        sizes = [
            f"{codes.samples:,} picture{'s' * (codes.samples != 1)} ({codes.bits:,} bits)"
            for codes in sets
        ]
        layers, axes = sets.layers, sets.training.axes
        self.progress.say(
            f"codes: {sizes[0]} to train on, {sizes[1]} to validate with; at most "
            f"{layers['layer_count']} layers of {layers['layer_depth']} bits"
            + (f", axes {axes}" if axes else "")
        )
        return sets

    def save_model(
        self,
        configs: Configs,
        network: Network | None,
        start: Start | None,
        sets: CodeSets,
        facts: dict[str, Any],
    ) -> None:
        """Turns what was trained into a model, in integers and with a start, and writes it."""
        from nncodec.training.model_building import bits_to_build, build_model, worth_its_network

        beside, name = start is not None, configs.name
        candidates = [network]
        if network and self.given.name == AUTO:
            candidates.append(None)
        bits = sum(
            bits_to_build(*sets, beside_start=beside, network=one is not None) for one in candidates
        )
        with self.progress.bits("building the model", bits) as progress:
            model, *without = (
                build_model(
                    one,
                    *sets,
                    layer_count=configs.model.layer_count,
                    start=start,
                    seed=configs.training.seed,
                    progress=progress,
                )
                for one in candidates
            )
        if without and not worth_its_network(model, *without):
            self.progress.say(f"{name} adds too little to the adaptive stage: it is left out")
            (model,), name = without, ADAPTIVE
        path = self.folder.path(MODEL)
        all_facts = {**facts, "model": name, **model.facts}
        save_model(Model(model.start, model.network, all_facts), path)
        what = "the adaptive stage" if model.network is None else f"{name} and the adaptive stage"
        self.report(path, f"{what}, in integers", model.facts["validation_rate"])

    def report(self, path: str, what: str, rate: float | None) -> None:
        """Prints what was written, and its rate on validation codes if there are any."""
        said = f", validation rate {rate:.4f}" if rate else ""
        self.progress.say(f"{file_label(path)}: {what}{said}")


def _train_adaptive(run: _Run) -> None:
    from nncodec.training.configs import library_versions

    run.folder.prepare()
    sets = run.read_code_sets()
    configs, _ = run.folder.configs(run.given, sets)
    run.folder.save_configs(configs, run.given.files)
    facts = configs.facts() | {"versions": library_versions("numpy")}
    run.save_model(configs, None, None, sets, facts)


def _train_network(run: _Run, device: str) -> None:
    from nncodec.training.distributed import join_process_group
    from nncodec.training.networks.files import save_network
    from nncodec.training.plan import bits_of, start_comes_first, within_minutes
    from nncodec.training.trainer import Trainer

    with join_process_group(device) as group:
        if group.rank == 0:
            run.folder.prepare()
        else:
            run = replace(run, progress=TrainingProgress(quiet=True))
        group.wait()
        sets = run.read_code_sets()
        configs, timed = run.folder.configs(run.given, sets, group)
        network = make_network(configs.name, configs.model.model_dump(), seed=configs.training.seed)
        start = None
        if start_comes_first(configs.training, bits_of(sets.training)):
            start, sets = _fit_start_first(run, configs, sets)
        training = configs.training
        if timed and run.given.minutes:
            training = within_minutes(training, run.given.minutes, network, sets.training, group)
            configs = replace(configs, training=training)
        trainer = Trainer(network, sets.training, sets.validation, training, group)
        checkpoint = run.folder.path(CHECKPOINT)
        if run.folder.resume and os.path.exists(checkpoint):
            trainer.load(checkpoint)
        if group.rank > 0:
            trainer.run()
            return
        run.folder.save_configs(configs, run.given.files)
        trained = _train_visibly(run, configs, trainer)
    facts = configs.facts() | trained.facts | {"start_fitting": "first" if start else "last"}
    save_network(trained.network, run.folder.path(NETWORK), facts)
    run.save_model(configs, trained.network, start, sets, facts)


def _train_visibly(run: _Run, configs: Configs, trainer: Trainer) -> Trained:
    from nncodec.training.curve_picture import keeping_curve
    from nncodec.training.curves import drawing_curves

    folder, every = run.folder.folder, configs.training.steps_per_evaluation
    with (
        drawing_curves(folder, trainer.step) as draw,
        keeping_curve(folder, trainer.step, every) as keep,
        run.progress.steps(configs.training, trainer.step) as show,
    ):

        def watch(update: Update) -> None:
            show(update)
            draw(update)
            keep(update)

        return trainer.run(run.folder.path(CHECKPOINT), watch)


def _fit_start_first(run: _Run, configs: Configs, sets: CodeSets) -> tuple[Start, CodeSets]:
    """Fits the start of the adaptive stage; gives it, and both sets with the stage's logits."""
    from nncodec.training.data.code_sets import CodeSets
    from nncodec.training.model_building import beside_stage, bits_to_fit, fit_some_files

    seed, layer_count = configs.training.seed, configs.model.layer_count
    bits = bits_to_fit(sets.training) + sets.training.bits + sets.validation.bits
    with run.progress.bits("adaptive stage", bits) as progress:
        start = fit_some_files(sets.training, layer_count, seed=seed, progress=progress)
        model = Model(start)
        return start, CodeSets(*(beside_stage(codes, model, progress) for codes in sets))
