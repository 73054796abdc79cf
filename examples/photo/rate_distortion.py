"""Bits a pixel against PSNR and MS-SSIM, over a folder of photographs: a table and a plot.

    python examples/photo/rate_distortion.py photos/validation --plot rate-distortion.png

The encoder's codes as they are, through nncodec with nothing trained, and through nncodec with the
model that ships; beside them JPEG and WebP, as Pillow writes them. Means over all photographs.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # to run as a file

import click
import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from benchmarks.common import new_figure, plot_option, save_figure, table
from examples.photo.network import WEIGHTS, PhotoNetwork, load_network
from examples.photo.one_line import OneLineCommand
from examples.photo.photo_files import (
    MODEL,
    decode_picture,
    encode_picture,
    pack_photo,
)
from examples.photo.pictures import list_photographs, read_picture
from examples.photo.quality import Pixels, ms_ssim, psnr
from nncodec.files.model_files import ADAPTIVE

CODECS = {"JPEG": (5, 10, 20, 35, 50, 70, 85), "WebP": (0, 10, 25, 40, 60, 80)}
"""Codecs of Pillow, and the qualities that are tried."""

COVERED, QUALITIES = "nncodec, trained, with coverage", (22, 24, 26, 28, 30)
"""Codes whose positions end early, and the qualities in decibels that are asked for."""

STORED = ("codes as they are", "nncodec, adaptive", "nncodec, trained")

Curve = npt.NDArray[np.float64]
"""Bits a pixel, PSNR and MS-SSIM, [points, 3]."""


def curves_of_codes(pixels: Pixels, network: PhotoNetwork, model: str) -> dict[str, Curve]:
    """Gives the curve of each way to store the codes of a photograph, by layers."""
    photo = encode_picture(network, pixels)
    firsts = [photo.first(layers) for layers in range(1, photo.layers + 1)]
    near = np.array([_near(decode_picture(network, first), pixels) for first in firsts])
    sizes = (
        [first.bits / 8 for first in firsts],
        pack_photo(photo, ADAPTIVE).sizes,
        pack_photo(photo, model).sizes,
    )
    area = photo.height * photo.width
    return {
        name: np.column_stack((8 * np.array(bytes_) / area, near))
        for name, bytes_ in zip(STORED, sizes, strict=True)
    }


def curve_with_coverage(pixels: Pixels, network: PhotoNetwork, model: str) -> Curve:
    """Gives the curve of a photograph whose regions all have one quality, by QUALITIES."""
    points = []
    for quality in QUALITIES:
        photo = encode_picture(network, pixels, quality)
        bits = 8 * len(pack_photo(photo, model).data) / (photo.height * photo.width)
        points.append((bits, *_near(decode_picture(network, photo), pixels)))
    return np.array(points)


def _near(decoded: Pixels, pixels: Pixels) -> tuple[float, float]:
    return psnr(decoded, pixels), ms_ssim(decoded, pixels)


def curve_of_codec(pixels: Pixels, name: str) -> Curve:
    """Gives the curve of a photograph under a codec of Pillow, by its qualities."""
    points = []
    for quality in CODECS[name]:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, name, quality=quality)
        bits = 8 * file.tell() / (pixels.shape[0] * pixels.shape[1])
        decoded = np.asarray(Image.open(file).convert("RGB"))
        points.append((bits, *_near(decoded, pixels)))
    return np.array(points)


def print_tables(curves: dict[str, Curve]) -> None:
    """Prints what the layers cost in each way, and the points of the codecs."""
    stored = np.column_stack([curves[name][:, 0] for name in STORED])
    rows = [
        [str(layers), *(f"{bits:.3f}" for bits in costs), f"{near[1]:.2f}", f"{near[2]:.4f}"]
        for layers, (costs, near) in enumerate(zip(stored, curves[STORED[0]], strict=True), 1)
    ]
    click.echo(table(("layers", *STORED, "PSNR", "MS-SSIM"), rows))
    for name, qualities in {COVERED: QUALITIES, **CODECS}.items():
        rows = [
            [str(quality), f"{bits:.3f}", f"{decibels:.2f}", f"{similarity:.4f}"]
            for quality, (bits, decibels, similarity) in zip(qualities, curves[name], strict=True)
        ]
        click.echo("\n" + table((f"{name}: quality", "bits a pixel", "PSNR", "MS-SSIM"), rows))


def draw(curves: dict[str, Curve], path: Path) -> None:
    """Draws PSNR and MS-SSIM over bits a pixel, and what nncodec saves between the curves."""
    figure = new_figure(10, 4.2)
    styles = {
        STORED[0]: "k--",
        STORED[1]: "C0.-",
        STORED[2]: "C3o-",
        COVERED: "C0s:",
        "JPEG": "C7-",
        "WebP": "C8-",
    }
    for column, title in enumerate(("PSNR, dB", "MS-SSIM"), 1):
        axes = figure.add_subplot(1, 2, column)
        for name, curve in curves.items():
            axes.plot(curve[:, 0], curve[:, column], styles[name], markersize=4, label=name)
        axes.set_xlim(0, 1.25)
        axes.set_xlabel("bits a pixel")
        axes.set_ylabel(title)
        axes.grid(alpha=0.3)
        axes.legend()
    save_figure(figure, path)


@click.command(cls=OneLineCommand)
@click.argument("folder", type=Path)
@click.option("--model", default=str(MODEL), help="The model of nncodec.")
@click.option("--weights", type=Path, default=WEIGHTS, help="Of the encoder.")
@plot_option
def main(folder: Path, model: str, weights: Path, plot_path: Path | None) -> None:
    """Prints bits a pixel, PSNR and MS-SSIM of the photographs in FOLDER, and draws them."""
    paths = list_photographs(folder)
    found: dict[str, list[Curve]] = {}
    network = load_network(weights)
    for path in tqdm(paths, disable=None, unit="photograph"):
        pixels = read_picture(path)
        curves = curves_of_codes(pixels, network, model)
        curves[COVERED] = curve_with_coverage(pixels, network, model)
        curves |= {name: curve_of_codec(pixels, name) for name in CODECS}
        for name, curve in curves.items():
            found.setdefault(name, []).append(curve)
    means = {name: np.mean(curves, axis=0) for name, curves in found.items()}
    click.echo(f"bits a pixel, means over {len(paths)} photographs")
    print_tables(means)
    if plot_path:
        draw(means, plot_path)


if __name__ == "__main__":
    main()
