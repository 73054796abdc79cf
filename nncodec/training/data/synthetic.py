"""The synthetic codes of the original entropy coder, drawn many samples at a time.

Every bit has a rule's value with probability 0.8 and the opposite value otherwise. The rule looks
at the *causal neighbours* of bit (y, x, d) and counts how many differ from two fixed patterns:

    line pattern, same d        columns  x-2 x-1 x        depth pattern, same (y, x)
                        row y-3           1   0  0          d-4 d-3 d-2 d-1
                        row y-2           1   1  0           1   0   1   1
                        row y-1           0   1  0

Neighbours outside the tensor count nothing. The rule's value is 1 when at least 6 neighbours
differ. No model can code these bits in fewer than `ENTROPY_FLOOR` bits a bit, and one that knew the
rule would reach it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

KEEP_PROBABILITY = 0.8
"""The probability that a bit has its rule's value."""

ENTROPY_FLOOR = -(
    KEEP_PROBABILITY * math.log2(KEEP_PROBABILITY)
    + (1 - KEEP_PROBABILITY) * math.log2(1 - KEEP_PROBABILITY)
)
"""The entropy of the synthetic codes, H(0.2) = 0.72193 bits a bit: no rate is lower."""

DATASET_SHAPE = (35, 48, 8)
"""(height, width, depth) of the samples of the original's data sets."""

SAMPLE_SHAPE = (31, 36, 8)
"""(height, width, depth) of the original's single sample."""

SAMPLE_LAYER_DEPTH = 2
"""How many bits of depth make one layer of the original's single sample."""

# Index 0 is the nearest row or depth; the columns of a row are x-2, x-1, x.
_LINE_PATTERN = ((0, 1, 0), (1, 1, 0), (1, 0, 0))
_DEPTH_PATTERN = (1, 1, 0, 1)
_MISMATCHES_FOR_ONE = 6

# The uniform numbers of a chunk take 8 bytes a bit: 16 MiB, or more for one
# sample that is larger.
_CHUNK_BITS = 2**21


def apply_rules(uniform: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Makes codes of uniform random numbers.

    No bit depends on its own row, so rows and samples are whole-array operations: only the rows of
    a plane and the planes of the depth come one after the other.

    Args:
        uniform: [count, depth, height, width], one number in [0, 1) for each bit; the bit has its
            rule's value where the number is below `KEEP_PROBABILITY`.

    Returns:
        uint8 {0, 1} [count, height, width, depth], in C order.

    Raises:
        ValueError: `uniform` does not have four axes.
    """
    if uniform.ndim != 4:
        raise ValueError(
            f"uniform must have 4 axes, (count, depth, height, width), not {uniform.ndim}"
        )
    count, depth, height, width = uniform.shape
    # Samples come last so that every slice below is one run of memory.
    keep = np.ascontiguousarray((uniform < KEEP_PROBABILITY).transpose(1, 2, 3, 0))
    bits = np.empty((depth, height, width, count), np.uint8)
    for d in range(depth):
        plane = bits[d]
        mismatches = np.zeros(plane.shape, np.uint8)
        for back, pattern in enumerate(_DEPTH_PATTERN[:d], start=1):
            mismatches += bits[d - back] ^ pattern
        for y in range(height):
            for back, columns in enumerate(_LINE_PATTERN[:y], start=1):
                for left, pattern in zip((2, 1, 0), columns, strict=True):
                    mismatches[y, left:] += plane[y - back, : max(width - left, 0)] ^ pattern
            plane[y] = (mismatches[y] >= _MISMATCHES_FOR_ONE) == keep[d, y]
    return np.ascontiguousarray(bits.transpose(3, 1, 2, 0))


def generate(
    count: int, *, shape: tuple[int, int, int] = DATASET_SHAPE, seed: int = 0
) -> Iterator[NDArray[np.uint8]]:
    """Draws the samples of a synthetic data set, one after the other.

    One stream, `numpy.random.RandomState(seed).random_sample`, gives every sample its depth x
    height x width numbers in turn. A sample therefore depends on the seed, the shape and its
    place, never on `count`; the first one is `generate_sample` of the same seed and shape. NumPy
    has frozen that stream, so a seed means the same data set for ever.

    Args:
        count: how many samples.
        shape: (height, width, depth) of each.
        seed: 0 … 2^32 - 1.

    Yields:
        uint8 {0, 1} [height, width, depth], one a sample.

    Raises:
        ValueError: `count` is negative, a size of `shape` is not positive, or `seed` is out of
            range; at the call, not at the first sample.
    """
    if count < 0:
        raise ValueError(f"count must not be negative, not {count}")
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape must be three positive sizes (height, width, depth), not {shape}")
    return _generate(count, shape, np.random.RandomState(seed))


def _generate(
    count: int, shape: tuple[int, int, int], random: np.random.RandomState
) -> Iterator[NDArray[np.uint8]]:
    height, width, depth = shape
    chunk = max(1, _CHUNK_BITS // math.prod(shape))
    for start in range(0, count, chunk):
        size = (min(chunk, count - start), depth, height, width)
        yield from apply_rules(random.random_sample(size))


def generate_sample(
    *, shape: tuple[int, int, int] = SAMPLE_SHAPE, seed: int = 0
) -> NDArray[np.uint8]:
    """Draws one synthetic sample, the same that the original draws from this seed.

    Args:
        shape: (height, width, depth).
        seed: 0 … 2^32 - 1.

    Returns:
        uint8 {0, 1} [height, width, depth].

    Raises:
        ValueError: a size of `shape` is not positive, or `seed` is out of range.
    """
    return next(generate(1, shape=shape, seed=seed))
