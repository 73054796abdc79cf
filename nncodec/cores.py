"""What this process computes on, and how much at the same time."""

import os

DEVICES = ("auto", "cpu", "cuda")
"""Where float networks compute; auto is CUDA where there is any."""


def thread_count(threads: int | None, processes: int = 1) -> int:
    """How many threads may work side by side.

    Args:
        threads: as asked for; None for as many as there are processors for each process.
        processes: that work at the same time.

    Raises:
        ValueError: less than one.
    """
    if threads is None:
        affinity = getattr(os, "sched_getaffinity", None)  # not on every system
        cores = len(affinity(0)) if affinity else os.cpu_count() or 1
        return max(1, cores // processes)
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    return threads
