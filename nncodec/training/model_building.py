"""Builds a model of what was trained: in integers, with a start for the adaptive stage.

    beside    codes ── fit_start ── start ── left_by_stage ── network, trained on what is left
    before    network, trained by itself ── codes ── fit_start ── start

A network that is trained beside the stage learns what the stage does not find by itself; it needs
the stage's logits of all training codes. One that is trained before, on codes without an end, gets
a start that was fitted with it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nncodec.coding.codec import code_lengths
from nncodec.coding.threads import Progress, Threads
from nncodec.format.code_tensor import Codes
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
)

if TYPE_CHECKING:
    from nncodec.training.networks.network import Network


MAX_BITS_FITTED = 1 << 24
"""A start is fitted to so many training codes at most, for the time: some ten seconds a pass."""

SPEEDS = (0, -1, 1, -2)
"""Speeds of learning that are tried on validation codes: how often the rates are doubled."""


def fit_first_files(
    training: Sequence[Codes],
    layers: int,
    network: IntegerNetwork | None = None,
    progress: Progress | None = None,
) -> Start:
    """Fits a start (start_fitting.py) to as many files, from the first, as make MAX_BITS_FITTED."""
    return fit_start(_first_files(training), layers, network, progress)


def bits_to_fit(training: Sequence[Codes], passes: int = len(PASSES)) -> int:
    """Counts the bits that the progress of `fit_first_files` will be told of."""
    return passes * sum(codes.size for codes in _first_files(training))


def bits_to_build(
    training: Sequence[Codes], validation: Sequence[Codes], *, beside_start: bool, network: bool
) -> int:
    """Counts the bits that the progress of `build_model` will be told of.

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
    bits += starts * len(SPEEDS) * sum(codes.size for codes in _first_files(validation))
    return bits + sum(codes.size for codes in validation)


def build_model(
    network: Network | None,
    training: Sequence[Codes],
    validation: Sequence[Codes],
    *,
    layer_count: int,
    start: Start | None = None,
    progress: Progress | None = None,
) -> Model:
    """Builds a model.

    Args:
        network: what was trained, if anything was.
        training: uint8 {0, 1}, each [layers, batch, height, width, layer_depth].
        validation: other codes of that form, on which the model is measured; may be none.
        layer_count: the most layers that the model shall fit.
        start: that the network was trained beside; by default one is fitted with the network.
        progress: is told of the bits as they are passed.

    Returns:
        The model. Of what it starts from, and of how fast it learns, every layer has what suits the
        validation codes best. Its facts are `validation_rate`, the code length per bit of the
        validation codes, and `validation_layer_rates`.

    Raises:
        ModelError: the network has no integer form, or its weights are too large for one.
    """
    integers = network.quantise() if network else None
    if start is None:
        starts = [fit_first_files(training, layer_count, integers, progress)]
    elif integers is None:
        starts = [start]
    else:
        together = beside_network(start)
        refitted = refit_start(_first_files(training), together, integers, progress)
        starts = [refitted, together]
    if validation:
        starts = [at_speed(start, doublings) for start in starts for doublings in SPEEDS]
        starts = [best_by_layer(starts, integers, _first_files(validation), progress)]
    model = Model(starts[0], integers)
    return Model(model.start, integers, _rates(model, validation, progress))


def _first_files(files: Sequence[Codes]) -> Sequence[Codes]:
    ends = itertools.accumulate(codes.size for codes in files)
    fitted = [codes for codes, end in zip(files, ends, strict=True) if end <= MAX_BITS_FITTED]
    return fitted or files[:1]


def _rates(model: Model, files: Sequence[Codes], progress: Progress | None) -> dict[str, Any]:
    """Measures the mean rates over files, in all and of every layer that some file has."""
    if not files:
        return {"validation_rate": None, "validation_layer_rates": None}
    rates = [
        code_lengths(codes, model=model, threads=Threads(progress=progress)) / codes[0].size
        for codes in files
    ]
    layers = [
        [rate[layer] for rate in rates if layer < len(rate)]
        for layer in range(max(map(len, rates)))
    ]
    return {
        "validation_rate": sum(float(rate.mean()) for rate in rates) / len(rates),
        "validation_layer_rates": [float(sum(layer)) / len(layer) for layer in layers],
    }
