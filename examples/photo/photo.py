"""Sends a photograph through: to binary codes, which nncodec makes small, and back.

python examples/photo/photo.py encode photo.jpg photo.bin
python examples/photo/photo.py decode photo.bin out.png --layers 4
python examples/photo/photo.py strip photo.bin strip.png --original photo.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # to run as a file

import click
from PIL import Image

from examples.photo.network import LAYERS, WEIGHTS, PhotoNetwork, load_network
from examples.photo.photo_files import (
    MODEL,
    CodedFile,
    PhotoCodes,
    decode_picture,
    encode_picture,
    pack_photo,
    read_photo,
)
from examples.photo.pictures import check_picture, read_picture, write_picture
from examples.photo.quality import Pixels, psnr
from examples.photo.strip import decode_qualities, draw_strip, table_of
from nncodec import NncodecError
from nncodec.commands.terminal import Commands, print_text
from nncodec.files.streams import check_output, file_label, open_output

weights_option = click.option(
    "--weights", type=Path, default=WEIGHTS, help="Another encoder, of train_photo.py."
)
layers_option = click.option(
    "--layers", type=click.IntRange(1, LAYERS), metavar="N", help="Only the first N layers."
)
model_option = click.option("--model", metavar="MODEL", help="The model of nncodec.")
force_option = click.option("--force", is_flag=True, help="Replace the output if it exists.")


@click.group(cls=Commands)
def main() -> None:
    """Sends a photograph through an encoder, nncodec, and back."""


@main.command()
@click.argument("photo")
@click.argument("output")
@click.option("--target-psnr", type=float, metavar="DB", help="As few layers as reach it.")
@click.option(
    "--max-bytes", type=click.IntRange(min=1), metavar="N", help="As many layers as fit in a file."
)
@click.option(
    "--adaptive-quality",
    type=float,
    metavar="DB",
    help="As few layers for every region as reach it there, for one quality everywhere.",
)
@layers_option
@click.option("--model", default=str(MODEL), help="A model of nncodec; adaptive for none.")
@weights_option
@force_option
def encode(
    photo: str,
    output: str,
    target_psnr: float | None,
    max_bytes: int | None,
    adaptive_quality: float | None,
    layers: int | None,
    model: str,
    weights: Path,
    force: bool,
) -> None:
    """Encodes a photograph into OUTPUT, a container of nncodec."""
    check_output(output, force=force, source=photo)
    pixels, network = read_picture(photo), load_network(weights)
    coded = encode_picture(network, pixels, adaptive_quality).first(layers)
    note = ""
    if target_psnr is not None:
        coded, note = _reach(coded, target_psnr, pixels, network)
    data = _pack_within(coded, max_bytes, model, file_label(photo))
    with open_output(output, force=force) as file:
        file.write(data.data)
    size, coded = len(data.data), coded.first(len(data.sizes))
    print_text(
        f"{file_label(photo)}: {coded.width} x {coded.height} pixels, {coded.layers} layers{note}: "
        f"{-(-coded.bits // 8)} bytes of codes -> {size} bytes, "
        f"{8 * size / (coded.width * coded.height):.3f} bits a pixel"
    )


def _reach(
    photo: PhotoCodes, target: float, pixels: Pixels, network: PhotoNetwork
) -> tuple[PhotoCodes, str]:
    """Gives as few layers as reach a PSNR, and what is to be said of it."""
    reached = 0.0
    for layers in range(1, photo.layers + 1):
        first = photo.first(layers)
        reached = psnr(decode_picture(network, first), pixels)
        if reached >= target:
            return first, f" of {reached:.2f} dB"
    return photo, f" of {reached:.2f} dB, not {target:g}"


def _pack_within(photo: PhotoCodes, most: int | None, model: str, label: str) -> CodedFile:
    """Packs as many of the layers as fit into so many bytes."""
    coded = pack_photo(photo, model)
    while most is not None and len(coded.data) > most:
        # Fewer layers have a shorter header too, so that one more may fit than seems.
        fitting = sum(size <= most for size in coded.sizes[:-1])
        layers = min(fitting + 1, len(coded.sizes) - 1)
        if layers == 0:
            raise NncodecError(
                f"{label}: one layer takes {len(coded.data)} bytes, more than {most}; "
                "allow more, or make the picture smaller"
            )
        coded = pack_photo(photo.first(layers), model)
    return coded


@main.command()
@click.argument("file")
@click.argument("output")
@layers_option
@model_option
@weights_option
@force_option
def decode(
    file: str, output: str, layers: int | None, model: str | None, weights: Path, force: bool
) -> None:
    """Decodes FILE, or its first layers, of which alone it reads the bytes, into a picture."""
    check_picture(output, force=force)
    photo, _ = read_photo(file, layers, model)
    pixels = decode_picture(load_network(weights), photo)
    write_picture(output, Image.fromarray(pixels), force=force)


@main.command()
@click.argument("file")
@click.argument("output")
@click.option("--original", metavar="PHOTO", help="Says how near each picture is to this one.")
@click.option("--width", type=click.IntRange(min=16), metavar="N", help="Pixels of each picture.")
@model_option
@weights_option
@force_option
def strip(
    file: str,
    output: str,
    original: str | None,
    width: int | None,
    model: str | None,
    weights: Path,
    force: bool,
) -> None:
    """Draws the picture of FILE at each quality into OUTPUT, side by side, and prints a table."""
    check_picture(output, force=force)
    photo, sizes = read_photo(file, model=model)
    pixels = read_picture(original) if original else None
    if pixels is not None and pixels.shape[:2] != (photo.height, photo.width):
        height, other = pixels.shape[:2]
        raise NncodecError(
            f"{original}: has {other} x {height} pixels, the picture in {file_label(file)} has "
            f"{photo.width} x {photo.height}; give the photograph that was encoded"
        )
    qualities = decode_qualities(photo, sizes, load_network(weights), pixels)
    write_picture(output, draw_strip(qualities, pixels, width), force=force)
    print_text(table_of(qualities))


if __name__ == "__main__":
    main()
