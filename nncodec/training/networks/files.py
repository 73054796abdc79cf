"""Float networks <-> files, for the training of encoders and for the float reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nncodec.errors import ModelError
from nncodec.files.streams import file_label, naming
from nncodec.training.checkpoints import Checkpoint, copy_tensors, read_checkpoint, write_checkpoint
from nncodec.training.networks.network import Network
from nncodec.training.networks.registry import NETWORKS, make_network


def save_network(network: Network, path: str, facts: Mapping[str, Any] | None = None) -> None:
    """Writes a float network, in place of another file.

    Args:
        network: one of the registry's.
        path: of the safetensors file.
        facts: how it was made, as JSON has it.

    Raises:
        NncodecError: the file cannot be written.
    """
    kind = type(network).__name__
    names = [name for name, entry in NETWORKS.items() if entry.network == kind]
    config = network.config.model_dump()
    state = {"name": names[0], "config": config, "facts": dict(facts or {})}
    write_checkpoint(path, Checkpoint({"network": network.state_dict()}, state))


def load_network(path: str) -> Network:
    """Reads a float network, as `nncodec train` leaves it in network.safetensors.

    Returns:
        The network, on the CPU, in evaluation mode.

    Raises:
        NncodecError: the file cannot be read, is damaged, or holds no network.
    """
    file = read_checkpoint(path, "give a network.safetensors, which nncodec train leaves")
    with naming(file_label(path)):
        if "name" not in file.state:
            raise ModelError("holds the state of a training; give network.safetensors beside it")
        network = make_network(file.state["name"], file.state["config"])
        copy_tensors(file.groups["network"], network.state_dict())
    return network.eval()
