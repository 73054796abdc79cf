"""TFRecord data sets of `tf.train.Example`, the original's training format, without TensorFlow.

A TFRecord file is nothing but records, one after the other:

    uint64   length of the data, little-endian
    uint32   masked CRC-32C of the 8 bytes of the length, little-endian
    bytes    data
    uint32   masked CRC-32C of the data, little-endian

The format has no count of records: a file cut exactly between two records is a shorter file, not a
damaged one. The data of a record is a serialised `tf.train.Example` with two features:

    code_shape   3 int64: height, width, depth
    code         floats -1/+1, in C order of (height, width, depth)

The packages `protobuf` and `google-crc32c` do the work; they come with the extra `tfrecord`.
"""

from __future__ import annotations

import functools
import math
import os
import stat
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

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
    file, remaining = _open_to_read(path)
    with file:
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


def write_records(target: str | os.PathLike[str] | BinaryIO, records: Iterable[bytes]) -> int:
    """Writes a TFRecord file.

    An existing file is overwritten, and a failure leaves what was written so far: whoever needs the
    whole file or nothing writes to a temporary one and renames it.

    Args:
        target: a path, or a file open for binary writing, which stays open.
        records: the data of each record; drawn one at a time.

    Returns:
        How many records were written.

    Raises:
        NncodecError: `target` is a path that cannot be written, or the extra packages are not
            installed.
        OSError: `target` is an open file that cannot be written.
    """
    checksum = _masked_checksum_function()
    if isinstance(target, (str, os.PathLike)):
        try:
            with open(target, "wb") as file:
                return write_records(file, records)
        except OSError as error:
            raise NncodecError(
                f"{target}: cannot be written: {error.strerror}; check the folder, its "
                "permissions and the space left"
            ) from error
    count = 0
    for data in records:
        length = _LENGTH.pack(len(data))
        target.write(length + _CHECKSUM.pack(checksum(length)))
        target.write(data)
        target.write(_CHECKSUM.pack(checksum(data)))
        count += 1
    return count


def read_codes(path: str | os.PathLike[str]) -> Iterator[NDArray[np.uint8]]:
    """Reads the samples of a data set one by one.

    Args:
        path: a TFRecord file of `tf.train.Example` with `code_shape` and `code`.

    Yields:
        uint8 {0, 1} [height, width, depth], one a record; the shapes may differ.

    Raises:
        CodesError: as `read_records`, or the file holds no record, or a record is no such Example,
            or its values are not -1/+1 or do not fill its shape.
        NncodecError: the extra packages are not installed.
    """
    number = 0
    for number, data in enumerate(read_records(path), start=1):
        yield _parse_codes(data, f"{path}: record {number}")
    if number == 0:
        raise CodesError(
            f"{path}: the file is empty; give a TFRecord file with at least one record"
        )


def write_codes(
    target: str | os.PathLike[str] | BinaryIO, samples: Iterable[NDArray[np.generic]]
) -> int:
    """Writes samples as a data set, byte for byte as TensorFlow writes it with its keys sorted.

    Args:
        target: as for `write_records`.
        samples: {0, 1} of any dtype [height, width, depth]; drawn one at a time.

    Returns:
        How many samples were written.

    Raises:
        CodesError: a sample has not three axes, is empty, or holds values other than 0 and 1.
        NncodecError, OSError: as `write_records`.
    """
    return write_records(
        target,
        (_serialise_codes(sample, f"sample {i}") for i, sample in enumerate(samples, start=1)),
    )


def _open_to_read(path: str | os.PathLike[str]) -> tuple[BinaryIO, int]:
    """Opens a regular file; gives its size too, the bound of every length in it."""
    try:
        # A pipe or a device has no size to bound lengths by, and opening one may wait for ever.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise CodesError(f"{path}: is not a regular file; give the path of a TFRecord file")
        file = open(path, "rb")  # noqa: SIM115  (the caller closes it)
        return file, os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise CodesError(f"{path}: there is no such file; check the path") from None
    except OSError as error:
        raise CodesError(f"{path}: cannot be read: {error.strerror}; check the path") from error


def _read(file: BinaryIO, size: int, where: str) -> bytes:
    try:
        data = file.read(size)
    except OSError as error:
        raise CodesError(f"{where} cannot be read: {error.strerror}; {_GET_AGAIN}") from error
    if len(data) != size:
        raise CodesError(f"{where} is cut off: the file shrank while it was read; read it again")
    return data


