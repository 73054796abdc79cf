"""What it costs to let positions end early, over the bits that are left.

    python benchmarks/bench_coverage.py kodim04.npz --axes lnhwc --model adaptive

Coverages leave a part of the bits of every code file: maps of how much neighbouring positions
differ in the first two layers, smoothed. Beside the bytes of the container stands what the bits
that are left take in the container of all bits: their code length there, times its bytes over the
code length of all.
"""

import os
import sys
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # to run as a file

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.common import (
    describe,
    environment,
    model_option,
    print_json,
    reading_options,
    require_same,
    table,
)
from nncodec import Covered, Model, decode_covered, encode, read_header
from nncodec.coding.codec import traverse_known
from nncodec.coding.range_coder import code_lengths
from nncodec.coding.segments import CodedSegment
from nncodec.files.code_files import CodeFile
from nncodec.files.model_choice import choose_predictor
from nncodec.format.code_tensor import Codes, mark_absent, split_absent

Map = npt.NDArray[np.float64]
Coverage = npt.NDArray[np.int64]

LEFT = (0.5, 0.25, 0.1)
"""Parts of the bits that are left."""
MAPS = {"slopes": 1.5, "wide slopes": 3.0, "squares": 2.0, "regions": 2.0}
"""How far each is smoothed, in positions. Slopes have layers in proportion to the rank of a
position; squares the same in squares of four; regions have all layers or none."""


