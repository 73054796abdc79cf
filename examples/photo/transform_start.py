"""What the training of the encoder starts from: a transform coder, made of principal components.

Between their blocks, encoder and decoder are linear, and a block adds nothing to begin with. So
their weights can be such that the latent is the principal components of 16 x 16 pixels, made of
those of 8 x 8, and that the decoder turns it back. The bits of a layer are the signs of the 32
numbers of which most is left. A training from random weights takes long to come so far.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from examples.photo.network import LAYER_DEPTH, LAYERS, PhotoNetwork


@torch.no_grad()
def start_as_transform(network: PhotoNetwork, pieces: Tensor) -> None:
    """Sets the weights of a network of random ones.

    Args:
        network: which is changed.
        pieces: of photographs, float32 [batch, 3, height, width], 0 to 1.
    """
    first, halve, halve_again, latent = _convolutions(network.analysis)
    double_again, double, last = _convolutions(network.synthesis)
    for convolution in (first, latent, network.entry, last):
        _pass_on(convolution)
    nn.init.zeros_(network.quality.weight)
    features = F.pixel_unshuffle(pieces - 0.5, 4)
    features = _take_components(features, halve, double)
    features = _take_components(features, halve_again, double_again)
    _take_signs(network, features[:, : latent.out_channels])


def _convolutions(sequence: nn.Sequential) -> list[nn.Conv2d]:
    return [module for module in sequence if isinstance(module, nn.Conv2d)]


def _pass_on(convolution: nn.Conv2d) -> None:
    """Makes a convolution give its inputs, as many as it has outputs for, and little else."""
    weight = convolution.weight
    shared = min(weight.shape[:2])
    middle = weight.shape[2] // 2
    weight *= 0.1
    weight[:shared, :shared] = 0
    weight[:shared, :shared, middle, middle] = torch.eye(shared, device=weight.device)
    nn.init.zeros_(convolution.get_parameter("bias"))


def _take_components(features: Tensor, halve: nn.Conv2d, double: nn.Conv2d) -> Tensor:
    """Makes a convolution take the components of 2 x 2 features, and another one turn them back.

    Returns:
        The components, [batch, outputs of `halve`, height / 2, width / 2].
    """
    channels = features.shape[1]
    patches = F.unfold(features, 2, stride=2).transpose(1, 2).flatten(0, 1)
    count = halve.out_channels
    directions = torch.linalg.eigh(patches.T @ patches).eigenvectors.flip(1)[:, :count].T
    halve.weight *= 0.1
    halve.weight[:, :channels] = directions.reshape(count, channels, 2, 2)
    double.weight[: 4 * channels] = directions.T[:, :, None, None]
    for convolution in (halve, double):
        nn.init.zeros_(convolution.get_parameter("bias"))
    return F.conv2d(features, halve.weight[:, :channels], stride=2)


def _take_signs(network: PhotoNetwork, latent: Tensor) -> None:
    """Gives every layer the signs of the numbers of which most is left, and their mean as step."""
    left = latent.clone()
    for layer in range(LAYERS):
        chosen = left.square().mean(dim=(0, 2, 3)).topk(LAYER_DEPTH).indices
        size = left[:, chosen].abs().mean(dim=(0, 2, 3))
        left[:, chosen] -= torch.where(left[:, chosen] > 0, 1.0, -1.0) * size[:, None, None]
        directions = torch.eye(latent.shape[1], device=latent.device)[chosen]
        project, step, scale = (
            modules[layer] for modules in (network.projections, network.steps, network.scales)
        )
        project.get_parameter("weight").copy_(directions[:, :, None, None])
        project.get_parameter("bias").zero_()
        step.get_parameter("weight").copy_(directions.T[:, :, None, None])
        scale.get_parameter("weight").mul_(0.1)
        scale.get_parameter("bias").zero_()[:LAYER_DEPTH].copy_(size.log())
