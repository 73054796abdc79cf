"""What is refused as a network before it runs: every rule of FORMAT.md, section 10."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nncodec.errors import ModelError
from nncodec.model.network.integer_network import IntegerNetwork, make_network
from nncodec.model.packing import unpack_model
from tests.reference_model_file import read_model
from tests.reference_network_rules import check_network
from tests.reference_numbers import FormatError
from tests.sample_networks import NetworkMaker, causal_network, random_network
from tests.samples import plain_network, random_model
from tests.test_reference_decoder import model_file

Sizes = dict[str, Any]
Arrays = dict[str, npt.NDArray[Any]]
Change = Callable[[Sizes, Arrays], object]

NETWORK = causal_network(2, 3)
EARLY_GATES, OVER_LAYERS, SUMMARY, LATE_GATES, OVER_ROWS, HIDDEN, MORE, LOGITS, HEAD = range(9)
"""Its operations; they write these planes."""
SUMMARY_PLANE, ROWS_PLANE, HIDDEN_PLANE = 4, 6, 8


def text_of(sizes: Sizes) -> str:
    return json.dumps(sizes, separators=(",", ":"), sort_keys=True)


def assert_refused(change: Change, network: IntegerNetwork = NETWORK) -> str:
    """Holds that both readers refuse a changed network; gives what the package says."""
    model = replace(random_model(network.layers, network.channels), network=network)
    sizes, arrays = json.loads(network.text()), dict(network.arrays())
    change(sizes, arrays)
    with pytest.raises(ModelError) as caught:
        make_network(sizes, arrays)
    assert str(caught.value).isprintable()
    others = {name: array for name, array in model.arrays().items() if name.startswith("start.")}
    data = model_file(
        others | {f"network.{name}": array for name, array in arrays.items()}, text_of(sizes)
    )
    with pytest.raises(ModelError):
        unpack_model(data)
    with pytest.raises(FormatError):
        read_model(data)
    return str(caught.value)


def setting(number: int, **values: Any) -> Change:
    """Gives an operation other values."""
    return lambda sizes, _: sizes["operations"][number].update(values)


def tap(number: int, *values: Any) -> Change:
    """Gives an operation another first tap, of a plane of the same width."""

    def change(sizes: Sizes, _: Arrays) -> None:
        sizes["operations"][number]["taps"][0] = list(values)

    return change


def array(name: str, changed: Callable[[npt.NDArray[Any]], Any]) -> Change:
    return lambda _, arrays: arrays.update({name: np.array(changed(arrays[name]))})


def test_what_is_not_changed_is_taken() -> None:
    made = make_network(json.loads(NETWORK.text()), NETWORK.arrays())
    assert made.text() == NETWORK.text()
    for seed in range(20):
        network = random_network(2, 3, seed)
        model = replace(random_model(2, 3), network=network)
        data = model_file(model.arrays(), network.text())
        assert unpack_model(data).model_id == read_model(data)[2] == model.model_id


# --- the text ----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["layers", "channels", "operations"])
@pytest.mark.parametrize("value", [None, True, 1.0, "2", [], {}, -1, 0, 1 << 70, 3])
def test_sizes_are_numbers_and_those_of_the_start(key: str, value: Any) -> None:
    if (key, value) != ("channels", 3):
        assert_refused(lambda sizes, _: sizes.update({key: value}))
    assert_refused(lambda sizes, _: sizes.pop(key))
    assert_refused(lambda sizes, _: sizes.update(more=value))


@pytest.mark.parametrize("number", [EARLY_GATES, OVER_LAYERS, HEAD])
@pytest.mark.parametrize("value", [None, True, 1.0, "x", [], {}, [[]], [1], 1 << 70, -1])
def test_values_of_operations_are_of_their_kinds(number: int, value: Any) -> None:
    for key in NETWORK.sizes()["operations"][number]:
        if (key, value) not in (("earlier", True), ("taps", [])):
            assert_refused(setting(number, **{key: value}))

        def without(sizes: Sizes, _: Arrays, key: str = key) -> None:
            del sizes["operations"][number][key]

        assert_refused(without)
    assert_refused(setting(number, more=value))

    def instead(sizes: Sizes, _: Arrays) -> None:
        sizes["operations"][number] = value

    assert_refused(instead)


@pytest.mark.parametrize(
    "one",
    [None, 1, "00000", [], [0, 0, 1, 0], [0, 0, 1, 0, 0, 0], [0, 0, True, 0, 0], [0, 0, 1.0, 0, 0]],
)
def test_taps_are_five_whole_numbers(one: Any) -> None:
    def change(sizes: Sizes, _: Arrays) -> None:
        sizes["operations"][EARLY_GATES]["taps"][0] = one

    assert_refused(change)


def test_lists_have_their_limits() -> None:
    sees_nothing = NetworkMaker(1, 1, 0)
    for _ in range(64):
        plane = sees_nothing.convolve(1)
    with pytest.raises(ModelError, match="64 operations"):
        sees_nothing.head((plane, 0, 0, 0, 0))
    NetworkMaker(1, 1, 0).head(*[(0, 0, 0, -1, 0)] * 256)
    network = NetworkMaker(1, 1, 0).head(*[(0, 0, 0, -1, 0)] * 257)
    with pytest.raises(ModelError, match="at most 256"):
        make_network(network.sizes(), network.arrays())
    assert_refused(lambda sizes, _: sizes.update(operations=[1] * 100_000))


def test_the_text_has_one_form() -> None:
    model = replace(random_model(2, 3), network=NETWORK)
    for text in (
        json.dumps(NETWORK.sizes(), sort_keys=True),
        json.dumps(dict(reversed(NETWORK.sizes().items())), separators=(",", ":")),
        NETWORK.text().replace("{", '{"layers":2,', 1),
        NETWORK.text() + "\n",
    ):
        data = model_file(model.arrays(), text)
        with pytest.raises(ModelError):
            unpack_model(data)
        with pytest.raises(FormatError):
            read_model(data)


# --- arrays ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORK.arrays())
def test_arrays_have_their_types_and_shapes(name: str) -> None:
    for changed in (
        lambda one: one[:0],
        lambda one: one[..., :-1],
        lambda one: one[..., :0],
        lambda one: one[None],
        lambda one: one.reshape(-1),
        lambda one: one.reshape(-1)[0],
        lambda one: np.repeat(one, 3, axis=0),
        lambda one: one.astype(np.int16),
    ):
        assert_refused(array(name, changed))

    def without(_: Sizes, arrays: Arrays) -> None:
        del arrays[name]

    assert_refused(without)


@pytest.mark.parametrize(
    "name", ["9.weights", "-1.weights", "00.weights", "1.weights", "0.more", "0"]
)
def test_arrays_that_belong_to_no_operation_are_refused(name: str) -> None:
    assert_refused(lambda _, arrays: arrays.update({name: np.zeros(1, np.int8)}))


def test_planes_have_their_limits() -> None:
    for width in (1024, 1025):
        maker = NetworkMaker(1, 1, 0)
        maker.convolve(width)
        if width == 1025:
            with pytest.raises(ModelError, match="1024"):
                maker.head()
        else:
            maker.head()
    for count in (4, 5):
        maker = NetworkMaker(1, 1, 0)
        for _ in range(count):
            maker.convolve(1024)
        if count == 5:
            with pytest.raises(ModelError, match="4096"):
                maker.head()
        else:
            maker.head()


def test_huge_planes_take_no_memory_to_refuse() -> None:
    """An empty array has any size, and what is written later is seen in the rows above."""

    def huge(sizes: Sizes, arrays: Arrays) -> None:
        arrays[f"{HIDDEN}.weights"] = np.zeros((1, 1 << 50, 0), np.int8)
        sizes["operations"][HIDDEN]["taps"] = []
        tap(LATE_GATES, HIDDEN_PLANE, 0, 0, -1, 0)(sizes, arrays)

    assert_refused(huge)
    assert_refused(
        lambda sizes, arrays: (
            setting(OVER_ROWS, width=1 << 60)(sizes, arrays),
            tap(LATE_GATES, ROWS_PLANE, 0, 0, -1, 0)(sizes, arrays),
        )
    )


# --- what is seen ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "values"),
    [
        (EARLY_GATES, (0, 0, 1, 4, 0)),  # too far
        (EARLY_GATES, (0, 0, 1, -4, 0)),
        (EARLY_GATES, (0, 0, 1, 0, 4)),
        (EARLY_GATES, (0, 0, 1, 0, -4)),
        (EARLY_GATES, (0, 0, 257, 0, 0)),
        (EARLY_GATES, (0, 257, 0, 0, 0)),
        (EARLY_GATES, (0, 0, -1, -1, 0)),
        (EARLY_GATES, (0, -1, 0, -1, 0)),
        (EARLY_GATES, (0, 0, 10**30, 0, 0)),
        (EARLY_GATES, (-1, 0, 1, 0, 0)),  # no plane
        (EARLY_GATES, (12, 0, 1, 0, 0)),
        (HEAD, (12, 0, 0, 0, 0)),
        (HEAD, (10**30, 0, 0, 0, 0)),
        (LATE_GATES, (0, 0, 0, 0, 0)),  # bits that are not known
        (LATE_GATES, (0, 0, 0, 0, 1)),
        (LATE_GATES, (0, 0, 0, 1, 0)),
        (EARLY_GATES, (0, 0, 0, -1, 0)),  # an LSTM over layers is early
        (HEAD, (3, 0, 0, 0, 0)),  # cells
        (HEAD, (7, 0, 0, 0, 0)),
        (HEAD, (HIDDEN_PLANE, 0, 0, 0, 1)),  # numbers that are not known
        (HEAD, (HIDDEN_PLANE, 0, 0, 1, 0)),
        (HIDDEN, (HIDDEN_PLANE, 0, 0, 0, 0)),
        (HIDDEN, (HIDDEN_PLANE, 0, 0, 0, -1)),
        (LATE_GATES, (HIDDEN_PLANE, 0, 0, 0, 0)),
        (LATE_GATES, (HIDDEN_PLANE, 0, 0, 0, -1)),
        (SUMMARY, (HIDDEN_PLANE, 0, 0, 0, 0)),
        (HEAD, (SUMMARY_PLANE, 1, 0, 0, 0)),  # planes of another frame or layer
        (HEAD, (SUMMARY_PLANE, 0, 1, 0, 0)),
        (HEAD, (ROWS_PLANE, 0, 1, 0, 0)),
        (EARLY_GATES, (2, 0, 2, 0, 0)),
        (EARLY_GATES, (2, 1, 1, 0, 0)),
        (EARLY_GATES, (2, 0, 1, 0, -1)),
        (EARLY_GATES, (2, 0, 1, -1, 0)),
        (SUMMARY, (2, 0, 1, 0, 0)),  # what is overwritten
        (HEAD, (2, 0, 1, 0, 0)),
        (LATE_GATES, (2, 0, 1, 0, 0)),
    ],
)
def test_nothing_is_seen_that_is_not_there(number: int, values: tuple[int, ...]) -> None:
    assert_refused(tap(number, *values))


@pytest.mark.parametrize(
    ("number", "values"),
    [
        (OVER_LAYERS, {"gates": 0}),
        (OVER_LAYERS, {"gates": -1}),
        (OVER_LAYERS, {"gates": 2}),  # its own
        (OVER_LAYERS, {"gates": 5}),  # a later one
        (OVER_LAYERS, {"gates": 99}),
        (OVER_LAYERS, {"width": 1}),
        (OVER_ROWS, {"gates": SUMMARY_PLANE}),
        (OVER_ROWS, {"gates": 3}),
        (OVER_ROWS, {"gates": 99}),
        (OVER_ROWS, {"over": "layers"}),  # it is not early
        (OVER_ROWS, {"over": "columns"}),
        (MORE, {"skip": 3}),
        (MORE, {"skip": 9}),
        (MORE, {"skip": -1}),
        (MORE, {"skip": 99}),
        (HEAD, {"skip": HIDDEN_PLANE}),
        (HEAD, {"limit": 0}),
        (HEAD, {"limit": 3073}),
        (HEAD, {"activation": "sigmoid"}),
    ],
)
def test_nothing_is_added_that_is_not_there(number: int, values: dict[str, Any]) -> None:
    assert_refused(setting(number, **values))


def test_the_order_of_operations_counts() -> None:
    def turned(sizes: Sizes, _: Arrays) -> None:
        sizes["operations"].reverse()

    assert_refused(turned)
    assert_refused(lambda sizes, _: sizes["operations"].append(sizes["operations"][HEAD]))
    assert_refused(lambda sizes, _: sizes["operations"].pop())


def rows_seen(*downs: int, of_bits: bool = True) -> IntegerNetwork:
    """A chain of early operations, each of which sees the one before so many rows below."""
    maker = NetworkMaker(2, 1, 0)
    plane = maker.convolve(1, (0, 0, 1, downs[0], 0) if of_bits else (0, 1, 0, downs[0], 0))
    for down in downs[1:-1]:
        plane = maker.convolve(1, (plane, 0, 0, down, 0))
    return maker.head((plane, 0, 0, downs[-1], 0))


def test_no_more_than_three_rows_below_are_needed() -> None:
    def refused(*downs: int, of_bits: bool = True) -> None:
        def change(sizes: Sizes, _: Arrays) -> None:
            for one, down in zip(sizes["operations"], downs, strict=True):
                one["taps"][0][3] = down

        level = [0] * len(downs)
        assert "rows below" in assert_refused(change, rows_seen(*level, of_bits=of_bits))

    for downs in ((3, 0), (0, 3), (1, 1, 1), (-1, 3), (3, -3), (2, -1, 1)):
        network = rows_seen(*downs)
        assert network.rows_below == 3
        plain = plain_network(network)
        assert plain
        check_network(plain)
    assert rows_seen(-3, 0).rows_below == 0
    assert rows_seen(3, 1, of_bits=False).rows_below == 1
    for downs in ((3, 1), (1, 3), (1, 1, 2), (2, -1, 2), (-3, 1, 3)):
        refused(*downs)
    refused(-3, 1, 3, of_bits=False)


# --- numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["unit_lower", "lower", "output"])
def test_weights_of_unknown_bits_are_refused(name: str) -> None:
    weights = NETWORK.arrays()[f"{HEAD}.{name}"]
    units = NETWORK.arrays()[f"{HEAD}.unit_weights"].shape[1] // 3
    rows, columns = weights.shape[1:]
    for row in range(rows):
        for column in range(columns):
            channel = row // units if name == "unit_lower" else row
            known = column // units <= channel if name == "output" else column < channel
            if known:
                continue

            def change(one: npt.NDArray[Any], at: tuple[int, int] = (row, column)) -> Any:
                one = one.copy()
                one[-1][at] = -1
                return one

            message = assert_refused(array(f"{HEAD}.{name}", change))
            assert message.endswith(f"{name} would use bits that are not known yet")
    assert weights.any()


@pytest.mark.parametrize("name", ["0.shift", "2.shift", "6.shift", "8.shift", "8.unit_shift"])
@pytest.mark.parametrize("value", [1 << 62, -(1 << 62), (1 << 63) - 1, -(1 << 63)])
def test_shifts_have_a_limit(name: str, value: int) -> None:
    def change(one: npt.NDArray[Any]) -> Any:
        one = one.copy()
        one[-1, -1] = value
        return one

    assert "could outgrow" in assert_refused(array(name, change))
