"""Integers in place of real numbers: tables and rounding.

Every number between the code bits and a frequency is an integer with a fixed number of fractional
bits. No libm function is called: `exp` differs in its last digit between machines, these recipes do
not.
"""

from functools import cache
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec.errors import ModelError
from nncodec.model.kernels.compilation import inlined
from nncodec.model.kernels.integers import clamped, rounded

FREQUENCY_BITS = 16
"""A frequency f stands for the probability f / 2^16."""
FREQUENCY_ONE = 1 << FREQUENCY_BITS

LOGIT_BITS = 8
"""Fractional bits of a logit, ln(p / (1 - p))."""
LOGIT_LIMIT = 12 << LOGIT_BITS
"""Logits are clamped to this, either way: beyond it the frequency stays 1 or 65535."""


@inlined
def to_logit(value: int, bits: int) -> int:
    """Rounds a number with `bits` fractional bits, more than LOGIT_BITS, to a logit; clamps it."""
    return clamped(rounded(value, bits - LOGIT_BITS), LOGIT_LIMIT)


@cache
def logistic_table() -> npt.NDArray[np.int32]:
    """The frequency of every logit: round(2^16 / (1 + exp(-z))), clamped to 1 ... 65535.

    Returns:
        int32, shape (2 * LOGIT_LIMIT + 1,); index LOGIT_LIMIT + z holds the frequency of logit z.
    """
    # exp(2^-LOGIT_BITS) with 96 fractional bits, from its power series; the powers lose at most
    # one unit a multiplication, far below the 16 bits that are kept.
    one = 1 << 96
    base, term, k = 0, one, 0
    while term:
        base += term
        k += 1
        term //= k << LOGIT_BITS
    power = one
    upper = []  # exp(z) for z = 0, 1, ..., LOGIT_LIMIT
    for _ in range(LOGIT_LIMIT + 1):
        upper.append(min(max((power * FREQUENCY_ONE * 2 // (one + power) + 1) // 2, 1), 65535))
        power = power * base >> 96
    lower = [FREQUENCY_ONE - frequency for frequency in reversed(upper[1:])]
    table = np.array(lower + upper, dtype=np.int32)
    table.flags.writeable = False
    return table


def falling_share(
    half_life: int, samples: npt.NDArray[np.int64], bits: int
) -> npt.NDArray[np.int64]:
    """1 / sqrt(1 + samples / half_life), rounded down, by integer square roots.

    Args:
        half_life: the number of samples after which the squared share has halved.
        samples: int64, how many samples have been seen.
        bits: fractional bits of the result.

    Returns:
        int64, the shape of `samples`.
    """
    shares = [isqrt((half_life << 2 * bits) // (half_life + seen)) for seen in samples.tolist()]
    return np.array(shares, dtype=np.int64)


def require_form(
    what: str, array: npt.NDArray[Any], dtype: npt.DTypeLike, shape: tuple[int, ...]
) -> None:
    """Checks that an array of a model has the type and the shape that it must have.

    Raises:
        ModelError: it has not.
    """
    if array.dtype != dtype or array.shape != shape:
        raise ModelError(
            f"{what} has {array.dtype} {list(array.shape)}, not {np.dtype(dtype)} {list(shape)}"
        )
