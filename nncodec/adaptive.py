"""The adaptive stage: a model that learns from the bits of this very file while it codes them.

Two logistic *learners* (learners.py) predict every bit from its context (contexts.py), one fast,
one slow; a *mixer* (mixer.py) weighs their logits. Each unit (schedule.py) has weights of its own;
what the channels of a layer have in common, they learn together. All of it starts from the weights
of a `Start` (start.py), sees a bit only after it is coded, and is integer arithmetic throughout.
Where there is a network (network_stage.py), learners and mixer take its logit as an input.

    context ─┬─ fast learner ─┬─ mixer ── frequency ── coder ── bit
             └─ slow learner ─┘                                  │
                  └────────── errors: bit - probability ─────────┘

All bits of a step are predicted, then all are learned from, then all are recorded: within a step
nothing depends on an order.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec import learners, mixer
from nncodec.compiled import compiled, inlined
from nncodec.contexts import (
    AROUND_TAPS,
    RESEMBLANCE_TAPS,
    UNIT_BITS,
    Grid,
    copy_row,
    empty_grid,
    neighbours,
    record,
)
from nncodec.fixed_point import FREQUENCY_BITS, LOGIT_LIMIT, logistic_table, rounded
from nncodec.integer_network import IntegerNetwork
from nncodec.learners import (
    SHARED_WIDTH,
    Seen,
    Speeds,
    Weights,
    learn_units,
    network_input,
    predict_units,
)
from nncodec.mixer import Mixers, learn_mixing, mix
from nncodec.network_stage import NetworkStage, network_logit, network_stage, predict_groups
from nncodec.rates import FAST, LEARNERS
from nncodec.schedule import Bits, Plan, Schedule, list_bits
from nncodec.start import Start, untrained

Int32 = npt.NDArray[np.int32]
Float64 = npt.NDArray[np.float64]

assert RESEMBLANCE_TAPS[0] == (0, 0, -1)  # the left neighbour, which chooses sets of the mixer


class AdaptiveStage:
    """Predicts the bits of one code tensor, step by step, and learns from them.

    `frequencies` and `learn` are called in turn for every step of the schedule, with the same bits
    when encoding as when decoding.
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
        grid, bits = empty_grid(schedule), schedule.room()
        self._layers, self._end = schedule.layers, schedule.step_count
        self._weights = learners.weights(schedule, start)
        self._mixers = mixer.mixers(schedule, start)
        self._frequencies = np.empty(len(bits.units), dtype=np.int32)
        self._values = np.empty(len(bits.units), dtype=np.uint8)
        self._known = 0
        # Plain tuples: those with names take twice as long to pass, as long as some bits.
        self._parts = (
            tuple(schedule.plan),
            tuple(bits),
            tuple(grid),
            tuple(self._weights),
            tuple(learners.speeds(schedule, start)),
            tuple(self._mixers),
            tuple(network_stage(network, schedule)),
            logistic_table(),
            tuple(_room(grid, self._mixers, len(bits.units))),
            self._frequencies,
        )

    def frequencies(self, step: int) -> Int32:
        """The frequency of a 1 for every bit of a step: int32, units in order, then positions.

        The array is the stage's own: the next step overwrites it.
        """
        count = _advance(self._known, self._values, step, self._parts)
        self._known = 0
        return self._frequencies[:count]

    def learn(self, bits: npt.NDArray[np.integer]) -> None:
        """Learns from the bits whose frequencies were asked for last: {0, 1}, one for each."""
        # With the next prediction: a call costs as much as some bits.
        self._known = len(bits)
        self._values[: self._known] = bits

    def learned(self) -> dict[str, Float64]:
        """The weights as they have become: float64, as numbers, by the names that a Start has."""
        self.frequencies(self._end)
        units, shared, around = learners.learned(self._weights, self._layers)
        mixers, sets = mixer.learned(self._mixers)
        return {
            "units": units,
            "shared": shared,
            "around": around,
            "mixers": mixers,
            "sets": sets,
        }


