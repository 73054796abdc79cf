"""Lossless compression of the binary codes that neural image encoders write.

data = nncodec.encode(codes)        # [layers, batch, height, width, layer_depth], {0, 1}
codes = nncodec.decode(data)        # bit for bit; layers=k for the first k
data = nncodec.encode_many(arrays)  # of different batch, height and width; decode_many gives them
data = nncodec.encode(codes, coverage=coverage)  # positions that end early; decode_covered
header = nncodec.read_header(data)
with nncodec.open(path) as f:       # or a URL, a stream: reads what is asked for
    for layer in f.layers(): ...    # while the rest decodes
model = nncodec.load_model(path)    # encode(codes, model=model)
file = nncodec.read_code_file(path) # .codes, .coverage, and .source, what the file was
nncodec.write_code_file(path, file.codes, file.source, coverage=file.coverage)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nncodec.api import decode, decode_covered, encode, read_header
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
    from nncodec.format.code_tensor import Covered
    from nncodec.format.header import Header
    from nncodec.lazy import LazyFile, open
    from nncodec.many import decode_many, decode_many_covered, encode_many
    from nncodec.model.model import Model

    __version__: str

__all__ = [
    "BitstreamError",
    "CodeFile",
    "CodesError",
    "Covered",
    "Header",
    "LazyFile",
    "Model",
    "ModelError",
    "NncodecError",
    "TruncatedError",
    "UnsupportedError",
    "decode",
    "decode_covered",
    "decode_many",
    "decode_many_covered",
    "encode",
    "encode_many",
    "load_model",
    "open",
    "read_code_file",
    "read_header",
    "write_code_file",
]

_MODULES = {
    "api": ("decode", "decode_covered", "encode", "read_header"),
    "many": ("decode_many", "decode_many_covered", "encode_many"),
    "errors": tuple(name for name in __all__ if name.endswith("Error")),
    "files.code_files": ("CodeFile", "read_code_file", "write_code_file"),
    "files.model_files": ("load_model",),
    "format.code_tensor": ("Covered",),
    "format.header": ("Header",),
    "lazy": ("LazyFile", "open"),
    "model.model": ("Model",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Imports what is asked for: the command line answers before numpy is there."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("nncodec")
    elif name in _HOME:
        value = getattr(import_module(f"nncodec.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module 'nncodec' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
