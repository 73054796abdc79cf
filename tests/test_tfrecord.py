"""TFRecord data sets: TensorFlow's own file, round trips, damage, and every refusal."""

import io
import os
import re
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from nncodec.errors import CodesError, NncodecError
from nncodec.training.data import examples, tfrecord

DATA = Path(__file__).parent / "data"
WRITTEN_BY_TENSORFLOW = DATA / "synthetic_reference.tfrecord"

SAMPLE = np.array([[[0, 1, 1], [1, 0, 1]]], np.uint8)
SAMPLES = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3), elements=st.integers(0, 1))


# The format once more, from its definition, so that the tests depend on neither library.


def masked_checksum(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15) + (crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


def record(data: bytes, length: int | None = None) -> bytes:
    head = struct.pack("<Q", len(data) if length is None else length)
    return (
        head
        + struct.pack("<I", masked_checksum(head))
        + data
        + struct.pack("<I", masked_checksum(data))
    )


def delimited(field: int, data: bytes) -> bytes:
    assert len(data) < 128  # so that the length takes one byte
    return bytes([field << 3 | 2, len(data)]) + data


def feature(key: bytes, kind: int, values: bytes) -> bytes:
    """One entry of the map; `kind` is 1 for bytes, 2 for floats, 3 for int64, packed."""
    return delimited(1, delimited(1, key) + delimited(2, delimited(kind, delimited(1, values))))


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


CODE = feature(b"code", 2, floats(-1, 1, 1, 1, -1, 1))
CODE_SHAPE = feature(b"code_shape", 3, b"\x01\x02\x03")
EXAMPLE = delimited(1, CODE + CODE_SHAPE)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[bytes], Path]:
    """Writes bytes to a file and gives its path."""

    def write(data: bytes) -> Path:
        path = tmp_path / "codes.tfrecord"
        path.write_bytes(data)
        return path

    return write


def test_reads_what_tensorflow_wrote() -> None:
    samples = list(examples.read_samples(WRITTEN_BY_TENSORFLOW))
    with np.load(DATA / "synthetic_reference.npz") as reference:
        assert len(samples) == len(reference.files) == 3
        for i, sample in enumerate(samples):
            assert sample.dtype == np.uint8
            np.testing.assert_array_equal(sample, reference[f"seed{i}"])


def test_writes_the_bytes_that_tensorflow_wrote() -> None:
    file = io.BytesIO()
    assert examples.write_samples(file, examples.read_samples(WRITTEN_BY_TENSORFLOW)) == 3
    assert file.getvalue() == WRITTEN_BY_TENSORFLOW.read_bytes()


def test_golden_bytes() -> None:
    file = io.BytesIO()
    examples.write_samples(file, [SAMPLE])
    assert file.getvalue() == record(EXAMPLE)


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(delimited(1, CODE_SHAPE + CODE), id="keys in the other order"),
        pytest.param(delimited(1, CODE) + delimited(1, CODE_SHAPE), id="features in two parts"),
        pytest.param(EXAMPLE + delimited(9, b"new"), id="an unknown field"),
        pytest.param(
            delimited(1, CODE + CODE_SHAPE + feature(b"name", 1, b"kodim04")), id="another feature"
        ),
        pytest.param(
            delimited(1, feature(b"code", 2, floats(5)) + CODE + CODE_SHAPE), id="the last key wins"
        ),
        pytest.param(
            delimited(
                1,
                CODE
                + delimited(
                    1,
                    delimited(1, b"code_shape")
                    + delimited(2, delimited(3, b"\x08\x01\x08\x02\x08\x03")),
                ),
            ),
            id="values not packed",
        ),
    ],
)
def test_reads_every_form_of_an_example(example: bytes, written: Callable[[bytes], Path]) -> None:
    (sample,) = examples.read_samples(written(record(example)))
    np.testing.assert_array_equal(sample, SAMPLE)


