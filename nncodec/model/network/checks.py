"""The proofs that a network sees only what is known, and that no sum outgrows its integer.

By the network's own numbers, before it runs. FORMAT.md, section 10.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nncodec.errors import ModelError
from nncodec.format.limits import MAX_TAPS, MAX_WIDTH
from nncodec.model.contexts import MARGIN
from nncodec.model.fixed_point import require_form
from nncodec.model.network.operations import (
    ACTIVATIONS,
    BIT_ONE,
    SCALE_BITS,
    STEPS,
    VALUE_LIMIT,
    Convolve,
    Head,
    Lstm,
    Operation,
    Tap,
)
from nncodec.model.network.structure import Plane, Structure


def check_widths(network: Structure, number: int, operation: Operation) -> None:
    """Checks the widths of the planes that an operation writes.

    Raises:
        ModelError: it has none, or too large a one.
    """
    if isinstance(operation, Convolve) and operation.weights.ndim != 3:
        raise ModelError("the weights have no three axes")
    if any(not 1 <= width <= MAX_WIDTH for width in operation.widths):
        raise ModelError(f"a plane has 1 to {MAX_WIDTH} numbers a position")


def check_planes(network: Structure, number: int, operation: Operation) -> None:
    """Checks that there are the planes that an operation names.

    Raises:
        ModelError: there are not, or they are written too late.
    """
    if isinstance(operation, Lstm):
        _plane_before(network, number, operation.gates)
        return
    assert isinstance(operation, Convolve | Head)
    for plane, *_ in operation.taps:
        if not 0 <= plane < len(network.planes) or network.planes[plane].cells:
            raise ModelError(f"there is no plane {plane} to be seen")
    if operation.skip:
        _plane_before(network, number, operation.skip)


def check_operation(network: Structure, number: int, operation: Operation) -> None:
    """Checks an operation, by its index in the network.

    Raises:
        ModelError: it sees what is not known when it is due, its arrays do not have the sizes that
            they must have, or a sum could outgrow its integer.
    """
    if isinstance(operation, Lstm):
        _check_lstm(network, number, operation)
        return
    assert isinstance(operation, Convolve | Head)
    if operation.activation not in ACTIVATIONS:
        raise ModelError(f"there is no activation {operation.activation!r}")
    for tap in operation.taps:
        _check_tap(network, number, tap)
    inputs = [network.planes[tap.plane] for tap in operation.taps]
    largest = np.repeat([one.largest for one in inputs], [one.width for one in inputs])
    if operation.earlier:
        largest = np.append(largest, np.full((network.layers - 1) * network.channels, BIT_ONE))
    if isinstance(operation, Convolve):
        _check_convolve(network, number, operation, largest)
    else:
        _check_head(network, number, operation, largest)


def _check_lstm(network: Structure, number: int, lstm: Lstm) -> None:
    gates = _plane_before(network, number, lstm.gates)
    if lstm.over not in STEPS or lstm.width < 1 or gates.width != 4 * lstm.width:
        raise ModelError(
            f"an LSTM goes over {' or '.join(STEPS)}, and has a quarter of the width of its gates"
        )
    if lstm.over == "layers" and not network.early[number]:
        raise ModelError("an LSTM over layers cannot see the layer that is coded")


def _check_tap(network: Structure, number: int, tap: Tap) -> None:
    plane, frames, layers, down, right = tap
    far = max(abs(down), abs(right)) > MARGIN
    if far or not (0 <= frames <= MAX_TAPS and 0 <= layers <= MAX_TAPS):
        raise ModelError(f"no operation sees as far as {list(tap)}")
    writer = network.planes[plane].writer
    if plane and (frames or layers):
        over_layers = isinstance(network.operations[writer], Lstm) and (
            network.operations[writer].over == "layers"  # type: ignore[attr-defined]  # an Lstm
        )
        due = network.early[number] and number < writer
        if (frames, layers, down, right) != (0, 1, 0, 0) or not (over_layers and due):
            raise ModelError(f"of another layer or frame, there is nothing at {list(tap)}")
    elif not (frames or layers):
        known = down < 0 or (down == 0 and right < 0)
        if plane and writer < number:
            known = known or network.early[writer] or (down == 0 and right == 0)
        elif plane:
            known = down < 0
        if not known:
            raise ModelError(f"what lies at {list(tap)} is not known yet")


def _plane_before(network: Structure, number: int, plane: int) -> Plane:
    if not 1 <= plane < len(network.planes) or network.planes[plane].cells:
        raise ModelError(f"there is no plane {plane} to be seen")
    if network.planes[plane].writer >= number:
        raise ModelError(f"plane {plane} is not known yet")
    return network.planes[plane]


def _check_convolve(
    network: Structure, number: int, one: Convolve, largest: npt.NDArray[np.int64]
) -> None:
    width = one.widths[0]
    skipped = _largest_skipped(network, number, one.skip, width)
    sets = len(one.weights)
    _require_sets(network, sets)
    require_form("weights", one.weights, np.int8, (sets, width, len(largest)))
    require_form("scale", one.scale, np.int32, (network.layers, width))
    require_form("shift", one.shift, np.int64, (network.layers, width))
    sums = _largest_sums(one.weights, largest)
    _require_small(sums)
    _require_exact(_scaled(sums, one.scale) + _magnitudes(one.shift) + skipped)


def _check_head(
    network: Structure, number: int, head: Head, largest: npt.NDArray[np.int64]
) -> None:
    layers, channels = network.layers, network.channels
    axes = head.unit_weights.ndim, head.weights.ndim
    if axes != (3, 3) or head.unit_weights.shape[1] % channels:
        raise ModelError("the units are not as many for each channel")
    if not 1 <= head.limit <= VALUE_LIMIT:
        raise ModelError(f"logits are limited to 1 ... {VALUE_LIMIT}")
    units, unit_sets, sets = (
        head.unit_weights.shape[1],
        len(head.unit_weights),
        len(head.weights),
    )
    if units > MAX_WIDTH * channels:
        raise ModelError(f"a channel has at most {MAX_WIDTH} units")
    _require_sets(network, unit_sets)
    _require_sets(network, sets)
    skipped = _largest_skipped(network, number, head.skip, channels)
    for name, dtype, shape in (
        ("unit_weights", np.int8, (unit_sets, units, len(largest))),
        ("unit_lower", np.int8, (unit_sets, units, channels)),
        ("unit_scale", np.int32, (layers, units)),
        ("unit_shift", np.int64, (layers, units)),
        ("weights", np.int8, (sets, channels, len(largest))),
        ("lower", np.int8, (sets, channels, channels)),
        ("output", np.int8, (layers, channels, units)),
        ("scale", np.int32, (layers, channels)),
        ("output_scale", np.int32, (layers, channels)),
        ("shift", np.int64, (layers, channels)),
    ):
        require_form(name, getattr(head, name), dtype, shape)
    channel, of_unit = np.arange(channels), np.arange(units) // max(1, head.units)
    for name, known in (
        ("unit_lower", channel < of_unit[:, None]),
        ("lower", channel < channel[:, None]),
        ("output", of_unit <= channel[:, None]),
    ):
        if (getattr(head, name) * ~known).any():
            raise ModelError(f"{name} would use bits that are not known yet")
    bits = np.full(channels, BIT_ONE)
    unit_sums = _largest_sums(head.unit_weights, largest) + _largest_sums(head.unit_lower, bits)
    active = BIT_ONE if head.activation == "tanh" else VALUE_LIMIT
    sums = _largest_sums(head.weights, largest) + _largest_sums(head.lower, bits)
    outputs = _largest_sums(head.output, np.full(units, active))
    for one in (unit_sums, sums, outputs):
        _require_small(one)
    _require_exact(_scaled(unit_sums, head.unit_scale) + _magnitudes(head.unit_shift))
    scaled = _scaled(sums, head.scale) + _scaled(outputs, head.output_scale)
    _require_exact(scaled + _magnitudes(head.shift) + skipped)


def _largest_skipped(network: Structure, number: int, skip: int, width: int) -> int:
    """The most that a plane adds to a scaled sum, either way."""
    if not skip:
        return 0
    plane = _plane_before(network, number, skip)
    if plane.width != width:
        raise ModelError("what is added has another width")
    return plane.largest << SCALE_BITS


def _require_sets(network: Structure, sets: int) -> None:
    if sets not in (1, network.layers):
        raise ModelError("weights are one set for all layers, or one for each")


def _largest_sums(
    weights: npt.NDArray[np.int8], largest: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """What sums would be at most, if all their terms had one sign: [sets, outputs]."""
    # Weights are 127 at most, inputs below 2^12, and there are fewer than 2^40 of them.
    return np.abs(weights.astype(np.int64)) @ largest.astype(np.int64)


def _require_small(sums: npt.NDArray[np.int64]) -> None:
    if sums.size and sums.max() >= 1 << 31:
        raise ModelError("the weights are too large: a sum could outgrow its integer")


def _require_exact(scaled: npt.NDArray[np.object_]) -> None:
    if scaled.size and scaled.max() >= 1 << 62:
        raise ModelError("the scales are too large: a sum could outgrow its integer")


def _scaled(sums: npt.NDArray[np.int64], scale: npt.NDArray[np.int32]) -> npt.NDArray[np.object_]:
    return np.asarray(sums.astype(object) * _magnitudes(scale))


def _magnitudes(values: npt.NDArray[np.integer]) -> npt.NDArray[np.object_]:
    """As Python's integers, which have no limits."""
    return np.asarray(np.abs(values.astype(object)))
