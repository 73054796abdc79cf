"""How the learner of the adaptive stage learns from the bits that it has predicted.

What a position teaches is used at the next one: its weights move once the last bit of a block is
known; the gates, which the bits of a layer share, learn from each bit at once. FORMAT.md section 9.
"""

from nncodec.model.adaptive.learner import Place, is_sequence, trust
from nncodec.model.adaptive.learning_rates import (
    AROUND,
    BEFORE,
    CONSTANT,
    GATES,
    KNOWN,
    NETWORK,
    RATE_BITS,
    SURPRISE,
    TAPS,
)
from nncodec.model.adaptive.weights import (
    KNOWN_SUM,
    UNIT_BITS,
    WEIGHT_BITS,
    WEIGHT_LIMIT,
    Weights,
)
from nncodec.model.adaptive.workspace import (
    KNOWN_MOVE,
    LEARNER_ERROR,
    MIXED_ERROR,
    SURPRISE_MOVE,
    Workspace,
)
from nncodec.model.contexts import (
    CHANNEL_TAPS,
    FRAME_BEFORE,
    SIGN_BITS,
    STEP_BITS,
    Grid,
)
from nncodec.model.contexts import GATES as PAIRS
from nncodec.model.fixed_point import FREQUENCY_BITS
from nncodec.model.kernels.compilation import inlined, linked
from nncodec.model.kernels.integers import clamped, rounded
from nncodec.model.kernels.long_rows import (
    LANES,
    accumulate,
    correlate,
    learn_row,
)
from nncodec.model.kernels.short_rows import agree, learn_lanes

_MOVE_CUT = FREQUENCY_BITS + RATE_BITS - UNIT_BITS
_WEIGHT_CUT = FREQUENCY_BITS + RATE_BITS - WEIGHT_BITS


@inlined
def learn_bit(weights: Weights, workspace: Workspace, place: Place, rank: int, sign: int) -> None:
    """Takes a bit into account for those of its block that follow.

    Args:
        weights: the gates learn.
        workspace: has the errors of the bit.
        place: of the block.
        rank: of the bit in it.
        sign: 1 or -1.
    """
    sums, error = workspace.sums, int(workspace.errors[LEARNER_ERROR, rank])
    move = rounded(error * workspace.rates[GATES], _WEIGHT_CUT)
    learn_lanes(weights.gates, place.layer, workspace.gated, move, WEIGHT_LIMIT)
    agree(workspace.agreement, workspace.pairs, rank, sign)
    surprise = rounded(error, FREQUENCY_BITS - SIGN_BITS - 1)
    workspace.known[0, rank], workspace.known[1, rank] = sign, surprise
    row, begin = place.first + rank, (rank + 1) & -LANES
    accumulate(sums, KNOWN_SUM, weights.known, row, sign << SIGN_BITS, begin)
    accumulate(sums, KNOWN_SUM, weights.surprise, row, surprise, begin)


@linked
def finish_block(weights: Weights, grid: Grid, workspace: Workspace, place: Place) -> None:
    """Learns from all bits of a block, and keeps how much it resembles its neighbours."""
    _learn_units(weights, workspace, place)
    _learn_rows(weights, workspace, place)
    _learn_nearby(weights, workspace, place)
    if is_sequence(weights):
        workspace.agreement[FRAME_BEFORE] -= trust(grid, place)
    for pair in range(PAIRS):
        grid.agreement[place.row, pair] = workspace.agreement[pair]


@inlined
def _learn_units(weights: Weights, workspace: Workspace, place: Place) -> None:
    rates, moves, group = workspace.rates, workspace.moves, place.group
    for rank in range(place.channels):
        error = int(workspace.errors[LEARNER_ERROR, rank])
        mixed = int(workspace.errors[MIXED_ERROR, rank])
        moves[KNOWN_MOVE, rank] = rounded(error * rates[KNOWN], _MOVE_CUT)
        moves[SURPRISE_MOVE, rank] = rounded(error * rates[SURPRISE], _MOVE_CUT)
        weights.before.moves[group, rank] = rounded(error * rates[BEFORE], _MOVE_CUT)
        weights.around.moves[group, rank] = rounded(mixed * rates[AROUND], _MOVE_CUT + STEP_BITS)
        # Frames that have nothing to do with each other must not cost much.
        weights.motion.moves[group, rank] = rounded(mixed * (rates[AROUND] >> 1), _MOVE_CUT)
        unit = place.first + rank
        constant = weights.constant[unit] + rounded(error * rates[CONSTANT], _WEIGHT_CUT)
        weights.constant[unit] = clamped(constant, WEIGHT_LIMIT)
        move = rounded(error * rates[NETWORK], _WEIGHT_CUT) * workspace.known[2, rank]
        weight = weights.network[unit] + rounded(move, SIGN_BITS)
        weights.network[unit] = clamped(weight, WEIGHT_LIMIT)


@inlined
def _learn_rows(weights: Weights, workspace: Workspace, place: Place) -> None:
    for rank in range(place.channels - 1):
        row, begin = place.first + rank, (rank + 1) & -LANES
        sign, surprise = workspace.known[0, rank], workspace.known[1, rank]
        learn_row(weights.known, row, workspace.moves, KNOWN_MOVE, (sign, 0), begin)
        step = (surprise, SIGN_BITS)
        learn_row(weights.surprise, row, workspace.moves, SURPRISE_MOVE, step, begin)


@inlined
def _learn_nearby(weights: Weights, workspace: Workspace, place: Place) -> None:
    correlate(workspace.signs, workspace.errors, LEARNER_ERROR, workspace.totals)
    rates, layer = workspace.rates, place.layer
    for tap in range(len(CHANNEL_TAPS)):
        total = workspace.totals[tap]
        weight = weights.taps[layer, tap] + rounded(total * rates[TAPS], _WEIGHT_CUT)
        weights.taps[layer, tap] = clamped(weight, WEIGHT_LIMIT)
        if tap < PAIRS:
            move = rounded(total * workspace.gates[tap] * rates[GATES], _WEIGHT_CUT + SIGN_BITS)
            weight = weights.earlier_gates[layer, tap] + move
            weights.earlier_gates[layer, tap] = clamped(weight, WEIGHT_LIMIT)
