"""Fixed point: the tables and roundings that every machine must get alike, against exact ones."""

import decimal
import hashlib
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nncodec.model.fixed_point import (
    LOGIT_BITS,
    LOGIT_LIMIT,
    falling_share,
    logistic_table,
    to_logit,
)
from nncodec.model.kernels.compilation import compiled
from nncodec.model.kernels.integers import clamped, rounded


# Python cannot call them as they are.
@compiled
def compiled_rounded(value: int, bits: int) -> int:
    return rounded(value, bits)


@compiled
def compiled_clamped(value: int, limit: int) -> int:
    return clamped(value, limit)


@compiled
def compiled_to_logit(value: int, bits: int) -> int:
    return to_logit(value, bits)


def test_logistic_table_is_the_rounded_logistic_function() -> None:
    def frequency(logit: int) -> int:
        exact = 65536 / (1 + (-Decimal(logit) / (1 << LOGIT_BITS)).exp())
        return min(max(math.floor(exact + Decimal("0.5")), 1), 65535)

    with decimal.localcontext() as context:
        context.prec = 60
        expected = [frequency(logit) for logit in range(-LOGIT_LIMIT, LOGIT_LIMIT + 1)]
    np.testing.assert_array_equal(logistic_table(), expected)


def test_logistic_table_is_symmetric_never_falls_and_stays_within_frequencies() -> None:
    table = logistic_table()
    np.testing.assert_array_equal(table + table[::-1], 65536)
    assert (np.diff(table) >= 0).all()
    assert table.min() == 1
    assert table.max() == 65535


def test_logistic_table_never_changes() -> None:
    table = logistic_table()
    assert table.dtype == np.int32
    assert table.shape == (6145,)
    some = {-3072: 1, -2048: 22, -1024: 1179, -256: 17625, -1: 32704, 0: 32768, 1: 32832}
    some |= {256: 47911, 1024: 64357, 2048: 65514, 3072: 65535}
    assert {logit: int(table[3072 + logit]) for logit in some} == some
    digest = hashlib.sha256(table.astype("<i4").tobytes()).hexdigest()
    assert digest == "0fba0ee59b1e8e54ae85a34f16014e415e47357996056107788898dddac23c39"


whole = st.integers(-(1 << 61), 1 << 61)


@given(whole, st.integers(1, 40))
def test_rounded_rounds_as_fractions_do(value: int, bits: int) -> None:
    half = (2 * (value >> bits) + 1) << bits >> 1
    for one in (value, half):
        assert compiled_rounded(one, bits) == math.floor(Fraction(one, 1 << bits) + Fraction(1, 2))


@given(whole, st.integers(LOGIT_BITS + 1, 40))
def test_to_logit_rounds_and_clamps(value: int, bits: int) -> None:
    # Those at random are too large, most of them.
    for one in (value, value >> 30, value % (1 << bits + 4)):
        nearest = math.floor(Fraction(one, 1 << (bits - LOGIT_BITS)) + Fraction(1, 2))
        assert compiled_to_logit(one, bits) == min(max(nearest, -LOGIT_LIMIT), LOGIT_LIMIT)


def test_clamped_changes_what_is_beyond_its_limit() -> None:
    for value, nearest in ((-9, -8), (-8, -8), (-7, -7), (0, 0), (7, 7), (8, 8), (9, 8)):
        assert compiled_clamped(value, 8) == nearest


half_lives = st.integers(1, 1 << 30)
counts = st.integers(0, 1 << 45)


@given(half_lives, st.lists(counts), st.integers(0, 30))
def test_falling_share_is_the_largest_integer_within_its_formula(
    half_life: int, samples: list[int], bits: int
) -> None:
    shares = falling_share(half_life, np.array(samples, dtype=np.int64), bits)
    assert shares.dtype == np.int64
    for share, count in zip(shares.tolist(), samples, strict=True):
        square = (1 << 2 * bits) / (1 + Fraction(count, half_life))
        assert share >= 0
        assert share**2 <= square < (share + 1) ** 2


@given(half_lives, st.lists(counts, min_size=1))
def test_falling_share_starts_at_one_and_never_rises(half_life: int, samples: list[int]) -> None:
    shares = falling_share(half_life, np.array([0, *sorted(samples)]), 20)
    assert shares[0] == 1 << 20
    assert (np.diff(shares) <= 0).all()
