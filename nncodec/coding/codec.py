"""Code tensors <-> containers: the one traversal, in whichever direction its coders point.

    encode   codes ──── encoders ──┐                       ┌── payloads ── container
                                   ├── traversal ── bits ──┤
    decode   payloads ─ decoders ──┘                       └── codes

Encoding and decoding differ in the coders that they pass to the traversal (traversal.py), and in
nothing else.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nncodec.coding.range_coder import POSSIBLE, decoders, encoders, payload
from nncodec.coding.segments import CodedSegment, segment_layers
from nncodec.coding.threads import ONE_THREAD, Threads
from nncodec.coding.traversal import traverse
from nncodec.errors import BitstreamError, ModelError
from nncodec.format.code_tensor import Codes, pack_bits
from nncodec.format.container import Container, pack
from nncodec.format.fields import DAMAGED
from nncodec.format.header import Header, Segment
from nncodec.format.limits import check_limits
from nncodec.format.source import Source
from nncodec.model.adaptive.stage import AdaptiveStage
from nncodec.model.model import Model
from nncodec.model.schedule import Schedule


@dataclass(frozen=True)
class LayerSize:
    """What a layer costs.

    Attributes:
        layer: its number, from 0.
        bits: its code bits.
        bytes: its payload; layers that share a segment share its bytes by their code bits.
        code_length: the sum of -log2 of the probability of every bit, in bits; None where unknown.
        stored: whether it was cheaper to store its bits as they are.
    """

    layer: int
    bits: int
    bytes: int
    code_length: float | None
    stored: bool


@dataclass(frozen=True)
class Encoded:
    """A container, and what is in it."""

    data: bytes
    header: Header
    layers: list[LayerSize]


def encode_source(
    codes: Codes,
    source: Source,
    *,
    model: Model | None = None,
    embedded: bytes = b"",
    sequence: bool = False,
    threads: Threads = ONE_THREAD,
) -> Encoded:
    """Compresses a code tensor that came from a code file.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        source: what the code file was; the container keeps it.
        model: what to predict with; None for the adaptive stage alone.
        embedded: the model, as it shall lie in the container.
        sequence: whether the pictures are frames, each predicted from those before.
        threads: that work side by side; what they make is the same for any number.

    Raises:
        CodesError: the tensor is above a limit of the format.
        ModelError: the model does not fit the codes.
    """
    check_limits(codes.shape)
    segments: list[Segment] = []
    payloads: list[bytes] = []
    lengths: list[float] = []

    def write(segment: CodedSegment) -> None:
        coded, bits = payload(segment.codes, segment.frequencies), segment.codes.size
        stored = math.ceil(bits / 8) <= len(coded)
        if stored:
            coded = pack_bits(segment.codes)
        payloads.append(coded)
        checksum = _checksum(segment.codes, coded)
        segments.append(Segment(len(segment.codes), stored, len(coded), checksum))
        lengths.extend(segment.code_lengths())

    traverse_known(codes, model, write, sequence=sequence, threads=threads)
    model_id = model.model_id if model else b""
    header = Header(codes.shape, source, model_id, tuple(segments), len(embedded), sequence)
    sizes = zip(header.layer_bytes(), lengths, header.layer_stored(), strict=True)
    layers = [LayerSize(index, codes[0].size, *size) for index, size in enumerate(sizes)]
    return Encoded(pack(Container(header, payloads, embedded)), header, layers)


def decode_container(
    container: Container,
    *,
    model: Model | None = None,
    threads: Threads = ONE_THREAD,
) -> Codes:
    """Decodes the segments of a container, as many as were read.

    Args:
        container: what was read.
        model: the one that its header names.
        threads: that work side by side; what they make is the same for any number.

    Returns:
        uint8 {0, 1}, [layers of these segments, batch, height, width, layer_depth].

    Raises:
        BitstreamError: a checksum is wrong.
        ModelError: `model` is not the one that the header names, or does not fit the codes.
    """
    header, payloads = container.header, container.payloads
    model_id = model.model_id if model else b""
    if header.model_id != model_id:
        named, given = (one.hex() or "adaptive" for one in (header.model_id, model_id))
        raise ModelError(f"the file needs model {named}, not {given}; give that one")
    segments = header.segments[: len(payloads)]
    held = header.segment_layers()[: len(payloads)]
    schedule = Schedule(held[-1].stop, *header.shape[1:], header.sequence)
    codes = np.empty(schedule.shape, dtype=np.uint8)
    parts = [codes[layers.start : layers.stop] for layers in held]
    coded: list[bytes | None] = []
    for segment, part, payload_ in zip(segments, parts, payloads, strict=True):
        if segment.stored:
            packed = np.frombuffer(payload_, dtype=np.uint8)
            part.reshape(-1)[:] = np.unpackbits(packed, count=part.size)
        coded.append(None if segment.stored else payload_)
    coders = decoders(codes, coded)

    def restore(index: int) -> None:
        if not coders.states[index, POSSIBLE]:
            raise BitstreamError(f"a payload is damaged; {DAMAGED}")
        if _checksum(parts[index], payloads[index]) != segments[index].checksum:
            first, *others = held[index]
            which = f"layers {first} to {others[-1]}" if others else f"layer {first}"
            raise BitstreamError(f"the checksum of {which} is wrong; {DAMAGED}")

    traverse(schedule, held, coders, model, restore, threads)
    return codes


def code_lengths(
    codes: Codes,
    *,
    model: Model | None = None,
    sequence: bool = False,
    threads: Threads = ONE_THREAD,
) -> npt.NDArray[np.float64]:
    """The theoretical size of every layer, with no bitstream written.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        model: what to predict with; None for the adaptive stage alone.
        sequence: whether the pictures are frames, each predicted from those before.
        threads: that work side by side; what they measure is the same for any number.

    Returns:
        float64, [layers]: sums of -log2 of the probability of every bit, in bits.

    Raises:
        CodesError: the tensor is above a limit of the format.
        ModelError: the model does not fit the codes.
    """
    check_limits(codes.shape)
    lengths: list[float] = []

    def measure(segment: CodedSegment) -> None:
        lengths.extend(segment.code_lengths())

    traverse_known(codes, model, measure, sequence=sequence, threads=threads)
    return np.array(lengths)


def traverse_known(
    codes: Codes,
    model: Model | None = None,
    each: Callable[[CodedSegment], object] | None = None,
    *,
    sequence: bool = False,
    threads: Threads = ONE_THREAD,
) -> AdaptiveStage:
    """Visits every bit of a tensor once, in coding order, and writes nothing.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        model: what to predict with; None for the adaptive stage alone.
        each: is called with the segments that a container of the tensor has, as in `traverse`.
        sequence: whether the pictures are frames, each predicted from those before.
        threads: that work side by side.

    Returns:
        The adaptive stage, as it has become.

    Raises:
        ModelError: the model does not fit the codes.
    """
    schedule = replace(Schedule(*codes.shape), sequence=sequence)
    segments = segment_layers(codes.shape)
    coders = encoders(codes, len(segments))
    frequencies = coders.frequencies.reshape(codes.shape)

    def finish(index: int) -> None:
        if each:
            layers = slice(segments[index].start, segments[index].stop)
            each(CodedSegment(codes[layers], frequencies[layers]))

    return traverse(schedule, segments, coders, model, finish, threads)


def _checksum(codes: Codes, payload: bytes) -> int:
    """CRC-32 of a segment's bits, packed in the order of the tensor, and of its payload.

    The payload has bits that decide nothing; without it their damage would pass unseen.
    """
    return zlib.crc32(payload, zlib.crc32(pack_bits(codes)))
