"""Damage of every kind either changes nothing or is refused in one line."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import good_files, mutation
from tests.fuzz.targets import TARGETS

targets = pytest.mark.parametrize("target", TARGETS)


@targets
@settings(max_examples=300)
@given(number=st.integers(0, (1 << 64) - 1))
def test_mutations(target: str, number: int) -> None:
    TARGETS[target](mutation(Random(number), target))


@targets
def test_good_files_and_what_was_kept_of_earlier_runs(target: str) -> None:
    outcomes = {TARGETS[target](data) for data in good_files(target)}
    assert outcomes & {"decoded", "coded", "read"}
