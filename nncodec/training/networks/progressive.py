"""The network of the original progressive entropy coder, layer for layer.

Source: the TensorFlow models repository, research/compression/entropy_coder/progressive, which
follows arXiv 1608.05148 and 1703.10114.

A layer's bits are predicted from two things: its own bits before the pixel, and the layer state,
which sums up all earlier layers.

    bits of the layer -- causal 7x7 --+
                                      +-- LSTM over rows -- 1x1 -- 1x1 -- logits
    layer state --------------- 3x3 --+

    bits of earlier layers -- 3x3 -- 3x3 -- LSTM over layers -- 1x1 -- 1x1 -- layer state

Every convolution has a bias and a tanh, the last one included: tanh(z) is 2 p - 1, hence the logit
2 z. All layers are computed side by side, as the groups of one convolution; only the two LSTMs
take their steps one by one. Inside, tensors are [batch, layers, channels, height, width].
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.model.network.operations import Tap
from nncodec.training.configs import ModelConfig
from nncodec.training.networks.network import Network, present_before
from nncodec.training.networks.quantising import Builder

LOGIT_LIMIT = math.log(0.9995 / 0.0005)
"""Probabilities stay within 0.0005 ... 0.9995."""


class ProgressiveConfig(ModelConfig):
    """The configuration of a `progressive` network: nothing but that of every model."""


class LayerConvolution(nn.Module):
    """A convolution whose weights are each layer's own, or shared by all.

    Weights start from a truncated normal distribution of standard deviation 1 / sqrt(fan-in),
    biases from zero.

    Attributes:
        weight: [count, outputs, inputs, height, width].
        bias: [count, outputs], or None.
    """

    _mask: Tensor

    def __init__(
        self,
        count: int,
        inputs: int,
        outputs: int,
        size: tuple[int, int],
        *,
        seeing: int | None = None,
        bias: bool = True,
    ) -> None:
        """Draws the weights.

        Args:
            count: how many layers have weights of their own; 1 when all share them.
            inputs: channels in.
            outputs: channels out.
            size: height and width of the kernel, odd; pixels outside the picture read 0.
            seeing: how many taps of the kernel, row by row, see anything; None for all.
            bias: whether the outputs have one.
        """
        super().__init__()
        height, width = size
        self.weight = nn.Parameter(torch.empty(count, outputs, inputs, height, width))
        self.bias = nn.Parameter(torch.zeros(count, outputs)) if bias else None
        std = 1 / math.sqrt(inputs * height * width)
        nn.init.trunc_normal_(self.weight, std=std, a=-2 * std, b=2 * std)

        seeing = seeing or height * width
        # Rows and columns that see nothing are not computed.
        self._rows, self._columns = -(-seeing // width), min(seeing, width)
        left, top = width // 2, height // 2
        self._padding = (left, self._columns - 1 - left, top, self._rows - 1 - top)
        mask = torch.arange(height * width).reshape(size) < seeing
        self.register_buffer("_mask", mask[: self._rows, : self._columns], persistent=False)

    def places(self) -> list[tuple[int, int]]:
        """(Rows down, columns right) of the taps that see anything."""
        left, _, top, _ = self._padding
        return [(y - top, x - left) for y, x in self._mask.nonzero().tolist()]

    def matrix(self) -> Tensor:
        """The weights of these taps, one after another: [count, outputs, taps * inputs]."""
        seen = self.weight[..., : self._rows, : self._columns][..., self._mask]
        return seen.transpose(2, 3).flatten(2)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, layers, inputs, height, width] -> [batch, layers, outputs, height, width]."""
        layers = x.shape[1]
        weight = self.weight[:layers, ..., : self._rows, : self._columns] * self._mask
        bias = None
        if self.bias is not None:
            bias = self.bias[:layers].expand(layers, -1).flatten()
        y = F.conv2d(
            F.pad(x.flatten(1, 2), self._padding),
            weight.expand(layers, -1, -1, -1, -1).flatten(0, 1),
            bias,
            groups=layers,
        )
        return y.reshape(len(y), layers, self.weight.shape[1], *y.shape[2:])


