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
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nncodec.errors import ModelError
from nncodec.training.configs import ModelConfig
from nncodec.training.networks.network import Network

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

    def forward(self, x: Tensor) -> Tensor:
        """[batch, layers, inputs, height, width] -> [batch, layers, depth, height, width]."""
        inputs = self.input(x).split(1, dim=self._steps)
        cell = output = torch.zeros_like(inputs[0].chunk(4, dim=2)[0])
        outputs = []
        for step in inputs:
            forget, admit, candidate, emit = (step + self.hidden(output)).chunk(4, dim=2)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(admit) * torch.tanh(candidate)
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

    def predict(self, layers: Tensor) -> Tensor:
        bits = layers.permute(1, 0, 4, 2, 3)
        x = (self.own_bits(bits).tanh(), self.layer_state(self._states(bits)).tanh())
        x = self.mix(self.rows(torch.cat(x, dim=2))).tanh()
        logits: Tensor = 2 * self.output(x)
        return logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT).permute(1, 0, 3, 4, 2)

    def _states(self, bits: Tensor) -> Tensor:
        """Computes the state that each layer is predicted from; it is zero at the first."""
        x = self.state_out(self.state_in(bits).tanh()).tanh()
        x = self.state_mix(self.state_layers(x)).tanh()
        after = self.state_output(x).tanh()
        return torch.cat((torch.zeros_like(bits[:, :1]), after[:, :-1]), dim=1)


def load_original_weights(network: Progressive, variables: Mapping[str, npt.ArrayLike]) -> None:
    """Gives a network the weights of the original TensorFlow model.

    Args:
        network: with the layer_depth and layer_count of the original; codes of fewer layers are
            then predicted as ever.
        variables: name to value, for all variables below `LayerPrediction/`, as
            `original_weights` returns them.

    Raises:
        ModelError: a variable is missing, unknown, or has another shape. The network is then as
            it was.
    """
    parameters = _original_variables(network)
    stacked = "LayerPrediction/BrnnPredictor"
    found = len({name.split("/")[1] for name in variables if name.startswith(stacked)})
    count = network.config.layer_count
    if found and found != count:
        raise ModelError(
            f"the variables are of layer_count {found}, the network is of {count}; "
            f"make the network with layer_count {found}"
        )
    for name in parameters:
        if name not in variables:
            raise ModelError(f"variable {name} is missing; give all variables of the original")
    for name in variables:
        if name not in parameters:
            raise ModelError(f"variable {name} is none of a progressive network; leave it out")
    values = {name: np.array(variables[name], dtype=np.float64) for name in parameters}
    for name, parameter in parameters.items():
        if values[name].shape != parameter.shape:
            shape = tuple(parameter.shape)
            raise ModelError(
                f"variable {name} has the shape {values[name].shape}, not {shape}; "
                f"make the network, of layer_depth {network.config.layer_depth}, like the original"
            )
    for name, parameter in parameters.items():
        parameter.copy_(torch.from_numpy(values[name]))


def original_weights(network: Progressive) -> dict[str, npt.NDArray[Any]]:
    """Gives the weights of a network under the names and in the shapes of the original.

    Returns:
        Name to float array: kernels [height, width, in, out], biases [out].
    """
    variables = _original_variables(network)
    return {name: variable.cpu().numpy().copy() for name, variable in variables.items()}


def _original_variables(network: Progressive) -> dict[str, Tensor]:
    """Gives views of the parameters, in the original's shapes, under the original's names."""
    variables: dict[str, Tensor] = {}

    def put(name: str, convolution: LayerConvolution, layer: int, bias: str = "") -> None:
        variables[f"LayerPrediction/{name}/Variable"] = convolution.weight.detach()[layer].permute(
            2, 3, 1, 0
        )
        if convolution.bias is not None:
            bias = bias or f"{name}/BiasAdd"
            variables[f"LayerPrediction/{bias}/Variable"] = convolution.bias.detach()[layer]

    def put_lstm(name: str, lstm: ConvolutionalLSTM, layer: int) -> None:
        put(f"{name}/input_conv2d", lstm.input, layer, f"{name}/biases")
        put(f"{name}/hidden_conv2d", lstm.hidden, layer)

    def numbered(name: str, number: int) -> str:
        return f"{name}_{number}" if number else name

    count = network.config.layer_count
    for layer in range(count):
        predictor = numbered("BrnnPredictor", layer)
        put(f"{predictor}/RasterScanConv2D", network.own_bits, layer)
        put(f"{predictor}/Conv2D", network.layer_state, layer)
        put_lstm(f"{predictor}/RasterScanConv2DLSTM", network.rows, layer)
        put(f"{predictor}/Conv2D_1", network.mix, layer)
        put(f"{predictor}/Conv2D_2", network.output, layer)
        put(numbered("Conv2D", 2 * layer), network.state_in, layer)
        put(numbered("Conv2D", 2 * layer + 1), network.state_out, layer)
    put_lstm("Conv2DLSTM", network.state_layers, 0)
    put(f"Conv2D_{2 * count}", network.state_mix, 0)
    put(f"Conv2D_{2 * count + 1}", network.state_output, 0)
    return variables
