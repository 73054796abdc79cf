"""The axis orders of code arrays: to the canonical order, back, and which of two an array has.

The canonical order is (layers, batch, height, width, layer_depth). An array of 4 axes is (batch,
height, width, depth), one of 3 axes (height, width, depth), where depth = layers * layer_depth and
layer k is depth k * layer_depth ... (k + 1) * layer_depth - 1. In the layout `nchw` the depth axis
stands before height. FORMAT.md specifies this in section 4.
"""

from collections.abc import Sequence
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
        raise CodesError(_misfit(layer_depth, array.ndim, [depth], [layout]))
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
        layer_depth: rules out a layout whose depth it does not fit; if it fits both, each is cut
            into such layers.

    Returns:
        "nhwc" or "nchw"; "nhwc" where both cost the same.

    Raises:
        CodesError: `layer_depth` fits neither.
    """
    if layer_depth is not None:
        depths = [array.shape[axis] for axis in (-1, -3)]
        fits = [_fits(depth, array.ndim, layer_depth) for depth in depths]
        if not any(fits):
            raise CodesError(_misfit(layer_depth, array.ndim, depths, LAYOUTS))
        if not all(fits):
            return LAYOUTS[fits.index(True)]
    cut = layer_depth if array.ndim < 5 else None
    sample = _sample(array, cut or 1)
    nhwc, nchw = (code_lengths(to_canonical(sample, layout, cut)).sum() for layout in LAYOUTS)
    # A difference below one bit is rounding.
    return "nchw" if nchw <= nhwc - 1 else "nhwc"


def _sample(array: npt.NDArray[np.uint8], unit: int) -> npt.NDArray[np.uint8]:
    """Takes a part of about _SAMPLE_BITS: the same bits in whatever order the last axes are.

    The longest of the last three axes are cut first, to equal lengths, so that both readings keep
    some rows, columns and channels; the axis that is the depth in either, to a multiple of `unit`.
    """
    lengths = list(array.shape)
    most = _SAMPLE_BITS
    for left, axis in zip((3, 2, 1), sorted((-1, -2, -3), key=lengths.__getitem__), strict=True):
        share = max(1, round(most ** (1 / left)))
        if axis != -2:
            share = max(unit, share - share % unit)
        lengths[axis] = min(lengths[axis], share)
        most = max(1, most // lengths[axis])
    for axis in reversed(range(array.ndim - 3)):
        lengths[axis] = min(lengths[axis], most)
        most = max(1, most // lengths[axis])
    return array[tuple(map(slice, lengths))]


def _fits(depth: int, axes: int, layer_depth: int) -> bool:
    return depth == layer_depth if axes == 5 else depth % layer_depth == 0


def _misfit(layer_depth: int, axes: int, depths: Sequence[int], layouts: Sequence[str]) -> str:
    """What is said of a `layer_depth` that fits none of these depths, each in its layout."""
    what = "the {} bits of a layer in layout {}" if axes == 5 else "the depth {} in layout {}"
    found = " nor ".join(map(what.format, depths, layouts))
    if axes == 5:
        return f"layer_depth {layer_depth} is not {found}; leave it out for arrays of 5 axes"
    other = ", or the other layout" if len(layouts) == 1 else ""
    return f"layer_depth {layer_depth} does not divide {found}; give a divisor of the depth{other}"
