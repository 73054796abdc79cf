"""Code tensors <-> containers: the one traversal, in whichever direction its coders point.

    encode   codes ── Encoder ──┐                       ┌── payloads ── container
                                ├── traversal ── bits ──┤
    decode   payload ─ Decoder ─┘  frequencies, step by step  └── codes

The traversal asks the model for the frequencies of a step, the coders for its bits, and shows the
bits to the model. Encoding and decoding differ in the coders they pass, and in nothing else.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nncodec.adaptive import AdaptiveStage
from nncodec.byte_fields import REMEDY
from nncodec.container import Container, Header, Segment, pack
from nncodec.errors import BitstreamError, ModelError
from nncodec.models import Model
from nncodec.range_coder import Coder, Decoder, Encoder, KnownBits
from nncodec.schedule import Schedule
from nncodec.segments import Segments
from nncodec.source import Source, check_limits
from nncodec.tensors import Codes, pack_bits

Progress = Callable[[int], object]
"""Called after every step with the number of bits that it coded."""

SEGMENT_BITS = 2048
"""Layers smaller than this share a segment with the next ones, to save their 12 bytes each."""


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
    progress: Progress | None = None,
) -> Encoded:
    """Compresses a code tensor that came from a code file.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        source: what the code file was; the container keeps it.
        model: what to predict with; None for the adaptive stage alone.
        embedded: the model, as it shall lie in the container.
        progress: is told of the bits as they are coded.

    Raises:
        CodesError: the tensor is above a limit of the format.
        ModelError: the model does not fit the codes.
    """
    check_limits(codes.shape)
    _, segments_of, coders = traverse_known(codes, model, progress)
    segments: list[Segment] = []
    payloads: list[bytes] = []
    lengths: list[float] = []
    parts = zip(segments_of.split(codes), segments_of.orders, coders, strict=True)
    for part, order, coder in parts:
        payload = coder.payload()
        stored = math.ceil(part.size / 8) <= len(payload)
        if stored:
            payload = pack_bits(coder.bits())
        payloads.append(payload)
        segments.append(Segment(len(part), stored, len(payload), _checksum(part, payload)))
        lengths += _per_layer(coder, order, len(part))
    model_id = model.model_id if model else b""
    header = Header(codes.shape, source, model_id, tuple(segments), len(embedded))
    sizes = zip(header.layer_bytes(), lengths, header.layer_stored(), strict=True)
    layers = [LayerSize(index, codes[0].size, *size) for index, size in enumerate(sizes)]
    return Encoded(pack(Container(header, payloads, embedded)), header, layers)


def decode_container(
    container: Container, *, model: Model | None = None, progress: Progress | None = None
) -> Codes:
    """Decodes the segments of a container, as many as were read.

    Args:
        container: what was read.
        model: the one that its header names.
        progress: is told of the bits as they are decoded.

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
    counts = [segment.layers for segment in segments]
    schedule = Schedule(sum(counts), *header.shape[1:])
    segments_of = Segments(schedule, counts)
    coders: list[Coder] = []
    for segment, payload in zip(segments, payloads, strict=True):
        if segment.stored:
            bits = segment.layers * header.bits_per_layer
            packed = np.frombuffer(payload, dtype=np.uint8)
            coders.append(KnownBits(np.unpackbits(packed, count=bits)))
        else:
            coders.append(Decoder(payload))
    _, decoded = traverse(schedule, segments_of, coders, model, progress)

    codes = np.empty((schedule.layers, *header.shape[1:]), dtype=np.uint8)
    own = segments_of.deal(decoded)
    parts = zip(segments_of.split(codes), segments_of.orders, own, segments, payloads, strict=True)
    for index, (part, order, bits_of_part, segment, payload) in enumerate(parts):
        part.reshape(-1)[order] = bits_of_part
        if _checksum(part, payload) != segment.checksum:
            held = header.segment_layers()[index]
            which = f"layers {held[0]} to {held[-1]}" if len(held) > 1 else f"layer {held[0]}"
            raise BitstreamError(f"the checksum of {which} is wrong; {REMEDY}")
    return codes


