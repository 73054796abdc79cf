"""Training: minimises the code length of codes under a network.

    codes -- batches -- network -- code length per bit -- gradient -- Adam -- parameters
                           |
                           +---- rate on validation codes -- the best parameters -- checkpoint

A run is a function of the network that it starts with, the codes, the configuration and the number
of processes. Batches and dropout follow from the seed and the step, so a run that goes on from a
checkpoint ends with the same parameters, bit for bit on the same machine and number of threads.

Each process of a group (distributed.py) has `batch_size` samples of a step, and the loss is the
mean over all samples: 2 processes of 4 do what one does with 8. Only dropout and the rounding of
sums differ. How many threads PyTorch uses is left to the caller.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nncodec.errors import ModelError, NncodecError
from nncodec.files.streams import file_label, naming
from nncodec.training.checkpoints import Checkpoint, copy_tensors, read_checkpoint, write_checkpoint
from nncodec.training.code_length import (
    Inputs,
    LayerRates,
    Rates,
    inputs_of,
    layer_bits,
    loss_of_rates,
    measure,
    sets_beside,
    signs,
)
from nncodec.training.configs import TrainingConfig, library_versions
from nncodec.training.data.batches import CodeSet
from nncodec.training.devices import reproducible
from nncodec.training.distributed import ProcessGroup
from nncodec.training.networks.network import Network
from nncodec.training.optimiser import Optimiser

EVALUATION_BITS = 1 << 22
"""While training, so many validation codes are measured at most: files at random, always those."""

WITHOUT_FRAME = 8
"""In a sequence, one picture of so many is trained on as if there were no frame before it."""

_MAY_CHANGE = ("steps", "patience")  # between an interruption and its continuation


@dataclass(frozen=True)
class Update:
    """The report of a step.

    Attributes:
        step: steps so far.
        learning_rate: of this step.
        bits: code bits of the step in all processes, or about as many.
        training: rates of this process's samples of the step, before it.
        validation: rates after it, if it was followed by an evaluation.
        best: the lowest validation rate so far, if this step was followed by an evaluation.
    """

    step: int
    learning_rate: float
    bits: int
    training: Rates
    validation: Rates | None = None
    best: float | None = None


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        network: with the parameters that were best on validation codes, or with the last ones if
            there are none; on the CPU, in evaluation mode.
        facts: how it came about, as JSON has it.
    """

    network: Network
    facts: dict[str, Any]


