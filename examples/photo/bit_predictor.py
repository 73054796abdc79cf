"""What bits cost while the encoder is trained: a small network that predicts them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from examples.photo.network import LAYER_DEPTH, LAYERS


class BitPredictor(nn.Module):
    """Predicts every bit from bits before it: of its position, and of 3 x 3 positions."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        bits = LAYERS * LAYER_DEPTH
        self.near = nn.Conv2d(bits, LAYERS * hidden, 3, padding=1)
        self.here = nn.Conv2d(bits, bits, 1)
        self.logits = nn.Conv2d(LAYERS * hidden, bits, 1, groups=LAYERS)
        layer = torch.arange(bits) // LAYER_DEPTH
        target = torch.arange(LAYERS).repeat_interleave(hidden)
        known = torch.zeros(LAYERS * hidden, bits, 3, 3)
        known[layer[None] < target[:, None]] = 1
        before = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 0, 0]])
        known[layer[None] == target[:, None]] = before
        self.register_buffer("known_near", known)
        self.register_buffer("known_here", torch.ones(bits, bits).tril(-1)[:, :, None, None])
        self.known_near: Tensor
        self.known_here: Tensor
        nn.init.zeros_(self.here.weight)

    def forward(self, bits: Tensor) -> Tensor:
        """The rates [layers] of bits -1 and +1, [batch, layers x layer_depth, height, width]."""
        rates = self.lengths(bits).mean(dim=(0, 2, 3))
        return rates.view(LAYERS, LAYER_DEPTH).mean(dim=1)

    def lengths(self, bits: Tensor) -> Tensor:
        """The code length of every bit, in bits."""
        near = F.conv2d(bits, self.near.weight * self.known_near, self.near.bias, padding=1)
        here = F.conv2d(bits, self.here.weight * self.known_here, self.here.bias)
        return F.softplus(-bits * (here + self.logits(F.relu(near)))) / math.log(2)
