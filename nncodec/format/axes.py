"""The axes of a code array, by the letters of their names (FORMAT.md, section 4).

    l  layer        t  frame of a sequence      h  row         c  bit of a position
    n  picture      (n and t: of pictures)      w  column

An array has some of them, in any order; those that are not named have size 1.
"""

import itertools
import math
from collections.abc import Sequence

from nncodec.errors import CodesError

LETTERS = "lnthwc"
"""All letters, in the canonical order: that of the code tensor, whose batch is n and t together."""

CANONICAL = "lnhwc"
"""The axes of the code tensor itself."""

COMMON_AXES = ("lnhwc", "lnchw", "nhwc", "nchw", "hwc", "chw", "nc")
"""The axes that a container stores by their index: their order is frozen."""

Shape = tuple[int, int, int, int, int]
"""Layers, batch, height, width, layer depth."""


def check_axes(axes: str) -> None:
    """Refuses what names no axes.

    Raises:
        CodesError: no letter, an unknown one, or one twice.
    """
    if not isinstance(axes, str) or not axes or not set(axes) <= set(LETTERS):
        raise CodesError(
            f"axes {axes!r} are not named by letters of {LETTERS}: l layer, n picture, t frame, "
            "h row, w column, c bits of a position; as in lnhwc or chw"
        )
    if len(set(axes)) < len(axes):
        raise CodesError(f"axes {axes!r} have a letter twice; name each axis once")


def ordered(axes: str) -> str:
    """Gives the same letters in the canonical order."""
    return "".join(letter for letter in LETTERS if letter in axes)


def rank_of(axes: str) -> int:
    """Gives the number of an order among all of its letters, 0 for the canonical one."""
    rest, rank = list(ordered(axes)), 0
    for letter in axes:
        place = rest.index(letter)
        rank += place * math.factorial(len(rest) - 1)
        del rest[place]
    return rank


def of_rank(letters: str, rank: int) -> str:
    """Undoes `rank_of`: gives the order with this number; `letters` are in the canonical one."""
    return "".join(next(itertools.islice(itertools.permutations(letters), rank, None)))


def code_shape(axes: str, sizes: Sequence[int], layer_depth: int | None = None) -> Shape:
    """Gives the shape of the code tensor in an array.

    Args:
        axes: of the array.
        sizes: of its axes.
        layer_depth: cuts `c` into layers of so many bits, where there is no `l`.
    """
    size = dict.fromkeys(LETTERS, 1) | dict(zip(axes, sizes, strict=True))
    depth = layer_depth or size["c"]
    layers = size["l"] if "l" in axes else size["c"] // depth
    return layers, size["n"] * size["t"], size["h"], size["w"], depth


def array_shape(axes: str, shape: Sequence[int], frames: int = 0) -> tuple[int, ...]:
    """Gives the sizes of the array's axes, which `code_shape` takes.

    Args:
        axes: of the array.
        shape: layers, batch, height, width, layer depth.
        frames: the size of `t`, where there is `n` too.
    """
    layers, batch, height, width, depth = shape
    size = {"l": layers, "n": batch, "t": batch, "h": height, "w": width, "c": depth}
    if frames:
        size |= {"n": batch // frames, "t": frames}
    if "l" not in axes:
        size["c"] *= layers
    return tuple(size[letter] for letter in axes)
