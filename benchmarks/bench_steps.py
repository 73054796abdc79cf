"""What every part of the model saves and costs: from one learner to a trained model.

    python benchmarks/bench_steps.py codes/*.npz
    python benchmarks/bench_steps.py codes/*.npz --model start.safetensors --model all.safetensors

Every line adds a part to the one before: first those of the adaptive stage without training, then
the models that are given. Rates are bits on disk per code bit, mean of the files' rates; weights
are those that are not zero after the first file; times are of one thread, for a million code bits.
"""

import os
import sys
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # to run as a file

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np

from benchmarks.bench_rate import COUNTS, first_layers
from benchmarks.common import (
    describe,
    environment,
    print_json,
    read_files,
    reading_options,
    table,
)
from nncodec import decode, load_model
from nncodec.coding.codec import encode_source, traverse_known
from nncodec.files.code_files import CodeFile
from nncodec.model.adaptive.learning_rates import (
    AROUND,
    FAST,
    KINDS,
    MIXER_OF_LAYER,
    MIXER_OF_SET,
    MIXER_OF_UNIT,
    OWN,
    SHARED_GATES,
    SLOW,
)
from nncodec.model.adaptive.start import MIXER_BITS, Start, untrained
from nncodec.model.contexts import LAYER_TAPS
from nncodec.model.model import Model


@dataclasses.dataclass(frozen=True)
class Step:
    """The model up to a part.

    Attributes:
        name: of the part.
        weights: how many numbers it has that are not zero.
        rates: by the number of first layers.
        encode, decode: seconds for a million code bits, medians over the files.
    """

    name: str
    weights: int
    rates: dict[int, float]
    encode: float
    decode: float


def _still(start: Start, *columns: int) -> Start:
    """A start of which some kinds of weights do not learn."""
    rates = start.rates.copy()
    rates[:, columns] = 0
    return dataclasses.replace(start, rates=rates)


def _without_around(start: Start) -> Start:
    return _still(start, AROUND)


def _without_sets(start: Start) -> Start:
    return _still(start, MIXER_OF_SET)


def _without_mixer(start: Start) -> Start:
    """The fast learner alone."""
    mixers = np.zeros_like(start.mixers)
    mixers[..., FAST] = 1 << MIXER_BITS
    start = dataclasses.replace(start, mixers=mixers)
    slow = range(SLOW * KINDS, (SLOW + 1) * KINDS)
    return _still(start, MIXER_OF_UNIT, MIXER_OF_LAYER, *slow)


def _without_surprise(start: Start) -> Start:
    return _still(start, FAST * KINDS + OWN)


def _without_gates(start: Start) -> Start:
    shared = start.shared.copy()
    shared[..., len(LAYER_TAPS) :] = 0
    start = dataclasses.replace(start, shared=shared)
    return _still(start, FAST * KINDS + SHARED_GATES, SLOW * KINDS + SHARED_GATES)


_PARTS: tuple[tuple[str, Callable[[Start], Start]], ...] = (
    ("how much neighbours resemble", _without_gates),
    ("slow learner, layer before, mixer", _without_mixer),
    ("surprise of the known bits", _without_surprise),
    ("mixer by confidence, resemblance", _without_sets),
    ("all channels of the neighbours", _without_around),
)
"""Every part, and what takes it out; those further down are taken out too until it is added."""


def untrained_steps(layers: int, channels: int) -> list[tuple[str, Start]]:
    """Starts without training, from the plainest to the whole."""
    steps = []
    for number in range(len(_PARTS) + 1):
        start = untrained(layers, channels)
        for _, take_out in _PARTS[number:]:
            start = take_out(start)
        name = f"+ {_PARTS[number - 1][0]}" if number else "known bits, nearest neighbours"
        steps.append((name, start))
    return steps


def measure(name: str, model: Model, files: list[CodeFile]) -> Step:
    """Codes all files with a model."""
    rates: dict[int, list[float]] = {}
    encodes, decodes = [], []
    for file in files:
        codes = file.codes
        begin = time.perf_counter()
        encoded = encode_source(codes, file.source, model=model)
        middle = time.perf_counter()
        if not np.array_equal(decode(encoded.data, model=model, threads=1), codes):
            raise click.ClickException("the decoded codes are not the codes")
        end = time.perf_counter()
        encodes.append((middle - begin) / codes.size * 1e6)
        decodes.append((end - middle) / codes.size * 1e6)
        for count in sorted({*(count for count in COUNTS if count < len(codes)), len(codes)}):
            size = len(first_layers(encoded, codes, count, model))
            rates.setdefault(count, []).append(size * 8 / codes[:count].size)
    stage = traverse_known(files[0].codes, model)
    learned = list(stage.learned().values())
    network = list(model.network.arrays().values()) if model.network else []
    return Step(
        name,
        sum(int(np.count_nonzero(array)) for array in [*learned, *network]),
        {count: statistics.fmean(group) for count, group in rates.items()},
        statistics.median(encodes),
        statistics.median(decodes),
    )


def print_text(steps: list[Step], where: dict[str, Any]) -> None:
    counts = sorted(steps[0].rates)
    rows = [
        [
            step.name,
            *(f"{step.rates[count]:.4f}" for count in counts),
            str(step.weights),
            f"{step.encode:.2f}",
            f"{step.decode:.2f}",
        ]
        for step in steps
    ]
    head = ("first layers", *map(str, counts), "weights", "encode s", "decode s")
    click.echo(f"{describe(where)}\n\n{table(head, rows)}")


@click.command()
@reading_options
@click.option("--model", "models", multiple=True, help="A trained model; may be repeated.")
def main(
    files: tuple[str, ...],
    models: tuple[str, ...],
    layout: str,
    layer_depth: int | None,
    as_json: bool,
) -> None:
    """Measures what every part of the model saves on code FILES, and costs."""
    read = [file for _, file in read_files(files, layout, layer_depth)]
    shapes = {(len(file.codes), file.codes.shape[-1]) for file in read}
    if len(shapes) > 1:
        raise click.ClickException("the files have different layers; give those of one encoder")
    steps = []
    for name, start in untrained_steps(*shapes.pop()):
        steps.append(measure(name, Model(start), read))
    steps += [measure(name, load_model(name), read) for name in models]
    where = environment(seed=None)
    if as_json:
        results = {"environment": where, "steps": [dataclasses.asdict(step) for step in steps]}
        print_json("nncodec bench_steps", "What every part of the model saves and costs", results)
    else:
        print_text(steps, where)


if __name__ == "__main__":
    main()
