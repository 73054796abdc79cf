"""The container <-> bytes: a header, and what follows it.

    header │ embedded model │ payload │ payload │ ...

FORMAT.md has the layout in section 3.
"""

import math
from dataclasses import dataclass
from typing import BinaryIO

from nncodec.errors import BitstreamError, CodesError, TruncatedError
from nncodec.format.fields import DAMAGED, NO_WHOLE_LAYER, read_up_to
from nncodec.format.header import Header, pack_header, read_header
from nncodec.format.limits import MAX_BITS, check_bits


@dataclass(frozen=True)
class Container:
    """A header and what follows it, as far as it was read.

    Attributes:
        header: of the whole file.
        payloads: of the first segments.
        model: the embedded model, as it lies in the file, or b"".
    """

    header: Header
    payloads: list[bytes]
    model: bytes = b""


def pack(container: Container) -> bytes:
    """Packs a whole container into bytes (FORMAT.md, section 3)."""
    header, payloads, model = container.header, container.payloads, container.model
    lengths = [segment.byte_length for segment in header.segments]
    if [len(payload) for payload in payloads] != lengths or len(model) != header.embedded_bytes:
        raise ValueError("the payloads or the model are not those of the header")
    return b"".join([pack_header(header), model, *payloads])


def read_container(
    file: BinaryIO,
    *,
    layers: int | None = None,
    partial: bool = False,
    max_bits: int = MAX_BITS,
) -> Container:
    """Reads a header and payloads, and no byte beyond the last one that is needed.

    Args:
        file: binary stream, at the start of a container; it need not be seekable.
        layers: read only the segments that hold so many first layers. Otherwise all are read, and
            the file must end behind them.
        partial: take a file whose end is missing, if it has a whole segment.
        max_bits: the most code bits to decode; more are refused when the header is read.

    Returns:
        The header of the whole file, its model, and the payloads of the first segments.

    Raises:
        BitstreamError: as for `unpack_header`, or the file goes on behind the last payload.
        TruncatedError: the file ends within the payloads; it has the number of whole layers.
        CodesError: the file has fewer than `layers`, or their segments more than `max_bits`.
    """
    header = read_header(file)
    if layers is not None and not 1 <= layers <= header.layers:
        raise CodesError(f"layers {layers}: the file has {header.layers}; ask for some of them")
    wanted = header.layers if layers is None else layers
    needed = [covered for covered in header.segment_layers() if covered.start < wanted]
    shape = (needed[-1].stop, *header.shape[1:])
    check_bits(math.prod(shape), f"a code tensor {shape}", max_bits)
    model = read_up_to(file, header.embedded_bytes)
    if len(model) < header.embedded_bytes:
        raise TruncatedError(NO_WHOLE_LAYER)
    payloads: list[bytes] = []
    for segment, covered in zip(header.segments, needed, strict=False):
        payload = read_up_to(file, segment.byte_length)
        if len(payload) < segment.byte_length:
            if partial and payloads:
                break
            raise _truncated(covered.start, header.layers)
        payloads.append(payload)
    else:
        if layers is None and read_up_to(file, 1):
            raise BitstreamError(f"at least one byte follows the last payload; {DAMAGED}")
    return Container(header, payloads, model)


def _truncated(whole: int, layers: int) -> TruncatedError:
    if not whole:
        return TruncatedError(NO_WHOLE_LAYER)
    return TruncatedError(
        f"the file ends early, only {whole} of its {layers} layers are whole; "
        "--partial gives what is whole, or get another copy",
        whole,
    )
