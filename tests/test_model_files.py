"""Model files: what is written is read again, damage is refused, names and ids find models."""

import json
import os
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

import nncodec
from nncodec.errors import ModelError
from nncodec.files import model_files
from nncodec.files.model_files import (
    FOLDERS_VARIABLE,
    FoundModel,
    find_model,
    list_models,
    load_model,
    name_of_model,
    read_model,
    save_model,
)
from nncodec.model import packing
from nncodec.model.model import Model
from nncodec.model.packing import pack_model, unpack_model
from tests.samples import random_model

SMALL = random_model(1, 2)
DATA = pack_model(SMALL)
HEADER_END = 8 + int.from_bytes(DATA[:8], "little")
TEXTS: dict[str, str] = json.loads(DATA[8:HEADER_END])["__metadata__"]

COPY = "get another copy of it"
NO_MODEL = "a safetensors file, but no model; give a model.safetensors of nncodec train"


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the models that ship; no other is looked into."""
    folder = tmp_path / "package" / "pretrained"
    folder.mkdir(parents=True)
    monkeypatch.setattr(model_files, "__file__", str(folder.with_name("model_files.py")))
    monkeypatch.delenv(FOLDERS_VARIABLE, raising=False)
    return folder


def crafted(arrays: dict[str, Any] | None = None, **texts: str) -> bytes:
    """A file like DATA with other arrays or texts, and a right checksum."""
    changed = TEXTS | texts
    four = [changed[name] for name in ("nncodec", "network", "facts", "model_id")]
    changed["checksum"] = f"{zlib.crc32(chr(0).join(four).encode()):08x}"
    return save(load(DATA) | (arrays or {}), metadata=changed)


def refusal(data: bytes) -> str:
    with pytest.raises(ModelError) as caught:
        unpack_model(data)
    assert str(caught.value).isprintable()
    return str(caught.value)


def same(model: Model, other: Model) -> bool:
    arrays, others = model.arrays(), other.arrays()
    return (
        model.model_id == other.model_id
        and model.facts == other.facts
        and arrays.keys() == others.keys()
        and all(np.array_equal(arrays[name], others[name]) for name in arrays)
    )


# --- bytes -------------------------------------------------------------------------------------


@given(st.integers(1, 3), st.integers(1, 7), st.integers(0, 99), st.booleans())
def test_round_trip(layers: int, channels: int, seed: int, network: bool) -> None:
    model = random_model(layers, channels, seed, network=network)
    assert same(unpack_model(pack_model(model)), model)


@pytest.mark.parametrize("facts", [{}, {"by": "é\n", "loss": [1.5, None]}, {"a": {"b": True}}])
def test_facts_are_kept(facts: dict[str, Any]) -> None:
    model = replace(SMALL, facts=facts)
    assert unpack_model(pack_model(model)).facts == facts


def test_a_model_file_is_a_safetensors_file_of_its_arrays() -> None:
    arrays = load(DATA)
    assert arrays.keys() == SMALL.arrays().keys()
    assert TEXTS["nncodec"] == "1"
    assert TEXTS["model_id"] == SMALL.model_id.hex()
    assert json.loads(TEXTS["facts"]) == SMALL.facts
    assert SMALL.network
    assert json.loads(TEXTS["network"]) == SMALL.network.sizes()
    assert crafted() != b""
    assert same(unpack_model(crafted()), SMALL)


def test_a_written_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_model(SMALL, path)
    assert same(read_model(path), SMALL)
    assert same(nncodec.load_model(path), SMALL)
    assert same(load_model(str(path)), SMALL)
    with pytest.raises(nncodec.NncodecError, match="exists already"):
        save_model(SMALL, path, force=False)
    other = replace(SMALL, facts={})
    save_model(other, path)
    assert same(read_model(path), other)


_PACK = """
import zlib
from nncodec.model import packing
from nncodec.model.packing import pack_model
from tests.samples import random_model
print(zlib.crc32(pack_model(random_model(1, 2))))
"""


def test_the_same_model_is_the_same_bytes_every_time() -> None:
    assert {pack_model(random_model(1, 2)) for _ in range(20)} == {DATA}
    here = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", _PACK], cwd=here, capture_output=True, check=True)
    assert int(done.stdout) == zlib.crc32(DATA)


# --- damage ------------------------------------------------------------------------------------


def test_every_truncation_and_extension_is_refused() -> None:
    for size in range(len(DATA)):
        assert refusal(DATA[:size]) == f"damaged, or no model file; {COPY}"
    assert refusal(DATA + b"\0") == f"damaged, or no model file; {COPY}"


def test_every_flipped_bit_is_refused_or_changes_nothing() -> None:
    for bit in range(8 * len(DATA)):
        data = bytearray(DATA)
        data[bit // 8] ^= 1 << bit % 8
        try:
            model = unpack_model(bytes(data))
        except ModelError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert same(model, SMALL)


@given(st.data())
def test_any_changed_bytes_are_refused_or_change_nothing(data: st.DataObject) -> None:
    # Most of what can go wrong is in the header.
    end = data.draw(st.sampled_from([HEADER_END, len(DATA)]))
    start = data.draw(st.integers(0, end))
    stop = data.draw(st.integers(start, min(end, start + 8)))
    changed = DATA[:start] + data.draw(st.binary(max_size=8)) + DATA[stop:]
    try:
        model = unpack_model(changed)
    except ModelError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert same(model, SMALL)


@given(st.binary(max_size=60))
def test_any_bytes_are_refused(data: bytes) -> None:
    refusal(data)
    refusal(len(data).to_bytes(8, "little") + data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
sizes = st.dictionaries(
    st.sampled_from(["layers", "channels", "operations", "more"]),
    st.integers(-2, 1 << 70) | json_values,
)


@given(st.sampled_from(["network", "facts"]), json_values | sizes)
def test_any_texts_are_refused_or_taken_as_facts(name: str, value: object) -> None:
    text = json.dumps(value)
    data = crafted(facts=text) if name == "facts" else crafted(network=text)
    if name == "facts" and isinstance(value, dict):
        assert unpack_model(data).model_id == SMALL.model_id
        return
    refusal(data)


@given(
    st.sampled_from(sorted(SMALL.arrays())),
    st.lists(st.integers(0, 3), max_size=5),
    st.sampled_from(["i1", "i2", "i4", "i8", "u1", "f4", "f8", "b1"]),
)
def test_any_array_is_refused(name: str, shape: list[int], dtype: str) -> None:
    array = np.ones(shape, dtype=dtype)
    refusal(crafted({name: array}))


def without(name: str) -> bytes:
    arrays = load(DATA)
    del arrays[name]
    return save(arrays, metadata=TEXTS)


def wide(name: str, value: int, index: int = -1) -> bytes:
    array = SMALL.arrays()[name].copy()
    array.flat[index] = value
    return crafted({name: array})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", f"damaged, or no model file; {COPY}"),
        (b"hello" * 20, f"damaged, or no model file; {COPY}"),
        (save({"a": np.zeros(2)}), NO_MODEL),
        (save(load(DATA), metadata={"nncodec": "1"}), NO_MODEL),
        (crafted(nncodec="2"), "a model file of version '2'; upgrade nncodec"),
        (crafted(nncodec="x" * 90), f"a model file of version '{'x' * 20}'; upgrade nncodec"),
        (
            save(load(DATA), metadata=TEXTS | {"facts": "{}"}),
            "the checksum of the model's texts is",
        ),
        (crafted(facts="{"), f"the model's texts are no JSON; {COPY}"),
        (crafted(facts="[" * 100_000), f"the model's texts are no JSON; {COPY}"),
        (crafted(facts="1" * 5000), f"the model's texts are no JSON; {COPY}"),
        (crafted(facts="[]"), f"the model's texts are no JSON objects; {COPY}"),
        (crafted(network="nothing"), f"the model's texts are no JSON; {COPY}"),
        (crafted(network="{}"), "the model's network lacks arrays or sizes, or has others"),
        (
            crafted(network=TEXTS["network"].replace('"layers":1', '"layers":1e3')),
            "the network's sizes are no whole numbers",
        ),
        (
            crafted(network=TEXTS["network"].replace('"layers":1', f'"layers":{1 << 60}')),
            "a network has at most",
        ),
        (
            crafted(network=TEXTS["network"].replace('"layers":1', '"layers": 1')),
            f"the text of the model's network has another form; {COPY}",
        ),
        (crafted(network=""), "the start of the adaptive stage is not one for this network"),
        (without("start.rates"), "the model's start lacks arrays or sizes, or has others"),
        (without("network.1.lower"), "a head lacks texts or arrays, or has others"),
        (crafted({"start.more": np.zeros(1)}), "the model's start lacks arrays or sizes, or has"),
        (crafted({"more": np.zeros(1)}), f"the model has arrays that belong to none; {COPY}"),
        (crafted(model_id="0" * 16), f"the model's numbers are not those of its id; {COPY}"),
        (wide("start.mixers", 1), f"the model's numbers are not those of its id; {COPY}"),
        (wide("start.rates", -1), "the start's rates has a value that is out of range"),
        (
            wide("network.1.lower", 1, 0),  # of the position's first bit
            "operation 1 of the network: lower would use bits that are not known yet",
        ),
        (
            wide("network.1.shift", 1 << 62),
            "operation 1 of the network: the scales are too large: a sum could outgrow",
        ),
        (
            crafted({"start.shared": np.zeros((2, 31), np.int16)}),
            "the start's shared has int16 [2, 31], not int16 [1, 31]",
        ),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value[:40],
)
def test_each_misfit_has_its_message(data: bytes, message: str) -> None:
    assert refusal(data).startswith(message)


def test_a_file_above_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in (packing, model_files):
        monkeypatch.setattr(module, "MAX_MODEL_BYTES", len(DATA) - 1)
    expected = f"a model file has at most {len(DATA) - 1} bytes; give another"
    assert refusal(DATA) == expected
    path = tmp_path / "large.safetensors"
    path.write_bytes(DATA * 2)
    with pytest.raises(ModelError) as caught:
        read_model(path)
    assert str(caught.value) == f"{path}: {expected}"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "none.safetensors", "No such file or directory"),
        (tmp_path, "Is a directory"),
        ("a\0b.safetensors", "embedded null byte"),
    ):
        with pytest.raises(ModelError) as caught:
            load_model(path if isinstance(path, str) else str(path))
        assert str(caught.value).endswith(f": {reason}; give a model file that can be read")
        assert str(caught.value).isprintable()
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError) as caught:
        load_model(tmp_path / "bad.safetensors")
    expected = f"{tmp_path / 'bad.safetensors'}: damaged, or no model file; {COPY}"
    assert str(caught.value) == expected


# --- finding -----------------------------------------------------------------------------------


def test_models_are_found_in_the_package_then_folder_by_folder(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list_models() == []
    folders = [tmp_path / "b", tmp_path / "a"]
    for seed, (folder, name) in enumerate(
        [(shipped, "z"), (folders[0], "y"), (folders[0], "x"), (folders[1], "z")]
    ):
        folder.mkdir(exist_ok=True)
        save_model(random_model(1, 3, seed), folder / f"{name}.safetensors")
        (folder / "notes.txt").write_text("no model")
    monkeypatch.setenv(FOLDERS_VARIABLE, os.pathsep.join([str(folders[0]), "", str(folders[1])]))
    found = list_models()
    assert [one.name for one in found] == ["z", "x", "y", "z"]
    assert [one.path.parent for one in found] == [shipped, folders[0], folders[0], folders[1]]
    for one, seed in zip(found, (0, 2, 1, 3), strict=True):
        model = random_model(1, 3, seed)
        claims = {"model_id": model.model_id.hex(), "layers": 1, "channels": 3}
        assert one.claims() == claims
        assert same(one.load(), model)
        assert same(find_model(model.model_id), model)
        assert name_of_model(model.model_id) == one.name
    # The first of a name, and a path where there is a folder in it.
    assert same(load_model("z"), random_model(1, 3, 0))
    assert same(load_model(folders[1] / "z.safetensors"), random_model(1, 3, 3))
    assert name_of_model(b"") == "adaptive"
    assert name_of_model(b"\x01" * 8) == "01" * 8


def test_what_is_not_found_is_named_with_where_it_was_looked_for(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"found were none in {shipped}"
    with pytest.raises(ModelError) as caught:
        load_model("best")
    assert str(caught.value) == f"there is no model 'best'; {where}, or give the path of a file"
    with pytest.raises(ModelError) as caught:
        find_model(SMALL.model_id)
    needed = f"the file needs model {SMALL.model_id.hex()}"
    assert str(caught.value) == f"{needed}; {where}; give it with --model, in Python model="

    folder = tmp_path / "mine"
    folder.mkdir()
    save_model(random_model(1, 3), folder / "other.safetensors")
    monkeypatch.setenv(FOLDERS_VARIABLE, str(folder))
    with pytest.raises(ModelError) as caught:
        find_model(SMALL.model_id)
    where = f"found were other in {shipped}, {folder}"
    assert str(caught.value) == f"{needed}; {where}; give it with --model, in Python model="


def test_a_folder_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(ModelError) as caught:
        list_models()
    reason = f"No such file or directory; correct {FOLDERS_VARIABLE}, which names it"
    assert str(caught.value) == f"{tmp_path / 'gone'}: {reason}"


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        b'{"start.units": {"shape": [1]}, "__metadata__": {"model_id": "00"}}',
        b'{"start.units": {"shape": ["a", "b"]}, "__metadata__": {"model_id": "00"}}',
        b'{"start.units": {"shape": [1e999, 2]}, "__metadata__": {"model_id": "00"}}',
        b'{"start.units": {"shape": [[], 2]}, "__metadata__": {"model_id": "00"}}',
        b'{"start.units": {"shape": [1, 2]}, "__metadata__": []}',
        b'{"start.units": {"shape": [1, 2]}}',
    ],
    ids=lambda header: repr(header[:60]),
)
def test_files_that_are_no_models_claim_nothing(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert FoundModel("foreign", path).claims() == {}
    path.write_bytes(header[:5])
    assert FoundModel("foreign", path).claims() == {}
    assert FoundModel("gone", tmp_path / "gone").claims() == {}
