"""Sizes that nncodec reaches on code files, against theory and against classic codecs.

    python benchmarks/bench_rate.py codes/*.npz
    python benchmarks/bench_rate.py codes/*.npz --json --plot rate.png

Theory is the code length: what an ideal coder would spend at the model's probabilities; a stored
layer's theory is its bits. Actual sizes are bytes on disk, of containers that were decoded again
and compared. The first k layers are a container of their own, header included: the first segments
of the whole file, for no layer depends on a later one; encoded anew where k cuts a segment. Rates
are bits out per code bit in; means are means of the files' rates.
"""

import os
import sys
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # to run as a file

import dataclasses
import io
import statistics
from collections.abc import Iterable
from typing import Any

import click
import numpy as np

from benchmarks.common import (
    describe,
    environment,
    model_option,
    new_figure,
    plot_option,
    print_json,
    reading_options,
    require_same,
    save_figure,
    sequence_option,
    table,
)
from benchmarks.peers import available_peers, settings, smallest
from nncodec import decode
from nncodec.coding.codec import Encoded, LayerSize, encode_source
from nncodec.files.code_files import CodeFile
from nncodec.files.model_choice import choose_predictor
from nncodec.format.code_tensor import Codes
from nncodec.format.container import Container, pack, read_container
from nncodec.format.groups import Group
from nncodec.format.header import pack_header
from nncodec.model.model import Model

COUNTS = (1, 2, 4, 8, 16)
"""Numbers of first layers whose rates are given, beside all layers."""


@dataclasses.dataclass(frozen=True)
class Rates:
    """What the first layers of a file, or of several in the mean, cost.

    Attributes:
        layers: how many first layers.
        files: over how many files the rates are means.
        bytes: on disk.
        theory, nncodec: rates.
        peers: rates by the peer's name.
        orders: the peers' best byte orders; empty for means.
    """

    layers: int
    files: int
    bytes: float
    theory: float
    nncodec: float
    peers: dict[str, float]
    orders: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Measured:
    """Sizes of one file; `allowed_bytes` is what the container promises to stay within."""

    file: str
    shape: tuple[int, ...]
    axes: str
    sequence: bool
    bits: int
    bytes: int
    code_length: float
    header_bytes: int
    segments: int
    allowed_bytes: float
    layers: list[LayerSize]
    rates: list[Rates]


def measure(name: str, file: CodeFile, model: str, sequence: bool | None) -> Measured:
    """Encodes one file, decodes it, and weighs it against its peers."""
    codes = file.codes
    chosen = choose_predictor(codes, model, sequence)
    encoded = encode_source(codes, file.source, model=chosen.model, sequence=chosen.sequence)
    require_same(name, decode(encoded.data, model=chosen.model), codes)
    layers = [
        dataclasses.replace(layer, code_length=float(layer.bits)) if layer.stored else layer
        for layer in encoded.layers
    ]
    lengths = np.cumsum(np.array([layer.code_length for layer in layers], dtype=np.float64))
    counts = sorted({count for count in COUNTS if count < len(codes)} | {len(codes)})
    rates = []
    for count in counts:
        bits = codes[:count].size
        size = len(first_layers(encoded, codes, count, chosen.model))
        best = {peer.name: smallest(peer, codes[:count]) for peer in available_peers()}
        peer_rates = {peer: bytes_ * 8 / bits for peer, (bytes_, _) in best.items()}
        best_orders = {peer: order for peer, (_, order) in best.items()}
        theory = float(lengths[count - 1]) / bits
        rates.append(Rates(count, 1, size, theory, size * 8 / bits, peer_rates, best_orders))
    header, length = encoded.header, float(lengths[-1])
    return Measured(
        file=name,
        shape=header.shape,
        axes=file.source.first.axes,
        sequence=chosen.sequence,
        bits=header.bits,
        bytes=len(encoded.data),
        code_length=length,
        header_bytes=len(pack_header(header)),
        segments=len(header.segments),
        allowed_bytes=length / 8 * 1.0005 + 32 + 12 * len(header.segments),
        layers=layers,
        rates=rates,
    )


def first_layers(encoded: Encoded, codes: Codes, count: int, model: Model | None) -> bytes:
    """The container of the first layers, from that of all layers."""
    whole = encoded.header
    ends = [layers.stop for layers in whole.segment_layers()]
    if count not in ends:
        few = encode_source(codes[:count], whole.source, model=model, sequence=whole.sequence)
        return few.data
    parts = read_container(io.BytesIO(encoded.data), layers=count).parts
    segments = whole.segments[: len(parts[0].payloads)]
    extent = whole.extent.first_layers(count)
    groups = (Group(extent.pictures, segments),)
    header = dataclasses.replace(whole, extent=extent, groups=groups)
    return pack(Container(header, parts))


def mean_rates(files: list[Measured]) -> list[Rates]:
    """Means over the files that have so many layers."""
    names = list(settings())
    by_count: dict[int, list[Rates]] = {}
    for file in files:
        for rates in file.rates:
            by_count.setdefault(rates.layers, []).append(rates)
    return [
        Rates(
            layers=count,
            files=len(group),
            bytes=statistics.fmean(one.bytes for one in group),
            theory=statistics.fmean(one.theory for one in group),
            nncodec=statistics.fmean(one.nncodec for one in group),
            peers={name: statistics.fmean(one.peers[name] for one in group) for name in names},
            orders={},
        )
        for count, group in sorted(by_count.items())
    ]


