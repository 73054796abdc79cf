"""Throughput of encode and decode on code files, where the time goes, and how little it could be.

    python benchmarks/bench_speed.py codes/kodim04.npz
    python benchmarks/bench_speed.py codes/kodim04.npz --repeat 9 --against ../other --grids

Times are medians over the repeats, after a run that is not timed; every decode is compared with the
codes. Parts are timed alone, on one thread, and need not sum to the whole: the traversal with known
bits, the range coder with known frequencies (`constriction` writes, ours reads). The floor is what
the coder and the model's multiply-accumulates would take at the speed that this machine has for
those alone, in its nearest cache. Classic codecs, for scale, code the bits packed in the order that
serves them best.

--against times another checkout on the same files, run by run in turn with this one, in separate
processes; --grids also as batches of the n x n pieces into which pictures are cut. "Code lengths"
is the traversal alone.
"""

import os
import sys
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # to run as a file

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import click

from benchmarks.against import Compared, check, compare, comparison
from benchmarks.bench_order import grids as cut_to_grids
from benchmarks.checkout import WAYS
from benchmarks.common import (
    describe,
    environment,
    model_option,
    print_json,
    reading_options,
    sequence_option,
    table,
)
from benchmarks.floor import ProductRates, products_per_second
from benchmarks.peers import settings as peer_settings
from benchmarks.speeds import CODER, MODEL, NNCODEC, Measured, Settings, measure
from nncodec.coding.threads import thread_count
from nncodec.files.code_files import CodeFile

Columns = dict[str, dict[str, float]]

WHOLE, FLOOR = "all of it", "floor: these, range coder"


def overall(files: Sequence[Measured]) -> Columns:
    """Nanoseconds per code bit over all files: by the codec's name, then by direction."""
    bits = sum(file.bits for file in files)
    return {
        codec: {
            way: sum(statistics.median(file.seconds[codec][way]) for file in files) / bits * 1e9
            for way in WAYS
        }
        for codec in files[0].seconds
    }


def parts(files: Sequence[Measured], rates: ProductRates) -> Columns:
    """Nanoseconds per code bit over all files: by part, then by direction.

    Args:
        files: what was measured.
        rates: multiply-accumulates a second of this machine.
    """
    bits = sum(file.bits for file in files)
    names = list(files[0].parts["encode"])
    columns: Columns = {name: {} for name in names}
    for way in WAYS:
        for name in files[0].parts[way]:
            columns[name][way] = sum(file.parts[way][name] for file in files) / bits * 1e9
    columns[MODEL]["decode"] = columns[MODEL]["encode"]
    network = products(files)["network"]
    adaptive = sum(products(files).values()) - network
    model = (adaptive / rates.adaptive + network / rates.network) * 1e9
    columns[WHOLE] = overall(files)[NNCODEC]
    columns["multiply-accumulates"] = dict.fromkeys(WAYS, model)
    columns[FLOOR] = {way: model + columns[CODER][way] for way in WAYS}
    return columns


def products(files: Sequence[Measured]) -> dict[str, float]:
    """Multiply-accumulates for a code bit over all files, by part of the model."""
    bits = sum(file.bits for file in files)
    return {
        part: sum(getattr(file.products, part) * file.bits for file in files) / bits
        for part in [field.name for field in dataclasses.fields(files[0].products)]
    }


def speed_table(files: Sequence[Measured]) -> str:
    """Throughput of all codecs, and their time a bit."""
    rows = []
    for codec, ways in overall(files).items():
        cells = [f"{number:.4g}" for way in WAYS for number in (1e3 / ways[way], ways[way])]
        rows.append([codec, *cells])
    return table(("codec", "encode", "ns", "decode", "ns"), rows)


