"""Tensors <-> the bytes of `.safetensors`: nothing in them is executed, and bfloat16 is known."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors

from nncodec.errors import CodesError
from nncodec.files.values import array_dtype
from nncodec.format.limits import MAX_HEADER_BYTES

DTYPES = {
    **{"BOOL": "|b1", "I8": "|i1", "U8": "|u1", "I16": "<i2", "I32": "<i4", "I64": "<i8"},
    **{"U16": "<u2", "U32": "<u4", "U64": "<u8", "F16": "<f2", "F32": "<f4", "F64": "<f8"},
    "BF16": "bfloat16",
}
"""The dtypes of codes, as `format.source` writes them."""
_deserialize: Any = safetensors.deserialize  # has no types
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class TensorFile:
    """A `.safetensors` file.

    Attributes:
        tensors: of each its dtype, its shape and its bytes, by its name.
        metadata: texts.
    """

    tensors: dict[str, dict[str, Any]]
    metadata: dict[str, str]

    def array(self, name: str) -> tuple[npt.NDArray[Any], str]:
        """Gives a tensor as an array, and its dtype in `format.source`."""
        tensor = self.tensors[name]
        dtype = DTYPES[tensor["dtype"]]
        array = np.frombuffer(tensor["data"], dtype=array_dtype(dtype))
        return array.reshape(tensor["shape"]), dtype

    def without(self, names: set[str]) -> bytes:
        """Gives the bytes of a file of the other tensors; none where there is nothing."""
        rest = {name: tensor for name, tensor in self.tensors.items() if name not in names}
        return file_bytes(rest, self.metadata) if rest or self.metadata else b""


def is_tensor_file(data: bytes) -> bool:
    """Says whether a file begins as a `.safetensors`, which has no magic."""
    length = int.from_bytes(data[:8], "little")
    return len(data) > 9 and 2 <= length <= len(data) - 8 and data[8:9] == b"{"


def read_tensors(
    data: bytes, check: Callable[[str, tuple[int, ...]], None] | None = None
) -> TensorFile:
    """Reads a file; its header is checked before memory is taken for what it says.

    Args:
        data: the whole file.
        check: refuses a tensor by its name and shape.

    Raises:
        CodesError: it is damaged.
    """
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER_BYTES:
        raise CodesError(
            f"the .safetensors has a header of {length} bytes, above the limit of "
            f"{MAX_HEADER_BYTES}; put the codes into a file of their own"
        )
    try:
        header = json.loads(data[8 : 8 + length])
        metadata = dict(header.pop("__metadata__", None) or {})
        if check:
            for name, entry in header.items():
                check(name, tuple(map(int, entry["shape"])))
        tensors = {name: dict(tensor) for name, tensor in _deserialize(data)}
    except CodesError:
        raise
    except Exception as error:  # whatever it raises on damaged input
        raise CodesError("the .safetensors is damaged or truncated; get another copy") from error
    return TensorFile(tensors, metadata)


def tensor_of(array: npt.NDArray[Any], dtype: str) -> dict[str, Any]:
    """Gives what `file_bytes` takes for an array of a dtype of `format.source`."""
    data = np.ascontiguousarray(array).tobytes()
    return {"dtype": _NAMES[dtype], "shape": list(array.shape), "data": data}


def file_bytes(tensors: Mapping[str, dict[str, Any]], metadata: Mapping[str, str]) -> bytes:
    """Gives the bytes of a file; tensors are as in `TensorFile`.

    Written here, since how the library is asked for it differs by its version.
    """

    def order(name: str) -> tuple[int, str]:
        tensor = tensors[name]
        return -len(tensor["data"]) // max(1, math.prod(tensor["shape"])), name

    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    begin, names = 0, sorted(tensors, key=order)  # the longest values first: all are aligned
    for name in names:
        end = begin + len(tensors[name]["data"])
        entry = {"dtype": tensors[name]["dtype"], "shape": tensors[name]["shape"]}
        header[name] = {**entry, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = (bytes(tensors[name]["data"]) for name in names)
    return b"".join([len(text).to_bytes(8, "little"), text, *data])
