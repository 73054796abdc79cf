"""The first bytes of a container, and what a file is that begins otherwise."""

from nncodec.errors import BitstreamError, TruncatedError
from nncodec.format.fields import NO_WHOLE_LAYER
from nncodec.format.source import NPY_MAGIC, ZIP_MAGICS

MAGIC = b"\x8eNNC\r\n"


def check_magic(magic: bytes) -> None:
    """Refuses first bytes that are not MAGIC, and says what they are.

    Raises:
        BitstreamError: so it is; a `TruncatedError` where they are the beginning of it.
    """
    if magic == MAGIC:
        return
    if magic and MAGIC.startswith(magic):
        raise TruncatedError(NO_WHOLE_LAYER)
    if magic.startswith((NPY_MAGIC, *ZIP_MAGICS)):
        raise BitstreamError("the file is a code file, not a container; use nncodec compress on it")
    if magic[:5] in (MAGIC[:4] + b"\r", MAGIC[:4] + b"\n"):
        raise BitstreamError(
            "the file's line ends were changed as if it were text; get a copy in binary mode"
        )
    what = "no container" if magic else "empty"
    raise BitstreamError(f"the file is {what}; give a file that nncodec compress wrote")
