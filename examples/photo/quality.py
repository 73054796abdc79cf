"""How near one picture is to another: PSNR, and MS-SSIM after Wang, Simoncelli and Bovik (2003)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""A picture, [height, width, 3]."""

_Field = npt.NDArray[np.float64]

WINDOW, DEVIATION = 11, 1.5
EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""The weight of each scale, from the finest."""
SMALLEST = WINDOW * 2 ** (len(EXPONENTS) - 1)
"""Pixels a side that a picture needs, to have a window on the coarsest scale."""

_LIGHT, _CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(one: Pixels, other: Pixels) -> float:
    """Gives the peak signal-to-noise ratio over all pixels and colours, in decibels."""
    error = np.square(one.astype(np.float64) - other).mean()
    return 10 * math.log10(255**2 / error) if error else math.inf


def ms_ssim(one: Pixels, other: Pixels) -> float:
    """Gives the structural similarity over five scales, the mean of the three colours.

    1 for the same picture; nan for one of fewer than SMALLEST pixels a side.
    """
    if min(one.shape[:2]) < SMALLEST:
        return math.nan
    colours = range(one.shape[2])
    return float(np.mean([_of_colour(one[..., colour], other[..., colour]) for colour in colours]))


def _of_colour(one: Pixels, other: Pixels) -> float:
    a, b = one.astype(np.float64), other.astype(np.float64)
    product = 1.0
    for scale, exponent in enumerate(EXPONENTS):
        if scale:
            a, b = _half(a), _half(b)
        mean_a, mean_b = _smooth(a), _smooth(b)
        spread_a, spread_b = _smooth(a * a) - mean_a**2, _smooth(b * b) - mean_b**2
        together = _smooth(a * b) - mean_a * mean_b
        similarity = (2 * together + _CONTRAST) / (spread_a + spread_b + _CONTRAST)
        if scale == len(EXPONENTS) - 1:
            similarity *= (2 * mean_a * mean_b + _LIGHT) / (mean_a**2 + mean_b**2 + _LIGHT)
        product *= max(0.0, float(similarity.mean())) ** exponent
    return product


def _smooth(field: _Field) -> _Field:
    """Means under a Gaussian window, where it lies within the field."""
    across = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-0.5 * (across / DEVIATION) ** 2)
    weights /= weights.sum()
    for _ in range(2):  # down the columns, then along the rows
        rows = len(field) - WINDOW + 1
        shifted = [weight * field[row : row + rows] for row, weight in enumerate(weights)]
        field = np.add.reduce(shifted).T
    return field


def _half(field: _Field) -> _Field:
    """Means of 2 x 2; a last odd row or column is left out."""
    height, width = (size // 2 * 2 for size in field.shape)
    even = field[:height, :width]
    means: _Field = even.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    return means
