"""Times two checkouts in turn, each in a process of its own (bench_speed.py --against)."""

import contextlib
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks import checkout
from benchmarks.common import table
from benchmarks.speeds import Settings
from nncodec.format.code_tensor import Codes

HERE = Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class Compared:
    """What both checkouts take for the same.

    Attributes:
        file: its name.
        case: how it was cut.
        operation: what was timed.
        threads: on how many.
        old, new: nanoseconds a code bit, medians; of the other checkout, and of this one.
        ratio: how many times as long the old one takes, the median of runs next to each other.
    """

    file: str
    case: str
    operation: str
    threads: int
    old: float
    new: float
    ratio: float


def check(_context: object, _option: object, folder: Path | None) -> Path | None:
    """Refuses a folder that is no checkout."""
    if folder and not (folder / "nncodec").is_dir():
        raise click.ClickException(f"--against: {folder} holds no nncodec; give a checkout of it")
    return folder


def compare(
    name: str, cases: Mapping[str, Codes], folder: Path, settings: Settings
) -> list[Compared]:
    """Times this checkout and another on the same codes, again and again one after the other.

    Args:
        name: of the file.
        cases: its codes, as they are and cut, by name.
        folder: of the other checkout.
        settings: for both.
    """
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        paths = {case: str(Path(place, f"{case}.npy")) for case in cases}
        for case, codes in cases.items():
            np.save(paths[case], codes)
        request: dict[str, Any] = {
            "cases": paths,
            "model": settings.model,
            "sequence": settings.sequence,
            "threads": sorted({1, settings.threads}),
        }
        both = [stack.enter_context(_start()) for _ in range(2)]
        for one, root in zip(both, (folder, HERE), strict=True):
            keys = _ask(one, {**request, "folder": str(root.resolve())})
        compared = []
        for number, (case, operation, threads, bits) in enumerate(keys):
            rounds = [[_ask(one, number) for one in both] for _ in range(settings.repeat)]
            old, new = (
                statistics.median(times) / bits * 1e9 for times in zip(*rounds, strict=True)
            )
            ratio = statistics.median(one[0] / one[1] for one in rounds)
            compared.append(Compared(name, case, operation, threads, old, new, ratio))
    return compared


def _start() -> subprocess.Popen[str]:
    command = [sys.executable, checkout.__file__]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _ask(process: subprocess.Popen[str], question: Any) -> Any:
    """Gives the answer of a program to a line; it writes itself what goes wrong."""
    assert process.stdin
    assert process.stdout
    print(json.dumps(question), file=process.stdin, flush=True)
    answer = process.stdout.readline()
    if not answer:
        raise click.ClickException("--against: one of the checkouts failed")
    return json.loads(answer)


def comparison(rows: Sequence[Compared]) -> str:
    """A table of nanoseconds a code bit, and how many times faster this checkout is."""
    head = ("case", "operation", "threads", "old", "new", "old / new")
    cells = [
        [
            one.case,
            one.operation,
            str(one.threads),
            f"{one.old:.1f}",
            f"{one.new:.1f}",
            f"{one.ratio:.2f}",
        ]
        for one in rows
    ]
    return table(head, cells)
