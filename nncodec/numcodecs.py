"""Codes in arrays of zarr 2, and of whatever else takes codecs of numcodecs.

zarr.create_array(store, shape=(1000, 8, 24, 32, 32), chunks=(1, 8, 24, 32, 32), dtype="uint8",
                  zarr_format=2, compressors=nncodec.numcodecs.Codes(axes="nlhwc"), filters=None)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nncodec.chunks import ChunkCoding

try:
    from numcodecs.abc import Codec
    from numcodecs.compat import ensure_bytes, ensure_ndarray_like, ndarray_copy
    from numcodecs.registry import register_codec
except ImportError as error:
    line = "nncodec.numcodecs needs numcodecs, which is not installed; run: pip install numcodecs"
    raise ImportError(line) from error


class Codes(Codec):  # type: ignore[misc]  # numcodecs has no types
    """The codec: arrays of codes, or of tokens, to containers.

    Example:
        >>> import numpy as np
        >>> codes = np.eye(8, dtype="uint8").reshape(1, 8, 8)
        >>> codec = Codes(axes="chw")
        >>> bool((codec.decode(codec.encode(codes)) == codes).all())
        True
    """

    codec_id = "nncodec.codes"

    def __init__(self, **configuration: Any) -> None:
        """Prepares; arguments as those of `nncodec.zarr.Codes`."""
        self._coding = ChunkCoding(**configuration)

    def encode(self, buf: Any) -> bytes:
        """Makes an array, of the axes that were named, a container."""
        return self._coding.encode_chunk(np.asarray(ensure_ndarray_like(buf)))

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Makes a container an array again, of the shape and dtype that it had."""
        return ndarray_copy(self._coding.decode_any(ensure_bytes(buf)), out)

    def get_config(self) -> dict[str, Any]:
        """Gives what `numcodecs.get_codec` makes the codec of, as JSON has it."""
        return {"id": self.codec_id, **self._coding.configuration()}

    def __repr__(self) -> str:
        given = ", ".join(f"{key}={value!r}" for key, value in self._coding.configuration().items())
        return f"Codes({given})"


register_codec(Codes)
