"""The adaptive stage: a model that learns from the bits of this very file while it codes them.

Two logistic *learners* (learners.py) predict every bit from its context (contexts.py), one fast,
one slow; a *mixer* (mixer.py) weighs their logits. Each unit (schedule.py) has weights of its own;
what the channels of a layer have in common, they learn together. All of it starts from the weights
of a `Start` (start.py), sees a bit only after it is coded, and is integer arithmetic throughout.
Where there is a network (network_stage.py), learners and mixer take its logit as an input.

    context ─┬─ fast learner ─┬─ mixer ── frequency ── coder ── bit
             └─ slow learner ─┘                                  │
                  └────────── errors: bit - probability ─────────┘

The integers are carried by float32 and float64 arrays, where `require_exact` proves that they fit:
sums of products are fast there, and the same in whatever order they are computed.
"""

import numpy as np
import numpy.typing as npt

from nncodec.contexts import UNIT_BITS, Grid
from nncodec.fixed_point import (
    FREQUENCY_BITS,
    LOGIT_LIMIT,
    logistic_table,
    quiet_products,
    scale_down,
)
from nncodec.integer_network import IntegerNetwork
from nncodec.learners import Learners
from nncodec.mixer import Mixer
from nncodec.network_stage import NetworkStage
from nncodec.schedule import Schedule, Step
from nncodec.start import FAST, LEARNERS, Start, untrained

Float64 = npt.NDArray[np.float64]


class AdaptiveStage:
    """Predicts the bits of one code tensor, step by step, and learns from them.

    `frequencies` and `learn` are called in turn for every step of the schedule, with the same bits
    when encoding as when decoding.
    """

    @quiet_products
    def __init__(
        self,
        schedule: Schedule,
        start: Start | None = None,
        network: IntegerNetwork | None = None,
        codes: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        """Starts with no bit known.

        Args:
            schedule: of the code tensor.
            start: what to learn from; by default what suits codes that nobody trained for.
            network: whose logits the learners and the mixer weigh too.
            codes: where all bits are known beforehand, uint8 {0, 1}, [layers, batch, height, width,
                layer_depth], a network predicts them faster; nothing else sees them.
        """
        if start is None:
            start = untrained(schedule.layers, schedule.channels, with_network=network is not None)
        self._grid = Grid(schedule)
        self._network = NetworkStage(network, schedule, self._grid, codes) if network else None
        self._learners = Learners(schedule, self._grid.block, start)
        self._mixer = Mixer(schedule, start)
        self._squash = logistic_table()

    @quiet_products
    def frequencies(self, step: Step) -> npt.NDArray[np.int32]:
        """The frequency of a 1 for every bit of a step: int32, units in order, then positions."""
        context = self._context = self._grid.context(step)
        network = self._network.logits(step, context) if self._network else None
        logits = self._mixer_inputs = self._learners.logits(step, context, network)
        self._learner_frequencies = self._frequency(logits[..., :LEARNERS])
        self._mixed_frequencies = self._frequency(self._mixer.logits(step, logits))
        return self._mixed_frequencies[context.valid]

    @quiet_products
    def learn(self, step: Step, bits: npt.NDArray[np.integer]) -> None:
        """Learns from the bits whose frequencies were asked for last.

        Args:
            step: the step that `frequencies` was given.
            bits: {0, 1}, one for each frequency.
        """
        context, valid = self._context, self._context.valid
        ones = np.zeros(valid.shape, dtype=np.int32)
        ones[valid] = bits
        target = ones << FREQUENCY_BITS

        error = (target - self._mixed_frequencies) * valid
        self._mixer.learn(step, self._mixer_inputs, error.astype(np.float64))

        errors = (target[..., None] - self._learner_frequencies) * valid[..., None]
        surprise = scale_down(errors[..., FAST], FREQUENCY_BITS - UNIT_BITS - 1)
        self._learners.learn(step, context, errors)
        signs = (2 * ones - 1) * valid
        self._grid.record(context, signs.astype(np.float32), surprise.astype(np.float32))

    def learned(self) -> tuple[Float64, Float64, Float64]:
        """What has been learned so far.

        Returns:
            float64, as numbers: the weights of the units, [layers * channels, LEARNERS, unit
            inputs], of the layers, [layers, LEARNERS, LAYER_INPUTS], and of the mixers,
            [layers * channels, mixer inputs].
        """
        learners, mixer = self._learners, self._mixer
        return learners.unit_weights(), learners.layer_weights(), mixer.weights()

    def _frequency(self, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        return self._squash.take(logits.astype(np.int64) + LOGIT_LIMIT)
