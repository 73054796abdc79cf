"""What trained networks save, in floats, in integers and on disk, and what they cost.

    python benchmarks/bench_networks.py --trained TRAIN_DIR --trained ANOTHER CODES...

Each TRAIN_DIR is a folder of `nncodec train`. Rates are of the first layers of all files together:
of the float network and of the integer one alone, of that with the adaptive stage, and bytes on
disk, every file a container of its own for its first layers. Times are of one thread, beside those
of the adaptive stage alone, of the first file.
"""

import os
import statistics
import sys
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # to run as a file

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.checkout import WAYS, operations, seconds
from benchmarks.common import describe, environment, print_json, reading_options, require_same
from benchmarks.common import table as columns
from nncodec.api import decode, encode
from nncodec.coding.codec import code_lengths
from nncodec.files.code_files import CodeFile
from nncodec.files.model_files import read_model
from nncodec.format.code_tensor import Codes
from nncodec.model.model import Model
from nncodec.model.packing import pack_model
from nncodec.training.code_length import code_lengths_of_network
from nncodec.training.networks.files import load_network
from nncodec.training.start_fitting import of_network_alone

Lengths = npt.NDArray[np.float64]

NETWORK, MODEL = "network.safetensors", "model.safetensors"
ADAPTIVE = "adaptive stage alone"


def first_layers(layers: int) -> list[int]:
    """How many first layers there are figures for: powers of two, and all."""
    return sorted({1 << k for k in range(layers.bit_length()) if 1 << k <= layers} | {layers})


def rates(files: Sequence[Codes], lengths: Callable[[Codes], Lengths]) -> list[float]:
    """Rates of the first layers under something that measures the layers of a file."""
    sums = np.sum([lengths(codes) for codes in files], axis=0)
    bits = sum(codes[0].size for codes in files)
    return [float(np.sum(sums[:count])) / bits / count for count in first_layers(len(files[0]))]


def rates_on_disk(files: Sequence[Codes], model: Model | str) -> list[float]:
    """The same of containers, each of which is decoded again."""
    found = []
    for count in first_layers(len(files[0])):
        size = 0
        for codes in files:
            data = encode(codes[:count], model, threads=1)
            given = None if isinstance(model, str) else model
            require_same("a container", decode(data, model=given, threads=1), codes[:count])
            size += len(data)
        found.append(8 * size / sum(codes[:count].size for codes in files))
    return found


def times(codes: Codes, model: str, repeat: int) -> list[float]:
    """Nanoseconds a bit to encode and to decode, medians."""
    calls = operations(codes, model, False, 1)
    for way in WAYS:
        calls[way]()
    taken = [[seconds(calls[way]) for way in WAYS] for _ in range(repeat)]
    return [statistics.median(one) / codes.size * 1e9 for one in zip(*taken, strict=True)]


def measure(folder: str, files: Sequence[Codes], repeat: int) -> dict[str, Any]:
    """Measures what a training left in its folder."""
    model = read_model(Path(folder) / MODEL)
    found: dict[str, Any] = {"folder": folder, "bytes": len(pack_model(model))}
    found["training_bits"] = model.facts.get("training_bits")
    found["network"] = model.facts.get("model")
    if model.network:
        floats, integers = load_network(str(Path(folder) / NETWORK)), model.network
        alone = Model(of_network_alone(integers), integers)
        found["products"] = integers.products()
        found["float"] = rates(files, lambda codes: code_lengths_of_network(floats, codes))
        found["integer"] = rates(files, lambda codes: code_lengths(codes, model=alone))
    found["theory"] = rates(files, lambda codes: code_lengths(codes, model=model))
    found["disk"] = rates_on_disk(files, model)
    found["ns"] = times(files[0], str(Path(folder) / MODEL), repeat)
    return found


@click.command()
@click.option("--trained", multiple=True, required=True, metavar="TRAIN_DIR", help="Of a training.")
@click.option("--repeat", type=click.IntRange(1), default=5, show_default=True, help="Of times.")
@reading_options
def main(
    files: Iterator[tuple[str, CodeFile]], trained: tuple[str, ...], repeat: int, as_json: bool
) -> None:
    """Measures trained networks on code files of as many layers."""
    codes = [file.codes for _, file in files]
    if len({len(one) for one in codes}) > 1:
        raise click.ClickException("the files have different numbers of layers; give equal ones")
    plain = {
        "folder": ADAPTIVE,
        "theory": rates(codes, code_lengths),
        "disk": rates_on_disk(codes, "adaptive"),
        "ns": times(codes[0], "adaptive", repeat),
    }
    results = [plain, *(measure(folder, codes, repeat) for folder in trained)]
    where = environment(seed=None)
    if as_json:
        found = {"environment": where, "files": len(codes), "networks": results}
        print_json("nncodec bench_networks", "Bits per code bit of trained networks", found)
        return
    click.echo(f"{describe(where)}\n\n{len(codes)} files, bits a code bit of the first layers")
    rows = [
        [one["folder"], kind, *(f"{rate:.4f}" for rate in one[kind])]
        for one in results
        for kind in ("float", "integer", "theory", "disk")
        if kind in one
    ]
    click.echo(columns(("trained", "what", *map(str, first_layers(len(codes[0])))), rows))
    rows = [
        [
            one["folder"],
            f"{one.get('training_bits') or 0:,}",
            f"{one.get('products', 0):.0f}",
            f"{one.get('bytes', 0):,}",
            *(f"{time:.0f}" for time in one["ns"]),
            *(f"{before / time:.2f}" for before, time in zip(plain["ns"], one["ns"], strict=True)),
        ]
        for one in results
    ]
    head = ("trained", "bits", "products", "bytes", "encode ns", "decode ns", "speed", "speed")
    click.echo(f"\n{columns(head, rows)}")


if __name__ == "__main__":
    main()
