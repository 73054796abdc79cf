"""Inputs, and outputs that appear whole or not at all: every file that is written, is written here.

An output never replaces another file by accident. It is written under a temporary name in its
folder, `.nncodec-*.tmp`, brought to disk, and only then given its own name. A failure of any kind
before that leaves nothing behind; only a process that is killed leaves the temporary file. What is
no regular file (`/dev/null`, a named pipe, standard output) is written to directly: there is
nothing to replace.
"""

import contextlib
import errno
import io
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from typing import BinaryIO

from nncodec.errors import NncodecError
from nncodec.files.urls import is_url, open_url, url_exists, write_url

STANDARD_STREAM = "-"
"""The name that means standard input or output."""

_REASONS = {
    errno.ENOENT: "no such file or folder; check the name",
    errno.EEXIST: "exists already; add --force to replace it, or name another",
    errno.EISDIR: "is a directory; name a file in it",
    errno.EACCES: "permission denied; check its permissions and its folder's",
    errno.EROFS: "the disk is read-only; name a file on another",
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "your disk quota is used up; free some space",
    errno.EFBIG: "it is too large for its disk or for ulimit -f; raise the limit",
}


def os_error_line(error: OSError) -> str:
    """Says what went wrong and what to do, without the name of the file."""
    reason = _REASONS.get(error.errno or 0)
    return reason or f"{error.strerror or type(error).__name__}; check the file and its disk"


def file_label(file: str | os.PathLike[str] | BinaryIO) -> str:
    """Gives the name of a file for messages: printable, on one line."""
    name = os.fspath(file) if isinstance(file, str | os.PathLike) else getattr(file, "name", None)
    if not isinstance(name, str):
        return "<stream>"
    return name if name and name.isprintable() else ascii(name)


def output_label(output: str) -> str:
    """Gives the name of an output for messages."""
    return "<stdout>" if output == STANDARD_STREAM else file_label(output)


@contextlib.contextmanager
def naming(label: str) -> Iterator[None]:
    """Makes errors of one file one line that begins with its name.

    Raises:
        NncodecError: instead of any other, of `OSError` (but `BrokenPipeError`) and `MemoryError`.
    """
    try:
        yield
    except NncodecError as error:
        if str(error).startswith(f"{label}: "):
            raise
        raise NncodecError(f"{label}: {error}") from error
    except BrokenPipeError:
        raise
    except OSError as error:
        raise NncodecError(f"{label}: {os_error_line(error)}") from error
    except MemoryError as error:
        raise NncodecError(f"{label}: not enough memory for it; use a larger machine") from error


@contextlib.contextmanager
def naming_errors(label: str) -> Iterator[None]:
    """Has errors begin with the name of a file, and be of the same class nevertheless.

    Raises:
        NncodecError: in place of `OSError`, too.
    """
    try:
        yield
    except NncodecError as error:
        if label and not str(error).startswith(f"{label}: "):
            error.args = (f"{label}: {error}", *error.args[1:])
        raise
    except OSError as error:
        raise NncodecError(f"{label or '<stream>'}: {os_error_line(error)}") from error


@contextlib.contextmanager
def open_input(name: str) -> Iterator[tuple[BinaryIO, str]]:
    """Opens a file, or standard input, and names it in all errors of the block.

    Args:
        name: a path, a URL, or `STANDARD_STREAM`.

    Yields:
        A binary stream, and its name for messages.

    Raises:
        NncodecError: as `naming`.
    """
    if name == STANDARD_STREAM:
        if sys.stdin is None:
            raise NncodecError("<stdin>: is closed; open it or name a file")
        with naming("<stdin>"):
            yield sys.stdin.buffer, "<stdin>"
        return
    label = file_label(name)
    with naming(label), open_url(name) if is_url(name) else open(name, "rb") as stream:
        yield stream, label


