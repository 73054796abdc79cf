"""Times nncodec, its parts, and classic codecs on one file (bench_speed.py prints them)."""

import dataclasses
import io
import statistics
import zlib
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from benchmarks.checkout import WAYS, operations, seconds
from benchmarks.common import require_same
from benchmarks.floor import Products, products
from benchmarks.peers import available_peers, smallest
from nncodec.coding.codec import encode_source, traverse_known
from nncodec.coding.range_coder import Coders, Frequencies, Int64, code_bit, decoders, payload
from nncodec.coding.segments import CodedSegment
from nncodec.files.code_files import CodeFile
from nncodec.files.model_choice import AUTO, Predictor, choose_predictor, model_to_decode
from nncodec.files.model_files import ADAPTIVE
from nncodec.format.code_tensor import Codes, pack_bits
from nncodec.format.container import pack, read_container
from nncodec.format.extent import Extent
from nncodec.model.kernels.compilation import compiled
from nncodec.model.schedule import Schedule

NNCODEC = "nncodec"
CHOICE, MODEL, CODER = "choose or find the model", "predict and learn", "range coder"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is timed, and how often.

    Attributes:
        model, sequence: as for `encode`.
        threads: timed beside one thread.
        repeat: how often each is timed; medians count.
    """

    model: str
    sequence: bool | None
    threads: int
    repeat: int


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one file gave.

    Attributes:
        file, shape, bits: its name, the axes of its code tensor, its code bits.
        sequence: whether its pictures were taken for frames.
        seconds: of every repeat, by the codec's name, then by "encode" and "decode".
        parts: seconds of the parts of nncodec on one thread, by direction, then by part; medians.
        products: multiply-accumulates of the model for a code bit.
    """

    file: str
    shape: tuple[int, ...]
    bits: int
    sequence: bool
    seconds: dict[str, dict[str, list[float]]]
    parts: dict[str, dict[str, float]]
    products: Products


def timed(operation: Callable[[], object], repeat: int) -> list[float]:
    """Times an operation several times, after a run that is not timed."""
    operation()
    return [seconds(operation) for _ in range(repeat)]


def measure(name: str, file: CodeFile, settings: Settings) -> Measured:
    """Times nncodec, on one thread and on more, its parts, and its peers on one file."""
    codes, repeat = file.codes, settings.repeat
    spent = {}
    for threads in sorted({1, settings.threads}):
        calls = operations(codes, settings.model, settings.sequence, threads)
        codec = NNCODEC if threads == 1 else f"{NNCODEC}, {threads} threads"
        spent[codec] = {way: timed(calls[way], repeat) for way in WAYS}
    for peer in available_peers():
        packed = peer.arrange(codes)[smallest(peer, codes)[1]]
        compressed = peer.compress(packed)
        assert peer.decompress(compressed) == packed, f"{peer.name} does not give the bits back"
        spent[peer.name] = {
            "encode": timed(partial(peer.compress, packed), repeat),
            "decode": timed(partial(peer.decompress, compressed), repeat),
        }
    chosen = choose_predictor(codes, settings.model, settings.sequence)
    schedule = Schedule(Extent.of_shape(codes.shape), chosen.sequence)
    return Measured(
        file=name,
        shape=codes.shape,
        bits=codes.size,
        sequence=chosen.sequence,
        seconds=spent,
        parts=_parts(name, file, settings, chosen),
        products=products(schedule, chosen.model.network if chosen.model else None),
    )


def _parts(
    name: str, file: CodeFile, settings: Settings, chosen: Predictor
) -> dict[str, dict[str, float]]:
    """Times what an encode and a decode are made of, each alone."""
    codes, model, sequence = file.codes, settings.model, chosen.sequence
    segments: list[CodedSegment] = []
    traverse_known(codes, chosen.model, segments.append, sequence=sequence)
    payloads = [payload(segment.codes, segment.frequencies) for segment in segments]
    require_same(name, _decode_alone(segments, payloads), codes)
    data = encode_source(codes, file.source, model=chosen.model, sequence=sequence).data
    container = read_container(io.BytesIO(data))
    needed = None if model in (AUTO, ADAPTIVE) else model

    def sum_up() -> None:
        for segment, coded in zip(segments, container.payloads, strict=True):
            zlib.crc32(coded, zlib.crc32(pack_bits(segment.codes)))

    calls: dict[str, dict[str, Callable[[], object]]] = {
        "encode": {
            CHOICE: lambda: choose_predictor(codes, model, settings.sequence),
            MODEL: lambda: traverse_known(codes, chosen.model, sequence=sequence),
            CODER: lambda: [payload(one.codes, one.frequencies) for one in segments],
            "code lengths": lambda: [segment.code_lengths() for segment in segments],
            "checksums": sum_up,
            "container": lambda: pack(container),
        },
        "decode": {
            CHOICE: lambda: model_to_decode(container, needed),
            CODER: lambda: _decode_alone(segments, payloads),
            "checksums": sum_up,
            "container": lambda: read_container(io.BytesIO(data)),
        },
    }
    return {
        way: {part: statistics.median(timed(call, settings.repeat)) for part, call in parts.items()}
        for way, parts in calls.items()
    }


def _decode_alone(segments: Sequence[CodedSegment], payloads: Sequence[bytes]) -> Codes:
    """Reads all payloads at frequencies that are known."""
    codes = np.concatenate([np.empty_like(segment.codes) for segment in segments])
    frequencies = [segment.frequencies.reshape(-1) for segment in segments]
    ends = np.cumsum([segment.size for segment in frequencies])
    _read(decoders(codes, payloads), ends, np.concatenate(frequencies))
    return codes


@compiled
def _read(coders: Coders, ends: Int64, frequencies: Frequencies) -> None:
    index = 0
    for segment in range(len(ends)):
        while index < ends[segment]:
            code_bit(coders, segment, index, frequencies[index])
            index += 1
