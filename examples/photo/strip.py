"""A picture at each quality: a table, and all of them side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from examples.photo.network import PhotoNetwork
from examples.photo.photo_files import PhotoCodes, decode_picture
from examples.photo.quality import Pixels, ms_ssim, psnr

_GAP, _LINE = 8, 16  # pixels


@dataclass(frozen=True, eq=False)
class Quality:
    """A picture of some first layers.

    Attributes:
        layers: how many.
        pixels: of the picture.
        raw: code bits of these layers for each pixel.
        bits: of the file up to their end, for each pixel.
        psnr: in decibels, where the original is known; otherwise nan.
        ms_ssim: likewise.
    """

    layers: int
    pixels: Pixels
    raw: float
    bits: float
    psnr: float = math.nan
    ms_ssim: float = math.nan


def decode_qualities(
    photo: PhotoCodes, sizes: list[int], network: PhotoNetwork, original: Pixels | None = None
) -> list[Quality]:
    """Decodes the picture at each of its qualities, and compares it with the original."""
    qualities = []
    area = photo.height * photo.width
    for layers, size in zip(range(1, photo.layers + 1), sizes, strict=False):
        first = photo.first(layers)
        pixels = decode_picture(network, first)
        near = () if original is None else (psnr(pixels, original), ms_ssim(pixels, original))
        qualities.append(Quality(layers, pixels, first.bits / area, 8 * size / area, *near))
    return qualities


def table_of(qualities: Sequence[Quality]) -> str:
    """Lines that say of each quality what it costs, and how near it is to the original."""
    lines = ["layers  raw bits a pixel  bits a pixel   PSNR  MS-SSIM"]
    for one in qualities:
        near = f"{_number(one.psnr, 2):>6}  {_number(one.ms_ssim, 4):>7}"
        lines.append(f"{one.layers:>6}  {one.raw:>16.3f}  {one.bits:>12.3f}  {near}")
    return "\n".join(lines)


def draw_strip(
    qualities: Sequence[Quality], original: Pixels | None = None, width: int | None = None
) -> Image.Image:
    """Draws pictures in rows, each with what it costs below it.

    Args:
        qualities: the pictures.
        original: comes last, if there is one.
        width: pixels of each picture, as many as it has by default.
    """
    pictures = [Image.fromarray(one.pixels) for one in qualities]
    labels = [_label(one) for one in qualities]
    if original is not None:
        pictures.append(Image.fromarray(original))
        labels.append("the photograph")
    if width:
        height = max(1, round(pictures[0].height * width / pictures[0].width))
        pictures = [one.resize((width, height), Image.Resampling.LANCZOS) for one in pictures]
    width, height = pictures[0].width + _GAP, pictures[0].height + _GAP + 2 * _LINE
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    strip = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), "white")
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(_LINE - 4)
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left, top = _GAP + index % columns * width, _GAP + index // columns * height
        strip.paste(picture, (left, top))
        draw.text((left, top + picture.height + 2), label, fill="black", font=font)
    return strip


def _label(quality: Quality) -> str:
    layers = "1 layer" if quality.layers == 1 else f"{quality.layers} layers"
    label = f"{layers}: {quality.raw:.3f} -> {quality.bits:.3f} bits a pixel"
    if math.isnan(quality.psnr):
        return label
    return f"{label}\n{quality.psnr:.2f} dB, MS-SSIM {_number(quality.ms_ssim, 4)}"


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
