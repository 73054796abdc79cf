"""Codes, starts and networks that several tests draw."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec.coding.codec import traverse_known
from nncodec.coding.segments import CodedSegment
from nncodec.model.adaptive.learning_rates import LARGEST_RATES
from nncodec.model.adaptive.stage import AdaptiveStage
from nncodec.model.adaptive.start import (
    LARGEST_MIXER_WEIGHT,
    LARGEST_WEIGHT,
    MIXER_BITS,
    Start,
    untrained,
)
from nncodec.model.adaptive.untrained_weights import START_BITS
from nncodec.model.fixed_point import LOGIT_BITS
from nncodec.model.model import Model
from nncodec.model.network.integer_network import SCALE_BITS, SUM_BITS, WEIGHT_ONE, IntegerNetwork
from nncodec.model.network.taps import Taps


def averaged_codes(
    shape: tuple[int, ...], seed: int, *, bias: float = 0.0
) -> npt.NDArray[np.uint8]:
    """Signs of noise that is averaged over height and width of [..., height, width, depth].

    Channels differ by a `bias`, in standard deviations of the noise.
    """
    random = np.random.default_rng(seed)
    noise = random.standard_normal(shape)
    for axis in (-3, -2):
        noise = noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)
    return (noise + bias * 3 * random.standard_normal(shape[-1]) > 0).astype(np.uint8)


def coded(
    codes: npt.NDArray[np.uint8], model: Model | None = None, *, sequence: bool = False
) -> tuple[npt.NDArray[np.int32], AdaptiveStage]:
    """Codes a tensor: the frequency of every bit, in the shape of the codes, and what has learned.

    Args:
        codes: the code tensor.
        model: what predicts it.
        sequence: whether its pictures are frames.
    """
    parts: list[npt.NDArray[np.int32]] = []

    def keep(segment: CodedSegment) -> None:
        parts.append(segment.frequencies.astype(np.int32))

    stage = traverse_known(codes, model, keep, sequence=sequence)
    return np.concatenate(parts), stage


def frequencies_of(
    codes: npt.NDArray[np.uint8],
    start: Start,
    network: IntegerNetwork | None = None,
    *,
    sequence: bool = False,
) -> npt.NDArray[np.int32]:
    """The frequency of every bit, in the shape of the codes, as an encoder or a decoder gets it."""
    return coded(codes, Model(start, network), sequence=sequence)[0]


def steps_of(shape: tuple[int, int, int, int, int]) -> npt.NDArray[np.int64]:
    """The number of every bit in the order of coding, in the shape of the codes."""
    return np.arange(np.prod(shape)).reshape(shape)


def random_start(
    layers: int, channels: int, seed: int, *, with_network: bool = False, extreme: bool = False
) -> Start:
    """A start whose every number is drawn.

    Args:
        layers, channels: of the codes.
        seed: of the numbers.
        with_network: whether it is one for a network.
        extreme: weights at their limits, and rates at theirs that never fall, so that a few
            positions reach every limit.
    """
    random = np.random.default_rng(seed)
    plain = untrained(layers, channels, with_network=with_network)
    one, mixer_one = 1 << START_BITS, 1 << MIXER_BITS

    def weights(like: npt.NDArray[Any], unit: int, limit: int) -> npt.NDArray[Any]:
        if extreme:
            drawn = random.choice([-limit, limit], like.shape)
        else:
            drawn = random.normal(size=like.shape) * unit * random.choice([0.05, 0.5])
        return np.clip(np.round(drawn), -limit, limit).astype(like.dtype)

    # After the first position, the latter are powers of two: much that is rounded ends in a half.
    powers = [(1 << 15) + 1] * 8 + [(1 << 13) + 1] * 2
    rates = np.tile(LARGEST_RATES if random.random() < 0.5 else powers, (layers, 1))
    half_lives = np.full(plain.half_lives.shape, 1 << 30)
    if not extreme:
        rates = random.integers(0, LARGEST_RATES, rates.shape, endpoint=True)
        half_lives = 1 << random.integers(0, 12, half_lives.shape)
        half_lives += random.integers(0, 9, half_lives.shape)
    mixer_limit = LARGEST_MIXER_WEIGHT << MIXER_BITS
    return Start(
        units=weights(plain.units, one, LARGEST_WEIGHT),
        shared=weights(plain.shared, one, LARGEST_WEIGHT),
        around=weights(plain.around, one, LARGEST_WEIGHT),
        mixers=weights(plain.mixers, mixer_one, mixer_limit),
        sets=weights(plain.sets, mixer_one, mixer_limit),
        rates=rates.astype(np.int32),
        half_lives=half_lives.astype(np.int32),
    )


def random_network(
    layers: int,
    channels: int,
    seed: int,
    *,
    group_size: int | None = None,
    reach: int = 1,
    earlier_layers: int = 2,
    hidden_of_group: int = 3,
    gain: float = 1.0,
) -> IntegerNetwork:
    """A network whose every weight that may be is drawn.

    Args:
        layers, channels: of the codes.
        seed: of the weights.
        group_size: channels of a group, all by default.
        reach, earlier_layers: of its taps.
        hidden_of_group: hidden units of a group.
        gain: of all scales: far above 1, tanh and logits are at their limits.
    """
    random = np.random.default_rng(seed)
    group_size = group_size or channels
    groups = -(-channels // group_size)
    hidden = groups * hidden_of_group
    taps = Taps(reach, earlier_layers)
    places = len(taps.places)
    known = taps.known(channels, group_size).reshape(-1, groups)
    seen = np.concatenate([known, np.ones((places, groups), dtype=bool)])
    group_of_hidden = np.arange(hidden) // hidden_of_group
    group_of_channel = np.arange(channels) // group_size

    def whole(allowed: npt.NDArray[np.bool_], *shape: int) -> npt.NDArray[np.int8]:
        drawn = random.integers(-WEIGHT_ONE, WEIGHT_ONE, shape, endpoint=True)
        return (drawn * allowed).astype(np.int8)

    def scale(size: float, bits: int, terms: int, *shape: int) -> npt.NDArray[np.int32]:
        """Brings sums of so many products of about this size to about 1."""
        step = gain * (1 << SCALE_BITS + bits) / (size * max(terms, 1) ** 0.5)
        return np.asarray(np.round(random.normal(1, 0.3, shape) * step), dtype=np.int32)

    def offset(bits: int, *shape: int) -> npt.NDArray[np.int64]:
        return np.round(random.normal(0, 0.5, shape) * (1 << SCALE_BITS + bits)).astype(np.int64)

    inputs, size = len(seen), 0.6 * WEIGHT_ONE
    lower = group_of_hidden[:, None] <= group_of_channel
    return IntegerNetwork(
        layers=layers,
        channels=channels,
        group_size=group_size,
        reach=reach,
        earlier_layers=earlier_layers,
        weights=whole(seen[:, group_of_hidden], inputs, hidden),
        scale=scale(size, SUM_BITS, inputs, layers, hidden),
        shift=offset(SUM_BITS, layers, hidden),
        head=whole(lower, layers, hidden, channels),
        head_scale=scale(size * size, LOGIT_BITS, hidden, layers, channels),
        bias=offset(LOGIT_BITS, layers, channels),
    )


def plain_start(start: Start | None) -> dict[str, Any] | None:
    """A start as nested lists, for the reference."""
    if start is None:
        return None
    return {name: array.tolist() for name, array in start.arrays().items()}


def plain_network(network: IntegerNetwork | None) -> dict[str, Any] | None:
    """A network as its sizes and nested lists, for the reference."""
    if network is None:
        return None
    return network.sizes() | {name: array.tolist() for name, array in network.arrays().items()}


def random_model(layers: int, channels: int, seed: int = 0, *, network: bool = True) -> Model:
    """A model that fits codes of so many layers: nearly untrained, so that it does no great harm.

    Args:
        layers, channels: of the codes.
        seed: of its numbers.
        network: whether it has one, which says little.
    """
    random = np.random.default_rng(seed)
    start = untrained(layers, channels, with_network=network)
    units = start.units + random.integers(-64, 65, start.units.shape, dtype=np.int16)
    return Model(
        replace(start, units=units),
        random_network(layers, channels, seed, gain=0.1) if network else None,
        {"made": "by a test", "seed": seed},
    )
