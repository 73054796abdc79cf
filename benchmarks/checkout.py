"""What is timed of an nncodec, and a program that times it: of this checkout, or of another.

As a program it takes lines of JSON from standard input and answers each with another (against.py).
It never imports more than one nncodec.
"""

import importlib
import inspect
import io
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

WAYS = ("encode", "decode")
TRAVERSAL = "code lengths"
"""The traversal alone: known bits are predicted and learned from, and nothing is written."""


def operations(
    codes: npt.NDArray[np.uint8], model: str, sequence: bool | None, threads: int
) -> dict[str, Callable[[], None]]:
    """Gives what is timed on a code tensor, by name.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        model: as for `encode`.
        sequence: likewise; an nncodec that knows no sequences is not asked for one.
        threads: likewise; the traversal alone is timed on one.
    """
    nncodec: Any = importlib.import_module("nncodec")
    asked: dict[str, Any] = {"model": model, "threads": threads}
    if "sequence" in inspect.signature(nncodec.encode).parameters:
        asked["sequence"] = sequence
    needed = None if model in ("auto", "adaptive") else model
    data = nncodec.encode(codes, **asked)
    used = _used(data, needed)

    def encode() -> None:
        assert nncodec.encode(codes, **asked) == data, "the container is another one"

    def decode() -> None:
        decoded = nncodec.decode(data, model=needed, threads=threads)
        assert np.array_equal(decoded, codes), "the decoded codes are not the codes"

    timed: dict[str, Callable[[], None]] = dict(zip(WAYS, (encode, decode), strict=True))
    if threads == 1:
        timed[TRAVERSAL] = partial(_module("coding.codec").code_lengths, codes, **used)
    return timed


def seconds(operation: Callable[[], object]) -> float:
    """Times an operation."""
    begin = time.perf_counter()
    operation()
    return time.perf_counter() - begin


def _module(name: str) -> Any:
    """Imports a module of nncodec, from its package or, where modules lie flat, from none.

    It looks at files, for an nncodec that is installed may offer packages that this one has not.
    """
    nncodec: Any = importlib.import_module("nncodec")
    package, _, module = name.partition(".")
    flat = not Path(nncodec.__file__).with_name(package).is_dir()
    return importlib.import_module(f"nncodec.{module if flat else name}")


def _used(data: bytes, needed: str | None) -> dict[str, Any]:
    """What a container was made with, as `code_lengths` takes it."""
    container = _module("format.container").read_container(io.BytesIO(data))
    model = _module("files.model_choice").model_to_decode(container, needed)
    sequence = getattr(container.header, "sequence", False)
    return {"model": model, "sequence": True} if sequence else {"model": model}


def main() -> None:
    """Answers lines: the first says what to time, each of the others that one operation shall run.

    The first answer lists the operations, which have run once by then; the others are seconds.
    """
    request = json.loads(sys.stdin.readline())
    sys.path.insert(0, request["folder"])
    keys, calls = [], []
    for case, path in request["cases"].items():
        codes = np.load(path)
        for threads in request["threads"]:
            timed = operations(codes, request["model"], request["sequence"], threads)
            for name, operation in timed.items():
                operation()
                keys.append((case, name, threads, codes.size))
                calls.append(operation)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "nncodec":
            path = Path(str(module.__file__))
            assert path.is_relative_to(request["folder"]), f"{path} is of another checkout"
    print(json.dumps(keys), flush=True)
    for line in sys.stdin:
        print(json.dumps(seconds(calls[json.loads(line)])), flush=True)


if __name__ == "__main__":
    main()
