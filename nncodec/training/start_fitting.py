"""Fits what the adaptive stage starts from: it learns from one training file after the other.

A pass runs the stage over all files and carries what it has learned from each to the next. Passes
learn ever more slowly; the last one runs at about the rates of coding, and what it has learned at
the end of every file is averaged (Polyak and Juditsky, SIAM J. Control Optim. 30, 1992), so that no
file counts more for being last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nncodec.coding.codec import Part, code_lengths, traverse_known
from nncodec.coding.threads import Progress
from nncodec.format.code_tensor import Codes
from nncodec.model.adaptive.learning_rates import (
    AROUND,
    FAST,
    FORGETTING,
    KINDS,
    LARGEST_RATES,
    MIXER_OF_LAYER,
    MIXER_OF_SET,
    MIXER_OF_UNIT,
    RATE_BITS,
    RATES,
    SHARED_GATES,
    SHARED_TAPS,
    SLOW,
    TAPS,
    TRAINED,
)
from nncodec.model.adaptive.stage import AdaptiveStage
from nncodec.model.adaptive.start import (
    LARGEST_MIXER_WEIGHT,
    LARGEST_WEIGHT,
    MIXER_BITS,
    START_BITS,
    Start,
    untrained,
)
from nncodec.model.model import Model
from nncodec.model.network.integer_network import IntegerNetwork

PASSES = (
    # rates of the fast learner, the slow one, the mixer; half-life of the learners' rates; rates of
    # what is around, of forgetting it in layer 0, and later
    (0.03, 0.008, 0.003, 200, 0.0, 0.0, 0.0),
    (0.01, 0.004, 0.001, 2000, 0.0, 0.0, 0.0),
    (0.004, 0.002, 0.001, 2000, 0.0, 0.0, 0.0),
    (0.008, 0.004, 0.001, 1000, 0.0015, 0.0001, 0.0003),
    (0.008, 0.004, 0.001, 1000, 0.0015, 0.0001, 0.0003),
    (0.015, 0.004, 0.001, 200, 0.0006, 0.00004, 0.00012),
    (0.015, 0.004, 0.001, 200, 0.0006, 0.00004, 0.00012),
)
_MIXER_HALF_LIFE = 400

_FORMS = {
    # of what is learned: its fractional bits in a start, the largest number
    "units": (START_BITS, LARGEST_WEIGHT),
    "shared": (START_BITS, LARGEST_WEIGHT),
    "around": (START_BITS, LARGEST_WEIGHT),
    "mixers": (MIXER_BITS, LARGEST_MIXER_WEIGHT),
    "sets": (MIXER_BITS, LARGEST_MIXER_WEIGHT),
}


def fit_start(
    files: Sequence[Codes],
    layers: int,
    network: IntegerNetwork | None = None,
    progress: Progress | None = None,
) -> Start:
    """Fits a start to training files.

    Args:
        files: uint8 {0, 1}, each [layers, batch, height, width, layer_depth], with at most `layers`
            layers; a layer that no file has keeps what an untrained stage starts from.
        layers: of the start.
        network: which the stage shall run beside.
        progress: is told of the bits as they are passed.

    Returns:
        The weights, and the rates of coding.
    """
    start = untrained(layers, files[0].shape[-1])
    if network:
        start = beside_network(start)
    for rates in PASSES:
        start, ends = _pass(files, _with_pass_rates(start, *rates), network, progress)
    return with_coding_rates(_mean(ends))


def refit_start(
    files: Sequence[Codes],
    start: Start,
    network: IntegerNetwork,
    progress: Progress | None = None,
) -> Start:
    """Passes the files once more, after a network was trained beside the stage.

    Args:
        files: as for `fit_start`.
        start: `beside_network`.
        network: whose logits the stage now sees.
        progress: is told of the bits as they are passed.
    """
    _, ends = _pass(files, _with_pass_rates(start, *PASSES[-1]), network, progress)
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
) -> Start:
    """Takes every layer from the start under which it is smallest: layers do not learn together.

    Args:
        candidates: starts for the same codes; the first wins where all are equal.
        network: beside which they shall run.
        files: validation codes, as for `fit_start`.
        progress: is told of the bits as they are passed.
    """
    lengths = np.zeros((len(candidates), candidates[0].layers))
    for candidate, sums in zip(candidates, lengths, strict=True):
        for codes in files:
            model = Model(candidate, network)
            sums[: len(codes)] += code_lengths(codes, model=model, progress=progress)
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
        for name, axes in (("units", 4), ("mixers", 3), ("sets", 3))
    }
    one_more["units"][..., -1] = 1 << START_BITS
    return replace(start, **one_more)


def left_by_stage(
    codes: Codes, model: Model, progress: Progress | None = None
) -> npt.NDArray[np.float16]:
    """What the adaptive stage says of every bit while it codes a file.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        model: that the stage runs with.
        progress: is told of the bits as they are passed.

    Returns:
        float16, the same shape: ln(p / (1 - p)), where p is the probability of a 1.
    """
    logits: list[npt.NDArray[np.float64]] = []

    def keep(part: Part) -> None:
        logits.append(part.logits())

    traverse_known(codes, model, keep, progress=progress)
    return np.concatenate(logits, dtype=np.float16)


def _pass(
    files: Sequence[Codes],
    start: Start,
    network: IntegerNetwork | None,
    progress: Progress | None,
) -> tuple[Start, list[Start]]:
    """What has been learned after all files, and after each."""
    ends = []
    for codes in files:
        stage = traverse_known(codes, Model(start, network), progress=progress)
        start = _learned(start, stage)
        ends.append(start)
    return start, ends


def _with_pass_rates(
    start: Start,
    fast: float,
    slow: float,
    mixer: float,
    half_life: int,
    around: float,
    forgetting: float,
    later_forgetting: float,
) -> Start:
    layers = start.layers
    rates = np.zeros((layers, RATES))
    for learner, rate in ((FAST, fast), (SLOW, slow)):
        kinds = np.full(KINDS, rate)
        kinds[TAPS] /= 4
        kinds[[SHARED_TAPS, SHARED_GATES]] *= 3 / 32
        rates[:, learner * KINDS : (learner + 1) * KINDS] = kinds
    rates[:, MIXER_OF_UNIT] = 3 * mixer
    rates[:, MIXER_OF_LAYER] = mixer
    rates[:, MIXER_OF_SET] = 0.8 * mixer
    rates[:, AROUND] = around
    rates[:, FORGETTING] = later_forgetting
    rates[0, FORGETTING] = forgetting
    half_lives = np.array((half_life, half_life, _MIXER_HALF_LIFE, 1 << 30), dtype=np.int32)
    return replace(
        start,
        rates=_fixed(rates, RATE_BITS).astype(np.int32),
        half_lives=np.tile(half_lives, (layers, 1)),
    )


def _learned(start: Start, stage: AdaptiveStage) -> Start:
    """A start with the layers that a stage had replaced by what it has learned."""
    fields = {}
    for name, learned in stage.learned().items():
        bits, largest = _FORMS[name]
        field = getattr(start, name).copy()
        limit = largest << bits
        field[: len(learned)] = np.clip(_fixed(learned, bits), -limit, limit)
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
