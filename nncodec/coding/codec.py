"""Code tensors <-> containers: the one traversal, in whichever direction its coders point.

    encode   codes ──── encoders ──┐                       ┌── payloads ── container
                                   ├── traversal ── bits ──┤
    decode   payloads ─ decoders ──┘                       └── codes

Encoding and decoding differ in the coders that they pass to the traversal (traversal.py), and in
nothing else.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nncodec.coding.group_decoder import EachLayers, decode_group
from nncodec.coding.groups import CodedGroup, encode_group, map_groups, traverse_group
from nncodec.coding.segments import CodedSegment
from nncodec.coding.threads import ONE_THREAD, Threads
from nncodec.errors import BitstreamError, ModelError, TruncatedError
from nncodec.format.code_tensor import Codes
from nncodec.format.container import Container, Part, pack
from nncodec.format.extent import Extent
from nncodec.format.header import Header
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
        bytes: its payload; layers that share a segment share its bytes by their code lengths.
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
        codes: uint8 {0, 1}, or ABSENT, [layers, batch, height, width, layer_depth].
        source: what the code file was; the container keeps it.
        model: what to predict with; None for the adaptive stage alone.
        embedded: the model, as it shall lie in the container.
        sequence: whether the pictures are frames, each predicted from those before.
        threads: that work side by side; what they make is the same for any number.

    Raises:
        CodesError: the tensor is above a limit of the format.
        ModelError: the model does not fit the codes.
    """
    extent = Extent.of_shape(codes.shape)
    coded = encode_group(codes, extent, model, sequence=sequence, threads=threads)
    model_id = model.model_id if model else b""
    header = Header(extent, source, model_id, (coded.group,), len(embedded), sequence)
    return encoded_of(header, [coded], embedded)


def encoded_of(header: Header, groups: Sequence[CodedGroup], embedded: bytes) -> Encoded:
    """Puts groups that were encoded into the container of their header."""
    bits, lengths = (
        np.sum([getattr(coded, name) for coded in groups], axis=0).tolist()
        for name in ("bits", "lengths")
    )
    shares = np.sum([coded.layer_bytes() for coded in groups], axis=0).tolist()
    sizes = zip(bits, shares, lengths, header.layer_stored(), strict=True)
    layers = [LayerSize(index, *size) for index, size in enumerate(sizes)]
    parts = [Part(number, coded.payloads) for number, coded in enumerate(groups)]
    return Encoded(pack(Container(header, parts, embedded)), header, layers)


def decode_container(
    container: Container,
    *,
    model: Model | None = None,
    threads: Threads = ONE_THREAD,
    each: EachLayers | None = None,
) -> Codes:
    """Decodes the segments of a container, as many as were read.

    Args:
        container: what was read; its payloads are asked for when their turn comes.
        model: the one that its header names.
        threads: that work side by side; what they make is the same for any number.
        each: is called, by any thread, with the layers of a segment and their codes, as soon as
            these are decoded: of one segment after the other. Of several groups, each of which has
            a part of every layer, it is called when all are decoded.

    Returns:
        uint8 {0, 1}, or ABSENT, [layers of these segments, batch, height, width, layer_depth]; of
        the groups that were read.

    Raises:
        BitstreamError: a checksum is wrong.
        CodesError: the pictures are of several sizes.
        ModelError: `model` is not the one that the header names, or does not fit the codes.
    """
    extent, parts = container.header.extent, container.parts
    sizes = extent.shape[1:]  # several sizes are refused before the work

    def shaped(layers: range, codes: Codes) -> None:
        if each:
            each(layers, codes.reshape(len(codes), -1, *sizes[1:]))

    late = shaped if each and len(parts) == 1 else None
    (codes,) = _tensors(container, [extent], model, threads, late)
    if not late:
        shaped(range(len(codes)), codes)
    return codes


def decode_tensors(
    container: Container, *, model: Model | None = None, threads: Threads = ONE_THREAD
) -> list[Codes]:
    """Decodes the code tensors of a container, each as `decode_container` does.

    Raises:
        BitstreamError: a checksum is wrong, or of several tensors some were not read.
        ModelError: as for `decode_container`.
    """
    return _tensors(container, container.header.array_extents, model, threads)


