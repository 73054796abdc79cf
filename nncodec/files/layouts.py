"""The axis orders of code arrays: to the canonical order, back, and which of two an array has.

The canonical order is (layers, batch, height, width, layer_depth). An array of 4 axes is (batch,
height, width, depth), one of 3 axes (height, width, depth), where depth = layers * layer_depth and
layer k is depth k * layer_depth ... (k + 1) * layer_depth - 1. In the layout `nchw` the depth axis
stands before height. FORMAT.md specifies this in section 4.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec.coding.codec import code_lengths
from nncodec.errors import CodesError
from nncodec.format.source import LAYOUTS

_SAMPLE_BITS = 1 << 15


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
    nhwc = code_lengths(sample).sum()
    nchw = code_lengths(np.moveaxis(sample, -3, -1)).sum()
    # A difference below one bit is rounding.
    return "nchw" if nchw <= nhwc - 1 else "nhwc"


def _fits(depth: int, axes: int, layer_depth: int) -> bool:
    return depth == layer_depth if axes == 5 else depth % layer_depth == 0
