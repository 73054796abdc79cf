"""What the adaptive stage starts from: weights and learning rates, trained or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nncodec.errors import ModelError
from nncodec.model.adaptive.learning_rates import HALF_LIVES, LARGEST_RATES, RATES, UNTRAINED
from nncodec.model.adaptive.untrained_weights import START_BITS, START_WEIGHTS
from nncodec.model.contexts import AROUND_TAPS, MORE_TAPS, RESEMBLANCE_TAPS
from nncodec.model.fixed_point import require_form
from nncodec.model.schedule import block_count, block_size

SHARED_INPUTS = 3 * len(RESEMBLANCE_TAPS) + len(MORE_TAPS)
"""What a layer's channels weigh together: the RESEMBLANCE_TAPS, the MORE_TAPS, the first ones
again as much as the position resembles them, by the layer's known bits, and by the layer before."""

MIXER_INPUTS = 6
"""The learner's logit, four parts of it, a constant; then the network's, if there is one."""

LARGEST_WEIGHT = (1 << 15) - 1
"""A weight to start from, with START_BITS fractional bits, at most: about 2."""
MIXER_BITS = 16
"""Fractional bits of a mixer's weight to start from."""
LARGEST_MIXER_WEIGHT = 8


@dataclass(frozen=True, eq=False)
class Start:
    """Weights and rates before the first bit, FORMAT.md section 8.

    A unit's inputs are the block's known bits; how surprising those were; the bits of the block
    before, if there are several; the block's bits in the layer before; a constant; the network's
    logit, if there is a network.

    Attributes:
        units: int16 [layers, channels, unit inputs], with START_BITS fractional bits.
        shared: int16 [layers, SHARED_INPUTS], the weights of the layers, likewise.
        around: int16 [layers, channels, AROUND_TAPS, block], likewise.
        mixers: int32 [layers, channels, MIXER_INPUTS (+ 1 with a network)], with MIXER_BITS.
        sets: int32 [layers, the same inputs], likewise: what the mixers of a layer share.
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
        if self.units.ndim != 3 or self.mixers.ndim != 3 or 0 in self.units.shape:
            raise ModelError("the start's units or mixers have a wrong number of axes, or are none")
        layers, channels = self.units.shape[:2]
        with_network = int(self.mixers.shape[2] > MIXER_INPUTS)
        block, mixed = block_size(channels), MIXER_INPUTS + with_network
        weight, mixer = LARGEST_WEIGHT, LARGEST_MIXER_WEIGHT << MIXER_BITS
        for name, dtype, shape, least, most in (
            (
                "units",
                np.int16,
                (layers, channels, unit_inputs(channels, with_network)),
                -weight,
                weight,
            ),
            ("shared", np.int16, (layers, SHARED_INPUTS), -weight, weight),
            ("around", np.int16, (layers, channels, len(AROUND_TAPS), block), -weight, weight),
            ("mixers", np.int32, (layers, channels, mixed), -mixer, mixer),
            ("sets", np.int32, (layers, mixed), -mixer, mixer),
            ("rates", np.int32, (layers, RATES), 0, LARGEST_RATES),
            ("half_lives", np.int32, (layers, HALF_LIVES), 1, 1 << 30),
        ):
            array = getattr(self, name)
            require_form(f"the start's {name}", array, dtype, shape)
            if (array < least).any() or (array > most).any():
                raise ModelError(f"the start's {name} has a value that is out of range")

    @property
    def layers(self) -> int:
        """The most layers of codes that it is for."""
        return len(self.units)

    @property
    def channels(self) -> int:
        """The bits of a layer at a position."""
        return int(self.units.shape[1])

    @property
    def with_network(self) -> bool:
        """Whether it is for a stage beside a network."""
        return bool(self.mixers.shape[2] > MIXER_INPUTS)

    def arrays(self) -> dict[str, npt.NDArray[np.integer]]:
        """The weights and rates by name."""
        names = ("units", "shared", "around", "mixers", "sets", "rates", "half_lives")
        return {name: getattr(self, name) for name in names}


def unit_inputs(channels: int, with_network: bool | int) -> int:
    """How many inputs a unit has of its own, beside what is around."""
    blocks_seen = 3 + (block_count(channels) > 1)
    return blocks_seen * block_size(channels) + 1 + int(with_network)


def untrained(layers: int, channels: int, *, with_network: bool = False) -> Start:
    """Makes the start for codes that nobody trained for, FORMAT.md section 11.

    Channels have no common meaning, so that their own weights start from zero.
    """
    block = block_size(channels)
    units = np.zeros((layers, channels, unit_inputs(channels, with_network)), dtype=np.int16)
    mixer = [1 << MIXER_BITS, *[0] * (MIXER_INPUTS - 1)]  # the learner's logit as it is
    if with_network:
        units[..., -1] = 1 << START_BITS - 1  # half of the network's
        mixer.append(0)
    rows = np.minimum(np.arange(layers), len(START_WEIGHTS) - 1)
    rates, half_lives = UNTRAINED.of_layers(layers)
    return Start(
        units=units,
        shared=START_WEIGHTS[rows].astype(np.int16),
        around=np.zeros((layers, channels, len(AROUND_TAPS), block), dtype=np.int16),
        mixers=np.tile(np.array(mixer, dtype=np.int32), (layers, channels, 1)),
        sets=np.zeros((layers, len(mixer)), dtype=np.int32),
        rates=rates,
        half_lives=half_lives,
    )
