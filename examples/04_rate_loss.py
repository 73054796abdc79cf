"""Train a toy encoder on distortion + weight x rate, the rate as a network estimates it.

    python examples/04_rate_loss.py

The network learns to predict the bits, the encoder learns to write bits that it predicts: the
greater the weight of the rate, the fewer bits a code bit costs, and the coarser the pictures.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nncodec.training import make_network

LAYER_DEPTH, LAYERS, BLOCK, STEPS = 4, 2, 8, 60


def pictures(count: int) -> Tensor:
    """Smooth noise, [count, 1, 64, 64]."""
    noise = F.interpolate(torch.randn(count, 1, 16, 16), scale_factor=4.0, mode="bicubic")
    return noise + 0.1 * torch.randn_like(noise)


def train(weight: float) -> tuple[float, float]:
    """The rate, in bits a code bit, and the mean squared error that training ends with."""
    torch.manual_seed(0)
    depth = LAYERS * LAYER_DEPTH
    encoder = nn.Conv2d(1, depth, BLOCK, stride=BLOCK)
    decoder = nn.ConvTranspose2d(depth, 1, BLOCK, stride=BLOCK)
    network = make_network("progressive", {"layer_depth": LAYER_DEPTH, "layer_count": LAYERS})
    modules = nn.ModuleList((encoder, decoder, network))
    optimizer = torch.optim.Adam(modules.parameters(), lr=0.03)
    for _ in range(STEPS):
        images = pictures(8)
        codes = torch.tanh(encoder(images))
        signs = codes + (codes.sign() - codes).detach()  # gradients pass straight through
        distortion = F.mse_loss(decoder(signs), images)
        rate = network.code_length(codes.permute(0, 2, 3, 1)).sum() / codes.numel()
        optimizer.zero_grad()
        torch.autograd.backward(distortion + weight * rate)
        optimizer.step()
    return rate.item(), distortion.item()


if __name__ == "__main__":
    torch.set_num_threads(1)
    for weight in (0.001, 0.3, 1.0):
        rate, distortion = train(weight)
        print(f"weight {weight}: {rate:.3f} bits a code bit, distortion {distortion:.3f}")
