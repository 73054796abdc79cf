"""Photographs and files of their codes: what photo.py and rate_distortion.py read and write.

A file of codes is a container of nncodec, which its commands take like any other. It is made from
an `.npz` whose array of codes is named after the size of the picture, 768x512: that survives, and
says how much of the last row and column of blocks belongs to the picture.
"""

from __future__ import annotations

import io
import itertools
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from examples.photo.network import BLOCK, LAYER_DEPTH, PhotoNetwork, cover_evenly, decode, encode
from examples.photo.quality import Pixels
from nncodec import Model, NncodecError, load_model, read_code_file
from nncodec.coding.codec import decode_container, encode_source
from nncodec.coding.threads import Threads, thread_count
from nncodec.errors import TruncatedError
from nncodec.files.code_files import write_marked
from nncodec.files.model_choice import model_to_decode
from nncodec.files.model_files import ADAPTIVE
from nncodec.files.streams import file_label, naming
from nncodec.format.code_tensor import Codes, Coverage, split_absent
from nncodec.format.container import Container, read_container

MODEL = Path(__file__).with_name("model.safetensors")
"""The model of nncodec that was trained on codes of the encoder."""


@dataclass(frozen=True, eq=False)
class PhotoCodes:
    """The codes of a photograph, or their first layers.

    Attributes:
        codes: uint8 {0, 1}, [layers, 1, height, width, layer_depth] in blocks.
        height: of the photograph, in pixels.
        width: the same.
        coverage: [1, height, width] in blocks, how many layers each position has, all for None;
            bits beyond are 0.
    """

    codes: Codes
    height: int
    width: int
    coverage: Coverage | None = None

    @property
    def layers(self) -> int:
        return len(self.codes)

    @property
    def bits(self) -> int:
        """Code bits, those beyond the coverage left out."""
        if self.coverage is None:
            return self.codes.size
        return int(self.coverage.sum()) * LAYER_DEPTH

    def first(self, layers: int | None) -> PhotoCodes:
        """Gives some first layers, all for None."""
        codes = self.codes[:layers]
        held = self.coverage
        coverage = None if held is None else np.minimum(held, np.uint16(len(codes)))
        return PhotoCodes(codes, self.height, self.width, coverage)


@dataclass(frozen=True)
class CodedFile:
    """A file of codes: its bytes, and how many there are up to the end of each layer."""

    data: bytes
    sizes: list[int]


def encode_picture(
    network: PhotoNetwork, pixels: Pixels, quality: float | None = None
) -> PhotoCodes:
    """Gives the codes of a picture.

    Args:
        network: the encoder.
        pixels: the picture.
        quality: the PSNR that every region is to have, in decibels, with as few layers as it takes;
            by default, all regions have all layers.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
    tensor = tensor.to(network.entry.weight.device)
    coverage = None if quality is None else cover_evenly(network, tensor, quality)
    codes = encode(network, tensor, coverage).cpu().numpy()
    covered = None if coverage is None else coverage.cpu().numpy().astype(np.uint16)
    height, width = pixels.shape[:2]
    return PhotoCodes(codes, height, width, covered)


def decode_picture(network: PhotoNetwork, photo: PhotoCodes) -> Pixels:
    """Gives the picture of codes."""
    held = photo.coverage
    coverage = None if held is None else torch.from_numpy(held.astype(np.int64))
    codes = torch.from_numpy(photo.codes)
    decoded = decode(network, codes, photo.height, photo.width, coverage)
    pixels: Pixels = decoded[0].permute(1, 2, 0).numpy()
    return pixels


def pack_photo(photo: PhotoCodes, model: str = str(MODEL)) -> CodedFile:
    """Makes a file of codes.

    Args:
        photo: the codes.
        model: a model of nncodec: its name, its path, or "adaptive".

    Raises:
        NncodecError: there is no such model, or it does not fit.
    """
    named: dict[str, Any] = {f"{photo.width}x{photo.height}": photo.codes}
    if photo.coverage is not None:
        named["coverage"] = photo.coverage
    arrays = io.BytesIO()
    np.savez(arrays, **named)
    arrays.seek(0)
    file = read_code_file(arrays, axes="lnhwc")
    encoded = encode_source(
        file.marked,
        file.source,
        model=None if model == ADAPTIVE else load_model(model),
        threads=Threads(thread_count(None)),
    )
    return CodedFile(encoded.data, _sizes(len(encoded.data), encoded.header.layer_bytes()))


def read_photo(
    file: str | os.PathLike[str], layers: int | None = None, model: str | None = None
) -> tuple[PhotoCodes, list[int]]:
    """Reads a file of codes; of its bytes, only those of the first layers.

    Args:
        file: a path.
        layers: how many to read; all by default.
        model: the model that the file needs; by default the one that ships here, or is found.

    Returns:
        The codes, and how many bytes the file has up to the end of each of all its layers.

    Raises:
        NncodecError: it is no such file, damaged, or has fewer layers; the model is missing.
    """
    label = file_label(file)
    with naming(label), open(file, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        container = _read_container(stream, layers)
    header = container.header
    with naming(label):
        found = _find_model(container, model)
        marked = decode_container(container, model=found, threads=Threads(thread_count(None)))
    codes, coverage = split_absent(marked[:layers])
    arrays = io.BytesIO()
    write_marked(arrays, [marked[:layers]], header.source)
    height, width = _picture_size(arrays, header.shape, label)
    return PhotoCodes(codes, height, width, coverage), _sizes(size, header.layer_bytes())


def _read_container(stream: BinaryIO, layers: int | None) -> Container:
    try:
        return read_container(stream, layers=layers)
    except TruncatedError as error:
        whole = error.whole_layers
        if not whole:
            raise
        raise NncodecError(
            f"the file ends early, only {whole} of its layers are whole; decode --layers {whole} "
            "gives these, or get another copy"
        ) from error


def _find_model(container: Container, model: str | None) -> Model | None:
    if model is None and MODEL.is_file():
        shipped = load_model(MODEL)
        if shipped.model_id == container.header.model_id:
            return shipped
    return model_to_decode(container, model)


def _picture_size(arrays: io.BytesIO, shape: tuple[int, ...], label: str) -> tuple[int, int]:
    """Reads the height and the width off the name of the array."""
    arrays.seek(0)
    if zipfile.is_zipfile(arrays):
        for name in np.load(arrays):
            if match := re.fullmatch(r"(\d{1,6})x(\d{1,6})", name):
                width, height = int(match[1]), int(match[2])
                blocks = (1, -(-height // BLOCK), -(-width // BLOCK), LAYER_DEPTH)
                if blocks == shape[1:]:
                    return height, width
    raise NncodecError(f"{label}: holds no photograph; give what `photo.py encode` wrote")


def _sizes(size: int, layer_bytes: list[int]) -> list[int]:
    """Gives the bytes up to the end of each layer, of a file and of its layers."""
    return list(itertools.accumulate(layer_bytes, initial=size - sum(layer_bytes)))[1:]
