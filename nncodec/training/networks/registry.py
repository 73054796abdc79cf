"""The networks by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nncodec.errors import ModelError

if TYPE_CHECKING:
    from nncodec.training.networks.network import Network

NETWORKS = {
    "progressive": ("nncodec.training.networks.progressive", "Progressive", "ProgressiveConfig"),
    "grouped": ("nncodec.training.networks.grouped", "Grouped", "GroupedConfig"),
}
"""Name of a network: module, class, configuration class. Imported when one is made."""


def make_network(name: str, config: Mapping[str, Any]) -> Network:
    """Makes an untrained network.

    Args:
        name: one of NETWORKS.
        config: the configuration words, as a model configuration file has them.

    Returns:
        The network, its weights drawn from PyTorch's random numbers.

    Raises:
        ModelError: no such network, or a word is unknown, missing, or has no possible value.
    """
    if name not in NETWORKS:
        raise ModelError(f"there is no network {name!r}; there are {', '.join(NETWORKS)}")
    module_name, class_name, config_name = NETWORKS[name]
    module = import_module(module_name)
    words = dataclasses.fields(getattr(module, config_name))
    unknown = sorted(set(config) - {word.name for word in words})
    if unknown:
        known = ", ".join(word.name for word in words)
        raise ModelError(f"network {name} has no word {unknown[0]!r}; it has {known}")
    missing = [
        word.name
        for word in words
        if word.default is dataclasses.MISSING and word.name not in config
    ]
    if missing:
        raise ModelError(f"network {name} needs the word {missing[0]!r}")
    network: Network = getattr(module, class_name)(getattr(module, config_name)(**config))
    return network
