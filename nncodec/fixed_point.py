"""Integers in place of real numbers: tables, rounding, bounds that keep float carriers exact.

Every number between the code bits and a frequency is an integer with a fixed number of fractional
bits. Many are *carried* by float arrays, because matrix products are fast there; that is exact as
long as no partial sum reaches 2^24 in float32, 2^53 in float64, which `require_exact` checks. No
libm function is called: `exp` differs in its last digit between machines, these recipes do not.
"""

from functools import cache
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

FREQUENCY_BITS = 16
"""A frequency f stands for the probability f / 2^16."""
FREQUENCY_ONE = 1 << FREQUENCY_BITS

LOGIT_BITS = 8
"""Fractional bits of a logit, ln(p / (1 - p))."""
LOGIT_LIMIT = 12 << LOGIT_BITS
"""Logits are clamped to this, either way: beyond it the frequency stays 1 or 65535."""

quiet_products = np.errstate(invalid="ignore", over="ignore")
"""For functions that multiply small matrices: BLAS kernels compute on whole registers, and what
lies there beyond the matrix, leftovers of other memory, raises flags of sums nobody asked for."""

_EXACT_BELOW = {np.dtype(np.float32): 1 << 24, np.dtype(np.float64): 1 << 53}


def require_exact(bound: int, dtype: npt.DTypeLike) -> None:
    """Checks that integers whose partial sums stay within `bound` are exact in a float type.

    Args:
        bound: the largest absolute value that any partial sum can take.
        dtype: float32 or float64.

    Raises:
        OverflowError: when a partial sum could need more digits than the type has.
    """
    if bound >= _EXACT_BELOW[np.dtype(dtype)]:
        raise OverflowError(f"sums up to {bound} are not exact in {np.dtype(dtype).name}")


def round_half_up(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rounds in place: floor(x + 1/2). Exact where x + 1/2 has no more digits than its type.

    Args:
        values: float32 or float64, changed in place and returned.
    """
    values += 0.5
    rounded: npt.NDArray[Any] = np.floor(values, out=values)
    return rounded


def scale_down(values: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Divides by 2^bits and rounds as `round_half_up`, into a new array."""
    return round_half_up(values * (1 / (1 << bits)))


def clamp(values: npt.NDArray[Any], limit: int) -> None:
    """Brings values into -limit ... limit, in place."""
    np.clip(values, -limit, limit, out=values)


def to_logits(values: npt.NDArray[np.float64], bits: int) -> npt.NDArray[np.float64]:
    """Rounds numbers with `bits` fractional bits to logits, and clamps them."""
    logits = scale_down(values, bits - LOGIT_BITS)
    clamp(logits, LOGIT_LIMIT)
    return logits


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


def decaying_rate(start: int, half_life: int, samples: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """start / sqrt(1 + samples / half_life), rounded down, by integer square roots.

    Args:
        start: the rate at no samples, in any fixed-point unit.
        half_life: the number of samples after which the squared rate has halved.
        samples: int, how many samples have been seen.

    Returns:
        int64, the shape of `samples`.
    """
    rate = [
        isqrt(start * start * half_life // (half_life + int(count)))
        for count in np.ravel(np.asarray(samples))
    ]
    return np.array(rate, dtype=np.int64).reshape(np.shape(samples))