def file_table(files: Sequence[Measured]) -> str:
    """Throughput of nncodec on one thread, file by file."""
    rows = []
    for file in files:
        times = [statistics.median(file.seconds[NNCODEC][way]) for way in WAYS]
        rows.append(
            [file.file, str(file.bits), *(f"{file.bits / time / 1e6:.3f}" for time in times)]
        )
    return table(("file", "code bits", *WAYS), rows)


def part_table(columns: Columns) -> str:
    """What `parts` gives, and how far all of it is above the floor."""
    rows = [
        [part, *(f"{ways[way]:.1f}" if way in ways else "" for way in WAYS)]
        for part, ways in columns.items()
    ]
    above = [f"{columns[WHOLE][way] / columns[FLOOR][way]:.1f}" for way in WAYS]
    return table(("part", *WAYS), [*rows, [f"{WHOLE} / floor", *above]])


def print_text(files: Sequence[Measured], rates: ProductRates, where: dict[str, Any]) -> None:
    counts = [[part.replace("_", " "), f"{count:.0f}"] for part, count in products(files).items()]
    peers = ", ".join(map(" ".join, peer_settings().items()))
    repeats = len(files[0].seconds[NNCODEC]["encode"])
    click.echo(
        f"{describe(where)}\n\n"
        "Million code bits a second, nanoseconds (ns) a code bit: medians of "
        f"{repeats} runs, {len(files)} files together\n"
        f"{speed_table(files)}\n\n"
        "nncodec on one thread, file by file, million code bits a second\n"
        f"{file_table(files)}\n\n"
        "Its parts, each alone, nanoseconds a code bit\n"
        f"{part_table(parts(files, rates))}\n\n"
        f"Multiply-accumulates a code bit; this machine does {rates.adaptive / 1e9:.1f} thousand "
        f"million a second that learn, {rates.network / 1e9:.1f} of a network\n"
        f"{table(('part of the model', 'number'), counts)}\n\n"
        f"Round trips: all {len(files)} files came back bit for bit, every time\n"
        f"Peers: {peers}; on the bits packed in their best order"
    )


def print_comparison(compared: Sequence[Compared]) -> None:
    for name in dict.fromkeys(one.file for one in compared):
        click.echo(f"\n{name}: nanoseconds a code bit, of the other checkout and of this one")
        click.echo(comparison([one for one in compared if one.file == name]))


@click.command()
@reading_options
@model_option
@sequence_option
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True, help="Timed runs.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    show_default="one for each processor",
    help="Time so many too.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    callback=check,
    metavar="FOLDER",
    help="Time another checkout of nncodec, too.",
)
@click.option("--grids", is_flag=True, help="With --against: of batches, too.")
def main(
    files: Iterable[tuple[str, CodeFile]],
    as_json: bool,
    against: Path | None,
    grids: bool,
    **options: Any,
) -> None:
    """Measures how fast code FILES are encoded and decoded, on one thread and on more."""
    if grids and not against:
        raise click.UsageError("--grids needs --against FOLDER")
    settings = Settings(**{**options, "threads": thread_count(options["threads"])})
    measured, compared = [], []
    for name, file in files:
        measured.append(measure(name, file, settings))
        if against:
            cases = cut_to_grids(file.codes) if grids else {"1 x 1": file.codes}
            compared += compare(name, cases, against, settings)
    rates, where = products_per_second(), environment(seed=None)
    if not as_json:
        print_text(measured, rates, where)
        print_comparison(compared)
        return
    results = {
        "environment": where,
        "repeat": settings.repeat,
        "peers": peer_settings(),
        "files": [dataclasses.asdict(file) for file in measured],
        "nanoseconds_per_bit": overall(measured),
        "parts": parts(measured, rates),
        "products_per_bit": products(measured),
        "products_per_second": dataclasses.asdict(rates),
        "compared": [dataclasses.asdict(one) for one in compared],
    }
    description = "Nanoseconds a code bit, where they go, and how few there could be"
    print_json("nncodec bench_speed", description, results)


if __name__ == "__main__":
    main()
