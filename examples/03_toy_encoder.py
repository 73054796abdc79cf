"""Where codes come from: a toy progressive encoder, and the file examples/codes.npz that it wrote.

    python examples/03_toy_encoder.py codes.npz

Every layer projects what the layers before left of each 16 x 16 block onto random directions and
keeps the signs, as a trained encoder keeps the signs of its last convolution.
"""

import sys

import numpy as np
import numpy.typing as npt

LAYERS, LAYER_DEPTH, BLOCK = 8, 32, 16
HEIGHT, WIDTH = 24, 32  # in blocks


def picture(random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Shapes over a texture of all scales, as photographs have, [height, width]."""
    y, x = np.mgrid[0 : HEIGHT * BLOCK, 0 : WIDTH * BLOCK] / (HEIGHT * BLOCK)
    frequency = np.hypot(np.fft.fftfreq(len(y))[:, None], np.fft.rfftfreq(y.shape[1])) + 0.002
    spectrum = np.fft.rfft2(random.normal(size=y.shape)) / frequency**1.2
    image = np.fft.irfft2(spectrum, s=y.shape)
    image /= image.std()
    for _ in range(40):
        center_y, center_x, radius = random.random(3) * (1, 1.4, 0.3)
        inside = np.hypot(y - center_y, x - center_x) < radius
        image[inside] += random.normal() * (0.5 + np.cos(9 * x[inside] * random.random()))
    return image


def encode(image: npt.NDArray[np.float64], random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The codes of a picture, uint8 {0, 1}, [layers, batch, height, width, layer_depth]."""
    blocks = image.reshape(HEIGHT, BLOCK, WIDTH, BLOCK).swapaxes(1, 2).reshape(-1, BLOCK**2)
    # Directions that follow the picture's own statistics, as training would find them.
    variances, directions = np.linalg.eigh(np.cov(blocks.T))
    residual, layers = blocks - blocks.mean(axis=0), []
    for _ in range(LAYERS):
        mixing = random.normal(size=(BLOCK**2, LAYER_DEPTH)) * np.sqrt(variances.clip(0))[:, None]
        projection = residual @ (directions @ mixing)
        bits = projection > 0
        layers.append(bits.reshape(1, HEIGHT, WIDTH, LAYER_DEPTH))
        signs = np.where(bits, 1.0, -1.0)
        residual = residual - signs @ np.linalg.lstsq(signs, residual, rcond=None)[0]
    return np.stack(layers).astype(np.uint8)


if __name__ == "__main__":
    generator = np.random.default_rng(7)
    codes = encode(picture(generator), generator)
    np.savez_compressed(sys.argv[1], shape=np.array(codes.shape), codes=np.packbits(codes))
    print(f"wrote {sys.argv[1]}: {codes.size} bits, {' x '.join(map(str, codes.shape))}")
