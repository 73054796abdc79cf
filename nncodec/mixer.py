"""The mixer of the adaptive stage: weighs logits by how right each of them has been.

Every unit has a weight for each input; it learns them from its own errors and, with the other
channels, from those of its layer.
"""

import numpy as np
import numpy.typing as npt

from nncodec.fixed_point import (
    FREQUENCY_BITS,
    LOGIT_BITS,
    LOGIT_LIMIT,
    clamp,
    require_exact,
    round_half_up,
    scale_down,
    to_logits,
)
from nncodec.rates import FULL_STEP, RATE_BITS, diagonal_rates
from nncodec.schedule import Schedule, Step

Float64 = npt.NDArray[np.float64]

MIXER_BITS = 16
"""Fractional bits of a mixer's weight."""
LARGEST_MIXER_WEIGHT = 8
MIXER_START = (1 << 15, 1 << 15, 0, 0, 0)
"""What the weights start from: half the fast and half the slow learner's logit (learners.py)."""
MIXER_START_RATE = 3146  # 0.003
MIXER_HALF_LIFE = 400
UNIT_SHARE = 3
"""How much more a unit's own errors count in its weights than those of its layer."""


class Mixer:
    """The weights of all units, as they learn.

    Raises:
        OverflowError: the code tensor is so large that float64 could not carry a sum.
    """

    def __init__(self, schedule: Schedule) -> None:
        _prove_exact(schedule)
        units = schedule.layers * schedule.channels
        self._weights = np.tile(np.array(MIXER_START, dtype=np.float64), (units, 1))
        self._layer_of_unit = schedule.layer_of_unit
        rates = diagonal_rates(schedule, MIXER_START_RATE, MIXER_HALF_LIFE)
        self._rates = rates[:, None] / (1 << RATE_BITS)

    def logits(self, step: Step, inputs: Float64) -> Float64:
        """The mixed logits, float64 (U, P), of logits (U, P, inputs)."""
        mixed = np.matmul(inputs, self._weights[step.units, :, None])[..., 0]
        return to_logits(mixed, LOGIT_BITS + MIXER_BITS)

    def learn(self, step: Step, inputs: Float64, errors: Float64) -> None:
        """Learns from the errors, float64 (U, P), with FREQUENCY_BITS fractional bits."""
        change = np.matmul(errors[:, None], inputs)[:, 0]
        change = scale_down(change, FREQUENCY_BITS + LOGIT_BITS - MIXER_BITS)
        change *= self._rates[step.diagonals]
        of_layers = np.add.reduceat(change, step.starts)
        of_layers = of_layers[self._layer_of_unit[step.units] - step.layers.start]
        weights = self._weights[step.units]
        weights += round_half_up(of_layers + UNIT_SHARE * change)
        clamp(weights, LARGEST_MIXER_WEIGHT << MIXER_BITS)


def _prove_exact(schedule: Schedule) -> None:
    mixed = LOGIT_LIMIT * (LARGEST_MIXER_WEIGHT << MIXER_BITS)
    require_exact(len(MIXER_START) * mixed, np.float64)
    product = LOGIT_LIMIT << FREQUENCY_BITS
    require_exact(int(schedule.diagonal_sizes.max()) * product, np.float64)
    # Rates fall as steps grow: a layer's change stays within that of full steps.
    change = (product >> (FREQUENCY_BITS + LOGIT_BITS - MIXER_BITS)) * MIXER_START_RATE
    positions = FULL_STEP * (schedule.channels + UNIT_SHARE)
    require_exact(positions * change, np.float64)