def _parse_codes(data: bytes, where: str) -> NDArray[np.uint8]:
    example_class = _example_class()
    from google.protobuf.message import DecodeError

    try:
        example = example_class.FromString(data)
    except DecodeError:
        raise CodesError(
            f"{where} is not a tf.train.Example; give a data set of codes, not of other messages"
        ) from None
    features = {entry.key: entry.value for entry in example.features.feature}
    shape = tuple(_feature_values(features, "code_shape", "int64_list", where))
    if len(shape) != 3 or min(shape) < 1:
        raise CodesError(
            f"{where}: `code_shape` must be three positive sizes (height, width, depth), not "
            f"{shape if len(shape) == 3 else f'{len(shape)} values'}; write the data set again"
        )
    values = np.array(_feature_values(features, "code", "float_list", where), np.float32)
    if len(values) != math.prod(shape):
        raise CodesError(
            f"{where}: `code` holds {len(values)} values where `code_shape` {shape} needs "
            f"{math.prod(shape)}; write the data set again"
        )
    wrong = values[np.abs(values) != 1]
    if wrong.size:
        raise CodesError(
            f"{where}: `code` holds {wrong[0]}, which is neither -1 nor +1; convert the codes to "
            "-1/+1 before writing them"
        )
    return (values > 0).astype(np.uint8).reshape(shape)


def _feature_values(features: dict[str, Any], key: str, kind: str, where: str) -> Any:
    if key not in features:
        raise CodesError(
            f"{where} has no feature `{key}`; give a data set whose examples have `code_shape` and "
            "`code`"
        )
    found = features[key].WhichOneof("kind")
    if found != kind:
        raise CodesError(
            f"{where}: `{key}` must be of kind {kind}, not {found or 'empty'}; write the data set "
            "again"
        )
    return getattr(features[key], kind).value


def _serialise_codes(sample: NDArray[np.generic], where: str) -> bytes:
    if sample.ndim != 3 or sample.size == 0:
        raise CodesError(
            f"{where} has shape {sample.shape}, which is not three positive sizes (height, width, "
            "depth); write one record per image"
        )
    ones = sample == 1
    if not np.all(ones | (sample == 0)):
        raise CodesError(f"{where} holds values other than 0 and 1; convert it to {{0, 1}} first")
    example = _example_class()()
    # Sorted by key, and from a list: protobuf takes the numbers of an array six times as slowly.
    code = example.features.feature.add(key="code").value
    code.float_list.value.extend(np.where(ones, 1.0, -1.0).ravel().tolist())
    code_shape = example.features.feature.add(key="code_shape").value
    code_shape.int64_list.value.extend(sample.shape)
    data: bytes = example.SerializeToString(deterministic=True)
    return data


@functools.cache
def _masked_checksum_function() -> Callable[[bytes], int]:
    try:
        import google_crc32c
    except ImportError as error:
        raise _missing_package("google-crc32c") from error

    def masked_checksum(data: bytes) -> int:
        # The mask keeps the checksum of data that holds checksums from being trivial.
        crc: int = google_crc32c.value(data)
        return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

    return masked_checksum


@functools.cache
def _example_class() -> Any:
    """Builds the class of `tf.train.Example` in code, in a pool of its own.

    Without a generated module nothing can clash with TensorFlow's classes or with the installed
    version of protobuf. The map of features is declared as what it is on the wire, a list of pairs:
    the order in which protobuf writes a map, even a deterministic one, differs by implementation.
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise _missing_package("protobuf") from error

    kind = descriptor_pb2.FieldDescriptorProto
    one, many = kind.LABEL_OPTIONAL, kind.LABEL_REPEATED
    file = descriptor_pb2.FileDescriptorProto(
        name="example.proto", package="tensorflow", syntax="proto3"
    )
    lists = {"bytes_list": "BytesList", "float_list": "FloatList", "int64_list": "Int64List"}
    messages: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        ("BytesList", many, {"value": kind.TYPE_BYTES}),
        ("FloatList", many, {"value": kind.TYPE_FLOAT}),
        ("Int64List", many, {"value": kind.TYPE_INT64}),
        ("Feature", one, lists),
        ("FeatureEntry", one, {"key": kind.TYPE_STRING, "value": "Feature"}),
        ("Features", many, {"feature": "FeatureEntry"}),
        ("Example", one, {"features": "Features"}),
    )
    for name, label, fields in messages:
        message = file.message_type.add(name=name)
        for number, (field_name, of) in enumerate(fields.items(), start=1):
            field = message.field.add(name=field_name, number=number, label=label)
            if isinstance(of, str):
                field.type, field.type_name = kind.TYPE_MESSAGE, f".tensorflow.{of}"
            else:
                field.type = of
            if fields is lists:
                field.oneof_index = 0
        if fields is lists:
            message.oneof_decl.add(name="kind")

    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


def _missing_package(name: str) -> NncodecError:
    return NncodecError(
        f"TFRecord files need the package {name}, which is not installed; run: "
        "pip install protobuf google-crc32c"
    )
