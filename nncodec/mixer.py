"""The mixer of the adaptive stage: weighs logits by how right each of them has been.

Every unit has a weight for each input; it learns them from its own errors and, with the other
channels that the step has, from those of its layer, even at a diagonal without positions.
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
from nncodec.rates import FULL_STEP, Rates
from nncodec.schedule import Schedule, Step
from nncodec.start import (
    LARGEST_MIXER_WEIGHT,
    LARGEST_RATES,
    LEARNERS,
    MIXER_BITS,
    MIXER_INPUTS,
    Start,
)

Float64 = npt.NDArray[np.float64]


class Mixer:
    """The weights of all units, as they learn.

    Raises:
        OverflowError: the code tensor is so large that float64 could not carry a sum.
    """

    def __init__(self, schedule: Schedule, start: Start) -> None:
        """Starts from the first layers of `start`, which has at least those of the schedule."""
        _prove_exact(schedule)
        mixers = start.mixers[: schedule.layers]
        self._weights = mixers.reshape(-1, mixers.shape[2]).astype(np.float64)
        self._layer_of_unit = schedule.layer_of_unit
        rates = start.rates[: schedule.layers, LEARNERS:]
        half_lives = start.half_lives[: schedule.layers, LEARNERS:]
        self._rates = Rates(schedule, rates, np.repeat(half_lives, 2, axis=1))

    def weights(self) -> Float64:
        """What has been learned, (units, inputs)."""
        return self._weights / (1 << MIXER_BITS)

    def logits(self, step: Step, inputs: Float64) -> Float64:
        """The mixed logits, float64 (U, P), of logits (U, P, inputs)."""
        mixed = np.matmul(inputs, self._weights[step.units, :, None])[..., 0]
        return to_logits(mixed, LOGIT_BITS + MIXER_BITS)

    def learn(self, step: Step, inputs: Float64, errors: Float64) -> None:
        """Learns from the errors, float64 (U, P), with FREQUENCY_BITS fractional bits."""
        change = np.matmul(errors[:, None], inputs)[:, 0]
        change = scale_down(change, FREQUENCY_BITS + LOGIT_BITS - MIXER_BITS)
        unit_rates, layer_rates = self._rates.of(step).T[..., None]
        of_layers = np.add.reduceat(change * layer_rates, step.starts)
        of_layers = of_layers[self._layer_of_unit[step.units] - step.layers.start]
        weights = self._weights[step.units]
        weights += round_half_up(of_layers + change * unit_rates)
        clamp(weights, LARGEST_MIXER_WEIGHT << MIXER_BITS)


def _prove_exact(schedule: Schedule) -> None:
    mixed = LOGIT_LIMIT * (LARGEST_MIXER_WEIGHT << MIXER_BITS)
    require_exact((MIXER_INPUTS + 1) * mixed, np.float64)
    product = LOGIT_LIMIT << FREQUENCY_BITS
    require_exact(int(schedule.diagonal_sizes.max()) * product, np.float64)
    # Rates fall as steps grow: a layer's change stays within that of full steps.
    change = (product >> (FREQUENCY_BITS + LOGIT_BITS - MIXER_BITS)) * int(
        LARGEST_RATES[LEARNERS:].max()
    )
    positions = FULL_STEP * (schedule.channels + 1)
    require_exact(positions * change, np.float64)
