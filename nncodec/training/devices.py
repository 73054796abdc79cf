"""The devices that float networks compute on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nncodec.errors import NncodecError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")
"""Names of devices; auto is CUDA where there is any."""


def find_device(name: str, local_rank: int = 0) -> torch.device:
    """Finds the device of a process.

    Args:
        name: one of DEVICES. Each process on a machine has a CUDA device of its own.
        local_rank: the number of the process on this machine.

    Raises:
        NncodecError: there is no such device, or not enough of them.
    """
    import torch

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