def code_lengths(
    codes: Codes, *, model: Model | None = None, progress: Progress | None = None
) -> npt.NDArray[np.float64]:
    """The theoretical size of every layer, with no bitstream written.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        model: what to predict with; None for the adaptive stage alone.
        progress: is told of the bits as they are measured.

    Returns:
        float64, [layers]: sums of -log2 of the probability of every bit, in bits.

    Raises:
        CodesError: the tensor is above a limit of the format.
        ModelError: the model does not fit the codes.
    """
    check_limits(codes.shape)
    _, segments, coders = traverse_known(codes, model, progress)
    parts = zip(coders, segments.orders, segments.counts, strict=True)
    return np.concatenate([_per_layer(*part) for part in parts])


def traverse_known(
    codes: Codes, model: Model | None = None, progress: Progress | None = None
) -> tuple[AdaptiveStage, Segments, list[Encoder]]:
    """Visits every bit of a tensor once, in coding order, and writes nothing.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        model: what to predict with; None for the adaptive stage alone.
        progress: is told how many bits each step had.

    Returns:
        The adaptive stage, as it has become; the segments that a container of the tensor has; for
        each of them an encoder, which knows at what frequencies it was asked.

    Raises:
        ModelError: the model does not fit the codes.
    """
    schedule = Schedule(*codes.shape)
    segments = Segments(schedule, _layers_per_segment(codes))
    parts = zip(segments.split(codes), segments.orders, strict=True)
    held = [part.reshape(-1)[order] for part, order in parts]
    # One coder for all of them: a call costs as much as some bits.
    coder = Encoder(segments.interleave(held))
    stage, _ = traverse(schedule, Segments(schedule, [len(codes)]), [coder], model, progress)
    dealt = zip(held, segments.deal(coder.frequencies()), strict=True)
    return stage, segments, [Encoder(bits, frequencies) for bits, frequencies in dealt]


def traverse(
    schedule: Schedule,
    segments: Segments,
    coders: Sequence[Coder],
    model: Model | None = None,
    progress: Progress | None = None,
) -> tuple[AdaptiveStage, Codes]:
    """Visits every bit once, in coding order.

    Args:
        schedule: of the code tensor.
        segments: of the code tensor.
        coders: one for each of them.
        model: what to predict with; None for the adaptive stage alone.
        progress: is told how many bits each step had.

    Returns:
        The adaptive stage, as it has become, and all bits, uint8 {0, 1}, in coding order.

    Raises:
        ModelError: the model does not fit the codes.
    """
    if model and not model.fits(schedule.layers, schedule.channels):
        raise ModelError(
            f"the model is for up to {model.layers} layers of {model.channels} bits, the codes "
            f"have {schedule.layers} of {schedule.channels}; use another, or adaptive"
        )
    start, network = (model.start, model.network) if model else (None, None)
    stage = AdaptiveStage(schedule, start, network)
    bits = np.empty(schedule.bits, dtype=np.uint8)
    first = 0
    for step in range(schedule.step_count):
        frequencies = stage.frequencies(step)
        some = bits[first : first + len(frequencies)]
        begin = 0
        for segment, count in segments.runs(step):
            end = begin + count
            coders[segment].code(frequencies[begin:end], some[begin:end])
            begin = end
        stage.learn(some)
        first += len(some)
        if progress:
            progress(len(some))
    return stage, bits


def _layers_per_segment(codes: Codes) -> list[int]:
    together = min(math.ceil(SEGMENT_BITS / codes[0].size), len(codes))
    whole, rest = divmod(len(codes), together)
    return [together] * whole + [rest] * bool(rest)


def _per_layer(coder: Encoder, order: npt.NDArray[np.int64], layers: int) -> list[float]:
    """The code lengths of the layers of a segment."""
    layer = order // (len(order) // layers)
    lengths: list[float] = np.bincount(layer, coder.code_lengths(), layers).tolist()
    return lengths


def _checksum(codes: Codes, payload: bytes) -> int:
    """CRC-32 of a segment's bits, packed in the order of the tensor, and of its payload.

    The payload has bits that decide nothing; without it their damage would pass unseen.
    """
    return zlib.crc32(payload, zlib.crc32(pack_bits(codes)))
