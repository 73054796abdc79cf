"""The integer network: its logits, as the adaptive stage gets them, bit after bit."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nncodec.errors import ModelError
from nncodec.model.adaptive.start import MIXER_BITS, untrained
from nncodec.model.network.integer_network import (
    ACTIVATION_ONE,
    SUM_BITS,
    SUM_LIMIT,
    IntegerNetwork,
    tanh_table,
)
from nncodec.model.network.taps import Taps
from nncodec.training.networks.grouped import Grouped, GroupedConfig
from tests.reference_model import ReferenceNetwork
from tests.reference_numbers import frequency_of
from tests.samples import (
    averaged_codes,
    frequencies_of,
    plain_network,
    random_network,
    steps_of,
)

Codes = npt.NDArray[np.uint8]
Shape = tuple[int, int, int, int, int]
Frequencies = npt.NDArray[np.int32]


def said_by(network: IntegerNetwork, codes: Codes) -> Frequencies:
    """What a network alone says of every bit: the frequencies of its logits."""
    start = untrained(network.layers, network.channels, with_network=True)
    mixers = np.zeros_like(start.mixers)
    mixers[..., -1] = 1 << MIXER_BITS
    return frequencies_of(codes, replace(start, mixers=mixers, rates=start.rates * 0), network)


def assert_logits_are_the_references(network: IntegerNetwork, codes: Codes) -> None:
    places = codes.reshape(-1, codes.shape[-1]).astype(int) * 2 - 1
    signs = dict(zip(np.ndindex(codes.shape[:4]), places.tolist(), strict=True))
    plain = plain_network(network)
    assert plain
    reference = ReferenceNetwork(plain, signs, codes.shape[2:4])
    frequencies = said_by(network, codes)
    for at, frequency in np.ndenumerate(frequencies):
        assert frequency == frequency_of(reference.logit(at)), at


def random_codes(shape: Shape, seed: int = 0) -> Codes:
    return np.random.default_rng(seed).integers(0, 2, shape, dtype=np.uint8)


@st.composite
def networks(draw: st.DrawFn, layers: int, channels: int) -> IntegerNetwork:
    return random_network(
        layers + draw(st.integers(0, 2)),
        channels,
        draw(st.integers(0, 2**32 - 1)),
        group_size=draw(st.integers(1, channels)),
        reach=draw(st.integers(1, 3)),
        earlier_layers=draw(st.integers(0, 4)),
        hidden_of_group=draw(st.integers(1, 5)),
        gain=draw(st.sampled_from([0.1, 1.0, 20.0])),
    )


@st.composite
def shapes(draw: st.DrawFn, most_bits: int = 400) -> Shape:
    sizes = [draw(st.integers(1, most)) for most in (5, 3, 6, 14, 9)]
    for axis in draw(st.permutations(range(5))):
        sizes[axis] = max(1, min(sizes[axis], most_bits * sizes[axis] // int(np.prod(sizes))))
    layers, batch, height, width, channels = sizes
    return layers, batch, height, width, channels


seeds = st.integers(0, 2**32 - 1)


@given(shapes(), st.data(), seeds)
def test_logits_are_those_of_the_reference_network(
    shape: Shape, data: st.DataObject, seed: int
) -> None:
    network, codes = data.draw(networks(shape[0], shape[4])), random_codes(shape, seed)
    assert_logits_are_the_references(network, codes)


@pytest.mark.parametrize(
    ("shape", "group_size"),
    [((1, 1, 2, 2, 70), 35), ((2, 1, 1, 3, 70), 20), ((1, 1, 1, 2, 131), 9)],
)
def test_logits_of_many_channels_are_those_of_the_reference_network(
    shape: Shape, group_size: int
) -> None:
    network = random_network(shape[0], shape[4], 0, group_size=group_size)
    assert_logits_are_the_references(network, random_codes(shape))


@given(shapes(), st.data(), seeds)
def test_fewer_layers_and_pictures_alone_have_the_same_logits(
    shape: Shape, data: st.DataObject, seed: int
) -> None:
    network, codes = data.draw(networks(shape[0], shape[4])), random_codes(shape, seed)
    frequencies = said_by(network, codes)
    layers = data.draw(st.integers(1, shape[0]))
    np.testing.assert_array_equal(said_by(network, codes[:layers]), frequencies[:layers])
    picture = data.draw(st.integers(0, shape[1] - 1))
    alone = said_by(network, codes[:, picture : picture + 1])
    np.testing.assert_array_equal(alone, frequencies[:, picture : picture + 1])


@pytest.mark.parametrize("group_size", [1, 3, 5])
def test_bits_that_may_be_seen_change_a_logit_and_no_others(group_size: int) -> None:
    shape = (3, 1, 4, 5, 5)
    network = random_network(3, 5, 0, group_size=group_size, earlier_layers=2, gain=0.4)
    known = network.taps.known(5, group_size)
    at = (2, 0, 2, 2)
    seen = np.zeros((*shape, 5), dtype=np.bool_)
    for (back, down, right), groups in zip(network.taps.offsets, known, strict=True):
        seen[2 - back, 0, 2 + down, 2 + right] = np.repeat(groups, group_size, axis=1)[:, :5]
    changed = np.zeros_like(seen)
    for seed in range(4):  # an activation may be at its limit, a change be rounded away
        codes = random_codes(shape, seed)
        frequencies = said_by(network, codes)
        for bit in np.ndindex(shape):
            codes[bit] ^= 1
            changed[bit] |= (said_by(network, codes) != frequencies)[at]
            codes[bit] ^= 1
    assert not changed[~seen].any()
    assert changed[seen].mean() > 0.9  # some weights are drawn as 0, or nearly


# --- the float network -------------------------------------------------------------------------


def cost(logits: npt.NDArray[np.float64], codes: Codes) -> float:
    """Bits a code bit."""
    return float(np.logaddexp(0, np.where(codes == 1, -logits, logits)).mean() / np.log(2))


def to_signs(codes: Codes) -> Tensor:
    """Float -1/+1, [batch, height, width, depth]."""
    signs = torch.from_numpy(codes).float().movedim(0, -2) * 2 - 1
    return signs.flatten(-2)


@pytest.fixture(scope="module")
def trained() -> tuple[Grouped, Codes]:
    """A network that has seen a little of the codes that are given with it."""
    torch.manual_seed(0)
    codes = averaged_codes((3, 2, 20, 24, 12), seed=0)
    codes ^= np.random.default_rng(0).random(codes.shape) < 0.1
    words = {"hidden": 24, "group_size": 4, "reach": 2, "earlier_layers": 2}
    network = Grouped(GroupedConfig(layer_depth=12, layer_count=3, **words))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.03)
    for _ in range(60):
        optimiser.zero_grad()
        length = network.code_length(to_signs(codes)).sum() / codes.size
        torch.autograd.backward(length)
        optimiser.step()
    return network.eval(), codes


def test_integers_say_what_the_float_network_says(trained: tuple[Grouped, Codes]) -> None:
    network, codes = trained
    with torch.no_grad():
        floats = network(to_signs(codes)).double().numpy()
    frequencies = said_by(network.quantise(), codes)
    integers = np.log(frequencies / (65536 - frequencies))
    floats = floats.clip(-np.log(65535), np.log(65535))
    differences = abs(integers - floats)[abs(floats) < 6]  # beyond, frequencies are coarser
    assert differences.max() < 0.1
    assert differences.mean() < 0.01
    assert cost(floats, codes) < 0.93  # it has learned something that could be lost
    assert cost(integers, codes) == pytest.approx(cost(floats, codes), rel=0.003)


@torch.no_grad()
def test_no_bit_changes_a_float_logit_at_or_before_it(
    trained: tuple[Grouped, Codes],
) -> None:
    network, codes = trained
    codes = codes[:, :1, :4, :5]
    shape = codes.shape
    step = steps_of((3, 1, 4, 5, 12)).ravel()
    bits = np.arange(0, codes.size, 7)
    flipped = np.repeat(codes, 1 + len(bits), axis=1)
    for index, bit in enumerate(bits):
        at = np.unravel_index(bit, shape)
        flipped[at[0], 1 + index, at[2], at[3], at[4]] ^= 1
    logits = network(to_signs(flipped)).movedim(1, 0).reshape(1 + len(bits), -1).numpy()
    changed = abs(logits[1:] - logits[0]) > 1e-5
    assert not changed[step <= step[bits, None]].any()
    assert changed.any(axis=1).mean() > 0.9


def test_weights_too_large_for_integers_are_refused() -> None:
    network = Grouped(GroupedConfig(layer_depth=8, layer_count=3))
    with torch.no_grad():
        network.shift.fill_(1e9)
    with pytest.raises(
        ModelError, match=r"^a weight is too large for the integer form; train with weight_decay$"
    ):
        network.quantise()


# --- taps and tables ---------------------------------------------------------------------------


@pytest.mark.parametrize(("reach", "earlier_layers"), [(1, 0), (1, 1), (2, 3), (3, 2)])
def test_taps_are_those_of_the_window(reach: int, earlier_layers: int) -> None:
    taps = Taps(reach, earlier_layers)
    expected = {(back, 0, 0) for back in range(earlier_layers + 1)}
    expected |= {(0, 0, right) for right in range(-reach, 0)}
    expected |= {
        (0, down, right) for down in range(-reach, 0) for right in range(-reach, reach + 1)
    }
    if earlier_layers:
        expected |= {(1, -1, 0), (1, 1, 0), (1, 0, -1), (1, 0, 1)}
    assert len(taps.offsets) == len(expected)
    assert set(taps.offsets) == expected
    assert taps.offsets[0] == (0, 0, 0)
    assert taps.places == sorted({(down, right) for _, down, right in expected} - {(0, 0)})


@pytest.mark.parametrize(("channels", "group_size"), [(1, 1), (6, 4), (8, 2), (20, 7), (32, 32)])
def test_what_taps_know_is_what_the_schedule_has_coded(channels: int, group_size: int) -> None:
    taps = Taps(3, 3)
    layers, height, width = 4, 7, 7
    step_of = steps_of((layers, 1, height, width, channels))[:, 0]
    known = taps.known(channels, group_size)
    assert known.shape == (len(taps.offsets), channels, -(-channels // group_size))
    for tap, (back, down, right) in enumerate(taps.offsets):
        for group, first in enumerate(range(0, channels, group_size)):
            now = step_of[3, 3, 3, first]
            expected = step_of[3 - back, 3 + down, 3 + right] < now
            np.testing.assert_array_equal(known[tap, :, group], expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 2), (4, 6)])
def test_places_inside_the_picture(size: tuple[int, int]) -> None:
    taps = Taps(2, 1)
    inside = taps.inside(*size)
    for y, x in np.ndindex(size):
        expected = [
            0 <= y + down < size[0] and 0 <= x + right < size[1] for down, right in taps.places
        ]
        assert inside[y, x].tolist() == expected


def test_tanh_table() -> None:
    sums = np.arange(-SUM_LIMIT, SUM_LIMIT + 1)
    table = tanh_table().astype(np.int64)
    exact = ACTIVATION_ONE * np.tanh(sums / (1 << SUM_BITS))
    # From a logistic of 16 bits: 2 * 127 / 2^16 of its half a unit may be lost.
    assert abs(table - exact).max() < 0.5 + 2 * ACTIVATION_ONE * 0.5 / (1 << 16) + 1e-9
    assert (np.diff(table) >= 0).all()
    np.testing.assert_array_equal(table, -table[::-1])
    assert table[0] == -ACTIVATION_ONE
    with pytest.raises(ValueError, match="read-only"):
        tanh_table()[0] = 1


# --- refusals ----------------------------------------------------------------------------------

SMALL = random_network(2, 6, 0, group_size=2)


def with_fields(**fields: Any) -> IntegerNetwork:
    return replace(SMALL, **fields)


def altered(name: str, index: tuple[int, ...], value: int) -> IntegerNetwork:
    array = getattr(SMALL, name).copy()
    assert array[index] == 0
    array[index] = value
    return with_fields(**{name: array})


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("weights", (0, 0)),  # the group's own first bit
        ("weights", (2, 3)),  # that of the group that its unit belongs to
        ("weights", (5, 3)),  # that of a later group
        ("head", (0, 8, 3)),  # from the last group to the second
    ],
)
def test_weights_of_unknown_bits_are_refused(name: str, index: tuple[int, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        altered(name, index, -1)
    assert str(caught.value) == f"the network's {name} would use bits that are not known yet"


def test_every_weight_of_an_unknown_bit_is_refused() -> None:
    known = SMALL.taps.known(6, 2)
    for tap, channel, group in np.argwhere(~known):
        with pytest.raises(ModelError, match="weights would use bits"):
            altered("weights", (tap * 6 + channel, 3 * group + 2), 1)
    for tap, channel, group in np.argwhere(known):
        assert SMALL.weights[tap * 6 + channel, 3 * group : 3 * group + 3].any()


@pytest.mark.parametrize("name", SMALL.arrays())
def test_arrays_of_other_shapes_and_types_are_refused(name: str) -> None:
    array = SMALL.arrays()[name]
    others = [array[:-1], np.repeat(array, 2, axis=-1), array.astype(np.float64)]
    if name != "weights":  # whose second axis is what hidden is known by
        others.append(array[..., :-1])
    for other in others:
        with pytest.raises(ModelError) as caught:
            with_fields(**{name: other})
        message = str(caught.value)
        contradiction = "the network's sizes contradict each other"
        assert message == contradiction or message.startswith("the network's ")
    with pytest.raises(ModelError) as caught:
        with_fields(**{name: array.astype(np.uint16)})
    shape = list(array.shape)
    assert (
        str(caught.value) == f"the network's {name} has uint16 {shape}, not {array.dtype} {shape}"
    )


@pytest.mark.parametrize(
    "sizes",
    [
        {"layers": 0},
        {"channels": 0},
        {"layers": -1},
        {"earlier_layers": -1},
        {"group_size": 0},
        {"group_size": 7},
        {"reach": 0},
        {"reach": 4},
        {"group_size": 1},  # 6 groups of 9 hidden units
        {"weights": SMALL.weights[0]},
        {"weights": SMALL.weights[:, :0]},
        {"earlier_layers": 1 << 40},
        {"weights": np.zeros((len(SMALL.weights), 6 * 65), dtype=np.int8)},
    ],
    ids=str,
)
def test_sizes_that_contradict_each_other_are_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(ModelError) as caught:
        with_fields(**sizes)
    assert str(caught.value) == "the network's sizes contradict each other"


@pytest.mark.parametrize("name", SMALL.sizes())
@pytest.mark.parametrize("value", [2.0, "2", None, True, [2]])
def test_sizes_that_are_no_whole_numbers_are_refused(name: str, value: object) -> None:
    with pytest.raises(ModelError) as caught:
        with_fields(**{name: value})
    assert str(caught.value) == "the network's sizes are no whole numbers"


TOO_LARGE = "the network's weights are too large: a sum could outgrow its integer"


@pytest.mark.parametrize("name", ["scale", "head_scale"])
@pytest.mark.parametrize("value", [(1 << 31) - 1, -(1 << 31)])
def test_scales_may_be_as_large_as_they_can(name: str, value: int) -> None:
    network = with_fields(**{name: np.full_like(getattr(SMALL, name), value)})
    assert_logits_are_the_references(network, random_codes((2, 1, 3, 4, 6)))


def test_sums_that_could_outgrow_32_bits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # Within the limit, that takes more than 2,000 channels.
    monkeypatch.setattr("nncodec.model.network.integer_network.MAX_HIDDEN", 1 << 20)
    hidden = -(-(1 << 31) // ACTIVATION_ONE**2)
    network = random_network(1, 1, 0, hidden_of_group=hidden)
    nothing = {name: np.zeros_like(getattr(network, name)) for name in ("head_scale", "bias")}
    head = np.full_like(network.head, ACTIVATION_ONE)
    with pytest.raises(ModelError) as caught:
        replace(network, head=head, **nothing)
    assert str(caught.value) == TOO_LARGE
    head[0, 0] = 0
    replace(network, head=head, **nothing)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("name", "scale", "offset"), [("weights", "scale", "shift"), ("head", "head_scale", "bias")]
)
def test_sums_of_64_bits_are_exact_or_refused(
    name: str, scale: str, offset: str, sign: int
) -> None:
    fields: dict[str, Any] = {key: array.copy() for key, array in SMALL.arrays().items()}
    axis = 0 if name == "weights" else 1
    products = abs(fields[name].astype(object)).sum(axis=axis).max()
    products *= ACTIVATION_ONE if name == "head" else 1
    fields[scale][:] = (1 << 31) - 1
    room = (1 << 62) - products * ((1 << 31) - 1)
    fields[offset][:] = sign * (room - (1 << 10))  # far enough below for a float64
    network = with_fields(**fields)
    assert_logits_are_the_references(network, random_codes((2, 1, 3, 4, 6)))
    for value in (room, (1 << 63) - 1):
        fields[offset].flat[:] = sign * value
        with pytest.raises(ModelError) as caught:
            with_fields(**fields)
        assert str(caught.value) == TOO_LARGE
