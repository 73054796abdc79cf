"""The adaptive stage: a model that learns from the bits of this very file while it codes them.

Two logistic *learners* (learners.py) predict every bit from its context (contexts.py), one fast,
one slow; a *mixer* (mixer.py) weighs their logits. Each unit (schedule.py) has weights of its own;
what the channels of a layer have in common, they learn together. All of it starts from the weights
of a `Start` (start.py), sees a bit only after it is coded, and is integer arithmetic throughout.
Where there is a network (network/stage.py), learners and mixer take its logit as an input.

    context ─┬─ fast learner ─┬─ mixer ── frequency ── coder ── bit
             └─ slow learner ─┘                                  │
                  └────────── errors: bit - probability ─────────┘

All bits that a layer has at a step are predicted, then all are learned from, then all are recorded:
among them nothing depends on an order. Layers learn nothing together, so that each may be coded in
a thread of its own, behind the layer before it (schedule.py).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.model.adaptive import mixer, weights
from nncodec.model.adaptive.learners import learn_units, network_input, predict_units
from nncodec.model.adaptive.learning_rates import FAST, LEARNERS
from nncodec.model.adaptive.mixer import Mixers, learn_mixing, mix
from nncodec.model.adaptive.start import Start, untrained
from nncodec.model.adaptive.weights import Seen, Speeds, Weights, room_for_seen
from nncodec.model.contexts import (
    RESEMBLANCE_TAPS,
    UNIT_BITS,
    Contexts,
    Grid,
    empty_grid,
    record,
    room_for_contexts,
    see,
)
from nncodec.model.fixed_point import FREQUENCY_BITS, LOGIT_LIMIT, logistic_table, rounded
from nncodec.model.kernels.compilation import compiled, inlined
from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.model.network.stage import (
    NetworkStage,
    input_shape,
    network_logit,
    network_stage,
    predict_groups,
)
from nncodec.model.schedule import Plan, Runs, Schedule, bits_of, list_runs

Int32 = npt.NDArray[np.int32]
Float64 = npt.NDArray[np.float64]

assert RESEMBLANCE_TAPS[0] == (0, 0, -1)  # the left neighbour, which chooses sets of the mixer


class Room(NamedTuple):
    """What the bits need that a layer has at a step: N, and every thread for itself.

    Attributes:
        runs: of the layer and step under way.
        contexts, seen: of their bits.
        frequencies: int32 (N,), of a 1 for each of them.
        bits: uint8 (N,), the bits, once they are known.
    """

    runs: Runs
    contexts: Contexts
    seen: Seen
    frequencies: Int32
    bits: npt.NDArray[np.uint8]


class Stage(NamedTuple):
    """The whole model as compiled functions take it.

    Attributes:
        plan: of the schedule.
        grid, weights, speeds, mixers, network: the parts of the model.
        squash: int32, the table of frequencies.
        room: for the bits under way.
    """

    plan: Plan
    grid: Grid
    weights: Weights
    speeds: Speeds
    mixers: Mixers
    network: NetworkStage
    squash: Int32
    room: Room


class AdaptiveStage:
    """Predicts the bits of one code tensor, and learns from them.

    `frequencies` and `learn` are called in turn for every layer at every step of the schedule, with
    the same bits when encoding as when decoding; or `predict` and `learn_from` by a compiled loop.

    Attributes:
        parts: what these take, in one thread.
    """

    def __init__(
        self, schedule: Schedule, start: Start | None = None, network: IntegerNetwork | None = None
    ) -> None:
        """Starts with no bit known.

        Args:
            schedule: of the code tensor.
            start: what to learn from; by default what suits codes that nobody trained for.
            network: whose logits the learners and the mixer weigh too.
        """
        if start is None:
            start = untrained(schedule.layers, schedule.channels, with_network=network is not None)
        grid, stage = empty_grid(schedule), network_stage(network, schedule)
        self._schedule, self._mixer_inputs = schedule, start.mixers.shape[-1]
        self._layer = self._runs = 0
        self.parts = Stage(
            plan=schedule.plan,
            grid=grid,
            weights=weights.weights(schedule, start),
            speeds=weights.speeds(schedule, start),
            mixers=mixer.mixers(schedule, start),
            network=stage,
            squash=logistic_table(),
            room=_room(schedule, grid, stage),
        )

    def parts_of_another_thread(self) -> Stage:
        """The same model, with room for the bits of another layer."""
        return self.parts._replace(room=_room(self._schedule, self.parts.grid, self.parts.network))

    def frequencies(self, step: int, layer: int) -> Int32:
        """The frequency of a 1 for every bit that a layer has at a step: int32, in coding order.

        The array is the stage's own: the next call overwrites it.
        """
        self._layer, self._runs = layer, _predict(step, layer, self.parts)
        room = self.parts.room
        bits = int(room.runs.ends[self._runs - 1]) if self._runs else 0
        return room.frequencies[:bits]

    def learn(self, bits: npt.NDArray[np.integer]) -> None:
        """Learns from the bits whose frequencies were asked for last: {0, 1}, one for each."""
        self.parts.room.bits[: len(bits)] = bits
        _learn_from(self._layer, self._runs, self.parts)

    def learned(self) -> dict[str, Float64]:
        """The weights as they have become: float64, as numbers, by the names that a Start has."""
        units, shared, around = weights.learned(self.parts.weights, self._schedule)
        mixers, sets = mixer.learned(self.parts.mixers, self._mixer_inputs)
        return {
            "units": units,
            "shared": shared,
            "around": around,
            "mixers": mixers,
            "sets": sets,
        }


def _room(schedule: Schedule, grid: Grid, network: NetworkStage) -> Room:
    most = int(schedule.sizes_up_to_layer(1).max())
    return Room(
        runs=schedule.room(),
        contexts=room_for_contexts(grid.block, most, input_shape(network)),
        seen=room_for_seen(most),
        frequencies=np.zeros(most, dtype=np.int32),
        bits=np.zeros(most, dtype=np.uint8),
    )


@inlined
def predict(step: int, layer: int, stage: Stage) -> int:
    """Predicts the bits that a layer has at a step, and gives its number of runs."""
    grid, (runs, contexts, seen, frequencies, _) = stage.grid, stage.room
    count = list_runs(stage.plan, step, layer, runs)
    see(stage.plan, grid, layer, runs, contexts, count)
    if stage.network.group_size:
        ask(stage.plan, stage.network, grid, layer, runs, contexts, seen, count)
    predict_units(stage.weights, grid, layer, runs, contexts, seen, count)
    mix(stage.mixers, grid, layer, runs, contexts, seen, count)
    look_up(stage.squash, runs, seen, frequencies, count)
    return count


@inlined
def learn_from(layer: int, count: int, stage: Stage) -> None:
    """Learns from the bits that were predicted last, which had so many runs."""
    grid, (runs, contexts, seen, _, bits) = stage.grid, stage.room
    reveal(bits, runs, seen, count)
    learn_units(stage.weights, stage.speeds, grid, layer, runs, contexts, seen, count)
    learn_mixing(stage.mixers, stage.speeds, layer, runs, seen, count)
    record_all(bits, grid, layer, runs, contexts, seen, count)


@compiled
def _predict(step: int, layer: int, stage: Stage) -> int:
    return predict(step, layer, stage)


@compiled
def _learn_from(layer: int, count: int, stage: Stage) -> None:
    learn_from(layer, count, stage)


@inlined
def ask(
    plan: Plan,
    network: NetworkStage,
    grid: Grid,
    layer: int,
    runs: Runs,
    contexts: Contexts,
    seen: Seen,
    count: int,
) -> None:
    """Writes what the network says of the bits."""
    predict_groups(plan, network, grid, layer, runs, contexts, count)
    bit = 0
    for run in range(count):
        place = plan.begins[runs.diagonals[run]]
        while bit < runs.ends[run]:
            logit = network_logit(network, layer, runs.channels[run], place)
            seen.logits[bit, LEARNERS + 4] = logit
            seen.network[bit] = network_input(logit)
            bit += 1
            place += 1


@inlined
def look_up(squash: Int32, runs: Runs, seen: Seen, frequencies: Int32, count: int) -> None:
    """Turns logits into frequencies, and into errors as if all bits were 0."""
    for bit in range(bits_of(runs, count)):
        for learner in range(LEARNERS):
            seen.errors[bit, learner] = -squash[LOGIT_LIMIT + seen.logits[bit, learner]]
        frequencies[bit] = squash[LOGIT_LIMIT + seen.mixed[bit]]
        seen.errors[bit, LEARNERS] = -frequencies[bit]


@inlined
def reveal(bits: npt.NDArray[np.uint8], runs: Runs, seen: Seen, count: int) -> None:
    """Makes errors of what `look_up` left, once the bits are known."""
    for bit in range(bits_of(runs, count)):
        one = np.int32(bits[bit]) << FREQUENCY_BITS
        for predictor in range(LEARNERS + 1):
            seen.errors[bit, predictor] += one


@inlined
def record_all(
    bits: npt.NDArray[np.uint8],
    grid: Grid,
    layer: int,
    runs: Runs,
    contexts: Contexts,
    seen: Seen,
    count: int,
) -> None:
    """Writes the bits that a layer has at a step, once all of them have been learned from."""
    bit = 0
    for run in range(count):
        rank = runs.channels[run] % grid.block
        while bit < runs.ends[run]:
            surprise = rounded(seen.errors[bit, FAST], FREQUENCY_BITS - UNIT_BITS - 1)
            record(grid, layer, rank, contexts.rows[bit], 1 if bits[bit] else -1, surprise)
            bit += 1
