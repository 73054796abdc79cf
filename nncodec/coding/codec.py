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
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nncodec.coding.range_coder import code_lengths as code_lengths_of_bits
from nncodec.coding.range_coder import decoders, encoders, payload
from nncodec.coding.segments import Segments
from nncodec.coding.threads import Progress
from nncodec.coding.traversal import traverse
from nncodec.errors import BitstreamError, ModelError
from nncodec.format.code_tensor import Codes, pack_bits
from nncodec.format.container import Container, pack
from nncodec.format.fields import DAMAGED
from nncodec.format.header import Header, Segment
from nncodec.format.limits import check_limits
from nncodec.format.source import Source
from nncodec.model.adaptive.stage import AdaptiveStage
from nncodec.model.fixed_point import FREQUENCY_ONE
from nncodec.model.model import Model
from nncodec.model.schedule import Schedule

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
    threads: int = 1,
    progress: Progress | None = None,
) -> Encoded:
    """Compresses a code tensor that came from a code file.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        source: what the code file was; the container keeps it.
        model: what to predict with; None for the adaptive stage alone.
        embedded: the model, as it shall lie in the container.
        threads: the most that work side by side; what they make is the same.
        progress: is told of the bits as they are coded.

    Raises:
        CodesError: the tensor is above a limit of the format.
        ModelError: the model does not fit the codes.
    """
    check_limits(codes.shape)
    segments: list[Segment] = []
    payloads: list[bytes] = []
    lengths: list[float] = []

    def write(part: Part) -> None:
        coded = payload(part.bits, part.frequencies)
        stored = math.ceil(part.bits.size / 8) <= len(coded)
        if stored:
            coded = pack_bits(part.codes)
        payloads.append(coded)
        segments.append(Segment(len(part.codes), stored, len(coded), _checksum(part.codes, coded)))
        lengths.extend(part.code_lengths())

    traverse_known(codes, model, write, threads=threads, progress=progress)
    model_id = model.model_id if model else b""
    header = Header(codes.shape, source, model_id, tuple(segments), len(embedded))
    sizes = zip(header.layer_bytes(), lengths, header.layer_stored(), strict=True)
    layers = [LayerSize(index, codes[0].size, *size) for index, size in enumerate(sizes)]
    return Encoded(pack(Container(header, payloads, embedded)), header, layers)


def decode_container(
    container: Container,
    *,
    model: Model | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Codes:
    """Decodes the segments of a container, as many as were read.

    Args:
        container: what was read.
        model: the one that its header names.
        threads: the most that work side by side.
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
    held = header.segment_layers()[: len(payloads)]
    schedule = Schedule(held[-1].stop, *header.shape[1:])
    segments_of = Segments(schedule, held)
    sources: list[bytes | npt.NDArray[np.uint8]] = []
    for segment, order, one in zip(segments, segments_of.orders, payloads, strict=True):
        if segment.stored:
            packed = np.frombuffer(one, dtype=np.uint8)
            sources.append(np.unpackbits(packed, count=order.size)[order])
        else:
            sources.append(one)
    sizes = [order.size for order in segments_of.orders]
    coders = decoders(sizes, sources)
    codes = np.empty((schedule.layers, *header.shape[1:]), dtype=np.uint8)
    parts, own = segments_of.split(codes), segments_of.deal(coders.bits)

    def restore(index: int) -> None:
        if not coders.possible[index]:
            raise BitstreamError(f"a payload is damaged; {DAMAGED}")
        parts[index].reshape(-1)[segments_of.orders[index]] = own[index]
        if _checksum(parts[index], payloads[index]) != segments[index].checksum:
            first, *others = held[index]
            which = f"layers {first} to {others[-1]}" if others else f"layer {first}"
            raise BitstreamError(f"the checksum of {which} is wrong; {DAMAGED}")

    traverse(schedule, segments_of, coders, model, restore, threads=threads, progress=progress)
    return codes


def code_lengths(
    codes: Codes,
    *,
    model: Model | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> npt.NDArray[np.float64]:
    """The theoretical size of every layer, with no bitstream written.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        model: what to predict with; None for the adaptive stage alone.
        threads: the most that work side by side.
        progress: is told of the bits as they are measured.

    Returns:
        float64, [layers]: sums of -log2 of the probability of every bit, in bits.

    Raises:
        CodesError: the tensor is above a limit of the format.
        ModelError: the model does not fit the codes.
    """
    check_limits(codes.shape)
    lengths: list[float] = []

    def measure(part: Part) -> None:
        lengths.extend(part.code_lengths())

    traverse_known(codes, model, measure, threads=threads, progress=progress)
    return np.array(lengths)


@dataclass(frozen=True)
class Part:
    """A segment whose bits are known, after the traversal.

    Attributes:
        codes: uint8 {0, 1}, its layers, [layers, batch, height, width, layer_depth].
        order: int64 (bits,), its coding order: indices into its flattened layers.
        bits: uint8 {0, 1}, in that order.
        frequencies: uint16, at which a 1 was asked for, likewise.
    """

    codes: Codes
    order: npt.NDArray[np.int64]
    bits: npt.NDArray[np.uint8]
    frequencies: npt.NDArray[np.uint16]

    def code_lengths(self) -> list[float]:
        """Those of its layers, in bits."""
        lengths = code_lengths_of_bits(self.bits, self.frequencies)
        if len(self.codes) == 1:
            return [float(lengths.sum(dtype=float))]
        layers = self.order // self.codes[0].size
        sums: list[float] = np.bincount(layers, lengths, len(self.codes)).tolist()
        return sums

    def logits(self) -> npt.NDArray[np.float64]:
        """ln(p / (1 - p)) of every bit's probability p of a 1, in the shape of the codes."""
        ones = self.frequencies / FREQUENCY_ONE
        logits = np.empty(self.codes.shape)
        logits.reshape(-1)[self.order] = np.log(ones / (1 - ones))
        return logits


def traverse_known(
    codes: Codes,
    model: Model | None = None,
    each: Callable[[Part], object] | None = None,
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> AdaptiveStage:
    """Visits every bit of a tensor once, in coding order, and writes nothing.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        model: what to predict with; None for the adaptive stage alone.
        each: is called with the segments that a container of the tensor has, as in `traverse`.
        threads, progress: as in `traverse`.

    Returns:
        The adaptive stage, as it has become.

    Raises:
        ModelError: the model does not fit the codes.
    """
    schedule = Schedule(*codes.shape)
    segments = Segments(schedule, segment_layers(codes))
    split = segments.split(codes)
    coders = encoders(
        [part.reshape(-1)[order] for part, order in zip(split, segments.orders, strict=True)]
    )
    bits, frequencies = segments.deal(coders.bits), segments.deal(coders.frequencies)

    def finish(index: int) -> None:
        if each:
            each(Part(split[index], segments.orders[index], bits[index], frequencies[index]))

    return traverse(schedule, segments, coders, model, finish, threads=threads, progress=progress)


def segment_layers(codes: Codes) -> list[range]:
    """The layers that each segment of a container of a tensor holds."""
    together, layers = math.ceil(SEGMENT_BITS / codes[0].size), range(len(codes))
    return [layers[first : first + together] for first in layers[::together]]


def _checksum(codes: Codes, payload: bytes) -> int:
    """CRC-32 of a segment's bits, packed in the order of the tensor, and of its payload.

    The payload has bits that decide nothing; without it their damage would pass unseen.
    """
    return zlib.crc32(payload, zlib.crc32(pack_bits(codes)))