@settings(deadline=None, max_examples=40)
@given(samples=st.lists(SAMPLES, min_size=1, max_size=4))
def test_codes_round_trip(
    samples: list[NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("round_trip") / "codes.tfrecord"
    with path.open("wb") as file:
        assert examples.write_samples(file, samples) == len(samples)
    for expected, sample in zip(samples, examples.read_samples(path), strict=True):
        np.testing.assert_array_equal(sample, expected, strict=True)


@settings(deadline=None, max_examples=40)
@given(records=st.lists(st.binary(max_size=50), max_size=4))
def test_records_round_trip(records: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("round_trip") / "any.tfrecord"
    with path.open("wb") as file:
        assert tfrecord.write_records(file, iter(records)) == len(records)
    assert path.read_bytes() == b"".join(map(record, records))
    assert list(tfrecord.read_records(path)) == records


@settings(deadline=None, max_examples=200)
@given(example=st.binary(max_size=60))
def test_any_data_gives_codes_or_one_error(
    example: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "codes.tfrecord"
    path.write_bytes(record(example))
    with pytest.raises(CodesError, match=r"record 1.*; \w+"):
        list(examples.read_samples(path))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float64])
def test_writes_any_numeric_dtype_and_order(dtype: type) -> None:
    file = io.BytesIO()
    examples.write_samples(file, [np.asfortranarray(SAMPLE).astype(dtype, order="K")])
    assert file.getvalue() == record(EXAMPLE)


def test_reading_is_lazy(written: Callable[[bytes], Path]) -> None:
    samples = examples.read_samples(written(record(EXAMPLE) + b"damage"))
    np.testing.assert_array_equal(next(samples), SAMPLE)
    with pytest.raises(CodesError, match="record 2 is cut off within its header; "):
        next(samples)


def test_every_flipped_bit_is_found(written: Callable[[bytes], Path]) -> None:
    data = record(EXAMPLE)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(
            CodesError, match=r"record 1: the checksum of its (length|data) is wrong"
        ):
            list(tfrecord.read_records(written(bytes(damaged))))


def test_every_truncation_is_found(written: Callable[[bytes], Path]) -> None:
    data = record(EXAMPLE)
    for size in range(len(data)):
        with pytest.raises(CodesError, match=r"record 1 is cut off|the file is empty"):
            list(examples.read_samples(written(data[:size])))


def refused(path: Path) -> str:
    """Reads a data set that must be refused; gives the message after the path."""
    with pytest.raises(CodesError) as caught:
        list(examples.read_samples(path))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "none") == "there is no such file; check the path"


def test_path_through_a_file_is_refused(written: Callable[[bytes], Path]) -> None:
    message = refused(written(b"") / "codes")
    assert message == "cannot be read: Not a directory; check the path"


def test_directory_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path) == "is not a regular file; give the path of a TFRecord file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe").startswith("is not a regular file; ")


def test_empty_file_is_refused_as_codes_only(written: Callable[[bytes], Path]) -> None:
    path = written(b"")
    assert list(tfrecord.read_records(path)) == []
    assert refused(path) == "the file is empty; give a TFRecord file with at least one record"


def test_record_over_the_limit_is_refused(written: Callable[[bytes], Path]) -> None:
    path = written(record(b"", length=2**31))
    os.truncate(path, 2**31 + 16)  # sparse: nothing on the disk
    assert refused(path) == (
        "record 1 has 2147483648 bytes, more than the 2147483647 of the largest tf.train.Example; "
        "write the data set again in smaller records"
    )


