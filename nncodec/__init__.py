"""Lossless compression of the binary codes that neural image encoders write.

data = nncodec.encode(codes)        # [layers, batch, height, width, layer_depth], {0, 1}
codes = nncodec.decode(data)        # bit for bit; layers=k for the first k
header = nncodec.read_header(data)
"""

from importlib.metadata import version

from nncodec.codec import decode, encode, read_header
from nncodec.container import Header
from nncodec.errors import (
    BitstreamError,
    CodesError,
    ModelError,
    NncodecError,
    TruncatedError,
    UnsupportedError,
)

__version__ = version("nncodec")

__all__ = [
    "BitstreamError",
    "CodesError",
    "Header",
    "ModelError",
    "NncodecError",
    "TruncatedError",
    "UnsupportedError",
    "decode",
    "encode",
    "read_header",
]
