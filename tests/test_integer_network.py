"""The integer network: one set of integers, by any product of matrices, in any order of work."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nncodec.contexts import Grid
from nncodec.errors import ModelError
from nncodec.fixed_point import LOGIT_BITS, LOGIT_LIMIT
from nncodec.integer_network import (
    ACTIVATION_ONE,
    SUM_BITS,
    SUM_LIMIT,
    IntegerNetwork,
    below_in_block,
    tanh_table,
)
from nncodec.network_stage import NetworkStage, Product
from nncodec.networks.grouped import Grouped, GroupedConfig
from nncodec.schedule import SLOPE, Schedule
from nncodec.taps import Taps
from tests.samples import averaged_codes, random_network

Codes = npt.NDArray[np.uint8]
Shape = tuple[int, int, int, int, int]
Logits = npt.NDArray[np.float64]


def logits_of(
    network: IntegerNetwork, codes: Codes, *, at_once: bool = False, product: Product = np.matmul
) -> Logits:
    """The logits of a code tensor, in its shape, as an encoder or a decoder gets them."""
    schedule = Schedule(*codes.shape)
    grid = Grid(schedule)
    stage = NetworkStage(network, schedule, grid, codes if at_once else None, product)
    order = schedule.order()
    bits = codes.reshape(-1)[order]
    logits = np.empty(codes.size)
    end = 0
    for step in schedule:
        context = grid.context(step)
        begin, end = end, end + int(context.valid.sum())
        logits[order[begin:end]] = stage.logits(step, context)[context.valid]
        signs = np.zeros(context.valid.shape, dtype=np.float32)
        signs[context.valid] = bits[begin:end] * 2.0 - 1
        grid.record(context, signs, np.zeros_like(signs))
    return logits.reshape(codes.shape)


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

# --- order of work -----------------------------------------------------------------------------


@given(shapes(), st.data(), seeds)
def test_step_by_step_is_the_same_as_all_at_once(
    shape: Shape, data: st.DataObject, seed: int
) -> None:
    network, codes = data.draw(networks(shape[0], shape[4])), random_codes(shape, seed)
    one_by_one = logits_of(network, codes)
    np.testing.assert_array_equal(logits_of(network, codes, at_once=True), one_by_one)
    np.testing.assert_array_equal(one_by_one, np.floor(one_by_one))
    assert abs(one_by_one).max() <= LOGIT_LIMIT


def test_pictures_of_many_diagonals_are_predicted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    network, codes = random_network(3, 6, 0, group_size=2), random_codes((3, 2, 9, 11, 6))
    whole = logits_of(network, codes, at_once=True)
    for positions in (1, 5):
        monkeypatch.setattr("nncodec.network_stage._POSITIONS_AT_ONCE", positions)
        np.testing.assert_array_equal(logits_of(network, codes, at_once=True), whole)


@given(shapes(), st.data(), seeds)
def test_fewer_layers_and_pictures_alone_have_the_same_logits(
    shape: Shape, data: st.DataObject, seed: int
) -> None:
    network, codes = data.draw(networks(shape[0], shape[4])), random_codes(shape, seed)
    logits = logits_of(network, codes)
    layers = data.draw(st.integers(1, shape[0]))
    np.testing.assert_array_equal(logits_of(network, codes[:layers]), logits[:layers])
    picture = data.draw(st.integers(0, shape[1] - 1))
    alone = codes[:, picture : picture + 1]
    np.testing.assert_array_equal(logits_of(network, alone), logits[:, picture : picture + 1])


@given(shapes(150), st.data(), seeds)
def test_no_bit_changes_a_logit_at_or_before_its_step(
    shape: Shape, data: st.DataObject, seed: int
) -> None:
    network, codes = data.draw(networks(shape[0], shape[4])), random_codes(shape, seed)
    layer, _, row, column, channel = np.indices(shape)
    step = shape[4] * layer + channel + SLOPE * row + column
    logits = logits_of(network, codes, at_once=True)
    for bit in data.draw(st.lists(st.integers(0, codes.size - 1), min_size=1, max_size=4)):
        changed = codes.copy()
        changed.flat[bit] ^= 1
        same = logits_of(network, changed, at_once=True) == logits
        assert same[step <= step.flat[bit]].all()


@pytest.mark.parametrize("group_size", [1, 3, 5])
def test_every_bit_that_may_be_seen_changes_a_logit(group_size: int) -> None:
    """The network is no narrower than its taps say; without this, causality would be easy."""
    shape = (3, 1, 4, 5, 5)
    # Scales that keep tanh and logits well off their limits.
    network = random_network(3, 5, 0, group_size=group_size, earlier_layers=2, gain=0.1)
    codes = random_codes(shape)
    logits = logits_of(network, codes, at_once=True)
    known = network.taps.known(5, group_size)
    at, changes = (2, 0, 2, 2), []
    for tap, (back, down, right) in enumerate(network.taps.offsets):
        for channel in range(5):
            changed = codes.copy()
            changed[at[0] - back, 0, at[2] + down, at[3] + right, channel] ^= 1
            differ = (logits_of(network, changed, at_once=True) != logits)[at]
            seen = np.repeat(known[tap, channel], group_size)[:5]
            if tap == 0:
                seen = seen | (np.arange(5) > channel)  # by the triangle
            assert not differ[~seen].any()
            changes += differ[seen].tolist()
    assert np.mean(changes) > 0.9  # some weights are drawn as 0, or nearly


def test_every_block_has_a_triangle_of_its_own() -> None:
    codes = random_codes((1, 1, 2, 2, 70))
    network = random_network(1, 70, 0, group_size=35)
    assert below_in_block(70).sum() == 2 * 35 * 34 // 2
    np.testing.assert_array_equal(
        logits_of(network, codes), logits_of(network, codes, at_once=True)
    )


# --- products ----------------------------------------------------------------------------------


def in_type(dtype: Any) -> Product:
    def product(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(np.matmul(a.astype(dtype), b.astype(dtype)))

    return product


def by_torch(device: str, threads: int = 1) -> Product:
    def product(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with torch_threads(threads):
            made = torch.from_numpy(np.ascontiguousarray(a)).to(device) @ torch.from_numpy(
                np.ascontiguousarray(b)
            ).to(device)
        return np.asarray(made.cpu().numpy())

    return product


def by_int8(device: str) -> Product:
    """`torch._int_mm`, which takes two axes, more than 16 rows, and sizes that 8 divides."""

    def padded(matrix: npt.NDArray[Any], least: int) -> Tensor:
        assert abs(matrix).max(initial=0) <= ACTIVATION_ONE
        rows, columns = (-(-max(size, least) // 8) * 8 for size in matrix.shape)
        room = np.zeros((rows, columns), dtype=np.int8)
        room[: matrix.shape[0], : matrix.shape[1]] = matrix
        return torch.from_numpy(room).to(device)

    def two_axes(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
        made = torch._int_mm(padded(a, 24), padded(b, 24))
        return np.asarray(made.cpu().numpy()[: a.shape[0], : b.shape[1]])

    def product(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
        b = np.broadcast_to(b, (*a.shape[:-2], *b.shape[-2:]))
        made = np.empty((*a.shape[:-1], b.shape[-1]), dtype=np.int64)
        for index in np.ndindex(a.shape[:-2]):
            made[index] = two_axes(a[index], b[index])
        return made

    return product


def one_by_one(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The terms of every sum added in float32 from the last to the first."""
    total = np.zeros((*a.shape[:-1], b.shape[-1]), dtype=np.float32)
    for term in reversed(range(a.shape[-1])):
        total += a[..., term, None] * b[..., term, :][..., None, :]
    return total


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


