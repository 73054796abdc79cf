"""Payloads of a container that are read when their turn comes to be decoded."""

import threading
from collections.abc import Sequence
from typing import BinaryIO, overload

from nncodec.errors import TruncatedError
from nncodec.format.container import truncated
from nncodec.format.fields import read_up_to
from nncodec.format.header import Header


class LateReader:
    """What follows a header, read in its order, as late as may be, and kept."""

    def __init__(self, stream: BinaryIO, header: Header) -> None:
        """Prepares to read a stream that is behind its header."""
        self._stream = stream
        self._sizes = [header.embedded_bytes, *(one.byte_length for one in header.segments)]
        self._header = header
        self._read: list[bytes] = []
        self._begun = b""
        self._lock = threading.Lock()

    def embedded(self) -> bytes:
        """The embedded model, as it lies in the file, or b""."""
        return self._piece(0)

    def payload(self, segment: int) -> bytes:
        """The payload of a segment, by its number among those of all groups.

        Raises:
            TruncatedError: the file ends before its last byte. It can be asked for again when the
                file has grown.
        """
        return self._piece(segment + 1)

    def _piece(self, number: int) -> bytes:
        if number < len(self._read):  # another thread may be waiting for the next one
            return self._read[number]
        with self._lock:
            while len(self._read) <= number:
                size = self._sizes[len(self._read)]
                self._begun += read_up_to(self._stream, size - len(self._begun))
                if len(self._begun) < size:
                    raise self._truncated(max(0, len(self._read) - 1))
                self._read.append(self._begun)
                self._begun = b""
            return self._read[number]

    def _truncated(self, whole: int) -> TruncatedError:
        for number, group in enumerate(self._header.groups):
            if whole < len(group.segments):
                return truncated(self._header, number, whole)
            whole -= len(group.segments)
        raise AssertionError("all segments are whole")


class LatePayloads(Sequence[bytes]):
    """Adjacent payloads of a file, each of which is read when it is asked for."""

    def __init__(self, reader: LateReader, numbers: range) -> None:
        """Takes those of these segments of what a reader reads."""
        self._reader, self._numbers = reader, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        segments = self._numbers[index]
        if isinstance(segments, range):
            return [self._reader.payload(segment) for segment in segments]
        return self._reader.payload(segments)
