"""Throughput of encode and decode on code files, where the time goes, and classic codecs for scale.

    python benchmarks/bench_speed.py codes/kodim04.npz
    python benchmarks/bench_speed.py codes/*.npz --repeat 5 --threads 2 --json --plot speed.png

Everything runs on one thread, but for a line of nncodec on as many as --threads says, and counts
code bits a second. Times are medians over the repeats,
after a run that is not timed; every decode is compared with the codes. Where the time goes comes
from further runs under a stopwatch, of which the median one counts, and within the traversal from
the processor's clock (stages.py): median shares, of what the traversal took in that run. The floor
(floor.py) is what the model's multiply-accumulates and the coder would take at the speeds that
this machine has for each alone; choosing a model (auto) is no part of it. Raster order (raster.py)
is timed on a corner of the codes. The range coder alone codes a million random bits of random
frequencies, in one call. Peers code the bits packed in the byte order that serves them best.
"""

import os
import sys
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # to run as a file

import dataclasses
import importlib
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
from benchmarks.floor import rates
from benchmarks.peers import available_peers
from benchmarks.speeds import RASTER, SEED, WAYS, Measured, Speed, measure, raw_coder


def overall(files: list[Measured], raw: dict[str, Speed]) -> dict[str, dict[str, float]]:
    """Code bits a second over all files: by the codec's name, then by direction."""
    bits = sum(file.bits for file in files)
    speeds: dict[str, dict[str, float]] = {}
    for name in files[0].speeds:
        speeds[name] = {}
        for way in WAYS:
            seconds = (file.bits / file.speeds[name][way].bits_per_second for file in files)
            speeds[name][way] = bits / sum(seconds)
    speeds["range coder alone"] = {way: one.bits_per_second for way, one in raw.items()}
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


def floors(
    files: list[Measured], raw: dict[str, Speed], machine: dict[str, float]
) -> dict[str, dict[str, float]]:
    """Nanoseconds per code bit, by direction: of the floor, its parts, and nncodec."""
    bits = sum(file.bits for file in files)
    operations = sum(file.bits * file.multiply_accumulates for file in files) / bits
    speeds = overall(files, raw)["nncodec"]
    result = {}
    for way in WAYS:
        model = operations / max(machine.values()) * 1e9
        coder, measured = 1e9 / raw[way].bits_per_second, 1e9 / speeds[way]
        result[way] = {
            "multiply-accumulates of the model": model,
            "range coder": coder,
            "floor": model + coder,
            "nncodec": measured,
            "nncodec / floor": measured / (model + coder),
        }
    return result


def print_text(
    files: list[Measured],
    raw: dict[str, Speed],
    machine: dict[str, float],
    where: dict[str, Any],
) -> None:
    totals = overall(files, raw)
    speeds = [
        [name, *(f"{ways[way] / 1e6:.3f}" for way in WAYS)]
        for name, ways in totals.items()
        if name != RASTER
    ]
    each = []
    for file in files:
        own = (file.speeds["nncodec"][way].bits_per_second for way in WAYS)
        each.append([file.file, str(file.bits), *(f"{speed / 1e6:.3f}" for speed in own)])
    floor = floors(files, raw, machine)
    floor_rows = [[name, *(f"{floor[way][name]:.1f}" for way in WAYS)] for name in floor["encode"]]
    kinds = ", ".join(f"{kind} {rate / 1e9:.1f}" for kind, rate in machine.items())
    settings = ", ".join(f"{peer.name} {peer.setting}" for peer in available_peers())
    repeats = len(raw["encode"].seconds)
    ratio = totals["nncodec"]["decode"] / totals[RASTER]["decode"]
    click.echo(
        f"{describe(where)}\n\n"
        f"Million code bits a second, medians of {repeats} runs, {len(files)} files together\n"
        f"{table(('codec', 'encode', 'decode'), speeds)}\n\n"
        "nncodec, file by file\n"
        f"{table(('file', 'code bits', 'encode', 'decode'), each)}\n\n"
        "Where the time of nncodec goes, microseconds per 1,000 code bits\n"
        f"{table(('stage', 'encode', '', 'decode', ''), split_rows(files))}\n"
        "\n"
        "The floor, nanoseconds per code bit\n"
        f"{table(('', 'encode', 'decode'), floor_rows)}\n"
        f"Thousand million multiply-accumulates a second: {kinds}\n\n"
        "Raster order, bit by bit with numpy, the untrained model without a network: encodes "
        f"{totals[RASTER]['encode']:,.0f},\ndecodes {totals[RASTER]['decode']:,.0f} code bits a "
        f"second; nncodec decodes {ratio:,.0f} times as many\n\n"
        f"Round trips: all {len(files)} files came back bit for bit, every time\n"
        f"Peers: {settings}; on the bits packed in their best order"
    )


def split_rows(files: list[Measured]) -> list[list[str]]:
    """What `split` gives, and each stage's share, as rows of a table."""
    stages = split(files)
    totals = {way: sum(stages[way].values()) for way in WAYS}
    rows = []
    for stage in stages["encode"]:
        cells = [stage]
        for way in WAYS:
            spent = stages[way][stage]
            cells += [f"{spent:.1f}", f"{spent / totals[way]:.1%}"]
        rows.append(cells)
    rows.append(["all", f"{totals['encode']:.1f}", "", f"{totals['decode']:.1f}", ""])
    return rows


def plot(files: list[Measured], raw: dict[str, Speed], path: Path) -> None:
    """Draws the throughput of all codecs, and where the time of nncodec goes."""
    figure = new_figure(13, 6)
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
    left.set_xlabel("million code bits a second")
    left.set_title("Throughput")
    left.legend(loc="upper right", fontsize=9)

    stages = split(files)
    colours = importlib.import_module("matplotlib").colormaps["tab20"].colors
    begin = np.zeros(len(WAYS))
    for stage, colour in zip(stages["encode"], colours, strict=False):
        values = np.array([stages[way][stage] for way in WAYS])
        right.barh(WAYS, values, left=begin, height=0.5, label=stage, color=colour)
        begin += values
    right.invert_yaxis()
    right.set_xlabel("microseconds per 1,000 code bits")
    right.set_title("Where the time of nncodec goes")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, fontsize=9)
    save_figure(figure, path)


@click.command()
@common_options
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True, help="Timed runs.")
@click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, help="Try these many too."
)
def main(
    files: tuple[str, ...],
    model: str,
    layout: str,
    layer_depth: int | None,
    as_json: bool,
    plot_path: Path | None,
    repeat: int,
    threads: int,
) -> None:
    """Measures how fast code FILES are encoded and decoded, on one thread and on more."""
    measured = [
        measure(name, file, model, repeat, threads)
        for name, file in read_files(files, layout, layer_depth)
    ]
    raw, machine, where = raw_coder(repeat), rates(), environment(SEED)
    if as_json:
        results = {
            "environment": where,
            "repeat": repeat,
            "peers": {peer.name: peer.setting for peer in available_peers()},
            "files": [dataclasses.asdict(file) for file in measured],
            "range_coder": {way: dataclasses.asdict(one) for way, one in raw.items()},
            "bits_per_second": overall(measured, raw),
            "microseconds_per_1000_bits": split(measured),
            "multiply_accumulates_per_second": machine,
            "nanoseconds_per_bit": floors(measured, raw, machine),
        }
        description = (
            "Code bits a second, where the time of one thread goes, and how little it could be"
        )
        print_json("nncodec bench_speed", description, results)
    else:
        print_text(measured, raw, machine, where)
    if plot_path:
        plot(measured, raw, plot_path)


if __name__ == "__main__":
    main()
