"""Fixed point: the tables and roundings that every machine must get alike, against exact ones."""

import decimal
import hashlib
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncodec.fixed_point import (
    LOGIT_BITS,
    LOGIT_LIMIT,
    clamp,
    decaying_rate,
    logistic_table,
    require_exact,
    round_half_up,
    scale_down,
    to_logits,
)

# Significant bits of the float types, from IEEE 754.
DIGITS = {np.float32: 24, np.float64: 53}


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data())
def test_round_half_up_rounds_as_fractions_do(
    dtype: type[np.float32 | np.float64], data: st.DataObject
) -> None:
    largest = 1 << (DIGITS[dtype] - 1)
    bits = data.draw(st.integers(0, DIGITS[dtype] - 2))
    integers = data.draw(st.lists(st.integers(1 - largest, largest - 1), min_size=1))
    halves = [(2 * (n >> bits) + 1) << bits >> 1 for n in integers] if bits else []
    integers += [n for n in halves if abs(n) < largest]
    exact = [Fraction(n, 1 << bits) for n in integers]

    values = np.array([float(x) for x in exact], dtype=dtype)
    rounded = round_half_up(values)
    assert rounded is values
    assert rounded.tolist() == [math.floor(x + Fraction(1, 2)) for x in exact]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@given(st.lists(st.integers(1 - (1 << 22), (1 << 22) - 1), min_size=1), st.integers(0, 20))
def test_scale_down_rounds_as_fractions_do(
    dtype: type[np.float32 | np.float64 | np.int32], integers: list[int], bits: int
) -> None:
    values = np.array(integers, dtype=dtype)
    scaled = scale_down(values, bits)
    exact = [Fraction(n, 1 << bits) for n in integers]
    assert scaled.tolist() == [math.floor(x + Fraction(1, 2)) for x in exact]
    assert values.tolist() == integers


@given(st.lists(st.integers(-(1 << 40), 1 << 40), min_size=1), st.integers(LOGIT_BITS, 24))
def test_to_logits_rounds_and_clamps(integers: list[int], bits: int) -> None:
    logits = to_logits(np.array(integers, dtype=np.float64), bits)
    exact = [Fraction(n, 1 << (bits - LOGIT_BITS)) for n in integers]
    nearest = [math.floor(x + Fraction(1, 2)) for x in exact]
    assert logits.tolist() == [min(max(n, -LOGIT_LIMIT), LOGIT_LIMIT) for n in nearest]


def test_clamp_changes_in_place_what_is_beyond_its_limit() -> None:
    values = np.array([-9.0, -8, -7, 0, 7, 8, 9])
    clamp(values, 8)
    assert values.tolist() == [-8, -8, -7, 0, 7, 8, 8]


starts = st.integers(0, (1 << 20) - 1)
half_lives = st.integers(1, 10_000)
counts = st.integers(0, 1 << 45)


@given(starts, half_lives, st.lists(counts))
def test_decaying_rate_is_the_largest_integer_within_its_formula(
    start: int, half_life: int, samples: list[int]
) -> None:
    rates = decaying_rate(start, half_life, samples)
    assert rates.dtype == np.int64
    for rate, count in zip(rates.tolist(), samples, strict=True):
        square = start**2 / (1 + Fraction(count, half_life))
        assert rate >= 0
        assert rate**2 <= square < (rate + 1) ** 2


@given(starts, half_lives, st.lists(counts, min_size=1))
def test_decaying_rate_starts_at_its_start_and_never_rises(
    start: int, half_life: int, samples: list[int]
) -> None:
    rates = decaying_rate(start, half_life, [0, *sorted(samples)])
    assert rates[0] == start
    assert (np.diff(rates) <= 0).all()


def test_decaying_rate_keeps_the_shape_of_the_samples() -> None:
    samples = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(
        decaying_rate(1000, 1, samples), [[1000, 707, 577], [500, 447, 408]]
    )
    assert decaying_rate(1000, 1, 3).shape == ()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_require_exact_allows_what_a_float_can_hold(dtype: type[np.float32 | np.float64]) -> None:
    limit = 1 << DIGITS[dtype]
    assert all(int(dtype(n)) == n for n in (limit - 1, 1 - limit))
    assert int(dtype(limit + 1)) != limit + 1
    require_exact(0, dtype)
    require_exact(limit - 1, dtype)
    with pytest.raises(OverflowError, match=f"{limit} are not exact in {dtype.__name__}"):
        require_exact(limit, dtype)