def _tensors(
    container: Container,
    extents: Sequence[Extent],
    model: Model | None,
    threads: Threads,
    each: EachLayers | None = None,
) -> list[Codes]:
    decoded = decode_parts(
        container.header, container.parts, model=model, threads=threads, each=each
    )
    groups = [codes for _, codes in decoded if codes is not None]
    layers = min(map(len, groups))  # small layers share segments with others, in one more than in
    codes = groups[0]  # the next
    if len(groups) > 1:
        codes = np.concatenate([group[:layers] for group in groups], axis=1)
    if len(extents) == 1:
        return [codes.reshape(layers, -1, *extents[0].shape[2:])]
    if codes.shape[1] < container.header.bits_per_layer:
        raise TruncatedError(f"the file has not all of its {len(extents)} arrays")
    ends = itertools.accumulate(extent.bits_per_layer for extent in extents)
    pieces = np.split(codes, list(ends)[:-1], axis=1)
    return [
        np.ascontiguousarray(piece.reshape(layers, *extent.shape[1:]))
        for piece, extent in zip(pieces, extents, strict=True)
    ]


def decode_parts(
    header: Header,
    parts: Iterable[Part],
    *,
    model: Model | None = None,
    partial: bool = False,
    threads: Threads = ONE_THREAD,
    each: EachLayers | None = None,
) -> Iterator[tuple[int, Codes | None]]:
    """Decodes groups of a container as they are read, as many at a time as there are threads.

    Args:
        header: of the container.
        parts: what was read of it, in order.
        model: the one that the header names.
        partial: give none of the codes of a damaged group, rather than to raise an error.
        threads: that work side by side; what they make is the same for any number.
        each: as for `decode_group`, of every group.

    Yields:
        The number of each group, and uint8 {0, 1}, or ABSENT, [layers of the segments that were
        read, bits of a layer].

    Raises:
        BitstreamError: a checksum is wrong.
        ModelError: `model` is not the one that the header names, or does not fit the codes.
    """
    model_id = model.model_id if model else b""
    if header.model_id != model_id:
        named, given = (one.hex() or "adaptive" for one in (header.model_id, model_id))
        raise ModelError(f"the file needs model {named}, not {given}; give that one")
    extents = list(header.group_extents())

    def decode(part: Part, who: Threads) -> tuple[int, Codes | None]:
        group, schedule = header.groups[part.group], Schedule(extents[part.group], header.sequence)
        try:
            return part.group, decode_group(group, part.payloads, schedule, model, who, each)
        except BitstreamError:
            if not partial:
                raise
            return part.group, None

    return map_groups(decode, parts, threads)


def code_lengths(
    codes: Codes,
    *,
    model: Model | None = None,
    sequence: bool = False,
    threads: Threads = ONE_THREAD,
) -> npt.NDArray[np.float64]:
    """The theoretical size of every layer, with no bitstream written.

    Args:
        codes: uint8 {0, 1}, or ABSENT, [layers, batch, height, width, layer_depth].
        model: what to predict with; None for the adaptive stage alone.
        sequence: whether the pictures are frames, each predicted from those before.
        threads: that work side by side; what they measure is the same for any number.

    Returns:
        float64, [layers]: sums of -log2 of the probability of all that is coded, in bits.

    Raises:
        CodesError: the tensor is above a limit of the format.
        ModelError: the model does not fit the codes.
    """
    check_limits(Extent.of_shape(codes.shape))
    lengths: list[float] = []

    def measure(segment: CodedSegment) -> None:
        lengths.extend(segment.code_lengths())

    traverse_known(codes, model, measure, sequence=sequence, threads=threads)
    return np.array(lengths + [0.0] * (len(codes) - len(lengths)))


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
        codes: uint8 {0, 1}, or ABSENT, [layers, batch, height, width, layer_depth].
        model: what to predict with; None for the adaptive stage alone.
        each: is called with the segments that a container of the tensor has, as in `traverse`.
        sequence: whether the pictures are frames, each predicted from those before.
        threads: that work side by side.

    Returns:
        The adaptive stage, as it has become.

    Raises:
        ModelError: the model does not fit the codes.
    """
    schedule = Schedule(Extent.of_shape(codes.shape), sequence)
    return traverse_group(codes, schedule, model, each, threads)
