"""The axis orders of code arrays: to the canonical order, back, and which of two an array has.

The canonical order is (layers, batch, height, width, layer_depth). An array of 4 axes is (batch,
height, width, depth), one of 3 axes (height, width, depth), where depth = layers * layer_depth and
layer k is depth k * layer_depth ... (k + 1) * layer_depth - 1. In the layout `nchw` the depth axis
stands before height.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec.errors import CodesError
from nncodec.source import LAYOUTS

_SAMPLE_BITS = 1 << 20
_PRIOR_WEIGHT = 32.0


def to_canonical(
    array: npt.NDArray[Any], layout: str, layer_depth: int | None = None
) -> npt.NDArray[Any]:
    """Brings an array into the canonical order.

    Args:
        array: [3, 4 or 5 axes in `layout`], any dtype.
        layout: "nhwc" or "nchw".
        layer_depth: bits of a layer; None takes the whole depth as one layer. With 5 axes it can
            only confirm what the array says.

    Returns:
        C-contiguous, [layers, batch, height, width, layer_depth].

    Raises:
        CodesError: the depth of the array does not fit `layer_depth`.
    """
    if layout == "nchw":
        array = np.moveaxis(array, -3, -1)
    depth = array.shape[-1]
    if layer_depth is not None and not _fits(depth, array.ndim, layer_depth):
        raise CodesError(
            f"layer_depth {layer_depth} is not the {depth} bits of a layer in layout {layout}; "
            "leave it out for arrays of 5 axes"
            if array.ndim == 5
            else f"layer_depth {layer_depth} does not divide the depth {depth} in layout {layout}; "
            "give a divisor of the depth, or the other layout"
        )
    if array.ndim == 3:
        array = array[np.newaxis]
    if array.ndim == 4:
        array = array.reshape(*array.shape[:3], -1, layer_depth or depth)
        array = np.moveaxis(array, 3, 0)
    return np.ascontiguousarray(array)


def from_canonical(codes: npt.NDArray[Any], layout: str, axes: int) -> npt.NDArray[Any]:
    """Undoes `to_canonical`.

    Args:
        codes: [layers, batch, height, width, layer_depth]; with `axes` 3, batch is 1.
        layout: "nhwc" or "nchw".
        axes: 3, 4 or 5.

    Returns:
        C-contiguous, `axes` axes in `layout`, dtype of `codes`.
    """
    array = codes
    if axes < 5:
        array = np.moveaxis(array, 0, 3)
        array = array.reshape(*array.shape[:3], -1)
    if axes == 3:
        array = array[0]
    if layout == "nchw":
        array = np.moveaxis(array, -1, -3)
    return np.ascontiguousarray(array)


def choose_layout(array: npt.NDArray[np.uint8], layer_depth: int | None = None) -> str:
    """Decides in which layout the bits are cheaper to code, from the first layers or images.

    Args:
        array: uint8 {0, 1}, [3, 4 or 5 axes in an unknown layout].
        layer_depth: rules out a layout whose depth it does not fit.

    Returns:
        "nhwc" or "nchw"; "nhwc" where both cost the same.
    """
    if layer_depth is not None:
        fits = [_fits(array.shape[axis], array.ndim, layer_depth) for axis in (-1, -3)]
        if fits[0] != fits[1]:
            return LAYOUTS[fits.index(True)]
    # The cut into layers does not matter here: each depth index has statistics of its own.
    sample = array.reshape((1,) * (5 - array.ndim) + array.shape)
    for axis in range(5):
        others = math.prod(sample.shape[axis + 1 :])
        sample = sample[(slice(None),) * axis + (slice(max(1, _SAMPLE_BITS // others)),)]
    nhwc = _code_length(sample)
    nchw = _code_length(np.ascontiguousarray(np.moveaxis(sample, -3, -1)))
    # A difference below one bit is rounding.
    return "nchw" if nchw <= nhwc - 1 else "nhwc"


def _fits(depth: int, axes: int, layer_depth: int) -> bool:
    return depth == layer_depth if axes == 5 else depth % layer_depth == 0


def _code_length(bits: npt.NDArray[np.uint8]) -> float:
    """Adaptive code length of every bit given its west and north neighbours, in bits.

    Each channel of a layer counts for itself, but starts from what all channels of the layer count
    together, at the weight of `_PRIOR_WEIGHT` bits. With plain Krichevsky-Trofimov counts for each
    channel, the reading with fewer "channels" saves so much learning that it wins on small images.

    Args:
        bits: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
    """
    pattern = bits.copy()
    pattern[:, :, :, 1:] += 2 * bits[:, :, :, :-1]
    pattern[:, :, 1:] += 4 * bits[:, :, :-1]
    length = 0.0
    for context in range(4):
        zeros, ones = (
            np.count_nonzero(pattern == 2 * context + bit, axis=(1, 2, 3)).astype(np.float64)
            for bit in (0, 1)
        )  # [layer, channel]
        all_zeros, all_ones = zeros.sum(axis=1, keepdims=True), ones.sum(axis=1, keepdims=True)
        prior = _PRIOR_WEIGHT * (all_ones + 0.5) / (all_zeros + all_ones + 1)
        length += float(_beta_length(zeros, ones, _PRIOR_WEIGHT - prior, prior).sum())
    return length


def _beta_length(
    zeros: npt.NDArray[np.float64],
    ones: npt.NDArray[np.float64],
    prior_zeros: npt.NDArray[np.float64],
    prior_ones: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Bits to code sequences of so many zeros and ones, counting from the priors on."""

    def log_rising(start: npt.NDArray[np.float64], count: npt.NDArray[np.float64]) -> Any:
        return _log_gamma(start + count) - _log_gamma(start)

    nats = (
        log_rising(prior_zeros + prior_ones, zeros + ones)
        - log_rising(prior_zeros, zeros)
        - log_rising(prior_ones, ones)
    )
    return np.asarray(nats / np.log(2.0))


def _log_gamma(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """log(gamma(x)) for x > 0: Stirling's series at x + 6, stepped down by the recurrence."""
    y = x + 6
    steps = x * (x + 1) * (x + 2) * (x + 3) * (x + 4) * (x + 5)
    stirling = (y - 0.5) * np.log(y) - y + 0.5 * np.log(2 * np.pi) + 1 / (12 * y) - 1 / (360 * y**3)
    return np.asarray(stirling - np.log(steps))
