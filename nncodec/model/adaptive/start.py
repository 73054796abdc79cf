"""What the adaptive stage starts from: weights and learning rates, trained or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nncodec.errors import ModelError
from nncodec.model.adaptive import untrained_weights
from nncodec.model.adaptive.learning_rates import (
    HALF_LIVES,
    LARGEST_RATES,
    LEARNERS,
    RATES,
    UNTRAINED,
)
from nncodec.model.contexts import AROUND_TAPS, CHANNEL_TAPS, LAYER_INPUTS, block_size
from nncodec.model.fixed_point import require_form

MIXER_INPUTS = 6
"""Both learners' logits, two parts of the slow one's, a constant, the logit from around."""
MIXER_SETS = 7
"""A layer's weights in the mixer: one set for all bits, three by how sure the slow learner is,
three by how much the position agrees with its left neighbour."""

START_BITS = 12
"""Fractional bits of a weight to start from."""
LARGEST_WEIGHT = 4
MIXER_BITS = 16
"""Fractional bits of a mixer's weight to start from."""
LARGEST_MIXER_WEIGHT = 8


@dataclass(frozen=True, eq=False)
class Start:
    """Weights and rates before the first bit.

    A unit's inputs are the block's known bits; what was surprising of them (fast learner), or the
    block's bits in the layer before (slow); the CHANNEL_TAPS; a constant; the network's logit, if
    there is a network.

    Attributes:
        units: int16 [layers, channels, LEARNERS, unit inputs], with START_BITS fractional bits.
        shared: int16 [layers, LEARNERS, LAYER_INPUTS], the weights of the layers, likewise.
        around: int16 [layers, channels, AROUND_TAPS, block], likewise.
        mixers: int32 [layers, channels, MIXER_INPUTS (+ 1 with a network)], with MIXER_BITS.
        sets: int32 [layers, MIXER_SETS, the same inputs], likewise.
        rates: int32 [layers, RATES], with RATE_BITS fractional bits.
        half_lives: int32 [layers, HALF_LIVES], positions after which a squared rate has halved.

    Raises:
        ModelError: shapes do not fit each other, or a number is out of range.
    """

    units: npt.NDArray[np.int16]
    shared: npt.NDArray[np.int16]
    around: npt.NDArray[np.int16]
    mixers: npt.NDArray[np.int32]
    sets: npt.NDArray[np.int32]
    rates: npt.NDArray[np.int32]
    half_lives: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        if self.units.ndim != 4 or self.mixers.ndim != 3 or 0 in self.units.shape:
            raise ModelError("the start's units or mixers have a wrong number of axes, or are none")
        layers, channels = self.units.shape[:2]
        with_network = int(self.mixers.shape[2] > MIXER_INPUTS)
        block, mixed = block_size(channels), MIXER_INPUTS + with_network
        inputs = 2 * block + len(CHANNEL_TAPS) + 1 + with_network
        weight, mixer = LARGEST_WEIGHT << START_BITS, LARGEST_MIXER_WEIGHT << MIXER_BITS
        for name, dtype, shape, least, most in (
            ("units", np.int16, (layers, channels, LEARNERS, inputs), -weight, weight),
            ("shared", np.int16, (layers, LEARNERS, LAYER_INPUTS), -weight, weight),
            ("around", np.int16, (layers, channels, len(AROUND_TAPS), block), -weight, weight),
            ("mixers", np.int32, (layers, channels, mixed), -mixer, mixer),
            ("sets", np.int32, (layers, MIXER_SETS, mixed), -mixer, mixer),
            ("rates", np.int32, (layers, RATES), 0, LARGEST_RATES),
            ("half_lives", np.int32, (layers, HALF_LIVES), 1, 1 << 30),
        ):
            array = getattr(self, name)
            require_form(f"the start's {name}", array, dtype, shape)
            if (array < least).any() or (array > most).any():
                raise ModelError(f"the start's {name} has a value that is out of range")

    @property
    def layers(self) -> int:
        return len(self.units)

    @property
    def channels(self) -> int:
        return int(self.units.shape[1])

    @property
    def with_network(self) -> bool:
        return bool(self.mixers.shape[2] > MIXER_INPUTS)

    def arrays(self) -> dict[str, npt.NDArray[np.integer]]:
        """The weights and rates by name."""
        names = ("units", "shared", "around", "mixers", "sets", "rates", "half_lives")
        return {name: getattr(self, name) for name in names}


def untrained(layers: int, channels: int, *, with_network: bool = False) -> Start:
    """The start for codes that nobody trained for.

    Channels have no common meaning, so that their own weights start from zero.
    """
    block = block_size(channels)
    inputs = 2 * block + len(CHANNEL_TAPS) + 1 + with_network
    units = np.zeros((layers, channels, LEARNERS, inputs), dtype=np.int16)
    mixer = [1 << 15, 1 << 15, 0, 0, 0, 0]  # half of either learner's logit
    if with_network:
        units[..., -1] = 1 << START_BITS - 1  # half of the network's
        mixer.append(0)
    shared = untrained_weights.START_WEIGHTS << START_BITS - untrained_weights.START_BITS
    rows = np.minimum(np.arange(layers), len(shared) - 1)
    rates, half_lives = UNTRAINED.of_layers(layers)
    return Start(
        units=units,
        shared=np.repeat(shared[rows, None], LEARNERS, axis=1).astype(np.int16),
        around=np.zeros((layers, channels, len(AROUND_TAPS), block), dtype=np.int16),
        mixers=np.tile(np.array(mixer, dtype=np.int32), (layers, channels, 1)),
        sets=np.zeros((layers, MIXER_SETS, len(mixer)), dtype=np.int32),
        rates=rates,
        half_lives=half_lives,
    )
