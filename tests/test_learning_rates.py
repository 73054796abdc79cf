"""How rates fall from position to position, and what the tables of rates hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncodec.format.limits import MAX_POSITIONS
from nncodec.model.adaptive import learning_rates
from nncodec.model.adaptive.learning_rates import (
    HALF_LIVES,
    LARGEST_RATES,
    RATE_BITS,
    RATES,
    SHARE_BITS,
    TRAINED,
    UNTRAINED,
    RateTable,
    make_shares,
)
from nncodec.model.kernels.compilation import compiled


@compiled
def share_index(position: int) -> int:
    return learning_rates.share_index(position)


def seen_of(position: int) -> int:
    """A position's number with all of its bits cleared but the highest six."""
    binary = f"{position:b}"
    return int(binary[:6].ljust(len(binary), "0"), 2)


@given(
    st.lists(st.integers(1, 1 << 30), min_size=HALF_LIVES, max_size=3 * HALF_LIVES),
    st.integers(1, MAX_POSITIONS),
    st.data(),
)
def test_shares_are_those_of_the_position(
    lives: list[int], positions: int, data: st.DataObject
) -> None:
    half_lives = np.array(lives[: len(lives) // HALF_LIVES * HALF_LIVES], dtype=np.int32)
    shares = make_shares(half_lives.reshape(-1, HALF_LIVES), positions)
    some = data.draw(st.lists(st.integers(0, positions - 1), max_size=20))
    for position in (0, positions - 1, *some):
        found = shares.table[shares.lives, share_index(position)]
        for half_life, share in zip(half_lives.tolist(), found.reshape(-1).tolist(), strict=True):
            # share^2 * (half_life + seen) / half_life is the largest that is not above 1.
            total = half_life + seen_of(position)
            one = half_life << 2 * SHARE_BITS
            assert share**2 * total <= one < (share + 1) ** 2 * total


def test_the_first_positions_and_those_of_six_bits_are_numbered_without_gaps() -> None:
    numbers = [share_index(position) for position in range(5000)]
    assert numbers[:64] == list(range(64))
    expected = np.unique([seen_of(position) for position in range(5000)], return_inverse=True)[1]
    assert numbers == expected.tolist()


def test_no_more_is_kept_of_shares_than_there_are_half_lives() -> None:
    half_lives = np.array([[3, 5, 3, 3], [5, 5, 5, 3]] * 500, dtype=np.int32)
    shares = make_shares(half_lives, MAX_POSITIONS)
    assert len(shares.table) == 2
    assert shares.table.shape[1] <= share_index(MAX_POSITIONS) + 64
    assert (shares.table[:, 0] == 1 << SHARE_BITS).all()
    assert (np.diff(shares.table) < 0).all()


@pytest.mark.parametrize("table", [UNTRAINED, TRAINED], ids=["untrained", "trained"])
def test_tables_hold_rates_of_groups_of_layers(table: RateTable) -> None:
    rates, half_lives = table.of_layers(12)
    assert rates.dtype == half_lives.dtype == np.int32
    for layer, group in enumerate([0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4]):
        expected = [round(kind[group] * (1 << RATE_BITS)) for kind in table.rates]
        assert rates[layer].tolist() == expected
        assert half_lives[layer].tolist() == [life[group] for life in table.half_lives]
    assert rates.shape == (12, RATES)
    assert half_lives.shape == (12, HALF_LIVES)
    assert (rates <= LARGEST_RATES).all()
    for layers in range(12):
        for part, whole in zip(table.of_layers(layers), (rates, half_lives), strict=True):
            np.testing.assert_array_equal(part, whole[:layers])
