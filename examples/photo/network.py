"""The encoder and the decoder: a photograph to progressive binary codes, and back.

    pixels ── analyse ── latent ── binarise ── layers of bits ── state ── synthesise ── pixels

After Toderici et al. (arXiv 1608.05148) every layer of bits refines what the layers before left;
what is refined is not the picture but its latent, so that encoder and decoder run once and not once
a layer. A layer takes the signs of some projections of what is left of the latent. How large the
steps are that its bits stand for, and which sign is taken where there is hardly anything left, is
read from the state, the sum of all steps before, which the decoder knows as well.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from nncodec import NncodecError
from nncodec.files.streams import file_label, naming

LAYERS, LAYER_DEPTH = 8, 32
BLOCK = 16
"""A position of the codes is a square of so many pixels a side."""

WEIGHTS = Path(__file__).with_name("weights.safetensors")

_QUARTER, _EIGHTH, _SIXTEENTH = 96, 128, 192  # numbers at a position, by the share of pixels a side
_LATENT, _CONTEXT = 128, 48


class Block(nn.Module):
    """Adds to its input what a narrower 3 x 3 convolution makes of it."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(width, inner, 1)
        self.around = nn.Conv2d(inner, inner, 3, padding=1)
        self.widen = nn.Conv2d(inner, width, 1)
        for parameter in self.widen.parameters():
            nn.init.zeros_(parameter)  # to begin with, nothing is added

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = F.relu(self.around(F.relu(self.narrow(inputs))))
        return inputs + self.widen(hidden)  # type: ignore[no-any-return]


def sign(inputs: Tensor) -> Tensor:
    """Gives -1 or +1; gradients pass as through tanh."""
    smooth = torch.tanh(inputs)
    return smooth + (torch.where(inputs > 0, 1.0, -1.0) - smooth).detach()


