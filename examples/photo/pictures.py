"""Pictures: read from files, and written to them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from examples.photo.quality import Pixels
from nncodec import NncodecError
from nncodec.files.streams import check_output, file_label, naming, open_output

MAX_PIXELS = 50_000_000
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""Of the files that are photographs, where a folder of them is asked for."""


def list_photographs(folder: Path) -> list[Path]:
    """Lists the photographs in a folder, by name.

    Raises:
        NncodecError: there is no such folder, or no photograph in it.
    """
    with naming(file_label(folder)):
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise NncodecError(f"{file_label(folder)}: holds no photograph; name a folder that does")
    return found


def read_picture(file: str | os.PathLike[str]) -> Pixels:
    """Reads a picture as it is meant to be seen, [height, width, 3].

    Raises:
        NncodecError: it is no picture, damaged, or too large.
    """
    label = file_label(file)
    with naming(label), open(file, "rb") as stream:
        try:
            with Image.open(stream) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise NncodecError(
                        f"{label}: {image.width} x {image.height} pixels are more than "
                        f"{MAX_PIXELS:,}; make the picture smaller"
                    )
                return np.array(ImageOps.exif_transpose(image).convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise NncodecError(
                f"{label}: is no picture that Pillow reads, or is damaged; give a JPEG, PNG or WebP"
            ) from error


def check_picture(name: str, *, force: bool) -> None:
    """Refuses the name of a picture to be written, before the work for it is done.

    Raises:
        NncodecError: there is no such kind of picture, or the file exists and not `force`.
    """
    if _picture_format(name) not in Image.SAVE:
        raise NncodecError(f"{file_label(name)}: no kind of picture; name a .png, .jpg or .webp")
    check_output(name, force=force)


def write_picture(name: str, image: Image.Image, *, force: bool) -> None:
    """Writes a picture in the format that its suffix says."""
    with open_output(name, force=force) as stream:
        image.save(stream, _picture_format(name), quality=90)


def _picture_format(name: str) -> str | None:
    return Image.registered_extensions().get(Path(name).suffix.lower())
