"""Models: parts that fit each other, and an id that every number of theirs decides."""

import hashlib
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import nncodec
from nncodec.coding.codec import code_lengths, decode_container, encode_source
from nncodec.errors import ModelError
from nncodec.format.container import read_container
from nncodec.format.source import Source
from nncodec.model.adaptive.start import untrained
from nncodec.model.model import Model
from nncodec.model.network.integer_network import make_network
from nncodec.model.network.operations import Head, Tap
from nncodec.training.start_fitting import fit_start
from tests.sample_networks import random_network
from tests.samples import averaged_codes, random_model

MODEL = random_model(3, 6, seed=4)
assert MODEL.network
NETWORK = MODEL.network


def test_a_model_knows_what_it_fits() -> None:
    assert (MODEL.layers, MODEL.channels) == (3, 6)
    assert MODEL.fits(1, 6)
    assert MODEL.fits(3, 6)
    assert not MODEL.fits(4, 6)
    assert not MODEL.fits(3, 5)
    assert not MODEL.fits(3, 7)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"network": None}, "the start of the adaptive stage is not one for this network"),
        ({"start": untrained(3, 6)}, "the start of the adaptive stage is not one for this network"),
        (
            {"start": untrained(2, 6, with_network=True)},
            "the network has 3 layers of 6 bits, the start 2 of 6",
        ),
        (
            {"network": random_network(3, 5, 0)},
            "the network has 3 layers of 5 bits, the start 3 of 6",
        ),
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(fields: Any, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        replace(MODEL, **fields)
    assert str(caught.value) == message


def test_the_id_is_the_hash_of_every_number() -> None:
    start = untrained(1, 2)
    text = hashlib.sha256(b"nncodec model 1")
    for name, form in (
        ("around", "\n<i2 [1, 2, 15, 2]\n"),
        ("half_lives", "\n<i4 [1, 4]\n"),
        ("mixers", "\n<i4 [1, 2, 6]\n"),
        ("rates", "\n<i4 [1, 10]\n"),
        ("sets", "\n<i4 [1, 6]\n"),
        ("shared", "\n<i2 [1, 31]\n"),
        ("units", "\n<i2 [1, 2, 7]\n"),
    ):
        text.update(f"\nstart.{name} {form.strip()}\n".encode())
        array = getattr(start, name)
        text.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    assert Model(start).model_id == text.digest()[:8]


def test_the_id_depends_on_every_array() -> None:
    ids = {MODEL.model_id}
    for name in MODEL.start.arrays():
        array = getattr(MODEL.start, name).copy()
        array.flat[-1] += 1 if array.flat[-1] <= 0 or name == "half_lives" else -1
        ids.add(replace(MODEL, start=replace(MODEL.start, **{name: array})).model_id)
    for name, given in NETWORK.arrays().items():
        array = given.copy()
        index = tuple(np.argwhere(array)[-1])  # where a weight may be
        array[index] += -1 if array[index] > 0 else 1
        network = make_network(NETWORK.sizes(), NETWORK.arrays() | {name: array})
        ids.add(replace(MODEL, network=network).model_id)
    assert len(ids) == 1 + 7 + len(NETWORK.arrays())


def test_the_id_depends_on_what_is_no_array() -> None:
    *others, head = NETWORK.operations
    assert isinstance(head, Head)
    for changed in (
        replace(head, limit=9),
        replace(head, activation="relu"),
        replace(head, taps=(Tap(1, 0, 0, 0, 0), head.taps[1])),
    ):
        network = replace(NETWORK, operations=(*others, changed))
        assert replace(MODEL, network=network).model_id != MODEL.model_id


def test_the_id_depends_on_nothing_else() -> None:
    assert replace(MODEL, facts={"made": "elsewhere"}).model_id == MODEL.model_id
    arrays = {name: np.asfortranarray(array) for name, array in NETWORK.arrays().items()}
    network = make_network(NETWORK.sizes(), arrays)
    assert replace(MODEL, network=network).model_id == MODEL.model_id
    assert random_model(3, 6, seed=4).model_id == MODEL.model_id
    assert random_model(3, 6, seed=5).model_id != MODEL.model_id


@pytest.mark.parametrize("shape", [(4, 1, 3, 3, 6), (1, 1, 3, 3, 5)])
def test_codes_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    codes = averaged_codes(shape, seed=0)
    for function in (nncodec.encode, code_lengths):
        with pytest.raises(ModelError) as caught:
            function(codes, model=MODEL)
        assert str(caught.value) == (
            f"the model is for up to 3 layers of 6 bits, the codes have {shape[0]} of {shape[-1]}; "
            "use another, or adaptive"
        )


@pytest.mark.parametrize("network", [False, True])
def test_fewer_layers_are_coded_with_a_model_of_more(network: bool) -> None:
    model = random_model(4, 6, network=network)
    codes = averaged_codes((3, 2, 9, 11, 6), seed=0)
    data = nncodec.encode(codes, model=model)
    np.testing.assert_array_equal(nncodec.decode(data, model=model), codes)
    np.testing.assert_array_equal(nncodec.decode(data, model=model, layers=2), codes[:2])
    assert data != nncodec.encode(codes, model="adaptive")


def test_a_model_that_knows_the_codes_makes_them_smaller() -> None:
    """It starts from what another file has taught."""
    files = [averaged_codes((2, 1, 16, 16, 6), seed=seed) for seed in range(3)]
    model = Model(fit_start(files[:2], 2))
    trained, plain = (code_lengths(files[2], model=one).sum() for one in (model, None))
    assert trained < plain


def test_containers_name_their_model_and_take_no_other() -> None:
    codes = averaged_codes((3, 1, 9, 8, 6), seed=0)
    other = random_model(3, 6, seed=5)
    encoded = encode_source(codes, Source(), model=MODEL)
    assert encoded.header.model_id == MODEL.model_id
    container = read_container(io.BytesIO(encoded.data))
    for wrong, given in ((None, "adaptive"), (other, other.model_id.hex())):
        with pytest.raises(ModelError) as caught:
            decode_container(container, model=wrong)
        needed = MODEL.model_id.hex()
        assert str(caught.value) == f"the file needs model {needed}, not {given}; give that one"
    plain = read_container(io.BytesIO(nncodec.encode(codes, model="adaptive")))
    with pytest.raises(ModelError, match=r"^the file needs model adaptive, not [0-9a-f]{16}; give"):
        decode_container(plain, model=MODEL)
