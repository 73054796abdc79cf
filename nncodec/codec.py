"""Code tensors <-> containers: the one traversal, in whichever direction its coders point.

    encode   codes ── Encoder ──┐                       ┌── payloads ── container
                                ├── traversal ── bits ──┤
    decode   payload ─ Decoder ─┘  frequencies, step by step  └── codes

The traversal asks the model for the frequencies of a step, the coders for its bits, and shows the
bits to the model. Encoding and decoding differ in the coders they pass, and in nothing else.
"""

import itertools
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
    counts = _layers_per_segment(codes)
    held = _split(codes, counts)
    orders = _orders(codes.shape, counts)
    coders = [
        Encoder(part.reshape(-1)[orders[count]]) for part, count in zip(held, counts, strict=True)
    ]
    traverse(Schedule(*codes.shape), counts, coders, model, codes=codes, progress=progress)

    segments: list[Segment] = []
    payloads: list[bytes] = []
    lengths: list[float] = []
    for part, count, coder in zip(held, counts, coders, strict=True):
        payload = coder.payload()
        stored = math.ceil(part.size / 8) <= len(payload)
        if stored:
            payload = pack_bits(coder.bits())
        payloads.append(payload)
        segments.append(Segment(count, stored, len(payload), _checksum(part, payload)))
        lengths += _per_layer(coder, orders[count], count).tolist()
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
    shape = (sum(counts), *header.shape[1:])
    orders = _orders(shape, counts)
    coders: list[Coder] = []
    for segment, payload in zip(segments, payloads, strict=True):
        if segment.stored:
            bits = segment.layers * header.bits_per_layer
            packed = np.frombuffer(payload, dtype=np.uint8)
            coders.append(KnownBits(np.unpackbits(packed, count=bits)))
        else:
            coders.append(Decoder(payload))
    traverse(Schedule(*shape), counts, coders, model, progress=progress)

    codes = np.empty(shape, dtype=np.uint8)
    parts = zip(_split(codes, counts), segments, payloads, coders, strict=True)
    for index, (part, segment, payload, coder) in enumerate(parts):
        part.reshape(-1)[orders[segment.layers]] = coder.bits()
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
    _, coder, order = traverse_known(codes, model, progress)
    return _per_layer(coder, order, len(codes))


def traverse_known(
    codes: Codes, model: Model | None = None, progress: Progress | None = None
) -> tuple[AdaptiveStage, Encoder, npt.NDArray[np.int64]]:
    """Visits every bit of a tensor once, in coding order, and writes nothing.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        model: what to predict with; None for the adaptive stage alone.
        progress: is told how many bits each step had.

    Returns:
        The adaptive stage, as it has become; the one coder of all layers, which knows at what
        frequencies it was asked; the coding order.

    Raises:
        ModelError: the model does not fit the codes.
    """
    schedule = Schedule(*codes.shape)
    order = schedule.order()
    coder = Encoder(codes.reshape(-1)[order])
    stage = traverse(schedule, [len(codes)], [coder], model, codes=codes, progress=progress)
    return stage, coder, order


def traverse(
    schedule: Schedule,
    counts: Sequence[int],
    coders: Sequence[Coder],
    model: Model | None = None,
    *,
    codes: Codes | None = None,
    progress: Progress | None = None,
) -> AdaptiveStage:
    """Visits every bit once, in coding order.

    Args:
        schedule: of the code tensor.
        counts: how many layers each coder has; they add up to all.
        coders: one a segment, in the order of their layers.
        model: what to predict with; None for the adaptive stage alone.
        codes: the tensor, where it is known beforehand: a network is faster then.
        progress: is told how many bits each step had.

    Returns:
        The adaptive stage, as it has become.

    Raises:
        ModelError: the model does not fit the codes.
    """
    if model and not model.fits(schedule.layers, schedule.channels):
        raise ModelError(
            f"the model is for up to {model.layers} layers of {model.channels} bits, the codes "
            f"have {schedule.layers} of {schedule.channels}; use another, or adaptive"
        )
    start, network = (model.start, model.network) if model else (None, None)
    stage = AdaptiveStage(schedule, start, network, codes)
    coders_of_layers = [
        coder for coder, count in zip(coders, counts, strict=True) for _ in range(count)
    ]
    for step in schedule:
        frequencies = stage.frequencies(step)
        bits = np.empty(len(frequencies), dtype=np.uint8)
        active = coders_of_layers[step.layers]
        sizes = np.add.reduceat(schedule.diagonal_sizes[step.diagonals], step.starts)
        end = 0
        for coder, layers in itertools.groupby(range(len(active)), active.__getitem__):
            begin, end = end, end + sum(sizes[layer] for layer in layers)
            bits[begin:end] = coder.code(frequencies[begin:end])
        stage.learn(step, bits)
        if progress:
            progress(len(bits))
    return stage


def _layers_per_segment(codes: Codes) -> list[int]:
    together = min(math.ceil(SEGMENT_BITS / codes[0].size), len(codes))
    whole, rest = divmod(len(codes), together)
    return [together] * whole + [rest] * bool(rest)


def _split(codes: Codes, counts: Sequence[int]) -> list[Codes]:
    return np.split(codes, np.cumsum(counts)[:-1])


def _orders(shape: Sequence[int], counts: Sequence[int]) -> dict[int, npt.NDArray[np.int64]]:
    """The coding order of a segment, by its number of layers."""
    return {count: Schedule(count, *shape[1:]).order() for count in set(counts)}


def _per_layer(
    coder: Encoder, order: npt.NDArray[np.int64], layers: int
) -> npt.NDArray[np.float64]:
    layer = order // (len(order) // layers)
    return np.bincount(layer, coder.code_lengths(), layers).astype(np.float64)


def _checksum(codes: Codes, payload: bytes) -> int:
    """CRC-32 of a segment's bits, packed in the order of the tensor, and of its payload.

    The payload has bits that decide nothing; without it their damage would pass unseen.
    """
    return zlib.crc32(payload, zlib.crc32(pack_bits(codes)))
