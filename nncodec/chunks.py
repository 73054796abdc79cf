"""Chunks of arrays <-> containers, for the stores of zarr.py and numcodecs.py."""

from __future__ import annotations

import functools
import io
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec.api import decode, encode
from nncodec.coding.segments import SEGMENT_BITS
from nncodec.errors import BitstreamError, CodesError, ModelError
from nncodec.files.model_choice import AUTO, STANDARD
from nncodec.files.model_files import ADAPTIVE, FOLDERS_VARIABLE, find_model, load_model
from nncodec.format.axes import CANONICAL
from nncodec.format.header import MODEL_ID_BYTES, Header, read_header
from nncodec.model.model import Model

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ChunkCoding:
    """How chunks of an array are coded: each becomes a container, one thread at a time.

    Attributes:
        axes, model, bits, bit_order, layer_depth, sequence, effort: as for `nncodec.encode`; a
            model by its name, its id, or its path, so that JSON can hold it.
    """

    axes: str = CANONICAL
    model: str = AUTO
    bits: int | None = None
    bit_order: str = AUTO
    layer_depth: int | None = None
    sequence: bool | None = None
    effort: str = STANDARD

    def configuration(self) -> dict[str, Any]:
        """What is not as by default, as JSON has it."""
        plain = {field.name: field.default for field in fields(ChunkCoding)}
        given = {name: value for name, value in asdict(self).items() if value != plain[name]}
        return {"axes": self.axes, **given}

    def encode_chunk(self, chunk: Array) -> bytes:
        """Makes a chunk a container.

        Raises:
            CodesError: it has other axes, or more than two values.
            ModelError: there is no such model, or it does not fit.
        """
        model: Any = self.model
        if model not in (AUTO, ADAPTIVE):
            model = _loaded(model, os.environ.get(FOLDERS_VARIABLE, ""))
        try:
            return encode(chunk, model, **self._reading(), effort=self.effort, threads=1)
        except CodesError as error:
            if len(np.unique(chunk)) < 3 or self.bits:
                raise
            # What is beside the array's end, or was never written, is filled.
            raise CodesError(f"{error}; the fill_value has to be one of the two, too") from error

    def decode_chunk(self, data: bytes, shape: Sequence[int], layers: int | None = None) -> Array:
        """Makes a container a chunk again, or its first layers.

        Args:
            data: the container, or as much of it as holds these layers.
            shape: of the chunk, which is larger than what comes back if `layers` are fewer.
            layers: how many to decode; all by default.

        Raises:
            BitstreamError: it is damaged, no container, a newer one, or one of another shape.
            ModelError: its model is not found.
        """
        header = read_header(io.BytesIO(data))
        size = math.prod(shape) * (self.bits or 1)
        if header.bits != size:
            raise BitstreamError(
                f"it holds {header.bits} bits, the chunk {size}; the chunk was replaced by another "
                "array's, or the array's metadata was changed; get another copy of it"
            )
        if layers is not None and layers >= header.layers:
            layers = None
        return self.decode_any(data, layers)

    def decode_any(self, data: bytes, layers: int | None = None) -> Array:
        """Makes a container of any shape an array; arguments and errors as for `decode_chunk`."""
        header, model = read_header(io.BytesIO(data)), None
        if header.model_id and not header.embedded_bytes:
            model = _named(header.model_id, os.environ.get(FOLDERS_VARIABLE, ""))
        decoded: Array = decode(data, like="array", layers=layers, model=model, threads=1)
        return decoded

    def layers_of(self, selection: Sequence[Any], shape: Sequence[int]) -> int | None:
        """Says how many first layers have all of a selection of a chunk; None for all."""
        axis, depth = self._layer_axis()
        if axis < 0 or axis >= len(selection):
            return None
        end = _end_of(selection[axis], shape[axis])
        return None if end is None or end >= shape[axis] else max(1, -(-end // depth))

    def first_bytes(self, shape: Sequence[int]) -> int:
        """Guesses how many bytes hold the header of a chunk: rather too few than too many."""
        axis, depth = self._layer_axis()
        layers = 1 if axis < 0 else -(-shape[axis] // depth)
        bits = max(1, math.prod(shape) * (self.bits or 1) // layers)
        segments = -(-layers // -(-SEGMENT_BITS // bits))
        named = MODEL_ID_BYTES if self.model != ADAPTIVE else 0
        return 22 + named + 7 * segments

    def _layer_axis(self) -> tuple[int, int]:
        """The axis that has the layers, and how much of it a layer takes; -1 for none."""
        axis = self.axes.find("l")
        if axis < 0 and self.layer_depth and not self.bits:
            return self.axes.find("c"), self.layer_depth
        return axis, 1

    def _reading(self) -> dict[str, Any]:
        names = ("axes", "bits", "bit_order", "layer_depth", "sequence")
        return {name: getattr(self, name) for name in names}


def prefix_bytes(data: bytes, layers: int) -> int:
    """Says how many bytes of a container its first layers take.

    Args:
        data: the first bytes of a container.
        layers: how many layers.

    Raises:
        TruncatedError: the header is longer.
        BitstreamError: it is damaged, or no container.
    """
    stream = io.BytesIO(data)
    header: Header = read_header(stream)
    size = end = stream.tell() + header.embedded_bytes
    for segment, covered in zip(header.segments, header.segment_layers(), strict=True):
        size += segment.byte_length
        if covered.start < layers:
            end = size
    return end


def _end_of(selected: Any, size: int) -> int | None:
    """The end of what is selected of an axis; None where it cannot be said."""
    if isinstance(selected, slice):
        places = range(size)[selected]
        return max(places, default=0) + 1
    if isinstance(selected, int | np.integer):
        return int(selected) + 1
    if isinstance(selected, np.ndarray) and selected.dtype.kind in "iu":
        return int(selected.max(initial=0)) + 1
    return None


@functools.lru_cache(maxsize=16)
def _loaded(name: str, folders: str) -> Model:
    """Reads a model once for many chunks; `folders` are those where it is looked for."""
    return load_model(name)


@functools.lru_cache(maxsize=16)
def _named(model_id: bytes, folders: str) -> Model:
    """Finds the model of a container once for many chunks."""
    try:
        return find_model(model_id)
    except ModelError as error:
        raise ModelError(
            f"it needs model {model_id.hex()}, which is not found; put its file into a folder that "
            f"{FOLDERS_VARIABLE} names, or call nncodec.zarr.use_models if the store has it"
        ) from error
