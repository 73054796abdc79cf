"""Checkpoints: the state of a training <-> one safetensors file.

Every tensor is called `group/name`. The metadata have one entry, `nncodec_checkpoint`: the format
version, the rest of the state as JSON, and a SHA-256 of both, because safetensors itself has no
checksum. The file appears whole or not at all: whatever ends a training, the last checkpoint is
there.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nncodec.errors import ModelError
from nncodec.files.streams import file_label, naming, open_output

FORMAT_VERSION = 1

_KEY = "nncodec_checkpoint"
_START_AGAIN = "start again in another folder, or bring back a copy"

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training.

    Attributes:
        groups: tensors by name, by group: "network", "best", "first_moments" and so on.
        state: everything else, as JSON has it.
    """

    groups: Mapping[str, Tensors]
    state: Mapping[str, Any]


def write_checkpoint(path: str, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint, in place of another one.

    Raises:
        NncodecError: the file cannot be written; the other one is still there.
    """
    tensors = {
        f"{group}/{name}": tensor.detach().to("cpu", copy=True).contiguous()
        for group, members in checkpoint.groups.items()
        for name, tensor in members.items()
    }
    state = json.dumps(checkpoint.state, sort_keys=True)
    entry = {"version": FORMAT_VERSION, "state": state, "sha256": _digest(tensors, state)}
    data = save(tensors, {_KEY: json.dumps(entry)})
    with open_output(path, force=True) as file:
        file.write(data)


def read_checkpoint(path: str, remedy: str = _START_AGAIN) -> Checkpoint:
    """Reads a checkpoint.

    Args:
        path: of the file.
        remedy: what to do about one that is damaged or none, for the message.

    Returns:
        The checkpoint, its tensors on the CPU.

    Raises:
        NncodecError: the file cannot be read, is damaged, or is no checkpoint of this version.
    """
    with naming(file_label(path)):
        with open(path, "rb"):  # safetensors would not say why it cannot
            pass
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                names = file.keys()
                tensors = {name: file.get_tensor(name) for name in names}
        except SafetensorError as error:
            reason = " ".join(str(error).split())
            raise ModelError(f"is no whole checkpoint ({reason}); {remedy}") from error
        if _KEY not in metadata:
            raise ModelError(f"is no checkpoint of a training; {remedy}")
        try:
            entry = json.loads(metadata[_KEY])
            version, state, digest = entry["version"], entry["state"], entry["sha256"]
            values = json.loads(state)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ModelError(f"is a damaged checkpoint; {remedy}") from error
        if version != FORMAT_VERSION:
            raise ModelError(
                f"is a checkpoint of format version {version!r}, and this nncodec reads version "
                f"{FORMAT_VERSION}; go on with the version that wrote it"
            )
        if digest != _digest(tensors, state):
            raise ModelError(f"is a damaged checkpoint: its checksum is wrong; {remedy}")
    groups: dict[str, dict[str, Tensor]] = {}
    for full_name, tensor in tensors.items():
        group, _, name = full_name.partition("/")
        groups.setdefault(group, {})[name] = tensor
    return Checkpoint(groups, values)


def copy_tensors(source: Tensors, target: Tensors) -> None:
    """Copies tensors of a checkpoint into those of a network, which are the same or else refused.

    Raises:
        ModelError: a name or a shape differs.
    """
    for name in sorted(source.keys() | target.keys()):
        ours, theirs = target.get(name), source.get(name)
        if ours is None or theirs is None or ours.shape != theirs.shape:
            sizes = ["none" if tensor is None else list(tensor.shape) for tensor in (theirs, ours)]
            raise ModelError(
                f"tensor {name!r} has the shape {sizes[0]} in the checkpoint and {sizes[1]} in the "
                "network; go on with the configuration, and the nncodec, that it was made with"
            )
    with torch.no_grad():
        for name, tensor in target.items():
            tensor.copy_(source[name])


def _digest(tensors: Tensors, state: str) -> str:
    digest = hashlib.sha256(json.dumps(state).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
