"""Times nncodec and everything beside it on one file (bench_speed.py prints them)."""

import dataclasses
import io
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import click
import numpy as np

from benchmarks.floor import multiply_accumulates
from benchmarks.peers import available_peers, smallest
from benchmarks.raster import crop, decode_raster, encode_raster
from benchmarks.stages import read, shares
from benchmarks.stopwatch import TRAVERSAL, stopwatch
from nncodec import decode, encode
from nncodec.coding.range_coder import decoders, payload
from nncodec.files.code_files import CodeFile
from nncodec.files.model_choice import AUTO, model_to_decode
from nncodec.files.model_files import ADAPTIVE
from nncodec.format.code_tensor import Codes
from nncodec.format.container import read_container

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
        multiply_accumulates: of the model, for a code bit.
    """

    file: str
    shape: tuple[int, ...]
    bits: int
    raster_bits: int
    speeds: dict[str, dict[str, Speed]]
    seconds: dict[str, float]
    stages: dict[str, dict[str, float]]
    multiply_accumulates: float


def timed(function: Callable[[], object], bits: int, repeat: int) -> Speed:
    """Times a function that handles so many code bits."""
    seconds = []
    for _ in range(repeat):
        begin = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begin)
    return Speed(bits / statistics.median(seconds), seconds)


def measure(name: str, file: CodeFile, model: str, repeat: int, threads: int) -> Measured:
    """Times nncodec, on one thread and on more, and its peers on one file."""
    codes = file.codes
    data = encode(codes, model=model)
    needed = None if model in (AUTO, ADAPTIVE) else model

    def write(threads: int) -> None:
        if encode(codes, model=model, threads=threads) != data:
            raise click.ClickException(f"{name}: {threads} threads make another container")

    def check(threads: int) -> None:
        if not np.array_equal(decode(data, model=needed, threads=threads), codes):
            raise click.ClickException(f"{name}: the decoded codes are not the codes")

    speeds = {}
    for count in sorted({1, threads}):
        ways = {"encode": partial(write, count), "decode": partial(check, count)}
        for way in ways.values():
            way()
        codec = "nncodec" if count == 1 else f"nncodec, {count} threads"
        speeds[codec] = {way: timed(call, codes.size, repeat) for way, call in ways.items()}
    runs = {
        "encode": watched(lambda: encode(codes, model=model, threads=1), repeat),
        "decode": watched(lambda: decode(data, model=needed, threads=1), repeat),
    }
    used = model_to_decode(read_container(io.BytesIO(data)), needed)
    timed_shares = [shares(codes, used) for _ in range(repeat)]
    corner = crop(codes, RASTER_BITS)
    speeds[RASTER] = raster_order(name, corner, repeat)
    for peer in available_peers():
        packed = peer.arrange(codes)[smallest(peer, codes)[1]]
        compressed = peer.compress(packed)
        if peer.decompress(compressed) != packed:
            raise click.ClickException(f"{name}: {peer.name} does not give the bits back")
        speeds[peer.name] = {
            "encode": timed(partial(peer.compress, packed), codes.size, repeat),
            "decode": timed(partial(peer.decompress, compressed), codes.size, repeat),
        }
    return Measured(
        file=name,
        shape=codes.shape,
        bits=codes.size,
        raster_bits=corner.size,
        speeds=speeds,
        seconds={way: seconds for way, (seconds, _) in runs.items()},
        stages={
            way: with_phases(stages, [one[way] for one in timed_shares])
            for way, (_, stages) in runs.items()
        },
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


def with_phases(stages: dict[str, float], shares: Sequence[dict[str, float]]) -> dict[str, float]:
    """The stages with the phases of the traversal in its place, by the medians of their shares."""
    medians = {phase: statistics.median(one[phase] for one in shares) for phase in shares[0]}
    total = sum(medians.values())
    if not total:
        return stages
    whole = stages[TRAVERSAL]
    phases = {phase: share / total * whole for phase, share in medians.items()}
    return phases | {stage: spent for stage, spent in stages.items() if stage != TRAVERSAL}


def raster_order(name: str, codes: Codes, repeat: int) -> dict[str, Speed]:
    """Times the plain codec, bit by bit."""
    data = encode_raster(codes)

    def check() -> None:
        if not np.array_equal(decode_raster(data, codes.shape), codes):
            raise click.ClickException(f"{name}: raster order does not give the codes back")

    return {
        "encode": timed(lambda: encode_raster(codes), codes.size, repeat),
        "decode": timed(check, codes.size, repeat),
    }


def raw_coder(repeat: int) -> dict[str, Speed]:
    """Times the range coder alone, all bits in one call: `constriction` writes, ours reads."""
    random = np.random.default_rng(SEED)
    frequencies = random.integers(1, 1 << 16, RAW_BITS, dtype=np.int32)
    bits = (random.integers(0, 1 << 16, RAW_BITS) < frequencies).astype(np.uint8)
    narrow, again = frequencies.astype(np.uint16), np.empty_like(bits)
    data = payload(bits, narrow)
    seconds = []
    for number in range(repeat + 1):
        coders = decoders([RAW_BITS], [data])
        begin = time.perf_counter()
        read(coders, frequencies, again)
        seconds += [time.perf_counter() - begin] if number else []  # the first one compiles
    if not np.array_equal(again, bits):
        raise click.ClickException("the range coder does not give the bits back")
    return {
        "encode": timed(lambda: payload(bits, narrow), RAW_BITS, repeat),
        "decode": Speed(RAW_BITS / statistics.median(seconds), seconds),
    }
