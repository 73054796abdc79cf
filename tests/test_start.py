"""What the adaptive stage starts from: an untrained start, and a message for each refusal."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nncodec.errors import ModelError
from nncodec.model.adaptive.learning_rates import HALF_LIVES, LARGEST_RATES, RATES, UNTRAINED
from nncodec.model.adaptive.start import (
    LARGEST_MIXER_WEIGHT,
    LARGEST_WEIGHT,
    MIXER_BITS,
    SHARED_INPUTS,
    Start,
    untrained,
)
from nncodec.model.adaptive.untrained_weights import START_BITS, START_WEIGHTS
from nncodec.model.contexts import AROUND_TAPS, CHANNEL_TAPS, FRAME_TAPS, RESEMBLANCE_TAPS

START = untrained(3, 5)
NAMES = list(START.arrays())


def with_fields(**fields: Any) -> Start:
    return replace(START, **fields)


@pytest.mark.parametrize("with_network", [False, True])
@pytest.mark.parametrize(("channels", "block"), [(1, 1), (5, 5), (64, 64), (70, 35)])
def test_an_untrained_start_has_the_sizes_that_it_says(
    channels: int, block: int, with_network: bool
) -> None:
    start = untrained(6, channels, with_network=with_network)
    assert (start.layers, start.channels) == (6, channels)
    assert start.with_network == with_network
    blocks_seen = 4 if channels > 64 else 3
    assert start.units.shape == (6, channels, blocks_seen * block + 1 + with_network)
    assert start.shared.shape == (6, SHARED_INPUTS)
    assert start.around.shape == (6, channels, len(AROUND_TAPS), block)
    assert start.mixers.shape == (6, channels, 6 + with_network)
    assert start.sets.shape == (6, 6 + with_network)
    assert start.rates.shape == (6, RATES)
    assert start.half_lives.shape == (6, HALF_LIVES)


def test_a_layer_weighs_neighbours_of_the_same_picture_and_two_kinds_of_gates() -> None:
    of_picture = len(CHANNEL_TAPS) - len(FRAME_TAPS)
    assert of_picture + 2 * len(RESEMBLANCE_TAPS) == SHARED_INPUTS == START_WEIGHTS.shape[1]


def test_an_untrained_start_weighs_neighbours_by_the_fixed_table() -> None:
    start = untrained(6, 2, with_network=True)
    np.testing.assert_array_equal(start.shared, START_WEIGHTS[[0, 1, 2, 3, 3, 3]])
    assert not start.units[..., :-1].any()
    assert (start.units[..., -1] / (1 << START_BITS) == 0.5).all()  # the network's logit
    assert (start.mixers / (1 << MIXER_BITS) == [1, 0, 0, 0, 0, 0, 0]).all()
    assert not start.sets.any()
    assert not start.around.any()
    rates, half_lives = UNTRAINED.of_layers(6)
    np.testing.assert_array_equal(start.rates, rates)
    np.testing.assert_array_equal(start.half_lives, half_lives)


@pytest.mark.parametrize("name", NAMES)
def test_arrays_of_other_types_and_shapes_are_refused(name: str) -> None:
    array = START.arrays()[name]
    others: list[npt.NDArray[Any]] = [array.astype(np.float32), array[:-1], array[..., :-1]]
    others += [np.repeat(array, 2, axis=1), array.astype(array.dtype.newbyteorder(">"))]
    for other in others:
        with pytest.raises(ModelError) as caught:
            with_fields(**{name: other})
        # It may be the others that do not fit this one.
        assert str(caught.value).startswith("the start's ")
        assert str(caught.value).count(", not ") == 1
    with pytest.raises(ModelError) as caught:
        with_fields(**{name: array.astype(np.uint16)})
    shape = list(array.shape)
    expected = f"the start's {name} has uint16 {shape}, not {array.dtype} {shape}"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"units": START.units[0]},
        {"mixers": START.mixers[0]},
        {"mixers": START.mixers[..., None]},
        {"units": START.units[:0]},
        {"units": START.units[:, :0]},
    ],
)
def test_arrays_without_the_axes_that_give_the_sizes_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ModelError) as caught:
        with_fields(**fields)
    expected = "the start's units or mixers have a wrong number of axes, or are none"
    assert str(caught.value) == expected


def test_one_input_of_the_mixer_too_many_is_a_network() -> None:
    for inputs in (7, 8):
        with pytest.raises(ModelError, match=r"units has int16 \[3, 5, 16\], not .*, 17\]"):
            with_fields(mixers=np.zeros((3, 5, inputs), dtype=np.int32))


MIXER = LARGEST_MIXER_WEIGHT << MIXER_BITS
RANGES = [
    ("units", (2, 4, 15), -LARGEST_WEIGHT, LARGEST_WEIGHT),
    ("shared", (2, 30), -LARGEST_WEIGHT, LARGEST_WEIGHT),
    ("around", (2, 4, 14, 4), -LARGEST_WEIGHT, LARGEST_WEIGHT),
    ("mixers", (2, 4, 5), -MIXER, MIXER),
    ("sets", (2, 5), -MIXER, MIXER),
    *(("rates", (1, kind), 0, int(most)) for kind, most in enumerate(LARGEST_RATES)),
    ("half_lives", (2, 3), 1, 1 << 30),
]


@pytest.mark.parametrize(("name", "index", "least", "most"), RANGES)
def test_numbers_out_of_range_are_refused(
    name: str, index: tuple[int, ...], least: int, most: int
) -> None:
    array = getattr(START, name).copy()
    assert np.iinfo(array.dtype).min < least  # some number is refused
    for value in (least, most, least - 1, most + 1):
        if value > np.iinfo(array.dtype).max:
            continue
        array[index] = value
        if least <= value <= most:
            assert getattr(with_fields(**{name: array}), name)[index] == value
            continue
        with pytest.raises(ModelError) as caught:
            with_fields(**{name: array})
        assert str(caught.value) == f"the start's {name} has a value that is out of range"
