"""Models <-> files, and finding the model that a container names.

A model file is a safetensors file (https://github.com/huggingface/safetensors) of arrays of
integers and five texts, which FORMAT.md specifies. Nothing in it is ever executed.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nncodec.errors import ModelError
from nncodec.files.array_files import file_label
from nncodec.files.streams import open_output
from nncodec.model.adaptive.start import Start
from nncodec.model.model import Model
from nncodec.model.network.integer_network import IntegerNetwork

SUFFIX = ".safetensors"
FOLDERS_VARIABLE = "NNCODEC_MODELS"
"""Environment variable: folders to look for models in, separated as in PATH."""

MAX_MODEL_BYTES = 1 << 28
MAX_HEADER_BYTES = 1 << 20
"""Limit of what a model file says of its arrays and of itself, as JSON, which takes tens of times
as much memory when it is parsed."""

ADAPTIVE = "adaptive"
"""What no model is called: the adaptive stage alone."""

_VERSION = "1"
_TEXTS = ("nncodec", "network", "facts", "model_id")
_REMEDY = "get another copy of it"


@dataclass(frozen=True)
class FoundModel:
    """A model file that was found.

    Attributes:
        name: the file's, without its suffix.
        path: where it is.
    """

    name: str
    path: Path

    def claims(self) -> dict[str, Any]:
        """What the file says of itself: a quick look, to be confirmed by loading; {} if nothing.

        Returns:
            "model_id" in hexadecimal digits, "layers" and "channels".
        """
        try:
            if not self.path.is_file():  # a named pipe would keep waiting
                return {}
            with self.path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(min(length, MAX_HEADER_BYTES)))
            layers, channels = map(int, header["start.units"]["shape"][:2])
            model_id = str(header["__metadata__"]["model_id"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return {}
        return {"model_id": model_id, "layers": layers, "channels": channels}

    def load(self) -> Model:
        """Reads it; errors as for `load_model`."""
        return read_model(self.path)


def pack_model(model: Model) -> bytes:
    """Gives the bytes of a model file, the same for the same model and facts.

    Raises:
        ModelError: the facts are too long.
    """
    texts = {
        "nncodec": _VERSION,
        "network": json.dumps(model.network.sizes()) if model.network else "",
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
        raise ModelError(f"damaged, or no model file; {_REMEDY}") from error
    if not set(_TEXTS) <= set(texts):
        raise ModelError(
            "a safetensors file, but no model; give a model.safetensors of nncodec train"
        )
    if texts["nncodec"] != _VERSION:
        raise ModelError(f"a model file of version {texts['nncodec'][:20]!a}; upgrade nncodec")
    if texts.get("checksum") != checksum_of(texts):
        raise ModelError(f"the checksum of the model's texts is wrong; {_REMEDY}")
    model = Model(
        _build(Start, arrays, "start.", {}),
        _build(IntegerNetwork, arrays, "network.", _parse(texts["network"]))
        if texts["network"]
        else None,
        _parse(texts["facts"]),
    )
    if set(arrays) != set(model.arrays()):
        raise ModelError(f"the model has arrays that belong to none; {_REMEDY}")
    if model.model_id.hex() != texts["model_id"]:
        raise ModelError(f"the model's numbers are not those of its id; {_REMEDY}")
    return model


def save_model(model: Model, path: str | os.PathLike[str], *, force: bool = True) -> None:
    """Writes a model file, whole or not at all.

    Raises:
        NncodecError: it cannot be written, or exists and `force` is false.
    """
    with open_output(os.fspath(path), force=force) as file:
        file.write(pack_model(model))


def read_model(path: str | os.PathLike[str]) -> Model:
    """Reads a model file.

    Raises:
        ModelError: it cannot be read, is no model, a damaged one, or one of a newer version.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_MODEL_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        line = f"{file_label(path)}: {reason}; give a model file that can be read"
        raise ModelError(line) from error
    try:
        return unpack_model(data)
    except ModelError as error:
        raise ModelError(f"{file_label(path)}: {error}") from error


def list_models() -> list[FoundModel]:
    """The models that ship, then those in the folders of NNCODEC_MODELS, each folder by name.

    Raises:
        ModelError: a folder cannot be read.
    """
    return [found for folder in model_folders() for found in _models_in(folder)]


def model_folders() -> list[Path]:
    """Where models are looked for."""
    listed = os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)
    return [Path(__file__).with_name("pretrained"), *(Path(name) for name in listed if name)]


def load_model(name: str | os.PathLike[str]) -> Model:
    """Reads a model by the path of its file, or by the name under which `list_models` has it.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    text = os.fspath(name)
    if text.endswith(SUFFIX) or os.path.dirname(text):
        return read_model(text)
    found = [one for one in list_models() if one.name == text]
    if not found:
        raise ModelError(f"there is no model {text!r}; {_where()}, or give the path of a file")
    return found[0].load()


def find_model(model_id: bytes) -> Model:
    """Finds the model that a container names.

    Raises:
        ModelError: it is nowhere.
    """
    for found in _with_id(model_id):
        with contextlib.suppress(ModelError):  # damaged or replaced; there may be a copy
            model = found.load()
            if model.model_id == model_id:
                return model
    raise ModelError(f"the file needs model {model_id.hex()}; {_where()}; give it with --model")


def name_of_model(model_id: bytes) -> str:
    """What a model is called: ADAPTIVE for none, its id where it is not found."""
    if not model_id:
        return ADAPTIVE
    with contextlib.suppress(ModelError):  # a folder that cannot be read: no name, no harm
        return next((found.name for found in _with_id(model_id)), model_id.hex())
    return model_id.hex()


def _with_id(model_id: bytes) -> Iterator[FoundModel]:
    for found in list_models():
        if found.claims().get("model_id") == model_id.hex():
            yield found


def _models_in(folder: Path) -> Iterator[FoundModel]:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))
    except OSError as error:
        raise ModelError(
            f"{folder}: {error.strerror}; correct {FOLDERS_VARIABLE}, which names it"
        ) from error
    for name in names:
        yield FoundModel(name.removesuffix(SUFFIX), folder / name)


def _where() -> str:
    names = ", ".join(found.name for found in list_models()) or "none"
    folders = ", ".join(str(folder) for folder in model_folders())
    return f"found were {names} in {folders}"


def _parse(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the model's texts are no JSON; {_REMEDY}") from error
    if not isinstance(parsed, dict):
        raise ModelError(f"the model's texts are no JSON objects; {_REMEDY}")
    return parsed


def _build(
    kind: type[Any], arrays: Mapping[str, np.ndarray], prefix: str, sizes: Mapping[str, int]
) -> Any:
    own = {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    try:
        return kind(**own, **sizes)
    except TypeError as error:
        raise ModelError(
            f"the model's {prefix[:-1]} lacks arrays or sizes, or has others"
        ) from error


def checksum_of(texts: Mapping[str, str]) -> str:
    """What a model file says of its other texts in "checksum"."""
    return f"{zlib.crc32(chr(0).join(texts[name] for name in _TEXTS).encode()):08x}"
