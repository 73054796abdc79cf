"""Models <-> bytes: model files, and models as they lie in containers.

A model file is a safetensors file (https://github.com/huggingface/safetensors) of arrays of
integers and five texts, which FORMAT.md specifies in section 5. Nothing in it is ever executed.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nncodec.errors import BitstreamError, ModelError
from nncodec.format.fields import inflate
from nncodec.format.limits import MAX_HEADER_BYTES, MAX_MODEL_BYTES
from nncodec.model.adaptive.start import Start
from nncodec.model.model import Model
from nncodec.model.network.integer_network import make_network

_VERSION = "1"
_TEXTS = ("nncodec", "network", "facts", "model_id")
_GET_A_COPY = "get another copy of it"


def pack_model(model: Model) -> bytes:
    """Packs a model into the bytes of a model file, the same for the same model and facts.

    FORMAT.md specifies them in section 5.

    Raises:
        ModelError: the facts are too long.
    """
    texts = {
        "nncodec": _VERSION,
        "network": model.network.text() if model.network else "",
        "facts": json.dumps(model.facts),
        "model_id": model.model_id.hex(),
    }
    data = save(model.arrays(), metadata={**texts, "checksum": checksum_of(texts)})
    # The texts are in any order there, another one every time.
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > MAX_HEADER_BYTES:
        raise ModelError(
            f"the facts of a model have less than {MAX_HEADER_BYTES} bytes; shorten them"
        )
    return len(header).to_bytes(8, "little") + header + data[end:]


def unpack_model(data: bytes) -> Model:
    """Undoes `pack_model`.

    Raises:
        ModelError: `data` is no model, a damaged one, or one of a newer version.
    """
    if len(data) > MAX_MODEL_BYTES:
        raise ModelError(f"a model file has at most {MAX_MODEL_BYTES} bytes; give another")
    if MAX_HEADER_BYTES < int.from_bytes(data[:8], "little") <= len(data):
        raise ModelError(f"a model's header has at most {MAX_HEADER_BYTES} bytes; give another")
    try:
        arrays = load(data)
        length = int.from_bytes(data[:8], "little")
        texts = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"damaged, or no model file; {_GET_A_COPY}") from error
    if not set(_TEXTS) <= set(texts):
        raise ModelError(
            "a safetensors file, but no model; give a model.safetensors of nncodec train"
        )
    if texts["nncodec"] != _VERSION:
        raise ModelError(f"a model file of version {texts['nncodec'][:20]!a}; upgrade nncodec")
    if texts.get("checksum") != checksum_of(texts):
        raise ModelError(f"the checksum of the model's texts is wrong; {_GET_A_COPY}")
    start, network = _build(Start, arrays, "start.", {}), None
    if texts["network"]:
        of_network = {
            name.removeprefix("network."): array
            for name, array in arrays.items()
            if name.startswith("network.")
        }
        network = make_network(_parse(texts["network"]), of_network)
        if network.text() != texts["network"]:
            raise ModelError(f"the text of the model's network has another form; {_GET_A_COPY}")
    model = Model(start, network, _parse(texts["facts"]))
    if set(arrays) != set(model.arrays()):
        raise ModelError(f"the model has arrays that belong to none; {_GET_A_COPY}")
    if model.model_id.hex() != texts["model_id"]:
        raise ModelError(f"the model's numbers are not those of its id; {_GET_A_COPY}")
    return model


def checksum_of(texts: Mapping[str, str]) -> str:
    """Computes what a model file says of its other texts in "checksum" (FORMAT.md, section 5)."""
    return f"{zlib.crc32(chr(0).join(texts[name] for name in _TEXTS).encode()):08x}"


def pack_embedded(model: Model) -> bytes:
    """Packs a model as it lies in a container (FORMAT.md, section 3)."""
    return zlib.compress(pack_model(model), 9)


def unpack_embedded(data: bytes) -> Model:
    """Undoes `pack_embedded`.

    Raises:
        BitstreamError: `data` is damaged.
    """
    unpacked = inflate(data, MAX_MODEL_BYTES, "the model in the file")
    try:
        return unpack_model(unpacked)
    except ModelError as error:
        raise BitstreamError(f"the model in the file: {error}") from error


def _parse(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the model's texts are no JSON; {_GET_A_COPY}") from error
    if not isinstance(parsed, dict):
        raise ModelError(f"the model's texts are no JSON objects; {_GET_A_COPY}")
    return parsed


def _build(
    kind: type[Any], arrays: Mapping[str, np.ndarray], prefix: str, sizes: Mapping[str, int]
) -> Any:
    fields = {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    try:
        return kind(**fields, **sizes)
    except TypeError as error:
        raise ModelError(
            f"the model's {prefix[:-1]} lacks arrays or sizes, or has others"
        ) from error
