"""What the size of chunks costs in a zarr array of codes, and how much a part of it fetches.

    python benchmarks/bench_chunks.py codes/*.npz --model adaptive --model progressive8x32

The learner begins anew with every chunk, so small ones cost more; a model begins with what it was
trained on. Rates are bits of all stored chunks for each code bit. The last columns are what reading
the first layer of one picture fetches, of the whole array and of one picture's share of it. Files
of the most frequent shape are stacked.
"""

import os
import sys
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # to run as a file

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import click
import numpy as np
import zarr
from zarr.storage import MemoryStore, WrapperStore

from benchmarks.common import (
    describe,
    environment,
    print_json,
    reading_options,
    require_same,
    table,
)
from nncodec.files.code_files import CodeFile
from nncodec.format.code_tensor import Codes
from nncodec.zarr import Codes as Serializer

PICTURES = (64, 16, 4, 1)
TILES = (2, 4)
"""Into how many rows and columns of tiles a picture is cut."""


class CountingStore(WrapperStore[MemoryStore]):
    """Counts the bytes of chunks, as they are written and read."""

    written = read = 0

    async def set(self, key: str, value: Any) -> None:
        self.written += len(value) if "c/" in key else 0
        await super().set(key, value)

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        found = await super().get(key, prototype, byte_range)
        self.read += len(found) if found is not None and "c/" in key else 0
        return found


@dataclasses.dataclass(frozen=True)
class Chunking:
    """What an array takes in chunks of a size.

    Attributes:
        name: of the size, for people.
        bits: code bits of a chunk.
        rates: of all chunks, by the model.
        fetched: bytes that reading the first layer of one picture takes, by the model.
        share: what part of a picture's bytes that is.
    """

    name: str
    bits: int
    rates: dict[str, float]
    fetched: dict[str, int]
    share: dict[str, float]


def sizes(shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names the sizes of chunks of [pictures, layers, height, width, layer_depth]."""
    count, layers, height, width, depth = shape
    for pictures in PICTURES:
        if pictures <= count:
            name = f"{pictures} pictures" if pictures > 1 else "a picture"
            yield name, (pictures, layers, height, width, depth)
    for tiles in TILES:
        if tiles <= min(height, width):
            tile = (-(-height // tiles), -(-width // tiles))
            yield f"1/{tiles * tiles} of a picture", (1, layers, *tile, depth)


def measure(name: str, chunk: tuple[int, ...], pictures: Codes, models: Iterable[str]) -> Chunking:
    """Stores pictures in chunks of a size, with each of some models."""
    rates, fetched, share = {}, {}, {}
    for model in models:
        store = CountingStore(MemoryStore())
        array = zarr.create_array(
            store,
            shape=pictures.shape,
            chunks=chunk,
            dtype="uint8",
            serializer=Serializer("nlhwc", model, sequence=False),
            compressors=None,
        )
        array[...] = pictures
        rates[model] = store.written * 8 / pictures.size
        require_same(name, np.asarray(array[...]), pictures)
        store.read = 0
        require_same(name, np.asarray(array[:1, :1]), pictures[:1, :1])
        fetched[model] = store.read
        share[model] = store.read * len(pictures) / store.written
    return Chunking(name, int(np.prod(chunk)), rates, fetched, share)


def stack(files: Iterable[tuple[str, CodeFile]]) -> Codes:
    """Stacks the pictures of files, [pictures, layers, height, width, layer_depth]."""
    codes = [file.codes for _, file in files]
    (shape, _), *_ = Counter((one.shape[0], *one.shape[2:]) for one in codes).most_common(1)
    alike = [one for one in codes if (one.shape[0], *one.shape[2:]) == shape]
    return np.ascontiguousarray(np.concatenate(alike, axis=1).swapaxes(0, 1))


def print_text(rows: list[Chunking], models: tuple[str, ...], where: dict[str, Any]) -> None:
    head = ["a chunk is", "code bits"]
    head += [f"rate, {model}" for model in models]
    head += [f"fetched, {model}" for model in models]
    lines = [
        [
            row.name,
            f"{row.bits:,}",
            *(f"{row.rates[model]:.4f}" for model in models),
            *(f"{row.fetched[model]:,} ({row.share[model]:.0%})" for model in models),
        ]
        for row in rows
    ]
    click.echo(f"{describe(where)}\n\n{table(head, lines)}")


@click.command()
@reading_options
@click.option("--model", "models", multiple=True, default=("adaptive",), help="May be repeated.")
def main(files: Iterable[tuple[str, CodeFile]], as_json: bool, models: tuple[str, ...]) -> None:
    """Measures what the size of chunks costs in a zarr array of the codes of FILES."""
    pictures = stack(files)
    rows = [measure(name, chunk, pictures, models) for name, chunk in sizes(pictures.shape)]
    where = environment(seed=None)
    if as_json:
        results = {"environment": where, "chunks": [dataclasses.asdict(row) for row in rows]}
        print_json("nncodec bench_chunks", "What the size of chunks costs", results)
    else:
        print_text(rows, models, where)


if __name__ == "__main__":
    main()
