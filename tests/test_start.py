"""What the adaptive stage starts from: an untrained start, and a message for each refusal."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nncodec.errors import ModelError
from nncodec.model.adaptive.learning_rates import LARGEST_RATES, RATES
from nncodec.model.adaptive.start import (
    LARGEST_MIXER_WEIGHT,
    LARGEST_WEIGHT,
    MIXER_BITS,
    START_BITS,
    Start,
    untrained,
)
from nncodec.model.adaptive.untrained_weights import START_BITS as FIXED_BITS
from nncodec.model.adaptive.untrained_weights import START_WEIGHTS
from nncodec.model.contexts import AROUND_TAPS, CHANNEL_TAPS, LAYER_INPUTS

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
    inputs = 2 * block + len(CHANNEL_TAPS) + 1 + with_network
    assert start.units.shape == (6, channels, 2, inputs)
    assert start.shared.shape == (6, 2, LAYER_INPUTS)
    assert start.around.shape == (6, channels, len(AROUND_TAPS), block)
    assert start.mixers.shape == (6, channels, 6 + with_network)
    assert start.sets.shape == (6, 7, 6 + with_network)
    assert start.rates.shape == (6, RATES)
    assert start.half_lives.shape == (6, 4)


def test_an_untrained_start_weighs_neighbours_by_the_fixed_table() -> None:
    start = untrained(6, 2, with_network=True)
    fixed = START_WEIGHTS[[0, 1, 2, 3, 3, 3]] / (1 << FIXED_BITS)
    for learner in range(2):
        np.testing.assert_array_equal(start.shared[:, learner] / (1 << START_BITS), fixed)
    assert not start.units[..., :-1].any()
    assert (start.units[..., -1] / (1 << START_BITS) == 0.5).all()  # the network's logit
    assert (start.mixers / (1 << MIXER_BITS) == [0.5, 0.5, 0, 0, 0, 0, 0]).all()
    assert not start.sets.any()
    assert not start.around.any()


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
        with pytest.raises(ModelError, match=r"units has int16 \[3, 5, 2, 20\], not .*, 21\]"):
            with_fields(mixers=np.zeros((3, 5, inputs), dtype=np.int32))


WEIGHT = LARGEST_WEIGHT << START_BITS
MIXER = LARGEST_MIXER_WEIGHT << MIXER_BITS
RANGES = [
    ("units", (2, 4, 1, 19), -WEIGHT, WEIGHT),
    ("shared", (2, 1, 30), -WEIGHT, WEIGHT),
    ("around", (2, 4, 14, 4), -WEIGHT, WEIGHT),
    ("mixers", (2, 4, 5), -MIXER, MIXER),
    ("sets", (2, 6, 5), -MIXER, MIXER),
    *(("rates", (1, kind), 0, int(most)) for kind, most in enumerate(LARGEST_RATES)),
    ("half_lives", (2, 3), 1, 1 << 30),
]


@pytest.mark.parametrize(("name", "index", "least", "most"), RANGES)
def test_numbers_out_of_range_are_refused(
    name: str, index: tuple[int, ...], least: int, most: int
) -> None:
    for value in (least, most, least - 1, most + 1):
        array = getattr(START, name).copy()
        array[index] = value
        if least <= value <= most:
            assert getattr(with_fields(**{name: array}), name)[index] == value
            continue
        with pytest.raises(ModelError) as caught:
            with_fields(**{name: array})
        assert str(caught.value) == f"the start's {name} has a value that is out of range"
