"""Files that URLs name: read as far as they are asked for, and written whole.

fsspec and the package that it needs for the protocol are imported where they are used.
"""

import errno
import io
import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, BinaryIO, TypeVar, cast

from nncodec.errors import NncodecError

_BUFFER_BYTES = 1 << 10
"""A header takes some small reads; of a file on a network each would be a request."""

Result = TypeVar("Result")


def is_url(name: object) -> bool:
    """Whether a name is a URL, as `s3://bucket/codes.nnb`, and no path."""
    return isinstance(name, str) and "://" in name


def open_url(url: str) -> BinaryIO:
    """Opens a URL so that as little as possible is fetched beyond what is read.

    Raises:
        OSError, NncodecError: it cannot be opened.
    """

    def open_(system: Any, path: str) -> BinaryIO:
        import fsspec

        stream = system.open(path, "rb", cache_type="none")
        if isinstance(stream, fsspec.spec.AbstractBufferedFile):
            stream = io.BufferedReader(stream, _BUFFER_BYTES)
        return cast(BinaryIO, stream)

    return _asked(url, open_)


def url_exists(url: str) -> bool:
    """Whether there is a file; errors as for `open_url`."""
    return _asked(url, lambda system, path: bool(system.exists(path)))


def write_url(url: str, data: bytes, *, force: bool) -> None:
    """Writes a file, in one request or as whole as the protocol can.

    Args:
        url: its name.
        data: its bytes.
        force: whether an existing file may be replaced.

    Raises:
        FileExistsError: it exists, and `force` is false.
        OSError, NncodecError: it cannot be written.
    """
    mode = "overwrite" if force else "create"
    _asked(url, lambda system, path: system.pipe_file(path, data, mode=mode))


def _asked(url: str, question: Callable[[Any, str], Result]) -> Result:
    """Asks the file system of a URL something."""
    if find_spec("fsspec") is None:
        raise NncodecError("a URL needs fsspec, which is not installed; run: pip install fsspec")
    import fsspec

    if url.startswith(("file:", "local:")):
        raise NncodecError(f"is on this machine; give its path, {os.path.sep}...")
    try:
        return question(*fsspec.core.url_to_fs(url))
    except FileNotFoundError as error:  # some have no number
        raise FileNotFoundError(errno.ENOENT, "no such file") from error
    except FileExistsError as error:
        raise FileExistsError(errno.EEXIST, "exists already") from error
    except (OSError, NncodecError):
        raise
    except ImportError as error:  # it says which package the protocol needs
        raise NncodecError(f"{error}; install that package") from error
    except Exception as error:  # of whichever package speaks the protocol
        first, *_ = [*str(error).splitlines(), type(error).__name__]
        raise NncodecError(f"{first}; check the URL, and who may use it") from error
