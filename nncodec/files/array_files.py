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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nncodec.errors import CodesError
from nncodec.files.diagnosis import diagnose_names, is_mangled, mangled_line
from nncodec.files.streams import file_label, open_whole
from nncodec.format.limits import MAX_BITS, MAX_DEFLATE_RATIO, limit_remedy

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


@dataclass(frozen=True)
class Form:
    """What the header of a `.npy` says.

    Attributes:
        shape: of the array.
        fortran: whether its first axis changes fastest.
        dtype: of its values; of Python objects it has none here.
        offset: of its values in the file.
    """

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any] | None
    offset: int


def read_form(head: bytes, size: int, what: str) -> Form:
    """Reads the header of a `.npy`.

    Args:
        head: the file, or as much of its start as holds the header.
        size: of the whole file, in bytes.
        what: what messages call the array.

    Raises:
        CodesError: damage, or not as many values as it says.
    """
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
    if any(type(axis) is not int for axis in shape):  # numpy takes True for a size
        raise CodesError(f"{what} has the shape {shape}, not of whole numbers; it is damaged")
    if dtype.hasobject:
        return Form(shape, fortran, None, stream.tell())
    needed, there = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if needed != there:
        raise CodesError(
            f"{what} of shape {shape} needs {needed} bytes and {there} are there; the file is "
            "damaged or truncated"
        )
    return Form(shape, fortran, dtype, stream.tell())


def read_npy(data: bytes, form: Form) -> Array:
    """Gives the array of a `.npy` whose header is read, and whose dtype is no object."""
    array = np.frombuffer(data, dtype=form.dtype, offset=form.offset)
    return array.reshape(form.shape, order="F" if form.fortran else "C")


class Npz:
    """A `.npz` in memory.

    Attributes:
        forms: of its arrays by their names, in the order of the file.
    """

    def __init__(self, data: bytes) -> None:
        """Reads the headers of all arrays.

        Raises:
            CodesError: damage, or something in it is no array.
        """
        self._data = data
        self.forms: dict[str, Form] = {}
        self._sizes: dict[str, int] = {}
        with self._reading():
            self._archive = archive = zipfile.ZipFile(io.BytesIO(data))
            infos = archive.infolist()
            names = [info.filename for info in infos]
            foreign = diagnose_names(names)
            if foreign:
                raise CodesError(foreign)
            strange = [name for name in names if not name.endswith(".npy")]
            if strange:
                line = f"the .npz holds what is no array, {list_names(strange)}; leave it out"
                raise CodesError(line)
            for info in infos:
                name = info.filename.removesuffix(".npy")
                _check_member(info, f"array {name!r}")
                with archive.open(info) as member:
                    head = member.read(min(_NPY_HEADER_BYTES, info.file_size))
                if name in self.forms:
                    raise CodesError(f"the .npz holds array {name!r} twice; it is damaged")
                self._sizes[name] = info.file_size
                self.forms[name] = read_form(head, info.file_size, f"array {name!r}")

    def member(self, name: str) -> bytes:
        """Gives an array's `.npy`: of as many bytes as its header says, and no more."""
        with self._reading():
            info = self._archive.getinfo(name + ".npy")
            with self._archive.open(info) as member:  # with a size: the stream may go on and on
                return member.read(info.file_size)

    def size(self, name: str) -> int:
        """Gives the bytes of an array's `.npy`."""
        return self._sizes[name]

    def array(self, name: str) -> Array:
        """Gives an array, whose dtype is no object."""
        return read_npy(self.member(name), self.forms[name])

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with _damage("the .npz"):
                yield
        except CodesError as error:
            if error.__cause__ and is_mangled(self._data):
                raise CodesError(mangled_line("the .npz")) from error
            raise


def npy_bytes(array: Array) -> bytes:
    """Gives the `.npy` of an array."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=False)
    return stream.getvalue()


def npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Gives the `.npz` of arrays."""
    return zip_bytes({name: npy_bytes(array) for name, array in arrays.items()})


def zip_bytes(members: Mapping[str, bytes]) -> bytes:
    """Gives a `.npz` as `numpy.savez_compressed` does, but for any names of arrays.

    Args:
        members: the `.npy` of every array by its name.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name + ".npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as member:
                member.write(data)
    return stream.getvalue()


def list_names(names: list[str]) -> str:
    """Quotes names for a message, the first eight in full."""
    shown = ", ".join(ascii(name[:80]) for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def _check_member(info: zipfile.ZipInfo, what: str) -> None:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CodesError(f"{what} is compressed by another method than deflate; use numpy.savez")
    # What deflate cannot reach is a damaged or hostile header: memory is bounded by the input.
    if info.file_size > info.compress_size * MAX_DEFLATE_RATIO:
        raise CodesError(
            f"{what} claims {info.file_size} bytes, more than its {info.compress_size} compressed "
            "bytes can hold; the .npz is damaged"
        )


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
