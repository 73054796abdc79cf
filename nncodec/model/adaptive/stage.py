"""The adaptive stage: a model that learns from the bits of this very file while it codes them.

A logistic *learner* (learner.py) predicts every bit from its context (contexts.py); a *mixer*
(mixer.py) weighs its logit and the parts that it is the sum of. Each unit, which is a channel of a
layer, has weights of its own; some, the channels of a layer share. All start from a `Start`, see a
bit only after it is coded, and are integers throughout. Where there is a network
(network/stage.py), learner and mixer take its logit as an input.

    context ── learner ─┬─ mixer ── frequency ── coder ── bit
    network ────────────┘                                  │
                  └──── errors: bit - probability ─────────┘

Layers learn nothing together, so that each may be coded in a thread of its own (schedule.py).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.model.adaptive import weights as weights_of
from nncodec.model.adaptive.learner import (
    Place,
    is_sequence,
    predict_bit,
)
from nncodec.model.adaptive.learning import learn_bit
from nncodec.model.adaptive.learning_rates import share_index
from nncodec.model.adaptive.mixer import choose_set, learn_mixing_bit, mix_bit
from nncodec.model.adaptive.start import Start, untrained
from nncodec.model.adaptive.weights import Weights
from nncodec.model.adaptive.workspace import (
    ERRORS,
    LEARNER_ERROR,
    MIXED_ERROR,
    Workspace,
    make_workspace,
)
from nncodec.model.contexts import BLOCKS, CHANNELS, OF_BLOCK, Grid, Spot, make_grid
from nncodec.model.coverage import CoverageStage, make_coverage_stage
from nncodec.model.fixed_point import FREQUENCY_BITS, LOGIT_LIMIT, logistic_table
from nncodec.model.kernels.compilation import inlined
from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.model.network.planes import (
    NetworkStage,
    make_network_stage,
    of_another_thread,
)
from nncodec.model.schedule import Schedule

Int32 = npt.NDArray[np.int32]
Float64 = npt.NDArray[np.float64]


class Stage(NamedTuple):
    """The adaptive stage as compiled functions take it.

    Attributes:
        grid, weights: what is known, what has been learned.
        squash: int32, the table of frequencies.
        workspace: of the thread.
    """

    grid: Grid
    weights: Weights
    squash: Int32
    workspace: Workspace


class AdaptiveStage:
    """Predicts the bits of one group of codes, and learns from them.

    Attributes:
        schedule: what is coded, in which order.
        stage: what the compiled functions below take, in one thread.
        network: the same of the network, if there is one.
        coverage: the same of the decisions, if there are any; threads share it.
    """

    def __init__(
        self, schedule: Schedule, start: Start | None = None, network: IntegerNetwork | None = None
    ) -> None:
        """Starts with no bit known.

        Args:
            schedule: of the group.
            start: what to learn from; by default what suits codes that nobody trained for.
            network: whose logits the learner and the mixer weigh too.
        """
        without_model = start is None
        if start is None:
            start = untrained(schedule.layers, schedule.channels, with_network=network is not None)
        self.schedule, self._start = schedule, start
        grid, weights = make_grid(schedule), weights_of.make_weights(schedule, start)
        self.stage = Stage(grid, weights, logistic_table(), make_workspace(grid, weights))
        self.network: NetworkStage | None = None
        if network:
            self.network = make_network_stage(network, schedule, self.stage.squash)
        self.coverage: CoverageStage | None = None
        if schedule.decisions is not None:
            self.coverage = make_coverage_stage(grid, schedule, of_bits=without_model)

    def of_another_thread(self) -> tuple[Stage, NetworkStage | None]:
        """Gives the same model with workspaces of its own."""
        stage, network = self.stage, self.network
        stage = stage._replace(workspace=make_workspace(stage.grid, stage.weights))
        if network:
            network = of_another_thread(network)
        return stage, network

    def learned(self) -> dict[str, Float64]:
        """Says what the weights have become: float64, as numbers, by the names of a `Start`."""
        return weights_of.learned(self.stage.weights, self.schedule, self._start)


@inlined
def place_of(stage: Stage, spot: Spot, block: int, seen: int) -> Place:
    """Gives the place of a block of a position."""
    sizes = stage.grid.sizes
    group = spot.layer * sizes[BLOCKS] + block
    channels = min(sizes[OF_BLOCK], sizes[CHANNELS] - block * sizes[OF_BLOCK])
    return Place(
        spot.layer,
        spot.picture,
        spot.first + block,
        group * sizes[OF_BLOCK],
        group,
        channels,
        share_index(seen),
    )


@inlined
def predict(stage: Stage, place: Place, rank: int, logit: int) -> int:
    """Predicts a bit.

    Args:
        stage: the model; `begin_block` was called for the block.
        place: of the block.
        rank: of the bit in it.
        logit: the network's; 0 without one.

    Returns:
        The frequency of a 1.
    """
    grid, weights, workspace = stage.grid, stage.weights, stage.workspace
    predict_bit(weights, grid, workspace, place, rank, logit)
    choose_set(workspace, place.layer, rank, is_sequence(weights))
    mixed = mix_bit(weights, workspace, place.first + rank)
    frequency: int = stage.squash[LOGIT_LIMIT + mixed]
    workspace.errors[LEARNER_ERROR, rank] = -stage.squash[LOGIT_LIMIT + workspace.logits[0]]
    workspace.errors[MIXED_ERROR, rank] = -frequency
    return frequency


@inlined
def learn(stage: Stage, place: Place, rank: int, bit: int) -> None:
    """Learns from a bit what those of its layer learn together; `finish_block` learns the rest.

    Args:
        stage: the model, which has predicted the bit.
        place: of its block.
        rank: of the bit in it.
        bit: 0 or 1.
    """
    weights, workspace, sign = stage.weights, stage.workspace, 2 * bit - 1
    for predictor in range(ERRORS):
        workspace.errors[predictor, rank] += bit << FREQUENCY_BITS
    learn_mixing_bit(weights, workspace, place, rank)
    learn_bit(weights, workspace, place, rank, sign)
    stage.grid.signs[place.row * stage.grid.sizes[OF_BLOCK] + rank] = sign
