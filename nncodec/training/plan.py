"""How codes are trained on where nobody says: by which network, in which order, for how long.

    few code bits   start of the adaptive stage ── network beside it, on what it leaves ── model
    plenty          network by itself ── start of the adaptive stage beside it ── model

With few, a network knows the training codes by heart before it knows what they have in common, so
it is small, sees them through much dropout, and has only to find what the stage leaves.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nncodec.training.configs import TrainingConfig, make_config
from nncodec.training.data.batches import CodeSet, SyntheticSet
from nncodec.training.devices import has_fast_bfloat16

if TYPE_CHECKING:
    import torch

    from nncodec.training.distributed import ProcessGroup
    from nncodec.training.networks.network import Network

FEW_CODES = "shallow"
"""The network for few codes, which is trained beside the start of the adaptive stage."""

FEW_CODES_CONFIG = {"units": 4, "earlier_layers": 5}
"""What its configuration has in place of its defaults."""

PLENTY = "residual-64"
"""The network for plenty of codes."""

MAX_FEW_BITS = 1 << 25
"""So many code bits are few: of more, the adaptive stage would take too long to go first."""

STEPS = (600, 30_000)
"""The fewest and the most steps that `passes` can mean."""

EVALUATIONS = 20
"""How many evaluations there are of a training whose length follows from `passes`."""

BATCH_BITS = 460_000
_BATCHES = 12  # at least, of the codes of a training

FEW_PASSES = 640e6, 20.0, 250.0
PLENTY_PASSES = 14e9, 12.0, 60.0
"""How many bits a network sees by default, of few codes and of plenty, each again and again; and
how often at least, and at most."""

_ALWAYS: dict[str, Any] = {
    "batch_size": 1,
    "learning_rate": 0.002,
    "decay_rate": 1.0,
    "samples_per_decay": 1.0,
    "epsilon": 1e-8,
    "optimiser": "adamw",
    "schedule": "cosine",
    "final_rate": 0.005,
    "warmup_steps": 50,
    "clip_norm": 1.0,
}
_FEW: dict[str, Any] = {
    "learning_rate": 0.004,
    "input_dropout": 0.4,
    "weight_decay": 0.02,
    "patience": 10,
}
_PLENTY: dict[str, Any] = {"weight_decay": 1e-4, "patience": 10}
_ORIGINAL = ("decay_rate", "samples_per_decay")

_TRIAL_STEPS, _FIRST_STEPS = 20, 3  # of a trial; of these, so many are slower than others
_SHARE_OF_STEPS = 0.9  # of the time; the rest is for evaluations


def bits_of(training: CodeSet) -> float:
    """Counts the bits of training codes; there is no end of synthetic ones."""
    return math.inf if isinstance(training, SyntheticSet) else training.bits


def choose_network(bits: float) -> tuple[str, dict[str, int]]:
    """Chooses the network for so many bits of training codes.

    Returns:
        Its name, and keys and values of its configuration that are not its defaults.
    """
    return (FEW_CODES, FEW_CODES_CONFIG) if bits <= MAX_FEW_BITS else (PLENTY, {})


def start_comes_first(config: TrainingConfig, bits: float) -> bool:
    """Whether the start of the adaptive stage is fitted first, and the network beside it."""
    if config.start_fitting != "auto":
        return config.start_fitting == "first"
    return bits <= MAX_FEW_BITS


def training_config(
    values: Mapping[str, Any], bits: float, device: torch.device | None = None
) -> TrainingConfig:
    """Makes the configuration of a training.

    Args:
        values: what a file says, if there is one. One with a key that only the original has says
            everything, as there; otherwise the defaults of this module hold beside it.
        bits: of the training codes.
        device: where it will compute, if that is known.

    Raises:
        NncodecError: a key is unknown or missing, or a value has the wrong type or is out of range.
    """
    if any(key in values for key in _ORIGINAL):
        return make_config(TrainingConfig, values)
    few = bits <= MAX_FEW_BITS
    batch_bits = max(1, int(min(BATCH_BITS, bits / _BATCHES)))
    defaults = _ALWAYS | (_FEW if few else _PLENTY)
    seen, least, most = FEW_PASSES if few else PLENTY_PASSES
    defaults["passes"] = min(max(seen / max(bits, 1), least), most)
    if "batch_size" not in values:
        defaults["batch_bits"] = batch_bits
    if "steps" in values:
        defaults["passes"] = 0
    defaults["mixed_precision"] = not few and device is not None and has_fast_bfloat16(device)
    return make_config(TrainingConfig, defaults | dict(values))


def with_steps(config: TrainingConfig, training: CodeSet, processes: int = 1) -> TrainingConfig:
    """Replaces passes by steps.

    Args:
        config: of a training; without passes it is given back.
        training: the codes.
        processes: how many train together.
    """
    if not config.passes:
        return config
    if config.batch_bits:
        steps = config.passes * training.bits / (config.batch_bits * processes)
    else:
        steps = config.passes * training.samples / (config.batch_size * processes)
    return _of_steps(config, min(max(round(steps), STEPS[0]), STEPS[1]))


def within_minutes(
    config: TrainingConfig,
    minutes: float,
    network: Network,
    training: CodeSet,
    group: ProcessGroup,
) -> TrainingConfig:
    """Lowers the number of steps to what can be done in some minutes, by a trial of some steps.

    A schedule that looked at the clock would be another one each time. So the clock is looked at
    before, and what follows is the number of steps.

    Args:
        config: of the training, without passes.
        minutes: for all steps and evaluations.
        network: which is left as it is.
        training: the codes.
        group: the processes that train together.
    """
    import torch

    from nncodec.training.trainer import Trainer

    times: list[float] = []
    trial = config.model_copy(update={"steps": _TRIAL_STEPS})
    trainer = Trainer(copy.deepcopy(network), training, CodeSet([]), trial, group)
    trainer.run(watch=lambda update: times.append(time.perf_counter()))
    seconds = (times[-1] - times[_FIRST_STEPS]) / (_TRIAL_STEPS - 1 - _FIRST_STEPS)
    # Processes have to agree.
    mean = group.sum(torch.tensor([seconds], dtype=torch.float64)).item() / group.count
    steps = max(1, int(_SHARE_OF_STEPS * 60 * minutes / mean))
    return _of_steps(config, min(steps, config.steps))


def _of_steps(config: TrainingConfig, steps: int) -> TrainingConfig:
    changes = {"steps": steps, "steps_per_evaluation": -(-steps // EVALUATIONS)}
    return config.model_copy(update=changes)
