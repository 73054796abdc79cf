"""The container <-> bytes: a header, and what follows it.

    header │ embedded model │ payload │ payload │ ...

The payloads are those of one group after another. FORMAT.md has the layout in section 3.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from nncodec.errors import BitstreamError, CodesError, TruncatedError
from nncodec.format.fields import DAMAGED, NO_WHOLE_LAYER, read_up_to, skip
from nncodec.format.groups import Group
from nncodec.format.header import Header, pack_header, read_header
from nncodec.format.limits import MAX_BITS, RAISE_MAX_BITS, check_bits, whole_number


class Part(NamedTuple):
    """What was read of a group: its number, and the payloads of its first segments."""

    group: int
    payloads: Sequence[bytes]


@dataclass(frozen=True)
class Container:
    """A header and what follows it, as far as it was read.

    Attributes:
        header: of the whole file.
        parts: the groups that were read, in order.
        model: the embedded model, as it lies in the file, or b"".
    """

    header: Header
    parts: list[Part]
    model: bytes = b""

    @property
    def payloads(self) -> list[bytes]:
        """All that were read, one after another."""
        return [payload for part in self.parts for payload in part.payloads]


def pack(container: Container) -> bytes:
    """Packs a whole container into bytes (FORMAT.md, section 3)."""
    header, payloads, model = container.header, container.payloads, container.model
    lengths = [segment.byte_length for segment in header.segments]
    if [len(payload) for payload in payloads] != lengths or len(model) != header.embedded_bytes:
        raise ValueError("the payloads or the model are not those of the header")
    return b"".join([pack_header(header), model, *payloads])


def packed_bytes(header: Header) -> int:
    """Counts the bytes of the whole container that has a header."""
    payloads = sum(group.byte_length for group in header.groups)
    return len(pack_header(header)) + header.embedded_bytes + payloads


def read_container(
    file: BinaryIO,
    *,
    layers: int | None = None,
    partial: bool = False,
    max_bits: int = MAX_BITS,
    groups: Collection[int] | None = None,
) -> Container:
    """Reads a header and payloads, and no byte beyond the last one that is needed.

    Args:
        file: binary stream, at the start of a container; it need not be seekable.
        layers: read only the segments that hold so many first layers. Otherwise all are read, and
            the file must end behind them.
        partial: take a file whose end is missing, if it has a whole segment.
        max_bits: the most code bits of all that is read; more are refused when the header is read.
        groups: read only those of these numbers.

    Returns:
        The header of the whole file, its model, and the payloads.

    Raises:
        BitstreamError, TruncatedError, CodesError: as for `ContainerReader`.
    """
    reader = ContainerReader(file, layers=layers, max_bits=max_bits, together=True)
    parts = list(reader.parts(partial=partial, groups=groups))
    return Container(reader.header, parts, reader.model)


class ContainerReader:
    """A container that is read group by group.

    Attributes:
        header: of the whole file.
        model: the embedded model, or b"".
        wanted: how many layers were asked for; segments may have more.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        layers: int | None = None,
        max_bits: int = MAX_BITS,
        together: bool = False,
    ) -> None:
        """Reads the header and the model.

        Args:
            file, layers: as for `read_container`.
            max_bits, together: as for `needed_segments`.

        Raises:
            BitstreamError: as for `unpack_header`.
            CodesError: as for `needed_segments`.
        """
        self._file, self._layers = file, layers
        self.header = header = read_header(file)
        self._needed = needed_segments(header, layers, max_bits, together=together)
        self.wanted = header.layers if layers is None else layers
        self.model = read_up_to(file, header.embedded_bytes)
        if len(self.model) < header.embedded_bytes:
            raise TruncatedError(NO_WHOLE_LAYER)

    def parts(
        self, *, partial: bool = False, groups: Collection[int] | None = None
    ) -> Iterator[Part]:
        """Reads the payloads, group after group; once.

        Args:
            partial: end where a file of several groups does, with the last whole one; of a single
                group give the segments that are whole, if any is.
            groups: only those of these numbers.

        Raises:
            BitstreamError: the file goes on behind the last payload.
            TruncatedError: it ends within the payloads; of one group it has the number of whole
                layers.
        """
        header, unread, any_whole = self.header, 0, False
        last = len(header.groups) - 1 if groups is None else max(groups, default=-1)
        for number, group in enumerate(header.groups[: last + 1]):
            if groups is not None and number not in groups:
                unread += group.byte_length
                continue
            needed, there = self._needed[number], skip(self._file, unread)
            payloads = self._read(group, needed) if there else []
            if len(payloads) < needed or not there:
                if partial and len(header.groups) > 1 and any_whole:
                    return
                if not partial or not payloads or len(header.groups) > 1:
                    raise truncated(header, number, len(payloads))
                yield Part(number, payloads)
                return
            unread = sum(segment.byte_length for segment in group.segments[needed:])
            any_whole = True
            yield Part(number, payloads)
        if self._layers is None and groups is None and read_up_to(self._file, 1):
            raise BitstreamError(f"at least one byte follows the last payload; {DAMAGED}")

    def _read(self, group: Group, count: int) -> list[bytes]:
        payloads: list[bytes] = []
        for segment in group.segments[:count]:
            payload = read_up_to(self._file, segment.byte_length)
            if len(payload) < segment.byte_length:
                break
            payloads.append(payload)
        return payloads


def needed_segments(
    header: Header, layers: int | None, max_bits: int, *, together: bool
) -> list[int]:
    """Says how many first segments of each group hold so many first layers.

    Args:
        header: of the whole file.
        layers: how many, from the first; None for all.
        max_bits: the most code bits to decode.
        together: whether all groups are kept, as parts of one array or file: then the limit is of
            their sum. Otherwise each is gone before the next is decoded, and it is of each.

    Raises:
        CodesError: there are fewer layers, or these have more code bits than `max_bits`.
    """
    if layers is not None and not 1 <= whole_number(layers, "layers") <= header.layers:
        raise CodesError(f"layers {layers}: the file has {header.layers}; ask for some of them")
    wanted, counts, bits = header.layers if layers is None else layers, [], 0
    for group, extent in zip(header.groups, header.group_extents(), strict=True):
        covered = [one for one in group.segment_layers() if one.start < wanted]
        held = extent.first_layers(max([wanted, *(one.stop for one in covered)]))
        if together and len(header.groups) > 1:
            bits += held.bits
            check_bits(bits, f"a code tensor {header.extent} in groups", max_bits, RAISE_MAX_BITS)
        else:
            check_bits(held.bits, f"a code tensor {held}", max_bits, RAISE_MAX_BITS)
        counts.append(len(covered))
    return counts


def truncated(header: Header, number: int, segments: int) -> TruncatedError:
    """The error of a file that ends within a group, of which so many segments are whole."""
    groups, layers = header.groups, header.layers
    if len(groups) > 1 and not number:
        return TruncatedError("the file ends early, no group is whole; get another copy")
    if len(groups) > 1:
        return TruncatedError(
            f"the file ends early, only {number} of its {len(groups)} groups are whole; "
            "--partial gives what is whole, or get another copy"
        )
    whole = sum(segment.layers for segment in groups[0].segments[:segments])
    if not whole:
        return TruncatedError(NO_WHOLE_LAYER)
    return TruncatedError(
        f"the file ends early, only {whole} of its {layers} layers are whole; "
        f"--partial (in Python layers={whole}) gives what is whole, or get another copy",
        whole,
    )
