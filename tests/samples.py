"""Codes that several tests draw."""

import numpy as np
import numpy.typing as npt


def averaged_codes(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.uint8]:
    """Signs of noise that is averaged over height and width of [..., height, width, depth]."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    for axis in (-3, -2):
        noise = noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)
    return (noise > 0).astype(np.uint8)
