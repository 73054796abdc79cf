"""Sources of code tensors, of every kind that there can be."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from nncodec.errors import CodesError
from nncodec.files.extras import pack_extras
from nncodec.format.axes import LETTERS
from nncodec.format.source import (
    DTYPES,
    FORMATS,
    NPZ_FORMATS,
    VALUES,
    ArraySource,
    CoverageSource,
    Source,
    itemsize,
)

Shape = tuple[int, int, int, int, int]

_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


def source_of(
    format_: str = "npy", axes: str = "lnhwc", dtype: str = "|u1", **fields: Any
) -> Source:
    """A source of one array, and nothing else."""
    return Source((ArraySource(format_, axes, dtype, **fields),))


@st.composite
def axes_of(draw: st.DrawFn, shape: Shape, *, tokens: bool = False) -> tuple[str, int]:
    """Axes that an array of a code tensor can have, and the size of `t` where it has `n` too."""
    layers, batch, height, width, depth = shape
    needed = set()
    if batch > 1:
        needed |= {draw(st.sampled_from(["n", "t"]))}
    needed |= ({"h"} if height > 1 else set()) | ({"w"} if width > 1 else set())
    needed |= {"c"} if depth > 1 or tokens else set()
    if layers > 1:
        needed |= {"l"} if tokens or draw(st.booleans()) else {"c"}
    more = set(draw(st.lists(st.sampled_from(LETTERS), max_size=6)))
    if tokens and "l" not in needed and layers > 1:
        needed.add("l")
    letters = sorted(needed | more) or ["w"]
    axes = "".join(draw(st.permutations(letters)))
    if tokens:
        axes = axes.replace("c", "") + "c"
    frames = 0
    if "n" in axes and "t" in axes:
        frames = draw(st.sampled_from([size for size in range(1, batch + 1) if batch % size == 0]))
    return axes, frames


@st.composite
def array_sources(draw: st.DrawFn, shape: Shape, forms: tuple[str, ...] = FORMATS) -> ArraySource:
    """An array that a code tensor can have been made from."""
    common = draw(st.booleans())
    while True:
        form, dtype = draw(st.sampled_from(forms)), draw(st.sampled_from(DTYPES))
        values = draw(st.sampled_from(VALUES))
        names = draw(st.sampled_from(["", "codes", "arr_0"]) | _TEXTS)
        axes, frames = draw(axes_of(shape, tokens=values in ("msb", "lsb")))
        if common:
            axes, frames = "lnhwc" if draw(st.booleans()) else "lnchw", 0
        pair = draw(st.binary(min_size=2 * itemsize(dtype), max_size=2 * itemsize(dtype)))
        has_shape = form in ("packed", "flat")
        own_name = not has_shape or draw(st.booleans())
        try:
            source = ArraySource(
                format=form,
                axes=axes,
                dtype=dtype,
                values=values,
                name=names if form not in ("npy", "tensor") and own_name else "",
                patterns=pair if values == "pair" else b"",
                shape_name="the shape" if has_shape and own_name else "",
                shape_dtype="<i8" if form == "flat" else "",
                frames=frames,
            )
            source.check_shape(shape)
        except CodesError:
            common = True
            continue
        return source


@st.composite
def sources(draw: st.DrawFn, shape: Shape) -> Source:
    """A source of a code tensor, alone or beside other arrays."""
    array = draw(array_sources(shape))
    extras = b""
    if array.format not in ("npy", "tensor") and draw(st.booleans()):
        extras = pack_extras({"other": draw(st.binary(max_size=20))})
    if array.format in NPZ_FORMATS and draw(st.booleans()):
        array = replace(array, coverage=draw(coverage_sources(shape, array.array_names)))
    return Source((array,), extras)


@st.composite
def coverage_sources(draw: st.DrawFn, shape: Shape, others: tuple[str, ...] = ()) -> CoverageSource:
    """An array that a coverage of such codes can have been, none of the others."""
    _, batch, height, width, _ = shape
    some = [size > 1 or draw(st.booleans()) for size in (batch, height, width)]
    dtype = draw(st.sampled_from([dtype for dtype in DTYPES if dtype[1] in "iu" or dtype == "|b1"]))
    names = st.sampled_from(["coverage", "codes", "é" * 127]) | _TEXTS
    name = draw(names.filter(lambda text: text and text not in others))
    return CoverageSource(dtype, (some[0], some[1], some[2]), name)


def extent_of(shape: tuple[int, ...]) -> Shape:
    """The same, for the types."""
    layers, batch, height, width, depth = np.array(shape).tolist()
    return layers, batch, height, width, depth