PRODUCTS: dict[str, Callable[[], Product]] = {
    "float64": lambda: in_type(np.float64),
    "int64": lambda: in_type(np.int64),
    "float32 backwards": lambda: one_by_one,
    "torch float32": lambda: by_torch("cpu"),
    "torch float32, 2 threads": lambda: by_torch("cpu", threads=2),
    "torch int8": lambda: by_int8("cpu"),
    "CUDA float32": lambda: by_torch("cuda"),
    "CUDA int8": lambda: by_int8("cuda"),
}


@pytest.mark.parametrize(
    ("name", "at_once"),
    # Two threads take their time over small matrices.
    [(name, way) for name in PRODUCTS for way in (False, True) if way or "2 threads" not in name],
)
def test_every_product_gives_the_same_integers(name: str, at_once: bool) -> None:
    if "CUDA" in name and not torch.cuda.is_available():
        pytest.skip("no CUDA")
    product = PRODUCTS[name]()
    for shape, group_size in (((3, 2, 9, 11, 6), 2), ((2, 1, 3, 12, 40), 16)):
        network = random_network(
            shape[0], shape[4], 1, group_size=group_size, reach=2, hidden_of_group=24
        )
        codes = random_codes(shape)
        expected = logits_of(network, codes)
        actual = logits_of(network, codes, at_once=at_once, product=product)
        np.testing.assert_array_equal(actual, expected)
        assert len(np.unique(expected)) > 100


# --- the float network -------------------------------------------------------------------------


