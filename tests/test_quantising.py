"""Networks in integers say what they say in floats."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from nncodec.coding.codec import code_lengths, decode_container, encode_source, traverse_known
from nncodec.coding.segments import CodedSegment
from nncodec.errors import ModelError
from nncodec.format.code_tensor import Codes, mark_absent
from nncodec.format.container import read_container
from nncodec.format.source import Source
from nncodec.model.adaptive.start import untrained
from nncodec.model.model import Model
from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.model.packing import pack_model
from nncodec.training.code_length import code_lengths_of_network
from nncodec.training.networks.network import Network
from nncodec.training.networks.original_weights import load_original_weights
from nncodec.training.networks.registry import make_network
from nncodec.training.start_fitting import beside_network, of_network_alone
from tests.reference_decoder import decode
from tests.samples import averaged_codes
from tests.test_networks import LOOK_AHEAD, network

every_network = pytest.mark.parametrize("name", LOOK_AHEAD)


def lengths_of_integers(
    integers: IntegerNetwork, codes: Codes, sequence: bool = False
) -> npt.NDArray[np.float64]:
    """The code length of every layer under a network alone."""
    model = Model(of_network_alone(integers), integers)
    return code_lengths(codes, model=model, sequence=sequence)


def trained(name: str, codes: Codes, **words: int) -> Network:
    """A network after some steps on codes, so that its logits are worth something."""
    made = network(name, **words).float()
    optimiser = torch.optim.Adam(made.parameters(), lr=0.01)
    signs = torch.from_numpy(codes).float() * 2 - 1
    inputs = signs.permute(1, 2, 3, 0, 4).flatten(3)
    before = torch.cat([torch.zeros_like(inputs[:1]), inputs[:-1]])
    for _ in range(15):
        optimiser.zero_grad()
        torch.autograd.backward(made.code_length(inputs, frame_before=before).sum() / codes.size)
        optimiser.step()
    return made.eval()


@every_network
def test_integers_take_as_many_bits_as_floats(name: str) -> None:
    codes = averaged_codes((3, 2, 12, 11, 2), seed=3)
    made = trained(name, codes)
    floats = code_lengths_of_network(made, codes)
    assert floats.sum() < 0.97 * codes.size
    integers = lengths_of_integers(made.quantise(), codes)
    np.testing.assert_allclose(integers.sum(), floats.sum(), rtol=0.003)
    np.testing.assert_allclose(integers, floats, rtol=0.01)


@every_network
def test_integers_see_of_positions_that_end_early_what_floats_see(name: str) -> None:
    codes = averaged_codes((3, 2, 12, 11, 2), seed=3)
    made = trained(name, codes)
    row, column = np.indices((2, 12, 11))[1:]
    marked = mark_absent(codes, np.minimum((row + 2 * column) // 7, 3))
    lengths: list[float] = []

    def keep(segment: CodedSegment) -> None:
        lengths.extend(CodedSegment(segment.codes, segment.frequencies).code_lengths())

    integers = made.quantise()
    traverse_known(marked, Model(of_network_alone(integers), integers), keep)
    floats = code_lengths_of_network(made, marked)
    np.testing.assert_allclose(sum(lengths), floats.sum(), rtol=0.003)
    np.testing.assert_allclose(lengths, floats, rtol=0.01)
    # What is 0 in both would be 0 in neither if one of them took it for a bit.
    assert abs(floats.sum() / code_lengths_of_network(made, codes).sum() - 1) > 0.1


def frames(shape: tuple[int, ...], seed: int) -> Codes:
    """Codes of which four bits of five are those of the frame before."""
    random = np.random.default_rng(seed)
    codes = averaged_codes(shape, seed)
    for frame in range(1, shape[1]):
        kept = random.random(codes[:, 0].shape) < 0.8
        codes[:, frame] = np.where(kept, codes[:, frame - 1], codes[:, frame])
    return codes


@pytest.mark.parametrize("name", ["residual-64", "residual-112"])
@pytest.mark.parametrize("covered", [False, True])
def test_integers_see_of_the_frame_before_what_floats_see(name: str, covered: bool) -> None:
    codes = frames((3, 3, 12, 11, 2), seed=5)
    made = trained(name, codes, frame_before=True)
    if covered:
        picture, row, column = np.indices((3, 12, 11))
        codes = mark_absent(codes, np.minimum((row + 2 * column + 5 * picture) // 7, 3))
    integers = made.quantise()
    alone = Model(of_network_alone(integers), integers)
    lengths: list[float] = []

    def keep(segment: CodedSegment) -> None:
        lengths.extend(CodedSegment(segment.codes, segment.frequencies).code_lengths())

    traverse_known(codes, alone, keep, sequence=True)
    floats = code_lengths_of_network(made, codes, sequence=True)
    np.testing.assert_allclose(sum(lengths), floats.sum(), rtol=0.003)
    np.testing.assert_allclose(lengths, floats, rtol=0.01)
    apart = code_lengths_of_network(made, codes)
    assert floats.sum() < 0.95 * apart.sum()
    if not covered:
        np.testing.assert_allclose(lengths_of_integers(integers, codes), apart, rtol=0.01)
        one = lengths_of_integers(integers, codes[:, :1], sequence=True)
        np.testing.assert_allclose(one, code_lengths_of_network(made, codes[:, :1]), rtol=0.01)


def test_a_network_that_sees_the_frame_before_codes_sequences_and_other_pictures() -> None:
    codes = frames((2, 3, 4, 5, 2), seed=6)
    integers = trained("residual-64", codes, frame_before=True).quantise()
    model = Model(beside_network(untrained(3, 2)), integers)
    for sequence in (True, False):
        data = encode_source(codes, Source(), model=model, sequence=sequence).data
        with io.BytesIO(data) as stream:
            assert np.array_equal(decode_container(read_container(stream), model=model), codes)
        reference = decode(data, model=pack_model(model))
        assert reference.sequence == sequence
        assert reference.bits == codes.ravel().tolist()


@every_network
def test_fewer_layers_take_the_same_bits(name: str) -> None:
    codes = averaged_codes((3, 1, 5, 6, 2), seed=4)
    integers = network(name).quantise()
    whole = lengths_of_integers(integers, codes)
    np.testing.assert_array_equal(lengths_of_integers(integers, codes[:2]), whole[:2])


def test_the_originals_weights_take_as_many_bits_in_integers() -> None:
    with np.load(Path(__file__).parent / "data" / "progressive_reference.npz") as file:
        arrays = {name: file[name] for name in file.files}
    made = make_network("progressive", {"layer_depth": 2, "layer_count": 8})
    prefix = "variables/"
    variables = {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    load_original_weights(made, variables)  # type: ignore[arg-type]  # it is a progressive one
    bits = (arrays["codes"] > 0).astype(np.uint8)
    codes = np.ascontiguousarray(np.moveaxis(bits.reshape(*bits.shape[:3], 4, 2), 3, 0))
    rates = lengths_of_integers(made.quantise(), codes) / codes[0].size
    np.testing.assert_allclose(rates, arrays["code_length_per_layer"], rtol=0.003)


@every_network
def test_weights_beyond_the_integers_are_refused(name: str) -> None:
    made = network(name)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(1e9)
    with pytest.raises(
        ModelError, match=r"^a weight is too large for the integer form; train with"
    ):
        made.quantise()