def test_file_that_shrinks_is_refused(written: Callable[[bytes], Path]) -> None:
    # The second record is past what the reader has buffered.
    path = written(record(EXAMPLE) + bytes(2**20))
    samples = examples.read_samples(path)
    next(samples)
    os.truncate(path, 0)
    with pytest.raises(CodesError, match="record 2"):
        list(samples)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (record(EXAMPLE)[:11], "record 1 is cut off within its header; copy or download it again"),
        (
            record(EXAMPLE) + record(EXAMPLE)[:-9],
            "record 2 is cut off, 9 bytes are missing; copy or download it again",
        ),
        (
            record(b"", length=2**31 - 1),
            "record 1 is cut off, 2147483647 bytes are missing; copy or download it again",
        ),
        (
            b"A text file is no data set of codes.\n",
            "record 1: the checksum of its length is wrong: the file is damaged or not an "
            "uncompressed TFRecord file; copy or download it again, or decompress it first",
        ),
        (
            record(EXAMPLE)[:-1] + b"\0",
            "record 1: the checksum of its data is wrong: the file is damaged; copy or download it "
            "again",
        ),
        (
            record(b"\x0a"),
            "record 1 is not a tf.train.Example; give a data set of codes, not of other messages",
        ),
        (
            record(delimited(1, CODE)),
            "record 1 has no feature `code_shape`; give a data set whose examples have "
            "`code_shape` and `code`",
        ),
        (
            record(delimited(1, CODE_SHAPE)),
            "record 1 has no feature `code`; give a data set whose examples have `code_shape` and "
            "`code`",
        ),
        (
            record(delimited(1, CODE + feature(b"code_shape", 2, floats(1, 2, 3)))),
            "record 1: `code_shape` must be of kind int64_list, not float_list; write the data set "
            "again",
        ),
        (
            record(delimited(1, feature(b"code", 1, b"\0\1\1\1\0\1") + CODE_SHAPE)),
            "record 1: `code` must be of kind float_list, not bytes_list; write the data set again",
        ),
        (
            record(delimited(1, delimited(1, delimited(1, b"code")) + CODE_SHAPE)),
            "record 1: `code` must be of kind float_list, not empty; write the data set again",
        ),
        (
            record(delimited(1, CODE + feature(b"code_shape", 3, b"\x02\x03"))),
            "record 1: `code_shape` must be three positive sizes (height, width, depth), not 2 "
            "values; write the data set again",
        ),
        (
            record(delimited(1, CODE + feature(b"code_shape", 3, b"\x01\x00\x03"))),
            "record 1: `code_shape` must be three positive sizes (height, width, depth), not "
            "(1, 0, 3); write the data set again",
        ),
        (
            record(delimited(1, CODE + feature(b"code_shape", 3, b"\xff" * 9 + b"\x01\x01\x03"))),
            "record 1: `code_shape` must be three positive sizes (height, width, depth), not "
            "(-1, 1, 3); write the data set again",
        ),
        (
            record(delimited(1, CODE + feature(b"code_shape", 3, b"\x01\x02\x04"))),
            "record 1: `code` holds 6 values where `code_shape` (1, 2, 4) needs 8; write the data "
            "set again",
        ),
        (
            record(delimited(1, CODE + feature(b"code_shape", 3, (b"\xff" * 8 + b"\x7f") * 3))),
            f"record 1: `code` holds 6 values where `code_shape` {(2**63 - 1,) * 3} needs "
            f"{(2**63 - 1) ** 3}; write the data set again",
        ),
        (
            record(delimited(1, feature(b"code", 2, floats(-1, 1, 0, 1, 1, 1)) + CODE_SHAPE)),
            "record 1: `code` holds 0.0, which is neither -1 nor +1; convert the codes to -1/+1 "
            "before writing them",
        ),
        (
            record(delimited(1, feature(b"code", 2, b"\1\0\x80\x7f" * 6) + CODE_SHAPE)),
            "record 1: `code` holds nan, which is neither -1 nor +1; convert the codes to -1/+1 "
            "before writing them",
        ),
    ],
)
def test_bad_file_is_refused(data: bytes, message: str, written: Callable[[bytes], Path]) -> None:
    assert refused(written(data)) == message


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (
            SAMPLE[0],
            "sample 2 has shape (2, 3), which is not three positive sizes (height, width, depth); "
            "write one record per image",
        ),
        (
            SAMPLE[:, :0],
            "sample 2 has shape (1, 0, 3), which is not three positive sizes (height, width, "
            "depth); write one record per image",
        ),
        (
            2 * SAMPLE,
            "sample 2 holds values other than 0 and 1; convert it to {0, 1} first",
        ),
        (
            np.full((1, 1, 1), np.nan),
            "sample 2 holds values other than 0 and 1; convert it to {0, 1} first",
        ),
    ],
)
def test_bad_sample_is_not_written(sample: NDArray[np.generic], message: str) -> None:
    with pytest.raises(CodesError, match=f"^{re.escape(message)}$"):
        examples.write_samples(io.BytesIO(), [SAMPLE, sample])


@pytest.fixture
def _fresh_imports() -> Iterator[None]:
    """Makes the module look for its packages again, before the test and after it."""
    cached = (tfrecord._masked_checksum_function, examples._example_class)
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


@pytest.mark.usefixtures("_fresh_imports")
@pytest.mark.parametrize(
    ("module", "package"), [("google_crc32c", "google-crc32c"), ("google.protobuf", "protobuf")]
)
def test_missing_package_is_named(
    module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    message = (
        f"TFRecord files need the package {package}, which is not installed; run: "
        "pip install protobuf google-crc32c"
    )
    with pytest.raises(NncodecError, match=f"^{re.escape(message)}$"):
        list(examples.read_samples(WRITTEN_BY_TENSORFLOW))
    with pytest.raises(NncodecError, match=f"^{re.escape(message)}$"):
        examples.write_samples(io.BytesIO(), [SAMPLE])
