"""From what was trained to a model: in integers, with a start for the adaptive stage.

    beside    codes ── fit_start ── start ── left_by_stage ── network, trained on what is left
    before    network, trained by itself ── codes ── fit_start ── start

A network that is trained beside the stage learns what the stage does not find by itself; it needs
the stage's logits of all training codes. One that is trained before, on codes without an end, gets
a start that was fitted with it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nncodec.coding.codec import code_lengths
from nncodec.coding.threads import Progress
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
"""How often the rates of coding are doubled, tried on validation codes."""


def fit_some(
    training: Sequence[Codes],
    layers: int,
    network: IntegerNetwork | None = None,
    progress: Progress | None = None,
) -> Start:
    """Fits a start (start_fitting.py) to as many files, from the first, as make MAX_BITS_FITTED."""
    return fit_start(_some(training), layers, network, progress)


def bits_to_fit(training: Sequence[Codes], passes: int = len(PASSES)) -> int:
    """How many bits the progress of `fit_some` will be told of."""
    return passes * sum(codes.size for codes in _some(training))


def bits_to_pass(
    training: Sequence[Codes], validation: Sequence[Codes], *, beside_start: bool, network: bool
) -> int:
    """How many bits the progress of `build_model` will be told of."""
    tried = len(SPEEDS) * (2 if beside_start and network else 1)
    bits = bits_to_fit(training, int(network)) if beside_start else bits_to_fit(training)
    bits += tried * sum(codes.size for codes in _some(validation))
    return bits + sum(codes.size for codes in validation)


def build_model(
    network: Network | None,
    training: Sequence[Codes],
    validation: Sequence[Codes],
    *,
    layer_count: int,
    start: Start | None = None,
    facts: Mapping[str, Any],
    progress: Progress | None = None,
) -> Model:
    """Builds a model.

    Args:
        network: what was trained, if anything was.
        training: uint8 {0, 1}, each [layers, batch, height, width, layer_depth].
        validation: others, likewise, on which the model is measured; may be none.
        layer_count: the most layers that the model shall fit.
        start: that the network was trained beside; by default one is fitted with the network.
        facts: of the training, which the model keeps.
        progress: is told of the bits as they are passed.

    Returns:
        The model. Of what it starts from, and of how fast it learns, every layer has what suits the
        validation codes best. Its facts have `validation_rate`, the code length per bit of the
        validation codes, and `validation_layer_rates`.

    Raises:
        ModelError: the network has no integer form, or its weights are too large for one.
    """
    integers = network.quantise() if network else None
    if start is None:
        starts = [fit_some(training, layer_count, integers, progress)]
    elif integers is None:
        starts = [start]
    else:
        together = beside_network(start)
        some = _some(training)
        starts = [refit_start(some, together, integers, progress), together]
    if validation:
        starts = [at_speed(one, doublings) for one in starts for doublings in SPEEDS]
        starts = [best_by_layer(starts, integers, _some(validation), progress)]
    model = Model(starts[0], integers)
    return Model(model.start, integers, {**facts, **_rates(model, validation, progress)})


def _some(files: Sequence[Codes]) -> Sequence[Codes]:
    ends = itertools.accumulate(codes.size for codes in files)
    some = [codes for codes, end in zip(files, ends, strict=True) if end <= MAX_BITS_FITTED]
    return some or files[:1]


def _rates(model: Model, files: Sequence[Codes], progress: Progress | None) -> dict[str, Any]:
    """Mean rates over files, in all and of every layer that some file has."""
    if not files:
        return {"validation_rate": None, "validation_layer_rates": None}
    rates = [code_lengths(codes, model=model, progress=progress) / codes[0].size for codes in files]
    layers = [
        [rate[layer] for rate in rates if layer < len(rate)]
        for layer in range(max(map(len, rates)))
    ]
    return {
        "validation_rate": sum(float(rate.mean()) for rate in rates) / len(rates),
        "validation_layer_rates": [float(sum(layer)) / len(layer) for layer in layers],
    }
