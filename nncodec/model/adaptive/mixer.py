"""The mixer of the adaptive stage: weighs logits by how right each of them has been.

A bit's weights are sums of those of its unit and of three sets that the channels of its layer learn
together: one for all bits, one for how sure the slow learner is, one for how much the position
agrees with its left neighbour.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.model.adaptive.learning_rates import (
    LEARNERS,
    MIXER_LIFE,
    MIXER_OF_LAYER,
    MIXER_OF_SET,
    MIXER_OF_UNIT,
    RATE_BITS,
    SHARE_BITS,
    SLOW,
)
from nncodec.model.adaptive.start import LARGEST_MIXER_WEIGHT, MIXER_BITS, MIXER_SETS, Start
from nncodec.model.adaptive.weights import Seen, Speeds
from nncodec.model.contexts import Contexts, Grid
from nncodec.model.fixed_point import FREQUENCY_BITS, LOGIT_BITS, clamped, to_logit
from nncodec.model.kernels.compilation import inlined
from nncodec.model.kernels.short_rows import EIGHT, dot_of_sums, move_together
from nncodec.model.schedule import Runs, Schedule

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

MIXING_BITS = 24
"""Fractional bits of a weight as it learns and mixes."""

SURE, VERY_SURE = 205, 512
"""Logits of 0.8 and 2, beyond which the slow learner is sure."""
AGREES, RESEMBLES = 2, 5
"""Tenths of the known bits that must agree with the left neighbour's more than differ."""

_LIMIT = LARGEST_MIXER_WEIGHT << MIXING_BITS
_GRADIENT_BITS = FREQUENCY_BITS + RATE_BITS - MIXING_BITS


class Mixers(NamedTuple):
    """The weights of all units and layers, with MIXING_BITS, and zeros that never move.

    Attributes:
        units: int32 (units, EIGHT).
        sets: int32 (layers * MIXER_SETS, EIGHT).
    """

    units: Int32
    sets: Int32


def mixers(schedule: Schedule, start: Start) -> Mixers:
    """The weights of the first layers of a start."""
    some, shift = slice(schedule.layers), MIXING_BITS - MIXER_BITS
    more = ((0, 0), (0, 0), (0, EIGHT - start.mixers.shape[-1]))
    units = np.pad(start.mixers[some] << shift, more).reshape(-1, EIGHT)
    sets = np.pad(start.sets[some] << shift, more).reshape(-1, EIGHT)
    return Mixers(units, sets)


def learned(mixers: Mixers, inputs: int) -> tuple[Float64, Float64]:
    """The weights of so many inputs as numbers: [layers, channels, inputs] and [layers,
    MIXER_SETS, inputs]."""
    one, layers = 1 << MIXING_BITS, len(mixers.sets) // MIXER_SETS
    units = mixers.units[:, :inputs].reshape(layers, -1, inputs)
    return units / one, mixers.sets[:, :inputs].reshape(layers, MIXER_SETS, inputs) / one


@inlined
def mix(
    mixers: Mixers,
    grid: Grid,
    layer: int,
    runs: Runs,
    contexts: Contexts,
    seen: Seen,
    count: int,
) -> None:
    """Mixes the logits of the bits that a layer has at a step, with the sets that it chooses.

    Args:
        mixers: as they are.
        grid: has how much positions agree with their left neighbours.
        layer: which.
        runs: of the layer.
        contexts: of its bits.
        seen: the learners' logits; the mixed ones and the sets are written.
        count: how many runs there are.
    """
    sets, logits, bit = layer * MIXER_SETS, seen.logits, 0
    for run in range(count):
        unit = runs.units[run]
        known = runs.channels[run] % grid.block
        while bit < runs.ends[run]:
            sure = abs(logits[bit, SLOW])
            first = 1 + (sure > SURE) + (sure > VERY_SURE)
            agreement = 10 * np.int64(grid.agreement[contexts.rows[bit], 0])
            second = 4 + (agreement > AGREES * known) + (agreement > RESEMBLES * known)
            rows = (sets, sets + first, sets + second)
            total = dot_of_sums(mixers.units, unit, mixers.sets, rows, logits, bit)
            seen.sets[bit, 0], seen.sets[bit, 1] = first, second
            seen.mixed[bit] = to_logit(total, LOGIT_BITS + MIXING_BITS)
            bit += 1


@inlined
def learn_mixing(
    mixers: Mixers, speeds: Speeds, layer: int, runs: Runs, seen: Seen, count: int
) -> None:
    """Moves the weights of the units of a layer at a step, and its own; see `learn_units`."""
    units, together, rates = mixers.units, seen.sets_together, speeds.rates
    bit = 0
    for run in range(count):
        unit = runs.units[run]
        share = speeds.shares[layer, MIXER_LIFE, runs.diagonals[run]]
        of_unit = rates[layer, MIXER_OF_UNIT] * share >> SHARE_BITS
        of_layer = rates[layer, MIXER_OF_LAYER] * share >> SHARE_BITS
        of_set = rates[layer, MIXER_OF_SET] * share >> SHARE_BITS
        pace, cuts = (of_unit, of_layer, of_set), (LOGIT_BITS, _GRADIENT_BITS)
        while bit < runs.ends[run]:
            rows, error = (0, seen.sets[bit, 0], seen.sets[bit, 1]), seen.errors[bit, LEARNERS]
            move_together(units, unit, together, rows, seen.logits, bit, error, pace, cuts)
            bit += 1
        for i in range(EIGHT):
            units[unit, i] = clamped(units[unit, i], _LIMIT)
    for number in range(MIXER_SETS if count else 0):
        row = layer * MIXER_SETS + number
        for i in range(EIGHT):
            mixers.sets[row, i] = clamped(mixers.sets[row, i] + together[number, i], _LIMIT)
            together[number, i] = 0
