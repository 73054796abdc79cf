"""Draws the photograph that ships, scene.jpg: a lake in the evening, with mountains and a house.

    python examples/photo/draw_scene.py scene.jpg

It has what photographs have: smooth gradients, textures of all scales, sharp edges, and noise.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Field = npt.NDArray[np.float64]
"""Numbers for every pixel, [height, width] or [height, width, 3]."""

WIDTH, HEIGHT = 480, 320
SHORE = 205  # the row where water begins
SCALE = 3  # edges are drawn so much larger, and become smooth when made smaller


def noise(random: np.random.Generator, smoothness: float, stretch: float = 1.0) -> Field:
    """Noise of all scales with mean 0 and deviation 1; it lies in rows if stretch is below 1."""
    rows = np.fft.fftfreq(HEIGHT)[:, None] * stretch
    frequency = np.hypot(rows, np.fft.rfftfreq(WIDTH)) + 0.002
    spectrum = np.fft.rfft2(random.normal(size=(HEIGHT, WIDTH))) / frequency**smoothness
    field = np.fft.irfft2(spectrum, s=(HEIGHT, WIDTH))
    scaled: Field = (field - field.mean()) / field.std()
    return scaled


def color(red: int, green: int, blue: int) -> Field:
    return np.array([red, green, blue]) / 255


def blend(below: Field, above: Field, share: Field) -> Field:
    """Lays one picture over another, with an opacity for every pixel."""
    share = share.clip(0, 1)[..., None]
    return below * (1 - share) + above * share


def gradient(rows: Field, stops: Sequence[tuple[float, Field]]) -> Field:
    places, colors = zip(*stops, strict=True)
    channels = [np.interp(rows, places, [one[i] for one in colors]) for i in range(3)]
    return np.stack(channels, axis=-1)


def land(random: np.random.Generator, y: Field, x: Field) -> Field:
    """Sky, sun, clouds, and three ranges of mountains, the farther the paler."""
    evening = [(0, color(52, 84, 140)), (110, color(148, 164, 190)), (SHORE, color(250, 206, 150))]
    picture = gradient(y, evening)
    sun = np.hypot(y - 118, x - 335)
    picture = picture + np.exp(-sun / 60)[..., None] * color(120, 70, 20)
    picture = blend(picture, color(255, 246, 216) + 0 * picture, 14 - sun)
    clouds = noise(random, 1.8, stretch=0.3)
    lit = color(255, 226, 200) - 0.1 * noise(random, 1.5, stretch=0.4)[..., None]
    picture = blend(picture, lit, (clouds - 0.35) * 0.9 * np.exp(-(((y - 60) / 55) ** 2)))
    ranges = ((132, 24, 2.3, color(128, 136, 160)), (160, 15, 2.1, color(88, 100, 112)))
    for base, height, smoothness, tone in (*ranges, (188, 9, 1.8, color(40, 60, 44))):
        ridge = base - height * noise(random, smoothness)[0] - 14 * np.cos(x[0] / 75 + base)
        slope = noise(random, 1.2) + 0.8 * np.gradient(ridge)[None] * np.exp((ridge - y) / 14)
        relief = tone * (1 + 0.16 * slope[..., None])
        haze = ((y - ridge) / 110).clip(0, 0.5)[..., None]
        picture = blend(picture, relief * (1 - haze) + color(214, 190, 170) * haze, y - ridge + 0.5)
    return picture


def house(picture: Field) -> Field:
    """A house with lit windows on the shore, and a boat house."""
    image = Image.new("RGBA", (WIDTH * SCALE, HEIGHT * SCALE))
    draw = ImageDraw.Draw(image)

    def polygon(points: Sequence[tuple[float, float]], fill: tuple[int, int, int]) -> None:
        draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=(*fill, 255))

    def box(left: float, top: float, right: float, low: float, fill: tuple[int, int, int]) -> None:
        polygon([(left, top), (right, top), (right, low), (left, low)], fill)

    box(92, 172, 150, SHORE + 1, (172, 66, 50))
    box(150, 172, 172, SHORE + 1, (120, 44, 36))
    polygon([(86, 174), (104, 148), (160, 148), (178, 174), (150, 174)], (62, 54, 60))
    box(140, 140, 148, 156, (110, 70, 60))
    for left in (99, 115, 131):
        box(left, 180, left + 9, 192, (240, 232, 220))
        box(left + 1, 181, left + 8, 191, (255, 214, 120))
        box(left + 4, 181, left + 5, 191, (240, 232, 220))
    box(155, 184, 166, SHORE + 1, (60, 40, 34))
    box(178, 192, 206, SHORE + 1, (96, 84, 74))
    polygon([(175, 193), (192, 181), (209, 193)], (52, 46, 48))
    small = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    pixels = np.asarray(small) / 255
    return blend(picture, pixels[..., :3], pixels[..., 3])


def trees(random: np.random.Generator, picture: Field, base: int, sizes: range) -> Field:
    """Firs along a shore, as a texture of strokes."""
    image = Image.new("RGBA", (WIDTH * SCALE, HEIGHT * SCALE))
    draw = ImageDraw.Draw(image)
    for left in range(-4, WIDTH, 5):
        if 60 < left < 232 or random.random() < 0.15:
            continue
        x, size = left + random.uniform(-3, 3), int(random.integers(sizes.start, sizes.stop))
        for row in range(size * SCALE):
            half = (row / 3.2 + 2 * SCALE * (row % 7) / 7) * 0.9 * random.uniform(0.6, 1.1)
            shade = int(random.integers(-9, 10))
            fill = (26 + shade, 44 + shade, 30 + shade, 255)
            y = (base - size) * SCALE + row
            draw.line([(x * SCALE - half, y), (x * SCALE + half, y)], fill=fill)
    pixels = np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)) / 255
    return blend(picture, pixels[..., :3], pixels[..., 3])


def water(random: np.random.Generator, picture: Field, y: Field, x: Field) -> Field:
    """The lake: what is above the shore, upside down, darker and in waves."""
    depth = (y - SHORE).clip(0)
    waves = noise(random, 1.2, stretch=0.25) * (0.3 + depth / 22)
    rows = (SHORE - 1 - depth * 1.35 + waves).clip(0, SHORE - 1).astype(int)
    columns = (x + 0.6 * waves).round().clip(0, WIDTH - 1).astype(int)
    mirrored = picture[rows, columns] * color(200, 214, 226) + 0.02 * waves[..., None]
    return blend(picture, mirrored, y - SHORE + 0.5)


def meadow(random: np.random.Generator, picture: Field, y: Field, x: Field) -> Field:
    """Grass and flowers in the foreground."""
    edge = 282 + 9 * np.sin(x[0] / 58) - 22 * (x[0] / WIDTH - 0.3) + 2 * noise(random, 1.0)[0]
    blades = noise(random, 0.6, stretch=0.3)
    ground = color(82, 104, 48) * (1 + 0.3 * blades[..., None] + 0.004 * (edge - y)[..., None])
    picture = blend(picture, ground, y - edge + 2.5 * blades)
    flowers = np.zeros((HEIGHT, WIDTH))
    for row, column in zip(
        random.integers(280, HEIGHT, 160), random.integers(0, WIDTH, 160), strict=True
    ):
        if row > edge[column] + 4:
            flowers[row - 1 : row + 1, column - 1 : column + 1] = 1
    return blend(picture, color(240, 214, 90) + 0 * picture, 0.9 * flowers)


def draw_scene() -> Image.Image:
    """Draws the picture, the same each time."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    picture = house(trees(random, land(random, y, x), SHORE, range(14, 40)))
    picture = meadow(random, water(random, picture, y, x), y, x)
    picture = picture + 0.008 * random.normal(size=picture.shape)  # of a sensor
    image = Image.fromarray((picture.clip(0, 1) * 255).round().astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(0.4))


if __name__ == "__main__":
    draw_scene().save(sys.argv[1], quality=92)
