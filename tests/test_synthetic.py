"""The synthetic generator against its definition and against the original's samples."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nncodec.training.data import synthetic

REFERENCE = Path(__file__).parent / "data" / "synthetic_reference.npz"

SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7))
SEEDS = st.integers(0, 2**32 - 1)


def bits_by_definition(uniform: NDArray[np.float64]) -> NDArray[np.uint8]:
    """One sample of [depth, height, width] uniforms, bit by bit: [height, width, depth]."""
    depth, height, width = uniform.shape
    bits = np.zeros((height, width, depth), np.uint8)
    line = {
        (-1, -2): 0, (-1, -1): 1, (-1, 0): 0,
        (-2, -2): 1, (-2, -1): 1, (-2, 0): 0,
        (-3, -2): 1, (-3, -1): 0, (-3, 0): 0,
    }  # fmt: skip
    for d in range(depth):
        for y in range(height):
            for x in range(width):
                mismatches = 0
                for (dy, dx), expected in line.items():
                    if y + dy >= 0 and x + dx >= 0:
                        mismatches += bits[y + dy, x + dx, d] != expected
                for dd, expected in ((-1, 1), (-2, 1), (-3, 0), (-4, 1)):
                    if d + dd >= 0:
                        mismatches += bits[y, x, d + dd] != expected
                value = int(mismatches >= 6)
                bits[y, x, d] = value if uniform[d, y, x] < 0.8 else 1 - value
    return bits


@settings(deadline=None, max_examples=60)
@given(count=st.integers(0, 3), shape=SHAPES, seed=SEEDS)
def test_rules_equal_their_definition(count: int, shape: tuple[int, int, int], seed: int) -> None:
    height, width, depth = shape
    uniform = np.random.RandomState(seed).random_sample((count, depth, height, width))
    codes = synthetic.apply_rules(uniform)
    assert codes.dtype == np.uint8
    assert codes.shape == (count, height, width, depth)
    assert codes.flags.c_contiguous
    for sample, numbers in zip(codes, uniform, strict=True):
        np.testing.assert_array_equal(sample, bits_by_definition(numbers))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_samples_are_the_original_s(seed: int) -> None:
    with np.load(REFERENCE) as reference:
        expected = reference[f"seed{seed}"]
    sample = synthetic.generate_sample(shape=expected.shape, seed=seed)
    assert sample.dtype == np.uint8
    np.testing.assert_array_equal(sample, expected)
    first = next(synthetic.generate(2, shape=expected.shape, seed=seed))
    np.testing.assert_array_equal(first, expected)


@settings(deadline=None, max_examples=30)
@given(count=st.integers(0, 9), more=st.integers(0, 9), shape=SHAPES, seed=SEEDS, data=st.data())
def test_sample_depends_on_neither_count_nor_chunk(
    count: int, more: int, shape: tuple[int, int, int], seed: int, data: st.DataObject
) -> None:
    few = list(synthetic.generate(count, shape=shape, seed=seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "_CHUNK_BITS", data.draw(st.integers(1, 1000)))
        many = list(synthetic.generate(count + more, shape=shape, seed=seed))
    assert len(few) == count
    assert len(many) == count + more
    for a, b in zip(few, many, strict=False):
        np.testing.assert_array_equal(a, b)


def test_default_shapes() -> None:
    assert next(synthetic.generate(1)).shape == synthetic.DATASET_SHAPE == (35, 48, 8)
    assert synthetic.generate_sample().shape == synthetic.SAMPLE_SHAPE == (31, 36, 8)
    assert synthetic.SAMPLE_SHAPE[2] % synthetic.SAMPLE_LAYER_DEPTH == 0


def test_entropy_floor() -> None:
    assert pytest.approx(0.72193, abs=5e-6) == synthetic.ENTROPY_FLOOR


@pytest.mark.parametrize("shape", [(35, 48), (0, 48, 8), (35, -1, 8), (1, 35, 48, 8)])
def test_bad_shape_is_refused_at_the_call(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"^shape must be three positive sizes"):
        synthetic.generate(1, shape=shape)


def test_negative_count_is_refused_at_the_call() -> None:
    with pytest.raises(ValueError, match=r"^count must not be negative, not -1$"):
        synthetic.generate(-1)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_out_of_range_is_refused_at_the_call(seed: int) -> None:
    with pytest.raises(ValueError, match="Seed must be between 0 and"):
        synthetic.generate(1, seed=seed)


def test_uniform_without_four_axes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^uniform must have 4 axes"):
        synthetic.apply_rules(np.zeros((8, 35, 48)))