def cost(logits: Logits, codes: Codes) -> float:
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
    with torch_threads(1):
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
    floats = floats.clip(-(LOGIT_LIMIT >> LOGIT_BITS), LOGIT_LIMIT >> LOGIT_BITS)
    integers = logits_of(network.quantise(), codes, at_once=True) / (1 << LOGIT_BITS)
    assert abs(integers - floats).max() < 0.1
    assert abs(integers - floats).mean() < 0.01
    assert cost(floats, codes) < 0.93  # it has learned something that could be lost
    assert cost(integers, codes) == pytest.approx(cost(floats, codes), rel=0.003)


@torch.no_grad()
def test_no_bit_changes_a_float_logit_at_or_before_its_step(
    trained: tuple[Grouped, Codes],
) -> None:
    network, codes = trained
    codes = codes[:, :1, :4, :5]
    shape = codes.shape
    layer, _, row, column, channel = np.indices(shape)
    step = (shape[4] * layer + channel + SLOPE * row + column).ravel()
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
    schedule = Schedule(layers, 1, height, width, channels)
    layer, _, row, column, channel = np.indices((layers, 1, height, width, channels))
    step_of = (channels * layer + channel + SLOPE * row + column)[:, 0]
    assert step_of.max() + 1 == len(list(schedule))
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
        ("weights", (7 * 6 + 5, 0)),  # the last bit of the layer before, to the right
        ("head", (0, 8, 3)),  # from the last group to the second
        ("direct", (1, 0, 5)),  # the position itself
        ("direct", (0, 8 * 6 + 4, 0)),
        ("triangle", (1, 3, 3)),
        ("triangle", (1, 4, 3)),
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


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("scale", (1 << 31) - 1, None),
        ("shift", (1 << 53) - 1, "float64"),
        ("shift", -(1 << 63), "float64"),
        ("bias", (1 << 53) - 1, "float64"),
        ("head_scale", -(1 << 31), None),
        ("direct_scale", (1 << 31) - 1, None),
    ],
)
def test_sums_stay_exact_or_are_refused(name: str, value: int, bound: str | None) -> None:
    array = getattr(SMALL, name).copy()
    array.flat[0] = value
    if bound is None:  # no 32 bits times such short sums reach 2^53
        codes = random_codes((2, 1, 3, 4, 6))
        network = with_fields(**{name: array})
        wide = logits_of(network, codes, product=in_type(np.int64))
        np.testing.assert_array_equal(logits_of(network, codes), wide)
        return
    with pytest.raises(ModelError) as caught:
        with_fields(**{name: array})
    message = str(caught.value)
    assert message.startswith("the network's weights are too large: sums up to ")
    assert message.endswith(f" are not exact in {bound}")


def wide_network(channels: int, earlier_layers: int, hidden: int) -> dict[str, Any]:
    """The fields of a network of zeros, of one layer, whose sums can have many terms."""
    taps = Taps(3, earlier_layers)
    inputs = len(taps.offsets) * channels + len(taps.places)
    layers = 1
    return {
        "layers": layers,
        "channels": channels,
        "group_size": channels,
        "reach": 3,
        "earlier_layers": earlier_layers,
        "weights": np.zeros((inputs, hidden), np.int8),
        "scale": np.zeros((layers, hidden), np.int32),
        "shift": np.zeros((layers, hidden), np.int64),
        "head": np.zeros((layers, hidden, channels), np.int8),
        "head_scale": np.zeros((layers, channels), np.int32),
        "direct": np.zeros((layers, inputs, channels), np.int8),
        "direct_scale": np.zeros((layers, channels), np.int32),
        "triangle": np.zeros((layers, channels, channels), np.int16),
        "bias": np.zeros((layers, channels), np.int64),
    }


# float32 carries the sums of the inputs in sixteenths, those of the hidden units in 127ths.
@pytest.mark.parametrize(
    ("name", "largest", "fields"),
    [
        ("weights", (1 << 24) // 16 // 127, wide_network(1, 9000, 1)),
        ("direct", (1 << 24) // 16 // 127, wide_network(1, 9000, 1)),
        ("head", (1 << 24) // 127 // 127, wide_network(1, 0, 1050)),
        ("triangle", (1 << 24) // 16 // 32767, wide_network(64, 0, 1)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bounds_are_where_float32_ends(name: str, largest: int, fields: dict[str, Any]) -> None:
    array = fields[name]
    # One sum, of as many terms as there is room for, all of the same sign. The last inputs are
    # flags of places, before them bits of layers long past: known in any case.
    terms = array.reshape(array.shape[-2:])[:, -1]
    if name in ("weights", "direct"):
        terms = terms[::-1]
    size = np.iinfo(array.dtype).max
    terms[:largest] = -size
    IntegerNetwork(**fields)
    terms[largest] = size
    with pytest.raises(ModelError, match=r"too large: sums up to \d+ are not exact in float32$"):
        IntegerNetwork(**fields)
