"""Fits what the adaptive stage starts from: it learns from one training file after the other.

A pass runs the stage over all files and carries what it has learned from each to the next. Passes
learn ever more slowly; the last one runs at about the rates of coding, and what it has learned at
the end of every file is averaged (Polyak and Juditsky, SIAM J. Control Optim. 30, 1992), so that no
file counts more for being last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.coding.codec import code_lengths, traverse_known
from nncodec.coding.threads import Progress, Threads, thread_count
from nncodec.format.code_tensor import Codes
from nncodec.model.adaptive.learning_rates import (
    AROUND,
    AROUND_LIFE,
    BEFORE,
    GATES,
    HALF_LIVES,
    LARGEST_RATES,
    MIXER_LIFE,
    MIXER_OF_LAYER,
    MIXER_OF_UNIT,
    RATE_BITS,
    RATES,
    TAPS,
    TRAINED,
)
from nncodec.model.adaptive.stage import AdaptiveStage
from nncodec.model.adaptive.start import (
    LARGEST_MIXER_WEIGHT,
    LARGEST_WEIGHT,
    MIXER_BITS,
    Start,
    untrained,
)
from nncodec.model.adaptive.untrained_weights import START_BITS
from nncodec.model.model import Model
from nncodec.model.network.integer_network import IntegerNetwork


class Pass(NamedTuple):
    """How one pass over the files learns.

    Attributes:
        learner: the rate of the learner's weights, but for those that follow.
        before: of the layer before.
        mixer: of the mixer's weights.
        half_life: of all rates but the mixer's and those of what is around, in positions.
        around: the rate of what is around, which does not fall.
        forgetting: the share of what is around that is forgotten at every position of layer 0; of
            later layers, three times as much.
    """

    learner: float
    before: float
    mixer: float
    half_life: int
    around: float
    forgetting: float


PASSES = (
    Pass(0.03, 0.008, 0.003, 200, 0.0, 0.0),
    Pass(0.01, 0.004, 0.001, 2000, 0.0, 0.0),
    Pass(0.004, 0.002, 0.001, 2000, 0.0, 0.0),
    Pass(0.008, 0.004, 0.0005, 1000, 0.0015, 0.0001),
    Pass(0.008, 0.004, 0.0005, 1000, 0.0015, 0.0001),
    Pass(0.0075, 0.004, 0.0005, 200, 0.0012, 0.00004),
)
_MIXER_HALF_LIFE = 400

_NEARLY_NOISE = 8
"""From this layer on, what is around says so little that its weights have to learn more slowly."""

_FORMS = {
    # of what is learned: its fractional bits in a start, the largest number
    "units": (START_BITS, LARGEST_WEIGHT),
    "shared": (START_BITS, LARGEST_WEIGHT),
    "around": (START_BITS, LARGEST_WEIGHT),
    "mixers": (MIXER_BITS, LARGEST_MIXER_WEIGHT << MIXER_BITS),
    "sets": (MIXER_BITS, LARGEST_MIXER_WEIGHT << MIXER_BITS),
}


def fit_start(
    files: Sequence[Codes],
    layers: int,
    network: IntegerNetwork | None = None,
    progress: Progress | None = None,
    *,
    sequence: bool = False,
) -> Start:
    """Fits a start to training files.

    Args:
        files: uint8 {0, 1}, each [layers, batch, height, width, layer_depth], with at most `layers`
            layers; a layer that no file has keeps what an untrained stage starts from.
        layers: of the start.
        network: which the stage shall run beside.
        progress: is told of the bits as they are passed.
        sequence: whether the pictures of every file are frames.

    Returns:
        The weights, and the rates of coding.
    """
    start = untrained(layers, files[0].shape[-1])
    if network:
        start = beside_network(start)
    for one in PASSES:
        start, ends = _pass(files, start, one, network, progress, sequence)
    return with_coding_rates(_mean(ends))


def refit_start(
    files: Sequence[Codes],
    start: Start,
    network: IntegerNetwork,
    progress: Progress | None = None,
    *,
    sequence: bool = False,
) -> Start:
    """Passes the files once more, after a network was trained beside the stage.

    Args:
        files, sequence: as for `fit_start`.
        start: `beside_network`.
        network: whose logits the stage now sees.
        progress: is told of the bits as they are passed.
    """
    _, ends = _pass(files, start, PASSES[-1], network, progress, sequence)
    return with_coding_rates(_mean(ends))


def at_speed(start: Start, doublings: int) -> Start:
    """A start that learns 2^doublings times as fast, as far as that is allowed."""
    rates = np.minimum(start.rates * 2.0**doublings, LARGEST_RATES)
    return replace(start, rates=rates.astype(np.int32))


def best_by_layer(
    candidates: Sequence[Start],
    network: IntegerNetwork | None,
    files: Sequence[Codes],
    progress: Progress | None = None,
    *,
    sequence: bool = False,
) -> Start:
    """Takes every layer from the start under which it is smallest: layers do not learn together.

    Args:
        candidates: starts for the same codes; the first wins where all are equal.
        network: beside which they shall run.
        files, sequence: validation codes, as for `fit_start`.
        progress: is told of the bits as they are passed.
    """
    lengths = np.zeros((len(candidates), candidates[0].layers))
    for candidate, sums in zip(candidates, lengths, strict=True):
        for codes in files:
            model, threads = Model(candidate, network), side_by_side(progress)
            sums[: len(codes)] += code_lengths(
                codes, model=model, sequence=sequence, threads=threads
            )
    best = lengths.argmin(axis=0)
    layers = [(candidates[number], layer) for layer, number in enumerate(best)]
    fields = {
        name: np.stack([getattr(candidate, name)[layer] for candidate, layer in layers])
        for name in candidates[0].arrays()
    }
    return replace(candidates[0], **fields)


def with_coding_rates(start: Start) -> Start:
    """A start that learns as fast as a trained one should while it codes."""
    rates, half_lives = TRAINED.of_layers(start.layers)
    return replace(start, rates=rates, half_lives=half_lives)


def beside_network(start: Start) -> Start:
    """A start that was fitted without a network, for a network that was trained beside it.

    The learners take the network's logit as it is, as in its training.
    """
    one_more = {
        name: np.pad(getattr(start, name), [(0, 0)] * (axes - 1) + [(0, 1)])
        for name, axes in (("units", 3), ("mixers", 3), ("sets", 2))
    }
    one_more["units"][..., -1] = 1 << START_BITS
    return replace(start, **one_more)


def of_network_alone(network: IntegerNetwork) -> Start:
    """A start under which a bit is predicted by the network, and nothing is learned.

    The mixer takes the network's logit as it is. This measures networks in integers.
    """
    start = beside_network(untrained(network.layers, network.channels))
    mixers = np.zeros_like(start.mixers)
    mixers[..., -1] = 1 << MIXER_BITS
    still = {name: np.zeros_like(getattr(start, name)) for name in ("sets", "rates")}
    return replace(start, mixers=mixers, **still)


def side_by_side(progress: Progress | None) -> Threads:
    """All processors: layers do not learn together, so that what is learned stays the same."""
    return Threads(thread_count(None), progress)


def _pass(
    files: Sequence[Codes],
    start: Start,
    one: Pass,
    network: IntegerNetwork | None,
    progress: Progress | None,
    sequence: bool,
) -> tuple[Start, list[Start]]:
    """Gives what has been learned after all files, and after each."""
    start, ends = _with_pass_rates(start, one), []
    for codes in files:
        model, threads = Model(start, network), side_by_side(progress)
        stage = traverse_known(codes, model, sequence=sequence, threads=threads)
        start = _forgetful(_learned(start, stage), one, codes)
        ends.append(start)
    return start, ends


def _with_pass_rates(start: Start, one: Pass) -> Start:
    layers = start.layers
    rates = np.full((layers, RATES), one.learner)
    rates[:, BEFORE] = one.before
    rates[:, [TAPS, GATES]] *= 3 / 32
    rates[:, AROUND] = one.around
    rates[_NEARLY_NOISE:, AROUND] /= 2
    rates[:, MIXER_OF_UNIT] = 3 * one.mixer
    rates[:, MIXER_OF_LAYER] = one.mixer
    half_lives = np.full((layers, HALF_LIVES), one.half_life)
    half_lives[:, AROUND_LIFE] = 1 << 30
    half_lives[:, MIXER_LIFE] = _MIXER_HALF_LIFE
    return replace(
        start,
        rates=_fixed(rates, RATE_BITS).astype(np.int32),
        half_lives=half_lives.astype(np.int32),
    )


def _forgetful(start: Start, one: Pass, codes: Codes) -> Start:
    """Forgets some of what is around, for a file's positions: weights that are of use return."""
    kept = np.full(start.layers, (1 - 3 * one.forgetting) ** codes[0, ..., 0].size)
    kept[0] = (1 - one.forgetting) ** codes[0, ..., 0].size
    kept[len(codes) :] = 1
    around = np.round(start.around * kept[:, None, None, None]).astype(np.int16)
    return replace(start, around=around)


def _learned(start: Start, stage: AdaptiveStage) -> Start:
    """A start with the layers that a stage had replaced by what it has learned."""
    fields = {}
    for name, learned in stage.learned().items():
        bits, largest = _FORMS[name]
        field = getattr(start, name).copy()
        field[: len(learned)] = np.clip(_fixed(learned, bits), -largest, largest)
        fields[name] = field
    return replace(start, **fields)


def _mean(starts: Sequence[Start]) -> Start:
    fields = {}
    for name in _FORMS:
        arrays = [getattr(start, name) for start in starts]
        mean = np.mean(np.stack(arrays), axis=0, dtype=np.float64)
        fields[name] = np.round(mean).astype(arrays[0].dtype)
    return replace(starts[0], **fields)


def _fixed(values: npt.ArrayLike, bits: int) -> npt.NDArray[np.int64]:
    return np.round(np.asarray(values, dtype=np.float64) * (1 << bits)).astype(np.int64)
