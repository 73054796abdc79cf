"""The shallow network: a hidden layer beside the adaptive stage, for few codes.

    neighbours, layers before ─┬─ shared weights ── scale, shift (of the layer) ── tanh ── logits
    bits of lower channels ────┘

The hidden units of a channel see the bits of lower channels, a channel is predicted from its own
units and those of lower ones (Germain et al., arXiv 1502.03509). All layers share the weights of
what is seen, which few codes can teach. What bits say linearly is the adaptive stage's to find: its
weights go on learning while it codes, and a network beside it would only say the same.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nncodec.model.contexts import MARGIN
from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.model.network.operations import Tap
from nncodec.training.configs import ModelConfig
from nncodec.training.networks.network import Network, present_before
from nncodec.training.networks.quantising import Builder, rounded


class ShallowConfig(ModelConfig):
    """The configuration of a shallow network.

    Attributes:
        units: hidden units for each channel.
        reach: rows above, and columns to either side, that are seen of the bit's own layer.
        earlier_layers: how many layers before are seen at the position; of the last of them also
            the four positions next to it.
    """

    units: Annotated[int, Field(ge=1, le=64)] = 2
    reach: Annotated[int, Field(ge=1, le=MARGIN)] = 1
    earlier_layers: Annotated[int, Field(ge=0, le=64)] = 3

    @property
    def taps(self) -> list[Tap]:
        """What is seen, but for the bits of the position."""
        aside = range(-self.reach, self.reach + 1)
        taps = [Tap(0, 0, 0, 0, right) for right in range(-self.reach, 0)]
        taps += [Tap(0, 0, 0, down, right) for down in range(-self.reach, 0) for right in aside]
        if self.earlier_layers:
            beside = [(-1, 0), (0, -1), (0, 1), (1, 0)]
            taps += [Tap(0, 0, 1, down, right) for down, right in beside]
        taps += [Tap(0, 0, back, 0, 0) for back in range(1, self.earlier_layers + 1)]
        return taps

    @property
    def places(self) -> list[tuple[int, int]]:
        """(Rows down, columns right) of all taps, each once, without the position itself."""
        return sorted({(tap.down, tap.right) for tap in self.taps} - {(0, 0)})


class Shallow(Network):
    """The shallow network."""

    config: ShallowConfig

    def __init__(self, config: ShallowConfig) -> None:
        super().__init__(config)
        layers, channels = config.layer_count, config.layer_depth
        units = config.units * channels
        inputs = len(config.taps) * channels + len(config.places)
        channel, of_unit = torch.arange(channels), torch.arange(units) // config.units
        seen = torch.cat([torch.ones(units, inputs), (channel < of_unit[:, None]).float()], 1)
        self.register_buffer("_seen", seen, persistent=False)
        lower = (of_unit <= channel[:, None]).float()
        self.register_buffer("_lower", lower, persistent=False)
        counts = seen.sum(dim=1, keepdim=True).clamp(min=1)
        self.weights = nn.Parameter(torch.randn_like(seen) / counts.sqrt())
        self.scale = nn.Parameter(torch.ones(layers, units))
        self.shift = nn.Parameter(torch.zeros(layers, units))
        self.output = nn.Parameter(torch.zeros(layers, channels, units))  # silent at first
        self.bias = nn.Parameter(torch.zeros(layers, channels))

    _seen: Tensor
    _lower: Tensor

    def predict(
        self, layers: Tensor, present: Tensor | None = None, frame_before: Tensor | None = None
    ) -> Tensor:
        count = len(layers)
        inputs = self._inputs(layers, present).flatten(1, 3)
        sums = inputs @ rounded(self.weights * self._seen, 1).T
        units = torch.tanh(sums * self.scale[:count, None] + self.shift[:count, None])
        output = rounded(self.output * self._lower, 2)[:count]
        return torch.baddbmm(self.bias[:count, None], units, output.mT).view(layers.shape)

    def quantise(self) -> IntegerNetwork:
        config = self.config
        weights, channels = self.weights * self._seen, config.layer_depth
        inputs = weights.shape[1] - channels
        builder = Builder(config.layer_count, channels)
        inside = builder.convolve(
            [], weights.new_zeros(1, 0), weights.new_ones(config.layer_count, 1), "linear"
        )
        flags = [Tap(inside, 0, 0, down, right) for down, right in config.places]
        builder.head(
            [*config.taps, *flags],
            unit=weights[:, :inputs],
            unit_lower=weights[:, inputs:],
            unit_scale=self.scale,
            unit_bias=self.shift,
            direct=weights.new_zeros(channels, inputs),
            output=self.output * self._lower,
            bias=self.bias,
            activation="tanh",
        )
        return builder.network()

    def _inputs(self, layers: Tensor, present: Tensor | None) -> Tensor:
        """Gathers all inputs: [layers, batch, height, width, inputs].

        They are the bits at all taps, whether each place is inside of the picture and has the layer
        before, and the bits of the position.
        """
        count, batch, height, width, _ = layers.shape
        margin, back = max(self.config.reach, 1), self.config.earlier_layers
        padded = F.pad(layers, (0, 0, margin, margin, margin, margin, 0, 0, back, 0))
        taps = [
            padded[
                back - tap.layers : back - tap.layers + count,
                :,
                margin + tap.down : margin + tap.down + height,
                margin + tap.right : margin + tap.right + width,
            ]
            for tap in self.config.taps
        ]
        whole = layers.new_ones(1, 1, height, width) if present is None else present_before(present)
        inside = F.pad(whole, [margin] * 4)
        flags = [
            inside[
                ...,
                margin + down : margin + down + height,
                margin + right : margin + right + width,
            ]
            for down, right in self.config.places
        ]
        spread = torch.stack(flags, dim=-1).expand(count, batch, height, width, -1)
        return torch.cat([*taps, spread, layers], dim=-1)
