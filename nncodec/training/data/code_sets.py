"""The codes that a network is trained on and validated with, as an input configuration names them.

A code file is one file of a set, or several if its batch is large; samples of TFRecord files are
stacked into some. They are packed
(packed_codes.py): a bit of codes takes a bit of memory.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nncodec.coding.threads import Progress
from nncodec.errors import CodesError
from nncodec.training.configs import SYNTHETIC, InputConfig, ModelConfig
from nncodec.training.data.batches import CodeSet, SyntheticSet
from nncodec.training.data.code_reading import (
    CodeReader,
    Layers,
    Piece,
    images_of_stack,
    list_paths,
)
from nncodec.training.data.packed_codes import PackedCodes

SYNTHETIC_SAMPLES = (256, 128)
"""How many synthetic samples a training and a validation set have in memory."""


class CodeSets(NamedTuple):
    """The codes that a network is trained on, and those that it is validated with."""

    training: CodeSet
    validation: CodeSet

    @property
    def layers(self) -> dict[str, int]:
        """The `layer_depth` and the `layer_count` that a model of all these codes needs."""
        shapes = [*self.training.shapes, *self.validation.shapes]
        return {"layer_depth": shapes[0][-1], "layer_count": max(shape[0] for shape in shapes)}


def read_code_sets(
    config: InputConfig,
    layers: Layers | ModelConfig,
    *,
    validation_share: float,
    seed: int,
    progress: Progress | None = None,
) -> CodeSets:
    """Reads the codes of a training.

    Args:
        config: which codes.
        layers: into which their depth is cut.
        validation_share: how much of the code files and TFRecord samples, or of the images where
            there is only one file, is for validation, chosen at random; where `config` names files
            for that, it is those, even if they are among its data. Files of one picture in several
            variants are not kept together: name those of some pictures in `config`.
        seed: of the choice of that share, and of synthetic codes.
        progress: told the code bits of each file and sample.

    Returns:
        Both sets; without validation, that set is empty. No file has more than `layer_count`
        layers.

    Raises:
        NncodecError: a file cannot be read or holds no codes, or the codes do not fit the layers or
            the configuration, or nothing remains to train on or to validate with.
    """
    reader = CodeReader(config.axes, layers)
    apart = list_paths(config.validation)
    validation = _read(reader, list(apart.values()), progress)
    if config.data == SYNTHETIC:
        training_set, validation_set = _synthetic_sets(layers, seed)
        if validation or not validation_share:
            validation_set = _stack(validation)
        return CodeSets(training_set, validation_set)
    paths = [path for real, path in list_paths(config.data).items() if real not in apart]
    if not paths:
        raise CodesError("all files of `data` are in `validation` too; name more in `data`")
    training = _read(reader, paths, progress)
    _check_depth([*training, *validation])
    if config.unique_code_size:
        _check_unique_size(training)
    if not apart and validation_share:
        training, validation = _split(training, validation_share, seed)
    _check_sequence([*training, *validation])
    return CodeSets(_stack(training), _stack(validation))


def _read(reader: CodeReader, paths: Sequence[str], progress: Progress | None) -> list[Piece]:
    pieces = []
    for path in paths:
        for piece in reader.read(path):
            if progress:
                progress(int(np.prod(piece.codes.shape)))
            pieces.append(piece)
    return pieces


def _check_depth(pieces: Sequence[Piece]) -> None:
    first = pieces[0]
    for piece in pieces:
        if piece.codes.shape[-1] != first.codes.shape[-1]:
            depths = [f"{one.codes.shape[-1]} bits in {one.label}" for one in (first, piece)]
            raise CodesError(
                f"layers have {depths[0]}, and {depths[1]}; train a model for the codes of one "
                "encoder, or name the axes by --axes"
            )


def _check_sequence(pieces: Sequence[Piece]) -> None:
    first = pieces[0]
    for piece in pieces:
        if piece.frames != first.frames:
            labels = [one.label for one in (first, piece)]
            sequence, other = labels if first.frames else reversed(labels)
            raise CodesError(
                f"the pictures of {sequence} are frames, those of {other} are not; train on each "
                "apart, or name axes without t"
            )


def _check_unique_size(pieces: Sequence[Piece]) -> None:
    first = pieces[0]
    layers, _, height, width, _ = first.codes.shape
    for piece in pieces:
        other_layers, _, other_height, other_width, _ = piece.codes.shape
        if (other_layers, other_height, other_width) != (layers, height, width):
            raise CodesError(
                f"the codes differ in size: {layers} layers of {height} x {width} ({first.label}), "
                f"{other_layers} layers of {other_height} x {other_width} ({piece.label}); set "
                "unique_code_size to false, and `crop` in the training configuration if batches "
                "shall mix them"
            )


def _split(pieces: Sequence[Piece], share: float, seed: int) -> tuple[list[Piece], list[Piece]]:
    if len(pieces) == 1:
        (file,) = pieces
        if file.frames:
            return _split_frames(file, share)
        images = range(file.codes.shape[1])
        pieces = [
            Piece(file.label, PackedCodes(file.codes.images(image, image + 1)), stacks=True)
            for image in images
        ]
    count = _count_for_validation(len(pieces), share, pieces[0])
    chosen = set(np.random.default_rng(seed).permutation(len(pieces))[:count].tolist())
    return (
        [piece for number, piece in enumerate(pieces) if number not in chosen],
        [pieces[number] for number in sorted(chosen)],
    )


def _split_frames(file: Piece, share: float) -> tuple[list[Piece], list[Piece]]:
    """Takes the last frames of a sequence for validation, which remain one."""
    frames = file.codes.shape[1]
    first = frames - _count_for_validation(frames, share, file)
    parts = [
        PackedCodes(file.codes.images(start, stop), axes=file.codes.axes)
        for start, stop in ((0, first), (first, frames))
    ]
    training, validation = ([Piece(file.label, part, stacks=False)] for part in parts)
    return training, validation


def _count_for_validation(parts: int, share: float, first: Piece) -> int:
    count = min(max(1, round(share * parts)), parts - 1)
    if not count:
        raise CodesError(
            f"{first.label}: is a single image, and none remains for validation; give more "
            "codes, or others by --validation, or set validation_share to 0 in the training "
            "configuration"
        )
    return count


def _stack(pieces: Sequence[Piece]) -> CodeSet:
    files = [piece.codes for piece in pieces if not piece.stacks]
    alike: dict[tuple[int, ...], list[PackedCodes]] = defaultdict(list)
    for piece in pieces:
        if piece.stacks:
            alike[piece.codes.shape].append(piece.codes)
    for shape, samples in alike.items():
        most = images_of_stack(shape)
        starts = range(0, len(samples), most)
        files += [_joined(samples[start : start + most]) for start in starts]
    return CodeSet(files, sequence=any(piece.frames for piece in pieces))


def _joined(samples: Sequence[PackedCodes]) -> PackedCodes:
    return PackedCodes(np.concatenate([one.images(0, one.shape[1]) for one in samples], axis=1))


def _synthetic_sets(layers: Layers | ModelConfig, seed: int) -> tuple[CodeSet, CodeSet]:
    layer_count = layers.coded_layer_count or layers.layer_count
    if layers.layer_depth is None or layer_count is None:
        raise CodesError(
            "synthetic codes are drawn for the layer_depth and the layer_count of a model "
            "configuration; give one by --model-config"
        )
    training, validation = (
        SyntheticSet(count, layer_count, layers.layer_depth, seed, stream)
        for stream, count in enumerate(SYNTHETIC_SAMPLES)
    )
    return training, validation
