"""Products of matrices of 8-bit weights and 16-bit inputs, built of LLVM's vectors.

Weights lie by pairs of inputs: for inputs 2 i and 2 i + 1, the two weights of every output stand
side by side, so that a sum of two products is one instruction on many processors. Outputs are
padded to OUTPUTS, inputs to INPUTS; the padding holds zeros.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types

from nncodec.model.kernels.llvm import INT32, INT64, Call, built, constant, vector

Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

OUTPUTS = 32
"""Outputs of a matrix are padded to multiples of it."""
INPUTS = 4
"""Inputs are padded to multiples of it."""
ROWS = 4
"""So many rows of inputs are multiplied together, where there are as many."""
COPIED = 16
"""Numbers are copied by so many; some behind the last may be overwritten."""


def arranged(weights: Int8) -> Int8:
    """Brings weights into the order in which `multiply_rows` takes them.

    Args:
        weights: int8 (outputs, inputs).

    Returns:
        int8, one axis.
    """
    outputs, inputs = weights.shape
    more = (-outputs % OUTPUTS, -inputs % INPUTS)
    padded = np.pad(weights, [(0, more[0]), (0, more[1])])
    return np.ascontiguousarray(padded.reshape(len(padded), -1, 2).swapaxes(0, 1)).reshape(-1)


def _build_multiply_rows(call: Call) -> None:
    builder = call.builder
    _, base, outputs, _, inputs, _, rows = call.given
    together = builder.and_(rows, ir.Constant(INT64, -ROWS))
    for begin, end, step in ((call.zero, together, ROWS), (together, rows, 1)):
        with call.range(begin, end, step) as (row, _):
            _multiply_some(call, (base, outputs, inputs), row, step)


def _multiply_some(call: Call, sizes: tuple[Any, Any, Any], row: Any, count: int) -> None:
    """Multiplies adjacent rows; a single one by two pairs of inputs at a time."""
    builder, lanes = call.builder, OUTPUTS // 2
    base, outputs, inputs = sizes
    pairs_at_once = 1 if count > 1 else 2
    twice = builder.shl(outputs, ir.Constant(INT64, 1))
    rows = [builder.add(row, ir.Constant(INT64, i)) for i in range(count)]
    with call.range(call.zero, outputs, OUTPUTS) as (column, _):
        totals = {
            (i, half, pair): call.variable(constant(0, lanes))
            for i in range(count)
            for half in range(2)
            for pair in range(pairs_at_once)
        }
        at = builder.add(base, builder.shl(column, ir.Constant(INT64, 1)))
        with call.range(call.zero, inputs, 2 * pairs_at_once) as (first, _):
            for pair in range(pairs_at_once):
                one = builder.add(first, ir.Constant(INT64, 2 * pair))
                begin = builder.mul(builder.ashr(one, ir.Constant(INT64, 1)), twice)
                weights = [
                    call.load(
                        call.place(0, at, begin, ir.Constant(INT64, OUTPUTS * half)), 8, OUTPUTS, 16
                    )
                    for half in range(2)
                ]
                for i in range(count):
                    place = builder.bitcast(call.place(3, rows[i], one), INT32.as_pointer())
                    both = call.everywhere(builder.load(place, align=2), lanes)
                    values = builder.bitcast(both, vector(16, OUTPUTS))
                    for half in range(2):
                        total = totals[i, half, pair]
                        sums = _sums_of_pairs(builder, weights[half], values)
                        builder.store(builder.add(builder.load(total), sums), total)
        for i in range(count):
            for half in range(2):
                total = builder.load(totals[i, half, 0])
                if pairs_at_once == 2:
                    total = builder.add(total, builder.load(totals[i, half, 1]))
                place = call.place(5, rows[i], column, ir.Constant(INT64, lanes * half))
                call.store(total, place, 32)


def _sums_of_pairs(builder: Any, first: Any, second: Any) -> Any:
    """Products of vectors of 16-bit numbers, every two of them added: one instruction."""
    wide = vector(32, OUTPUTS)
    products = builder.mul(builder.sext(first, wide), builder.sext(second, wide))
    nothing = ir.Constant(wide, ir.Undefined)
    even, odd = (
        builder.shuffle_vector(
            products,
            nothing,
            ir.Constant(vector(32, OUTPUTS // 2), list(range(begin, OUTPUTS, 2))),
        )
        for begin in range(2)
    )
    return builder.add(even, odd)


@built(_build_multiply_rows, types.void)
def multiply_rows(
    weights: Int8, base: int, outputs: int, inputs: Int16, count: int, sums: Int32, rows: int
) -> None:
    """Writes the sums of weights times inputs, for each of some rows of inputs.

    Args:
        weights: int8, one axis, `arranged`.
        base: where those of the matrix begin.
        outputs: how many there are, with their padding.
        inputs: int16 (rows, columns).
        count: how many inputs are meant, a multiple of INPUTS.
        sums: int32 (rows, columns), written to.
        rows: how many.
    """
    used = weights[base : base + count * outputs].reshape(count // 2, outputs, 2)
    matrix = used.swapaxes(1, 2).reshape(count, outputs).astype(np.int64)
    sums[:rows, :outputs] = inputs[:rows, :count].astype(np.int64) @ matrix


class Scaling(NamedTuple):
    """How `scale_sums` makes numbers of sums.

    Attributes:
        row, column: of the first sum.
        first: index of the first scale and shift.
        target: index of the first number that is written.
        skip: index of the first number that is added; negative for none.
        width: how many numbers; up to COPIED - 1 more are read and written.
        least, most: what they are brought into.
        bits: fractional bits of a scale.
    """

    row: int
    column: int
    first: int
    target: int
    skip: int
    width: int
    least: int
    most: int
    bits: int


def _build_scale_sums(call: Call) -> None:
    builder = call.builder
    row, begin, first, target, skip, width, least, most, bits = call.unpack(call.given[4])
    one = ir.Constant(INT64, 1)
    half = call.everywhere(builder.shl(one, builder.sub(bits, one)), COPIED)
    adds = builder.icmp_signed(">=", skip, call.zero)
    skip = builder.select(adds, skip, target)
    kept = call.everywhere(builder.sext(adds, INT64), COPIED)
    least, most, cuts = (call.everywhere(number, COPIED) for number in (least, most, bits))
    with call.chunks(width, COPIED) as (i, _):
        sums = call.load(call.place(0, row, begin, i), 32, COPIED, 64)
        scales = call.load(call.place(1, first, i), 32, COPIED, 64)
        shifts = call.load(call.place(2, first, i), 64, COPIED, 64)
        skipped = call.load(call.place(3, skip, i), 16, COPIED, 64)
        skipped = builder.shl(builder.and_(skipped, kept), cuts)
        value = builder.add(builder.add(builder.mul(sums, scales), shifts), skipped)
        value = builder.ashr(builder.add(value, half), cuts)
        value = builder.select(builder.icmp_signed("<", value, least), least, value)
        value = builder.select(builder.icmp_signed(">", value, most), most, value)
        numbers = builder.trunc(value, vector(16, COPIED))
        call.store(numbers, call.place(3, target, i), 16)


@built(_build_scale_sums, types.void)
def scale_sums(sums: Int32, scales: Int32, shifts: Int64, numbers: Int16, scaling: Scaling) -> None:
    """Writes sums times scales, with shifts and numbers added, rounded and clamped.

    Args:
        sums: int32 (rows, columns).
        scales: int32, one axis.
        shifts: int64, one axis; a product with its shift and with what is added must fit.
        numbers: int16, one axis, read and written to.
        scaling: which of them are meant.
    """
    row, column, first, target, skip, width, least, most, bits = scaling
    value = sums[row, column : column + width].astype(np.int64) * scales[first : first + width]
    value += shifts[first : first + width]
    if skip >= 0:
        value += numbers[skip : skip + width].astype(np.int64) << bits
    value = value + (1 << (bits - 1)) >> bits
    numbers[target : target + width] = np.clip(value, least, most)


def _build_copy_numbers(call: Call) -> None:
    builder = call.builder
    _, at, _, row, begin, count = call.given
    with call.chunks(count, COPIED) as (i, _):
        value = call.load(call.place(0, builder.add(at, i)), 16, COPIED, 16)
        call.store(value, call.place(2, row, begin, i), 16)


@built(_build_copy_numbers, types.void)
def copy_numbers(source: Int16, at: int, target: Int16, row: int, begin: int, count: int) -> None:
    """Copies adjacent numbers into a row, from a column on, and up to COPIED - 1 more.

    Args:
        source: int16, one axis.
        at: the first of them.
        target: int16 (rows, columns).
        row: where they go.
        begin: the column of the first.
        count: how many.
    """
    target[row, begin : begin + count] = source[at : at + count]


def _build_copy_signs(call: Call) -> None:
    builder = call.builder
    _, at, _, row, begin, count, bits = call.given
    shifts = call.everywhere(builder.trunc(bits, ir.IntType(16)), COPIED)
    with call.chunks(count, COPIED) as (i, _):
        value = call.load(call.place(0, builder.add(at, i)), 8, COPIED, 16)
        call.store(builder.shl(value, shifts), call.place(2, row, begin, i), 16)


@built(_build_copy_signs, types.void)
def copy_signs(
    source: Int8, at: int, target: Int16, row: int, begin: int, count: int, bits: int
) -> None:
    """The same of signs, as numbers with so many fractional bits."""
    target[row, begin : begin + count] = source[at : at + count].astype(np.int16) << bits
