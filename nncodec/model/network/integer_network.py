"""The grouped network in integers: the form that codes bits (networks/grouped.py trains it).

    inputs  = bits at the taps, flags of the places      {-1, 0, 1}
    hidden  = tanh table of (inputs x weights * scale + shift)
    logit   = hidden x head * head_scale + bias

`IntegerNetwork` proves for its weights that the products of matrices fit into 32 bits, and all else
into 64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from nncodec.errors import ModelError
from nncodec.format.limits import MAX_HIDDEN, MAX_UNITS
from nncodec.model.fixed_point import (
    FREQUENCY_BITS,
    FREQUENCY_ONE,
    LOGIT_LIMIT,
    logistic_table,
    require_form,
)
from nncodec.model.network.taps import LARGEST_REACH, Taps

WEIGHT_ONE = ACTIVATION_ONE = 127
"""The largest weight and activation."""

SUM_BITS = 8
"""Fractional bits of a scaled sum, the index of the table of tanh."""
SUM_LIMIT = 4 << SUM_BITS
"""Scaled sums are clamped to this, either way: beyond it tanh rounds to ±1."""

SCALE_BITS = 16
"""Fractional bits of scales, and of shifts and biases beside those of what they are added to."""


@cache
def tanh_table() -> npt.NDArray[np.int8]:
    """127 tanh(z) of every scaled sum z, by the table of the logistic function.

    tanh(z) = 2 logistic(2 z) - 1, and sums have as many fractional bits as logits: with the
    frequency f of logit 2 z, the entry is floor((127 (2 f - 2^16) + 2^15) / 2^16).

    Returns:
        int8, shape (2 * SUM_LIMIT + 1,); index SUM_LIMIT + z holds the value of sum z.
    """
    sums = np.arange(-SUM_LIMIT, SUM_LIMIT + 1)
    tanh = 2 * logistic_table()[LOGIT_LIMIT + 2 * sums].astype(np.int64) - FREQUENCY_ONE
    table = (tanh * ACTIVATION_ONE + FREQUENCY_ONE // 2 >> FREQUENCY_BITS).astype(np.int8)
    table.flags.writeable = False
    return table


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """Weights and scales.

    Attributes:
        layers, channels: the layers that it can predict, and their bits at a position.
        group_size, reach, earlier_layers: as in networks/grouped.py.
        weights: int8 [taps * channels + places, hidden]; 0 where a group does not see an input.
        scale: int32 [layers, hidden], with SCALE_BITS + SUM_BITS fractional bits.
        shift: int64, likewise.
        head: int8 [layers, hidden, channels]; 0 from a higher group to a lower.
        head_scale: int32 [layers, channels], with SCALE_BITS + LOGIT_BITS fractional bits.
        bias: int64 [layers, channels], with SCALE_BITS + LOGIT_BITS fractional bits.

    Raises:
        ModelError: shapes do not fit each other, a weight is not 0 where it must be, or a sum could
            outgrow its integer.
    """

    layers: int
    channels: int
    group_size: int
    reach: int
    earlier_layers: int
    weights: npt.NDArray[np.int8]
    scale: npt.NDArray[np.int32]
    shift: npt.NDArray[np.int64]
    head: npt.NDArray[np.int8]
    head_scale: npt.NDArray[np.int32]
    bias: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if not all(type(size) is int for size in self.sizes().values()):
            raise ModelError("the network's sizes are no whole numbers")
        if not (
            min(self.layers, self.channels) >= 1
            and 0 <= self.earlier_layers <= MAX_UNITS
            and 1 <= self.group_size <= self.channels
            and 1 <= self.reach <= LARGEST_REACH
            and self.weights.ndim == 2
            and (1 + self.earlier_layers) * self.channels <= len(self.weights)
            and 1 <= self.hidden <= MAX_HIDDEN * self.channels
            and self.hidden % self.groups == 0
        ):
            raise ModelError("the network's sizes contradict each other")
        for name, (dtype, shape) in self._forms().items():
            require_form(f"the network's {name}", getattr(self, name), dtype, shape)
        self._check_zeros()
        self._prove_exact()

    @property
    def hidden(self) -> int:
        return int(self.weights.shape[1])

    @property
    def groups(self) -> int:
        return -(-self.channels // self.group_size)

    @property
    def hidden_of_group(self) -> int:
        return self.hidden // self.groups

    @cached_property
    def taps(self) -> Taps:
        return Taps(self.reach, self.earlier_layers)

    def sizes(self) -> dict[str, int]:
        """The numbers that give the arrays their shapes, by name."""
        names = ("layers", "channels", "group_size", "reach", "earlier_layers")
        return {name: getattr(self, name) for name in names}

    def arrays(self) -> dict[str, npt.NDArray[np.integer]]:
        """The weights and scales by name."""
        return {name: getattr(self, name) for name in self._forms()}

    def _forms(self) -> dict[str, tuple[type[np.integer], tuple[int, ...]]]:
        layers, channels, hidden = self.layers, self.channels, self.hidden
        inputs = len(self.taps.offsets) * channels + len(self.taps.places)
        return {
            "weights": (np.int8, (inputs, hidden)),
            "scale": (np.int32, (layers, hidden)),
            "shift": (np.int64, (layers, hidden)),
            "head": (np.int8, (layers, hidden, channels)),
            "head_scale": (np.int32, (layers, channels)),
            "bias": (np.int64, (layers, channels)),
        }

    def _check_zeros(self) -> None:
        taps = len(self.taps.offsets) * self.channels
        group_of_hidden = np.arange(self.hidden) // self.hidden_of_group
        group_of_channel = np.arange(self.channels) // self.group_size
        unseen = ~self.taps.known(self.channels, self.group_size).reshape(taps, -1)
        for name, array, forbidden in (
            ("weights", self.weights[:taps], unseen[:, group_of_hidden]),
            ("head", self.head, group_of_hidden[:, None] > group_of_channel),
        ):
            if (array * forbidden).any():
                raise ModelError(f"the network's {name} would use bits that are not known yet")

    def _prove_exact(self) -> None:
        """Bounds every sum by what it would be if all its terms had one sign."""
        sums = _sums_of_magnitudes(self.weights, axis=0)
        scaled = sums * _magnitudes(self.scale) + _magnitudes(self.shift)
        outputs = ACTIVATION_ONE * _sums_of_magnitudes(self.head, axis=1)
        logits = outputs * _magnitudes(self.head_scale) + _magnitudes(self.bias)
        if max(sums.max(), outputs.max()) >= 1 << 31 or max(scaled.max(), logits.max()) >= 1 << 62:
            raise ModelError("the network's weights are too large: a sum could outgrow its integer")


def _sums_of_magnitudes(values: npt.NDArray[np.int8], axis: int) -> npt.NDArray[np.object_]:
    # By way of 16 bits: an object for every weight would be many times the model.
    sums = np.abs(values.astype(np.int16)).sum(axis, dtype=np.int64)
    return np.asarray(sums.astype(object))


def _magnitudes(values: npt.NDArray[np.integer]) -> npt.NDArray[np.object_]:
    """As Python's integers, which have no limits."""
    return np.asarray(np.abs(values.astype(object)))
