"""What predicts a tensor: which model, and whether as a sequence; and what decodes a container."""

import io
import math
import os
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
from nncodec.coding.codec import code_lengths, encode_source, traverse_known
from nncodec.errors import BitstreamError, ModelError
from nncodec.files import model_choice, model_files
from nncodec.files.model_choice import (
    EFFORTS,
    SAMPLE_BITS,
    SAMPLE_FRAMES,
    SEQUENCE_BITS,
    SEQUENCE_GAIN,
    Effort,
    Predictor,
    choose_predictor,
    model_to_decode,
)
from nncodec.files.model_files import FOLDERS_VARIABLE, read_model, save_model
from nncodec.format.container import Container, pack, read_container
from nncodec.format.source import Source
from nncodec.model import packing
from nncodec.model.model import Model
from nncodec.model.packing import pack_embedded, pack_model, unpack_embedded
from nncodec.training.start_fitting import beside_network, fit_start
from tests.sample_networks import still_network
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
    model = choose_predictor(codes, choice).model
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
    assert chosen("auto", averaged_codes((1, 8, *SHAPE[2:]), seed=0)) == TRAINED.model_id
    assert chosen("auto", averaged_codes((3, *SHAPE[1:]), seed=0)) == b""
    assert chosen("auto", CODES[..., :5]) == b""
    noise = np.random.default_rng(0).integers(0, 2, SHAPE, dtype=np.uint8)
    assert chosen("auto", noise) == b""


def test_a_network_has_to_save_what_it_costs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = still_network(*SHAPE[::4])
    model = Model(beside_network(TRAINED.start), network)
    save_model(model, folder / "with-network.safetensors")

    def taken(effort: str) -> bool:
        return choose_predictor(CODES, effort=effort).model is not None

    # Its start alone saves some percent.
    assert [taken(effort) for effort in ("fast", "standard", "best")] == [False, True, True]
    products = network.products()
    for most, gain, expected in (
        (products - 1, 0.0, False),
        (products, 0.0, True),
        (products, 0.9, False),
    ):
        effort = Effort(products=most, gain=gain, whole=False)
        monkeypatch.setitem(EFFORTS, "standard", effort)
        assert taken("standard") == expected
    with pytest.raises(
        ValueError, match=r"^effort must be one of fast, standard, best, not 'more'"
    ):
        nncodec.encode(CODES, effort="more")


def test_best_never_makes_a_container_larger(folder: Path) -> None:
    for name, model in (("trained", TRAINED), ("other", OTHER), ("awful", AWFUL)):
        save_model(model, folder / f"{name}.safetensors")
    for seed in range(4):
        codes = averaged_codes((2, 1, 3, 3, 6), seed=seed)
        sizes = [len(nncodec.encode(codes, model)) for model in ("adaptive", TRAINED, OTHER, AWFUL)]
        assert len(nncodec.encode(codes, effort="best")) <= min(sizes) + 4  # a word of the coder


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
    if codes.size <= limit:  # little is tried as it is
        assert sample.shape == shape
        return
    assert sample.shape[3:] == shape[3:]
    row = math.prod(shape[3:])
    # A row of one layer of one picture is the least that can be tried.
    allowed = min(limit, codes.size / 2 / candidates)
    assert sample.size <= max(row, allowed)
    # As much as is allowed, but for what is less than a picture, or a layer of one, or a row.
    assert sample.size > min(allowed - row, allowed / 4) or sample.size == row
    assert np.isin(sample, codes).all()
    assert_is_in_the_middle(sample[0], shape)


