"""Operations on rows: what is built of vectors does what its definition in Python says."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncodec.model.kernels import long_rows, matrices, short_rows
from nncodec.model.kernels.long_rows import LANES, WIDTH, padded
from nncodec.model.kernels.matrices import COPIED, INPUTS, OUTPUTS
from nncodec.model.kernels.short_rows import EIGHT

Array = npt.NDArray[Any]

GUARD = 67
"""How many numbers lie before and behind every array, none of which may change."""

SIGN, WEIGHT = 1, (1 << 15) - 1
LARGEST_ERROR = (1 << 16) - 1


@cache
def plain(module: ModuleType) -> ModuleType:
    """The same module with its definitions in Python, which Numba is told to leave alone."""
    assert module.__spec__
    assert module.__spec__.origin
    spec = importlib.util.spec_from_file_location("plain", module.__spec__.origin)
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba.config, "DISABLE_JIT", 1)
        spec.loader.exec_module(found)
    return found


@cache
def built(module: ModuleType, name: str) -> Callable[..., Any]:
    """What is built of vectors: only compiled functions can call it."""
    function = getattr(module, name)

    def call(*arguments: Any) -> Any:
        return function(*arguments)

    compiled: Callable[..., Any] = numba.njit(call)
    return compiled


@dataclass
class Drawing:
    """Draws arguments; its numbers are any, or all at their limits.

    Attributes:
        seed: of the numbers.
        extreme: whether all are at their limits, either way, or 0.
    """

    seed: int
    extreme: bool

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    def array(self, dtype: type[np.integer], limit: int, *shape: int) -> Array:
        """Numbers of -limit ... limit, between others that nobody may touch."""
        size = int(np.prod(shape))
        info = np.iinfo(dtype)
        around = self._random.integers(
            info.min, info.max, size + 2 * GUARD, dtype=dtype, endpoint=True
        )
        if self.extreme:
            drawn = self._random.choice([-limit, 0, limit], size).astype(dtype)
        else:
            drawn = self._random.integers(-limit, limit, size, dtype=dtype, endpoint=True)
        around[GUARD : GUARD + size] = drawn
        return around[GUARD : GUARD + size].reshape(shape)

    def number(self, limit: int) -> int:
        return int(self.array(np.int64, limit, 1)[0])

    def index(self, count: int) -> int:
        return int(self._random.integers(count))

    def largest(self) -> int:
        """A limit of weights."""
        return 1 << int(self._random.integers(20, 28))


def buffer_of(argument: Any) -> Array:
    """All that a call could change: an array with its guards; numbers as they are."""
    while isinstance(argument, np.ndarray) and argument.base is not None:
        argument = argument.base
    return np.array(argument)


def copied(argument: Any) -> Any:
    """An argument with guards of its own."""
    if not isinstance(argument, np.ndarray):
        return argument
    return buffer_of(argument)[GUARD : GUARD + argument.size].reshape(argument.shape)


def assert_does_as_defined(module: ModuleType, name: str, *arguments: Any) -> Any:
    """Calls both; compares what they give, and all that they have, or should not have, changed."""
    others = [copied(argument) for argument in arguments]
    expected = getattr(plain(module), name)(*arguments)
    assert built(module, name)(*others) == expected
    for argument, other in zip(arguments, others, strict=True):
        np.testing.assert_array_equal(buffer_of(other), buffer_of(argument))
    return expected


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    return Drawing(draw(st.integers(0, 2**32 - 1)), draw(st.booleans()))


chunks = st.integers(0, 5)


# --- long rows ---------------------------------------------------------------------------------


@given(drawings(), st.integers(0, 6), chunks)
def test_learn_and_sum(drawing: Drawing, count: int, wide: int) -> None:
    columns = wide * WIDTH
    first, unused = drawing.index(3), drawing.index(4)
    weights = drawing.array(np.int16, WEIGHT, first + count + drawing.index(3), columns + unused)
    moves = drawing.array(np.int16, WEIGHT, 2, count + drawing.index(3))
    pending = drawing.array(np.int8, SIGN, 2, columns + unused)
    inputs = drawing.array(np.int8, SIGN, 1, columns + drawing.index(3))
    sums = drawing.array(np.int32, 9, 3, count + drawing.index(3))
    before, extent = weights.astype(int), (first, count, columns, drawing.index(2), 1)
    arguments = (weights, moves, pending, inputs, sums, extent)
    learned = pending[extent[3], :columns].copy()
    assert_does_as_defined(long_rows, "learn_and_sum", *arguments)
    for unit in range(first, first + count):
        change = int(moves[extent[3], unit - first]) * learned.astype(int)
        expected = np.clip(before[unit, :columns] + change, -(1 << 15), WEIGHT)
        np.testing.assert_array_equal(weights[unit, :columns], expected)
        assert sums[1, unit - first] == expected @ inputs[0, :columns].astype(int)


@given(drawings(), chunks)
def test_multiply(drawing: Drawing, wide: int) -> None:
    columns = wide * WIDTH
    numbers = drawing.array(np.int8, SIGN, 1, columns + drawing.index(3))
    factors = drawing.array(np.int8, 127, 1, columns + drawing.index(3))
    products = drawing.array(np.int8, SIGN, 3, columns + drawing.index(3))
    expected = products.copy()
    expected[2, :columns] = numbers[0, :columns] * factors[0, :columns]
    assert_does_as_defined(long_rows, "multiply", numbers, factors, products, 2, columns)
    np.testing.assert_array_equal(products, expected)


@given(drawings(), chunks, st.sampled_from([SIGN << 4, 32]))
def test_accumulate(drawing: Drawing, lanes: int, limit: int) -> None:
    columns = lanes * LANES
    sums = drawing.array(np.int32, 1 << 29, 3, columns)
    weights = drawing.array(np.int16, WEIGHT, 4, columns)
    rows = drawing.index(3), drawing.index(4)
    begin = LANES * drawing.index(lanes + 1)
    arguments = (sums, rows[0], weights, rows[1], drawing.number(limit), begin)
    assert_does_as_defined(long_rows, "accumulate", *arguments)


@given(drawings(), chunks, st.sampled_from([(SIGN, 0, WEIGHT), (32, 4, 1 << 13), (32, 1, 1 << 10)]))
def test_learn_row(drawing: Drawing, lanes: int, form: tuple[int, int, int]) -> None:
    columns, (limit, cut, move) = lanes * LANES, form
    weights = drawing.array(np.int16, WEIGHT, 3, columns)
    moves = drawing.array(np.int16, move, 2, columns)
    row, kind, begin = drawing.index(3), drawing.index(2), LANES * drawing.index(lanes + 1)
    arguments = (weights, row, moves, kind, (drawing.number(limit), cut), begin)
    assert_does_as_defined(long_rows, "learn_row", *arguments)


@given(drawings(), st.integers(0, 25), chunks)
def test_combine(drawing: Drawing, taps: int, lanes: int) -> None:
    signs = drawing.array(np.int8, SIGN, taps, lanes * LANES)
    factors = drawing.array(np.int32, 1 << 26, taps)
    sums = drawing.array(np.int32, 9, 3, lanes * LANES)
    assert_does_as_defined(long_rows, "combine", signs, factors, sums, drawing.index(3))


@given(drawings(), st.integers(0, 25), chunks)
def test_correlate(drawing: Drawing, taps: int, lanes: int) -> None:
    signs = drawing.array(np.int8, SIGN, taps, lanes * LANES)
    errors = drawing.array(np.int32, LARGEST_ERROR, 2, lanes * LANES)
    totals = drawing.array(np.int64, 1 << 60, taps)
    assert_does_as_defined(long_rows, "correlate", signs, errors, drawing.index(2), totals)


@given(drawings(), chunks, chunks)
def test_dot(drawing: Drawing, wide: int, more: int) -> None:
    columns = (wide + more) * WIDTH
    weights = drawing.array(np.int16, WEIGHT, 3, columns)
    inputs = drawing.array(np.int8, 127, 2, columns)
    rows = drawing.index(3), drawing.index(2)
    arguments = (weights, rows[0], inputs, rows[1], wide * WIDTH)
    total = assert_does_as_defined(long_rows, "dot", *arguments)
    used = slice(0, wide * WIDTH)
    assert total == weights[rows[0], used].astype(int) @ inputs[rows[1], used].astype(int)


@given(drawings(), st.integers(0, 140))
def test_copy(drawing: Drawing, count: int) -> None:
    source = drawing.array(np.int8, 127, count + drawing.index(9))
    target = drawing.array(np.int8, 127, 3, count + drawing.index(9))
    at, begin = (drawing.index(array.shape[-1] - count + 1) for array in (source, target))
    expected, row = target.copy(), drawing.index(3)
    assert_does_as_defined(long_rows, "copy", source, at, target, row, begin, count)
    expected[row, begin : begin + count] = source[at : at + count]
    np.testing.assert_array_equal(target, expected)


@numba.njit
def padded_in_compiled_functions(columns: int) -> int:
    return long_rows.padded_columns(columns)


def test_rows_are_padded_to_whole_vectors_and_no_further() -> None:
    compiled: Any = padded_in_compiled_functions
    for columns in range(200):
        for width in (WIDTH, LANES):
            assert padded(columns, width) % width == 0
            assert columns <= padded(columns, width) < columns + width
        assert compiled(columns) == padded(columns, WIDTH)


# --- rows of eight -----------------------------------------------------------------------------


@given(drawings(), st.integers(1, 64))
def test_gate(drawing: Drawing, ranks: int) -> None:
    agreement = drawing.array(np.int32, ranks, EIGHT)
    scales = drawing.array(np.int32, ((1 << 31) - 1) // ranks**2, ranks, EIGHT)
    np.abs(scales, out=scales)
    signs = drawing.array(np.int8, SIGN, ranks, EIGHT)
    inputs = drawing.array(np.int32, 9, EIGHT)
    row = drawing.index(ranks)
    assert_does_as_defined(short_rows, "gate", agreement, scales, signs, row, inputs)
    for column in range(EIGHT):
        a, scale = int(agreement[column]), int(scales[row, column])
        assert inputs[column] == (a * abs(a) * scale >> 16) * int(signs[row, column])


@given(drawings(), st.integers(0, 12))
def test_weigh(drawing: Drawing, cut: int) -> None:
    weights = drawing.array(np.int32, (1 << 18) << cut, 3, EIGHT + drawing.index(9))
    inputs = drawing.array(np.int32, (1 << 9) - 1, EIGHT)
    assert_does_as_defined(short_rows, "weigh", weights, drawing.index(3), inputs, cut)


@given(drawings())
def test_learn_lanes(drawing: Drawing) -> None:
    limit = drawing.largest()
    weights = drawing.array(np.int32, limit, 3, EIGHT + drawing.index(9))
    inputs = drawing.array(np.int32, 128, EIGHT)
    row, move = drawing.index(3), drawing.number((1 << 24) - 1)
    assert_does_as_defined(short_rows, "learn_lanes", weights, row, inputs, move, limit)
    assert abs(weights.astype(int)).max() <= limit


@given(drawings(), st.sampled_from([-1, 1]))
def test_agree(drawing: Drawing, sign: int) -> None:
    agreement = drawing.array(np.int32, 64, EIGHT)
    signs = drawing.array(np.int8, SIGN, 3, EIGHT)
    assert_does_as_defined(short_rows, "agree", agreement, signs, drawing.index(3), sign)


@given(drawings())
def test_mix(drawing: Drawing) -> None:
    weights = drawing.array(np.int32, (1 << 30) - 1, 3, EIGHT)
    sets = drawing.array(np.int32, (1 << 30) - 1, 7, EIGHT)
    inputs = drawing.array(np.int32, 3072, EIGHT)
    row, chosen = drawing.index(3), drawing.index(7)
    total = assert_does_as_defined(short_rows, "mix", weights, row, sets, chosen, inputs)
    assert total == (weights[row].astype(int) + sets[chosen]) @ inputs.astype(int)


@given(drawings())
def test_learn_mixing(drawing: Drawing) -> None:
    limit = drawing.largest()
    weights = drawing.array(np.int32, limit, 3, EIGHT)
    inputs = drawing.array(np.int32, 3072, EIGHT)
    row, error, rate = drawing.index(3), drawing.number(LARGEST_ERROR), abs(drawing.number(1 << 20))
    arguments = (weights, row, inputs, error, rate, limit)
    assert_does_as_defined(short_rows, "learn_mixing", *arguments)
    assert abs(weights.astype(int)).max() <= limit


# --- matrices ----------------------------------------------------------------------------------


@given(drawings(), st.integers(1, 70), st.integers(0, 40), st.integers(0, 9))
def test_multiply_rows(drawing: Drawing, outputs: int, count: int, rows: int) -> None:
    matrix = drawing.array(np.int8, 127, outputs, count)
    weights = drawing.array(np.int8, 127, drawing.index(70) + padded(outputs, OUTPUTS) * 48)
    arranged, width = matrices.arranged(matrix), padded(outputs, OUTPUTS)
    base, used = drawing.index(len(weights) - len(arranged) + 1), padded(count, INPUTS)
    weights[base : base + len(arranged)] = arranged
    inputs = drawing.array(np.int16, 3072, rows, used + drawing.index(9))
    sums = drawing.array(np.int32, 9, rows, width + drawing.index(9))
    inputs[:, count:used] = 0
    arguments = (weights, base, width, inputs, used, sums, rows)
    assert_does_as_defined(matrices, "multiply_rows", *arguments)
    expected = inputs[:, :count].astype(int) @ matrix.T.astype(int)
    np.testing.assert_array_equal(sums[:, :outputs], expected)


@given(drawings(), st.integers(0, 70), st.sampled_from([(-3072, 3072), (0, 3072), (-1536, 1536)]))
def test_scale_sums(drawing: Drawing, width: int, limits: tuple[int, int]) -> None:
    rows, room, bits = 3, padded(width, COPIED), drawing.index(30) + 1
    column = drawing.index(6)
    sums = drawing.array(np.int32, (1 << 31) - 1, rows, room + 5)
    scales = drawing.array(np.int32, 1 << drawing.index(30), 2 * room + 1)
    shifts = drawing.array(np.int64, 1 << drawing.index(61), 2 * room + 1)
    numbers = drawing.array(np.int16, 3072, 3 * room + 1)
    target, skip = drawing.index(2) * room, drawing.index(3) * room - drawing.index(2) * 9999
    row, first = drawing.index(rows), drawing.index(room + 1)
    scaling = (row, column, first, target, skip, width, *limits, bits)
    before, after = numbers.astype(object), numbers.copy()
    built(matrices, "scale_sums")(sums, scales, shifts, after, matrices.Scaling(*scaling))
    arguments = (sums, scales, shifts, numbers, matrices.Scaling(*scaling))
    plain(matrices).scale_sums(*arguments)
    for i in range(width):
        total = int(sums[row, column + i]) * int(scales[first + i]) + int(shifts[first + i])
        total += before[skip + i] << bits if skip >= 0 else 0
        value = min(max(total + (1 << bits - 1) >> bits, limits[0]), limits[1])
        assert after[target + i] == numbers[target + i] == value
    others = np.ones(len(numbers), dtype=bool)
    others[target : target + room] = False
    np.testing.assert_array_equal(after[others], numbers[others])


@given(drawings(), st.integers(0, 70), st.booleans())
def test_copy_numbers_and_signs(drawing: Drawing, count: int, signs: bool) -> None:
    """Some numbers behind may be overwritten, but none before, and none of other rows."""
    source = drawing.array(np.int8 if signs else np.int16, 1 if signs else 3072, count + 40)
    target = drawing.array(np.int16, 3072, 3, count + 40)
    at, row, begin = drawing.index(20), drawing.index(3), drawing.index(20)
    name, more = ("copy_signs", (8,)) if signs else ("copy_numbers", ())
    found, kept = target.copy(), target.copy()
    built(matrices, name)(source, at, found, row, begin, count, *more)
    getattr(plain(matrices), name)(source, at, target, row, begin, count, *more)
    kept[row, begin : begin + count] = source[at : at + count].astype(int) * (256 if signs else 1)
    np.testing.assert_array_equal(target, kept)
    end = begin + padded(count, COPIED)
    kept[row, begin + count : end] = found[row, begin + count : end]
    np.testing.assert_array_equal(found, kept)
