"""Arrays <-> `.npy` and `.npz` bytes, and bytes <-> files.

Files are parsed here rather than by `numpy.load`, because every size in them must be checked before
memory is taken for it. The same arrays always give the same bytes.
"""

import contextlib
import io
import math
import os
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nncodec.errors import CodesError
from nncodec.files.streams import file_label, open_whole
from nncodec.format.code_tensor import check_shape
from nncodec.format.limits import MAX_BITS, MAX_DEFLATE_RATIO, limit_remedy
from nncodec.format.source import DTYPES

Array = npt.NDArray[Any]

_MAX_BYTES_PER_BIT = 8
_OVERHEAD_BYTES = 1 << 20
"""The most bytes that a file takes for a code bit, and for everything beside the bits."""

_CHUNK_BYTES = 1 << 20
_NPY_HEADER_BYTES = 1 << 14  # numpy itself refuses headers above 10,000 bytes


def read_bytes(file: str | os.PathLike[str] | BinaryIO, max_bits: int = MAX_BITS) -> bytes:
    """Reads a whole file, or a stream to its end.

    Raises:
        CodesError: it cannot be read, or has more bytes than `max_bits` codes can take.
    """
    label = file_label(file)
    try:
        if not isinstance(file, str | os.PathLike):
            return _drain(file, label, max_bits)
        with open(file, "rb") as stream:
            return _drain(stream, label, max_bits)
    except FileNotFoundError as error:
        raise CodesError(f"{label}: no such file; check its name") from error
    except IsADirectoryError as error:
        raise CodesError(f"{label}: is a directory; name a code file in it") from error
    except (OSError, ValueError) as error:
        raise CodesError(
            f"{label}: cannot be read: {_reason(error)}; check it and its disk"
        ) from error


def write_bytes(file: str | os.PathLike[str] | BinaryIO, data: bytes) -> None:
    """Writes a file in place of an existing one, whole or not at all, or to a stream.

    Raises:
        CodesError: it cannot be written.
    """
    try:
        if isinstance(file, str | os.PathLike):
            with open_whole(os.fspath(file), force=True) as stream:
                stream.write(data)
        else:
            file.write(data)
    except (OSError, ValueError) as error:
        raise CodesError(
            f"{file_label(file)}: cannot be written: {_reason(error)}; check its disk"
        ) from error


def read_npy(data: bytes, axes: tuple[int, ...], what: str, max_bits: int = MAX_BITS) -> Array:
    """Gives the array of a `.npy`.

    Args:
        data: the whole file.
        axes: the numbers of axes that are allowed.
        what: what messages call the array.
        max_bits: the most codes.

    Raises:
        CodesError: damage, a dtype outside `DTYPES`, other axes, or more codes.
    """
    return _parse_npy(data, len(data), what, axes, max_bits)


def read_npz_names(data: bytes) -> list[str]:
    """Gives the names of the arrays in a `.npz`, in the order of the file.

    Raises:
        CodesError: damage, or something in it is no array.
    """
    with _open_npz(data) as archive:
        files = [info.filename for info in archive.infolist()]
    strange = [name for name in files if not name.endswith(".npy")]
    if strange:
        raise CodesError(f"the .npz holds what is no array, {list_names(strange)}; leave it out")
    return [name.removesuffix(".npy") for name in files]


def read_npz_array(
    data: bytes, name: str, axes: tuple[int, ...], what: str, max_bits: int = MAX_BITS
) -> Array:
    """Gives one array of a `.npz`; arguments and errors as for `read_npy`."""
    with _open_npz(data) as archive:
        return _read_member(archive, archive.getinfo(name + ".npy"), what, axes, max_bits)


