"""The grouped network: predicts the channels of a position in groups.

A group of channels is predicted when the first of them is to be coded, from the bits that are known
by then: the lower groups of the position, the positions before it, the layers before. A hidden unit
belongs to a group and sees the *taps* that its group may see, by masked weights (Germain et al.,
arXiv 1502.03509); a group is predicted from the hidden units of its own and of lower groups.

    taps ── masked weights (of all layers) ── scale, shift (of the layer) ── tanh ── head ── logits

What bits say linearly is the adaptive stage's to find: its weights go on learning while it codes,
and a network beside it would only say the same.

Its weights are trained as they will be coded, rounded to 8 bits, and so are its activations
(Jacob et al., arXiv 1712.05877); `quantise` only writes them down.
"""

from typing import Annotated, Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from nncodec.errors import ModelError
from nncodec.format.limits import MAX_HIDDEN
from nncodec.model.fixed_point import LOGIT_BITS
from nncodec.model.network.integer_network import (
    ACTIVATION_ONE,
    SCALE_BITS,
    SUM_BITS,
    WEIGHT_ONE,
    IntegerNetwork,
)
from nncodec.model.network.taps import LARGEST_REACH, Taps
from nncodec.training.configs import ModelConfig
from nncodec.training.networks.network import Network


class GroupedConfig(ModelConfig):
    """The configuration of a grouped network.

    Attributes:
        hidden: hidden units of each group.
        group_size: channels of a group; where a layer has fewer, it is one group.
        reach: rows above, and columns to either side, that are seen of the bit's own layer.
        earlier_layers: how many layers before are seen at the position; of the last of them also
            the four positions next to it.
    """

    hidden: Annotated[int, Field(ge=1, le=1024)] = 8
    group_size: Annotated[int, Field(ge=1, le=1024)] = 8
    reach: Annotated[int, Field(ge=1, le=LARGEST_REACH)] = 1
    earlier_layers: Annotated[int, Field(ge=0, le=64)] = 3

    @model_validator(mode="after")
    def _check_hidden(self) -> "GroupedConfig":
        most = MAX_HIDDEN * self.layer_depth // self.groups
        if self.hidden > most:
            raise ValueError(f"hidden must be at most {most} for these groups, not {self.hidden}")
        return self

    @property
    def groups(self) -> int:
        return -(-self.layer_depth // self.channels_of_group)

    @property
    def channels_of_group(self) -> int:
        return min(self.group_size, self.layer_depth)


class Grouped(Network):
    """The grouped network."""

    integer_form = True
    config: GroupedConfig

    def __init__(self, config: GroupedConfig) -> None:
        super().__init__(config)
        layers, channels = config.layer_count, config.layer_depth
        hidden = config.groups * config.hidden
        self.taps = Taps(config.reach, config.earlier_layers)
        group_of_hidden = torch.arange(config.groups).repeat_interleave(config.hidden)
        group_of_channel = torch.arange(channels) // config.channels_of_group
        known = torch.from_numpy(self.taps.known(channels, config.channels_of_group))
        spatial = len(self.taps.places)
        seen = torch.cat([known.flatten(0, 1), torch.ones(spatial, config.groups)]).float()
        self.register_buffer("_seen", seen[:, group_of_hidden], persistent=False)
        lower = (group_of_hidden[:, None] <= group_of_channel).float()
        self.register_buffer("_lower", lower, persistent=False)

        inputs = self._seen.sum(dim=0).clamp(min=1)
        self.weights = nn.Parameter(torch.randn_like(self._seen) / inputs.sqrt())
        self.scale = nn.Parameter(torch.ones(layers, hidden))
        self.shift = nn.Parameter(torch.zeros(layers, hidden))
        self.head = nn.Parameter(torch.zeros(layers, hidden, channels))  # silent at first
        self.bias = nn.Parameter(torch.zeros(layers, channels))

    _seen: Tensor
    _lower: Tensor

    def predict(self, layers: Tensor) -> Tensor:
        count, shape = len(layers), layers.shape
        inputs = self._inputs(layers).reshape(count, shape[1:-1].numel(), -1)
        sums = inputs @ _rounded(self.weights * self._seen, WEIGHT_ONE, dim=0)
        hidden = torch.tanh(sums * self.scale[:count, None] + self.shift[:count, None])
        hidden = _straight_through(hidden, (hidden * ACTIVATION_ONE).round() / ACTIVATION_ONE)
        head = _rounded(self.head * self._lower, WEIGHT_ONE, dim=1)[:count]
        return torch.baddbmm(self.bias[:count, None], hidden, head).view(shape)

    def quantise(self) -> IntegerNetwork:
        """Gives the integer form, which codes bits.

        Raises:
            ModelError: the weights are so large that a sum could outgrow its integer.
        """
        config = self.config
        weights, step = _quantised((self.weights * self._seen).detach(), WEIGHT_ONE, dim=0)
        head, head_step = _quantised((self.head * self._lower).detach(), WEIGHT_ONE, dim=1)
        sum_bits, logit_bits = SCALE_BITS + SUM_BITS, SCALE_BITS + LOGIT_BITS
        return IntegerNetwork(
            layers=config.layer_count,
            channels=config.layer_depth,
            group_size=config.channels_of_group,
            reach=config.reach,
            earlier_layers=config.earlier_layers,
            weights=_fixed_point(weights, 0, np.int8),
            scale=_fixed_point(self.scale * step, sum_bits, np.int32),
            shift=_fixed_point(self.shift, sum_bits, np.int64),
            head=_fixed_point(head, 0, np.int8),
            head_scale=_fixed_point(head_step[:, 0] / ACTIVATION_ONE, logit_bits, np.int32),
            bias=_fixed_point(self.bias, logit_bits, np.int64),
        )

    def _inputs(self, layers: Tensor) -> Tensor:
        """Gathers the bits at all taps, then the flags of places inside the picture.

        Returns:
            float, [layers, batch, height, width, inputs].
        """
        count, batch, height, width, _ = layers.shape
        margin, back = max(self.config.reach, 1), self.config.earlier_layers
        padded = F.pad(layers, (0, 0, margin, margin, margin, margin, 0, 0, back, 0))
        taps = [
            padded[
                back - earlier : back - earlier + count,
                :,
                margin + down : margin + down + height,
                margin + right : margin + right + width,
            ]
            for earlier, down, right in self.taps.offsets
        ]
        inside = torch.from_numpy(self.taps.inside(height, width)).to(layers)
        return torch.cat([*taps, inside.expand(count, batch, *inside.shape)], dim=-1)


def _quantised(values: Tensor, largest: int, dim: int) -> tuple[Tensor, Tensor]:
    """Quantises values: gives multiples, -largest ... largest, and the steps that they count."""
    step = values.abs().amax(dim=dim, keepdim=True).clamp(min=1e-8) / largest
    return (values / step).round(), step


def _rounded(values: Tensor, largest: int, dim: int) -> Tensor:
    """Rounds values as `_quantised` does; gradients pass as if they were not rounded."""
    with torch.no_grad():
        multiples, step = _quantised(values, largest, dim)
        change = multiples * step - values
    return values + change


def _straight_through(values: Tensor, rounded: Tensor) -> Tensor:
    return values + (rounded - values).detach()


Integer = TypeVar("Integer", bound=np.integer[Any])


def _fixed_point(values: Tensor, bits: int, dtype: type[Integer]) -> npt.NDArray[Integer]:
    numbers = np.round(np.ldexp(values.detach().cpu().double().numpy(), bits))
    if not (abs(numbers) <= min(np.iinfo(dtype).max, 1 << 53)).all():  # NaN compares as false
        raise ModelError("a weight is too large for the integer form; train with weight_decay")
    integers: npt.NDArray[Integer] = numbers.astype(dtype)
    return integers
