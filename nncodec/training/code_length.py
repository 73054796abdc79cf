"""The rate of codes under a float network: what training lowers, and validation measures."""

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nncodec.errors import ModelError
from nncodec.format.code_tensor import ABSENT, Codes
from nncodec.training.data.batches import CodeSet
from nncodec.training.distributed import ProcessGroup
from nncodec.training.networks.network import Network


@dataclass(frozen=True)
class Rates:
    """Code lengths in bits a code bit.

    Attributes:
        total: of all layers together.
        layers: of each layer; 0 of one that no position has.
    """

    total: float
    layers: list[float]


class Inputs(NamedTuple):
    """What the code length of a batch is computed of, as `Network.code_length` takes it."""

    codes: Tensor
    beside: Tensor | None
    coverage: Tensor | None
    frame_before: Tensor | None


class LayerRates(nn.Module):
    """A module that computes the rate of each layer: a group of processes shares its gradients."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        codes: Tensor,
        beside: Tensor | None = None,
        coverage: Tensor | None = None,
        frame_before: Tensor | None = None,
    ) -> Tensor:
        """Computes the rate of each layer, float [layers]; arguments as `Network.code_length`."""
        bits = layer_bits(self.network, codes, coverage)
        return self.network.code_length(codes, beside, coverage, frame_before) / bits.clamp(min=1)


def loss_of_rates(rates: Tensor, bits: Tensor) -> Tensor:
    """What is minimised: half the rate of all layers, half the mean of those of the first layers.

    A prefix of a container is a prefix of its layers, so that the first ones count more often.

    Args:
        rates: float [layers].
        bits: integers [layers], how many bits they are of.
    """
    of_first = (rates * bits).cumsum(0) / bits.cumsum(0).clamp(min=1)
    return (of_first[-1] + of_first.mean()) / 2


def layer_bits(network: Network, codes: Tensor, coverage: Tensor | None = None) -> Tensor:
    """Counts the bits of each layer of codes [samples, height, width, depth]: int64 [layers]."""
    layers, depth = len(network.split(codes[:, :1, :1])), network.config.layer_depth
    if coverage is None:
        bits = codes[..., 0].numel() * depth
        return torch.full((layers,), bits, dtype=torch.int64, device=codes.device)
    numbers = torch.arange(layers, device=codes.device)
    return (coverage > numbers[:, None, None, None]).sum(dim=(1, 2, 3)) * depth


def sets_beside(network: Network, codes: CodeSet) -> tuple[CodeSet | None, CodeSet | None]:
    """Gives what is drawn with codes: logits beside the network, the frames before, if it sees
    these."""
    return codes.beside, codes.frames_before if network.sees_frame_before else None


def inputs_of(
    network: Network,
    device: torch.device,
    codes: Codes,
    beside: npt.NDArray[Any] | None = None,
    frame_before: Codes | None = None,
) -> Inputs:
    """Brings a batch, and those of `sets_beside`, to a device."""
    return Inputs(
        signs(codes, device),
        None if beside is None else floats(beside, device),
        coverage_of(codes, network.config.layer_depth, device),
        None if frame_before is None else signs(frame_before, device),
    )


def signs(codes: Codes, device: torch.device) -> Tensor:
    """Brings uint8 {0, 1} codes to a device as float32 -1/+1; those that are ABSENT as 0."""
    numbers = codes.astype(np.int8) * 2 - 1
    numbers[codes == ABSENT] = 0
    return torch.from_numpy(np.ascontiguousarray(numbers)).to(device, torch.float32)


def coverage_of(codes: Codes, layer_depth: int, device: torch.device) -> Tensor | None:
    """Counts the layers of every position of codes [samples, height, width, depth].

    Returns:
        int64 [samples, height, width]; None if every position has all.
    """
    present = codes[..., ::layer_depth] != ABSENT
    if present.all():
        return None
    return torch.from_numpy(present.sum(axis=-1)).to(device)


def floats(logits: npt.NDArray[Any], device: torch.device) -> Tensor:
    """Brings float16 logits to a device as float32."""
    return torch.from_numpy(np.ascontiguousarray(logits)).to(device, torch.float32)


def code_lengths_of_network(
    network: Network, codes: Codes, sequence: bool = False
) -> npt.NDArray[np.float64]:
    """Measures the theoretical size of every layer under a float network.

    Args:
        network: on any device; the last digits may differ from one to another.
        codes: uint8 {0, 1}, or ABSENT, [layers, batch, height, width, layer_depth].
        sequence: whether the pictures are frames, each predicted from the one before.

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
    sums = _sum_lengths(network, CodeSet([codes], sequence=sequence), 1, group)
    return sums[0, : len(codes)].numpy()


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
    lengths, bits = _sum_lengths(network, codes, batch_size, group or ProcessGroup())
    if not bits.any():
        return None
    some = int(bits.nonzero().max()) + 1
    rates = (lengths / bits.clamp(min=1))[:some]
    return Rates((lengths.sum() / bits.sum()).item(), rates.tolist())


@torch.no_grad()
def _sum_lengths(network: Network, codes: CodeSet, batch_size: int, group: ProcessGroup) -> Tensor:
    """Sums up code lengths, in bits, and code bits: float64 [2, layer_count]."""
    was_training = network.training
    network.eval()
    sums = torch.zeros(2, network.config.layer_count, dtype=torch.float64)
    drawn = [
        one.in_order(batch_size) if one else itertools.repeat(None)
        for one in sets_beside(network, codes)
    ]
    batches = zip(codes.in_order(batch_size), *drawn, strict=False)  # the others may be endless
    for number, (batch, *beside) in enumerate(batches):
        if number % group.count == group.rank:
            inputs = inputs_of(network, group.device, batch, *beside)
            lengths = network.code_length(*inputs).cpu()
            sums[0, : len(lengths)] += lengths
            sums[1, : len(lengths)] += layer_bits(network, inputs.codes, inputs.coverage).cpu()
    network.train(was_training)
    return group.sum(sums)
