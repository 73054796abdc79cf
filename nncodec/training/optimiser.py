"""Adam, as the original trains with it or as others do, and its state by names of parameters."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nncodec.training.configs import TrainingConfig

_BETAS = {"original": (0.9, 0.999), "adamw": (0.9, 0.98)}
_STATE = ("step", "exp_avg", "exp_avg_sq")  # what PyTorch keeps of a parameter


class Optimiser:
    """Adam with decoupled weight decay, a learning rate for every step, and clipped gradients."""

    def __init__(self, module: nn.Module, config: TrainingConfig, batch_size: int) -> None:
        """Prepares the optimiser.

        Args:
            module: whose parameters it changes.
            config: how.
            batch_size: samples of a step in all processes together.
        """
        self._config, self._batch_size = config, batch_size
        self._parameters = dict(module.named_parameters())
        self._adam = torch.optim.AdamW(
            module.parameters(),
            betas=_BETAS[config.optimiser],
            eps=config.epsilon,
            weight_decay=config.weight_decay,
        )

    def minimise(self, loss: Tensor, step: int) -> float:
        """Changes the parameters once.

        Args:
            loss: a scalar.
            step: its number, from 0.

        Returns:
            The learning rate.
        """
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        if self._config.clip_norm:
            nn.utils.clip_grad_norm_(self._parameters.values(), self._config.clip_norm)
        rate = self._config.learning_rate_at(step, self._batch_size)
        options = {"lr": rate}
        if self._config.optimiser == "original":
            # PyTorch adds epsilon to the root of the corrected second moment, TensorFlow to that of
            # the uncorrected one. With the original's 1.0 they are different trainings.
            correction = math.sqrt(1 - _BETAS["original"][1] ** (step + 1))
            options["eps"] = self._config.epsilon / correction
        self._adam.param_groups[0] |= options
        self._adam.step()
        return rate

    def state(self) -> dict[str, dict[str, Tensor]]:
        """Gives its state, by kind and by parameter, of all that ever had a gradient."""
        states = {
            name: self._adam.state[parameter]
            for name, parameter in self._parameters.items()
            if parameter in self._adam.state
        }
        return {f"adam_{key}": {name: states[name][key] for name in states} for key in _STATE}

    def load(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Takes over what `state` gave; other kinds are ignored.

        Raises:
            KeyError: a part of it is missing.
        """
        for name in state[f"adam_{_STATE[0]}"]:
            parameter = self._parameters[name]
            values = {key: state[f"adam_{key}"][name].clone() for key in _STATE}
            # PyTorch counts the steps of a parameter on the CPU.
            self._adam.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device)
                for key, value in values.items()
            }
