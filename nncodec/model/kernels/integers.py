"""Rounding and clamping of single numbers, FORMAT.md section 1, without a function of their own.

They stand in every other line of the compiled loop; as functions each of them would be compiled
again for every kind of number.
"""

from typing import Any

from llvmlite import ir
from numba.core import types

from nncodec.model.kernels.llvm import INT64, Call, built


def _build_rounded(call: Call) -> Any:
    builder, value, bits = call.builder, call.integer(0), call.integer(1)
    one = ir.Constant(INT64, 1)
    half = builder.shl(one, builder.sub(bits, one))
    return builder.ashr(builder.add(value, half), bits)


@built(_build_rounded, types.int64)
def rounded(value: int, bits: int) -> int:
    """value / 2^bits, rounded half up, for bits of at least 1."""
    return (value + (1 << (bits - 1))) >> bits


def _build_clamped(call: Call) -> Any:
    builder, value, most = call.builder, call.integer(0), call.integer(1)
    least = builder.neg(most)
    value = builder.select(builder.icmp_signed(">", value, most), most, value)
    return builder.select(builder.icmp_signed("<", value, least), least, value)


@built(_build_clamped, types.int64)
def clamped(value: int, limit: int) -> int:
    """The value, brought into -limit ... limit."""
    return min(max(value, -limit), limit)
