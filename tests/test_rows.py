"""Sums over rows: what numpy makes of them, within the limits that they promise."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from nncodec.model.kernels import long_rows, short_rows
from nncodec.model.kernels.compilation import compiled
from nncodec.model.kernels.long_rows import LANES, WIDTH
from nncodec.model.kernels.short_rows import EIGHT

seeds = st.integers(0, 2**32 - 1)


def rounded(values: npt.NDArray[np.int64], bits: int) -> npt.NDArray[np.int64]:
    return (values + (1 << bits >> 1)) >> bits


def compiled_call(function: Callable[..., Any]) -> Callable[..., Any]:
    """Only compiled functions can call what is built of vectors."""

    def call(*arguments: Any) -> Any:
        return function(*arguments)

    return compiled(call)


dot = compiled_call(long_rows.dot)
gather = compiled_call(long_rows.gather)
move = compiled_call(long_rows.move)
dot_of_sums = compiled_call(short_rows.dot_of_sums)
move_together = compiled_call(short_rows.move_together)
copy = compiled_call(long_rows.copy)
list_moves = compiled_call(short_rows.list_moves)


@given(seeds, st.integers(0, 5), st.sampled_from([np.int8, np.int16]))
def test_dot_is_the_sum_of_products(seed: int, chunks: int, dtype: type[np.integer]) -> None:
    random, count = np.random.default_rng(seed), chunks * WIDTH
    weights = random.integers(-(1 << 15), 1 << 15, (3, count + 5), dtype=np.int16)
    largest = 127 if dtype is np.int8 else 400
    inputs = random.integers(-largest, largest + 1, (4, count + 7)).astype(dtype)
    row, input_row, begin, input_begin = (int(random.integers(n)) for n in (3, 4, 6, 8))
    expected = weights[row, begin : begin + count].astype(int)
    expected = expected @ inputs[input_row, input_begin : input_begin + count]
    assert dot(weights, row, begin, inputs, input_row, input_begin, count) == expected


@given(seeds, st.integers(0, 4), st.integers(0, 6), st.booleans())
def test_weights_move_by_the_sum_of_the_changes(
    seed: int, chunks: int, bits: int, sixteenths: bool
) -> None:
    random, count, limit, cut = np.random.default_rng(seed), chunks * LANES, 4 << 24, 14
    weights = random.integers(-limit, limit + 1, (3, count + 5), dtype=np.int32)
    narrow = np.zeros(weights.shape, dtype=np.int16)
    inputs = random.integers(-32, 33, (bits + 4, count + 7), dtype=np.int8)
    if not sixteenths:
        inputs = np.sign(inputs)
    moves = random.integers(-(1 << 22), (1 << 22) + 1, (bits + 4, EIGHT), dtype=np.int32)
    row, begin, input_begin, kind, first = (int(random.integers(n)) for n in (3, 6, 8, 2, 5))
    some = slice(first, first + bits), slice(input_begin, input_begin + count)
    changes = inputs[some].astype(np.int64) * moves[some[0], kind, None].astype(np.int64)
    changes = rounded(changes, 4) if sixteenths else changes
    expected, own = weights.astype(int), slice(begin, begin + count)
    expected[row, own] = np.clip(expected[row, own] + changes.sum(axis=0), -limit, limit)
    columns, span = (begin, input_begin, count), (first, first + bits)
    form = (4 if sixteenths else 0, limit, cut)
    move(weights, narrow, row, columns, inputs, moves, kind, span, form)
    np.testing.assert_array_equal(weights, expected)
    np.testing.assert_array_equal(narrow[row, own], rounded(expected[row, own], cut))
    narrow[row, own] = 0
    assert not narrow.any()


@given(seeds, st.integers(0, 6), st.integers(0, 6))
def test_moves_times_inputs_are_gathered(seed: int, chunks: int, bits: int) -> None:
    random, count = np.random.default_rng(seed), chunks * LANES // 2
    together = random.integers(-(1 << 40), 1 << 40, (2, count))
    inputs = random.integers(-128, 128, (bits + 3, count), dtype=np.int16)
    moves = random.integers(-(1 << 22), (1 << 22) + 1, (bits + 3, EIGHT), dtype=np.int32)
    row, split, kind, first = (int(random.integers(n)) for n in (2, count + 1, 3, 4))
    expected = together.copy()
    for column in range(count):
        for bit in range(first, first + bits):
            move = int(moves[bit, kind + (column >= split)])
            expected[row, column] += move * int(inputs[bit, column])
    gather(together, row, inputs, count, split, moves, kind, (first, first + bits))
    np.testing.assert_array_equal(together, expected)


@given(seeds)
def test_rows_of_the_mixer_weigh_and_move(seed: int) -> None:
    random = np.random.default_rng(seed)
    weights = random.integers(-(1 << 27), 1 << 27, (3, EIGHT), dtype=np.int32)
    more = random.integers(-(1 << 27), 1 << 27, (7, EIGHT), dtype=np.int32)
    inputs = random.integers(-3072, 3073, (4, EIGHT), dtype=np.int32)
    row, bit = int(random.integers(3)), int(random.integers(4))
    first, second, third = random.choice(7, 3, replace=False).tolist()
    sums = weights[row].astype(int) + more[[first, second, third]].sum(axis=0, dtype=int)
    rows = (first, second, third)
    assert dot_of_sums(weights, row, more, rows, inputs, bit) == sums @ inputs[bit]

    error, speeds = int(random.integers(-65535, 65536)), random.integers(0, 1 << 18, 3).tolist()
    weights, together = weights >> 3, random.integers(-(1 << 40), 1 << 40, (7, EIGHT))
    gradient = rounded(error * inputs[bit].astype(int), 8)
    expected, expected_together = weights.astype(int), together.copy()
    expected[row] += rounded(gradient * speeds[0], 16)
    for which, speed in zip(rows, (speeds[1], speeds[2], speeds[2]), strict=True):
        expected_together[which] += rounded(gradient * speed, 16)
    move_together(weights, row, together, rows, inputs, bit, error, tuple(speeds), (8, 16))
    np.testing.assert_array_equal(weights, expected)
    np.testing.assert_array_equal(together, expected_together)


@given(seeds, st.integers(0, 80))
def test_copies_touch_nothing_else(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    source = random.integers(-128, 128, count + 9, dtype=np.int8)
    target = random.integers(-128, 128, (3, count + 9), dtype=np.int8)
    at, row, begin = (int(random.integers(n)) for n in (10, 3, 10))
    expected = target.copy()
    expected[row, begin : begin + count] = source[at : at + count]
    copy(source, at, target, row, begin, count)
    np.testing.assert_array_equal(target, expected)


@given(seeds, st.integers(0, 6))
def test_moves_are_errors_times_what_is_left_of_rates(seed: int, bits: int) -> None:
    random = np.random.default_rng(seed)
    errors = random.integers(-65535, 65536, (bits + 3, 3), dtype=np.int32)
    rates = random.integers(0, (1 << 22) + 1, (2, 5 + EIGHT), dtype=np.int32)
    share, predictor, layer, kind, first = (
        int(random.integers(n)) for n in ((1 << 20) + 1, 3, 2, 6, 4)
    )
    moves = random.integers(-9, 9, (bits + 3, EIGHT), dtype=np.int32)
    expected = moves.copy()
    for bit in range(first, first + bits):
        for column in range(EIGHT):
            speed = int(rates[layer, kind + column]) * share >> 20
            expected[bit, column] = (int(errors[bit, predictor]) * speed + (1 << 15)) >> 16
    span = first, first + bits
    list_moves(errors, predictor, rates, layer, kind, share, moves, span, (20, 16))
    np.testing.assert_array_equal(moves, expected)
