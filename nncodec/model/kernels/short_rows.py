"""Operations on rows of eight numbers, which one vector holds, built of LLVM's vectors.

As in `long_rows`, the definitions in Python say what is done; FORMAT.md, section 9, what for.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types

from nncodec.model.kernels.llvm import INT32, INT64, Call, built, constant, vector

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]

EIGHT = 8
"""Columns of a row; those that are not used are zeros."""

_WIDE = vector(64, EIGHT)


def _clamped(call: Call, values: Any, limit: Any) -> Any:
    builder = call.builder
    most = call.everywhere(builder.trunc(limit, INT32), EIGHT)
    least = builder.neg(most)
    values = builder.select(builder.icmp_signed(">", values, most), most, values)
    return builder.select(builder.icmp_signed("<", values, least), least, values)


def _rounded(call: Call, values: Any, bits: int) -> Any:
    kind, builder = values.type, call.builder
    half = ir.Constant(kind, [1 << bits >> 1] * EIGHT)
    return builder.ashr(builder.add(values, half), ir.Constant(kind, [bits] * EIGHT))


GATE_BITS = 16
"""Fractional bits of a scale of gates."""


def _build_gate(call: Call) -> None:
    builder = call.builder
    row = call.given[3]
    agreement = call.load(call.place(0, call.zero), 32, EIGHT)
    negative = builder.icmp_signed("<", agreement, constant(0, EIGHT))
    magnitude = builder.select(negative, builder.neg(agreement), agreement)
    gates = builder.mul(agreement, magnitude)
    gates = builder.mul(gates, call.load(call.place(1, row, call.zero), 32, EIGHT))
    gates = builder.ashr(gates, constant(GATE_BITS, EIGHT))
    gates = builder.mul(gates, call.load(call.place(2, row, call.zero), 8, EIGHT))
    call.store(gates, call.place(4, call.zero), 32)


@built(_build_gate, types.void)
def gate(agreement: Int32, scales: Int32, signs: Int8, row: int, inputs: Int32) -> None:
    """Writes signs times gates: agreement * |agreement| * scale / 2^16, rounded down.

    Args:
        agreement: int32 (EIGHT,).
        scales: int32 (rows, EIGHT); agreement^2 * scale must fit into 31 bits.
        signs: int8 (rows, EIGHT).
        row: of scales and signs.
        inputs: int32 (EIGHT,), written to.
    """
    inputs[:] = (agreement * abs(agreement) * scales[row] >> GATE_BITS) * signs[row]


def _build_weigh(call: Call) -> Any:
    builder = call.builder
    _, row, _, cut = call.given
    weights = call.load(call.place(0, row, call.zero), 32, EIGHT)
    weights = builder.ashr(weights, call.everywhere(builder.trunc(cut, INT32), EIGHT))
    products = builder.mul(weights, call.load(call.place(2, call.zero), 32, EIGHT))
    sums = call.call(f"llvm.vector.reduce.add.v{EIGHT}i32", INT32, products)
    return builder.sext(sums, INT64)


@built(_build_weigh, types.int64)
def weigh(weights: Int32, row: int, inputs: Int32, cut: int) -> int:
    """The sum of inputs times weights / 2^cut, rounded down; it must fit into 32 bits.

    Args:
        weights: int32 (rows, EIGHT or more, of which the first are used).
        row: of the weights.
        inputs: int32 (EIGHT,).
        cut: by how many bits weights are cut.
    """
    return int((weights[row, :EIGHT] >> cut).astype(np.int64) @ inputs)


LEARNED_CUT = 4
"""By how many bits `learn_lanes` rounds."""


def _build_learn_lanes(call: Call) -> None:
    builder = call.builder
    _, row, _, move, limit = call.given
    place = call.place(0, row, call.zero)
    inputs = call.load(call.place(2, call.zero), 32, EIGHT)
    changes = builder.mul(inputs, call.everywhere(builder.trunc(move, INT32), EIGHT))
    weights = builder.add(call.load(place, 32, EIGHT), _rounded(call, changes, LEARNED_CUT))
    call.store(_clamped(call, weights, limit), place, 32)


@built(_build_learn_lanes, types.void)
def learn_lanes(weights: Int32, row: int, inputs: Int32, move: int, limit: int) -> None:
    """Moves a row of weights along inputs with 4 fractional bits, and clamps it.

    Args:
        weights: int32 (rows, EIGHT or more, of which the first are used).
        row: of the weights.
        inputs: int32 (EIGHT,).
        move: by how much the weight of an input of 1 grows; the products must fit into 32 bits.
        limit: the largest weight, either way.
    """
    changes = inputs.astype(np.int64) * move + (1 << LEARNED_CUT >> 1) >> LEARNED_CUT
    weights[row, :EIGHT] = np.clip(weights[row, :EIGHT] + changes, -limit, limit)


def _build_agree(call: Call) -> None:
    builder = call.builder
    _, _, row, sign = call.given
    place = call.place(0, call.zero)
    signs = call.load(call.place(1, row, call.zero), 8, EIGHT)
    change = builder.mul(signs, call.everywhere(builder.trunc(sign, INT32), EIGHT))
    call.store(builder.add(call.load(place, 32, EIGHT), change), place, 32)


@built(_build_agree, types.void)
def agree(agreement: Int32, signs: Int8, row: int, sign: int) -> None:
    """Counts which signs of a row agree with one: those that do less those that differ.

    Args:
        agreement: int32 (EIGHT,), is added to.
        signs: int8 (rows, EIGHT).
        row: of the signs.
        sign: the one.
    """
    agreement += signs[row] * np.int32(sign)


def _build_mix(call: Call) -> Any:
    builder = call.builder
    _, row, _, chosen, _ = call.given
    weights = call.load(call.place(0, row, call.zero), 32, EIGHT)
    weights = builder.add(weights, call.load(call.place(2, chosen, call.zero), 32, EIGHT))
    inputs = call.load(call.place(4, call.zero), 32, EIGHT)
    products = builder.mul(builder.sext(weights, _WIDE), builder.sext(inputs, _WIDE))
    return call.call(f"llvm.vector.reduce.add.v{EIGHT}i64", INT64, products)


@built(_build_mix, types.int64)
def mix(weights: Int32, row: int, sets: Int32, chosen: int, inputs: Int32) -> int:
    """The sum of inputs times sums of weights, which must fit into 32 bits.

    Args:
        weights: int32 (rows, EIGHT).
        row: of the weights.
        sets: int32 (rows, EIGHT).
        chosen: that of the sets, which is added.
        inputs: int32 (EIGHT,).
    """
    sums = weights[row] + sets[chosen]
    return int(sums.astype(np.int64) @ inputs)


GRADIENT_CUTS = 8, 16
"""By how many bits `learn_mixing` rounds errors times inputs, and these times rates."""


def _build_learn_mixing(call: Call) -> None:
    builder = call.builder
    _, row, _, error, rate, limit = call.given
    place = call.place(0, row, call.zero)
    inputs = call.load(call.place(2, call.zero), 32, EIGHT)
    errors = call.everywhere(builder.trunc(error, INT32), EIGHT)
    gradient = _rounded(call, builder.mul(errors, inputs), GRADIENT_CUTS[0])
    rates = builder.sext(call.everywhere(builder.trunc(rate, INT32), EIGHT), _WIDE)
    changes = builder.mul(builder.sext(gradient, _WIDE), rates)
    changes = builder.trunc(_rounded(call, changes, GRADIENT_CUTS[1]), vector(32, EIGHT))
    weights = builder.add(call.load(place, 32, EIGHT), changes)
    call.store(_clamped(call, weights, limit), place, 32)


@built(_build_learn_mixing, types.void)
def learn_mixing(
    weights: Int32, row: int, inputs: Int32, error: int, rate: int, limit: int
) -> None:
    """Moves a row of weights along a gradient, error times inputs, and clamps it.

    Args:
        weights: int32 (rows, EIGHT).
        row: of the weights.
        inputs: int32 (EIGHT,).
        error: its products with inputs must fit into 32 bits.
        rate: what the gradient is multiplied by; what is left of it must fit into 32 bits.
        limit: the largest weight, either way.
    """
    first, second = GRADIENT_CUTS
    gradient = error * inputs.astype(np.int64) + (1 << first >> 1) >> first
    changes = gradient * rate + (1 << second >> 1) >> second
    weights[row] = np.clip(weights[row] + changes, -limit, limit)