class ConvolutionalLSTM(nn.Module):
    """A convolutional LSTM whose steps are the rows of a picture, or its layers.

    Its gates stand in the original's order: forget, input, candidate, output. The bias of the
    forget gate starts from 1.
    """

    def __init__(self, count: int, inputs: int, depth: int, width: int, *, steps: int) -> None:
        """Draws the weights.

        Args:
            count: how many layers have weights of their own; 1 when all share them.
            inputs: channels in.
            depth: channels of the memory, and out.
            width: of the kernels, one row high. That of the input sees the pixel itself and what
                is left of it.
            steps: the axis of the steps.
        """
        super().__init__()
        self.input = LayerConvolution(count, inputs, 4 * depth, (1, width), seeing=width // 2 + 1)
        self.hidden = LayerConvolution(count, depth, 4 * depth, (1, width), bias=False)
        assert self.input.bias is not None
        nn.init.ones_(self.input.bias[:, :depth])
        self._steps = steps

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Takes all steps.

        Args:
            x: [batch, layers, inputs, height, width].
            present: {0, 1}, [batch, layers, 1, height, width], where there are cells; None for
                everywhere.

        Returns:
            [batch, layers, depth, height, width].
        """
        inputs = self.input(x).split(1, dim=self._steps)
        count = len(inputs)
        masks = [None] * count if present is None else present.chunk(count, dim=self._steps)
        cell = output = torch.zeros_like(inputs[0].chunk(4, dim=2)[0])
        outputs = []
        for step, mask in zip(inputs, masks, strict=True):
            forget, admit, candidate, emit = (step + self.hidden(output)).chunk(4, dim=2)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(admit) * torch.tanh(candidate)
            if mask is not None:
                cell = cell * mask  # so is the output
            output = torch.sigmoid(emit) * torch.tanh(cell)
            outputs.append(output)
        return torch.cat(outputs, dim=self._steps)


class Progressive(Network):
    """The network `progressive`. The bits of a layer at one position are predicted independently.

    It takes pictures of any size. Parameters are stacked by layer, and codes of fewer layers use
    the first of each stack.
    """

    def __init__(self, config: ProgressiveConfig) -> None:
        super().__init__(config)
        depth, count = config.layer_depth, config.layer_count
        hidden = 2 * depth
        self.own_bits = LayerConvolution(count, depth, hidden, (7, 7), seeing=7 * 7 // 2)
        self.layer_state = LayerConvolution(count, depth, hidden, (3, 3))
        self.rows = ConvolutionalLSTM(count, 2 * hidden, hidden, 3, steps=3)
        self.mix = LayerConvolution(count, hidden, hidden, (1, 1))
        self.output = LayerConvolution(count, hidden, depth, (1, 1))

        self.state_in = LayerConvolution(count, depth, hidden, (3, 3))
        self.state_out = LayerConvolution(count, hidden, depth, (3, 3))
        self.state_layers = ConvolutionalLSTM(1, depth, hidden, 1, steps=1)
        self.state_mix = LayerConvolution(1, hidden, hidden, (1, 1))
        self.state_output = LayerConvolution(1, hidden, depth, (1, 1))

    def predict(
        self, layers: Tensor, present: Tensor | None = None, frame_before: Tensor | None = None
    ) -> Tensor:
        bits = layers.permute(1, 0, 4, 2, 3)
        has = before = None
        if present is not None:
            has = present.transpose(0, 1)[:, :, None]
            before = present_before(present).transpose(0, 1)[:, :, None]
        of_bits = _masked(self.own_bits(bits).tanh(), has)
        of_state = _masked(self.layer_state(self._states(bits, has)).tanh(), before)
        x = self.mix(self.rows(torch.cat((of_bits, of_state), dim=2), has)).tanh()
        logits: Tensor = 2 * self.output(x)
        return logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT).permute(1, 0, 3, 4, 2)

    def quantise(self) -> IntegerNetwork:
        """Gives the integer form: an operation for every convolution and for every LSTM."""
        hidden = 2 * self.config.layer_depth
        builder = Builder(self.config.layer_count, self.config.layer_depth)

        def seen(plane: int, kernel: LayerConvolution, down: int = 0, layers: int = 0) -> list[Tap]:
            return [Tap(plane, 0, layers, y + down, x) for y, x in kernel.places()]

        # What the layer before adds to the state: weights of layer l stand one set later.
        source, target = self.state_in, self.state_out
        plane = builder.convolve(
            seen(0, source, layers=1), *_of_layer_before(source), "tanh", from_layer=1
        )
        plane = builder.convolve(seen(plane, target), *_of_layer_before(target), "tanh")
        lstm, outputs = self.state_layers, builder.next_plane + 1
        weights = torch.cat([lstm.input.matrix(), lstm.hidden.matrix()], -1)
        taps = [*seen(plane, lstm.input), Tap(outputs, 0, 1, 0, 0)]
        plane = builder.convolve(taps, weights, lstm.input.bias, "linear", from_layer=1)
        plane = builder.lstm(plane, "layers", hidden)
        for kernel in (self.state_mix, self.state_output):
            plane = builder.convolve(
                seen(plane, kernel), kernel.matrix(), kernel.bias, "tanh", from_layer=1
            )

        own, state = self.own_bits, self.layer_state
        of_state = builder.convolve(seen(plane, state), state.matrix(), state.bias, "tanh")
        of_bits = builder.convolve(seen(0, own), own.matrix(), own.bias, "tanh")
        lstm, outputs = self.rows, builder.next_plane + 1
        matrix = lstm.input.matrix()  # of every tap, first the bits', then the state's inputs
        inputs = matrix.reshape(*matrix.shape[:2], -1, 2, hidden)
        of_planes = [inputs[:, :, :, 0].flatten(2), inputs[:, :, :, 1].flatten(2)]
        taps = [*seen(of_bits, lstm.input), *seen(of_state, lstm.input)]
        taps += seen(outputs, lstm.hidden, down=-1)
        weights = torch.cat([*of_planes, lstm.hidden.matrix()], -1)
        plane = builder.convolve(taps, weights, lstm.input.bias, "linear")
        plane = builder.lstm(plane, "rows", hidden)
        mix = self.mix
        plane = builder.convolve(seen(plane, mix), mix.matrix(), mix.bias, "tanh")
        output = self.output
        assert output.bias is not None
        builder.head(
            seen(plane, output),
            direct=2 * output.matrix(),
            bias=2 * output.bias,
            limit=LOGIT_LIMIT,
        )
        return builder.network()

    def _states(self, bits: Tensor, has: Tensor | None) -> Tensor:
        """Computes the state that each layer is predicted from; it is zero at the first."""
        x = self.state_out(_masked(self.state_in(bits).tanh(), has)).tanh()
        x = self.state_mix(self.state_layers(x, has)).tanh()
        after = _masked(self.state_output(x).tanh(), has)
        return torch.cat((torch.zeros_like(bits[:, :1]), after[:, :-1]), dim=1)


def _masked(values: Tensor, mask: Tensor | None) -> Tensor:
    return values if mask is None else values * mask


def _of_layer_before(kernel: LayerConvolution) -> tuple[Tensor, Tensor | None]:
    """Weights and biases of every layer, where the next one finds them."""
    bias = kernel.bias
    return kernel.matrix().roll(1, 0), None if bias is None else bias.roll(1, 0)
