"""What it saves to put pictures together, in groups of so many.

    python benchmarks/bench_groups.py validation/v0_*.npz --model adaptive
    python benchmarks/bench_groups.py validation/*.npz --model adaptive --crop 8 --layers 1

Bits on disk for each code bit, with all headers: of the files apart, and of one container of all of
them in groups of some sizes; what a picture more takes of the header; and how long it takes to give
back a picture from the middle.
"""

import os
import sys
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # to run as a file

import time
from collections.abc import Iterator, Sequence
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
from nncodec import decode_many, encode, encode_many, read_header
from nncodec.files.code_files import CodeFile
from nncodec.format.code_tensor import Codes
from nncodec.format.header import pack_header

GROUPS = (1, 4, 16, 64, 256, 0)
"""Pictures in a group; 0 is all of them."""


def cropped(codes: Codes, size: int) -> Iterator[Codes]:
    """The squares of a picture that lie beside each other, from its upper left corner on."""
    for row in range(0, codes.shape[2] - size + 1, size):
        for column in range(0, codes.shape[3] - size + 1, size):
            yield np.ascontiguousarray(codes[:, :, row : row + size, column : column + size])


def measure(arrays: Sequence[Codes], model: str, group: int | None) -> dict[str, Any]:
    """Codes arrays into one container, and decodes all of them, and one."""
    bits, middle = sum(codes.size for codes in arrays), len(arrays) // 2
    begin = time.perf_counter()
    data = encode_many(arrays, model, group=group, sequence=False, threads=1)
    encoded = time.perf_counter()
    decoded = decode_many(data, threads=1)
    end = time.perf_counter()
    decode_many(data, only=[middle], threads=1)
    of_one = time.perf_counter() - end
    for codes, again in zip(arrays, decoded, strict=True):
        require_same("an array", again, codes)
    header = read_header(data)
    return {
        "group": group,
        "groups": len(header.groups),
        "rate": len(data) * 8 / bits,
        "header_bytes": len(pack_header(header)) / len(arrays),
        "encode_seconds": encoded - begin,
        "decode_seconds": end - encoded,
        "one_seconds": of_one,
    }


@click.command()
@reading_options
@model_option
@click.option("--crop", type=click.IntRange(1), help="Cut pictures into squares of so many rows.")
@click.option("--layers", type=click.IntRange(1), multiple=True, help="Numbers of first layers.")
@click.option("--channels", type=click.IntRange(1), help="Take the first bits of a position alone.")
@click.option(
    "--group",
    type=click.IntRange(0),
    multiple=True,
    default=GROUPS,
    show_default=True,
    help="Pictures in a group, beside the default; 0 is all of them.",
)
@click.option("--copies", type=click.IntRange(1), default=1, help="Take all so many times.")
def main(
    files: Iterator[tuple[str, CodeFile]],
    model: str,
    crop: int | None,
    layers: tuple[int, ...],
    channels: int | None,
    group: tuple[int, ...],
    copies: int,
    as_json: bool,
) -> None:
    """Measures what it saves to put the pictures of code FILES together."""
    whole = [file.codes[..., :channels] for _, file in files]
    if crop:
        whole = [square for codes in whole for square in cropped(codes, crop)]
    results: list[dict[str, Any]] = []
    for count in layers or (len(whole[0]),):
        arrays = [codes[:count] for codes in whole] * copies
        bits = sum(codes.size for codes in arrays)
        apart = sum(len(encode(codes, model, threads=1)) for codes in arrays[: len(whole)])
        groups = [None, *(one for one in group if one < len(arrays))]
        results.append(
            {
                "layers": count,
                "pictures": len(arrays),
                "bits": bits,
                "apart": apart * copies * 8 / bits,
                "together": [measure(arrays, model, group) for group in groups],
            }
        )
    where = environment(None)
    if as_json:
        found = {"environment": where, "model": model, "layers": results}
        print_json("nncodec bench_groups", "What pictures save together", found)
        return
    click.echo(describe(where))
    for result in results:
        click.echo(
            f"\n{result['pictures']} pictures, first {result['layers']} layers, bits out for"
        )
        click.echo(f"each code bit; apart {result['apart']:.4f}")
        head = ("pictures in a group", "rate", "less", "header", "encode", "decode", "one")
        click.echo(table(head, [_row(one, result["apart"]) for one in result["together"]]))
    click.echo("\nHeader: bytes for a picture. Encode, decode: seconds, on one thread")
    click.echo("One: seconds to decode one picture alone")


def _row(one: dict[str, Any], apart: float) -> list[str]:
    names = {None: f"default ({one['groups']} groups)", 0: "all"}
    return [
        names.get(one["group"], str(one["group"])),
        f"{one['rate']:.4f}",
        f"{1 - one['rate'] / apart:.1%}",
        f"{one['header_bytes']:.2f}",
        f"{one['encode_seconds']:.2f}",
        f"{one['decode_seconds']:.2f}",
        f"{one['one_seconds']:.3f}",
    ]


if __name__ == "__main__":
    main()
