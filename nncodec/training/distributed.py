"""The processes that train together, started by `torchrun`, and the device of each.

`torchrun` tells a process its place by environment variables. Without them it is alone.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from nncodec.errors import NncodecError
from nncodec.training.configs import DEVICES


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: its number; 0 writes and prints.
        count: how many there are.
        device: where it computes.
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
def join_processes(device: str = "auto") -> Iterator[Processes]:
    """Joins the processes that train together, for the length of a block.

    Args:
        device: "cpu", "cuda", or "auto": CUDA where there is any. Each process on a machine has a
            CUDA device of its own.

    Raises:
        NncodecError: there is no such device, or not enough of them.
    """
    chosen = find_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(device=chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), count, chosen)
    finally:
        dist.destroy_process_group()


def find_device(name: str, local_rank: int = 0) -> torch.device:
    """The device of a process, by the name of its kind; arguments and errors of `join_processes`.

    Args:
        name: "auto", "cpu" or "cuda".
        local_rank: the number of the process on this machine.
    """
    if name not in DEVICES:
        raise NncodecError(f"there is no device {name!r}; choose {', '.join(DEVICES)}")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise NncodecError(
            "PyTorch finds no CUDA device here; choose --device cpu, or install PyTorch for CUDA"
        )
    devices = torch.cuda.device_count()
    if local_rank >= devices:
        raise NncodecError(
            f"process {local_rank} of this machine has no CUDA device, there are {devices}; start "
            "fewer processes"
        )
    # Without it cuBLAS may add up in any order. It is read when CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)  # for what names no device, NCCL among it
    return device
