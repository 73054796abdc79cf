"""Reads code files and TFRecord files for a training, each in the form that it is trained on."""

from __future__ import annotations

import contextlib
import glob
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from nncodec.errors import CodesError
from nncodec.files.axis_orders import to_canonical
from nncodec.files.code_files import CodeFile, read_code_file
from nncodec.files.streams import file_label, naming
from nncodec.format.code_tensor import Codes
from nncodec.format.source import NPY_MAGIC, ZIP_MAGICS
from nncodec.training.configs import ModelConfig
from nncodec.training.data.examples import read_samples
from nncodec.training.data.packed_codes import MEMORY_BYTES, PackedCodes

FOLDER_SUFFIXES = (".npz", ".npy", ".tfrecord", ".tfrecords")
"""The suffixes of the files that are read of a folder."""

STACK_BITS = 1 << 22
"""Batches are cut, and samples of one size stacked, into files of at most so many bits, or of one
image."""

AXES_FILES = 4
"""If so many files, the first, are of one form and have the same axes, others of it have them."""


class Layers(NamedTuple):
    """The layers into which codes are cut, as far as they are known before the codes are read.

    Attributes:
        layer_depth: bits of a layer at a position; None where arrays have an axis l and say it.
        layer_count: the most layers of a file; None for any number.
        coded_layer_count: as in `ModelConfig`.
    """

    layer_depth: int | None = None
    layer_count: int | None = None
    coded_layer_count: int = 0


@dataclass(frozen=True, eq=False)
class Piece:
    """A file, a part of one, or a sample, which belongs to one set as a whole.

    Attributes:
        label: the file or the record that it comes from, for messages.
        codes: what it holds.
        stacks: whether it is a sample, and may be stacked with others.
    """

    label: str
    codes: PackedCodes
    stacks: bool

    @property
    def frames(self) -> bool:
        """Whether its pictures are frames of a sequence."""
        return "t" in self.codes.axes


class CodeReader:
    """Reads the files of a training one after another.

    Which axes "auto" stands for is decided by what the codes cost to code, which takes longer than
    to read them; so files that look alike are taken to be alike.
    """

    def __init__(self, axes: str, layers: Layers | ModelConfig) -> None:
        """Prepares to read.

        Args:
            axes: of the arrays of code files, or "auto".
            layers: into which codes are cut.
        """
        self._axes, self._layers = axes, layers
        self._found: list[tuple[tuple[object, ...], str]] = []  # forms and axes of first files
        self._bytes = 0  # that are kept

    def read(self, path: str) -> Iterator[Piece]:
        """Reads a file: a piece of a code file, or some of a large batch; one of every record.

        Raises:
            NncodecError: it cannot be read or holds no codes, or they do not fit the layers.
        """
        label = file_label(path)
        with naming(label):
            with open(path, "rb") as stream:
                magic = stream.read(len(NPY_MAGIC))
            # By its name, it should be one: what is wrong with it is then said.
            named = path.endswith((".npz", ".npy"))
            if named or magic.startswith((NPY_MAGIC, *ZIP_MAGICS)):
                yield from self._code_file(path, label)
            else:
                yield from self._samples(path)

    def _code_file(self, path: str, label: str) -> Iterator[Piece]:
        file = self._in_its_axes(path)
        axes = file.source.first.axes
        if self._layers.layer_depth is None and "l" not in axes:
            raise CodesError(
                f"has the axes {axes}, which do not say how many bits a layer has; give "
                "--layer-depth"
            )
        codes = _cut(file.marked, self._layers)
        self._bytes += codes.size // 8
        most = images_of_stack(codes.shape)
        for start in range(0, codes.shape[1], most):
            part = slice(start, start + most)
            read = partial(_read_again, path, axes, self._layers, codes.shape, part)
            kept = self._bytes <= MEMORY_BYTES
            packed = PackedCodes(codes[:, part], read=None if kept else read, axes=axes)
            yield Piece(label, packed, stacks=False)

    def _in_its_axes(self, path: str) -> CodeFile:
        depth = self._layers.layer_depth
        if self._axes != "auto":
            return _read_code_file(path, self._axes, depth)
        if len(self._found) == AXES_FILES and len(set(self._found)) == 1:
            form, axes = self._found[0]
            with contextlib.suppress(CodesError):  # it may have others after all
                file = _read_code_file(path, axes, depth)
                if _form(file) == form:
                    return file
        file = _read_code_file(path, "auto", depth)
        if len(self._found) < AXES_FILES:
            self._found.append((_form(file), file.source.first.axes))
        return file

    def _samples(self, path: str) -> Iterator[Piece]:
        depth = self._layers.layer_depth
        if depth is None:
            raise CodesError(
                "TFRecord files do not say how many bits a layer has; give --layer-depth"
            )
        for number, sample in enumerate(read_samples(path), start=1):
            label = f"{file_label(path)}: record {number}"
            with naming(label):
                codes = _cut(to_canonical(sample, "hwc", depth), self._layers)
                yield Piece(label, PackedCodes(codes), stacks=True)