def check_output(name: str, *, force: bool, source: str = STANDARD_STREAM) -> None:
    """Refuses what `open_output` would refuse, before the work for it is done.

    Args:
        name: a path, or `STANDARD_STREAM`.
        force: whether an existing file may be replaced.
        source: the input, which is never replaced.

    Raises:
        NncodecError: no file can be written there, or one exists.
    """
    label = output_label(name)
    if name == STANDARD_STREAM:
        if sys.stdout is None:
            raise NncodecError(f"{label}: is closed; open it or name a file")
        if sys.stdout.isatty():
            raise NncodecError(f"{label}: is a terminal; redirect it or name a file")
        return
    if is_url(name):
        if not force and url_exists(name):
            raise _exists(label)
        return
    mode = _mode(name)
    if not name or name.endswith(os.sep) or stat.S_ISDIR(mode):
        raise NncodecError(f"{label}: is a directory; name a file in it")
    if _is_stream(mode):
        return
    if mode:
        if not stat.S_ISREG(mode):
            raise NncodecError(f"{label}: is no regular file; name another output")
        if source != STANDARD_STREAM and os.path.exists(source) and os.path.samefile(name, source):
            raise NncodecError(f"{label}: is the input itself; name another output")
        if not force:
            raise _exists(label)
    folder = os.path.dirname(os.path.realpath(name))
    if not os.path.isdir(folder):
        raise NncodecError(f"{label}: its folder does not exist; make it or name another")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NncodecError(f"{label}: its folder is not writable; change that or name another")


@contextlib.contextmanager
def open_output(name: str, *, force: bool) -> Iterator[BinaryIO]:
    """Opens an output of a command: a file as `open_whole` does, or standard output.

    Args:
        name: a path, or `STANDARD_STREAM`.
        force: whether an existing file may be replaced.

    Raises:
        NncodecError: as `check_output` and `naming`; also where the file exists by then.
    """
    with naming(output_label(name)):
        check_output(name, force=force)
        if name == STANDARD_STREAM:
            with _buffered(sys.stdout.buffer) as stream:
                yield stream
        elif is_url(name):
            content = io.BytesIO()
            yield content
            write_url(name, content.getvalue(), force=force)
        else:
            with open_whole(name, force=force) as stream:
                yield stream


@contextlib.contextmanager
def open_whole(path: str, *, force: bool) -> Iterator[BinaryIO]:
    """Opens a file that takes its name when the block ends, if it ends without an exception.

    Symbolic links are followed. A new file gets the permissions of any new file.

    Args:
        path: of a regular file, or of something that is written to directly.
        force: whether an existing file may be replaced.

    Raises:
        NncodecError: the file exists when the block ends, and `force` is false.
        OSError: it cannot be written.
    """
    if _is_stream(_mode(path)):
        with open(path, "wb") as stream:
            yield stream
        return
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".nncodec-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        publish(temporary, path, force=force)
    finally:
        with contextlib.suppress(OSError):  # it has its name, or was never made
            os.unlink(temporary)


def publish(temporary: str, path: str, *, force: bool) -> None:
    """Gives a file that is whole, and on the disk, the name of an output.

    Args:
        temporary: its path, on the same disk as the other; there may be something left of it.
        path: of the output; symbolic links are followed.
        force: whether an existing file may be replaced.

    Raises:
        NncodecError: the output exists, and `force` is false.
        OSError: it cannot be renamed.
    """
    target = os.path.realpath(path)
    if force:
        os.replace(temporary, target)
    else:
        _link_to_new(temporary, target, file_label(path))
    _folder_to_disk(os.path.dirname(target))


@contextlib.contextmanager
def _buffered(stream: BinaryIO) -> Iterator[BinaryIO]:
    """Writes all, where an unbuffered stream (python -u, PYTHONUNBUFFERED) may write a part."""
    if not isinstance(stream, io.RawIOBase):
        yield stream
        stream.flush()
        return
    buffered = io.BufferedWriter(stream)
    try:
        yield buffered
        buffered.flush()
    finally:
        # Not closed with the buffer; what is left of it was refused, and would be again.
        with contextlib.suppress(OSError):
            buffered.detach()


def _folder_to_disk(folder: str) -> None:
    """Keeps the new name through a loss of power, where the disk can be told so.

    Where it cannot, the file is there nevertheless, and whole: its bytes are on the disk.
    """
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _link_to_new(temporary: str, target: str, label: str) -> None:
    """Gives a file its name, but never that of another one, even if that appears at this moment."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise _exists(label) from None
    except OSError:  # a file system without hard links: reserve the name, then replace
        try:
            with open(target, "xb"):
                pass
        except FileExistsError:
            raise _exists(label) from None
        try:
            os.replace(temporary, target)
        except BaseException:
            os.unlink(target)
            raise


def _exists(label: str) -> NncodecError:
    return NncodecError(f"{label}: {_REASONS[errno.EEXIST]}")


def _mode(name: str) -> int:
    """Gives the mode of what has this name, through symbolic links; 0 where there is nothing."""
    try:
        return os.stat(name).st_mode
    except (OSError, ValueError):
        return 0


def _is_stream(mode: int) -> bool:
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)
