"""Which model codes a tensor, and which one a container is decoded by."""

import io
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nncodec
from nncodec.coding.codec import code_lengths, encode_source
from nncodec.errors import BitstreamError, ModelError
from nncodec.files import model_choice, model_files
from nncodec.files.model_choice import SAMPLE_BITS, model_to_decode, model_to_encode
from nncodec.files.model_files import FOLDERS_VARIABLE, save_model
from nncodec.format.container import Container, pack, read_container
from nncodec.format.source import Source
from nncodec.model import packing
from nncodec.model.model import Model
from nncodec.model.packing import pack_embedded, pack_model, unpack_embedded
from nncodec.training.start_fitting import fit_start
from tests.samples import averaged_codes, random_model, random_start

Codes = npt.NDArray[np.uint8]

SHAPE = (2, 1, 16, 14, 6)
CODES = averaged_codes(SHAPE, seed=0)
TRAINED = Model(fit_start([averaged_codes(SHAPE, seed=seed) for seed in (1, 2)], 2))
OTHER = random_model(2, 6)
AWFUL = Model(random_start(2, 6, 0, extreme=True))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of NNCODEC_MODELS; no model ships."""
    shipped = tmp_path / "package" / "pretrained"
    shipped.mkdir(parents=True)
    monkeypatch.setattr(model_files, "__file__", str(shipped.with_name("model_files.py")))
    mine = tmp_path / "mine"
    mine.mkdir()
    monkeypatch.setenv(FOLDERS_VARIABLE, str(mine))
    return mine


def chosen(choice: model_choice.ModelChoice, codes: Codes = CODES) -> bytes:
    model = model_to_encode(choice, codes)
    return model.model_id if model else b""


# --- encoding ----------------------------------------------------------------------------------


def test_what_was_asked_for_is_taken(folder: Path) -> None:
    save_model(TRAINED, folder / "trained.safetensors")
    assert chosen("adaptive") == b""
    assert chosen(OTHER) == OTHER.model_id
    assert chosen("trained") == TRAINED.model_id
    assert chosen(folder / "trained.safetensors") == TRAINED.model_id
    with pytest.raises(ModelError, match=r"^there is no model 'best'; found were trained in "):
        nncodec.encode(CODES, model="best")


def test_auto_takes_the_cheapest_that_fits(folder: Path) -> None:
    assert chosen("auto") == b""
    save_model(AWFUL, folder / "awful.safetensors")
    assert chosen("auto") == b""
    save_model(TRAINED, folder / "trained.safetensors")
    assert chosen("auto") == TRAINED.model_id
    costs = {
        model: code_lengths(CODES, model=model).sum() for model in (None, AWFUL, TRAINED, OTHER)
    }
    assert min(costs, key=costs.__getitem__) is TRAINED  # as the sample has it
    assert chosen("auto", CODES[:1]) == TRAINED.model_id
    assert chosen("auto", averaged_codes((3, *SHAPE[1:]), seed=0)) == b""
    assert chosen("auto", CODES[..., :5]) == b""
    noise = np.random.default_rng(0).integers(0, 2, SHAPE, dtype=np.uint8)
    assert chosen("auto", noise) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nothing of the kind",
        pack_model(TRAINED)[:-1],
        pack_model(TRAINED)[:-1] + b"\x55",
        pack_model(TRAINED).replace(TRAINED.model_id.hex().encode(), b"0" * 16),
        b"[" * 50_000,
        b"\x5a\0\0\0\0\0\0\0"
        b'{"start.units": {"shape": ["a", "b"]}, "__metadata__": {"model_id": 3}}',
    ],
    ids=["empty", "text", "cut", "damaged", "of another id", "deep", "foreign"],
)
def test_auto_passes_over_files_that_are_no_models(folder: Path, data: bytes) -> None:
    (folder / "a.safetensors").write_bytes(data)
    (folder / "b.safetensors").mkdir()
    (folder / "c.safetensors").symlink_to(folder / "gone")
    assert chosen("auto") == b""
    save_model(TRAINED, folder / "trained.safetensors")
    assert chosen("auto") == TRAINED.model_id


@given(
    st.tuples(*(st.integers(1, most) for most in (4, 9, 40, 40, 8))),
    st.integers(2, 9),
    st.sampled_from([50, 3000, SAMPLE_BITS]),
)
def test_trying_takes_at_most_half_of_the_coding(
    shape: tuple[int, ...], candidates: int, limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_choice, "SAMPLE_BITS", limit)
        codes = np.arange(np.prod(shape)).reshape(shape)
        sample = model_choice._sample(codes, candidates)  # type: ignore[arg-type]
    *_, height = shape[:3]
    rest = shape[3:]
    assert sample.shape[3:] == rest
    row = int(np.prod(rest))
    # A row of one layer of one image is the least that can be tried.
    allowed = min(limit, codes.size / 2 / candidates)
    assert sample.size <= max(row, allowed)
    # As much as is allowed, but for what is less than an image, or a layer of one, or a row.
    assert sample.size > min(allowed - row, allowed / 4) or sample.size == row
    # It is cut out of the codes: rows of the middle, next to each other.
    rows = sample[0, 0, :, 0, 0]
    assert (np.diff(rows) == rest[0] * rest[1]).all()
    assert np.isin(sample, codes).all()
    above = (rows[0] - codes[0, 0, 0, 0, 0]) // (rest[0] * rest[1])
    assert abs(2 * above + len(rows) - height) <= 1


# --- decoding ----------------------------------------------------------------------------------


def refusal(data: bytes, kind: type[Exception] = ModelError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        nncodec.decode(data, **options)
    assert type(caught.value) is kind
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("model", [TRAINED, OTHER], ids=["start", "network"])
def test_containers_are_decoded_by_the_model_that_they_name(folder: Path, model: Model) -> None:
    data = nncodec.encode(CODES, model=model)
    assert nncodec.read_header(data).model_id == model.model_id
    needed = f"the file needs model {model.model_id.hex()}"
    where = f"found were none in {folder.parent / 'package' / 'pretrained'}, {folder}"
    assert refusal(data) == f"{needed}; {where}; give it with --model"

    wrong = replace(model, start=random_start(2, 6, 9, with_network=model.network is not None))
    assert refusal(data, model=wrong) == f"{needed}, not {wrong.model_id.hex()}; give that one"
    save_model(wrong, folder / "wrong.safetensors")
    assert refusal(data).startswith(f"{needed}; found were wrong in ")
    assert refusal(data, model="wrong").startswith(f"{needed}, not {wrong.model_id.hex()}; ")

    save_model(model, folder / "right.safetensors")
    for choice in (None, "right", folder / "right.safetensors", model):
        np.testing.assert_array_equal(nncodec.decode(data, model=choice), CODES)
    np.testing.assert_array_equal(nncodec.decode(data, layers=1), CODES[:1])


def test_a_container_without_a_model_needs_none() -> None:
    data = nncodec.encode(CODES, model="adaptive")
    for choice in (None, "no such model", TRAINED):
        np.testing.assert_array_equal(nncodec.decode(data, model=choice), CODES)


def embedding(model: Model = OTHER) -> bytes:
    return nncodec.encode(CODES, model=model, embed_model=True)


@pytest.mark.parametrize("model", [TRAINED, OTHER], ids=["start", "network"])
def test_an_embedded_model_is_enough(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    data = embedding(model)
    plain = nncodec.encode(CODES, model=model)
    header = nncodec.read_header(data)
    assert header.model_id == model.model_id
    assert len(data) - len(plain) == header.embedded_bytes + 2  # a varint
    assert header.embedded_bytes < len(pack_model(model))
    monkeypatch.delenv(FOLDERS_VARIABLE)
    np.testing.assert_array_equal(nncodec.decode(data), CODES)
    np.testing.assert_array_equal(nncodec.decode(data, layers=1), CODES[:1])
    np.testing.assert_array_equal(nncodec.decode(data, model="not needed"), CODES)
    held = unpack_embedded(read_container(io.BytesIO(data)).model)
    assert (held.model_id, held.facts) == (model.model_id, model.facts)


def test_adaptive_containers_embed_nothing() -> None:
    data = nncodec.encode(CODES, model="adaptive", embed_model=True)
    assert data == nncodec.encode(CODES, model="adaptive")


def damaged(model: bytes) -> bytes:
    """A container that holds `model` in place of OTHER, and is well otherwise."""
    container = read_container(io.BytesIO(embedding()))
    header = replace(container.header, embedded_bytes=len(model))
    return pack(Container(header, container.payloads, model))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (pack_embedded(TRAINED), "the file holds another model than it names; "),
        (pack_embedded(OTHER)[:-1], "the model in the file does not end where it should; "),
        (pack_embedded(OTHER) + b"x", "the model in the file does not end where it should; "),
        (b"x" * 50, "the model in the file is damaged; "),
        (zlib.compress(b"none"), "the model in the file: damaged, or no model file; get another"),
        (zlib.compress(b""), "the model in the file: damaged, or no model file; get another"),
    ],
    ids=["another", "cut", "longer", "no zlib", "no model", "empty"],
)
def test_damaged_embedded_models_are_refused(model: bytes, message: str) -> None:
    assert refusal(damaged(model), BitstreamError).startswith(message)


def test_a_model_that_never_ends_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MAX_MODEL_BYTES", 1 << 16)
    bomb = zlib.compress(bytes(1 << 20))
    assert refusal(damaged(bomb), BitstreamError).startswith(
        "the model in the file does not end where it should; "
    )


def test_every_flipped_bit_of_an_embedded_model_is_refused_or_changes_nothing() -> None:
    data = embedding()
    header = nncodec.read_header(data)
    begin = len(data) - sum(one.byte_length for one in header.segments) - header.embedded_bytes
    packed = data[begin : begin + header.embedded_bytes]
    assert packed == pack_embedded(OTHER)
    for bit in range(0, 8 * len(packed), 5):
        changed = bytearray(packed)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            model = unpack_embedded(bytes(changed))
        except BitstreamError as error:
            assert str(error).isprintable()  # noqa: PT017
        else:
            assert model.model_id == OTHER.model_id


def test_a_container_cut_off_within_its_model_has_no_layer() -> None:
    data = embedding()
    header = nncodec.read_header(data)
    payloads = sum(one.byte_length for one in header.segments)
    for size in range(len(data) - payloads - header.embedded_bytes, len(data) - payloads, 97):
        with pytest.raises(nncodec.TruncatedError, match="no layer is whole; get another copy"):
            nncodec.decode(data[:size])


def test_the_model_to_decode_is_looked_for_in_the_container_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "bad.safetensors").write_bytes(pack_model(OTHER)[:-1])
    container = read_container(io.BytesIO(embedding()))
    model = model_to_decode(container)
    assert model
    assert model.model_id == OTHER.model_id
    monkeypatch.setenv(FOLDERS_VARIABLE, "no such folder")
    assert model_to_decode(container)


def test_encoding_refuses_to_embed_what_it_does_not_name() -> None:
    with pytest.raises(nncodec.CodesError, match="the file cannot hold a model of"):
        encode_source(CODES, Source(), embedded=b"model")
