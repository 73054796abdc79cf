"""Sums over short rows: eight columns, which one vector of 64-bit numbers holds (llvm.py)."""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types

from nncodec.model.kernels.llvm import INT32, INT64, Call, built, vector

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

EIGHT = 8
"""Columns of a row; those that are not used are zeros."""


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
