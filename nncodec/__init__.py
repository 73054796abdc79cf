"""Lossless compression of the binary codes that neural image encoders write.

data = nncodec.encode(codes)        # [layers, batch, height, width, layer_depth], {0, 1}
codes = nncodec.decode(data)        # bit for bit; layers=k for the first k
header = nncodec.read_header(data)
model = nncodec.load_model(path)    # encode(codes, model=model)
file = nncodec.read_code_file(path) # .codes, and .source for write_code_file(path, codes, source)
"""

from importlib.metadata import version

from nncodec.api import decode, encode, read_header
from nncodec.errors import (
    BitstreamError,
    CodesError,
    ModelError,
    NncodecError,
    TruncatedError,
    UnsupportedError,
)
from nncodec.files.code_files import CodeFile, read_code_file, write_code_file
from nncodec.files.model_files import load_model
from nncodec.format.header import Header
from nncodec.model.model import Model

__version__ = version("nncodec")

__all__ = [
    "BitstreamError",
    "CodeFile",
    "CodesError",
    "Header",
    "Model",
    "ModelError",
    "NncodecError",
    "TruncatedError",
    "UnsupportedError",
    "decode",
    "encode",
    "load_model",
    "read_code_file",
    "read_header",
    "write_code_file",
]
