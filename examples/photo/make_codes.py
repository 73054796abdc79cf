"""Writes the codes of photographs, in many variants, to train a model of nncodec with.

    python examples/photo/make_codes.py --photos photos/train --output codes/train --variants 5

The first variant of a photograph is the photograph; the others are random pieces of it, at a random
scale, some flipped or turned.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # to run as a file

import click
import numpy as np
from PIL import Image

from examples.photo.network import WEIGHTS, load_network
from examples.photo.one_line import OneLineCommand
from examples.photo.photo_files import encode_picture
from examples.photo.pictures import list_photographs, read_picture
from examples.photo.quality import Pixels
from nncodec.commands.options import device_option
from nncodec.files.streams import file_label, naming
from nncodec.training.devices import find_device

SCALES = 0.6, 1.4
LARGEST = 480, 320
"""Pixels of a piece along its longer and its shorter side, at most."""


def variant(path: Path, number: int) -> Pixels:
    """Pixels uint8 [height, width, 3] of a variant, the same at each call."""
    image = Image.fromarray(read_picture(path))
    if number == 0:
        return np.asarray(image)
    chance = random.Random(f"{path.name} {number}")
    scale = chance.uniform(*SCALES)
    image = image.resize(
        (round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS
    )
    longer, shorter = LARGEST
    limits = LARGEST if image.width > image.height else (shorter, longer)
    width, height = (min(pair) for pair in zip(image.size, limits, strict=True))
    left, top = chance.randint(0, image.width - width), chance.randint(0, image.height - height)
    pixels = np.asarray(image)[top : top + height, left : left + width]
    if chance.random() < 0.5:
        pixels = pixels[:, ::-1]
    if chance.random() < 0.15:
        pixels = pixels.swapaxes(0, 1)
    return pixels


def make_variants(paths: list[Path], count: int) -> Iterator[tuple[str, Pixels]]:
    """Gives the names and pixels of all variants; some are made ahead."""
    jobs = [(path, number) for number in range(count) for path in paths]
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(jobs), 64):
            some = jobs[start : start + 64]
            for (path, number), pixels in zip(
                some, pool.map(variant, *zip(*some, strict=True)), strict=True
            ):
                yield f"v{number}_{path.stem}.npz", pixels


@click.command(cls=OneLineCommand)
@click.option("--photos", type=Path, required=True, help="A folder of photographs.")
@click.option("--output", type=Path, required=True, help="A folder for the code files.")
@click.option(
    "--variants", type=click.IntRange(min=1), default=5, show_default=True, help="Of each."
)
@click.option("--weights", type=Path, default=WEIGHTS, help="Of the encoder.")
@device_option
def main(photos: Path, output: Path, variants: int, weights: Path, device: str) -> None:
    """Writes the codes of the photographs in a folder, and of variants of them."""
    network = load_network(weights, find_device(device).type)
    paths = list_photographs(photos)
    with naming(file_label(output)):
        output.mkdir(parents=True, exist_ok=True)
    for name, pixels in make_variants(paths, variants):
        codes = encode_picture(network, pixels).codes
        np.savez_compressed(output / name, shape=np.array(codes.shape), codes=np.packbits(codes))
    click.echo(f"{output}: {len(paths) * variants} files")


if __name__ == "__main__":
    main()