def _room(grid: Grid, mixers: Mixers, count: int) -> Seen:
    block = grid.signs.shape[1]
    return Seen(
        rows=np.zeros(count, dtype=np.int64),
        around=np.zeros((count, len(AROUND_TAPS) * block), dtype=np.int8),
        neighbours=np.zeros((count, SHARED_WIDTH), dtype=np.int16),
        network=np.zeros(count, dtype=np.int16),
        logits=np.zeros((count, mixers.units.shape[1]), dtype=np.int32),
        sets=np.zeros((count, 2), dtype=np.int64),
        mixed=np.zeros(count, dtype=np.int32),
        errors=np.zeros((count, LEARNERS + 1), dtype=np.int32),
    )


@compiled
def _advance(known: int, values: npt.NDArray[np.uint8], step: int, parts: Any) -> int:
    """Learns from the bits of the last step, and predicts those of the next.

    Args:
        known: how many bits the last step had.
        values: uint8, the bits, and more.
        step: the number of the next.
        parts: of the stage, in its order.

    Returns:
        How many bits the next step has.
    """
    plan, some, tensor, units, pace, mixing, hidden, squash, room, frequencies = parts
    bits, grid, weights, seen = Bits(*some), Grid(*tensor), Weights(*units), Seen(*room)
    speeds, mixers, network = Speeds(*pace), Mixers(*mixing), NetworkStage(*hidden)
    reveal(values, seen, known)
    learn_units(weights, speeds, grid, bits, seen, known)
    learn_mixing(mixers, speeds, bits, seen, known)
    record_all(values, grid, bits, seen, known)

    count = list_bits(Plan(*plan), step, bits)
    see(grid, bits, seen, count)
    if network.group_size:
        ask(network, grid, bits, seen, count)
    predict_units(weights, grid, bits, seen, count)
    mix(mixers, grid, bits, seen, count)
    look_up(squash, seen, frequencies, count)
    return count


@inlined
def reveal(values: npt.NDArray[np.uint8], seen: Seen, count: int) -> None:
    """Makes errors of what `look_up` left, once the bits of a step are known."""
    for bit in range(count):
        for predictor in range(LEARNERS + 1):
            seen.errors[bit, predictor] += np.int32(values[bit]) << FREQUENCY_BITS


@inlined
def record_all(
    values: npt.NDArray[np.uint8], grid: Grid, bits: Bits, seen: Seen, count: int
) -> None:
    """Writes the bits of a step, once all of them have been learned from."""
    block = grid.signs.shape[1]
    for bit in range(count):
        surprise = rounded(seen.errors[bit, FAST], FREQUENCY_BITS - UNIT_BITS - 1)
        sign, rank = 1 if values[bit] else -1, bits.channels[bit] % block
        record(grid, bits.layers[bit], rank, seen.rows[bit], sign, surprise)


@inlined
def see(grid: Grid, bits: Bits, seen: Seen, count: int) -> None:
    """Collects the contexts of the bits of a step."""
    block = grid.signs.shape[1]
    for bit in range(count):
        layer = bits.layers[bit]
        number, rank = divmod(bits.channels[bit], block)
        row = (layer + 1) * grid.layer_rows + grid.rows[bits.places[bit]] + number
        seen.rows[bit] = row
        for tap in range(grid.around_counts[layer]):
            copy_row(grid.signs, row + grid.around[layer, tap], seen.around, bit, tap * block)
        neighbours(grid, layer, rank, row, seen.neighbours, bit)


@inlined
def ask(network: NetworkStage, grid: Grid, bits: Bits, seen: Seen, count: int) -> None:
    """Writes what the network says of the bits of a step."""
    predict_groups(network, grid, bits, seen.rows, count)
    for bit in range(count):
        logit = network_logit(network, bits, bit)
        seen.logits[bit, -1] = logit
        seen.network[bit] = network_input(logit)


@inlined
def look_up(squash: Int32, seen: Seen, frequencies: Int32, count: int) -> None:
    """Turns the logits of a step into frequencies, and into errors as if all bits were 0."""
    for bit in range(count):
        for learner in range(LEARNERS):
            seen.errors[bit, learner] = -squash[LOGIT_LIMIT + seen.logits[bit, learner]]
        frequencies[bit] = squash[LOGIT_LIMIT + seen.mixed[bit]]
        seen.errors[bit, LEARNERS] = -frequencies[bit]
