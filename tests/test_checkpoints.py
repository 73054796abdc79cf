"""Checkpoints: whole or not there, and nothing else is taken for one."""

import json
import os
import pathlib

import pytest
import torch
from safetensors.torch import load_file, save, save_file

from nncodec.errors import ModelError, NncodecError
from nncodec.training.checkpoints import Checkpoint, copy_tensors, read_checkpoint, write_checkpoint

STATE = {"step": 3, "rate": 0.1 + 0.2, "words": {"é": [1, None, True]}}
REMEDY = "; start again in another folder, or bring back a copy"


def checkpoint() -> Checkpoint:
    shared = torch.arange(6.0)
    groups = {
        "network": {"a/b.weight": shared.view(2, 3), "tied": shared, "flag": torch.tensor(True)},
        "moments": {"a/b.weight": torch.tensor(7.0), "half": torch.ones(2, dtype=torch.bfloat16)},
        "turned": {"view": torch.arange(6.0).view(2, 3).T, "none": torch.zeros(0, 2)},
    }
    return Checkpoint(groups, STATE)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> str:
    path = str(tmp_path / "checkpoint.safetensors")
    write_checkpoint(path, checkpoint())
    return path


def refusal(path: str) -> str:
    with pytest.raises(NncodecError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_round_trip(path: str) -> None:
    found = read_checkpoint(path)
    assert found.state == STATE
    expected = checkpoint().groups
    assert found.groups.keys() == expected.keys()
    for group, tensors in expected.items():
        assert found.groups[group].keys() == tensors.keys()
        for name, tensor in tensors.items():
            ours = found.groups[group][name]
            assert (ours.dtype, ours.shape) == (tensor.dtype, tensor.shape)
            assert torch.equal(ours, tensor)


def test_any_safetensors_reader_reads_it(path: str) -> None:
    assert torch.equal(load_file(path)["network/a/b.weight"], torch.arange(6.0).view(2, 3))


def test_same_state_same_bytes(path: str, tmp_path: pathlib.Path) -> None:
    write_checkpoint(str(tmp_path / "again"), checkpoint())
    assert (tmp_path / "again").read_bytes() == pathlib.Path(path).read_bytes()


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failure_leaves_the_last_one(
    path: str, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    before = pathlib.Path(path).read_bytes()
    monkeypatch.setattr(os, function, fail)
    with pytest.raises(NncodecError, match="the disk is full; free some space"):
        write_checkpoint(path, Checkpoint({}, {"step": 4}))
    assert pathlib.Path(path).read_bytes() == before
    assert os.listdir(os.path.dirname(path)) == ["checkpoint.safetensors"]


# --- refusals ----------------------------------------------------------------------------------


def test_every_changed_byte_is_refused(path: str) -> None:
    data = pathlib.Path(path).read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    padding = data[:header].rstrip(b" ")  # spaces after the JSON say nothing
    for place in range(len(data)):
        if len(padding) <= place < header:
            continue
        changed = bytearray(data)
        changed[place] ^= 1
        pathlib.Path(path).write_bytes(changed)
        assert refusal(path)


def test_every_cut_is_refused(path: str) -> None:
    data = pathlib.Path(path).read_bytes()
    for length in range(len(data)):
        pathlib.Path(path).write_bytes(data[:length])
        message = refusal(path)
        assert message.startswith("is no whole checkpoint (")
        assert message.endswith(REMEDY)


def test_damage_is_told_by_the_checksum(path: str) -> None:
    data = bytearray(pathlib.Path(path).read_bytes())
    data[-1] ^= 1
    pathlib.Path(path).write_bytes(data)
    assert refusal(path) == f"is a damaged checkpoint: its checksum is wrong{REMEDY}"


def test_other_files(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "other")
    assert refusal(path) == "no such file or folder; check the name"
    assert refusal(str(tmp_path)) == "is a directory; name a file in it"
    pathlib.Path(path).write_bytes(b"hello")
    assert refusal(path).startswith("is no whole checkpoint (")
    for metadata in (None, {"format": "pt"}):
        save_file({"a": torch.ones(2)}, path, metadata)
        assert refusal(path) == f"is no checkpoint of a training{REMEDY}"


def test_other_versions(path: str) -> None:
    entry = json.dumps({"version": 2, "state": "{}", "sha256": ""})
    pathlib.Path(path).write_bytes(save({}, {"nncodec_checkpoint": entry}))
    assert refusal(path) == (
        "is a checkpoint of format version 2, and this nncodec reads version 1; go on with the "
        "version that wrote it"
    )


@pytest.mark.parametrize(
    "entry",
    ["", "[]", "3", "{}", '{"version": 1}', '{"version": 1, "state": 3, "sha256": ""}', "[" * 9999],
)
def test_damaged_entries(path: str, entry: str) -> None:
    pathlib.Path(path).write_bytes(save({}, {"nncodec_checkpoint": entry}))
    assert refusal(path) == f"is a damaged checkpoint{REMEDY}"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ({"a": torch.ones(3)}, "'a' has the shape [3] in the checkpoint and [2] in the network"),
        ({}, "'a' has the shape none in the checkpoint and [2] in the network"),
        (
            {"a": torch.ones(2), "b": torch.ones(())},
            "'b' has the shape [] in the checkpoint and none in the network",
        ),
    ],
)
def test_tensors_that_do_not_fit(source: dict[str, torch.Tensor], complaint: str) -> None:
    target = {"a": torch.zeros(2)}
    with pytest.raises(ModelError) as caught:
        copy_tensors(source, target)
    assert str(caught.value) == (
        f"tensor {complaint}; go on with the configuration, and the nncodec, that it was made with"
    )
    assert not target["a"].any()
