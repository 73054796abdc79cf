"""The learner of the adaptive stage: a logistic regression for every unit.

Its logit is a sum of parts. Those of what was known before the position began, all bits of the
block get at once, by whole rows; that of the bits beside it grows as they become known. What a
position teaches is used at the next one (learning.py). FORMAT.md, section 9.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.model.adaptive.learning_rates import (
    AROUND,
    AROUND_LIFE,
    BEFORE,
    BEFORE_LIFE,
    LEARNER_LIFE,
    MIXER_LIFE,
    MIXER_OF_UNIT,
    RATES,
    SHARE_BITS,
)
from nncodec.model.adaptive.weights import (
    AROUND_SUM,
    BEFORE_SUM,
    KNOWN_SUM,
    MOTION_SUM,
    NEARBY_SUM,
    UNIT_BITS,
    WEIGHT_BITS,
    Matrix,
    Weights,
)
from nncodec.model.adaptive.workspace import (
    Workspace,
)
from nncodec.model.contexts import (
    BLOCKS,
    CHANNEL_TAPS,
    FRAME_BEFORE,
    FRAME_TRUST,
    OF_BLOCK,
    OF_LAYER,
    SIGN_BITS,
    Grid,
    Picture,
    first_sign,
)
from nncodec.model.contexts import GATES as PAIRS
from nncodec.model.fixed_point import LOGIT_BITS, to_logit
from nncodec.model.kernels.compilation import inlined, linked
from nncodec.model.kernels.integers import clamped, rounded
from nncodec.model.kernels.long_rows import (
    Extent,
    combine,
    copy,
    learn_and_sum,
    multiply,
    padded_columns,
)
from nncodec.model.kernels.short_rows import gate, weigh

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]

MIXER_CONSTANT = 77
"""What stands for a constant among the mixer's logits: 0.3."""

SUM_BITS = UNIT_BITS + SIGN_BITS
"""Fractional bits of the parts of a logit."""

NETWORK_LIMIT = 8
"""A network's logit is clamped to this, either way, where the learner weighs it."""

_CUT = WEIGHT_BITS - UNIT_BITS


class Place(NamedTuple):
    """Which block of which position is coded.

    Attributes:
        layer: its number.
        picture: in which the position lies.
        row: of the grid.
        first: unit of the block.
        group: layer * blocks + block.
        channels: how many the block has.
        share: the index of the position in the table of `Weights.shares`.
    """

    layer: int
    picture: Picture
    row: int
    first: int
    group: int
    channels: int
    share: int


@linked
def begin_block(weights: Weights, grid: Grid, workspace: Workspace, place: Place) -> None:
    """Computes the parts of the logits that are known before the first bit of a block."""
    _let_rates_fall(weights, workspace, place)
    _sum_matrix(weights.around, grid, workspace, place)
    _sum_matrix(weights.before, grid, workspace, place)
    if is_sequence(weights):
        _sum_matrix(weights.motion, grid, workspace, place)
    _sum_nearby(weights, grid, workspace, place)
    for rank in range(place.channels):
        constant = weights.constant[place.first + rank] >> WEIGHT_BITS - SUM_BITS
        workspace.sums[KNOWN_SUM, rank] = constant
    for pair in range(PAIRS):
        workspace.agreement[pair] = 0
    if is_sequence(weights):
        workspace.agreement[FRAME_BEFORE] = trust(grid, place)


@inlined
def _let_rates_fall(weights: Weights, workspace: Workspace, place: Place) -> None:
    layer = place.layer
    for kind in range(RATES):
        life = LEARNER_LIFE
        if kind == BEFORE:
            life = BEFORE_LIFE
        elif kind == AROUND:
            life = AROUND_LIFE
        elif kind >= MIXER_OF_UNIT:
            life = MIXER_LIFE
        share = weights.shares.table[weights.shares.lives[layer, life], place.share]
        workspace.rates[kind] = weights.rates[layer, kind] * share >> SHARE_BITS


@inlined
def is_sequence(weights: Weights) -> bool:
    """Whether the pictures are frames, each predicted from those before."""
    return len(weights.motion.taps.frames) > 0


