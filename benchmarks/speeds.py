"""Times nncodec and everything beside it on one file (bench_speed.py prints them)."""

import dataclasses
import functools
import io
import statistics
import time
from collections.abc import Callable

import click
import numpy as np

from benchmarks.floor import multiply_accumulates
from benchmarks.peers import available_peers, smallest
from benchmarks.raster import crop, decode_raster, encode_raster
from benchmarks.stages import scaled, walk
from benchmarks.stopwatch import MODEL, stopwatch
from nncodec import decode, encode
from nncodec.codes import CodeFile
from nncodec.container import read_container
from nncodec.model_choice import AUTO, model_to_decode
from nncodec.model_files import ADAPTIVE
from nncodec.range_coder import Decoder, Encoder
from nncodec.tensors import Codes

WAYS = ("encode", "decode")
RASTER = "raster order, numpy"
SEED = 0
RAW_BITS = 1 << 20
RASTER_BITS = 1 << 11


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
    """What one file gave.

    Attributes:
        file, shape, bits: its name, the axes of its code tensor, its code bits.
        raster_bits: how many of them were coded in raster order.
        speeds: by the codec's name, then by "encode" and "decode".
        seconds: of the run under the stopwatch, by direction.
        stages: what these are made of, by direction, then by the stage's name.
        model_seconds: of them, what the whole model took.
        model_parts: seconds of the model's phases, each timed on its own.
        multiply_accumulates: of the model, for a code bit.
    """

    file: str
    shape: tuple[int, ...]
    bits: int
    raster_bits: int
    speeds: dict[str, dict[str, Speed]]
    seconds: dict[str, float]
    stages: dict[str, dict[str, float]]
    model_seconds: dict[str, float]
    model_parts: dict[str, float]
    multiply_accumulates: float


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
    runs = {
        "encode": watched(lambda: encode(codes, model=model), repeat),
        "decode": watched(lambda: decode(data, model=needed), repeat),
    }
    used = model_to_decode(read_container(io.BytesIO(data)), needed)
    walks = sorted((walk(codes, used) for _ in range(repeat)), key=lambda one: sum(one.values()))
    parts = walks[repeat // 2]
    corner = crop(codes, RASTER_BITS)
    speeds[RASTER] = raster_order(name, corner, repeat)
    for peer in available_peers():
        packed = peer.arrange(codes)[smallest(peer, codes)[1]]
        compressed = peer.compress(packed)
        if peer.decompress(compressed) != packed:
            raise click.ClickException(f"{name}: {peer.name} does not give the bits back")
        speeds[peer.name] = {
            "encode": timed(functools.partial(peer.compress, packed), codes.size, repeat),
            "decode": timed(functools.partial(peer.decompress, compressed), codes.size, repeat),
        }
    return Measured(
        file=name,
        shape=codes.shape,
        bits=codes.size,
        raster_bits=corner.size,
        speeds=speeds,
        seconds={way: seconds for way, (seconds, _) in runs.items()},
        stages={way: with_parts(stages, parts) for way, (_, stages) in runs.items()},
        model_seconds={way: stages[MODEL] for way, (_, stages) in runs.items()},
        model_parts=parts,
        multiply_accumulates=multiply_accumulates(codes.shape, used),
    )


def watched(function: Callable[[], object], repeat: int) -> tuple[float, dict[str, float]]:
    """Runs a function under the stopwatch; the seconds of the median run, in all and by stage."""
    runs = []
    for _ in range(repeat):
        with stopwatch() as stages:
            begin = time.perf_counter()
            function()
            seconds = time.perf_counter() - begin
        runs.append((seconds, stages))
    return sorted(runs, key=lambda run: run[0])[repeat // 2]


def with_parts(stages: dict[str, float], parts: dict[str, float]) -> dict[str, float]:
    """The stages with the parts of the model, scaled to it, in its place."""
    others = {stage: seconds for stage, seconds in stages.items() if stage != MODEL}
    return scaled(parts, stages[MODEL]) | others


def raster_order(name: str, codes: Codes, repeat: int) -> dict[str, Speed]:
    """Times the plain codec, bit by bit."""
    payload = encode_raster(codes)

    def check() -> None:
        if not np.array_equal(decode_raster(payload, codes.shape), codes):
            raise click.ClickException(f"{name}: raster order does not give the codes back")

    return {
        "encode": timed(lambda: encode_raster(codes), codes.size, repeat),
        "decode": timed(check, codes.size, repeat),
    }


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
