"""Fields <-> bytes, and reading from streams that may end early.

A field is a number (a varint: FORMAT.md, section 3), a text, or some bytes.
"""

import io
import zlib
from typing import BinaryIO

from nncodec.errors import BitstreamError, TruncatedError

DAMAGED = "the file is damaged; get another copy"
NEWER = "it was written by a newer version; upgrade nncodec"
NO_WHOLE_LAYER = "the file ends early, no layer is whole; get another copy"

_CHUNK_BYTES = 1 << 20


def varint(value: int) -> bytes:
    """Encodes a number as a varint (FORMAT.md, section 3)."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def read_up_to(file: BinaryIO, size: int) -> bytes:
    """Reads `size` bytes, or fewer where the file ends; takes no memory for missing ones."""
    chunks = []
    while size and (chunk := file.read(min(size, _CHUNK_BYTES))):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def skip(file: BinaryIO, size: int) -> bool:
    """Passes over `size` bytes; gives whether they are there, or may be, where it can seek."""
    if size and file.seekable():
        file.seek(size, io.SEEK_CUR)
        return True
    while size:
        chunk = read_up_to(file, min(size, _CHUNK_BYTES))
        if not chunk:
            return False
        size -= len(chunk)
    return True


def inflate(packed: bytes, limit: int, what: str) -> bytes:
    """Unpacks a zlib stream, and takes no memory beyond a limit.

    Args:
        packed: the stream, and nothing else.
        limit: the most bytes that it may unpack to.
        what: what messages call it, in the singular.

    Raises:
        BitstreamError: it is none, or is longer, packed or unpacked.
    """
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(packed, limit)
    except zlib.error as error:
        raise BitstreamError(f"{what} cannot be unpacked; {DAMAGED}") from error
    if not stream.eof or stream.unused_data:
        raise BitstreamError(f"{what} does not end where it should; {DAMAGED}")
    return unpacked


def read_exactly(file: BinaryIO, size: int) -> bytes:
    """Reads `size` bytes of a header.

    Raises:
        TruncatedError: the file ends before them.
    """
    data = read_up_to(file, size)
    if len(data) < size:
        raise TruncatedError(NO_WHOLE_LAYER)
    return data


class Fields:
    """Takes fields from bytes, one after another.

    Every method raises `BitstreamError` where the bytes end or are not in the one form allowed.

    Attributes:
        rest: how many bytes are left.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    @property
    def rest(self) -> int:
        return len(self._data) - self._offset

    def take(self, size: int) -> bytes:
        """Takes `size` bytes."""
        if size > self.rest:
            raise BitstreamError(f"the header's fields need more bytes than it has; {DAMAGED}")
        self._offset += size
        return self._data[self._offset - size : self._offset]

    def checksum(self) -> int:
        """Takes a CRC-32: four bytes, little-endian."""
        return int.from_bytes(self.take(4), "little")

    def varint(self) -> int:
        """Takes a varint (FORMAT.md, section 3)."""
        value = 0
        for shift in range(0, 63, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if shift and not byte:
                    raise BitstreamError(f"a number is not in its shortest form; {DAMAGED}")
                return value
        raise BitstreamError(f"a number is not below 2^63; {DAMAGED}")

    def text(self, limit: int) -> str:
        """Takes a varint, at most `limit`, and as many bytes of UTF-8."""
        size = self.varint()
        if size > limit:
            raise BitstreamError(f"a text of {size} bytes is above the limit of {limit}; {DAMAGED}")
        try:
            return self.take(size).decode()
        except UnicodeDecodeError as error:
            raise BitstreamError(f"a text is not UTF-8; {DAMAGED}") from error
