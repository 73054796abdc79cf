"""Residual networks: every position sees whole neighbourhoods, and every bit the bits before it.

    bits of earlier layers ── embedding ── 3x3 ── 3x3 ──┐
    bits at the position, of earlier layers ────────────┼── hidden ── residual blocks ──┐
    bits before the position, of the layer ─────────────┤                               │
    bits of the layer in the frame before ──────────────┘                               │
    bits at the position, of earlier layers ────────────────────────────────── units, logits
    bits at the position in the frame before ───────────────────────────────── units, logits
    bits of lower channels ─────────────────────────────────────────────────── units, logits

Convolutions are shared by all layers, so that many layers do not cost as many networks; what says
what a bit means is each layer's own. The frame before is seen where a configuration says so, and
in sequences. The residual blocks (He et al., arXiv 1512.03385) are causal
convolutions (van den Oord et al., arXiv 1601.06759). The head is an autoregressive network of one
hidden layer (Larochelle and Murray 2011; Germain et al., arXiv 1502.03509): the hidden units of a
channel see the bits of lower channels.

Weights are trained as they will be coded, rounded to 8 bits (Jacob et al., arXiv 1712.05877).
"""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.model.network.operations import Tap
from nncodec.training.configs import ModelConfig
from nncodec.training.networks.network import Network, present_before
from nncodec.training.networks.quantising import Builder, rounded

OWN_TAPS = (
    *((0, -1), (0, -2)),
    *((-1, right) for right in (-2, -1, 0, 1, 2)),
    *((-2, right) for right in (-2, -1, 0, 1, 2)),
)
"""(Rows down, columns right) of the positions of the layer that are seen."""

FRAME_TAPS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1))
"""The same of the frame before, where the whole layer is known."""

LARGEST = 12.0
"""Hidden values end there, as planes of integers do."""


class ResidualConfig(ModelConfig):
    """The configuration of a residual network.

    Attributes:
        width: hidden values of a position.
        embedding: numbers that stand for the earlier layers of a position.
        blocks: how many residual blocks there are.
        units: hidden units of the head for each channel.
        frame_before: whether it sees, in a sequence, the layer in the frame before.
    """

    width: Annotated[int, Field(ge=1, le=512)] = 64
    embedding: Annotated[int, Field(ge=1, le=512)] = 64
    blocks: Annotated[int, Field(ge=0, le=8)] = 2
    units: Annotated[int, Field(ge=1, le=16)] = 4
    frame_before: bool = False


class LargeConfig(ResidualConfig):
    """The configuration of a larger residual network."""

    width: Annotated[int, Field(ge=1, le=512)] = 112
    embedding: Annotated[int, Field(ge=1, le=512)] = 96
    units: Annotated[int, Field(ge=1, le=16)] = 6


