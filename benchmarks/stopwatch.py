"""Where the time of an encode or a decode goes, measured in the real traversal."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from nncodec import api
from nncodec.coding import codec, traversal
from nncodec.coding.codec import Part
from nncodec.model.adaptive.stage import AdaptiveStage
from nncodec.model.schedule import Schedule

TRAVERSAL = "traversal"
CHOICE = "choose and read the model"
REST = "Python, rest"

STAGES: tuple[tuple[str, Any, str], ...] = (
    (TRAVERSAL, traversal, "_code_steps"),
    (CHOICE, api, "model_to_encode"),
    (CHOICE, api, "model_to_decode"),
    ("order and set-up", Schedule, "order"),
    ("order and set-up", codec, "encoders"),
    ("order and set-up", codec, "decoders"),
    ("order and set-up", AdaptiveStage, "__init__"),
    ("payloads", codec, "payload"),
    ("code lengths", Part, "code_lengths"),
    ("container", codec, "pack"),
    ("container", api, "read_container"),
    ("container", codec, "pack_bits"),
)
"""Which function belongs to which part of the time; what is left is the Python between them. The
traversal is one function (stages.py looks into it)."""


@contextlib.contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Collects the seconds of each stage, and of the rest, until the end of the block."""
    seconds = dict.fromkeys((*(stage for stage, _, _ in STAGES), REST), 0.0)
    running = [REST]
    last = time.perf_counter()

    def switch() -> None:
        nonlocal last
        now = time.perf_counter()
        seconds[running[-1]] += now - last
        last = now

    def watched(function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            if running[-1] == CHOICE:  # which tries models: no part of what follows
                return function(*args, **options)
            switch()
            running.append(stage)
            try:
                return function(*args, **options)
            finally:
                switch()
                running.pop()

        return call

    with contextlib.ExitStack() as stack:
        for stage, owner, name in STAGES:
            wrapper = watched(getattr(owner, name), stage)
            stack.enter_context(mock.patch.object(owner, name, wrapper))
        last = time.perf_counter()
        yield seconds
        switch()
