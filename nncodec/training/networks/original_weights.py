"""Weights of the original TensorFlow model <-> a progressive network."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nncodec.errors import ModelError
from nncodec.training.networks.progressive import ConvolutionalLSTM, LayerConvolution, Progressive


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
