"""Sums over rows of weights and inputs, built of vectors (llvm.py).

Rows are padded with zeros to whole vectors.
"""

from typing import Any

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
"""What `dot` takes at once: rows are padded with zeros to multiples of it."""
LANES = 16
"""The same for rows of weights that move."""


def padded(columns: int, width: int = WIDTH) -> int:
    """Room for so many columns and zeros."""
    return -(-columns // width) * width


padded_columns = inlined(padded)
"""The same in compiled functions."""


def _build_dot(call: Call) -> Any:
    builder = call.builder
    _, row, begin, _, input_row, input_begin, count = call.given
    total = call.variable(constant(0, WIDTH))
    with call.chunks(count, WIDTH) as (column, _):
        weights = call.load(call.place(0, row, begin, column), call.bits(0), WIDTH)
        inputs = call.load(call.place(3, input_row, input_begin, column), call.bits(3), WIDTH)
        # A sum of products in this shape is one instruction on many processors.
        builder.store(builder.add(builder.load(total), builder.mul(weights, inputs)), total)
    sums = call.call(f"llvm.vector.reduce.add.v{WIDTH}i32", INT32, builder.load(total))
    return builder.sext(sums, INT64)


@built(_build_dot, types.int64)
def dot(
    weights: Int16,
    row: int,
    begin: int,
    inputs: npt.NDArray[np.signedinteger[Any]],
    input_row: int,
    input_begin: int,
    count: int,
) -> int:
    """The sum of weights times inputs; it must fit into 32 bits.

    Args:
        weights: int16 (rows, columns).
        row, begin: of the weights, the first of them.
        inputs: int8 or int16 (rows, columns).
        input_row, input_begin: of the inputs, the first of them.
        count: how many, a multiple of WIDTH.
    """
    some = inputs[input_row, input_begin : input_begin + count]
    return int(weights[row, begin : begin + count].astype(np.int64) @ some)


def _build_move(call: Call) -> None:
    builder = call.builder
    _, _, row, columns, _, _, kind, bits, form = call.given
    begin, input_begin, count = call.unpack(columns)
    first, end = call.unpack(bits)
    shift, limit, cut = (builder.trunc(number, INT32) for number in call.unpack(form))
    moved = call.variable(constant(0, LANES))
    most = call.everywhere(limit, LANES)
    least = builder.neg(most)

    def rounded_by(value: Any, bits: Any) -> Any:
        # All of it vanishes where LLVM sees that there are no bits.
        one = ir.Constant(INT32, 1)
        half = builder.lshr(builder.shl(one, bits), one)
        value = builder.add(value, call.everywhere(half, LANES))
        return builder.ashr(value, call.everywhere(bits, LANES))

    with call.chunks(count, LANES) as (column, _):
        weights, rounded = (call.place(which, row, begin, column) for which in (0, 1))
        builder.store(call.load(weights, 32, LANES), moved)
        with call.range(first, end) as (bit, _):
            move = builder.load(call.place(5, bit, kind))
            inputs = call.load(call.place(4, bit, input_begin, column), call.bits(4), LANES)
            change = builder.mul(call.everywhere(move, LANES), inputs)
            change = rounded_by(change, shift)
            builder.store(builder.add(builder.load(moved), change), moved)
        value = builder.load(moved)
        value = builder.select(builder.icmp_signed(">", value, most), most, value)
        value = builder.select(builder.icmp_signed("<", value, least), least, value)
        call.store(value, weights, 32)
        value = builder.trunc(rounded_by(value, cut), vector(16, LANES))
        call.store(value, rounded, 16)


@built(_build_move, types.void)
def move(
    weights: Int32,
    rounded: Int16,
    row: int,
    columns: tuple[int, int, int],
    inputs: Int8,
    moves: Int32,
    kind: int,
    bits: tuple[int, int],
    form: tuple[int, int, int],
) -> None:
    """Moves weights along the inputs that some bits see, clamps and rounds them.

    Args:
        weights: int32 (rows, columns).
        rounded: int16, likewise; the weights are written to it with fewer fractional bits.
        row: of both.
        columns: the first of the weights, the first of the inputs, how many, a multiple of LANES.
        inputs: int8 (N, columns).
        moves: int32 (N, EIGHT): how far each bit moves weights of some kinds.
        kind: the column of `moves` that is meant.
        bits: the first bit, and the end of those that are meant.
        form: fractional bits of the inputs, by which every change is rounded before it is added;
            the largest weight, either way; by how many fractional bits the rounded ones have less,
            at least 1.
    """
    (begin, input_begin, count), (shift, limit, cut) = columns, form
    some = inputs[slice(*bits), input_begin : input_begin + count].astype(np.int64)
    changes = some * moves[slice(*bits), kind, None] + (1 << shift >> 1) >> shift
    own = slice(begin, begin + count)
    moved = np.clip(weights[row, own] + changes.sum(axis=0), -limit, limit)
    weights[row, own] = moved
    rounded[row, own] = moved + (1 << cut >> 1) >> cut


def _build_gather(call: Call) -> None:
    builder = call.builder
    _, row, _, count, split, _, kind, bits = call.given
    first, end = call.unpack(bits)
    lanes = LANES // 2
    wide = vector(64, lanes)
    sums = call.variable(ir.Constant(wide, [0] * lanes))
    numbers = ir.Constant(vector(32, lanes), list(range(lanes)))
    other = builder.add(kind, ir.Constant(INT64, 1))
    with call.chunks(count, lanes) as (column, _):
        place = call.place(0, row, column)
        pointer = builder.bitcast(place, wide.as_pointer())
        builder.store(builder.load(pointer, align=8), sums)
        left = builder.trunc(builder.sub(split, column), INT32)
        is_first = builder.icmp_signed("<", numbers, call.everywhere(left, lanes))
        with call.range(first, end) as (bit, _):
            of_first = call.everywhere(builder.load(call.place(5, bit, kind)), lanes)
            of_other = call.everywhere(builder.load(call.place(5, bit, other)), lanes)
            move = builder.select(is_first, of_first, of_other)
            change = builder.mul(move, call.load(call.place(2, bit, column), 16, lanes))
            builder.store(builder.add(builder.load(sums), builder.sext(change, wide)), sums)
        builder.store(builder.load(sums), pointer, align=8)


@built(_build_gather, types.void)
def gather(
    together: Int64,
    row: int,
    inputs: Int16,
    count: int,
    split: int,
    moves: Int32,
    kind: int,
    bits: tuple[int, int],
) -> None:
    """Adds up moves times inputs; every product must fit into 32 bits.

    Args:
        together: int64 (rows, count), what is added to.
        row: of it.
        inputs: int16 (N, count).
        count: a multiple of LANES / 2.
        split: how many columns, from the first, move by one kind; the others move by the next.
        moves: int32 (N, EIGHT).
        kind: the first of the two columns of `moves` that are meant.
        bits: the first bit, and the end of those that are meant.
    """
    kinds = np.where(np.arange(count) < split, kind, kind + 1)
    some = moves[slice(*bits), kinds].astype(np.int64)
    together[row] += (some * inputs[slice(*bits)]).sum(axis=0)


def _build_copy(call: Call) -> None:
    _, at, _, row, begin, count = call.given
    builder, step = call.builder, INT64
    for lanes in (32, 8, 1):
        # Each takes all it can; what is left is for the next.
        whole = builder.and_(count, ir.Constant(step, -lanes))
        with call.chunks(whole, lanes) as (i, _):
            pointer = builder.bitcast(call.place(0, at, i), vector(8, lanes).as_pointer())
            value = builder.load(pointer, align=1)
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
        row, begin: where the first goes.
        count: how many.
    """
    target[row, begin : begin + count] = source[at : at + count]
