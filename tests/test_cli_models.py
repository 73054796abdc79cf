"""The commands with models: by name, by file, within the compressed file, and every refusal."""

import json
import pathlib
import re
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from nncodec.files import model_files
from nncodec.files.model_files import FOLDERS_VARIABLE, save_model
from nncodec.model.model import Model
from nncodec.model.packing import pack_model
from nncodec.training.start_fitting import fit_start
from tests.command_line import Run, assert_refused, invoke, read
from tests.samples import averaged_codes, random_model

SHAPE = (2, 1, 16, 14, 6)
CODES = averaged_codes(SHAPE, seed=0)
TRAINED = Model(fit_start([averaged_codes(SHAPE, seed=1)], 2))
NETWORK = random_model(3, 6)
TRAINED_ID, NETWORK_ID = TRAINED.model_id.hex(), NETWORK.model_id.hex()


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder with `codes.npy` and `mine/`, where models are looked for."""
    shipped = tmp_path / "package" / "pretrained"
    shipped.mkdir(parents=True)
    monkeypatch.setattr(model_files, "__file__", str(shipped.with_name("model_files.py")))
    monkeypatch.setenv(FOLDERS_VARIABLE, "mine")
    here = tmp_path / "here"
    (here / "mine").mkdir(parents=True)
    monkeypatch.chdir(here)
    np.save("codes.npy", CODES)

    return invoke


def where(*names: str) -> str:
    shipped = pathlib.Path(model_files.__file__).with_name("pretrained")
    return f"found were {', '.join(names) or 'none'} in {shipped}, mine"


def compressed(run: Run, *options: str) -> dict[str, Any]:
    result = run("compress", "codes.npy", "codes.bin", "--force", "--json", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    facts: dict[str, Any] = json.loads(result.stdout)
    assert facts["output_bytes"] == len(read("codes.bin"))
    return facts


def assert_decompresses(run: Run, *options: str) -> None:
    result = run("decompress", "codes.bin", "again.npy", "--force", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert read("again.npy") == read("codes.npy")


# --- round trips -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "model_id"), [(TRAINED, TRAINED_ID), (NETWORK, NETWORK_ID)], ids=["start", "network"]
)
def test_a_model_by_its_name(run: Run, model: Model, model_id: str) -> None:
    save_model(model, "mine/best.safetensors")
    facts = compressed(run, "--model", "best")
    assert (facts["model"], facts["model_id"], facts["model_bytes"]) == ("best", model_id, 0)
    for options in ([], ["--model", "best"], ["--model", "mine/best.safetensors"]):
        assert_decompresses(run, *options)
        assert run("test", "codes.bin", *options).stdout == "codes.bin: ok\n"
    known = json.loads(run("info", "codes.bin", "--json").stdout)
    assert (known["model"], known["model_id"], known["model_bytes"]) == ("best", model_id, 0)
    assert f"  model   best, {model_id}\n" in run("info", "codes.bin").stdout
    text = run("compress", "codes.npy", "-", "--model", "best").stderr
    assert ", model best), in " in text
    layers = run("decompress", "codes.bin", "first.npy", "--layers", "1")
    assert layers.exit_code == 0
    np.testing.assert_array_equal(np.load("first.npy"), CODES[:1])


def test_a_model_by_its_file(run: Run) -> None:
    save_model(NETWORK, "net.safetensors")
    facts = compressed(run, "--model", "net.safetensors")
    # No name, where it is not found again.
    assert (facts["model"], facts["model_id"]) == (NETWORK_ID, NETWORK_ID)
    assert_decompresses(run, "--model", "net.safetensors")
    assert run("test", "codes.bin", "--model", "net.safetensors").exit_code == 0
    assert f"  model   {NETWORK_ID}\n" in run("info", "codes.bin").stdout
    save_model(NETWORK, "mine/other-name.safetensors")
    assert_decompresses(run)
    assert json.loads(run("info", "codes.bin", "--json").stdout)["model"] == "other-name"


def test_a_model_within_the_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(NETWORK, "net.safetensors")
    plain = compressed(run, "--model", "net.safetensors")
    facts = compressed(run, "--model", "net.safetensors", "--embed-model")
    size = facts["model_bytes"]
    assert facts["output_bytes"] - plain["output_bytes"] == size + 2  # a varint
    pathlib.Path("net.safetensors").unlink()
    monkeypatch.delenv(FOLDERS_VARIABLE)
    assert_decompresses(run)
    assert run("test", "codes.bin").stdout == "codes.bin: ok\n"
    known = json.loads(run("info", "codes.bin", "--json").stdout)
    assert known["model_bytes"] == size
    assert known["output_bytes"] == facts["output_bytes"]
    shown = f"  model   {NETWORK_ID}, in the file ({size} bytes)\n"
    assert shown in run("info", "codes.bin").stdout


def test_the_table_of_compress_counts_an_embedded_model(run: Run) -> None:
    save_model(NETWORK, "mine/net.safetensors")
    result = run("compress", "codes.npy", "codes.bin", "--model", "net", "--embed-model")
    rows = [line.split() for line in result.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == ["0", "1", "model", "header", "total"]
    sizes = [int(row[2]) for row in rows[:2]] + [int(row[1]) for row in rows[2:4]]
    assert sum(sizes) == int(rows[4][2]) == len(read("codes.bin"))
    known = json.loads(run("info", "codes.bin", "--json").stdout)
    assert sizes[2] == known["model_bytes"]


def test_auto_and_adaptive(run: Run) -> None:
    assert compressed(run)["model"] == "adaptive"
    save_model(TRAINED, "mine/trained.safetensors")
    facts = compressed(run)
    assert (facts["model"], facts["model_id"]) == ("trained", TRAINED_ID)
    assert_decompresses(run)
    embedded = compressed(run, "--model", "adaptive", "--embed-model")
    assert (embedded["model"], embedded["model_id"], embedded["model_bytes"]) == (
        "adaptive",
        None,
        0,
    )
    pathlib.Path("mine/z-damaged.safetensors").write_bytes(pack_model(TRAINED)[:-9])
    result = run("compress", "codes.npy", "codes.bin", "--force", "--json")
    assert json.loads(result.stdout)["model"] == "trained"
    assert result.stderr == (
        "nncodec: mine/z-damaged.safetensors: damaged, or no model file; get another copy of it; "
        "it is not tried\n"
    )
    assert run("compress", "codes.npy", "codes.bin", "-f", "--model", "adaptive").stderr == ""
    assert "z-damaged" in run("evaluate", "codes.npy").stderr
    assert "z-damaged" in run("compress", "codes.npy", "--solid", "all.nnb").stderr


def test_evaluate(run: Run) -> None:
    save_model(TRAINED, "mine/trained.safetensors")
    lengths = {}
    for model in ("adaptive", "auto", "trained", "mine/trained.safetensors"):
        facts = json.loads(run("evaluate", "codes.npy", "--json", "--model", model).stdout)
        assert facts["model"] == ("adaptive" if model == "adaptive" else "trained")
        lengths[model] = facts["code_length"]
    assert lengths["trained"] == lengths["auto"] == lengths["mine/trained.safetensors"]
    assert lengths["trained"] < lengths["adaptive"]
    layers = compressed(run, "--model", "trained")["layers"]
    assert sum(layer["code_length"] for layer in layers) == pytest.approx(lengths["trained"])


# --- models ------------------------------------------------------------------------------------


def test_models(run: Run) -> None:
    assert run("models").stdout == "no models found\n"
    assert json.loads(run("models", "--json").stdout) == []
    save_model(TRAINED, "mine/trained.safetensors")
    save_model(NETWORK, "mine/net.safetensors")
    pathlib.Path("mine/broken.safetensors").write_bytes(b"broken")
    pathlib.Path("mine/notes.txt").write_bytes(b"")
    facts = json.loads(run("models", "--json").stdout)
    assert facts == [
        {
            "name": name,
            "id": model.model_id.hex() if model else None,
            "layers": model.layers if model else None,
            "layer_depth": 6 if model else None,
            "network": "unknown" if model and model.network else None,
            "products": round(model.network.products()) if model and model.network else None,
            "bytes": len(pack_model(model)) if model else 6,
            "file": f"mine/{name}.safetensors",
        }
        for name, model in (("broken", None), ("net", NETWORK), ("trained", TRAINED))
    ]
    head, broken, net, trained = run("models").stdout.splitlines()
    assert head.split() == [
        *("name", "id", "layers", "layer", "depth", "network", "products", "bytes", "file")
    ]
    assert broken.split()[:2] == ["broken", "damaged"]
    assert broken.split()[-2:] == ["6", "mine/broken.safetensors"]
    size = str(len(pack_model(NETWORK)))
    assert NETWORK.network
    cost = ("unknown", str(round(NETWORK.network.products())))
    assert net.split() == ["net", NETWORK_ID, "3", "6", *cost, size, "mine/net.safetensors"]
    assert trained.split()[:4] == ["trained", TRAINED_ID, "2", "6"]


def test_what_else_a_training_leaves_is_not_listed(run: Run) -> None:
    save_model(TRAINED, "mine/model.safetensors")
    for name, metadata in (("checkpoint", {"nncodec_checkpoint": "{}"}), ("network", None)):
        save_file({"a": np.ones(2)}, f"mine/{name}.safetensors", metadata)
    (facts,) = json.loads(run("models", "--json").stdout)
    assert facts["name"] == "model"


# --- refusals ----------------------------------------------------------------------------------

MISSING = "No such file or directory"


@pytest.mark.parametrize("command", [["compress", "codes.npy", "new"], ["evaluate", "codes.npy"]])
def test_models_that_are_not_there(run: Run, command: list[str]) -> None:
    line = f"codes.npy: there is no model 'best'; {where()}, or give the path of a file"
    assert_refused(run, [*command, "--model", "best"], line)
    save_model(TRAINED, "mine/trained.safetensors")
    line = f"codes.npy: there is no model 'best'; {where('trained')}, or give the path of a file"
    assert_refused(run, [*command, "--model", "best"], line)
    for name in ("best.safetensors", "mine/best"):
        line = f"codes.npy: {name}: {MISSING}; give a model file that can be read"
        assert_refused(run, [*command, "--model", name], line)


@pytest.mark.parametrize("command", [["compress", "codes.npy", "new"], ["evaluate", "codes.npy"]])
def test_folders_of_trainings_are_no_models(run: Run, command: list[str]) -> None:
    save_model(TRAINED, "mine/model.safetensors")
    for name, reason in (
        ("mine", "there is no model 'mine'; give mine/model.safetensors"),
        ("./mine", "./mine: is a folder; give ./mine/model.safetensors"),
    ):
        assert_refused(run, [*command, "--model", name], f"codes.npy: {reason}")


def test_models_are_no_networks(run: Run) -> None:
    save_model(TRAINED, "model.safetensors")
    line = (
        "model.safetensors: is no checkpoint of a training; give a network.safetensors, which "
        "nncodec train leaves"
    )
    assert_refused(run, ["evaluate", "codes.npy", "--network", "model.safetensors"], line)


@pytest.mark.parametrize("command", [["compress", "codes.npy", "new"], ["evaluate", "codes.npy"]])
def test_models_that_do_not_fit(run: Run, command: list[str]) -> None:
    save_model(random_model(1, 6), "shallow.safetensors")
    save_model(random_model(2, 5), "narrow.safetensors")
    for name, layers, bits in (("shallow", 1, 6), ("narrow", 2, 5)):
        line = (
            f"codes.npy: the model is for up to {layers} layers of {bits} bits, the codes have 2 "
            "of 6; use another, or adaptive"
        )
        assert_refused(run, [*command, "--model", f"{name}.safetensors"], line)


@pytest.mark.parametrize("command", [["compress", "codes.npy", "new"], ["evaluate", "codes.npy"]])
def test_models_that_are_none(run: Run, command: list[str]) -> None:
    damaged = "damaged, or no model file; get another copy of it"
    flipped = bytearray(pack_model(TRAINED))
    flipped[8 + int.from_bytes(flipped[:8], "little")] ^= 1  # of the first number
    for data, reason in (
        (b"", damaged),
        (read("codes.npy"), damaged),
        (pack_model(TRAINED)[:-1], damaged),
        (
            pack_model(TRAINED)[:-2] + b"\0\x80",
            "the start's units has a value that is out of range",
        ),
        (bytes(flipped), "the model's numbers are not those of its id; get another copy of it"),
    ):
        pathlib.Path("bad.safetensors").write_bytes(data)
        line = f"codes.npy: bad.safetensors: {reason}"
        assert_refused(run, [*command, "--model", "bad.safetensors"], line)


@pytest.mark.parametrize("command", [["decompress", "codes.bin", "new.npy"], ["test", "codes.bin"]])
def test_files_whose_model_is_missing_or_another(run: Run, command: list[str]) -> None:
    save_model(TRAINED, "trained.safetensors")
    save_model(NETWORK, "mine/net.safetensors")
    compressed(run, "--model", "trained.safetensors")
    needed = f"codes.bin: the file needs model {TRAINED_ID}"
    assert_refused(
        run, command, f"{needed}; {where('net')}; give it with --model, in Python model="
    )
    for name in ("net", "mine/net.safetensors"):
        line = f"{needed}, not {NETWORK_ID}; give that one"
        assert_refused(run, [*command, "--model", name], line)
    line = f"codes.bin: there is no model 'best'; {where('net')}, or give the path of a file"
    assert_refused(run, [*command, "--model", "best"], line)


@pytest.mark.parametrize("command", [["decompress", "codes.bin", "new.npy"], ["test", "codes.bin"]])
def test_files_whose_embedded_model_is_damaged(run: Run, command: list[str]) -> None:
    save_model(NETWORK, "net.safetensors")
    facts = compressed(run, "--model", "net.safetensors", "--embed-model")
    data = bytearray(read("codes.bin"))
    payloads = sum(layer["bytes"] for layer in facts["layers"])
    for index in range(facts["model_bytes"], 0, -400):
        changed = data.copy()
        changed[len(data) - payloads - index] ^= 0x10
        pathlib.Path("codes.bin").write_bytes(changed)
        result = run(*command, "--model", "net.safetensors")
        assert (result.exit_code, result.stdout) == (1, "")
        (line,) = result.stderr.splitlines()
        assert line.startswith("nncodec: codes.bin: the model in the file")
        assert re.search(r"; get another copy( of it)?$", line)


def test_test_goes_on_after_a_file_whose_model_is_missing(run: Run) -> None:
    save_model(TRAINED, "trained.safetensors")
    compressed(run)
    pathlib.Path("codes.bin").rename("plain.bin")
    compressed(run, "--model", "trained.safetensors")
    result = run("test", "plain.bin", "codes.bin", "plain.bin")
    assert (result.exit_code, result.stdout) == (1, "plain.bin: ok\nplain.bin: ok\n")
    assert len(result.stderr.splitlines()) == 1
    both = run("test", "plain.bin", "codes.bin", "--model", "trained.safetensors")
    assert (both.exit_code, both.stdout) == (0, "plain.bin: ok\ncodes.bin: ok\n")


def test_a_folder_of_models_that_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(TRAINED, "trained.safetensors")
    compressed(run, "--model", "trained.safetensors")
    monkeypatch.setenv(FOLDERS_VARIABLE, "gone")
    line = f"gone: {MISSING}; correct {FOLDERS_VARIABLE}, which names it"
    assert_refused(run, ["models"], line)
    assert_refused(run, ["compress", "codes.npy", "new"], f"codes.npy: {line}")
    assert_refused(run, ["decompress", "codes.bin", "new.npy"], f"codes.bin: {line}")
    # Who says what it is needs no folder.
    assert_decompresses(run, "--model", "trained.safetensors")
    assert run("compress", "codes.npy", "new", "--model", "adaptive", "--quiet").exit_code == 0
