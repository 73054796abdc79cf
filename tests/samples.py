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
from nncodec.model.model import Model
from nncodec.model.network.integer_network import IntegerNetwork
from tests.sample_networks import small_network


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


def plain_start(start: Start | None) -> dict[str, Any] | None:
    """A start as nested lists, for the reference."""
    if start is None:
        return None
    return {name: array.tolist() for name, array in start.arrays().items()}


def plain_network(network: IntegerNetwork | None) -> dict[str, Any] | None:
    """A network as what its text says, with its arrays as nested lists, for the reference."""
    if network is None:
        return None
    plain = network.sizes()
    for form, operation in zip(plain["operations"], network.operations, strict=True):
        form |= {name: array.tolist() for name, array in operation.arrays().items()}
    return plain


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
        small_network(layers, channels, seed, gain=0.1) if network else None,
        {"made": "by a test", "seed": seed},
    )
