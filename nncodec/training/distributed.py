"""The group of processes that train together, started by `torchrun`.

`torchrun` tells each process its rank by environment variables. Without them it is alone.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from nncodec.training.devices import find_device


@dataclass(frozen=True)
class ProcessGroup:
    """The group of processes that train together, as this process sees it.

    Attributes:
        rank: the number of this process; 0 writes and prints.
        count: how many processes there are.
        device: where this process computes.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def wait(self) -> None:
        """Waits until all processes are here."""
        if self.count > 1:
            dist.barrier()

    def sum(self, values: Tensor) -> Tensor:
        """Gives the sums of a CPU tensor over all processes, the same in each."""
        if self.count == 1:
            return values
        sums = values.to(self.device)
        dist.all_reduce(sums)
        return sums.cpu()

    def parallel(self, loss: nn.Module, example: Tensor) -> nn.Module:
        """Makes a loss whose gradients are the means over all processes.

        Args:
            loss: on the device.
            example: an input that leaves as many parameters without a gradient as any other.

        Returns:
            The loss itself for a single process.
        """
        if self.count == 1:
            return loss
        loss(example).sum().backward()
        unused = any(parameter.grad is None for parameter in loss.parameters())
        loss.zero_grad()
        return DistributedDataParallel(loss, find_unused_parameters=unused)


@contextlib.contextmanager
def join_process_group(device: str = "auto") -> Iterator[ProcessGroup]:
    """Joins the group of processes for the length of a block.

    Args:
        device: as for `find_device`.

    Raises:
        NncodecError: there is no such device, or not enough of them.
    """
    chosen = find_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ProcessGroup(device=chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield ProcessGroup(dist.get_rank(), count, chosen)
    finally:
        dist.destroy_process_group()
