"""Code files <-> code tensors.

A code file is a `.npz` with `codes` (packed bits) and `shape`, or a `.npy` or `.npz` that holds one
unpacked array; which it is shows in its content, not in its name. `read_code_file` gives the
canonical codes and a `Source`, from which `write_code_file` makes the same arrays again. How arrays
lie in files is the business of `array_files`. FORMAT.md says in section 4 what a `Source` means.
"""

import operator
import os
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nncodec.errors import CodesError
from nncodec.files.array_files import (
    list_names,
    npy_bytes,
    npz_bytes,
    read_bytes,
    read_npy,
    read_npz_array,
    read_npz_names,
    write_bytes,
)
from nncodec.files.layouts import choose_layout, from_canonical, to_canonical
from nncodec.files.streams import file_label
from nncodec.format.code_tensor import Codes, pack_bits, require_values, unpack_bits, validate_codes
from nncodec.format.header import MAGIC
from nncodec.format.limits import MAX_BITS, MAX_NAME_BYTES
from nncodec.format.source import LAYOUTS, NPY_MAGIC, ZIP_MAGICS, Source, name_fits


@dataclass(frozen=True, eq=False)
class CodeFile:
    """The content of a code file.

    Attributes:
        codes: uint8 {0, 1}, C-contiguous, [layers, batch, height, width, layer_depth].
        source: how to make the same file content again.
    """

    codes: Codes
    source: Source


def read_code_file(
    file: str | os.PathLike[str] | BinaryIO,
    *,
    layout: str = "auto",
    layer_depth: int | None = None,
    layers: int | None = None,
    max_bits: int = MAX_BITS,
) -> CodeFile:
    """Reads a code file.

    Args:
        file: path, or binary stream, which need not be seekable.
        layout: "nhwc", "nchw", or "auto": the one under which the codes are cheaper.
        layer_depth: cuts the depth axis of arrays with 3 or 4 axes into layers of so many bits; the
            whole depth is one layer otherwise. With 5 axes it must be what the array says.
        layers: how many layers to give, from the first; all by default.
        max_bits: the most code bits to read; more are refused before memory is taken for them.

    Returns:
        The canonical codes and how to write the same file again.

    Raises:
        CodesError: the file cannot be read, is damaged, or cannot be taken as codes, or has fewer
            layers.
    """
    if layout not in ("auto", *LAYOUTS):
        raise CodesError(f"unknown layout {layout!r}; choose auto, {' or '.join(LAYOUTS)}")
    if layer_depth is not None and operator.index(layer_depth) < 1:
        raise CodesError(f"layer_depth {layer_depth} is not positive; give the bits of a layer")
    data = read_bytes(file, max_bits)
    try:
        array, source = _parse(data, max_bits)
        if layout == "auto":
            layout = choose_layout(array, layer_depth)
        codes = to_canonical(array, layout, layer_depth)
    except CodesError as error:
        raise CodesError(f"{file_label(file)}: {error}") from error.__cause__
    if layers is not None and not 1 <= layers <= len(codes):
        raise CodesError(
            f"{file_label(file)}: layers {layers}: the file has {len(codes)}; ask for some of them"
        )
    return CodeFile(codes[:layers], Source(layout=layout, **source))


def write_code_file(
    file: str | os.PathLike[str] | BinaryIO, codes: npt.ArrayLike, source: Source
) -> None:
    """Writes codes as the arrays that `source` describes.

    Args:
        file: path, or binary stream. An existing file is replaced, whole or not at all.
        codes: {0, 1}, [layers, batch, height, width, layer_depth]; the first layers of the original
            give the original's arrays, shorter in the axis that holds the layers.
        source: what `read_code_file` said of the original.

    Raises:
        CodesError: the codes are none, do not fit the source, or cannot be written.
    """
    codes = validate_codes(codes)
    if source.axes == 3 and codes.shape[1] != 1:
        raise CodesError(f"an array of 3 axes has no room for a batch of {codes.shape[1]} images")
    array = from_canonical(codes, source.layout, source.axes)
    if source.format == "packed":
        if max(array.shape) > np.iinfo(source.dtype).max:
            raise CodesError(f"shape {array.shape} does not fit its dtype {source.dtype}")
        shape = np.array(array.shape, dtype=source.dtype)
        packed = np.frombuffer(pack_bits(array), dtype=np.uint8)
        data = npz_bytes({"shape": shape, "codes": packed})  # as encoders do
    else:
        values = array.astype(np.int8) * 2 - 1 if source.signed else array
        values = values.astype(source.dtype)
        data = npz_bytes({source.name: values}) if source.format == "npz" else npy_bytes(values)
    write_bytes(file, data)


