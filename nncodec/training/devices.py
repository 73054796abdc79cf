"""The devices that float networks compute on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
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


def has_fast_bfloat16(device: torch.device) -> bool:
    """Says whether a device computes in bfloat16 faster than in float32."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # PyTorch has no public name for what it knows of processors.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


@contextlib.contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Leaves the caller's random numbers alone, and CUDA no choice between algorithms."""
    import torch

    if device.type != "cuda":
        with torch.random.fork_rng([]):
            yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng([device]):
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warn_only)
