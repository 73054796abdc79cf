"""Whatever a container can be read from: bytes, paths, URLs, streams."""

import io
import os
from typing import Any, BinaryIO

from nncodec.errors import BitstreamError, NncodecError
from nncodec.files.streams import file_label, naming_errors
from nncodec.files.urls import is_url, open_url

Readable = str | os.PathLike[str] | BinaryIO | bytes | bytearray | memoryview
"""A path, a URL, an open binary stream, or the bytes themselves."""


def stream_of(data: Any) -> io.BytesIO:
    """Opens bytes, or what holds bytes."""
    try:
        view = memoryview(data)
        return io.BytesIO(view if view.c_contiguous else view.tobytes())
    except TypeError as error:
        raise BitstreamError(
            f'a container of type {type(data).__name__} is no bytes; read the file ("rb") or '
            "give what encode gave"
        ) from error


def open_readable(file: Readable) -> tuple[BinaryIO, str, bool]:
    """Opens what holds a container, at its start.

    Args:
        file: a stream is read from where it is.

    Returns:
        A binary stream, its name for messages, and whether the caller has to close it.

    Raises:
        NncodecError: it cannot be opened, or is nothing of this kind.
    """
    if isinstance(file, bytes | bytearray | memoryview):
        return stream_of(file), "", True
    if isinstance(file, str | os.PathLike):
        name, label = os.fspath(file), file_label(file)
        try:
            with naming_errors(label):
                return open_url(name) if is_url(name) else open(name, "rb"), label, True
        except ValueError as error:  # it has a character that no name can have
            raise NncodecError(f"{label}: is no name of a file; check the name") from error
    if not hasattr(file, "read"):
        kind = type(file).__name__
        raise NncodecError(f"a {kind} is no file; give a path, a URL, a binary stream or bytes")
    if isinstance(file, io.TextIOBase):
        raise NncodecError('a stream of text holds no container; open it with "rb"')
    called = getattr(file, "name", None)
    return file, file_label(called) if isinstance(called, str) else "", False
