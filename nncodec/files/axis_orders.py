"""The axes of code arrays: to the order of the code tensor, back, and which order an array has.

FORMAT.md specifies this in section 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec.coding.codec import code_lengths
from nncodec.errors import CodesError
from nncodec.files.values import MAX_TOKEN_BITS
from nncodec.format.axes import LETTERS, array_shape, check_axes, code_shape
from nncodec.format.code_tensor import Codes
from nncodec.format.limits import whole_number
from nncodec.format.source import TOKENS

AUTO = "auto"
AUTO_AXES = ("hwc", "chw", "nhwc", "nchw", "lnhwc", "lnchw")
"""What AUTO chooses from, among those of as many axes as an array has."""

NEARLY = 0.01
"""By what part of its cost another order may be dearer and is mentioned."""

_SAMPLE_BITS = 1 << 15


@dataclass(frozen=True)
class Reading:
    """How arrays are to be read.

    Attributes:
        axes: the letters of their axes (`format.axes`); several of these, with commas between them,
            of which one of as many axes as an array has is taken, the cheapest one; or AUTO.
        layer_depth: cuts `c` into layers of so many bits, where there is no `l`; otherwise `c` is
            one layer. With `l` it must be what the array says.
        bits: of a token, if the arrays are whole numbers; such have no axis `c`.
        bit_order: which bit of a token is channel 0, and which of a packed byte comes first: "msb",
            "lsb", or AUTO: of tokens the cheaper one, of bytes the highest.

    Raises:
        CodesError: there is nothing like that.
    """

    axes: str = AUTO
    layer_depth: int | None = None
    bits: int | None = None
    bit_order: str = AUTO

    def __post_init__(self) -> None:
        for axes in self.named_axes():
            check_axes(axes)
        if self.layer_depth is not None and whole_number(self.layer_depth, "layer_depth") < 1:
            raise CodesError(
                f"layer_depth {self.layer_depth} is not positive; give the bits of a layer"
            )
        if self.bits is not None and not 1 <= whole_number(self.bits, "bits") <= MAX_TOKEN_BITS:
            raise CodesError(f"bits {self.bits} of a token; give 1 to {MAX_TOKEN_BITS}")
        if self.bit_order not in (AUTO, *TOKENS):
            raise CodesError(f"unknown bit order {self.bit_order!r}; choose auto, msb or lsb")
        if self.bits is not None and self.axes != AUTO and "c" in self.axes:
            raise CodesError(
                f"axes {self.axes} of tokens: the bits of a number are c; name the others, as in hw"
            )
        if self.bits is not None and self.layer_depth not in (None, self.bits):
            raise CodesError(
                f"layer_depth {self.layer_depth} of tokens of {self.bits} bits: a number is one "
                "layer; leave it out"
            )

    def named_axes(self) -> tuple[str, ...]:
        """Lists the axes to choose from; of tokens, without their bits."""
        if self.axes != AUTO:
            return tuple(self.axes.split(",")) if isinstance(self.axes, str) else (self.axes,)
        last_first = [axes for axes in AUTO_AXES if axes[-1] == "c"]
        return tuple(axes[:-1] for axes in last_first) if self.bits else AUTO_AXES


@dataclass(frozen=True)
class Order:
    """One way to read an array of bits.

    Attributes:
        axes: of the array.
        bit_order: of tokens, whose last axis is given with the highest bit first: "msb", as it is,
            or "lsb", backwards; "" for others.
    """

    axes: str
    bit_order: str = ""

    def apply(self, array: npt.NDArray[Any], layer_depth: int | None) -> npt.NDArray[Any]:
        """Brings an array into the order of the code tensor, as `to_canonical`."""
        return to_canonical(
            array[..., ::-1] if self.bit_order == "lsb" else array, self.axes, layer_depth
        )

    def __str__(self) -> str:
        return f"{self.axes[:-1]}, {self.bit_order}" if self.bit_order else self.axes


def to_canonical(
    array: npt.NDArray[Any], axes: str, layer_depth: int | None = None
) -> npt.NDArray[Any]:
    """Brings an array into the order of the code tensor.

    Args:
        array: any dtype.
        axes: its axes.
        layer_depth: as in `Reading`.

    Returns:
        C-contiguous, [layers, batch, height, width, layer_depth].

    Raises:
        CodesError: the depth of the array does not fit `layer_depth`.
    """
    depth = array.shape[axes.index("c")] if "c" in axes else 1
    if layer_depth is not None and not _fits(depth, axes, layer_depth):
        raise CodesError(_misfit(layer_depth, [depth], [axes]))
    cut = None if "l" in axes else layer_depth
    shape = code_shape(axes, array.shape, cut)
    array = array.transpose([axes.index(letter) for letter in LETTERS if letter in axes])
    if "l" not in axes:  # c is the last axis, and holds the layers
        array = array.reshape(*shape[1:4], shape[0], shape[4])
        array = np.moveaxis(array, 3, 0)
    return np.ascontiguousarray(array.reshape(shape))


def from_canonical(codes: npt.NDArray[Any], axes: str, frames: int = 0) -> npt.NDArray[Any]:
    """Undoes `to_canonical`.

    Args:
        codes: [layers, batch, height, width, layer_depth].
        axes: of the array; it has those that are longer than 1.
        frames: the size of `t`, where there is `n` too.

    Returns:
        C-contiguous, the array in `axes`, dtype of `codes`.
    """
    present = [letter for letter in LETTERS if letter in axes]
    if "l" not in axes:
        codes = np.moveaxis(codes, 0, 3)
    array = codes.reshape(array_shape("".join(present), _unmoved(codes.shape, axes), frames))
    return np.ascontiguousarray(array.transpose([present.index(letter) for letter in axes]))


def choose_order(
    array: Codes, orders: Sequence[Order], layer_depth: int | None = None
) -> tuple[Order, str]:
    """Decides in which order the bits are cheapest to code, from the first layers or pictures.

    Args:
        array: uint8 {0, 1}.
        orders: at least one; in doubt, the first is taken.
        layer_depth: rules out orders that it does not fit; others are cut into such layers.

    Returns:
        The order, and a note where another one is nearly as cheap, or "".

    Raises:
        CodesError: `layer_depth` fits none.
    """
    if layer_depth is not None:
        depths = [
            array.shape[order.axes.index("c")] if "c" in order.axes else 1 for order in orders
        ]
        fits = [
            _fits(depth, order.axes, layer_depth)
            for depth, order in zip(depths, orders, strict=True)
        ]
        if not any(fits):
            raise CodesError(_misfit(layer_depth, depths, [order.axes for order in orders]))
        orders = [order for order, fit in zip(orders, fits, strict=True) if fit]
    if len(orders) == 1:
        return orders[0], ""
    of_tokens = bool(orders[0].bit_order)
    sample = _sample(array, array.shape[-1] if of_tokens else layer_depth or 1)
    tried = [order.apply(sample, None if "l" in order.axes else layer_depth) for order in orders]
    costs = [float(code_lengths(codes).sum()) for codes in tried]
    # A difference below one bit is rounding.
    best = next(index for index, cost in enumerate(costs) if cost < min(costs) + 1)
    rivals = [
        index
        for index, codes in enumerate(tried)
        if index != best and not np.array_equal(codes, tried[best])
    ]
    second = min(rivals, key=costs.__getitem__, default=best)
    if second == best or costs[second] > costs[best] * (1 + NEARLY):
        return orders[best], ""
    option = "--bit-order" if orders[best].axes == orders[second].axes else "--axes"
    return orders[best], (
        f"is read as {orders[best]}; {orders[second]} is nearly as cheap: if it is that, say so by "
        f"{option}"
    )


def _sample(array: Codes, unit: int) -> Codes:
    """Takes a part of about _SAMPLE_BITS: the same bits in whatever order the last axes are.

    The longest of the last three axes are cut first, to equal lengths, so that both readings keep
    some rows, columns and channels; the axis that is the depth in either, to a multiple of `unit`.
    """
    lengths = list(array.shape)
    most = _SAMPLE_BITS
    last = [axis for axis in (-1, -2, -3) if -axis <= array.ndim]
    for left, axis in zip(
        range(len(last), 0, -1), sorted(last, key=lengths.__getitem__), strict=True
    ):
        share = max(1, round(most ** (1 / left)))
        if axis != -2:
            share = max(unit, share - share % unit)
        lengths[axis] = min(lengths[axis], share)
        most = max(1, most // lengths[axis])
    for axis in reversed(range(array.ndim - len(last))):
        lengths[axis] = min(lengths[axis], most)
        most = max(1, most // lengths[axis])
    return array[tuple(map(slice, lengths))]


def _unmoved(shape: Sequence[int], axes: str) -> tuple[int, ...]:
    """Gives a shape in the order of the code tensor, if its layers went behind the columns."""
    if "l" in axes:
        return tuple(shape)
    batch, height, width, layers, depth = shape
    return layers, batch, height, width, depth


def _fits(depth: int, axes: str, layer_depth: int) -> bool:
    return depth == layer_depth if "l" in axes else depth % layer_depth == 0


def _misfit(layer_depth: int, depths: Sequence[int], readings: Sequence[str]) -> str:
    """What is said of a `layer_depth` that fits none of these depths, each in its reading."""
    layered = all("l" in reading for reading in readings)
    what = "the {} bits of a layer, read as {}" if layered else "the depth {}, read as {}"
    found = ", nor ".join(map(what.format, depths, readings))
    if layered:
        return f"layer_depth {layer_depth} is not {found}; leave it out for arrays with layers"
    other = ", or other axes" if len(readings) == 1 else ""
    return f"layer_depth {layer_depth} does not divide {found}; give a divisor of the depth{other}"
