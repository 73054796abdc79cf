"""The mixer of the adaptive stage: weighs logits by how right each of them has been.

A bit's weights are sums of those of its unit and of a set that the bits of its layer share; in a
sequence there are several sets, by how much the position resembles the frame before. They learn
from every bit at once. FORMAT.md, section 9.
"""

from nncodec.model.adaptive.learner import Place
from nncodec.model.adaptive.learning_rates import (
    MIXER_OF_LAYER,
    MIXER_OF_UNIT,
)
from nncodec.model.adaptive.weights import MIXER_LIMIT, SETS, WEIGHT_BITS, Weights
from nncodec.model.adaptive.workspace import MIXED_ERROR, Workspace
from nncodec.model.contexts import FRAME_BEFORE, FRAME_TRUST
from nncodec.model.fixed_point import LOGIT_BITS, to_logit
from nncodec.model.kernels.compilation import inlined
from nncodec.model.kernels.short_rows import learn_mixing, mix

FRAME_TENTHS = (-1, 2, 4, 6, 8, 9)
"""Tenths of the bits that must agree with the frame before's more than differ, for each set but the
first: of the known ones, and of FRAME_TRUST before them."""


@inlined
def choose_set(workspace: Workspace, layer: int, rank: int, sequence: bool) -> None:
    """Chooses the row of the set that mixes a bit, and writes it.

    Args:
        workspace: of the block.
        layer: of the bit.
        rank: of the bit in its block.
        sequence: whether there is a frame before.
    """
    chosen = layer * SETS
    if sequence:
        agreement = 10 * workspace.agreement[FRAME_BEFORE]
        for tenths in FRAME_TENTHS:
            chosen += int(agreement > tenths * (rank + FRAME_TRUST))
    workspace.chosen[0] = chosen


@inlined
def mix_bit(weights: Weights, workspace: Workspace, unit: int) -> int:
    """Gives the mixed logit of a bit."""
    total = mix(weights.mixers, unit, weights.sets, workspace.chosen[0], workspace.logits)
    return to_logit(total, LOGIT_BITS + WEIGHT_BITS)


@inlined
def learn_mixing_bit(weights: Weights, workspace: Workspace, place: Place, rank: int) -> None:
    """Moves the weights that mixed a bit, along the gradient of its code length."""
    logits, error = workspace.logits, int(workspace.errors[MIXED_ERROR, rank])
    unit, chosen, rates = place.first + rank, workspace.chosen[0], workspace.rates
    learn_mixing(weights.mixers, unit, logits, error, rates[MIXER_OF_UNIT], MIXER_LIMIT)
    learn_mixing(weights.sets, chosen, logits, error, rates[MIXER_OF_LAYER], MIXER_LIMIT)
