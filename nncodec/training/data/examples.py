"""Data sets of codes as the original has them: records of `tf.train.Example` in TFRecord files.

The data of a record is a serialised `tf.train.Example` of a sample, with two features:

    code_shape   3 int64: height, width, depth
    code         floats -1/+1, in C order of (height, width, depth)

The package `protobuf` does the work; it comes with the extra `tfrecord`.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nncodec.errors import CodesError
from nncodec.training.data.tfrecord import missing_package, read_records, write_records


def read_samples(path: str | os.PathLike[str]) -> Iterator[NDArray[np.uint8]]:
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
        yield _parse_sample(data, f"{path}: record {number}")
    if number == 0:
        raise CodesError(
            f"{path}: the file is empty; give a TFRecord file with at least one record"
        )


def write_samples(file: BinaryIO, samples: Iterable[NDArray[np.generic]]) -> int:
    """Writes samples as a data set, byte for byte as TensorFlow writes it with its keys sorted.

    Args:
        file: as for `write_records`.
        samples: {0, 1} of any dtype [height, width, depth]; drawn one at a time.

    Returns:
        How many samples were written.

    Raises:
        CodesError: a sample has not three axes, is empty, or holds values other than 0 and 1.
        NncodecError, OSError: as `write_records`.
    """
    return write_records(
        file,
        (_serialise_sample(sample, f"sample {i}") for i, sample in enumerate(samples, start=1)),
    )


def _parse_sample(data: bytes, where: str) -> NDArray[np.uint8]:
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


def _serialise_sample(sample: NDArray[np.generic], where: str) -> bytes:
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
def _example_class() -> Any:
    """Builds the class of `tf.train.Example` in code, in a pool of its own.

    Without a generated module nothing can clash with TensorFlow's classes or with the installed
    version of protobuf. The map of features is declared as what it is on the wire, a list of pairs:
    the order in which protobuf writes a map, even a deterministic one, differs by implementation.
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise missing_package("protobuf") from error

    kind = descriptor_pb2.FieldDescriptorProto
    single, repeated = kind.LABEL_OPTIONAL, kind.LABEL_REPEATED
    file = descriptor_pb2.FileDescriptorProto(
        name="example.proto", package="tensorflow", syntax="proto3"
    )
    lists = {"bytes_list": "BytesList", "float_list": "FloatList", "int64_list": "Int64List"}
    messages: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        ("BytesList", repeated, {"value": kind.TYPE_BYTES}),
        ("FloatList", repeated, {"value": kind.TYPE_FLOAT}),
        ("Int64List", repeated, {"value": kind.TYPE_INT64}),
        ("Feature", single, lists),
        ("FeatureEntry", single, {"key": kind.TYPE_STRING, "value": "Feature"}),
        ("Features", repeated, {"feature": "FeatureEntry"}),
        ("Example", single, {"features": "Features"}),
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