@inlined
def _sum_matrix(matrix: Matrix, grid: Grid, workspace: Workspace, place: Place) -> None:
    taps, inputs = matrix.taps, workspace.inputs
    block, end = grid.sizes[OF_BLOCK], 0
    for tap in range(taps.counts[place.layer]):
        first = first_sign(grid, taps, place.layer, tap, place.row, place.picture)
        copy(grid.signs, first, inputs, 0, end, block)
        end += block
    columns = padded_columns(end)
    for column in range(end, columns):  # there may be signs of another matrix, or of another layer
        inputs[0, column] = 0
    extent = Extent(place.first, place.channels, columns, place.group, matrix.sums)
    learn_and_sum(matrix.weights, matrix.moves, matrix.inputs, inputs, workspace.sums, extent)
    multiply(inputs, matrix.steps, matrix.inputs, place.group, columns)


@inlined
def _sum_nearby(weights: Weights, grid: Grid, workspace: Workspace, place: Place) -> None:
    signs, layer, block = workspace.signs, place.layer, grid.sizes[OF_BLOCK]
    for tap in range(len(CHANNEL_TAPS)):
        first = first_sign(grid, grid.channel, layer, tap, place.row, place.picture)
        copy(grid.signs, first, signs, tap, 0, block)
        factor = (weights.taps[layer, tap] >> _CUT) << SIGN_BITS
        if tap < PAIRS:
            before = place.row - grid.sizes[OF_LAYER]
            earlier = grid.earlier_gates[block + grid.agreement[before, tap]]
            workspace.gates[tap] = earlier
            factor += earlier * (weights.earlier_gates[layer, tap] >> _CUT)
            for channel in range(block):
                workspace.pairs[channel, tap] = signs[tap, channel]
        workspace.factors[tap] = factor
    combine(signs, workspace.factors, workspace.sums, NEARBY_SUM)


@inlined
def trust(grid: Grid, place: Place) -> int:
    """Estimates how much a block resembles that of the frame before, in FRAME_TRUST bits.

    By the layer before; in the first layer, by the positions to the left and above.
    """
    if place.layer:
        resembles = int(grid.agreement[place.row - grid.sizes[OF_LAYER], FRAME_BEFORE])
    else:
        left = int(grid.agreement[place.row - grid.sizes[BLOCKS], FRAME_BEFORE])
        above = int(grid.agreement[place.row - place.picture.line, FRAME_BEFORE])
        resembles = left + above >> 1
    trust: int = FRAME_TRUST * resembles // grid.sizes[OF_BLOCK]
    return trust


@inlined
def predict_bit(
    weights: Weights, grid: Grid, workspace: Workspace, place: Place, rank: int, network: int
) -> None:
    """Writes the logits of a bit and of their parts for the mixer.

    Args:
        weights: as they are.
        grid: has the scales of the gates.
        workspace: of the block that was begun.
        place: of that.
        rank: of the bit in the block.
        network: the network's logit; 0 without one.
    """
    sums, logits = workspace.sums, workspace.logits
    gate(workspace.agreement, grid.gate_scales, workspace.pairs, rank, workspace.gated)
    nearby = sums[NEARBY_SUM, rank] + weigh(weights.gates, place.layer, workspace.gated, _CUT)
    known = int(sums[KNOWN_SUM, rank])
    before = int(sums[BEFORE_SUM, rank]) << SIGN_BITS
    around = int(sums[AROUND_SUM, rank]) << SIGN_BITS
    motion = int(sums[MOTION_SUM, rank]) << SIGN_BITS
    seen = network_input(network)
    workspace.known[2, rank] = seen
    of_network = (weights.network[place.first + rank] >> _CUT) * seen
    total = nearby + known + before + around + motion + of_network
    logits[0] = to_logit(total, SUM_BITS)
    logits[1] = to_logit(known, SUM_BITS)
    logits[2] = to_logit(nearby, SUM_BITS)
    logits[3] = to_logit(before, SUM_BITS)
    logits[4] = to_logit(around, SUM_BITS)
    logits[5] = MIXER_CONSTANT
    logits[6] = network
    logits[7] = to_logit(motion, SUM_BITS)


@inlined
def network_input(logit: int) -> int:
    """A network's logit as the learner sees it, with SIGN_BITS."""
    return clamped(rounded(logit, LOGIT_BITS - SIGN_BITS), NETWORK_LIMIT << SIGN_BITS)