def assert_is_in_the_middle(layer: npt.NDArray[np.int_], shape: tuple[int, ...]) -> None:
    """A part of the first layer of numbered bits has adjacent rows of adjacent pictures."""
    batch, height, row = shape[1], shape[2], math.prod(shape[3:])
    begins = layer[:, :, 0, 0]
    assert (np.diff(begins, axis=0) == height * row).all()
    assert (np.diff(begins, axis=1) == row).all()
    picture, above = divmod(int(begins[0, 0]) // row, height)
    assert abs(2 * picture + begins.shape[0] - batch) <= 1
    assert abs(2 * above + begins.shape[1] - height) <= 1


# --- sequences ---------------------------------------------------------------------------------


def film(shape: tuple[int, ...], seed: int, flipped: float = 0.02) -> Codes:
    """Frames, each of which is the one before with a share of its bits flipped."""
    frames = np.repeat(averaged_codes((shape[0], 1, *shape[2:]), seed=seed), shape[1], axis=1)
    flips = np.random.default_rng(seed).random(shape) < flipped
    flips[:, 0] = False
    return frames ^ (np.cumsum(flips, axis=1) % 2).astype(np.uint8)


SHAPES = [(1, 2, 20, 20, 8), (2, 12, 12, 12, 8), (3, 9, 16, 14, 6), (1, 200, 2, 3, 16)]
LARGE_SHAPE = (1, 20, 40, 60, 12)
"""Its pictures are more than a sample has, and larger."""


@pytest.mark.parametrize("shape", [*SHAPES, LARGE_SHAPE])
def test_frames_that_resemble_each_other_are_taken_for_a_sequence(shape: tuple[int, ...]) -> None:
    for seed in range(3):
        for flipped in (0.0, 0.02, 0.1):
            codes = film(shape, seed, flipped)
            assert choose_predictor(codes, "adaptive") == Predictor(None, sequence=True)
            assert not choose_predictor(codes[:, :1], "adaptive").sequence  # one picture is none
    assert nncodec.read_header(nncodec.encode(codes)).sequence


@pytest.mark.parametrize("shape", [*SHAPES, LARGE_SHAPE])
def test_pictures_that_have_nothing_to_do_with_each_other_are_no_sequence(
    shape: tuple[int, ...],
) -> None:
    for seed in range(3):
        random = np.random.default_rng(seed)
        for codes in (
            averaged_codes(shape, seed=seed),
            averaged_codes(shape, seed=seed, bias=0.5),  # bits of a channel are alike everywhere
            random.integers(0, 2, shape, dtype=np.uint8),
            np.zeros(shape, dtype=np.uint8),
        ):
            assert choose_predictor(codes, "adaptive") == Predictor(None, sequence=False)
    assert not nncodec.read_header(nncodec.encode(codes)).sequence


@pytest.mark.parametrize("sequence", [False, True])
def test_a_sequence_is_what_was_asked_for(sequence: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for codes in (film((2, 5, 8, 8, 6), 0), averaged_codes((2, 5, 8, 8, 6), seed=0), CODES):
        data = nncodec.encode(codes, sequence=sequence)
        assert nncodec.read_header(data).sequence == sequence
        np.testing.assert_array_equal(nncodec.decode(data), codes)
    monkeypatch.setattr(model_choice, "code_lengths", None)  # nothing is tried
    assert choose_predictor(codes, OTHER, sequence) == Predictor(OTHER, sequence)


@pytest.mark.parametrize("bits", [100, 10_000])
def test_a_sequence_has_to_save_more_than_it_can_cost(
    bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving = 0.0

    def lengths(codes: Codes, *, sequence: bool) -> npt.NDArray[np.float64]:
        return np.array([bits * (1 - saving if sequence else 1)])

    monkeypatch.setattr(model_choice, "code_lengths", lengths)
    codes = averaged_codes((2, 5, 8, 8, 6), seed=0)
    for saving in (-0.1, 0.0, 0.9 * SEQUENCE_GAIN, 1.1 * SEQUENCE_GAIN, 0.5):
        chosen = choose_predictor(codes, "adaptive", threads=2).sequence
        assert chosen == (saving > SEQUENCE_GAIN and saving * bits > SEQUENCE_BITS)


@given(
    st.tuples(*(st.integers(1, most) for most in (4, 40, 20, 20, 8))),
    st.sampled_from([50, 3000, SAMPLE_BITS]),
)
def test_a_sequence_is_tried_on_adjacent_rows_of_adjacent_pictures(
    shape: tuple[int, ...], limit: int
) -> None:
    codes = np.arange(np.prod(shape)).reshape(shape)
    samples: list[Codes] = []

    def keep(sample: Codes, *, sequence: bool) -> npt.NDArray[np.float64]:
        samples.append(sample)
        return np.ones(1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_choice, "SAMPLE_BITS", limit)
        patch.setattr(model_choice, "code_lengths", keep)
        choose_predictor(codes, "adaptive")  # type: ignore[arg-type]
    batch, height = shape[1:3]
    if batch == 1:
        assert not samples
        return
    first, second = samples
    np.testing.assert_array_equal(first, second)
    layers, frames, rows, *_ = first.shape
    assert layers == 1
    assert first.shape[3:] == shape[3:]
    assert frames >= min(batch, SAMPLE_FRAMES)
    row = math.prod(shape[3:])
    assert first.size <= max(limit, frames * row)
    # All pictures and rows, or as many as are allowed.
    assert frames in (batch, SAMPLE_FRAMES) or (frames + 1) * row * height > limit
    assert rows == height or (rows + 1) * frames * row > limit
    assert_is_in_the_middle(first[0], shape)


def test_models_are_tried_as_what_the_pictures_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(TRAINED, folder / "trained.safetensors")
    tried: list[tuple[bool, bool]] = []

    def keep(
        codes: Codes, *, model: Model | None = None, sequence: bool
    ) -> npt.NDArray[np.float64]:
        tried.append((model is not None, sequence))
        return code_lengths(codes, model=model, sequence=sequence)

    def keep_too(codes: Codes, model: Model | None, each: Any, *, sequence: bool) -> None:
        tried.append((model is not None, sequence))
        traverse_known(codes, model, each, sequence=sequence)

    monkeypatch.setattr(model_choice, "code_lengths", keep)
    monkeypatch.setattr(model_choice, "traverse_known", keep_too)
    codes = film((2, 12, 16, 14, 6), 0)
    for sequence in (False, True):
        tried.clear()
        choose_predictor(codes, sequence=sequence)
        assert sorted(tried) == [(False, sequence), (True, sequence)]
    tried.clear()
    assert choose_predictor(codes).sequence
    assert sorted(tried) == [(False, False), (False, True), (False, True), (True, True)]


@pytest.mark.parametrize("layers", [1, 2])
def test_what_is_expected_of_a_part(layers: int) -> None:
    codes = film((2, 12, 16, 14, 6), 0)
    part = codes[:layers, 4:7]
    whole = code_lengths(part).sum()
    assert model_choice._expected_length(part, part.shape, None, sequence=False) == pytest.approx(
        whole
    )
    # What comes after is expected to be as the second half, in which more is learned.
    expected = model_choice._expected_length(part, codes.shape, None, sequence=False)
    assert expected < whole * codes.size / part.size
    one = codes[:1, :1, :1, :1]
    assert model_choice._expected_length(one, codes.shape, None, sequence=False) > 0


def test_a_model_is_read_once_until_it_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def keep(path: Path) -> Model:
        read.append(path)
        return read_model(path)

    monkeypatch.setattr("nncodec.files.model_files.read_model", keep)
    path = folder / "trained.safetensors"
    save_model(TRAINED, path)
    for _ in range(3):
        nncodec.encode(CODES)
    assert read == [path]
    os.utime(path, ns=(0, 0))
    nncodec.encode(CODES)
    assert read == [path, path]
    data = path.read_bytes()
    path.write_bytes(data[:-9])
    with pytest.warns(UserWarning, match=r"trained.safetensors: damaged, .*; it is not tried"):
        nncodec.encode(CODES)


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
    assert refusal(data) == f"{needed}; {where}; give it with --model, in Python model="

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
    return pack(Container(header, container.parts, model))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (pack_embedded(TRAINED), "the file holds another model than it names; "),
        (pack_embedded(OTHER)[:-1], "the model in the file does not end where "),
        (
            pack_embedded(OTHER) + b"x",
            "the model in the file does not end where ",
        ),
        (b"x" * 50, "the model in the file cannot be unpacked; the file is damaged"),
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
        "the model in the file does not end where "
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