def mean_layers(files: list[Measured]) -> list[dict[str, float]]:
    """Means, layer by layer, over the files that have the layer."""
    result = []
    for index in range(max(len(file.layers) for file in files)):
        group = [file.layers[index] for file in files if index < len(file.layers)]
        means: dict[str, float] = {"layer": index, "files": len(group)}
        for key in ("bits", "code_length", "bytes", "stored"):
            means[key] = statistics.fmean(float(getattr(layer, key)) for layer in group)
        result.append(means)
    return result


def size_table(files: list[Measured]) -> str:
    """Actual versus theoretical size."""

    def row(name: str, bits: float, length: float, size: float, stored: str) -> list[str]:
        over = f"{size * 8 / length - 1:+.3%}"
        rates = [f"{length / bits:.4f}", f"{size * 8 / bits:.4f}"]
        return [name, f"{bits:.0f}", f"{length / 8:.1f}", f"{size:.1f}", over, *rates, stored]

    rows = []
    for one in mean_layers(files):
        stored = f"{one['stored']:.0%}"
        rows.append(row(str(one["layer"]), one["bits"], one["code_length"], one["bytes"], stored))
    header = statistics.fmean(file.header_bytes for file in files)
    rows.append(["header", "", "", f"{header:.1f}", "", "", "", ""])
    bits, length, size = (
        statistics.fmean(getattr(file, key) for file in files)
        for key in ("bits", "code_length", "bytes")
    )
    rows.append(row("all", bits, length, size, ""))
    head = ("layer", "code bits", "theory B", "actual B", "over", "theory", "actual", "stored")
    return table(head, rows)


def rate_table(means: list[Rates]) -> str:
    """The rates of nncodec and its peers."""
    names = list(means[0].peers)
    rows = []
    for one in means:
        rates = [one.theory, one.nncodec, *(one.peers[name] for name in names)]
        rows.append([str(one.layers), str(one.files), *(f"{rate:.4f}" for rate in rates)])
    return table(("first layers", "files", "theory", "nncodec", *names), rows)


def print_text(files: list[Measured], means: list[Rates], where: dict[str, Any]) -> None:
    worst = max(files, key=lambda file: file.bytes - file.allowed_bytes)
    over, allowed = (size - worst.code_length / 8 for size in (worst.bytes, worst.allowed_bytes))
    click.echo(
        f"{describe(where)}\n\n"
        f"Actual versus theoretical size, mean of {len(files)} files\n"
        f"{size_table(files)}\n\n"
        f"Overhead of the file nearest its limit: {over:.1f} bytes of {allowed:.1f} allowed, "
        f"{worst.file}\n"
        f"Round trips: {len(files)} of {len(files)} files came back bit for bit\n\n"
        "Bits on disk per code bit, mean of the files' rates; peers in their best byte order\n"
        f"{rate_table(means)}\n\n"
        f"Peers: {', '.join(map(' '.join, settings().items()))}"
    )


def plot(files: list[Measured], means: list[Rates], path: Path) -> None:
    """Draws rates by the number of layers, and actual against theoretical size by layer."""
    figure = new_figure(12, 5.5)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    counts = [one.layers for one in means]
    for name, marker in zip(means[0].peers, "^vsDP<>", strict=False):
        rates = [one.peers[name] for one in means]
        left.plot(counts, rates, marker=marker, markersize=5, linewidth=1, label=name)
    actual = [one.nncodec for one in means]
    left.plot(counts, actual, "o-", color="black", linewidth=2.2, label="nncodec, on disk")
    theory = [one.theory for one in means]
    left.plot(counts, theory, "x--", color="red", linewidth=1.2, label="nncodec, theory", zorder=3)
    left.axhline(1, color="grey", linewidth=0.8, linestyle=":", label="packed bits")
    left.set_xscale("log", base=2)
    left.set_xticks(counts, [str(count) for count in counts])
    left.minorticks_off()
    left.set_xlabel("first layers")
    left.set_ylabel("bits out per code bit")
    left.set_title(f"Rate, mean of {len(files)} file{'s' * (len(files) != 1)}")
    left.grid(alpha=0.3)
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4, fontsize=9)

    layers = mean_layers(files)
    numbers = [one["layer"] for one in layers]
    sizes = [one["bytes"] * 8 / one["bits"] for one in layers]
    lengths = [one["code_length"] / one["bits"] for one in layers]
    right.bar(numbers, sizes, color="lightsteelblue", label="on disk, without header")
    right.plot(numbers, lengths, "_", color="red", markersize=12, label="theory")
    right.set_xticks(numbers[:: -(-len(numbers) // 16)])
    right.set_ylim(0, max(1.0, *sizes) * 1.05)
    right.set_xlabel("layer")
    right.set_ylabel("bits out per code bit of the layer")
    right.set_title("nncodec, layer by layer")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, fontsize=9)
    save_figure(figure, path)


@click.command()
@reading_options
@model_option
@sequence_option
@plot_option
def main(
    files: Iterable[tuple[str, CodeFile]],
    as_json: bool,
    model: str,
    sequence: bool | None,
    plot_path: Path | None,
) -> None:
    """Measures sizes of code FILES against theory and against classic codecs."""
    measured = [measure(name, file, model, sequence) for name, file in files]
    means, where = mean_rates(measured), environment(seed=None)
    if as_json:
        results = {
            "environment": where,
            "peers": settings(),
            "files": [dataclasses.asdict(file) for file in measured],
            "mean": {
                "layers": mean_layers(measured),
                "rates": [dataclasses.asdict(one) for one in means],
            },
        }
        description = "Bytes on disk against theory and against classic codecs, first k layers"
        print_json("nncodec bench_rate", description, results)
    else:
        print_text(measured, means, where)
    if plot_path:
        plot(measured, means, plot_path)


if __name__ == "__main__":
    main()