class Trainer:
    """A training, which can be interrupted.

    Example:
        trainer = Trainer(network, training_codes, validation_codes, config)
        if os.path.exists("checkpoint.safetensors"):
            trainer.load("checkpoint.safetensors")
        network = trainer.run("checkpoint.safetensors").network
    """

    def __init__(
        self,
        network: Network,
        training: CodeSet,
        validation: CodeSet,
        config: TrainingConfig,
        group: ProcessGroup | None = None,
    ) -> None:
        """Prepares a training.

        Args:
            network: what to train; it is changed, and moved to the device.
            training: codes that fit it.
            validation: others; without any, the last parameters count as the best.
            config: how to train.
            group: the processes that train together; by default this process alone, on the CPU.
        """
        self._group = group or ProcessGroup()
        self._network = network.to(self._group.device)
        self._network.input_dropout = config.input_dropout
        self._training, self._config = training, config
        self._validation = validation.some(EVALUATION_BITS, config.seed)
        batch_size = config.batch_size * self._group.count
        words = {"seed": config.seed, "crop": config.crop}
        words["batch_bits"] = config.batch_bits * self._group.count
        self._batches = training.batches(batch_size, **words)
        beside = sets_beside(network, training)
        self._beside = [one.batches(batch_size, **words) if one else None for one in beside]
        # Codes of the fewest layers leave the most parameters without a gradient.
        fewest = min(range(len(training.shapes)), key=lambda number: training.shapes[number][0])
        example = next(CodeSet([training.files[fewest]]).in_order(1))[:, :8, :8]
        self._loss = self._group.parallel(LayerRates(network), signs(example, self._group.device))
        self._optimiser = Optimiser(network, config, batch_size)
        self._conditions = self._describe()
        self.step = 0
        self._samples = self._stale = self._best_step = 0
        self._best: dict[str, Tensor] = {}
        self._best_rates: Rates | None = None

    @property
    def finished(self) -> bool:
        """Whether there are no steps left, or further ones brought nothing better for too long."""
        return self.step >= self._config.steps or self._stale >= self._config.patience

    def run(
        self, checkpoint: str | None = None, watch: Callable[[Update], object] | None = None
    ) -> Trained:
        """Trains to the end.

        Args:
            checkpoint: a file to write after every evaluation, by the process of rank 0.
            watch: called after every step.

        Raises:
            NncodecError: the code length is no longer finite, or the checkpoint cannot be written.
        """
        config = self._config
        with reproducible(self._group.device):
            while not self.finished:
                update = self._advance()
                if self.step % config.steps_per_evaluation == 0 or self.step == config.steps:
                    rates = self._evaluate()
                    best = self._best_rates.total if self._best_rates else None
                    update = replace(update, validation=rates, best=best)
                    if checkpoint and self._group.rank == 0:
                        self._save(checkpoint)
                if watch:
                    watch(update)
        copy_tensors(self._best, self._network.state_dict())
        return Trained(self._network.cpu().eval(), self._facts())

    def load(self, path: str) -> None:
        """Goes on where a checkpoint was written.

        Args:
            path: of a run under the same conditions; only `steps` and `patience` may differ.

        Raises:
            NncodecError: it cannot be read, is damaged, or is one of another run.
        """
        checkpoint = read_checkpoint(path)
        groups, state = checkpoint.groups, checkpoint.state
        with naming(file_label(path)):
            try:
                self._check_conditions(state["conditions"])
                copy_tensors(groups["network"], self._network.state_dict())
                self._optimiser.load(groups)
                self._best = {name: tensor.clone() for name, tensor in groups["best"].items()}
                self._best_rates = Rates(**state["best"]) if state["best"] else None
                self.step, self._samples = state["step"], state["samples"]
                self._stale, self._best_step = state["stale"], state["best_step"]
            except (KeyError, TypeError) as error:
                raise ModelError(
                    "is a checkpoint without the state of a training; start again in another folder"
                ) from error

    def _advance(self) -> Update:
        config, group = self._config, self._group
        key = np.random.SeedSequence((config.seed, self.step, group.rank))
        torch.manual_seed(int(key.generate_state(1, np.uint64)[0]))
        inputs, size = self._draw(group.rank, group.count), self._batches.size(self.step)
        weight = len(inputs.codes) * group.count / size  # 1 where processes have as many samples
        if not len(inputs.codes):  # the others wait for this process all the same
            inputs = self._draw(0, size)
        self._network.train()
        with torch.autocast(group.device.type, torch.bfloat16, config.mixed_precision):
            layers = self._loss(*inputs)
            bits = layer_bits(self._network, inputs.codes, inputs.coverage)
            loss = loss_of_rates(layers, bits)
        total = (layers * bits).sum() / bits.sum().clamp(min=1)
        rates = Rates(total.item(), layers.tolist())
        self._require_finite(rates)
        learning_rate = self._optimiser.minimise(loss * weight, self.step)
        self.step += 1
        self._samples += size
        return Update(self.step, learning_rate, inputs.codes.numel() * group.count, rates)

    def _draw(self, rank: int, count: int) -> Inputs:
        """Draws a share of this step's batch."""
        codes = self._batches.draw(self.step, rank, count)
        drawn = [one.draw(self.step, rank, count) if one else None for one in self._beside]
        inputs = inputs_of(self._network, self._group.device, codes, *drawn)
        if inputs.frame_before is not None:  # the network has to do without, too
            inputs.frame_before[self.step % WITHOUT_FRAME :: WITHOUT_FRAME] = 0
        return inputs

    def _evaluate(self) -> Rates | None:
        """Measures the validation codes, and keeps the best parameters."""
        rates = measure(self._network, self._validation, self._config.batch_size, self._group)
        if rates:
            self._require_finite(rates)
        if rates is None or self._best_rates is None or rates.total < self._best_rates.total:
            state = self._network.state_dict()
            self._best = {name: tensor.clone() for name, tensor in state.items()}
            self._best_rates, self._best_step, self._stale = rates, self.step, 0
        else:
            self._stale += 1
        return rates

    def _require_finite(self, rates: Rates) -> None:
        if not math.isfinite(rates.total):
            raise NncodecError(
                f"the code length is {rates.total} at step {self.step}; lower learning_rate, or "
                "set clip_norm, in the training configuration"
            )

    def _describe(self) -> dict[str, Any]:
        """Describes the conditions that must be the same for a run to go on."""
        config = self._config.model_dump()
        return {
            "network": type(self._network).__name__,
            **self._network.config.model_dump(),
            **{key: value for key, value in config.items() if key not in _MAY_CHANGE},
            "processes": self._group.count,
            "a model beside it": self._training.beside is not None,
            "checksum of training codes": self._training.checksum(),
            "checksum of validation codes": self._validation.checksum(),
        }

    def _check_conditions(self, theirs: Mapping[str, Any]) -> None:
        for key, value in self._conditions.items():
            if theirs[key] != value:
                raise NncodecError(
                    f"is of a run with {key} {theirs[key]}, not {value}; go on under the same "
                    "conditions, or start again in another folder"
                )

    def _save(self, path: str) -> None:
        groups = {
            "network": self._network.state_dict(),
            "best": self._best,
            **self._optimiser.state(),
        }
        state = {
            "conditions": self._conditions,
            "step": self.step,
            "samples": self._samples,
            "stale": self._stale,
            "best_step": self._best_step,
            "best": asdict(self._best_rates) if self._best_rates else None,
        }
        write_checkpoint(path, Checkpoint(groups, state))

    def _facts(self) -> dict[str, Any]:
        rates = self._best_rates
        return {
            "training_samples": self._training.samples,
            "training_bits": self._training.bits,
            "validation_samples": self._validation.samples,
            "network_validation_rate": rates.total if rates else None,
            "network_validation_layer_rates": rates.layers if rates else None,
            "steps": self._best_step,
            "last_step": self.step,
            "samples_seen": self._samples,
            "training_config": self._config.model_dump(),
            "seed": self._config.seed,
            "processes": self._group.count,
            "device": self._group.device.type,
            "parameters": sum(weights.numel() for weights in self._network.parameters()),
            "versions": library_versions("torch", "numpy"),
        }