def npy_bytes(array: Array) -> bytes:
    """Gives the `.npy` of an array."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=False)
    return stream.getvalue()


def npz_bytes(arrays: dict[str, Array]) -> bytes:
    """Gives the `.npz` of arrays, as `numpy.savez_compressed` does, but for any array name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(name + ".npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return stream.getvalue()


def list_names(names: list[str]) -> str:
    """Quotes names for a message, the first eight in full."""
    shown = ", ".join(ascii(name[:80]) for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


@contextlib.contextmanager
def _open_npz(data: bytes) -> Iterator[zipfile.ZipFile]:
    with _damage("the .npz"), zipfile.ZipFile(io.BytesIO(data)) as archive:
        yield archive


def _read_member(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    what: str,
    axes: tuple[int, ...],
    max_bits: int,
) -> Array:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CodesError(f"{what} is compressed by another method than deflate; use numpy.savez")
    # What deflate cannot reach is a damaged or hostile header: memory is bounded by the input.
    if info.file_size > info.compress_size * MAX_DEFLATE_RATIO:
        raise CodesError(
            f"{what} claims {info.file_size} bytes, more than its {info.compress_size} compressed "
            "bytes can hold; the .npz is damaged"
        )
    with archive.open(info) as member:
        head = member.read(min(_NPY_HEADER_BYTES, info.file_size))
        _parse_npy_header(head, info.file_size, what, axes, max_bits)
        # Only a read with a size stops a stream that goes on beyond what its header said.
        data = head + member.read(info.file_size - len(head))
    return _parse_npy(data, info.file_size, what, axes, max_bits)


def _parse_npy(data: bytes, size: int, what: str, axes: tuple[int, ...], max_bits: int) -> Array:
    head = data[:_NPY_HEADER_BYTES]
    shape, fortran, dtype, offset = _parse_npy_header(head, size, what, axes, max_bits)
    array = np.frombuffer(data, dtype=dtype, offset=offset)
    return array.reshape(shape, order="F" if fortran else "C")


def _parse_npy_header(
    head: bytes, size: int, what: str, axes: tuple[int, ...], max_bits: int
) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Parses the start of a `.npy` of `size` bytes; gives shape, order, dtype and data offset."""
    stream = io.BytesIO(head)
    with _damage(f"the header of {what}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        elif version in ((2, 0), (3, 0)):  # these differ in the names of record fields only
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
        else:
            raise CodesError(f"{what} has .npy version {version}; save it with numpy.save")
    if dtype.hasobject:
        raise CodesError(f"{what} holds Python objects, which are never unpickled; save uint8")
    if any(type(axis) is not int for axis in shape):  # numpy takes True for a size
        raise CodesError(f"{what} has the shape {shape}, not of whole numbers; it is damaged")
    check_shape(shape, axes, what, max_bits)
    if dtype.str not in DTYPES:
        wider = "float64" if dtype.kind == "f" else "uint8"
        raise CodesError(f"{what} has the unsupported dtype {dtype.name}; convert it to {wider}")
    needed = math.prod(shape) * dtype.itemsize
    if stream.tell() + needed != size:
        raise CodesError(
            f"{what} of shape {shape} needs {needed} bytes and {size - stream.tell()} are there; "
            "the file is damaged or truncated"
        )
    return shape, fortran, dtype, stream.tell()


def _drain(stream: BinaryIO, label: str, max_bits: int) -> bytes:
    # In chunks: a read of so many bytes would take that much memory first.
    limit = _MAX_BYTES_PER_BIT * max_bits + _OVERHEAD_BYTES
    chunks: list[bytes] = []
    size = 0
    while chunk := stream.read(_CHUNK_BYTES):
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise CodesError(
                f"{label}: is above the limit of {limit} bytes, for {max_bits} code bits; "
                f"{limit_remedy(max_bits)}"
            )
    return b"".join(chunks)


@contextlib.contextmanager
def _damage(what: str) -> Iterator[None]:
    """Turns whatever numpy, zipfile and zlib raise on damaged input into one line."""
    try:
        yield
    except (CodesError, MemoryError, ImportError):
        raise
    except Exception as error:
        raise CodesError(f"{what} is damaged or truncated ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ascii(" ".join(text.split())[:120])[1:-1] or type(error).__name__