def smoothed(detail: Map, width: float) -> Map:
    """Smooths a map by a Gaussian; beyond its edges it goes on as it ends."""
    reach = int(3 * width + 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        wide = np.pad(detail, [(reach, reach) if of == axis else (0, 0) for of in (0, 1)], "edge")
        detail = np.apply_along_axis(np.convolve, axis, wide, kernel, "valid")
    return detail


def detail_of(picture: Codes) -> Map:
    """How much the first two layers of positions differ from those beside, [height, width]."""
    first = picture[:2].astype(float)
    total, count = np.zeros((2, *first.shape[1:3]))
    for axis in (0, 1):
        differ = np.abs(np.diff(first, axis=axis + 1)).mean((0, 3))
        for beside in ((0, 1), (1, 0)):
            ways = [beside if of == axis else (0, 0) for of in (0, 1)]
            total += np.pad(differ, ways)
            count += np.pad(np.ones_like(differ), ways)
    return np.asarray(total / np.maximum(count, 1))


def coverage_of(picture: Codes, part: float, kind: str) -> Coverage:
    """Gives a map of layers, [height, width], that leaves a part of the bits.

    Args:
        picture: [layers, height, width, layer_depth].
        part: of the bits.
        kind: one of the MAPS.
    """
    layers, height, width = picture.shape[:3]
    detail = smoothed(detail_of(picture), MAPS[kind])
    if kind == "squares":
        wide = np.pad(detail, ((0, -height % 4), (0, -width % 4)), "edge")
        means = wide.reshape(wide.shape[0] // 4, 4, -1, 4).mean((1, 3))
        detail = np.kron(means, np.ones((4, 4)))[:height, :width]
    _, same, counts = np.unique(detail, return_inverse=True, return_counts=True)
    ranks = ((counts.cumsum() - counts / 2) / detail.size)[same].reshape(height, width)
    coverage = np.zeros((height, width), dtype=np.int64)
    low, high = 0.0, 1.0 if kind == "regions" else 100.0
    for _ in range(60):
        middle = (low + high) / 2
        steep = layers * (ranks > 1 - middle if kind == "regions" else middle * ranks)
        coverage = np.clip(np.rint(steep), 0, layers).astype(np.int64)
        low, high = (middle, high) if coverage.mean() < part * layers else (low, middle)
    return coverage


def lengths_of(codes: Codes, model: Model | None) -> tuple[Map, float]:
    """The code length of every bit, in bytes, and of all decisions."""
    lengths: list[npt.NDArray[np.float32]] = []
    decisions = 0.0

    def keep(segment: CodedSegment) -> None:
        nonlocal decisions
        lengths.append(code_lengths(segment.codes, segment.frequencies))
        if segment.marks is not None and segment.decisions is not None:
            decisions += code_lengths(segment.marks, segment.decisions).sum(dtype=float) / 8

    traverse_known(codes, model, keep)
    return np.concatenate(lengths).reshape(-1, *codes.shape[1:]).astype(float) / 8, decisions


def seconds(work: Callable[[], object], repeat: int) -> float:
    """The fewest seconds of the processor that some work takes."""
    found = []
    for _ in range(repeat):
        begin = time.process_time()
        work()
        found.append(time.process_time() - begin)
    return min(found)


def measure(codes: Codes, choice: str, repeat: int) -> Iterator[dict[str, Any]]:
    """Codes a tensor by every coverage, and decodes it again."""
    model = choose_predictor(codes, choice, False).model
    given: Any = model or "adaptive"
    code: Callable[..., bytes] = partial(encode, model=given, sequence=False, threads=1)
    decode: Callable[..., Covered] = partial(decode_covered, model=model, threads=1)
    whole = code(codes)
    works: list[Callable[[], object]] = [partial(code, codes), partial(decode, whole)]
    paces = [seconds(work, repeat) / codes.size for work in works]
    of_bits, _ = lengths_of(codes, model)
    over = len(whole) / of_bits.sum()
    layers = np.arange(len(codes))[:, None, None, None]
    for part in LEFT:
        for kind in MAPS:
            maps = [coverage_of(codes[:, one], part, kind) for one in range(codes.shape[1])]
            coverage = np.stack(maps)
            marked = mark_absent(codes, coverage)
            left = split_absent(marked)[0]
            data = code(left, coverage=coverage)
            again = decode(data)
            require_same("codes", again.codes, left)
            require_same("coverage", again.coverage.astype(np.uint8), coverage.astype(np.uint8))
            bits, decisions = lengths_of(marked, model)
            own = of_bits[np.broadcast_to(layers < coverage, of_bits.shape[:4])].sum()
            works = [partial(code, left, coverage=coverage), partial(decode, data)]
            coded = read_header(data).coded_bits
            encoding, decoding = (
                seconds(work, repeat) / coded / pace
                for work, pace in zip(works, paces, strict=True)
            )
            yield {
                "part": part,
                "map": kind,
                "bytes": len(data),
                "expected": own * over,
                "more": len(data) / (own * over) - 1,
                "decisions": decisions / (own * over),
                "bits": (bits.sum() - own) / (own * over),
                "rest": (len(data) - decisions - bits.sum() - own * (over - 1)) / (own * over),
                "encode": encoding,
                "decode": decoding,
            }


@click.command()
@reading_options
@model_option
@click.option("--repeat", type=click.IntRange(1), default=3, help="Times to measure each speed.")
def main(files: Iterator[tuple[str, CodeFile]], model: str, repeat: int, as_json: bool) -> None:
    """Measures what it costs that positions of code FILES end early."""
    found = [one for _, file in files for one in measure(file.codes, model, repeat)]
    where = environment(None)
    if as_json:
        print_json(
            "nncodec bench_coverage",
            "What it costs that positions end early",
            {"environment": where, "model": model, "coverages": found},
        )
        return
    click.echo(describe(where))
    click.echo("\nbytes over those of the same bits where all are coded; in the mean of all files")
    head = ("part", "map", "bytes", "more", "decisions", "bits", "rest", "encode", "decode")
    rows = [_row(found, part, kind) for part in LEFT for kind in (*MAPS, "all")]
    click.echo(table(head, rows))
    click.echo("\nRest: headers, and ends of payloads, over their share. Encode, decode: seconds a")
    click.echo("coded bit, beside those where all are coded")


def _row(found: list[dict[str, Any]], part: float, kind: str) -> list[str]:
    some = [one for one in found if one["part"] == part and kind in (one["map"], "all")]

    def mean(key: str) -> float:
        return float(np.mean([one[key] for one in some]))

    percents = [f"{mean(key):+.1%}" for key in ("more", "decisions", "bits", "rest")]
    paces = [f"{mean(key):.2f}" for key in ("encode", "decode")]
    return [str(part), kind, f"{mean('bytes'):.0f}", *percents, *paces]


if __name__ == "__main__":
    main()
