"""The codes that a network is trained on and validated with, as an input configuration names them.

A code file is one file of a set; samples of TFRecord files are stacked into some. Codes take a byte
a bit of memory, and twice that while samples are stacked.
"""

import glob
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nncodec.coding.threads import Progress
from nncodec.errors import CodesError
from nncodec.files.code_files import read_code_file
from nncodec.files.layouts import to_canonical
from nncodec.files.streams import file_label, naming
from nncodec.format.code_tensor import Codes
from nncodec.format.source import NPY_MAGIC, ZIP_MAGICS
from nncodec.training.configs import SYNTHETIC, InputConfig, ModelConfig
from nncodec.training.data.batches import CodeSet, SyntheticSet
from nncodec.training.data.examples import read_samples

FOLDER_SUFFIXES = (".npz", ".npy", ".tfrecord", ".tfrecords")
"""The suffixes of the files that are read of a folder."""

STACK_BITS = 1 << 22
"""Samples of one size are stacked into files of at most so many bits, or of one sample."""

SYNTHETIC_SAMPLES = (256, 128)
"""How many synthetic samples a training and a validation set have in memory."""


@dataclass(frozen=True, eq=False)
class _Piece:
    """A file or a sample, which belongs to one set as a whole.

    Attributes:
        label: the file or the record that it comes from, for messages.
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        stacks: whether it is a sample, and may be stacked with others.
    """

    label: str
    codes: Codes
    stacks: bool


class CodeSets(NamedTuple):
    """The codes that a network is trained on, and those that it is validated with."""

    training: CodeSet
    validation: CodeSet


def read_code_sets(
    config: InputConfig,
    model: ModelConfig,
    *,
    validation_share: float,
    seed: int,
    progress: Progress | None = None,
) -> CodeSets:
    """Reads the codes of a training.

    Args:
        config: which codes.
        model: the layers into which their depth is cut.
        validation_share: how much of the code files and TFRecord samples, or of the images where
            there is only one file, is for validation; where `config` names files for that, it is
            those, even if they are among its data.
        seed: of the choice of that share, and of synthetic codes.
        progress: told the code bits of each file and sample.

    Returns:
        Both sets; without validation, that set is empty. No file has more than `layer_count`
        layers.

    Raises:
        NncodecError: a file cannot be read or holds no codes, or the codes do not fit the layers or
            the configuration, or nothing remains to train on or to validate with.
    """
    apart = _paths(config.validation)
    validation = [
        piece for path in apart.values() for piece in _read(path, config, model, progress)
    ]
    if config.data == SYNTHETIC:
        training_set, validation_set = _synthetic_sets(model, seed)
        if validation or not validation_share:
            validation_set = _stack(validation)
        return CodeSets(training_set, validation_set)
    paths = [path for real, path in _paths(config.data).items() if real not in apart]
    if not paths:
        raise CodesError("all files of `data` are in `validation` too; name more in `data`")
    training = [piece for path in paths for piece in _read(path, config, model, progress)]
    if config.unique_code_size:
        _check_unique_size(training)
    if not apart and validation_share:
        training, validation = _split(training, validation_share, seed)
    return CodeSets(_stack(training), _stack(validation))


def _paths(patterns: str | Sequence[str]) -> dict[str, str]:
    """Lists the files that paths, folders and globs name, by their real paths."""
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


def _read(
    path: str, config: InputConfig, model: ModelConfig, progress: Progress | None
) -> Iterator[_Piece]:
    label = file_label(path)
    with naming(label):
        with open(path, "rb") as stream:
            magic = stream.read(len(NPY_MAGIC))
        if magic.startswith((NPY_MAGIC, *ZIP_MAGICS)):
            codes = _cut(_code_file(path, config.layout, model.layer_depth), model)
            pieces = iter([_Piece(label, codes, stacks=False)])
        else:
            pieces = _samples(path, model)
        for piece in pieces:
            if progress:
                progress(piece.codes.size)
            yield piece


