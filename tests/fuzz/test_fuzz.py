"""Damage of every kind either changes nothing or is refused in one line."""

import contextlib
from collections.abc import Iterator
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nncodec
from nncodec.errors import BitstreamError, ModelError, TruncatedError
from nncodec.files.model_files import read_model
from nncodec.format.code_tensor import mark_absent
from nncodec.model.model import Model
from nncodec.model.packing import pack_model, unpack_model
from tests.fuzz.mutations import forged, good_files, mutation
from tests.fuzz.targets import TARGETS, models
from tests.golden import ROOT, arrays_of
from tests.samples import random_model

SMALL_BYTES = 130
"""Golden files with more are flipped bit by bit in a slow test: some take minutes."""

CASES = sorted(path.parent.name for path in ROOT.glob("*/bitstream.bin"))
FILES = {case: (ROOT / case / "bitstream.bin").read_bytes() for case in CASES}
SMALL = [case for case in CASES if len(FILES[case]) <= SMALL_BYTES]
MANY = sorted(path.parent.name for path in ROOT.glob("*/codes.npz"))
MODELS = sorted(path.parent.name for path in ROOT.glob("*/model.safetensors"))

targets = pytest.mark.parametrize("target", TARGETS)


@targets
@settings(max_examples=300)
@given(number=st.integers(0, (1 << 64) - 1))
def test_mutations(target: str, number: int) -> None:
    TARGETS[target](mutation(Random(number), target))


@targets
def test_good_files_and_what_was_kept_of_earlier_runs(target: str) -> None:
    outcomes = {TARGETS[target](data) for data in good_files(target)}
    assert outcomes & {"decoded", "coded", "read"}


def test_what_is_forged_may_be_a_sequence() -> None:
    found = set()
    for number in range(40):
        with contextlib.suppress(BitstreamError):
            header = nncodec.read_header(forged(Random(number), "forged"))
            found.add((header.sequence, header.extent.pictures > 1))
    assert found == {(True, True), (True, False), (False, True), (False, False)}


# --- every one of them: containers -------------------------------------------------------------


def decode(data: bytes, layers: int | None = None) -> np.ndarray:
    header = nncodec.read_header(data)
    model = None if header.embedded_bytes else models().get(header.model_id)
    return mark_absent(*nncodec.decode_covered(data, layers=layers, model=model))


@pytest.mark.parametrize("case", sorted(set(CASES) - set(MANY)))
def test_every_truncation_of_a_container(case: str) -> None:
    data, codes = FILES[case], np.load(ROOT / case / "codes.npy")
    whole = 0
    for size in range(len(data)):
        with pytest.raises(TruncatedError if size else BitstreamError) as caught:
            decode(data[:size])
        held = caught.value.whole_layers if isinstance(caught.value, TruncatedError) else 0
        assert whole <= held < len(codes)
        if held > whole:  # and no byte fewer would do
            np.testing.assert_array_equal(decode(data[:size], held), codes[:held])
            with pytest.raises(TruncatedError):
                decode(data[: size - 1], held)
        whole = held


@pytest.mark.parametrize("case", MANY)
def test_every_truncation_of_a_container_of_many(case: str) -> None:
    data = FILES[case]
    model = models().get(nncodec.read_header(data).model_id)
    for size in range(len(data)):
        with pytest.raises(TruncatedError if size else BitstreamError):
            nncodec.decode_many(data[:size], model=model)


def flips(data: bytes) -> Iterator[bytes]:
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


def check_flipped_bits(case: str) -> None:
    embedded = nncodec.read_header(FILES[case]).embedded_bytes
    model = None if embedded else models().get(nncodec.read_header(FILES[case]).model_id)
    arrays = arrays_of(case)
    for flipped in flips(FILES[case]):
        with contextlib.suppress(BitstreamError):
            decoded = nncodec.decode_many(flipped, model=model)
            assert embedded, "all but some bits of a zlib stream matter"
            for codes, one in zip(arrays, decoded, strict=True):
                np.testing.assert_array_equal(one, codes)


@pytest.mark.parametrize("case", SMALL)
def test_every_flipped_bit_of_a_small_container(case: str) -> None:
    check_flipped_bits(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(set(CASES) - set(SMALL)))
def test_every_flipped_bit_of_a_container(case: str) -> None:
    check_flipped_bits(case)


# --- and models --------------------------------------------------------------------------------


def check_damaged_models(model: Model, data: bytes) -> None:
    for size in range(len(data)):
        with pytest.raises(ModelError, match="; "):
            unpack_model(data[:size])
    for flipped in flips(data):
        with contextlib.suppress(ModelError):
            read = unpack_model(flipped)
            assert (read.model_id, read.facts) == (model.model_id, model.facts)


@pytest.mark.parametrize("network", [False, True], ids=["start", "network"])
def test_every_flipped_bit_and_truncation_of_a_small_model(network: bool) -> None:
    model = random_model(1, 1, network=network)
    check_damaged_models(model, pack_model(model))


@pytest.mark.slow
@pytest.mark.parametrize("case", MODELS)
def test_every_flipped_bit_and_truncation_of_a_model(case: str) -> None:
    path = ROOT / case / "model.safetensors"
    check_damaged_models(read_model(path), path.read_bytes())