class PhotoNetwork(nn.Module):
    """Encoder and decoder. Pixels are float32 [batch, 3, height, width], 0 to 1.

    Height and width are multiples of BLOCK here; `pad` makes them so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.analysis = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, _QUARTER, 3, padding=1),
            Block(_QUARTER, 64),
            Block(_QUARTER, 64),
            nn.Conv2d(_QUARTER, _EIGHTH, 2, stride=2),
            Block(_EIGHTH, 96),
            nn.Conv2d(_EIGHTH, _SIXTEENTH, 2, stride=2),
            Block(_SIXTEENTH, 96),
            nn.Conv2d(_SIXTEENTH, _LATENT, 1),
        )
        self.context = nn.Conv2d(_LATENT, _CONTEXT, 3, padding=1)
        self.scales = _for_each_layer(_CONTEXT, 2 * LAYER_DEPTH)
        self.projections = _for_each_layer(_LATENT, LAYER_DEPTH)
        self.steps = _for_each_layer(LAYER_DEPTH, _LATENT, bias=False)
        self.quality = nn.Embedding(LAYERS, _SIXTEENTH)
        self.entry = nn.Conv2d(_LATENT, _SIXTEENTH, 1)
        self.synthesis = nn.Sequential(
            Block(_SIXTEENTH, 64),
            Block(_SIXTEENTH, 64),
            nn.Conv2d(_SIXTEENTH, 4 * _EIGHTH, 1),
            nn.PixelShuffle(2),
            Block(_EIGHTH, 96),
            Block(_EIGHTH, 96),
            nn.Conv2d(_EIGHTH, 4 * _QUARTER, 1),
            nn.PixelShuffle(2),
            Block(_QUARTER, 64),
            Block(_QUARTER, 64),
            Block(_QUARTER, 64),
            Block(_QUARTER, 64),
            nn.Conv2d(_QUARTER, 48, 3, padding=1),
            nn.PixelShuffle(4),
        )

    def analyse(self, pixels: Tensor) -> Tensor:
        """Gives the latent [batch, numbers, height / BLOCK, width / BLOCK]."""
        return self.analysis(pixels - 0.5)  # type: ignore[no-any-return]

    def binarise(
        self, latent: Tensor, coverage: Tensor | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Gives the bits of every layer, -1 or +1, and the state after each.

        Args:
            latent: what `analyse` gave.
            coverage: int64 [batch, height, width], how many layers each position has, all by
                default; bits beyond are 0, and change nothing.
        """
        layers: list[Tensor] = []
        states: list[Tensor] = []
        state = torch.zeros_like(latent)
        for layer, project in enumerate(self.projections):
            size, lean = self._size_and_lean(state, layer)
            bits = sign(project(latent - state) / size + lean)
            if coverage is not None:
                bits = bits * (coverage > layer)[:, None]
            state = state + self.steps[layer](bits * size)
            layers.append(bits)
            states.append(state)
        return layers, states

    def state(self, layers: list[Tensor]) -> Tensor:
        """Gives the state after some layers of bits, -1, +1 or 0: all that the decoder needs."""
        batch, _, height, width = layers[0].shape
        state = layers[0].new_zeros(batch, _LATENT, height, width)
        for layer, bits in enumerate(layers):
            size, _ = self._size_and_lean(state, layer)
            state = state + self.steps[layer](bits * size)
        return state

    def synthesise(self, state: Tensor, layer: Tensor) -> Tensor:
        """Gives pixels, near 0 to 1.

        Args:
            state: after some layers.
            layer: int64 [batch], or of each position [batch, height, width], the last of them.
        """
        quality = self.quality(layer.view(len(layer), 1, 1) if layer.ndim == 1 else layer)
        hidden = self.entry(state) + quality.permute(0, 3, 1, 2)
        return self.synthesis(hidden) + 0.5  # type: ignore[no-any-return]

    def _size_and_lean(self, state: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Gives how large the steps of a layer's bits are, and to which sign these tend."""
        size, lean = self.scales[layer](F.relu(self.context(state))).chunk(2, dim=1)
        return torch.exp(size.clamp(-8, 4)), lean


def _for_each_layer(inputs: int, outputs: int, bias: bool = True) -> nn.ModuleList:
    return nn.ModuleList(nn.Conv2d(inputs, outputs, 1, bias=bias) for _ in range(LAYERS))


def pad(pixels: Tensor) -> Tensor:
    """Repeats the last rows and columns until height and width are multiples of BLOCK."""
    height, width = pixels.shape[-2:]
    return F.pad(pixels, (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate")


@torch.inference_mode()
def encode(network: PhotoNetwork, pixels: Tensor, coverage: Tensor | None = None) -> Tensor:
    """Encodes pictures of any size.

    Args:
        network: the encoder.
        pixels: uint8 [batch, 3, height, width].
        coverage: int64 [batch, height, width] in blocks of BLOCK pixels, how many layers each
            position has; all by default. The codes are 0 beyond.

    Returns:
        Codes uint8 {0, 1}, [layers, batch, height, width, layer_depth] in blocks.
    """
    layers, _ = network.binarise(network.analyse(pad(pixels.float() / 255)), coverage)
    return (torch.stack(layers) > 0).permute(0, 1, 3, 4, 2).to(torch.uint8)


@torch.inference_mode()
def decode(
    network: PhotoNetwork, codes: Tensor, height: int, width: int, coverage: Tensor | None = None
) -> Tensor:
    """Decodes pictures from the first layers of their codes, as many as there are.

    Args:
        network: the decoder.
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth] in blocks of BLOCK pixels.
        height: of the pictures, in pixels.
        width: the same.
        coverage: as for `encode`.

    Returns:
        Pixels uint8 [batch, 3, height, width].
    """
    signs = codes.permute(0, 1, 4, 2, 3).to(network.entry.weight.dtype) * 2 - 1
    last = torch.full((codes.shape[1],), len(codes) - 1, device=codes.device)
    if coverage is not None:
        layers = torch.arange(len(codes), device=codes.device)
        signs = signs * (coverage > layers[:, None, None, None])[:, :, None]
        last = coverage.clamp(1, len(codes)) - 1
    pixels = network.synthesise(network.state(list(signs)), last)
    return (pixels[..., :height, :width] * 255).round().clamp(0, 255).to(torch.uint8)


@torch.inference_mode()
def cover_evenly(network: PhotoNetwork, pixels: Tensor, target: float) -> Tensor:
    """Chooses a coverage of one quality everywhere: fewer layers where a picture is smooth.

    Args:
        network: encoder and decoder.
        pixels: uint8 [batch, 3, height, width].
        target: the PSNR, in decibels, that each block and those around it have together, if all
            layers reach it.

    Returns:
        int64 [batch, height, width] in blocks of BLOCK pixels, how many layers each position has.
    """
    wanted = pad(pixels.float() / 255)
    _, states = network.binarise(network.analyse(wanted))
    coverage = wanted.new_ones(len(wanted), *states[0].shape[2:], dtype=torch.int64)
    for layer, state in enumerate(states[:-1]):
        decoded = network.synthesise(state, torch.full((len(wanted),), layer)).clamp(0, 1)
        errors = F.avg_pool2d((decoded - wanted).square().mean(dim=1, keepdim=True), BLOCK)
        around = F.avg_pool2d(errors, 3, stride=1, padding=1, count_include_pad=False)[:, 0]
        coverage += (coverage == layer + 1) & (around > 10 ** (-target / 10))
    return coverage


def save_network(network: PhotoNetwork, path: Path) -> None:
    """Writes the weights in float16."""
    weights = {
        name: weight.detach().half().cpu().contiguous()
        for name, weight in network.state_dict().items()
    }
    save_file(weights, path)


def load_network(path: Path = WEIGHTS, device: str = "cpu") -> PhotoNetwork:
    """Reads the weights of a file that `save_network` wrote; they compute in float32.

    Raises:
        NncodecError: there is no such file, or it holds other weights.
    """
    network = PhotoNetwork()
    with naming(file_label(path)):
        try:
            weights = load(path.read_bytes())
            network.load_state_dict({name: weight.float() for name, weight in weights.items()})
        except (SafetensorError, RuntimeError) as error:
            raise NncodecError(
                "is damaged, or of another encoder; give weights of train_photo.py"
            ) from error
    return network.to(device).eval()
