"""The mixer of the adaptive stage: weighs logits by how right each of them has been.

A bit's weights are sums of those of its unit and of three sets that the channels of its layer learn
together: one for all bits, one for how sure the slow learner is, one for how much the position
agrees with its left neighbour.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.compiled import inlined
from nncodec.contexts import Grid
from nncodec.fixed_point import FREQUENCY_BITS, LOGIT_BITS, clamped, rounded, to_logit
from nncodec.learners import Seen, Speeds
from nncodec.rates import (
    LEARNERS,
    MIXER_LIFE,
    MIXER_OF_LAYER,
    MIXER_OF_SET,
    MIXER_OF_UNIT,
    RATE_BITS,
    SHARE_BITS,
    SLOW,
)
from nncodec.schedule import Bits, Schedule
from nncodec.start import LARGEST_MIXER_WEIGHT, MIXER_BITS, Start

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
    """The weights of all units and layers, with MIXING_BITS.

    Attributes:
        units: int32 (units, mixer inputs).
        sets: int32 (layers, MIXER_SETS, mixer inputs).
        together: int64 (MIXER_SETS, mixer inputs), the change of a layer's sets while its units
            learn.
    """

    units: Int32
    sets: Int32
    together: Int64


def mixers(schedule: Schedule, start: Start) -> Mixers:
    """The weights of the first layers of a start."""
    some, shift = slice(schedule.layers), MIXING_BITS - MIXER_BITS
    units = (start.mixers[some] << shift).reshape(-1, start.mixers.shape[-1])
    sets = start.sets[some] << shift
    return Mixers(units, sets, np.zeros(sets.shape[1:], dtype=np.int64))


def learned(mixers: Mixers) -> tuple[Float64, Float64]:
    """The weights as numbers: [layers, channels, inputs] and [layers, MIXER_SETS, inputs]."""
    one = 1 << MIXING_BITS
    layers, _, inputs = mixers.sets.shape
    return mixers.units.reshape(layers, -1, inputs) / one, mixers.sets / one


@inlined
def mix(mixers: Mixers, grid: Grid, bits: Bits, seen: Seen, count: int) -> None:
    """Mixes the logits of the bits of a step, with the sets that it chooses.

    Args:
        mixers: as they are.
        grid: has how much positions agree with their left neighbours.
        bits: of the step.
        seen: the learners' logits; the mixed ones and the sets are written.
        count: how many bits there are.
    """
    units, sets, logits = mixers.units, mixers.sets, seen.logits
    block = grid.signs.shape[1]
    for bit in range(count):
        layer, unit = bits.layers[bit], bits.units[bit]
        sure = abs(logits[bit, SLOW])
        first = 1 + (sure > SURE) + (sure > VERY_SURE)
        known = bits.channels[bit] % block
        agreement = 10 * np.int64(grid.agreement[seen.rows[bit], 0])
        second = 4 + (agreement > AGREES * known) + (agreement > RESEMBLES * known)
        total = 0
        for i in range(units.shape[1]):
            weight = units[unit, i] + sets[layer, 0, i]
            weight += sets[layer, first, i] + sets[layer, second, i]
            total += np.int64(weight) * logits[bit, i]
        seen.sets[bit, 0], seen.sets[bit, 1] = first, second
        seen.mixed[bit] = to_logit(total, LOGIT_BITS + MIXING_BITS)


@inlined
def learn_mixing(mixers: Mixers, speeds: Speeds, bits: Bits, seen: Seen, count: int) -> None:
    """Moves the weights of the units of a step, and of their layers; see `learn_units`."""
    units, sets, together = mixers.units, mixers.sets, mixers.together
    rates, inputs = speeds.rates, mixers.units.shape[1]
    for bit in range(count):
        layer, unit = bits.layers[bit], bits.units[bit]
        first, second = seen.sets[bit, 0], seen.sets[bit, 1]
        share = speeds.shares[layer, MIXER_LIFE, bits.diagonals[bit]]
        of_unit = rates[layer, MIXER_OF_UNIT] * share >> SHARE_BITS
        of_layer = rates[layer, MIXER_OF_LAYER] * share >> SHARE_BITS
        of_set = rates[layer, MIXER_OF_SET] * share >> SHARE_BITS
        error = seen.errors[bit, LEARNERS]
        for i in range(inputs):
            gradient = rounded(error * seen.logits[bit, i], LOGIT_BITS)
            units[unit, i] += rounded(gradient * of_unit, _GRADIENT_BITS)
            together[0, i] += rounded(gradient * of_layer, _GRADIENT_BITS)
            change = rounded(gradient * of_set, _GRADIENT_BITS)
            together[first, i] += change
            together[second, i] += change
        if bit + 1 == count or bits.units[bit + 1] != unit:
            for i in range(inputs):
                units[unit, i] = clamped(units[unit, i], _LIMIT)
        if bit + 1 == count or bits.layers[bit + 1] != layer:
            for number in range(len(together)):
                for i in range(inputs):
                    changed = sets[layer, number, i] + together[number, i]
                    sets[layer, number, i] = clamped(changed, _LIMIT)
                    together[number, i] = 0
