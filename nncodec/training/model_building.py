"""Builds a model of what was trained: in integers, with a start for the adaptive stage.

    beside    codes ── fit_start ── start ── left_by_stage ── network, trained on what is left
    before    network, trained by itself ── codes ── fit_start ── start

A network that is trained beside the stage learns what the stage does not find by itself; it needs
the stage's logits of all training codes. One that is trained before, on plenty of codes, gets a
start that was fitted with it. Of plenty, files at random are enough for what is fitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nncodec.coding.codec import code_lengths, traverse_known
from nncodec.coding.segments import CodedSegment
from nncodec.coding.threads import Progress
from nncodec.format.code_tensor import ABSENT, Codes
from nncodec.model.adaptive.start import Start
from nncodec.model.model import Model
from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.training.start_fitting import (
    PASSES,
    at_speed,
    beside_network,
    best_by_layer,
    fit_start,
    refit_start,
    side_by_side,
)

if TYPE_CHECKING:
    from nncodec.training.data.batches import CodeSet
    from nncodec.training.networks.network import Network


MAX_BITS_FITTED = 1 << 24
"""A start is fitted to so many training codes at most, for the time: some ten seconds a pass."""

MAX_BITS_TRIED = 1 << 22
"""Speeds of learning are compared on so many validation codes at most."""

MAX_BITS_MEASURED = 1 << 26
"""A model is measured on so many validation codes at most."""

SPEEDS = (0, -1, 1, -2)
"""Speeds of learning that are tried on validation codes: how often the rates are doubled."""

LEAST_GAIN = 0.0002
"""A network that makes codes smaller by less than this share is not worth its time."""


def fit_some_files(
    training: CodeSet,
    layers: int,
    network: IntegerNetwork | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Start:
    """Fits a start (start_fitting.py) to files at random of MAX_BITS_FITTED in all."""
    files = _some(training, MAX_BITS_FITTED, seed)
    return fit_start(files, layers, network, progress, sequence=training.sequence)


def bits_to_fit(training: CodeSet, passes: int = len(PASSES)) -> int:
    """Counts the bits that the progress of `fit_some_files` will be told of, or about as many."""
    return passes * min(training.bits, MAX_BITS_FITTED)


def bits_to_build(
    training: CodeSet, validation: CodeSet, *, beside_start: bool, network: bool
) -> int:
    """Counts the bits that the progress of `build_model` will be told of, or about as many.

    Args:
        training, validation: as for `build_model`.
        beside_start: whether it will get a start.
        network: whether it will get a network.
    """
    starts = 2 if beside_start and network else 1
    if not beside_start:
        bits = bits_to_fit(training)
    else:
        bits = bits_to_fit(training, passes=1) if network else 0
    bits += starts * len(SPEEDS) * min(validation.bits, MAX_BITS_TRIED)
    return bits + min(validation.bits, MAX_BITS_MEASURED)


def build_model(
    network: Network | None,
    training: CodeSet,
    validation: CodeSet,
    *,
    layer_count: int,
    start: Start | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Model:
    """Builds a model.

    Args:
        network: what was trained, if anything was.
        training: codes that fit it.
        validation: others, on which the model is measured; may be none.
        layer_count: the most layers that the model shall fit.
        start: that the network was trained beside; by default one is fitted with the network.
        seed: of the choice of files, where there are too many.
        progress: is told of the bits as they are passed.

    Returns:
        The model. Of what it starts from, and of how fast it learns, every layer has what suits the
        validation codes best. Its facts are `validation_rate`, the code length per bit of the
        validation codes, and `validation_layer_rates`.

    Raises:
        ModelError: the network's weights are too large for its integer form.
    """
    integers = network.quantise() if network else None
    if start is None:
        starts = [fit_some_files(training, layer_count, integers, seed=seed, progress=progress)]
    elif integers is None:
        starts = [start]
    else:
        together = beside_network(start)
        files = _some(training, MAX_BITS_FITTED, seed)
        again = refit_start(files, together, integers, progress, sequence=training.sequence)
        starts = [again, together]
    if validation.files:
        starts = [at_speed(start, doublings) for start in starts for doublings in SPEEDS]
        tried = _some(validation, MAX_BITS_TRIED, seed)
        sequence = validation.sequence
        starts = [best_by_layer(starts, integers, tried, progress, sequence=sequence)]
    model = Model(starts[0], integers)
    measured = validation.some(MAX_BITS_MEASURED, seed)
    return Model(model.start, integers, _rates(model, measured, progress))


def left_by_stage(
    codes: Codes, model: Model, progress: Progress | None = None, *, sequence: bool = False
) -> npt.NDArray[np.float16]:
    """What the adaptive stage says of every bit while it codes a file.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        model: that the stage runs with.
        progress: is told of the bits as they are passed.
        sequence: whether the pictures are frames.

    Returns:
        float16, the same shape: ln(p / (1 - p)), where p is the probability of a 1.
    """
    logits: list[npt.NDArray[np.float64]] = []

    def keep(segment: CodedSegment) -> None:
        logits.append(segment.logits())

    traverse_known(codes, model, keep, sequence=sequence, threads=side_by_side(progress))
    beyond = codes.shape[0] - sum(map(len, logits))  # layers that no position has
    logits.append(np.zeros((beyond, *codes.shape[1:])))
    return np.concatenate(logits, dtype=np.float16)


def beside_stage(codes: CodeSet, model: Model, progress: Progress | None = None) -> CodeSet:
    """Gives codes with the logits of the adaptive stage, as `left_by_stage` has them."""
    return codes.with_logits(
        [left_by_stage(file, model, progress, sequence=codes.sequence) for file in codes.files]
    )


def worth_its_network(model: Model, without: Model) -> bool:
    """Whether a model's network makes validation codes smaller than a model without does.

    Args:
        model, without: of `build_model`. If there were no validation codes, nobody can say, and the
            network stays.
    """
    ours, theirs = model.facts["validation_rate"], without.facts["validation_rate"]
    return ours is None or ours < (1 - LEAST_GAIN) * theirs


def _some(codes: CodeSet, bits: int, seed: int) -> list[Codes]:
    return list(codes.some(bits, seed).files)


def _rates(model: Model, measured: CodeSet, progress: Progress | None) -> dict[str, Any]:
    """Measures the mean rates over files, in all and of every layer that some file has."""
    files, sequence = measured.files, measured.sequence
    if not files:
        return {"validation_rate": None, "validation_layer_rates": None}
    lengths = [
        code_lengths(codes, model=model, sequence=sequence, threads=side_by_side(progress))
        for codes in files
    ]
    bits = [np.count_nonzero(codes != ABSENT, axis=(1, 2, 3, 4)) for codes in files]
    rates = [length / np.maximum(1, count) for length, count in zip(lengths, bits, strict=True)]
    layers = [
        [rate[layer] for rate in rates if layer < len(rate)]
        for layer in range(max(map(len, rates)))
    ]
    totals = [length.sum() / max(1, of.sum()) for length, of in zip(lengths, bits, strict=True)]
    return {
        "validation_rate": float(sum(totals)) / len(totals),
        "validation_layer_rates": [float(sum(layer)) / len(layer) for layer in layers],
    }