def _samples(path: str, model: ModelConfig) -> Iterator[_Piece]:
    for number, sample in enumerate(read_samples(path), start=1):
        label = f"{file_label(path)}: record {number}"
        with naming(label):
            codes = to_canonical(sample, "nhwc", model.layer_depth)
            yield _Piece(label, _cut(codes, model), stacks=True)


def _code_file(path: str, layout: str, layer_depth: int) -> Codes:
    try:
        return read_code_file(path, layout=layout, layer_depth=layer_depth).codes
    except CodesError:
        file = read_code_file(path, layout=layout)  # which fails again if the file is at fault
    what = "layers" if file.source.axes == 5 else "a depth"
    raise CodesError(
        f"layer_depth {layer_depth} does not fit {what} of {file.codes.shape[-1]} bits "
        f"(layout {file.source.layout}); correct it in the model configuration, or the layout in "
        "the input configuration"
    )


def _cut(codes: Codes, model: ModelConfig) -> Codes:
    """Cuts codes to the layers that the model can have."""
    if len(codes) < model.coded_layer_count:
        raise CodesError(
            f"the number of layers, {len(codes)}, is below coded_layer_count "
            f"{model.coded_layer_count}; lower that in the model configuration, or leave these "
            "codes out"
        )
    if len(codes) > model.layer_count and not model.coded_layer_count:
        raise CodesError(
            f"the number of layers, {len(codes)}, is above layer_count {model.layer_count}; raise "
            "that in the model configuration, or set coded_layer_count there to train on the first "
            "layers"
        )
    return codes[: model.layer_count]


def _check_unique_size(pieces: Sequence[_Piece]) -> None:
    first = pieces[0]
    for piece in pieces:
        if piece.codes[:, 0].shape != first.codes[:, 0].shape:
            sizes = [
                f"{layers} layers of {height} x {width} ({label})"
                for label, (layers, _, height, width, _) in (
                    (first.label, first.codes.shape),
                    (piece.label, piece.codes.shape),
                )
            ]
            raise CodesError(
                f"the codes differ in size: {sizes[0]}, {sizes[1]}; set unique_code_size to false, "
                "and `crop` in the training configuration if batches shall mix them"
            )


def _split(pieces: Sequence[_Piece], share: float, seed: int) -> tuple[list[_Piece], list[_Piece]]:
    if len(pieces) == 1:
        (file,) = pieces
        images = np.split(file.codes, file.codes.shape[1], axis=1)
        pieces = [_Piece(file.label, image, stacks=True) for image in images]
    count = min(max(1, round(share * len(pieces))), len(pieces) - 1)
    if not count:
        raise CodesError(
            f"{pieces[0].label}: is a single image, and none remains for validation; give more "
            "codes, or set validation_share to 0 in the training configuration"
        )
    chosen = set(np.random.default_rng(seed).permutation(len(pieces))[:count].tolist())
    return (
        [piece for number, piece in enumerate(pieces) if number not in chosen],
        [pieces[number] for number in sorted(chosen)],
    )


def _stack(pieces: Sequence[_Piece]) -> CodeSet:
    files = [piece.codes for piece in pieces if not piece.stacks]
    alike: dict[tuple[int, ...], list[Codes]] = defaultdict(list)
    for piece in pieces:
        if piece.stacks:
            alike[piece.codes.shape].append(piece.codes)
    for samples in alike.values():
        most = max(1, STACK_BITS // samples[0].size)
        starts = range(0, len(samples), most)
        files += [np.concatenate(samples[start : start + most], axis=1) for start in starts]
    return CodeSet(files)


def _synthetic_sets(model: ModelConfig, seed: int) -> tuple[CodeSet, CodeSet]:
    layer_count = model.coded_layer_count or model.layer_count
    training, validation = (
        SyntheticSet(count, layer_count, model.layer_depth, seed, stream)
        for stream, count in enumerate(SYNTHETIC_SAMPLES)
    )
    return training, validation
