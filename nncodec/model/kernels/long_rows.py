"""Operations on rows as long as a block or its neighbours have bits, built of LLVM's vectors.

Rows are padded with zeros to whole vectors. What one function does is what its definition in Python
says, which runs where nothing is compiled; FORMAT.md, section 9, says what it is for.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types

from nncodec.model.kernels.compilation import inlined
from nncodec.model.kernels.llvm import INT32, INT64, Call, built, constant, vector

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

WIDTH = 32
"""Rows of inputs are padded to multiples of it."""
LANES = 16
"""Rows that have a number for every channel of a block are padded to multiples of it."""


def padded(columns: int, width: int = WIDTH) -> int:
    """The length of a row of so many columns with its padding."""
    return -(-columns // width) * width


padded_columns = inlined(padded)
"""The same in compiled functions."""


class Extent(NamedTuple):
    """Which part of a matrix of weights `learn_and_sum` works on.

    Attributes:
        first, units: the first unit, and how many there are.
        columns: how many, a multiple of WIDTH.
        group: the row of `moves` and `pending`.
        sums: that of `sums`.
    """

    first: int
    units: int
    columns: int
    group: int
    sums: int


def _build_learn_and_sum(call: Call) -> None:
    builder = call.builder
    first, count, columns, pending_row, sum_row = call.unpack(call.given[5])
    with call.range(call.zero, count) as (rank, _):
        move = call.everywhere(builder.load(call.place(1, pending_row, rank)), WIDTH)
        total = call.variable(constant(0, WIDTH))
        with call.chunks(columns, WIDTH) as (column, _):
            place = call.place(0, builder.add(first, rank), column)
            before = call.load(call.place(2, pending_row, column), 8, WIDTH, 16)
            weights = call.load(place, 16, WIDTH, 16)
            weights = call.add_saturated(weights, builder.mul(before, move), WIDTH)
            call.store(weights, place, 16)
            now = call.load(call.place(3, call.zero, column), 8, WIDTH)
            # A sum of products in this shape is one instruction on many processors.
            products = builder.mul(builder.sext(weights, vector(32, WIDTH)), now)
            builder.store(builder.add(builder.load(total), products), total)
        sums = call.call(f"llvm.vector.reduce.add.v{WIDTH}i32", INT32, builder.load(total))
        builder.store(sums, call.place(4, sum_row, rank))


@built(_build_learn_and_sum, types.void)
def learn_and_sum(
    weights: Int16,
    moves: Int16,
    pending: Int8,
    inputs: Int8,
    sums: Int32,
    extent: Extent,
) -> None:
    """Makes weights learn from the inputs before, then sums weights times the inputs that are next.

    One pass over the weights does both. `multiply` puts the inputs by, to learn from next time.

    Args:
        weights: int16 (units, columns), one row a unit. They saturate.
        moves: int16 (rows, channels), by how much the weights of a positive input grow.
        pending: int8 (rows, columns), the inputs before, some of them multiplied.
        inputs: int8 (1, columns), those that are next.
        sums: int32 (rows, channels); every sum must fit.
        extent: the part of them that is meant.
    """
    first, count, columns, pending_row, sum_row = extent
    used = weights[first : first + count, :columns]
    changes = moves[pending_row, :count, None].astype(np.int64) * pending[pending_row, :columns]
    used[:] = np.clip(used + changes, -(1 << 15), (1 << 15) - 1)
    sums[sum_row, :count] = used.astype(np.int64) @ inputs[0, :columns]


def _build_multiply(call: Call) -> None:
    builder = call.builder
    _, _, _, row, columns = call.given
    with call.chunks(columns, WIDTH) as (column, _):
        number, factor = (
            call.load(call.place(array, call.zero, column), 8, WIDTH, 8) for array in (0, 1)
        )
        call.store(builder.mul(number, factor), call.place(2, row, column), 8)


@built(_build_multiply, types.void)
def multiply(numbers: Int8, factors: Int8, products: Int8, row: int, columns: int) -> None:
    """Writes a row of numbers, each times a factor of its own, to a row of another array.

    Args:
        numbers: int8 (1, columns); every product must fit.
        factors: int8 (1, columns).
        products: int8 (rows, columns).
        row: of the products.
        columns: how many, a multiple of WIDTH.
    """
    products[row, :columns] = numbers[0, :columns] * factors[0, :columns]


def _build_accumulate(call: Call) -> None:
    builder = call.builder
    _, row, _, weight_row, _, begin = call.given
    factors = call.everywhere(builder.trunc(call.integer(4), INT32), LANES)
    with call.range(begin, call.length(0), LANES) as (column, _):
        place = call.place(0, row, column)
        weights = call.load(call.place(2, weight_row, column), 16, LANES)
        sums = builder.add(call.load(place, 32, LANES), builder.mul(weights, factors))
        call.store(sums, place, 32)


@built(_build_accumulate, types.void)
def accumulate(
    sums: Int32, row: int, weights: Int16, weight_row: int, factor: int, begin: int
) -> None:
    """Adds a row of weights times a number to a row of sums, from a column on.

    Args:
        sums: int32 (rows, channels).
        row: of the sums.
        weights: int16 (rows, channels).
        weight_row: of the weights.
        factor: the number.
        begin: the first column, a multiple of LANES.
    """
    sums[row, begin:] += weights[weight_row, begin:].astype(np.int32) * factor


def _build_learn_row(call: Call) -> None:
    builder = call.builder
    _, row, _, kind, step, begin = call.given
    factor, cut = (builder.trunc(number, INT32) for number in call.unpack(step))
    factors, cuts = call.everywhere(factor, LANES), call.everywhere(cut, LANES)
    one = ir.Constant(INT32, 1)
    # Half of what is cut off; none where nothing is.
    half = call.everywhere(builder.lshr(builder.shl(one, cut), one), LANES)
    with call.range(begin, call.length(0), LANES) as (column, _):
        place = call.place(0, row, column)
        moves = call.load(call.place(2, kind, column), 16, LANES)
        changes = builder.add(builder.mul(moves, factors), half)
        changes = builder.trunc(builder.ashr(changes, cuts), vector(16, LANES))
        call.store(call.add_saturated(call.load(place, 16, LANES, 16), changes, LANES), place, 16)


@built(_build_learn_row, types.void)
def learn_row(
    weights: Int16, row: int, moves: Int16, kind: int, step: tuple[int, int], begin: int
) -> None:
    """Moves a row of weights, each by a move of its own times a number, from a column on.

    Args:
        weights: int16 (rows, channels). They saturate; every change must fit.
        row: of the weights.
        moves: int16 (kinds, channels).
        kind: the row of the moves.
        step: the number, and by how many bits the products are rounded.
        begin: the first column, a multiple of LANES.
    """
    factor, cut = step
    changes = moves[kind, begin:].astype(np.int64) * factor + (1 << cut >> 1) >> cut
    weights[row, begin:] = np.clip(weights[row, begin:] + changes, -(1 << 15), (1 << 15) - 1)


def _build_combine(call: Call) -> None:
    builder = call.builder
    row = call.given[3]
    with call.chunks(call.length(0), LANES) as (column, _):
        sums = call.variable(constant(0, LANES))
        with call.range(call.zero, call.rows(0)) as (tap, _):
            factors = call.everywhere(builder.load(call.place(1, tap)), LANES)
            signs = call.load(call.place(0, tap, column), 8, LANES)
            builder.store(builder.add(builder.load(sums), builder.mul(signs, factors)), sums)
        call.store(builder.load(sums), call.place(2, row, column), 32)


@built(_build_combine, types.void)
def combine(signs: Int8, factors: Int32, sums: Int32, row: int) -> None:
    """Writes the sum of all rows of signs, each times a number of its own, to a row of sums.

    Args:
        signs: int8 (taps, channels).
        factors: int32 (taps,).
        sums: int32 (rows, channels).
        row: of the sums.
    """
    sums[row] = factors.astype(np.int64) @ signs


def _build_correlate(call: Call) -> None:
    builder = call.builder
    row = call.given[2]
    with call.range(call.zero, call.rows(0)) as (tap, _):
        total = call.variable(constant(0, LANES))
        with call.chunks(call.length(0), LANES) as (column, _):
            errors = call.load(call.place(1, row, column), 32, LANES)
            signs = call.load(call.place(0, tap, column), 8, LANES)
            builder.store(builder.add(builder.load(total), builder.mul(signs, errors)), total)
        sums = call.call(f"llvm.vector.reduce.add.v{LANES}i32", INT32, builder.load(total))
        builder.store(builder.sext(sums, INT64), call.place(3, tap))


@built(_build_correlate, types.void)
def correlate(signs: Int8, errors: Int32, row: int, totals: Int64) -> None:
    """Writes the sum over channels of errors times signs, for every tap.

    Args:
        signs: int8 (taps, channels).
        errors: int32 (rows, channels); the sums must fit.
        row: of the errors.
        totals: int64 (taps,), written to.
    """
    totals[:] = signs.astype(np.int64) @ errors[row]


def _build_dot(call: Call) -> Any:
    builder = call.builder
    _, row, _, input_row, count = call.given
    total = call.variable(constant(0, WIDTH))
    with call.chunks(count, WIDTH) as (column, _):
        weights = call.load(call.place(0, row, column), 16, WIDTH)
        inputs = call.load(call.place(2, input_row, column), 8, WIDTH)
        builder.store(builder.add(builder.load(total), builder.mul(weights, inputs)), total)
    sums = call.call(f"llvm.vector.reduce.add.v{WIDTH}i32", INT32, builder.load(total))
    return builder.sext(sums, INT64)


@built(_build_dot, types.int64)
def dot(weights: Int16, row: int, inputs: Int8, input_row: int, count: int) -> int:
    """The sum of weights times inputs; it must fit into 32 bits.

    Args:
        weights: int16 (rows, columns).
        row: of the weights.
        inputs: int8 (rows, columns).
        input_row: of the inputs.
        count: how many columns, a multiple of WIDTH.
    """
    return int(weights[row, :count].astype(np.int64) @ inputs[input_row, :count])


def _build_copy(call: Call) -> None:
    _, at, _, row, begin, count = call.given
    builder, step = call.builder, INT64
    for lanes in (32, 8, 1):
        # Each takes all it can; what is left is for the next.
        whole = builder.and_(count, ir.Constant(step, -lanes))
        with call.chunks(whole, lanes) as (i, _):
            value = call.load(call.place(0, builder.add(at, i)), 8, lanes, 8)
            call.store(value, call.place(2, row, begin, i), 8)
        at, begin = builder.add(at, whole), builder.add(begin, whole)
        count = builder.sub(count, whole)


@built(_build_copy, types.void)
def copy(source: Int8, at: int, target: Int8, row: int, begin: int, count: int) -> None:
    """Copies adjacent numbers into a row, from a column on.

    Args:
        source: int8, one axis.
        at: the first of them.
        target: int8 (rows, columns).
        row: where they go.
        begin: the column of the first.
        count: how many.
    """
    target[row, begin : begin + count] = source[at : at + count]
