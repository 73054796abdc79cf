"""Sums over rows of weights and inputs, built of vectors (vectors.py).

Rows are padded with zeros to whole vectors.
"""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types

from nncodec.compiled import inlined
from nncodec.vectors import INT32, INT64, Call, built, constant, vector

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

WIDTH = 32
"""What `dot` takes at once: rows are padded with zeros to multiples of it."""
LANES = 16
"""The same for rows of weights that move."""
EIGHT = 8
"""Columns of the rows of the mixer."""


def padded(columns: int, width: int = WIDTH) -> int:
    """Room for so many columns and zeros."""
    return -(-columns // width) * width


@inlined
def padded_columns(columns: int) -> int:
    """The same, where it is compiled: for vectors of WIDTH."""
    return -(-columns // WIDTH) * WIDTH


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


def _build_move(call: Call, shift: int) -> None:
    builder = call.builder
    _, _, row, columns, _, _, kind, bits, form = call.given
    begin, input_begin, count = call.unpack(columns)
    first, end = call.unpack(bits)
    limit, cut = call.unpack(form)
    moved = call.variable(constant(0, LANES))
    most = call.everywhere(builder.trunc(limit, INT32), LANES)
    least = builder.neg(most)
    cut = builder.trunc(cut, INT32)
    shifts = call.everywhere(cut, LANES)
    half = builder.shl(ir.Constant(INT32, 1), builder.sub(cut, ir.Constant(INT32, 1)))
    halves = call.everywhere(half, LANES)
    with call.chunks(count, LANES) as (column, _):
        weights, rounded = (call.place(which, row, begin, column) for which in (0, 1))
        builder.store(call.load(weights, 32, LANES), moved)
        with call.range(first, end) as (bit, _):
            move = builder.load(call.place(5, bit, kind))
            inputs = call.load(call.place(4, bit, input_begin, column), call.bits(4), LANES)
            change = builder.mul(call.everywhere(move, LANES), inputs)
            if shift:
                change = builder.add(change, constant(1 << shift - 1, LANES))
                change = builder.ashr(change, constant(shift, LANES))
            builder.store(builder.add(builder.load(moved), change), moved)
        value = builder.load(moved)
        value = builder.select(builder.icmp_signed(">", value, most), most, value)
        value = builder.select(builder.icmp_signed("<", value, least), least, value)
        call.store(value, weights, 32)
        value = builder.ashr(builder.add(value, halves), shifts)
        call.store(builder.trunc(value, vector(16, LANES)), rounded, 16)


def _move_in_python(
    shift: int,
    weights: Int32,
    rounded: Int16,
    row: int,
    columns: tuple[int, int, int],
    inputs: Int8,
    moves: Int32,
    kind: int,
    bits: tuple[int, int],
    form: tuple[int, int],
) -> None:
    (begin, input_begin, count), (limit, cut) = columns, form
    some = inputs[slice(*bits), input_begin : input_begin + count].astype(np.int64)
    changes = some * moves[slice(*bits), kind, None] + (1 << shift >> 1) >> shift
    own = slice(begin, begin + count)
    moved = np.clip(weights[row, own] + changes.sum(axis=0), -limit, limit)
    weights[row, own] = moved
    rounded[row, own] = moved + (1 << cut >> 1) >> cut


@built(lambda call: _build_move(call, 0), types.void)
def move_by_signs(
    weights: Int32,
    rounded: Int16,
    row: int,
    columns: tuple[int, int, int],
    inputs: Int8,
    moves: Int32,
    kind: int,
    bits: tuple[int, int],
    form: tuple[int, int],
) -> None:
    """Moves weights along the signs that some bits see, clamps and rounds them.

    Args:
        weights: int32 (rows, columns).
        rounded: int16, likewise; the weights are written to it with fewer fractional bits.
        row: of both.
        columns: the first of the weights, the first of the inputs, how many, a multiple of LANES.
        inputs: int8 (N, columns), -1, 0 or 1.
        moves: int32 (N, EIGHT): how far each bit moves weights of some kinds.
        kind: the column of `moves` that is meant.
        bits: the first bit, and the end of those that are meant.
        form: the largest weight, either way; by how many fractional bits the rounded ones have
            less, at least 1.
    """
    _move_in_python(0, weights, rounded, row, columns, inputs, moves, kind, bits, form)


@built(lambda call: _build_move(call, 4), types.void)
def move_by_sixteenths(
    weights: Int32,
    rounded: Int16,
    row: int,
    columns: tuple[int, int, int],
    inputs: Int8,
    moves: Int32,
    kind: int,
    bits: tuple[int, int],
    form: tuple[int, int],
) -> None:
    """As `move_by_signs`, along inputs in sixteenths: every change is rounded, then added."""
    _move_in_python(4, weights, rounded, row, columns, inputs, moves, kind, bits, form)


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


def _sum_of_rows(call: Call, array: int, rows: Any) -> Any:
    """Of whole rows of 32-bit numbers, EIGHT each."""
    zero = ir.Constant(INT64, 0)
    places = [call.place(array, row, zero) for row in call.unpack(rows)]
    loaded = [call.load(place, 32, EIGHT) for place in places]
    return functools.reduce(call.builder.add, loaded)


def _build_dot_of_sums(call: Call) -> Any:
    builder = call.builder
    _, row, _, rows, _, bit = call.given
    wide, zero = vector(64, EIGHT), ir.Constant(INT64, 0)
    weights = call.load(call.place(0, row, zero), 32, EIGHT)
    weights = builder.add(weights, _sum_of_rows(call, 2, rows))
    inputs = call.load(call.place(4, bit, zero), 32, EIGHT)
    products = builder.mul(builder.sext(weights, wide), builder.sext(inputs, wide))
    return call.call(f"llvm.vector.reduce.add.v{EIGHT}i64", INT64, products)


@built(_build_dot_of_sums, types.int64)
def dot_of_sums(
    weights: Int32, row: int, more: Int32, rows: tuple[int, int, int], inputs: Int32, bit: int
) -> int:
    """The sum of inputs times sums of weights, which fit into 32 bits.

    Args:
        weights: int32 (rows, EIGHT).
        row: of them.
        more: int32, likewise.
        rows: of these, to be added.
        inputs: int32 (N, EIGHT).
        bit: the row of them.
    """
    sums = weights[row] + more[list(rows)].sum(axis=0)
    return int(sums.astype(np.int64) @ inputs[bit].astype(np.int64))


def _build_move_together(call: Call) -> None:
    builder = call.builder
    _, row, _, rows, _, bit, error, speeds, cuts = call.given
    wide, zero = vector(64, EIGHT), ir.Constant(INT64, 0)
    cut_error, cut = call.unpack(cuts)

    error = call.everywhere(builder.trunc(error, INT32), EIGHT)
    inputs = call.load(call.place(4, bit, zero), 32, EIGHT)
    gradient = _rounded(call, builder.mul(error, inputs), cut_error, vector(32, EIGHT))
    gradient = builder.sext(gradient, wide)
    changes = []
    for speed in call.unpack(speeds):
        speed = builder.sext(call.everywhere(builder.trunc(speed, INT32), EIGHT), wide)
        changes.append(_rounded(call, builder.mul(gradient, speed), cut, wide))
    own = call.place(0, row, zero)
    moved = builder.add(call.load(own, 32, EIGHT), builder.trunc(changes[0], vector(32, EIGHT)))
    call.store(moved, own, 32)
    first, second, third = call.unpack(rows)
    for which, change in ((first, changes[1]), (second, changes[2]), (third, changes[2])):
        pointer = builder.bitcast(call.place(2, which, zero), wide.as_pointer())
        total = builder.add(builder.load(pointer, align=8), change)
        builder.store(total, pointer, align=8)


@built(_build_move_together, types.void)
def move_together(
    weights: Int32,
    row: int,
    together: Int64,
    rows: tuple[int, int, int],
    inputs: Int32,
    bit: int,
    error: int,
    speeds: tuple[int, int, int],
    cuts: tuple[int, int],
) -> None:
    """Moves a row of weights, and adds up how far three rows of others move, along a gradient.

    Args:
        weights: int32 (rows, EIGHT).
        row: of them.
        together: int64, likewise.
        rows: of these.
        inputs: int32 (N, EIGHT).
        bit: the row of them.
        error: which times an input fits into 32 bits, and loses the first of the `cuts`.
        speeds: that of the row, of the first of `rows`, of the other two; fit into 32 bits.
        cuts: fractional bits that products lose: with the error, and then with a speed.
    """
    gradient = error * inputs[bit].astype(np.int64) + (1 << cuts[0] >> 1) >> cuts[0]
    changes = [gradient * speed + (1 << cuts[1] >> 1) >> cuts[1] for speed in speeds]
    weights[row] += changes[0].astype(np.int32)
    for which, change in zip(rows, (changes[1], changes[2], changes[2]), strict=True):
        together[which] += change


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


def _rounded(call: Call, value: Any, bits: Any, kind: Any) -> Any:
    """A vector of a kind of numbers less some fractional bits, a 64-bit number of at least 1."""
    builder = call.builder
    if kind.element != INT64:
        bits = builder.trunc(bits, kind.element)
    one = ir.Constant(kind.element, 1)
    half = builder.shl(one, builder.sub(bits, one))
    value = builder.add(value, call.everywhere(half, EIGHT))
    return builder.ashr(value, call.everywhere(bits, EIGHT))


def _build_list_moves(call: Call) -> None:
    builder = call.builder
    _, predictor, _, layer, kind, share, _, bits, cuts = call.given
    wide = vector(64, EIGHT)
    of_share, of_move = call.unpack(cuts)
    speeds = builder.sext(call.load(call.place(2, layer, kind), 32, EIGHT), wide)
    speeds = builder.mul(speeds, call.everywhere(share, EIGHT))
    speeds = builder.ashr(speeds, call.everywhere(of_share, EIGHT))
    # A product of two numbers of 32 bits is what processors are fast at.
    speeds = builder.sext(builder.trunc(speeds, vector(32, EIGHT)), wide)
    with call.range(*call.unpack(bits)) as (bit, _):
        error = call.everywhere(builder.load(call.place(0, bit, predictor)), EIGHT)
        moves = builder.mul(builder.sext(error, wide), speeds)
        moves = builder.trunc(_rounded(call, moves, of_move, wide), vector(32, EIGHT))
        call.store(moves, call.place(6, bit, ir.Constant(INT64, 0)), 32)


@built(_build_list_moves, types.void)
def list_moves(
    errors: Int32,
    predictor: int,
    rates: Int32,
    layer: int,
    kind: int,
    share: int,
    moves: Int32,
    bits: tuple[int, int],
    cuts: tuple[int, int],
) -> None:
    """Writes errors times what is left of rates.

    Args:
        errors: int32 (N, predictors).
        predictor: whose.
        rates: int32 (layers, kinds and EIGHT more).
        layer: whose.
        kind: the first of EIGHT rates.
        share: what is left of them; the products must fit into 64 bits.
        moves: int32 (N, EIGHT), written to.
        bits: the first bit, and the end of those that are meant.
        cuts: fractional bits that are cut off after a rate is multiplied with the share, and that a
            move is rounded by after the error is: what is left fits into 32 bits either time.
    """
    speeds = rates[layer, kind : kind + EIGHT].astype(np.int64) * share >> cuts[0]
    some = errors[slice(*bits), predictor, None].astype(np.int64)
    moves[slice(*bits)] = some * speeds + (1 << cuts[1] >> 1) >> cuts[1]
