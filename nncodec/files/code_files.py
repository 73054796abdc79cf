"""Code files <-> code tensors.

A code file is a `.npz` with `codes` (packed bits) and `shape`, or a `.npy`, `.npz` or
`.safetensors` with arrays of two values or of tokens; which it is shows in its content, not in its
name. `read_code_file` gives the codes and a `Source`, from which `write_code_file` makes the same
arrays again. How arrays lie in files is the business of `array_files` and `tensor_files`, which of
them are codes that of `code_choice`. FORMAT.md says in section 4 what a `Source` means.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from nncodec.errors import CodesError
from nncodec.files.array_files import Array, npy_bytes, read_bytes, write_bytes, zip_bytes
from nncodec.files.axis_orders import AUTO, Reading
from nncodec.files.code_arrays import CodeArray, array_of, check_codes
from nncodec.files.code_choice import Taking, take_codes
from nncodec.files.coverage_arrays import CoverageName, coverage_arrays
from nncodec.files.extras import unpack_extras
from nncodec.files.streams import file_label
from nncodec.files.tensor_files import file_bytes, read_tensors, tensor_of
from nncodec.format.axes import array_shape
from nncodec.format.code_tensor import (
    Codes,
    Coverage,
    covered,
    mark_absent,
    pack_bits,
    validate_codes,
)
from nncodec.format.fields import DAMAGED
from nncodec.format.limits import MAX_BITS
from nncodec.format.source import ArraySource, Source

Names = str | Sequence[str] | None

MOST_NOTES = 5
"""Of more arrays of a file, there is no note for each."""


@dataclass(frozen=True, eq=False)
class CodeFile:
    """The content of a code file.

    Attributes:
        pictures: a code tensor for each of its code arrays, in the order of the source: uint8
            {0, 1}, C-contiguous, [layers, batch, height, width, layer_depth].
        source: how to make the same file content again.
        notes: what a user may have to know of how it was read.
        coverage: of a file with one code array: whole numbers [batch, height, width], how many of
            the layers each position has; None if the file does not say. Bits beyond are 0.
    """

    pictures: tuple[Codes, ...]
    source: Source
    notes: tuple[str, ...] = ()
    coverage: Coverage | None = None

    @property
    def codes(self) -> Codes:
        """The code tensor of a file that has one.

        Raises:
            CodesError: it has several.
        """
        if len(self.pictures) > 1:
            names = ", ".join(repr(array.array_names[0]) for array in self.source.arrays)
            raise CodesError(
                f"the file has {len(self.pictures)} code arrays, {names}; name one of them by "
                "--array"
            )
        return self.pictures[0]

    @property
    def marked(self) -> Codes:
        """The code tensor, ABSENT where there are no codes (code_tensor.py); errors as of codes."""
        return mark_absent(self.codes, self.coverage)

    @property
    def marked_pictures(self) -> tuple[Codes, ...]:
        """The same of all pictures."""
        return self.pictures if self.coverage is None else (self.marked,)

    @property
    def sequence(self) -> bool | None:
        """Whether the axes say that pictures are frames; None where they do not."""
        return True if all("t" in array.axes for array in self.source.arrays) else None


def read_code_file(
    file: str | os.PathLike[str] | BinaryIO,
    *,
    axes: str = AUTO,
    layer_depth: int | None = None,
    bits: int | None = None,
    bit_order: str = AUTO,
    array: Names = None,
    shape_array: Names = None,
    layers: int | None = None,
    coverage: CoverageName = None,
    max_bits: int = MAX_BITS,
) -> CodeFile:
    """Reads a code file.

    Args:
        file: path, or binary stream, which need not be seekable.
        axes: a letter for each axis of the arrays, in their order: l layer, n picture, t frame of a
            sequence, h, w, c bits of a position, as in "lnchw"; axes without a letter have size 1.
            Of several, with commas between them, those of as many axes as an array has are taken,
            the order in which the codes are cheaper. "auto": "hwc,chw,nhwc,nchw,lnhwc,lnchw".
        layer_depth: cuts c, where there is no l, into layers of so many bits; the whole depth is
            one layer otherwise. With l it must be what the array says.
        bits: the arrays are tokens, whole numbers of so many bits; these are c.
        bit_order: which bit of a token is channel 0: "msb", the highest; "lsb", the lowest; "auto",
            what is cheaper. Of packed codes, which bit of a byte comes first, by default "msb", as
            numpy.packbits packs.
        array: the name of the code array in a .npz or .safetensors, or names of several; by default
            `codes` with its `shape`, or else those that can be codes.
        shape_array: the name of the array with the shape before packing, one for each array.
        layers: how many layers to give, from the first; all by default.
        coverage: the name of an array of a .npz that says how many layers each position has, from
            the first: whole numbers, batch x height x width of the code tensor, or without those of
            size 1. By default it is "coverage", if there is such an array beside others; False says
            that there is none, whatever the arrays are called.
        max_bits: the most code bits to read, of all arrays; more are refused before memory is taken
            for them, or, of several arrays, for the next.

    Returns:
        The codes, and how to write the same file again.

    Raises:
        CodesError: the file cannot be read, is damaged, or cannot be taken as codes, or has fewer
            layers.
    """
    reading = Reading(axes, layer_depth, bits, bit_order)
    taking = Taking(reading, _names(array), _names(shape_array), max_bits, coverage)
    data = read_bytes(file, max_bits)
    try:
        taken, extras = take_codes(data, taking)
        if reading.axes == AUTO and not _alike(taken):
            taken, extras = _as_the_largest(data, taking, taken, extras)
        pictures = tuple(_first_layers(one, layers) for one in taken)
        source = Source(tuple(one.source for one in taken), extras)
    except CodesError as error:
        raise CodesError(f"{file_label(file)}: {error}") from error.__cause__
    cover = taken[0].coverage
    if cover is not None and layers is not None:
        cover = np.minimum(cover, np.uint16(layers))
    return CodeFile(pictures, source, _notes(taken), cover)


def _notes(taken: Sequence[CodeArray]) -> tuple[str, ...]:
    """What is said of how arrays were read; of many, what is said of the first, and how many."""
    notes = [one.note for one in taken if one.note]
    if len(notes) <= MOST_NOTES:
        return tuple(notes)
    return (f"{notes[0]} (and {len(notes) - 1} arrays more have such a note)",)


def _alike(taken: Sequence[CodeArray]) -> bool:
    """Whether arrays have the same layers and bits of a position, as in a container they must."""
    return len({(len(one.codes), one.codes.shape[4]) for one in taken}) == 1


def _as_the_largest(
    data: bytes, taking: Taking, taken: list[CodeArray], extras: bytes
) -> tuple[list[CodeArray], bytes]:
    """Takes arrays that seem to differ once more, in the axes of the largest, which says most."""
    axes = max(taken, key=lambda one: one.codes.size).source.array_axes
    with contextlib.suppress(CodesError):
        again = take_codes(data, replace(taking, reading=replace(taking.reading, axes=axes)))
        if _alike(again[0]):
            return again
    return taken, extras


def _first_layers(taken: CodeArray, layers: int | None) -> Codes:
    if layers is not None and not 1 <= layers <= len(taken.codes):
        raise CodesError(f"layers {layers}: the file has {len(taken.codes)}; ask for some of them")
    name = taken.source.name
    check_codes(taken.codes[:layers], taken.source, f"array {name!r}" if name else "the array")
    return taken.codes[:layers]


def write_code_file(
    file: str | os.PathLike[str] | BinaryIO,
    codes: npt.ArrayLike | Sequence[Codes],
    source: Source,
    coverage: npt.ArrayLike | None = None,
) -> None:
    """Writes codes as the arrays that `source` describes.

    Args:
        file: path, or binary stream. An existing file is replaced, whole or not at all.
        codes: {0, 1}, [layers, batch, height, width, layer_depth], or a list of these, one for each
            array of the source; the first layers of the original give the original's arrays,
            shorter in the axis that holds the layers.
        source: what `read_code_file` said of the original.
        coverage: whole numbers [batch, height, width], how many layers each position has. It
            is written, and needed, if the original had one.

    Raises:
        CodesError: the codes are none, do not fit the source, or cannot be written.
    """
    several = isinstance(codes, (list, tuple))
    tensors = list(codes) if several else [codes]  # type: ignore[arg-type]
    if len(tensors) != len(source.arrays):
        raise CodesError(f"{len(tensors)} code tensors are not the {len(source.arrays)} of a file")
    arrays = [validate_codes(tensor) for tensor in tensors]
    write_bytes(file, _file_bytes(arrays, source, coverage))


def write_marked(
    file: str | os.PathLike[str] | BinaryIO, tensors: Sequence[Codes], source: Source
) -> None:
    """Writes code tensors, ABSENT where there are no codes; otherwise as `write_code_file`."""
    pairs = [covered(tensor) for tensor in tensors]
    write_code_file(file, [codes for codes, _ in pairs], source, pairs[0].coverage)


def _file_bytes(tensors: Sequence[Codes], source: Source, coverage: npt.ArrayLike | None) -> bytes:
    if source.first.format in ("npy", "tensor"):
        return npy_bytes(array_of(tensors[0], source.first))
    others = unpack_extras(source.extras)
    used = {name for one in source.arrays for name in one.used_names}
    if used & set(others) or (source.first.format == "safetensors" and set(others) - {""}):
        raise CodesError(f"the arrays beside the codes have other names than theirs; {DAMAGED}")
    if source.first.format == "safetensors":
        rest = read_tensors(others[""]) if others else None
        tensors_ = {
            one.name: tensor_of(array_of(codes, one), one.dtype)
            for codes, one in zip(tensors, source.arrays, strict=True)
        }
        metadata = rest.metadata if rest else {}
        if rest and used & set(rest.tensors):
            raise CodesError(f"a tensor beside the codes has the name of one; {DAMAGED}")
        return file_bytes({**tensors_, **(rest.tensors if rest else {})}, metadata)
    members: dict[str, bytes] = {}
    for codes, one in zip(tensors, source.arrays, strict=True):
        arrays = dict(zip(one.array_names, _npz_arrays(codes, one), strict=True))
        members |= {name: npy_bytes(array) for name, array in reversed(arrays.items())}
        beside = coverage_arrays(codes, one, coverage)
        members |= {name: npy_bytes(array) for name, array in beside.items()}
    return zip_bytes({**members, **others})


def _npz_arrays(codes: Codes, source: ArraySource) -> list[Array]:
    """Gives the arrays of a `.npz` that hold codes, in the order of their names in the source."""
    array = array_of(codes, source)
    if source.format == "npz":
        return [array]
    sizes = array_shape(source.array_axes, codes.shape, source.frames)
    dtype = source.shape_dtype or source.dtype
    if max(sizes) > np.iinfo(dtype).max:
        raise CodesError(f"shape {sizes} does not fit its dtype {dtype}")
    shape = np.array(sizes, dtype=dtype)
    if source.format == "flat":
        return [array.reshape(-1), shape]
    if source.values == "lsb":
        return [np.packbits(array, axis=None, bitorder="little"), shape]
    return [np.frombuffer(pack_bits(array), dtype=np.uint8), shape]


def _names(names: Names) -> tuple[str, ...]:
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)
