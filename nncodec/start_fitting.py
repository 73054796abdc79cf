"""Fits what the adaptive stage starts from: it learns from one training file after the other.

A pass runs the stage over all files and carries what it has learned from each to the next. Passes
learn ever more slowly; the last one runs at about the rates of coding, and what it has learned at
the end of every file is averaged (Polyak and Juditsky, SIAM J. Control Optim. 30, 1992), so that no
file counts more for being last.

The rates of coding are one table for all encoders. It was found by coordinate search on two folds
of twelve images under two encoders; a table of its own made neither encoder's codes smaller by more
than 0.02 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nncodec.adaptive import AdaptiveStage
from nncodec.codec import Progress, code_lengths, traverse_known
from nncodec.integer_network import IntegerNetwork
from nncodec.models import Model
from nncodec.rates import RATE_BITS
from nncodec.start import (
    LARGEST_MIXER_WEIGHT,
    LARGEST_RATES,
    LARGEST_SHIFTS,
    LARGEST_WEIGHT,
    MIXER_BITS,
    SMALLEST_SHIFT,
    START_BITS,
    Start,
    untrained,
)
from nncodec.tensors import Codes

PASSES = (
    # rates of the fast learner, the slow learner, the mixer; half-life of the learners' rates
    (0.03, 0.008, 0.003, 200),
    (0.01, 0.004, 0.001, 2000),
    (0.004, 0.002, 0.001, 2000),
    (0.015, 0.004, 0.001, 200),
)
_MIXER_HALF_LIFE = 400

# The rates of coding, for layers 0, 1, 2-3, 4-7, and all later ones.
_GROUP_ENDS = (1, 2, 4, 8)
_RATES = (0.03, 0.016)  # of the learners
_SHIFTS = (
    # the learners' kinds in the order of KINDS; the network's is that of the known bits, at most 0
    (
        (0, -2, -2, 1, 0, 1, 0),
        (-2, -2, -5, -3, -2, 0, -1),
        (-1, -3, -3, 0, -1, 1, 0),
        (-1, -3, -3, 1, -1, 1, 0),
        (-2, -4, -3, 1, -2, 0, 1),
    ),
    (
        (-7, -4, -6, -4, -7, -5, -2),
        (-2, -2, -3, 0, -2, -4, -1),
        (-4, -2, -5, -1, -4, -2, -1),
        (-4, -3, -4, -1, -4, -2, -1),
        (-5, -3, -5, -3, -5, -3, -3),
    ),
)
_MIXER_RATES = (
    # of a unit's weights, and of its layer's
    (0.006, 0.001),
    (0.0015, 0.001),
    (0.0015, 0.002),
    (0.0015, 0.002),
    (0.006, 0.004),
)
_HALF_LIVES = (
    (200, 200, 1600),
    (400, 1600, 3200),
    (200, 400, 800),
    (400, 200, 800),
    (100, 200, 400),
)


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
    shifts = np.clip(start.shifts.astype(int) + doublings, SMALLEST_SHIFT, LARGEST_SHIFTS)
    mixer = start.rates * (1, 1, 2.0**doublings, 2.0**doublings)
    rates = np.minimum(mixer.astype(np.int32), LARGEST_RATES)
    return replace(start, shifts=shifts.astype(np.int8), rates=rates.astype(np.int32))


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
    group = np.searchsorted(_GROUP_ENDS, np.arange(start.layers), side="right")
    learners = np.tile(_fixed(_RATES, RATE_BITS), (start.layers, 1))
    mixer = _fixed(_MIXER_RATES, RATE_BITS)[group]
    return replace(
        start,
        rates=np.concatenate([learners, mixer], axis=1).astype(np.int32),
        shifts=np.moveaxis(np.array(_SHIFTS, dtype=np.int8)[:, group], 0, 1).copy(),
        half_lives=np.array(_HALF_LIVES, dtype=np.int32)[group],
    )


def beside_network(start: Start) -> Start:
    """A start that was fitted without a network, for a network that was trained beside it.

    The learners take the network's logit as it is, as in its training.
    """
    units = np.zeros((*start.units.shape[:-1], start.units.shape[-1] + 1), dtype=np.int16)
    units[..., :-1] = start.units
    units[..., -1] = 1 << START_BITS
    mixers = np.zeros((*start.mixers.shape[:-1], start.mixers.shape[-1] + 1), dtype=np.int32)
    mixers[..., :-1] = start.mixers
    return replace(start, units=units, mixers=mixers)


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
    _, coder, order = traverse_known(codes, model, progress)
    logits = np.empty(codes.size, dtype=np.float16)
    logits[order] = coder.logits()
    return logits.reshape(codes.shape)


def _pass(
    files: Sequence[Codes],
    start: Start,
    network: IntegerNetwork | None,
    progress: Progress | None,
) -> tuple[Start, list[Start]]:
    """What has been learned after all files, and after each."""
    ends = []
    for codes in files:
        stage, _, _ = traverse_known(codes, Model(start, network), progress)
        start = _learned(start, stage)
        ends.append(start)
    return start, ends


def _with_pass_rates(start: Start, fast: float, slow: float, mixer: float, half_life: int) -> Start:
    layers = start.layers
    rates = _fixed((fast, slow, 3 * mixer, mixer), RATE_BITS)
    half_lives = np.array((half_life, half_life, _MIXER_HALF_LIFE), dtype=np.int32)
    return replace(
        start,
        rates=np.tile(rates.astype(np.int32), (layers, 1)),
        shifts=untrained(layers, 1).shifts,
        half_lives=np.tile(half_lives, (layers, 1)),
    )


def _learned(start: Start, stage: AdaptiveStage) -> Start:
    """A start with the layers that a stage had replaced by what it has learned."""
    fields = {}
    forms = (
        ("units", START_BITS, LARGEST_WEIGHT),
        ("shared", START_BITS, LARGEST_WEIGHT),
        ("mixers", MIXER_BITS, LARGEST_MIXER_WEIGHT),
    )
    for (name, bits, largest), learned in zip(forms, stage.learned(), strict=True):
        field = getattr(start, name).copy()
        limit = largest << bits
        whole = np.clip(_fixed(learned, bits), -limit, limit)
        field.reshape(-1, field.shape[-1])[: whole.size // field.shape[-1]] = whole.reshape(
            -1, field.shape[-1]
        )
        fields[name] = field
    return replace(start, **fields)


def _mean(starts: Sequence[Start]) -> Start:
    fields = {}
    for name in ("units", "shared", "mixers"):
        arrays = [getattr(start, name) for start in starts]
        mean = np.mean(np.stack(arrays), axis=0, dtype=np.float64)
        fields[name] = np.round(mean).astype(arrays[0].dtype)
    return replace(starts[0], **fields)


def _fixed(values: npt.ArrayLike, bits: int) -> npt.NDArray[np.int64]:
    return np.round(np.asarray(values, dtype=np.float64) * (1 << bits)).astype(np.int64)
