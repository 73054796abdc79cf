"""Throughput of encode and decode on code files, where the time goes, and classic codecs for scale.

    python benchmarks/bench_speed.py codes/kodim04.npz
    python benchmarks/bench_speed.py codes/*.npz --repeat 5 --json --plot speed.png

Everything runs on one thread and counts code bits a second. Times are medians over the repeats,
after a run that is not timed; every decode is compared with the codes. Where the time goes comes
from one further run, under a stopwatch. `constriction` alone codes a million random bits of random
frequencies, in one call. Peers code the bits packed in the byte order that serves them best.
"""

import os
import sys
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # to run as a file

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np

from benchmarks.common import (
    common_options,
    describe,
    environment,
    new_figure,
    print_json,
    read_files,
    save_figure,
    table,
)
from benchmarks.peers import available_peers, smallest
from benchmarks.stopwatch import stopwatch
from nncodec import decode, encode
from nncodec.codes import CodeFile
from nncodec.model_choice import AUTO
from nncodec.model_files import ADAPTIVE
from nncodec.range_coder import Decoder, Encoder

WAYS = ("encode", "decode")
SEED = 0
RAW_BITS = 1 << 20


@dataclasses.dataclass(frozen=True)
class Speed:
    """One direction of one codec.

    Attributes:
        bits_per_second: by the median.
        seconds: of every repeat.
    """

    bits_per_second: float
    seconds: list[float]


@dataclasses.dataclass(frozen=True)
class Measured:
    """Speeds on one file: by the codec's name, then by "encode" and "decode".

    The stages are seconds of one run, by direction, then by the stage's name.
    """

    file: str
    shape: tuple[int, ...]
    bits: int
    speeds: dict[str, dict[str, Speed]]
    stages: dict[str, dict[str, float]]


def timed(function: Callable[[], object], bits: int, repeat: int) -> Speed:
    """Times a function that handles so many code bits."""
    seconds = []
    for _ in range(repeat):
        begin = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begin)
    return Speed(bits / statistics.median(seconds), seconds)


def measure(name: str, file: CodeFile, model: str, repeat: int) -> Measured:
    """Times nncodec and its peers on one file."""
    codes = file.codes
    data = encode(codes, model=model)
    needed = None if model in (AUTO, ADAPTIVE) else model

    def check() -> None:
        if not np.array_equal(decode(data, model=needed), codes):
            raise click.ClickException(f"{name}: the decoded codes are not the codes")

    check()
    speeds = {
        "nncodec": {
            "encode": timed(lambda: encode(codes, model=model), codes.size, repeat),
            "decode": timed(check, codes.size, repeat),
        }
    }
    stages = {}
    with stopwatch() as stages["encode"]:
        encode(codes, model=model)
    with stopwatch() as stages["decode"]:
        decode(data, model=needed)
    for peer in available_peers():
        packed = peer.arrange(codes)[smallest(peer, codes)[1]]
        compressed = peer.compress(packed)
        if peer.decompress(compressed) != packed:
            raise click.ClickException(f"{name}: {peer.name} does not give the bits back")
        speeds[peer.name] = {
            "encode": timed(functools.partial(peer.compress, packed), codes.size, repeat),
            "decode": timed(functools.partial(peer.decompress, compressed), codes.size, repeat),
        }
    return Measured(name, codes.shape, codes.size, speeds, stages)


def raw_coder(repeat: int) -> dict[str, Speed]:
    """Times the range coder alone, on random bits of random frequencies."""
    random = np.random.default_rng(SEED)
    frequencies = random.integers(1, 1 << 16, RAW_BITS, dtype=np.int32)
    bits = (random.integers(0, 1 << 16, RAW_BITS) < frequencies).astype(np.uint8)
    encoder = Encoder(bits)
    read = np.empty_like(bits)
    encoder.code(frequencies, read)
    payload = encoder.payload()
    Decoder(payload).code(frequencies, read)
    if not np.array_equal(read, bits):
        raise click.ClickException("the range coder does not give the bits back")
    return {
        "encode": timed(encoder.payload, RAW_BITS, repeat),
        "decode": timed(lambda: Decoder(payload).code(frequencies, read), RAW_BITS, repeat),
    }


def overall(files: list[Measured], raw: dict[str, Speed]) -> dict[str, dict[str, float]]:
    """Code bits a second over all files: by the codec's name, then by direction."""
    bits = sum(file.bits for file in files)
    speeds: dict[str, dict[str, float]] = {}
    for name in files[0].speeds:
        speeds[name] = {}
        for way in WAYS:
            seconds = (file.bits / file.speeds[name][way].bits_per_second for file in files)
            speeds[name][way] = bits / sum(seconds)
    speeds["constriction alone"] = {way: one.bits_per_second for way, one in raw.items()}
    return speeds


