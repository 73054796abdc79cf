"""Float networks to integers, operation by operation (FORMAT.md, section 10).

Weights are rounded to 8 bits, in steps of each output's own; networks are trained with `rounded`
weights, so that little changes here.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nncodec.errors import ModelError
from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.model.network.operations import (
    SCALE_BITS,
    VALUE_BITS,
    VALUE_LIMIT,
    WEIGHT_ONE,
    Convolve,
    Head,
    Lstm,
    Operation,
    Tap,
)

Integer = TypeVar("Integer", bound=np.integer[Any])


def rounded(values: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """Rounds weights as they will be coded; gradients pass as if they were not rounded.

    Args:
        values: float, any shape.
        dim: the axes of the inputs of an output.
    """
    with torch.no_grad():
        multiples, step = _quantised(values, dim)
        change = multiples * step - values
    return values + change


class Builder:
    """Builds a network of integers, in the order in which its operations work.

    Weights are float [outputs, inputs] if all layers share them, else [layers, outputs, inputs];
    biases [layers, outputs]. Values of planes are real numbers: bits are -1 and +1.
    """

    def __init__(self, layers: int, channels: int) -> None:
        self._layers, self._channels = layers, channels
        self._operations: list[Operation] = []
        self._planes = 0

    @property
    def next_plane(self) -> int:
        """The number of the plane that the next operation will write."""
        return self._planes + 1

    def convolve(
        self,
        taps: Sequence[Tap],
        weights: Tensor,
        bias: Tensor | None,
        activation: str,
        *,
        earlier: bool = False,
        skip: int = 0,
        from_layer: int = 0,
    ) -> int:
        """Adds a convolution; gives the number of its plane.

        Args:
            taps, activation, earlier, skip: as of `Convolve`.
            weights: those of `earlier` are of all layers; the last layer's are left out.
            bias: 0 if there is none.
            from_layer: before this layer, the plane has zeros.
        """
        matrices, scale = self._matrices(weights, earlier)
        shift = _fixed(self._of_layers(bias, scale.shape[1]), SCALE_BITS + VALUE_BITS, np.int64)
        scale[:from_layer], shift[:from_layer] = 0, 0
        one = Convolve(tuple(taps), earlier, skip, activation, matrices, scale, shift)
        return self._add(one)

    def lstm(self, gates: int, over: str, width: int) -> int:
        """Adds a step of an LSTM; gives the number of the plane of its outputs."""
        return self._add(Lstm(gates, over, width))

    def head(
        self,
        taps: Sequence[Tap],
        *,
        direct: Tensor,
        bias: Tensor,
        direct_lower: Tensor | None = None,
        unit: Tensor | None = None,
        unit_lower: Tensor | None = None,
        unit_scale: Tensor | None = None,
        unit_bias: Tensor | None = None,
        output: Tensor | None = None,
        activation: str = "relu",
        earlier: bool = False,
        skip: int = 0,
        limit: float = VALUE_LIMIT / (1 << VALUE_BITS),
    ) -> None:
        """Adds the head. Without units, logits are what `direct` says.

        Args:
            taps, earlier, skip: as of `Head`.
            direct, direct_lower: from that, and from lower channels, to the logits.
            bias: of the logits.
            unit, unit_lower, unit_bias: to the units.
            unit_scale: [layers, units], what sums of units are multiplied by before the bias.
            output: [layers, channels, units], from the units to the logits.
            activation: of the units.
            limit: of the logits.
        """
        layers, channels = self._layers, self._channels
        inputs = direct.shape[-1]
        if unit is None or output is None:
            unit, output = direct.new_zeros(0, inputs), direct.new_zeros(layers, channels, 0)
        units = unit.shape[-2]
        if unit_lower is None:
            unit_lower = unit.new_zeros(*unit.shape[:-1], channels)
        if direct_lower is None:
            direct_lower = direct.new_zeros(*direct.shape[:-1], channels)
        unit_matrices, scale_of_units = self._matrices(unit, earlier, unit_lower, times=unit_scale)
        matrices, scale = self._matrices(direct, earlier, direct_lower)
        outputs, output_scale = self._matrices(output, False)
        bits = SCALE_BITS + VALUE_BITS
        self._operations.append(
            Head(
                taps=tuple(taps),
                earlier=earlier,
                skip=skip,
                activation=activation,
                limit=round(limit * (1 << VALUE_BITS)),
                unit_weights=np.ascontiguousarray(unit_matrices[..., :-channels]),
                unit_lower=np.ascontiguousarray(unit_matrices[..., -channels:]),
                unit_scale=scale_of_units,
                unit_shift=_fixed(self._of_layers(unit_bias, units), bits, np.int64),
                weights=np.ascontiguousarray(matrices[..., :-channels]),
                lower=np.ascontiguousarray(matrices[..., -channels:]),
                output=outputs,
                scale=scale,
                output_scale=output_scale,
                shift=_fixed(self._of_layers(bias, channels), bits, np.int64),
            )
        )

    def network(self) -> IntegerNetwork:
        """Gives the network.

        Raises:
            ModelError: a sum could outgrow its integer.
        """
        return IntegerNetwork(self._layers, self._channels, tuple(self._operations))

    def _add(self, operation: Operation) -> int:
        self._operations.append(operation)
        first = self.next_plane
        self._planes += len(operation.widths)
        return first

    def _matrices(
        self, weights: Tensor, earlier: bool, *beside: Tensor, times: Tensor | None = None
    ) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int32]]:
        """Quantises sets of weights, those of `beside` in the same steps; gives scales, too."""
        if earlier:
            weights = weights[..., : weights.shape[-1] - self._channels]
        weights = torch.cat([weights, *beside], -1)
        weights = weights.detach().cpu().double()
        weights = weights[None] if weights.ndim == 2 else weights
        multiples, step = _quantised(weights, 2)
        scale = step[..., 0].expand(self._layers, -1)
        if times is not None:
            scale = scale * times.detach().cpu()
        return multiples.numpy().astype(np.int8), _fixed(scale, SCALE_BITS, np.int32)

    def _of_layers(self, bias: Tensor | None, width: int) -> Tensor:
        bias = torch.zeros(1, width) if bias is None else bias
        return bias.expand(self._layers, -1)


def _quantised(values: Tensor, dim: int | tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Gives multiples, -WEIGHT_ONE ... WEIGHT_ONE, and the steps that they count."""
    if not values.numel():
        return values, values.new_zeros(*values.shape[:-1], 1)
    step = values.abs().amax(dim=dim, keepdim=True).clamp(min=1e-8) / WEIGHT_ONE
    return (values / step).round(), step


def _fixed(values: Tensor, bits: int, dtype: type[Integer]) -> npt.NDArray[Integer]:
    numbers = np.round(np.ldexp(values.detach().cpu().double().numpy(), bits))
    if not (abs(numbers) <= min(np.iinfo(dtype).max, 1 << 53)).all():  # NaN compares as false
        raise ModelError("a weight is too large for the integer form; train with weight_decay")
    integers: npt.NDArray[Integer] = numbers.astype(dtype)
    return integers
