"""The networks by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nncodec.errors import ModelError, NncodecError

if TYPE_CHECKING:
    from nncodec.training.configs import ModelConfig
    from nncodec.training.networks.network import Network


@dataclass(frozen=True)
class NetworkEntry:
    """Where a network is defined. Its module is imported when the network is needed.

    Attributes:
        module: the full name of the module.
        network, config: the names of the classes in it.
    """

    module: str
    network: str
    config: str


NETWORKS = {
    "progressive": NetworkEntry(
        "nncodec.training.networks.progressive", "Progressive", "ProgressiveConfig"
    ),
    "shallow": NetworkEntry("nncodec.training.networks.shallow", "Shallow", "ShallowConfig"),
    "residual-64": NetworkEntry("nncodec.training.networks.residual", "Residual", "ResidualConfig"),
    "residual-112": NetworkEntry("nncodec.training.networks.residual", "Residual", "LargeConfig"),
}


def config_class(name: str) -> type[ModelConfig]:
    """Gives the class of a network's configuration.

    Raises:
        ModelError: there is no such network.
    """
    entry = _entry(name)
    found: type[ModelConfig] = getattr(import_module(entry.module), entry.config)
    return found


def make_network(name: str, config: Mapping[str, Any], *, seed: int | None = None) -> Network:
    """Makes an untrained network.

    Args:
        name: one of NETWORKS.
        config: the keys and values of a model configuration file.
        seed: of PyTorch's random numbers, from which the weights are drawn; by default they go on.

    Returns:
        The network.

    Raises:
        ModelError: there is no such network, or a key is unknown, missing, or has no possible
            value.
    """
    import torch

    from nncodec.training.configs import make_config

    entry = _entry(name)
    try:
        checked = make_config(config_class(name), config)
    except NncodecError as error:
        raise ModelError(f"network {name}: {error}") from error
    if seed is not None:
        torch.manual_seed(seed)
    network: Network = getattr(import_module(entry.module), entry.network)(checked)
    return network


def _entry(name: str) -> NetworkEntry:
    if name not in NETWORKS:
        raise ModelError(f"there is no network {name!r}; there are {', '.join(NETWORKS)}")
    return NETWORKS[name]
