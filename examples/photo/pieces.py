"""Random pieces of photographs, to train with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from examples.photo.pictures import list_photographs, read_picture
from examples.photo.quality import Pixels
from nncodec import NncodecError

SCALES = (1.25, 1.0, 0.75, 0.55)
"""Every photograph is there at each of these."""


class Photographs:
    """Pixels of all photographs at all scales, uint8, on the device that trains.

    Args:
        folder: of the photographs.
        crop: pixels of a piece, along each side.
        device: where they are kept.

    Raises:
        NncodecError: there are no photographs, or all are too small.
    """

    def __init__(self, folder: Path, crop: int, device: str) -> None:
        with ThreadPoolExecutor() as pool:
            pictures = [one for many in pool.map(_scaled, list_photographs(folder)) for one in many]
        pictures = [one for one in pictures if min(one.shape[:2]) >= crop]
        if not pictures:
            raise NncodecError(f"{folder}: no photograph has {crop} x {crop} pixels; give larger")
        sizes = torch.tensor([one.shape[:2] for one in pictures])
        areas = sizes.prod(dim=1)
        self.pixels = torch.from_numpy(np.concatenate([one.reshape(-1, 3) for one in pictures]))
        self.pixels = self.pixels.to(device)
        self.sizes = sizes.to(device)
        self.starts = (areas.cumsum(0) - areas).to(device)
        self.crop = crop

    def batch(self, count: int) -> Tensor:
        """Random pieces, float32 [count, 3, crop, crop], 0 to 1."""
        device = self.pixels.device
        which = torch.randint(len(self.sizes), (count,), device=device)
        height, width = self.sizes[which].unbind(1)
        place = torch.rand(3, count, device=device)
        along = torch.arange(self.crop, device=device)
        rows = _random_start(height - self.crop, place[0])[:, None] + along
        columns = _random_start(width - self.crop, place[1])[:, None] + along
        columns = torch.where(place[2, :, None] < 0.5, columns, columns.flip(1))
        index = (self.starts[which, None] + rows * width[:, None])[:, :, None] + columns[:, None]
        pieces = self.pixels[index]  # [count, crop, crop, 3]
        turned = count // 5
        pieces = torch.cat((pieces[:turned].transpose(1, 2), pieces[turned:]))
        return pieces.permute(0, 3, 1, 2).float() / 255


def _random_start(last: Tensor, share: Tensor) -> Tensor:
    """A whole number from 0 to the last, int64, by a random share from 0 to below 1."""
    return ((last + 1) * share).long().minimum(last)


def _scaled(path: Path) -> list[Pixels]:
    image = Image.fromarray(read_picture(path))
    sizes = [(round(image.width * scale), round(image.height * scale)) for scale in SCALES]
    return [np.asarray(image.resize(size, Image.Resampling.LANCZOS)) for size in sizes]
