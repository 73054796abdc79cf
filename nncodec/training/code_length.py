"""The rate of codes under a float network: what training lowers, and validation measures."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nncodec.errors import ModelError
from nncodec.format.code_tensor import Codes
from nncodec.training.data.batches import CodeSet
from nncodec.training.distributed import ProcessGroup
from nncodec.training.networks.network import Network


@dataclass(frozen=True)
class Rates:
    """Code lengths in bits a code bit.

    Attributes:
        total: of all layers together.
        layers: of each layer.
    """

    total: float
    layers: list[float]


class LayerRates(nn.Module):
    """A module that computes the rate of each layer: a group of processes shares its gradients."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, codes: Tensor, beside: Tensor | None = None) -> Tensor:
        """Computes the rate of each layer, float [layers]; arguments as `Network.code_length`."""
        return self.network.code_length(codes, beside) / layer_bits(self.network, codes.shape)


def loss_of_rates(rates: Tensor) -> Tensor:
    """What is minimised: half the rate of all layers, half the mean of those of the first layers.

    A prefix of a container is a prefix of its layers, so that the first ones count more often.

    Args:
        rates: float [layers], of layers that have the same number of bits.
    """
    of_first = rates.cumsum(0) / torch.arange(1, len(rates) + 1, device=rates.device)
    return (rates.mean() + of_first.mean()) / 2


def layer_bits(network: Network, shape: tuple[int, ...]) -> int:
    """Counts the bits of a layer in codes of shape (samples, height, width, depth)."""
    return math.prod(shape[:3]) * network.config.layer_depth


def signs(codes: Codes, device: torch.device) -> Tensor:
    """Brings uint8 {0, 1} codes to a device as float32 -1/+1."""
    return torch.from_numpy(np.ascontiguousarray(codes)).to(device, torch.float32) * 2 - 1


def floats(logits: npt.NDArray[Any], device: torch.device) -> Tensor:
    """Brings float16 logits to a device as float32."""
    return torch.from_numpy(np.ascontiguousarray(logits)).to(device, torch.float32)


def code_lengths_of_network(network: Network, codes: Codes) -> npt.NDArray[np.float64]:
    """Measures the theoretical size of every layer under a float network.

    Args:
        network: on any device; the last digits may differ from one to another.
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].

    Returns:
        float64, [layers]: sums of -log2 of the probability of every bit, in bits.

    Raises:
        ModelError: the codes do not fit the network.
    """
    if codes.shape[-1] != network.config.layer_depth:
        raise ModelError(
            f"the network is for layers of {network.config.layer_depth} bits, the codes have "
            f"{codes.shape[-1]}; use another"
        )
    group = ProcessGroup(device=next(network.parameters()).device)
    rates = measure(network, CodeSet([codes]), 1, group)
    assert rates
    return np.array([rate * codes[0].size for rate in rates.layers], dtype=np.float64)


@torch.no_grad()
def measure(
    network: Network, codes: CodeSet, batch_size: int, group: ProcessGroup | None = None
) -> Rates | None:
    """Measures codes under a network, without changing either.

    Args:
        network: on the device of this process, in whatever mode.
        codes: which fit it.
        batch_size: how many samples to take at once.
        group: the processes that measure together, each a share of the codes; by default this
            process alone, on the CPU.

    Returns:
        The rates of all codes together, the same in each process; None if there are no codes.
    """
    group = group or ProcessGroup()
    was_training = network.training
    network.eval()
    sums = torch.zeros(2, network.config.layer_count, dtype=torch.float64)
    beside = codes.beside.in_order(batch_size) if codes.beside else itertools.repeat(None)
    batches = zip(codes.in_order(batch_size), beside, strict=False)  # the latter may be endless
    for number, (batch, logits) in enumerate(batches):
        if number % group.count == group.rank:
            others = None if logits is None else floats(logits, group.device)
            lengths = network.code_length(signs(batch, group.device), others).cpu()
            sums[0, : len(lengths)] += lengths
            sums[1, : len(lengths)] += layer_bits(network, batch.shape)
    network.train(was_training)
    lengths, bits = group.sum(sums)
    if not bits.any():
        return None
    return Rates((lengths.sum() / bits.sum()).item(), (lengths / bits)[bits > 0].tolist())
