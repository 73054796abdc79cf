"""What every part of the model saves and costs: from one learner to a trained model.

    python benchmarks/bench_steps.py codes/*.npz
    python benchmarks/bench_steps.py codes/*.npz --model start.safetensors --model all.safetensors

The first lines add up the parts of the adaptive stage, without training; in the next ones it lacks
one part each; then come the models that are given. A part that is left out starts at zero and does
not learn. Rates are bits on disk per code bit, mean of the files' rates; weights are those that are
not zero after the first file; products are multiply-accumulates a code bit (floor.py). Times are of
one thread, for a million code bits; they hardly differ: what is left out is computed all the same.
"""

import os
import sys
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # to run as a file

import dataclasses
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click
import numpy as np

from benchmarks.bench_rate import COUNTS, first_layers
from benchmarks.common import (
    describe,
    environment,
    print_json,
    reading_options,
    require_same,
    table,
)
from benchmarks.floor import products
from nncodec import decode, load_model
from nncodec.coding.codec import encode_source, traverse_known
from nncodec.files.code_files import CodeFile
from nncodec.files.model_choice import choose_predictor
from nncodec.format.extent import Extent
from nncodec.model.adaptive import learning_rates
from nncodec.model.adaptive.start import SHARED_INPUTS, Start, untrained
from nncodec.model.contexts import RESEMBLANCE_TAPS
from nncodec.model.model import Model
from nncodec.model.schedule import Schedule


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the adaptive stage that can be left out.

    Attributes:
        name: for people.
        products: its names among the `Products`.
        rate: of its weights.
        shared: the columns of `Start.shared` that it starts from.
    """

    name: str
    products: tuple[str, ...]
    rate: int
    shared: range = range(0)


_GATES = SHARED_INPUTS - 2 * len(RESEMBLANCE_TAPS)  # begin here
_OF_TAPS, _OF_GATES = range(_GATES), range(_GATES, SHARED_INPUTS)
FIRST = "known bits"
PARTS = (
    Part("surprise of the known bits", ("surprise",), learning_rates.SURPRISE),
    Part("own channel of neighbours", ("nearby",), learning_rates.TAPS, _OF_TAPS),
    Part("how much neighbours resemble", ("gates",), learning_rates.GATES, _OF_GATES),
    Part("layer before", ("before",), learning_rates.BEFORE),
    Part("blocks around", ("around", "motion"), learning_rates.AROUND),
    Part("mixer of a channel", ("mixer_of_unit",), learning_rates.MIXER_OF_UNIT),
    Part("mixer of a layer", ("mixer_of_layer",), learning_rates.MIXER_OF_LAYER),
)
FRAMES = "frames before"


@dataclasses.dataclass(frozen=True)
class Step:
    """The model up to a part.

    Attributes:
        name: of the part.
        weights: how many numbers it has that are not zero.
        products: multiply-accumulates for a code bit of the first file.
        rates: by the number of first layers.
        encode, decode: seconds for a million code bits, medians over the files.
    """

    name: str
    weights: int
    products: float
    rates: dict[int, float]
    encode: float
    decode: float


def without(start: Start, parts: Iterable[Part]) -> Start:
    """A start of a stage that lacks some parts."""
    rates, shared = start.rates.copy(), start.shared.copy()
    for part in parts:
        rates[:, part.rate] = 0
        shared[:, part.shared] = 0
    return dataclasses.replace(start, rates=rates, shared=shared)


def measure(
    name: str, model: Model, files: Sequence[CodeFile], missing: Sequence[Part], sequence: bool
) -> Step:
    """Codes all files with a model.

    Args:
        name: of the step.
        model: which predicts.
        files: of one encoder.
        missing: parts whose products do not count.
        sequence: whether pictures are frames, each predicted from those before.
    """
    rates: dict[int, list[float]] = {}
    encodes, decodes = [], []
    for file in files:
        codes = file.codes
        begin = time.perf_counter()
        encoded = encode_source(codes, file.source, model=model, sequence=sequence)
        middle = time.perf_counter()
        decoded = decode(encoded.data, model=model, threads=1)
        end = time.perf_counter()
        require_same(name, decoded, codes)
        encodes.append((middle - begin) / codes.size * 1e6)
        decodes.append((end - middle) / codes.size * 1e6)
        for count in sorted({*(count for count in COUNTS if count < len(codes)), len(codes)}):
            size = len(first_layers(encoded, codes, count, model))
            rates.setdefault(count, []).append(size * 8 / codes[:count].size)
    codes = files[0].codes
    learned = list(traverse_known(codes, model, sequence=sequence).learned().values())
    network = list(model.network.arrays().values()) if model.network else []
    schedule = Schedule(Extent.of_shape(codes.shape), sequence)
    counted = products(schedule, model.network)
    return Step(
        name,
        sum(int(np.count_nonzero(array)) for array in [*learned, *network]),
        counted.total - sum(getattr(counted, one) for part in missing for one in part.products),
        {count: statistics.fmean(group) for count, group in rates.items()},
        statistics.median(encodes),
        statistics.median(decodes),
    )


def untrained_steps(files: Sequence[CodeFile]) -> Iterator[Step]:
    """Codes all files without training: part after part, then without one of the parts each.

    The frames before are a part only where a file has several pictures.
    """
    layers, *_, channels = files[0].codes.shape
    start = untrained(layers, channels)
    for number in range(len(PARTS) + 1):
        name, missing = f"+ {PARTS[number - 1].name}" if number else FIRST, PARTS[number:]
        yield measure(name, Model(without(start, missing)), files, missing, sequence=False)
    frames = max(file.codes.shape[1] for file in files) > 1
    if frames:
        yield measure(f"+ {FRAMES}", Model(start), files, (), sequence=True)
    for part in PARTS:
        model = Model(without(start, [part]))
        yield measure(f"all but {part.name}", model, files, [part], sequence=frames)


def print_text(steps: list[Step], where: dict[str, Any]) -> None:
    counts = sorted(steps[0].rates)
    rows = [
        [
            step.name,
            *(f"{step.rates[count]:.4f}" for count in counts),
            str(step.weights),
            f"{step.products:.0f}",
            f"{step.encode:.2f}",
            f"{step.decode:.2f}",
        ]
        for step in steps
    ]
    head = ("first layers", *map(str, counts), "weights", "products", "encode s", "decode s")
    click.echo(f"{describe(where)}\n\n{table(head, rows)}")


@click.command()
@reading_options
@click.option("--model", "models", multiple=True, help="A trained model; may be repeated.")
def main(files: Iterable[tuple[str, CodeFile]], as_json: bool, models: tuple[str, ...]) -> None:
    """Measures what every part of the model saves on code FILES, and costs."""
    read = [file for _, file in files]
    if len({(len(file.codes), file.codes.shape[-1]) for file in read}) > 1:
        raise click.ClickException("the files have different layers; give those of one encoder")
    steps = list(untrained_steps(read))
    for name in models:
        sequence = choose_predictor(read[0].codes, name).sequence
        steps.append(measure(name, load_model(name), read, (), sequence))
    where = environment(seed=None)
    if as_json:
        results = {"environment": where, "steps": [dataclasses.asdict(step) for step in steps]}
        print_json("nncodec bench_steps", "What every part of the model saves and costs", results)
    else:
        print_text(steps, where)


if __name__ == "__main__":
    main()
