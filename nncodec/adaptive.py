"""The adaptive stage: a model that learns from the bits of this very file while it codes them.

Two logistic *learners* (learners.py) predict every bit from its context (contexts.py), one fast,
one slow; a *mixer* (mixer.py) weighs their logits. Each unit (schedule.py) has weights of its own;
what the channels of a layer have in common, they learn together. All of it starts from the same
fixed weights, sees a bit only after it is coded, and is integer arithmetic throughout.

    context ─┬─ fast learner ─┬─ mixer ── frequency ── coder ── bit
             └─ slow learner ─┘                                  │
                  └────────── errors: bit - probability ─────────┘

The integers are carried by float32 and float64 arrays, where `require_exact` proves that they fit:
sums of products are fast there, and the same in whatever order they are computed.
"""

import numpy as np
import numpy.typing as npt

from nncodec.contexts import UNIT_BITS, Grid
from nncodec.fixed_point import FREQUENCY_BITS, LOGIT_LIMIT, logistic_table, scale_down
from nncodec.learners import FAST, LEARNERS, Learners
from nncodec.mixer import Mixer
from nncodec.schedule import Schedule, Step


class AdaptiveStage:
    """Predicts the bits of one code tensor, step by step, and learns from them.

    `frequencies` and `learn` are called in turn for every step of the schedule, with the same bits
    when encoding as when decoding.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._grid = Grid(schedule)
        self._learners = Learners(schedule, self._grid.block)
        self._mixer = Mixer(schedule)
        self._squash = logistic_table()

    def frequencies(self, step: Step) -> npt.NDArray[np.int32]:
        """The frequency of a 1 for every bit of a step: int32, units in order, then positions."""
        context = self._context = self._grid.context(step)
        logits = self._mixer_inputs = self._learners.logits(step, context)
        self._learner_frequencies = self._frequency(logits[..., :LEARNERS])
        self._mixed_frequencies = self._frequency(self._mixer.logits(step, logits))
        return self._mixed_frequencies[context.valid]

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

    def layer_weights(self) -> npt.NDArray[np.float64]:
        """What the layers have learned, (layers, LEARNERS, LAYER_INPUTS)."""
        return self._learners.layer_weights()

    def _frequency(self, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        return self._squash.take(logits.astype(np.int64) + LOGIT_LIMIT)