class Residual(Network):
    """A residual network."""

    config: ResidualConfig

    def __init__(self, config: ResidualConfig) -> None:
        super().__init__(config)
        count, depth = config.layer_count, config.layer_depth
        width, embedding, units = config.width, config.embedding, config.units * depth
        own, earlier = len(OWN_TAPS) * depth, count * depth

        def weights(*shape: int, inputs: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(shape) / math.sqrt(inputs))

        def zeros(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(shape))

        self.embed = weights(embedding, earlier, inputs=2 * depth)
        self.embed_bias = zeros(count, embedding)
        self.first = weights(embedding, embedding, 3, 3, inputs=9 * embedding)
        self.first_bias = zeros(count, embedding)
        self.second = weights(width, embedding, 3, 3, inputs=9 * embedding)
        self.own = weights(count, width, own, inputs=own)
        self.earlier = weights(count, width, earlier, inputs=earlier)
        self.hidden_bias = zeros(count, width)
        self.causal = nn.ParameterList(
            weights(width, width, 2, 3, inputs=5 * width) for _ in range(config.blocks)
        )
        self.causal_bias = nn.ParameterList(zeros(count, width) for _ in range(config.blocks))
        self.back = nn.ParameterList(
            weights(width, width, inputs=4 * width) for _ in range(config.blocks)
        )
        self.back_bias = nn.ParameterList(zeros(count, width) for _ in range(config.blocks))
        self.unit = weights(count, units, width, inputs=width)
        self.unit_lower = weights(count, units, depth, inputs=width + depth)
        self.unit_bias = zeros(count, units)
        self.direct = zeros(count, depth, width)  # silent at first
        self.direct_earlier = zeros(count, depth, earlier)
        self.direct_lower = zeros(count, depth, depth)
        self.output = zeros(count, depth, units)
        self.bias = zeros(count, depth)
        self.sees_frame_before = config.frame_before
        if config.frame_before:
            frame = len(FRAME_TAPS) * depth
            self.frame = weights(count, width, frame, inputs=frame)
            self.unit_frame = weights(count, units, depth, inputs=width + depth)
            self.direct_frame = zeros(count, depth, depth)

        layer_of_input = torch.arange(earlier) // depth
        channel, of_unit = torch.arange(depth), torch.arange(units) // config.units
        for name, mask in (
            ("_before", layer_of_input < torch.arange(count)[:, None, None]),
            ("_causal", torch.tensor([[True, True, True], [True, True, False]])),
            ("_lower", channel < channel[:, None]),
            ("_unit_lower", channel < of_unit[:, None]),
            ("_units_of", of_unit <= channel[:, None]),
        ):
            self.register_buffer(name, mask.float(), persistent=False)

    _before: Tensor
    _causal: Tensor
    _lower: Tensor
    _unit_lower: Tensor
    _units_of: Tensor

    def predict(
        self, layers: Tensor, present: Tensor | None = None, frame_before: Tensor | None = None
    ) -> Tensor:
        count, batch, height, width, depth = layers.shape
        config = self.config
        # PyTorch's mixed precision leaves the first product of a matrix alone otherwise.
        bits = layers.to(torch.get_autocast_dtype(layers.device.type)) if _mixed(layers) else layers
        every = bits.permute(1, 2, 3, 0, 4).reshape(-1, count * depth)
        used = count * depth

        embedded = self._embed_earlier(bits, rounded(self.embed, 1))
        embedded = _ended(embedded + self.embed_bias[:count, None])
        has = before = None  # float {0, 1}, [layers * batch, 1, height, width]
        if present is not None:
            has, before = (one.flatten(0, 1)[:, None] for one in (present, present_before(present)))
        plane = _masked(_planes(embedded.reshape(count * batch, height, width, -1)), before)
        plane = F.conv2d(plane, rounded(self.first, (1, 2, 3)), padding=1)
        plane = _masked(F.relu(plane + self._spread(self.first_bias, layers)), before)
        seen = F.conv2d(plane, rounded(self.second, (1, 2, 3)), padding=1)

        # One matrix for all layers; each takes nothing of itself and of those to come.
        linear = torch.cat([self.earlier, self.direct_earlier], 1)
        linear = rounded(linear * self._before, 2)[:count, :, :used]
        sums = (every @ linear.flatten(0, 1).T).reshape(-1, count, linear.shape[1]).transpose(0, 1)
        own = torch.bmm(_seen(bits, OWN_TAPS), rounded(self.own, 2)[:count].mT)
        frame = bits[..., :0]  # of no channels, where it is not seen
        if self.sees_frame_before:
            frame = torch.zeros_like(bits) if frame_before is None else frame_before.to(bits.dtype)
            own = own + torch.bmm(_seen(frame, FRAME_TAPS), rounded(self.frame, 2)[:count].mT)
        hidden = own + sums[..., : config.width] + self.hidden_bias[:count, None]
        hidden = _planes(hidden.reshape(count * batch, height, width, -1))
        hidden = _masked(F.hardtanh(hidden + seen, 0, LARGEST), has)
        for causal, causal_bias, back, back_bias in zip(
            self.causal, self.causal_bias, self.back, self.back_bias, strict=True
        ):
            kernel = rounded(causal * self._causal, (1, 2, 3))
            change = F.conv2d(F.pad(hidden, (1, 1, 1, 0)), kernel)
            change = F.relu(change + self._spread(causal_bias, layers))
            change = F.conv2d(change, rounded(back, 1)[..., None, None])
            change = change + self._spread(back_bias, layers)
            hidden = _masked(F.hardtanh(hidden + change, 0, LARGEST), has)

        hidden = hidden.permute(0, 2, 3, 1).reshape(count, -1, config.width)
        here = torch.cat([frame, bits], -1).reshape(count, hidden.shape[1], -1)
        inputs = torch.cat([hidden, here.to(hidden.dtype)], -1)
        unit, output = (matrix[:count] for matrix in (self._unit_matrix(), self._output_matrix()))
        units = F.relu(torch.bmm(inputs, unit.mT) + self.unit_bias[:count, None])
        logits = torch.bmm(torch.cat([inputs, units.to(inputs.dtype)], -1), output.mT)
        logits = logits + sums[..., config.width :] + self.bias[:count, None]
        return logits.reshape(layers.shape).to(layers.dtype)

    def quantise(self) -> IntegerNetwork:
        config = self.config
        here = [(0, 0)]
        square = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        builder = Builder(config.layer_count, config.layer_depth)
        plane = builder.convolve([], self.embed, self.embed_bias, "linear", earlier=True)
        first = self.first.permute(0, 2, 3, 1).flatten(1)
        plane = builder.convolve(_on(plane, square), first, self.first_bias, "relu")
        second = self.second.permute(0, 2, 3, 1).flatten(1)
        plane = builder.convolve(_on(plane, square), second, None, "linear")
        earlier, direct = (one * self._before for one in (self.earlier, self.direct_earlier))
        plane = builder.convolve([], earlier, None, "linear", earlier=True, skip=plane)
        logits = builder.convolve([], direct, None, "linear", earlier=True)
        if self.sees_frame_before:
            frame = [Tap(0, 1, 0, down, right) for down, right in FRAME_TAPS]
            plane = builder.convolve(frame, self.frame, None, "linear", skip=plane)
        own = [Tap(0, 0, 0, down, right) for down, right in OWN_TAPS]
        plane = builder.convolve(own, self.own, self.hidden_bias, "relu", skip=plane)
        for causal, causal_bias, back, back_bias in zip(
            self.causal, self.causal_bias, self.back, self.back_bias, strict=True
        ):
            kernel = causal.permute(0, 2, 3, 1)  # outputs, down, right, inputs
            seen = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
            kernel = torch.stack([kernel[:, down, right] for down, right in seen], 1).flatten(1)
            taps = [(down - 1, right - 1) for down, right in seen]
            change = builder.convolve(_on(plane, taps), kernel, causal_bias, "relu")
            plane = builder.convolve(_on(change, here), back, back_bias, "relu", skip=plane)
        at_position = [Tap(0, 1, 0, 0, 0)] if self.sees_frame_before else []
        builder.head(
            [*_on(plane, here), *at_position],
            unit=self._with_frame(self.unit, "unit_frame"),
            unit_lower=self.unit_lower * self._unit_lower,
            unit_bias=self.unit_bias,
            direct=self._with_frame(self.direct, "direct_frame"),
            direct_lower=self.direct_lower * self._lower,
            output=self.output * self._units_of,
            bias=self.bias,
            skip=logits,
        )
        return builder.network()

    def _embed_earlier(self, bits: Tensor, embed: Tensor) -> Tensor:
        """Sums over the layers before each one: float [layers, positions, embedding]."""
        count, depth = bits.shape[0], bits.shape[-1]
        matrices = embed.reshape(len(embed), -1, depth)[:, :count].permute(1, 2, 0)
        sums = torch.bmm(bits.reshape(count, -1, depth), matrices.to(bits.dtype)).float()
        return torch.cat([torch.zeros_like(sums[:1]), sums[:-1]]).cumsum(0)

    def _unit_matrix(self) -> Tensor:
        seen = self._with_frame(self.unit, "unit_frame")
        return rounded(torch.cat([seen, self.unit_lower * self._unit_lower], 2), 2)

    def _output_matrix(self) -> Tensor:
        """Of hidden values, the frame before, lower bits, and units, in this order."""
        seen = self._with_frame(self.direct, "direct_frame")
        direct = rounded(torch.cat([seen, self.direct_lower * self._lower], 2), 2)
        return torch.cat([direct, rounded(self.output * self._units_of, 2)], 2)

    def _with_frame(self, weights: Tensor, name: str) -> Tensor:
        """Weights of hidden values, followed by those of the frame before if that is seen."""
        return torch.cat([weights, getattr(self, name)], 2) if self.sees_frame_before else weights

    def _spread(self, bias: Tensor, layers: Tensor) -> Tensor:
        """A bias of every layer as it is added to planes [layers * batch, channels, ...]."""
        count, batch = layers.shape[:2]
        return bias[:count].repeat_interleave(batch, 0)[:, :, None, None]


def _mixed(tensor: Tensor) -> bool:
    return torch.is_autocast_enabled(tensor.device.type)


def _ended(values: Tensor) -> Tensor:
    return F.hardtanh(values, -LARGEST, LARGEST)


def _masked(values: Tensor, mask: Tensor | None) -> Tensor:
    return values if mask is None else values * mask.to(values.dtype)


def _planes(values: Tensor) -> Tensor:
    return values.permute(0, 3, 1, 2)


def _seen(bits: Tensor, taps: Sequence[tuple[int, int]]) -> Tensor:
    """Gathers the bits at taps of the same layer: [layers, positions, taps * layer_depth]."""
    height, width = bits.shape[2:4]
    padded = F.pad(bits, (0, 0, 2, 2, 2, 2))
    seen = [
        padded[:, :, 2 + down : 2 + down + height, 2 + right : 2 + right + width]
        for down, right in taps
    ]
    return torch.cat(seen, -1).flatten(1, 3)


def _on(plane: int, places: list[tuple[int, int]]) -> list[Tap]:
    return [Tap(plane, 0, 0, down, right) for down, right in places]
