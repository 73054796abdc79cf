"""Codes in arrays of zarr 3: a serializer, each of whose chunks is a container.

    zarr.create_array(store, shape=(1000, 8, 24, 32, 32), chunks=(1, 8, 24, 32, 32), dtype="uint8",
                      serializer=nncodec.zarr.Codes(axes="nlhwc"), compressors=None)

`array[:, :2]` fetches the first part of every chunk, which has the first two layers. zarr finds the
codec by itself where nncodec is installed. An array of zarr has all of its numbers: there is no
coverage, and where positions end early, the bits beyond are coded as any others.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nncodec.chunks import Array, ChunkCoding, prefix_bytes
from nncodec.errors import BitstreamError, NncodecError, TruncatedError
from nncodec.files.model_files import load_model, register_model, registered_model
from nncodec.files.streams import naming_errors
from nncodec.model.model import Model
from nncodec.model.packing import pack_embedded, unpack_embedded

try:
    from zarr.abc.codec import ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin
    from zarr.abc.store import RangeByteRequest
    from zarr.registry import register_codec
except ImportError as error:
    line = "nncodec.zarr needs zarr 3, which is not installed; run: pip install 'zarr>=3.1'"
    raise ImportError(line) from error

if TYPE_CHECKING:
    from typing import Self

    import zarr
    from zarr.abc.store import ByteGetter
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, BufferPrototype, NDBuffer
    from zarr.core.indexing import SelectorTuple

NAME = "nncodec.codes"
"""Of the codec, in the metadata of arrays."""

MODELS = "nncodec.models"
"""The attribute of an array or a group that carries models, in base64 by their ids."""


@dataclass(frozen=True)
class Codes(ChunkCoding, ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin):
    """The serializer: chunks of codes, or of tokens, to containers.

    Args:
        axes: a letter for each axis of the array, as in "nlhwc": l layer, n picture, t frame of a
            sequence, h row, w column, c bits of a position.
        model: "auto", for every chunk the cheapest that is found; "adaptive" for none; a name, an
            id, or a path. Whoever reads needs the same model: `carry_model` puts it into the store.
        bits, bit_order: the values are tokens, whole numbers of so many bits.
        layer_depth: cuts c, where there is no l, into layers of so many bits.
        sequence, effort: as for `nncodec.encode`.

    Example:
        >>> import numpy as np, zarr
        >>> array = zarr.create_array({}, shape=(4, 2, 8, 8, 16), chunks=(1, 2, 8, 8, 16),
        ...     dtype="uint8", serializer=Codes(axes="nlhwc"), compressors=None)
        >>> array[:2] = 1
        >>> int(array[:, :1].sum())
        2048
    """

    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Makes the codec of its metadata.

        Raises:
            NncodecError: they have what this version does not know.
        """
        configuration = data.get("configuration", {})
        unknown = set(configuration) - set(cls.__dataclass_fields__)
        if data.get("name") != NAME or unknown:
            what = ", ".join(sorted(unknown)) or data.get("name")
            raise NncodecError(f"the array's codec has the unknown {what}; upgrade nncodec")
        return cls(**configuration)

    def to_dict(self) -> dict[str, Any]:
        """Gives the metadata of the codec."""
        return {"name": NAME, "configuration": self.configuration()}

    def validate(self, *, shape: Any, dtype: Any, chunk_grid: Any) -> None:
        """Refuses arrays that this codec cannot have, when they are made.

        Raises:
            NncodecError: the array has other axes.
        """
        if len(shape) != len(self.axes):
            raise NncodecError(
                f"an array of shape {tuple(shape)} has no axes {self.axes!r}; give a letter of "
                "lnthwc for each"
            )

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Says nothing: it depends on the codes."""
        raise NotImplementedError

    def _encode_sync(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        data = self.encode_chunk(chunk_array.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(data)

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        return await asyncio.to_thread(self._encode_sync, chunk_array, chunk_spec)

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        with naming_errors("a chunk"):
            return self._decoded(chunk_bytes.to_bytes(), chunk_spec, None)

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(self._decode_sync, chunk_bytes, chunk_spec)

    async def _decode_partial_single(
        self, byte_getter: ByteGetter, selection: SelectorTuple, chunk_spec: ArraySpec
    ) -> NDBuffer | None:
        places = selection if isinstance(selection, tuple) else (selection,)
        with naming_errors(_label(byte_getter)):
            layers = self.layers_of(places, chunk_spec.shape)
            if layers is None:
                buffer = await byte_getter.get(chunk_spec.prototype)
                data = None if buffer is None else buffer.to_bytes()
            else:
                begin = self.first_bytes(chunk_spec.shape)
                data = await _fetch_prefix(byte_getter, chunk_spec.prototype, begin, layers)
            if data is None:
                return None
            chunk = await asyncio.to_thread(self._decoded, data, chunk_spec, layers)
            return chunk[selection]

    def _decoded(self, data: bytes, chunk_spec: ArraySpec, layers: int | None) -> NDBuffer:
        chunk: Array = self.decode_chunk(data, chunk_spec.shape, layers)
        dtype = chunk_spec.dtype.to_native_dtype()
        if chunk.dtype.newbyteorder("=") != dtype.newbyteorder("="):
            raise BitstreamError(
                f"it holds values of dtype {chunk.dtype}, not {dtype}; the array's metadata was "
                "changed, get another copy of it"
            )
        return chunk_spec.prototype.nd_buffer.from_numpy_array(chunk.astype(dtype, copy=False))

    def __getstate__(self) -> dict[str, Any]:
        """Takes a model along that a store carries: to a worker of Dask, say."""
        model = registered_model(self.model)
        return {**self.__dict__, "_carried": pack_embedded(model) if model else b""}

    def __setstate__(self, state: dict[str, Any]) -> None:
        carried = state.pop("_carried")
        if carried:
            register_model(unpack_embedded(carried))
        self.__dict__.update(state)


def carry_model(node: zarr.Group | zarr.Array[Any], model: str | Model) -> str:
    """Puts a model into the attributes of a group or an array, once for all of its chunks.

    Args:
        node: what is to carry it.
        model: its name, its path, or the model itself.

    Returns:
        Its id, which `Codes(model=...)` takes from now on in this process.
    """
    found = model if isinstance(model, Model) else load_model(model)
    register_model(found)
    name = found.model_id.hex()
    text = base64.b64encode(pack_embedded(found)).decode()
    carried: Any = node.attrs.get(MODELS, {})
    node.attrs[MODELS] = {**carried, name: text}
    return name


def use_models(node: zarr.Group | zarr.Array[Any]) -> list[str]:
    """Has the models that a group or an array carries be found from now on in this process.

    Returns:
        Their ids.

    Raises:
        ModelError: one of them is damaged.
    """
    carried: Any = node.attrs.get(MODELS, {})
    for name, text in carried.items():
        with naming_errors(f"model {name} in the attributes of {node.store_path}"):
            try:
                model = unpack_embedded(base64.b64decode(text, validate=True))
            except ValueError as error:
                raise NncodecError("is damaged; get another copy of the store") from error
            register_model(model)
    return list(carried)


async def _fetch_prefix(
    byte_getter: ByteGetter, prototype: BufferPrototype, begin: int, layers: int
) -> bytes | None:
    """Fetches as much of a chunk as has its first layers, in two requests mostly.

    Args:
        byte_getter: gets the chunk's bytes.
        prototype: of what it gets them in.
        begin: how many bytes probably hold the header.
        layers: how many layers.

    Returns:
        The first bytes; fewer where the chunk ends early; None where there is no chunk.
    """
    data, wanted, ended = b"", begin, False
    while len(data) < wanted and not ended:
        more = await byte_getter.get(prototype, RangeByteRequest(len(data), wanted))
        if more is None:
            return None
        data += more.to_bytes()
        ended = len(data) < wanted
        try:
            wanted = prefix_bytes(data, layers)
        except TruncatedError:
            wanted += max(16, wanted // 8)
    return data


def _label(byte_getter: ByteGetter) -> str:
    """Names a chunk by the place that it is read from; one in a shard has no name of its own."""
    if hasattr(byte_getter, "path"):
        return str(byte_getter)
    return "a chunk of a shard"


register_codec(NAME, Codes)
