"""TFRecord files, the original's training format, without TensorFlow.

A TFRecord file is nothing but records, one after the other:

    uint64   length of the data, little-endian
    uint32   masked CRC-32C of the 8 bytes of the length, little-endian
    bytes    data
    uint32   masked CRC-32C of the data, little-endian

The format has no count of records: a file cut exactly between two records is a shorter file, not a
damaged one. The package `google-crc32c` does the work; it comes with the extra `tfrecord`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from nncodec.errors import CodesError, NncodecError

MAX_RECORD_BYTES = 2**31 - 1
"""The longest record taken: protobuf's own limit for one message."""

_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_HEADER_BYTES = _LENGTH.size + _CHECKSUM.size

_GET_AGAIN = "copy or download it again"


def read_records(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """Reads the records of a TFRecord file one by one, checking both checksums of each.

    Args:
        path: a regular, uncompressed file.

    Yields:
        The data of each record; nothing for an empty file.

    Raises:
        CodesError: the file cannot be read, a record is cut off, or a checksum is wrong. Records
            before the damage have been yielded by then. Messages count records from 1.
        NncodecError: the extra packages are not installed.
    """
    checksum = _masked_checksum_function()
    with _open_to_read(path) as (file, remaining):
        number = 0
        while remaining:
            number += 1
            where = f"{path}: record {number}"
            if remaining < _HEADER_BYTES:
                raise CodesError(f"{where} is cut off within its header; {_GET_AGAIN}")
            header = _read(file, _HEADER_BYTES, where)
            (length,) = _LENGTH.unpack_from(header)
            if _CHECKSUM.unpack_from(header, _LENGTH.size) != (checksum(header[: _LENGTH.size]),):
                raise CodesError(
                    f"{where}: the checksum of its length is wrong: the file is damaged or not an "
                    f"uncompressed TFRecord file; {_GET_AGAIN}, or decompress it first"
                )
            if length > MAX_RECORD_BYTES:
                raise CodesError(
                    f"{where} has {length} bytes, more than the {MAX_RECORD_BYTES} of the largest "
                    "tf.train.Example; write the data set again in smaller records"
                )
            remaining -= _HEADER_BYTES + length + _CHECKSUM.size
            if remaining < 0:
                raise CodesError(
                    f"{where} is cut off, {-remaining} bytes are missing; {_GET_AGAIN}"
                )
            data = _read(file, length, where)
            if _CHECKSUM.unpack(_read(file, _CHECKSUM.size, where)) != (checksum(data),):
                raise CodesError(
                    f"{where}: the checksum of its data is wrong: the file is damaged; {_GET_AGAIN}"
                )
            yield data


def write_records(file: BinaryIO, records: Iterable[bytes]) -> int:
    """Writes records to a file.

    Args:
        file: open for binary writing; it stays open.
        records: the data of each record; drawn one at a time.

    Returns:
        How many records were written.

    Raises:
        NncodecError: the extra packages are not installed.
        OSError: the file cannot be written.
    """
    checksum = _masked_checksum_function()
    count = 0
    for data in records:
        length = _LENGTH.pack(len(data))
        file.write(length + _CHECKSUM.pack(checksum(length)))
        file.write(data)
        file.write(_CHECKSUM.pack(checksum(data)))
        count += 1
    return count


def missing_package(name: str) -> NncodecError:
    """Makes the error of an optional package that is not installed."""
    return NncodecError(
        f"TFRecord files need the package {name}, which is not installed; run: "
        "pip install protobuf google-crc32c"
    )


@contextlib.contextmanager
def _open_to_read(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, int]]:
    """Opens a regular file; gives its size too, the bound of every length in it."""
    with contextlib.ExitStack() as stack:
        try:
            # A pipe or a device has no size to bound lengths by, and opening one may wait for ever.
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise CodesError(f"{path}: is not a regular file; give the path of a TFRecord file")
            file = stack.enter_context(open(path, "rb"))
            size = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            raise CodesError(f"{path}: there is no such file; check the path") from None
        except OSError as error:
            raise CodesError(f"{path}: cannot be read: {error.strerror}; check the path") from error
        yield file, size


def _read(file: BinaryIO, size: int, where: str) -> bytes:
    try:
        data = file.read(size)
    except OSError as error:
        raise CodesError(f"{where} cannot be read: {error.strerror}; {_GET_AGAIN}") from error
    if len(data) != size:
        raise CodesError(f"{where} is cut off: the file shrank while it was read; read it again")
    return data


@functools.cache
def _masked_checksum_function() -> Callable[[bytes], int]:
    try:
        import google_crc32c
    except ImportError as error:
        raise missing_package("google-crc32c") from error

    def masked_checksum(data: bytes) -> int:
        # The mask keeps the checksum of data that holds checksums from being trivial.
        crc: int = google_crc32c.value(data)
        return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

    return masked_checksum