def _read_again(
    path: str, axes: str, layers: Layers | ModelConfig, shape: tuple[int, ...], part: slice
) -> Codes:
    with naming(file_label(path)):
        codes = _cut(_read_code_file(path, axes, layers.layer_depth).marked, layers)
        if codes.shape != shape:
            raise CodesError(
                "has changed since training began; bring it back, or start again in another folder"
            )
        return codes[:, part]


def images_of_stack(shape: tuple[int, ...]) -> int:
    """Counts the images of a shape (layers, batch, height, ...) that make STACK_BITS, or 1."""
    layers, _, *place = shape
    return max(1, STACK_BITS // (layers * math.prod(place)))


def _cut(codes: Codes, layers: Layers | ModelConfig) -> Codes:
    """Cuts codes to the layers that a model can have.

    Raises:
        CodesError: there are too few or too many.
    """
    if len(codes) < layers.coded_layer_count:
        raise CodesError(
            f"the number of layers, {len(codes)}, is below coded_layer_count "
            f"{layers.coded_layer_count}; lower that in the model configuration, or leave these "
            "codes out"
        )
    most = layers.layer_count
    if most is not None and len(codes) > most and not layers.coded_layer_count:
        raise CodesError(
            f"the number of layers, {len(codes)}, is above layer_count {most}; raise that in the "
            "model configuration, or set coded_layer_count there to train on the first layers"
        )
    return codes[:most]


def list_paths(patterns: str | Sequence[str]) -> dict[str, str]:
    """Lists the files that paths, folders and globs name, by their real paths.

    Raises:
        CodesError: one of them names none.
    """
    if isinstance(patterns, str):
        patterns = [patterns]
    found = [path for pattern in patterns for path in _expand(pattern)]
    return {os.path.realpath(path): path for path in found}


def _expand(pattern: str) -> list[str]:
    label = file_label(pattern)
    if os.path.isdir(pattern):
        with naming(label):
            names = sorted(os.listdir(pattern))
        names = [name for name in names if name.endswith(FOLDER_SUFFIXES) and name[0] != "."]
        if not names:
            raise CodesError(
                f"{label}: no file in this folder ends with {', '.join(FOLDER_SUFFIXES)}; name "
                "other files by a glob"
            )
        return [os.path.join(pattern, name) for name in names]
    paths = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
    paths = [path for path in paths if os.path.isfile(path)]
    if not paths:
        raise CodesError(f"{label}: no such file; check the path, or the glob")
    return paths


def _form(file: CodeFile) -> tuple[object, ...]:
    source = file.source.first
    return source.format, len(source.axes), source.dtype, source.values, source.patterns


def _read_code_file(path: str, axes: str, layer_depth: int | None) -> CodeFile:
    try:
        return read_code_file(path, axes=axes, layer_depth=layer_depth)
    except CodesError:
        file = read_code_file(path, axes=axes)  # which fails again if the file is at fault
    axes = file.source.first.axes
    what = "layers" if "l" in axes else "a depth"
    raise CodesError(
        f"layer_depth {layer_depth} does not fit {what} of {file.codes.shape[-1]} bits "
        f"(axes {axes}); give another by --layer-depth, or other axes by --axes"
    )
