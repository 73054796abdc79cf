"""Where the time of an encode or a decode goes, measured in the real traversal."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from nncodec import adaptive, api, codec
from nncodec.adaptive import AdaptiveStage
from nncodec.range_coder import Decoder, Encoder
from nncodec.schedule import Schedule
from nncodec.segments import Segments

MODEL = "model"
CHOICE = "model: choose, read"
REST = "Python, rest"

STAGES: tuple[tuple[str, Any, str], ...] = (
    (MODEL, adaptive, "_advance"),
    (CHOICE, api, "model_to_encode"),
    (CHOICE, api, "model_to_decode"),
    ("order and set-up", Schedule, "order"),
    ("order and set-up", Segments, "__init__"),
    ("order and set-up", Segments, "interleave"),
    ("order and set-up", Segments, "deal"),
    ("order and set-up", AdaptiveStage, "__init__"),
    ("order and set-up", Encoder, "__init__"),
    ("order and set-up", Decoder, "__init__"),
    ("coder calls", Encoder, "code"),
    ("coder calls", Decoder, "code"),
    ("payloads", Encoder, "payload"),
    ("code lengths", Encoder, "code_lengths"),
    ("container", codec, "pack"),
    ("container", api, "read_container"),
    ("container", codec, "pack_bits"),
)
"""Which function belongs to which part of the time; what is left is the Python between them. The
whole model is one function (stages.py looks into it)."""


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