def split(files: list[Measured]) -> dict[str, dict[str, float]]:
    """Microseconds per 1,000 code bits over all files: by direction, then by stage."""
    bits = sum(file.bits for file in files)
    return {
        way: {
            stage: sum(file.stages[way][stage] for file in files) / bits * 1e9
            for stage in files[0].stages[way]
        }
        for way in WAYS
    }


def print_text(files: list[Measured], raw: dict[str, Speed], where: dict[str, Any]) -> None:
    speeds = [
        [name, *(f"{ways[way] / 1e6:.3f}" for way in WAYS)]
        for name, ways in overall(files, raw).items()
    ]
    each = []
    for file in files:
        own = (file.speeds["nncodec"][way].bits_per_second for way in WAYS)
        each.append([file.file, str(file.bits), *(f"{speed / 1e6:.3f}" for speed in own)])
    stages = split(files)
    totals = {way: sum(stages[way].values()) for way in WAYS}
    rows = []
    for stage in stages["encode"]:
        times = [(stages[way][stage], totals[way]) for way in WAYS]
        cells = [
            cell for spent, total in times for cell in (f"{spent:.1f}", f"{spent / total:.1%}")
        ]
        rows.append([stage, *cells])
    rows.append(["all", f"{totals['encode']:.1f}", "", f"{totals['decode']:.1f}", ""])
    settings = ", ".join(f"{peer.name} {peer.setting}" for peer in available_peers())
    repeats = len(raw["encode"].seconds)
    click.echo(
        f"{describe(where)}\n\n"
        f"Million code bits a second, medians of {repeats} runs, {len(files)} files together\n"
        f"{table(('codec', 'encode', 'decode'), speeds)}\n\n"
        "nncodec, file by file\n"
        f"{table(('file', 'code bits', 'encode', 'decode'), each)}\n\n"
        "Where the time of nncodec goes, microseconds per 1,000 code bits\n"
        f"{table(('stage', 'encode', '', 'decode', ''), rows)}\n\n"
        f"Round trips: all {len(files)} files came back bit for bit, every time\n"
        f"Peers: {settings}; on the bits packed in their best order"
    )


def plot(files: list[Measured], raw: dict[str, Speed], path: Path) -> None:
    """Draws the throughput of all codecs, and where the time of nncodec goes."""
    figure = new_figure(13, 5)
    left, right = figure.subplots(1, 2)
    speeds = overall(files, raw)
    places = np.arange(len(speeds))
    for offset, way in ((-0.2, "encode"), (0.2, "decode")):
        millions = [ways[way] / 1e6 for ways in speeds.values()]
        bars = left.barh(places + offset, millions, height=0.38, label=way)
        labels = [f"{speed:,.0f}" if speed >= 100 else f"{speed:.3g}" for speed in millions]
        left.bar_label(bars, labels, padding=3, fontsize=8)
    left.set_yticks(places, list(speeds))
    left.invert_yaxis()
    left.set_xscale("log")
    left.margins(x=0.15)
    left.set_xlabel("million code bits a second, one thread")
    left.set_title("Throughput")
    left.legend(loc="upper right", fontsize=9)

    stages = split(files)
    begin = np.zeros(len(WAYS))
    for stage in stages["encode"]:
        values = np.array([stages[way][stage] for way in WAYS])
        right.barh(WAYS, values, left=begin, height=0.5, label=stage)
        begin += values
    right.invert_yaxis()
    right.set_xlabel("microseconds per 1,000 code bits")
    right.set_title("Where the time of nncodec goes")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, fontsize=9)
    save_figure(figure, path)


@click.command()
@common_options
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True, help="Timed runs.")
def main(
    files: tuple[str, ...],
    model: str,
    layout: str,
    layer_depth: int | None,
    as_json: bool,
    plot_path: Path | None,
    repeat: int,
) -> None:
    """Measures how fast code FILES are encoded and decoded, on one thread."""
    measured = [
        measure(name, file, model, repeat) for name, file in read_files(files, layout, layer_depth)
    ]
    raw, where = raw_coder(repeat), environment(SEED)
    if as_json:
        results = {
            "environment": where,
            "repeat": repeat,
            "peers": {peer.name: peer.setting for peer in available_peers()},
            "files": [dataclasses.asdict(file) for file in measured],
            "constriction": {way: dataclasses.asdict(one) for way, one in raw.items()},
            "bits_per_second": overall(measured, raw),
            "microseconds_per_1000_bits": split(measured),
        }
        description = "Code bits a second on one thread, and where the time goes"
        print_json("nncodec bench_speed", description, results)
    else:
        print_text(measured, raw, where)
    if plot_path:
        plot(measured, raw, plot_path)


if __name__ == "__main__":
    main()
