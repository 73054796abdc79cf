"""What it costs or saves how pictures lie in a tensor: as a batch, in one picture, as frames.

    python benchmarks/bench_order.py codes/*.npz
    python benchmarks/bench_order.py video.npz --json

Bits on disk per code bit, means of the files' rates. *Grids*: every picture is cut into n x n, and
the pieces are a batch, lie one below another in one picture, or are frames of a sequence.
*Vectors*: random ones of dependent bits, each of which is most often what the bit before it is, as
pictures of one position, and as the positions of one picture. *Frames*: the pictures of files that
have several, as a batch, as a sequence, and as a batch of what has changed (each XORed with the one
before it).
"""

import os
import sys
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # to run as a file

import statistics
from collections.abc import Iterable, Sequence
from math import isqrt
from typing import Any

import click
import numpy as np

from benchmarks.common import (
    describe,
    environment,
    model_option,
    print_json,
    reading_options,
    require_same,
    table,
)
from nncodec import decode, encode
from nncodec.files.code_files import CodeFile
from nncodec.files.model_files import ADAPTIVE
from nncodec.format.code_tensor import Codes

GRIDS = (1, 2, 4, 8, 16)
SEED = 0
CHANNELS, FLIPPED = 32, 0.1
"""Of the vectors: their bits, and how many of these differ from the bit before."""

Rates = dict[str, float]


def cut(codes: Codes, count: int) -> Codes:
    """Cuts pictures into count x count pieces, a batch, without what is left over at their ends."""
    layers, batch, height, width, channels = codes.shape
    high, wide = height // count, width // count
    pieces = codes[:, :, : high * count, : wide * count].reshape(
        layers, batch, count, high, count, wide, channels
    )
    ordered = pieces.swapaxes(3, 4).reshape(layers, -1, high, wide, channels)
    return np.ascontiguousarray(ordered)


def grids(codes: Codes) -> dict[str, Codes]:
    """The batches of pieces of all GRIDS, as far as pictures have so many rows and columns."""
    return {
        f"{count} x {count}": cut(codes, count) for count in GRIDS if count <= min(codes.shape[2:4])
    }


def stacked(codes: Codes) -> Codes:
    """One picture of the pictures of a batch, one below another."""
    layers, _, _, width, channels = codes.shape
    return codes.reshape(layers, 1, -1, width, channels)


def changes(codes: Codes) -> Codes:
    """The frames with each XORed with the one before it."""
    changed = codes.copy()
    changed[:, 1:] ^= codes[:, :-1]
    return changed


def vectors(count: int, seed: int = SEED) -> Codes:
    """Draws vectors of dependent bits, [1, count, 1, 1, CHANNELS]."""
    random = np.random.default_rng(seed)
    flips = random.random((1, count, 1, 1, CHANNELS)) < FLIPPED
    flips[..., 0] = random.integers(0, 2, flips.shape[:-1])
    return (flips.cumsum(axis=-1) % 2).astype(np.uint8)


def entropy_of_vectors() -> float:
    """Bits per bit of the vectors."""
    of_flip = -(FLIPPED * np.log2(FLIPPED) + (1 - FLIPPED) * np.log2(1 - FLIPPED))
    return float((1 + (CHANNELS - 1) * of_flip) / CHANNELS)


def rate(codes: Codes, model: str, *, sequence: bool = False) -> float:
    """Bits on disk per code bit, of a container that was decoded again."""
    data = encode(codes, model=model, sequence=sequence)
    needed = None if model == ADAPTIVE else model
    require_same("a regrouped tensor", decode(data, model=needed), codes)
    return len(data) * 8 / codes.size


def measure_grids(codes: Codes, model: str) -> dict[str, Rates]:
    """Rates by grid."""
    return {
        grid: {
            "batch": rate(pieces, model),
            "stacked": rate(stacked(pieces), model),
            "sequence": rate(pieces, model, sequence=True),
        }
        for grid, pieces in grids(codes).items()
    }


def measure_vectors(count: int) -> dict[str, Rates]:
    """Rates by the number of vectors; of the model without training, as none fits them."""
    drawn, side = vectors(count), isqrt(count)
    square = drawn[:, : side * side].reshape(1, 1, side, side, CHANNELS)
    return {
        str(count): {
            "batch": rate(drawn, ADAPTIVE),
            "picture": rate(square, ADAPTIVE),
            "row": rate(drawn.reshape(1, 1, 1, count, CHANNELS), ADAPTIVE),
            "sequence": rate(drawn, ADAPTIVE, sequence=True),
            "entropy": entropy_of_vectors(),
        }
    }


def measure_frames(codes: Codes, model: str) -> dict[str, Rates]:
    """Rates by the number of frames; none of a single picture."""
    frames = codes.shape[1]
    if frames == 1:
        return {}
    ways = {
        "batch": rate(codes, model),
        "sequence": rate(codes, model, sequence=True),
        "XORed": rate(changes(codes), model),
    }
    return {str(frames): ways}


def means(measured: Sequence[dict[str, Rates]]) -> dict[str, Rates]:
    """Means over the files that have a row of the table, and how many these are."""
    rows: dict[str, list[Rates]] = {}
    for one in measured:
        for name, rates in one.items():
            rows.setdefault(name, []).append(rates)
    return {
        name: {"files": len(group)}
        | {way: statistics.fmean(rates[way] for rates in group) for way in group[0]}
        for name, group in rows.items()
    }


def rate_table(what: str, rows: dict[str, Rates]) -> str:
    """One table of means; nothing where there are no rows."""
    if not rows:
        return ""
    ways = [way for way in next(iter(rows.values())) if way != "files"]
    cells = [
        [name, f"{rates['files']:.0f}", *(f"{rates[way]:.4f}" for way in ways)]
        for name, rates in rows.items()
    ]
    return f"\n{table((what, 'files', *ways), cells)}\n"


@click.command()
@reading_options
@model_option
@click.option("--vectors", "count", type=click.IntRange(1), default=4096, show_default=True)
def main(files: Iterable[tuple[str, CodeFile]], as_json: bool, model: str, count: int) -> None:
    """Measures code FILES, and vectors, in other orders."""
    read = [file.codes for _, file in files]
    results: dict[str, Any] = {
        "environment": environment(SEED),
        "grids": means([measure_grids(codes, model) for codes in read]),
        "vectors": means([measure_vectors(count)]),
        "frames": means([measure_frames(codes, model) for codes in read]),
    }
    if as_json:
        description = "Bits on disk per code bit, by how pictures lie in a tensor"
        print_json("nncodec bench_order", description, results)
        return
    click.echo(f"{describe(results['environment'])}\n\nBits on disk per code bit")
    for what in ("grids", "vectors", "frames"):
        click.echo(rate_table(what, results[what]), nl=False)


if __name__ == "__main__":
    main()
