"""Models <-> files, and finding the model that a container names."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nncodec.errors import ModelError
from nncodec.files.streams import file_label, open_output
from nncodec.format.limits import MAX_HEADER_BYTES, MAX_MODEL_BYTES
from nncodec.model.model import Model
from nncodec.model.packing import pack_model, unpack_model

SUFFIX = ".safetensors"
_OF_A_TRAINING = "model.safetensors"
"""What the model is called in the folder of a training."""

FOLDERS_VARIABLE = "NNCODEC_MODELS"
"""Environment variable: folders to look for models in, separated as in PATH."""

ADAPTIVE = "adaptive"
"""The name that stands for no model: the adaptive stage codes alone."""


_registered: dict[bytes, Model] = {}
"""Models that are found although no folder has them, by their ids."""


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
        """Reads what the file says of itself, which loading it has to confirm; {} if nothing.

        Returns:
            "model_id" in hexadecimal digits, "layers" and "channels".
        """
        header = self._header()
        try:
            layers, channels = map(int, header["start.units"]["shape"][:2])
            model_id = str(header["__metadata__"]["model_id"])
        except (ValueError, KeyError, TypeError, OverflowError):
            return {}
        return {"model_id": model_id, "layers": layers, "channels": channels}

    def is_other(self) -> bool:
        """Whether it seems to be a sound file of something else, as a checkpoint of a training."""
        header = self._header()
        texts = header.get("__metadata__", {}) if isinstance(header, dict) else None
        return isinstance(texts, dict) and "model_id" not in texts

    def _header(self) -> Any:
        """Reads the safetensors header; None if there is none."""
        try:
            if not self.path.is_file():  # a named pipe would keep waiting
                return None
            with self.path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                return json.loads(file.read(min(length, MAX_HEADER_BYTES)))
        except (OSError, ValueError, RecursionError):
            return None

    def load(self) -> Model:
        """Reads the model, or takes it as it was read before; errors as for `load_model`."""
        try:
            state = self.path.stat()
        except OSError:
            return read_model(self.path)  # which says what is wrong
        return _read_once(self.path, state.st_mtime_ns, state.st_size, state.st_ino)


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


@functools.lru_cache(maxsize=8)
def _read_once(path: Path, *_: int) -> Model:
    """Reads a model file, again if it is another one than before by its time, size or number."""
    return read_model(path)


def list_models() -> list[FoundModel]:
    """Lists the models that ship, then those in the folders of NNCODEC_MODELS, each by name.

    Damaged ones are among them; what else a training leaves in a folder is not.

    Raises:
        ModelError: a folder cannot be read.
    """
    return [found for folder in model_folders() for found in _models_in(folder)]


def model_folders() -> list[Path]:
    """Lists the folders in which models are looked for."""
    listed = os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)
    return [Path(__file__).with_name("pretrained"), *(Path(name) for name in listed if name)]


def load_model(name: str | os.PathLike[str]) -> Model:
    """Reads a model by the path of its file, the name under which `list_models` has it, or its id.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    if not isinstance(name, str | os.PathLike):
        raise ModelError(f"a {type(name).__name__} is no model; give its name or its path")
    text = os.fspath(name)
    inside = os.path.join(text, _OF_A_TRAINING)
    if is_path(text):
        if os.path.isfile(inside):
            raise ModelError(f"{file_label(text)}: is a folder; give {file_label(inside)}")
        return read_model(text)
    found = [candidate for candidate in list_models() if candidate.name == text]
    if not found and re.fullmatch(r"[0-9a-f]{16}", text):
        return find_model(bytes.fromhex(text))
    if not found:
        there = os.path.isfile(inside)
        remedy = (
            f"give {file_label(inside)}" if there else f"{_where()}, or give the path of a file"
        )
        raise ModelError(f"there is no model {text!r}; {remedy}")
    return found[0].load()


def is_path(name: str) -> bool:
    """Whether what stands for a model is the path of a file, and not a name."""
    return name.endswith(SUFFIX) or bool(os.path.dirname(name))


def find_model(model_id: bytes) -> Model:
    """Finds the model that a container names.

    Raises:
        ModelError: it is nowhere.
    """
    if model_id in _registered:
        return _registered[model_id]
    for found in _with_id(model_id):
        with contextlib.suppress(ModelError):  # damaged or replaced; there may be a copy
            model = found.load()
            if model.model_id == model_id:
                return model
    needed = f"the file needs model {model_id.hex()}"
    raise ModelError(f"{needed}; {_where()}; give it with --model, in Python model=")


def register_model(model: Model) -> None:
    """Has a model be found by its id from now on, in this process."""
    _registered[model.model_id] = model


def registered_model(name: str) -> Model | None:
    """Gives the model that is registered under an id, if it is one."""
    return next((one for key, one in _registered.items() if key.hex() == name), None)


def name_of_model(model_id: bytes) -> str:
    """Gives the name of a model: ADAPTIVE for none, its id where it is not found."""
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
        found = FoundModel(name.removesuffix(SUFFIX), folder / name)
        if not found.is_other():
            yield found


def _where() -> str:
    names = ", ".join(found.name for found in list_models()) or "none"
    folders = ", ".join(str(folder) for folder in model_folders())
    return f"found were {names} in {folders}"
