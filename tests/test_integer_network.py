"""The integer network: its logits, as the adaptive stage gets them, bit after bit."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncodec.errors import ModelError
from nncodec.format import limits
from nncodec.format.extent import Extent
from nncodec.model.adaptive.start import MIXER_BITS, untrained
from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.model.network.operations import (
    BIT_ONE,
    CELL_BITS,
    SCALE_BITS,
    VALUE_BITS,
    VALUE_LIMIT,
    Convolve,
    Head,
    Tap,
)
from nncodec.model.network.planes import make_network_stage
from nncodec.model.schedule import Schedule
from tests.reference_network import ReferenceNetwork
from tests.reference_numbers import frequency_of
from tests.sample_networks import (
    NetworkMaker,
    causal_network,
    lagging_network,
    random_network,
    still_network,
)
from tests.samples import frequencies_of, plain_network, steps_of

Codes = npt.NDArray[np.uint8]
Shape = tuple[int, int, int, int, int]
Frequencies = npt.NDArray[np.int32]

ONE_BIT = np.zeros((1, 1, 1, 1, 1), dtype=np.uint8)


def said_by(network: IntegerNetwork, codes: Codes, *, sequence: bool = False) -> Frequencies:
    """What a network alone says of every bit: the frequencies of its logits."""
    start = untrained(network.layers, network.channels, with_network=True)
    mixers = np.zeros_like(start.mixers)
    mixers[..., -1] = 1 << MIXER_BITS
    start = replace(start, mixers=mixers, rates=start.rates * 0)
    return frequencies_of(codes, start, network, sequence=sequence)


def reference_of(network: IntegerNetwork, codes: Codes, *, sequence: bool) -> ReferenceNetwork:
    """The reference of a network, which knows the codes."""
    places = codes.reshape(-1, codes.shape[-1]).astype(int) * 2 - 1
    signs = dict(zip(np.ndindex(codes.shape[:4]), places.tolist(), strict=True))
    plain = plain_network(network)
    assert plain
    _, pictures, rows, columns, _ = codes.shape
    return ReferenceNetwork(plain, signs, [(rows, columns)] * pictures, sequence=sequence)


def assert_logits_are_the_references(
    network: IntegerNetwork, codes: Codes, *, sequence: bool = False
) -> Frequencies:
    reference = reference_of(network, codes, sequence=sequence)
    found = said_by(network, codes, sequence=sequence)
    for (*place, channel), frequency in np.ndenumerate(found):
        layer, picture, row, column = place
        logit = reference.logit((layer, picture, row, column), channel)
        assert frequency == frequency_of(logit), (place, channel)
    return found


def random_codes(shape: Shape, seed: int = 0) -> Codes:
    return np.random.default_rng(seed).integers(0, 2, shape, dtype=np.uint8)


seeds = st.integers(0, 2**32 - 1)


@st.composite
def networks(draw: st.DrawFn, layers: int, channels: int) -> IntegerNetwork:
    layers += draw(st.integers(0, 2))
    return random_network(
        layers, channels, draw(seeds), gain=draw(st.sampled_from([0.1, 1.0, 20.0]))
    )


@st.composite
def shapes(draw: st.DrawFn, most_bits: int = 300) -> Shape:
    sizes = [draw(st.integers(1, most)) for most in (5, 3, 12, 14, 9)]
    for axis in draw(st.permutations(range(5))):
        sizes[axis] = max(1, min(sizes[axis], most_bits * sizes[axis] // int(np.prod(sizes))))
    layers, batch, height, width, channels = sizes
    return layers, batch, height, width, channels


@given(shapes(), st.data(), seeds, st.booleans())
def test_logits_are_those_of_the_reference_network(
    shape: Shape, data: st.DataObject, seed: int, sequence: bool
) -> None:
    network, codes = data.draw(networks(shape[0], shape[4])), random_codes(shape, seed)
    assert_logits_are_the_references(network, codes, sequence=sequence)


@pytest.mark.parametrize(
    "shape",
    [
        (3, 2, 5, 6, 5),
        (3, 2, 19, 3, 2),  # rows go round the rings
        (2, 2, 1, 40, 3),  # positions come together
        (2, 1, 40, 1, 3),
        (2, 1, 2, 2, 70),  # two blocks
        (1, 1, 1, 2, 131),
    ],
)
@pytest.mark.parametrize("sequence", [False, True])
def test_logits_of_special_networks_are_those_of_the_reference_network(
    shape: Shape, sequence: bool
) -> None:
    layers, channels, codes = shape[0], shape[4], random_codes(shape)
    made = [causal_network(layers, channels, rows=rows) for rows in (1, 2, 3)]
    made += [causal_network(layers + 1, channels), still_network(layers, channels)]
    made += [lagging_network(layers, channels, rows=rows) for rows in (0, 3)]
    for network in made:
        assert_logits_are_the_references(network, codes, sequence=sequence)


def test_networks_of_tests_say_many_different_things() -> None:
    """Else the tests would show little."""
    said = said_by(causal_network(3, 5), random_codes((3, 2, 5, 6, 5)))
    assert len(np.unique(said)) > 500
    networks = [random_network(3, 5, seed) for seed in range(60)]
    assert {network.rows_below for network in networks} == {0, 1, 2, 3}
    forms = [form for network in networks for form in network.sizes()["operations"]]
    for key in ("operation", "activation", "earlier", "over"):
        values = {form[key] for form in forms if key in form}
        assert len(values) == {"earlier": 2, "over": 2}.get(key, 3)
    taps = [Tap(*tap) for form in forms for tap in form.get("taps", [])]
    assert any(tap.plane and tap.layers for tap in taps)
    assert any(tap.frames for tap in taps)
    assert sum(form.get("skip", 0) > 0 for form in forms) > 10


@given(shapes(), st.data(), seeds)
def test_fewer_layers_and_pictures_alone_have_the_same_logits(
    shape: Shape, data: st.DataObject, seed: int
) -> None:
    network, codes = data.draw(networks(shape[0], shape[4])), random_codes(shape, seed)
    said = said_by(network, codes)
    layers = data.draw(st.integers(1, shape[0]))
    np.testing.assert_array_equal(said_by(network, codes[:layers]), said[:layers])
    picture = data.draw(st.integers(0, shape[1] - 1))
    alone = said_by(network, codes[:, picture : picture + 1])
    np.testing.assert_array_equal(alone, said[:, picture : picture + 1])


@pytest.mark.parametrize("sequence", [False, True])
def test_no_bit_changes_a_logit_at_or_before_it(sequence: bool) -> None:
    shape = (2, 2, 3, 4, 3)
    step, codes = steps_of(shape), random_codes(shape)
    for network in (causal_network(2, 3), random_network(2, 3, 1), lagging_network(2, 3)):
        said, moved = said_by(network, codes, sequence=sequence), 0
        for bit in np.ndindex(shape):
            codes[bit] ^= 1
            changed = said_by(network, codes, sequence=sequence) != said
            codes[bit] ^= 1
            assert not changed[step <= step[bit]].any()
            moved += changed.any()
        assert moved > 20


# --- what operations compute -------------------------------------------------------------------


def with_operation(network: IntegerNetwork, number: int, **arrays: Any) -> IntegerNetwork:
    """The network with other arrays of an operation; a number fills them."""
    operations = list(network.operations)
    one: Any = operations[number]
    full = {
        name: np.full_like(getattr(one, name), value) if isinstance(value, int) else value
        for name, value in arrays.items()
    }
    operations[number] = replace(one, **full)
    return replace(network, operations=tuple(operations))


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
def test_activations_are_rounded_functions(activation: str) -> None:
    maker = NetworkMaker(1, 1, 0, gain=0)
    plane = maker.convolve(1, activation=activation)
    network = maker.head(units=0, skip=plane)
    for value in (*range(-4000, 4001, 331), 1, -1):
        said = said_by(with_operation(network, 0, shift=value << SCALE_BITS), ONE_BIT).item()
        if activation == "tanh":
            logit = round(BIT_ONE * np.tanh(value / BIT_ONE))
            assert said in [frequency_of(logit + more) for more in (-1, 0, 1)]
        else:
            least = 0 if activation == "relu" else -VALUE_LIMIT
            assert said == frequency_of(min(max(value, least), VALUE_LIMIT))


def test_an_lstm_is_nearly_that_of_real_numbers() -> None:
    codes = random_codes((3, 1, 12, 1, 4))
    for over in ("rows", "layers"):
        maker = NetworkMaker(3, 4, 0)
        taps = [(0, 0, 1, 0, 0), *([(2, 0, 1, 0, 0)] if over == "layers" else [])]
        gates = maker.convolve(16, *taps, activation="linear")
        network = maker.head(units=0, skip=maker.lstm(gates, over))
        reference = reference_of(network, codes, sequence=False)
        cells = np.zeros(4)
        steps = [(2, 0, row, 0) for row in range(12)]
        if over == "layers":
            steps = [(layer, 0, 5, 0) for layer in range(3)]
        for place in steps:
            f, a, g, e = np.reshape(reference.numbers(gates, place), (4, 4)) / BIT_ONE
            cells = cells / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-a))
            output = np.tanh(cells) / (1 + np.exp(-e))
            found = np.array(reference.numbers(gates + 1, place)) / (1 << VALUE_BITS)
            kept = np.array(reference.numbers(gates + 2, place)) / (1 << CELL_BITS)
            np.testing.assert_allclose(found, output, atol=0.01)
            np.testing.assert_allclose(kept, cells, atol=0.01)


# --- no overflow -------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("name", ["convolve", "head"])
def test_sums_at_the_limit_are_exact_and_above_it_refused(name: str, sign: int) -> None:
    """127 * 3072 * 5504 is just below 2^31."""
    for more in (0, 1):
        maker = NetworkMaker(1, 1, 0, gain=0)
        planes = [maker.convolve(width, activation="relu") for width in (1024, 384 + more)]
        taps = [(planes[number], 0, 0, 0, 0) for number in (0, 0, 0, 0, 0, 1)]
        if name == "convolve":
            network = maker.head(units=0, skip=maker.convolve(1, *taps, activation="linear"))
        else:
            network = maker.head(*taps, units=0)
        for plane in (0, 1):
            network = with_operation(network, plane, shift=4000 << SCALE_BITS)
        if more:
            with pytest.raises(ModelError, match=r"the weights are too large"):
                with_operation(network, 2, weights=sign * 127)
        else:
            network = with_operation(network, 2, weights=sign * 127, scale=10)
            (frequency,) = assert_logits_are_the_references(network, ONE_BIT).ravel()
            assert frequency == frequency_of(sign * 1280)


@pytest.mark.parametrize("sign", [-1, 1])
def test_scaled_sums_at_the_limit_are_exact_and_above_it_refused(sign: int) -> None:
    """Largest scales, and shifts that with all that is added are just below 2^62."""
    codes, small, most = random_codes((2, 1, 3, 4, 3)), causal_network(2, 3), (1 << 31) - 1
    for number, one in enumerate(small.operations):
        if not isinstance(one, Convolve):
            continue
        seen = [small.planes[tap.plane] for tap in one.taps]
        largest = [plane.largest for plane in seen for _ in range(plane.width)]
        largest += [BIT_ONE] * (one.earlier * 3)
        sums = np.abs(one.weights.astype(object)) @ np.array(largest, dtype=object)
        skipped = small.planes[one.skip].largest << SCALE_BITS if one.skip else 0
        room = (1 << 62) - 1 - sums.max() * most - skipped
        network = with_operation(small, number, scale=sign * most, shift=sign * room)
        assert_logits_are_the_references(network, codes)
        with pytest.raises(ModelError, match=r"the scales are too large"):
            with_operation(small, number, scale=sign * most, shift=sign * (room + 1))


@pytest.mark.parametrize("sign", [-1, 1])
def test_scaled_sums_of_a_head_are_exact_or_refused(sign: int) -> None:
    """Its units and its logits, of which each has two sums."""
    codes, small, most = random_codes((1, 1, 3, 4, 2)), NetworkMaker(1, 2, 0), (1 << 31) - 1
    network = small.head((0, 0, 0, 0, -1), units=1, activation="relu")
    head = network.operations[0]
    assert isinstance(head, Head)

    def most_of(weights: Any, largest: int) -> Any:
        return np.abs(weights.astype(object)).sum(axis=-1) * largest

    units = most_of(head.unit_weights, BIT_ONE) + most_of(head.unit_lower, BIT_ONE)
    room = (1 << 62) - 1 - most * units.max()
    network = with_operation(network, 0, unit_scale=sign * most, unit_shift=sign * room)
    with pytest.raises(ModelError, match=r"the scales are too large"):
        with_operation(network, 0, unit_shift=-sign * (room + 1))
    logits = most_of(head.weights, BIT_ONE) + most_of(head.lower, BIT_ONE)
    logits = logits + most_of(head.output, VALUE_LIMIT)
    room = (1 << 62) - 1 - most * logits.max()
    scales = {"scale": sign * most, "output_scale": -sign * most}
    network = with_operation(network, 0, **scales, shift=sign * room)
    assert_logits_are_the_references(network, codes)
    with pytest.raises(ModelError, match=r"the scales are too large"):
        with_operation(network, 0, shift=sign * (room + 1))


# --- memory ------------------------------------------------------------------------------------


def test_planes_that_take_too_much_memory_are_refused() -> None:
    network = causal_network(2, 3)
    of_position = 2 * sum(plane.width for plane in network.planes[1:])
    width = limits.MAX_PLANE_BYTES // of_position // 4
    squash = np.zeros(1, dtype=np.int32)
    with pytest.raises(ModelError, match=r"^the network would keep \d+ bytes for codes of this"):
        make_network_stage(network, Schedule(Extent.of_shape((2, 1, 2, width, 3))), squash)


def test_what_goes_from_layer_to_layer_counts_for_memory() -> None:
    maker = NetworkMaker(2, 1, 0)
    gates = maker.convolve(4 * 64, (0, 0, 1, 0, 0))
    maker.lstm(gates, "layers")
    schedule = Schedule(Extent.of_shape((2, 1, limits.MAX_POSITIONS // 64, 64, 1)))
    with pytest.raises(ModelError, match=r"the network would keep"):
        make_network_stage(maker.head(), schedule, np.zeros(1, dtype=np.int32))
