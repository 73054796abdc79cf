"""Coverages <-> the arrays of a `.npz` that say how many layers each position has.

The array has the axes batch, height and width, those of size 1 perhaps not: codes without a batch
have a coverage of height x width.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from typing import Literal

import numpy as np
import numpy.typing as npt

from nncodec.errors import CodesError
from nncodec.files.array_files import Array, Npz, list_names
from nncodec.files.axis_orders import Reading
from nncodec.files.code_arrays import CodeArray
from nncodec.format.axes import array_shape, code_shape
from nncodec.format.code_tensor import Codes, validate_coverage
from nncodec.format.source import COVERAGE, ArraySource, CoverageSource

_AXES = (True, False)

CoverageName = str | Literal[False] | None
"""The name of an array; None for "coverage", if there is one; False for none."""


def find_coverage(names: Iterable[str], asked: CoverageName, used: Iterable[str]) -> str | None:
    """Finds the name of the array with the coverage; None if there is none.

    Args:
        names: of the arrays of a `.npz`.
        asked: which was asked for.
        used: the names of arrays that are asked for as something else.

    Raises:
        CodesError: there is no array of the name that was asked for, or no other for the codes.
    """
    others = set(names)
    if asked is False:
        return None
    if asked is not None:
        check_named(asked in others, asked)
        if asked in used:
            raise CodesError(
                f"array {asked!r} is named as the coverage, and by --array or --shape-array; name "
                "another"
            )
        if others == {asked}:
            raise CodesError(
                f"the .npz holds no array but the coverage {asked!r}; if it is codes, leave "
                "--coverage out"
            )
        return asked
    # A file whose only array is called so has codes under that name.
    return COVERAGE if COVERAGE in others - set(used) and len(others) > 1 else None


def check_named(found: bool, asked: CoverageName) -> None:
    """Refuses a file without the coverage that was asked for."""
    if isinstance(asked, str) and not found:
        raise CodesError(f"there is no coverage {asked!r} in it; that is an array of a .npz file")


def take_coverage(file: Npz, name: str, taken: list[CodeArray]) -> list[CodeArray]:
    """Takes an array as the coverage of codes, and gives these with it.

    Args:
        file: that holds both.
        name: of the array.
        taken: the code arrays of the file.

    Raises:
        CodesError: it is none of theirs, or there are several.
    """
    if len(taken) > 1:
        names = list_names([one.source.array_names[0] for one in taken])
        raise CodesError(
            f"the file has a coverage {name!r}, and {len(taken)} code arrays, {names}; name the "
            "one that it is of by --array"
        )
    (one,) = taken
    sizes, form = _sizes(one.codes.shape), file.forms[name]
    if form.dtype is None or form.dtype.kind not in "biu":
        kind = form.dtype.name if form.dtype else "object"
        raise CodesError(f"the coverage {name!r} has dtype {kind}; save whole numbers, as uint8")
    axes = _axes_of(form.shape, sizes)
    if axes is None:
        raise CodesError(
            f"the coverage {name!r} has the shape {form.shape}, the codes, read as "
            f"{one.source.array_axes}, have {sizes} positions (batch, height, width); save a "
            "number of layers for each, or name other axes by --axes"
        )
    source = CoverageSource(form.dtype.str, axes, name)
    coverage = validate_coverage(file.array(name).reshape(sizes), one.codes)
    return [replace(one, source=replace(one.source, coverage=source), coverage=coverage)]


def fitting_axes(shape: tuple[int, ...], taken: list[CodeArray], reading: Reading) -> str:
    """Finds axes of codes that a coverage fits, where it does not fit all that there may be.

    Args:
        shape: of the coverage.
        taken: the code arrays of the file.
        reading: how they were read.

    Returns:
        The axes, with commas between them; none if there are several arrays, if the coverage fits
        none, or if there is nothing to choose.
    """
    if len(taken) > 1:
        return ""
    (one,) = taken
    source = one.source
    sizes = array_shape(source.array_axes, one.codes.shape, source.frames)
    orders = [axes for axes in reading.named_axes() if len(axes) == len(sizes)]
    depth = reading.layer_depth
    shapes = [code_shape(axes, sizes, None if reading.bits else depth) for axes in orders]
    fits = [
        axes
        for axes, found in zip(orders, shapes, strict=True)
        if _axes_of(shape, _sizes(found)) is not None
    ]
    chosen = source.array_axes in fits and not one.note
    return "" if chosen or len(fits) == len(orders) else ",".join(fits)


def _sizes(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The batch, height and width of a code tensor."""
    _, batch, height, width, _ = shape
    return batch, height, width


def _axes_of(shape: tuple[int, ...], sizes: tuple[int, int, int]) -> tuple[bool, bool, bool] | None:
    """Which of batch, height and width a coverage has; None if it has another shape."""
    for axes in product(_AXES, _AXES, _AXES):
        kept = tuple(size for there, size in zip(axes, sizes, strict=True) if there)
        dropped = (size for there, size in zip(axes, sizes, strict=True) if not there)
        if kept == shape and all(size == 1 for size in dropped):
            return axes
    return None


def coverage_arrays(
    codes: Codes, source: ArraySource, coverage: npt.ArrayLike | None
) -> dict[str, Array]:
    """Gives the array of a coverage by its name, or none if the original had none.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        source: of the original.
        coverage: [batch, height, width]; None is refused if the original had one.

    Raises:
        CodesError: it is missing, none of the codes, or does not fit the original's dtype.
    """
    if source.coverage is None:
        return {}
    sizes = codes.shape[1:4]
    if coverage is None:  # that all layers are there would be a guess
        raise CodesError(
            f"the original had a coverage {source.coverage.name!r}, and none is given; give "
            "coverage=, that of read_code_file or of decode_covered"
        )
    checked = validate_coverage(coverage, codes)
    dtype = np.dtype(source.coverage.dtype)
    largest = 1 if dtype.kind == "b" else np.iinfo(dtype).max
    if checked.max() > largest:
        raise CodesError(f"a coverage of {checked.max()} layers does not fit its dtype {dtype}")
    kept = [size for there, size in zip(source.coverage.axes, sizes, strict=True) if there]
    return {source.coverage.name: checked.reshape(kept).astype(dtype)}