def _parse(data: bytes, max_bits: int) -> tuple[Codes, dict[str, Any]]:
    """Parses a code file: its codes in its own order, and its `Source`'s fields but the layout."""
    if data.startswith(NPY_MAGIC):
        array = read_npy(data, (3, 4, 5), "the array", max_bits)
        values, signed = _binary_values(array, "the array")
        fields = {"format": "npy", "dtype": array.dtype.str, "signed": signed}
    elif data.startswith(ZIP_MAGICS):
        values, fields = _parse_npz(data, max_bits)
    elif not data:
        raise CodesError("the file is empty; give a .npy or .npz file of codes")
    elif data.startswith(MAGIC):
        raise CodesError("the file is a container, not a code file; use nncodec decompress on it")
    else:
        raise CodesError("neither a .npy nor a .npz file; save codes with numpy.save or savez")
    return values, {**fields, "axes": values.ndim}


def _parse_npz(data: bytes, max_bits: int) -> tuple[Codes, dict[str, Any]]:
    names = read_npz_names(data)
    if sorted(names) == ["codes", "shape"]:
        shape = read_npz_array(data, "shape", (1,), "packed array 'shape'")
        codes = read_npz_array(data, "codes", (1,), "packed array 'codes'", max_bits)
        return _unpack(codes, shape, max_bits), {"format": "packed", "dtype": shape.dtype.str}
    if len(names) != 1:
        raise CodesError(
            f"the .npz holds {list_names(names) or 'no arrays'}; "
            "it must hold 'codes' and 'shape', or one unpacked array"
        )
    name = names[0]
    if not name_fits(name):
        raise CodesError(f"an array's name is above {MAX_NAME_BYTES} bytes; give it a shorter")
    array = read_npz_array(data, name, (3, 4, 5), f"array {name!r}", max_bits)
    values, signed = _binary_values(array, f"array {name!r}")
    return values, {"format": "npz", "dtype": array.dtype.str, "signed": signed, "name": name}


def _unpack(codes: npt.NDArray[Any], shape: npt.NDArray[Any], max_bits: int) -> Codes:
    if shape.dtype.kind not in "iu" or shape.size not in (3, 4, 5):
        raise CodesError(
            f"packed array 'shape' holds {shape.size} values of dtype {shape.dtype.name}; "
            "it must hold 3, 4 or 5 integers"
        )
    if codes.dtype != np.uint8:
        raise CodesError(f"packed array 'codes' has dtype {codes.dtype.name}; pack bits into uint8")
    return unpack_bits(codes, shape.tolist(), max_bits)


def _binary_values(array: npt.NDArray[Any], what: str) -> tuple[Codes, bool]:
    """Gives the bits of an array over {0, 1} or {-1, +1}, and whether it is the latter."""
    # A damaged bool can hold any byte, and would not come back.
    values = array.view(np.uint8) if array.dtype.kind == "b" else array
    with np.errstate(invalid="ignore"):  # signalling NaN
        ones, zeros = values == 1, values == 0
        minus = values == -1 if values.dtype.kind in "if" else np.zeros_like(ones)
    domain = "must be 0 or 1, or every value -1 or +1"
    require_values(ones | zeros | minus, values, what, domain)
    if values.dtype.kind == "f":
        require_values(
            ~(zeros & np.signbit(values)), values, what, "must be 0.0 or 1.0; add 0.0 to it"
        )
    signed = bool(minus.any())
    if signed:
        require_values(~zeros, values, what + ", which holds -1 too", domain)
    return ones.view(np.uint8), signed
