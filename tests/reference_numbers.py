"""The numbers of version 1, written from FORMAT.md alone: parameters, tables, rounding.

Plain Python integers, slow and obvious, with the names of that page.
"""

import functools
import math
from collections.abc import Iterable, Sequence
from operator import mul
from typing import Any

LOGIT_LIMIT = 3072
BLOCK = 64
LAYER_GATE = 128
EARLIER_GATE = 64
MIXER_CONSTANT = 77
SURE = 205
VERY_SURE = 512
FULL_STEP = 16

Tap = tuple[int, int, int]
"""A neighbour: layers back, rows down, columns right."""

PAIRS: list[Tap] = [(0, 0, -1), (0, -1, 0), (0, -1, 1), (0, -1, -1), (0, 0, -2), (0, -2, 0)]
NEAR_TAPS = [*PAIRS, (1, 0, 0), (2, 0, 0), (3, 0, 0)]
LAYER_TAPS = [
    *NEAR_TAPS,
    *((0, -1, -2), (0, -2, 1), (0, -2, -1), (0, 0, -3), (0, -3, 0)),
    *((4, 0, 0), (5, 0, 0), (6, 0, 0), (7, 0, 0), (8, 0, 0)),
]
AROUND_TAPS: list[Tap] = [
    *((0, 0, -1), (0, -1, 0), (0, -1, 1), (0, -1, -1)),
    *((1, 0, -1), (1, -1, 0), (1, 0, 1), (1, 1, 0)),
    *((2, 0, 0), (3, 0, 0), (4, 0, 0), (5, 0, 0), (6, 0, 0), (7, 0, 0), (8, 0, 0)),
]

START_WEIGHTS = [
    [
        *(293, 186, 93, 22, 133, 69, 0, 0, 0, 39, 43, 30, 149, 73, 0, 0, 0, 0, 0),
        *(178, 155, 65, 48, 127, 100, 72, 72, 72, 72, 72, 72),
    ],
    [
        *(17, -3, 2, -25, 8, -10, 228, 0, 0, 12, 14, 19, 62, 36, 0, 0, 0, 0, 0),
        *(55, 58, 12, 4, 33, 25, 122, 92, 41, 26, 68, 45),
    ],
    [
        *(55, 40, 8, -4, 31, 7, 230, 84, 0, 13, 16, 14, 48, 22, 0, 0, 0, 0, 0),
        *(30, 23, -14, -1, 9, 6, 86, 71, 19, 15, 56, 28),
    ],
    [
        *(43, 30, 11, 1, 28, 20, 90, 215, 50, 6, 4, 9, 22, 22, 15, 10, -13, 76, 41),
        *(-11, -10, -16, -18, -15, -9, 40, 32, 14, 13, 23, 19),
    ],
]
RATES: list[list[int]] = [
    [2013266, 2013266, 1006633, 251658, 31457],
    [2013266, 1006633, 1006633, 2013266, 251658],
    [251658, 62915, 62915, 31457, 15729],
    [2013266, 2013266, 2013266, 2013266, 503316],
    [125829, 125829, 125829, 125829, 125829],
    [377487, 188744, 188744, 377487, 47186],
    [188744, 47186, 47186, 47186, 47186],
    [268435, 268435, 268435, 536871, 4194],
    [134218, 268435, 268435, 268435, 33554],
    [67109, 16777, 8389, 16777, 4194],
    [268435, 268435, 536871, 1073742, 67109],
    [33554, 33554, 33554, 33554, 33554],
    [6291, 1573, 3146, 12583, 6291],
    [6291, 3146, 3146, 25166, 12583],
    [37749, 37749, 75497, 150995, 150995],
    [25166, 12583, 25166, 100663, 25166],
    [40265, 80531, 161061, 161061, 40265],
    [100663, 25166, 25166, 25166, 3146],
    [0, 0, 0, 0, 0],
]
HALF_LIVES = [
    [12, 12, 12, 6, 50],
    [200, 100, 50, 50, 200],
    [400, 100, 25, 25, 400],
    [200, 800, 400, 1600, 1600],
]


def rounded(value: int, bits: int) -> int:
    """value / 2^bits, halves rounded up."""
    return (value + (1 << bits - 1)) >> bits


def clamped(value: int, limit: int) -> int:
    return min(max(value, -limit), limit)


def to_logit(value: int, bits: int) -> int:
    """A number with so many fractional bits as a logit, with 8."""
    return clamped(rounded(value, bits - 8), LOGIT_LIMIT)


def dot(a: Sequence[int], b: Sequence[int]) -> int:
    assert len(a) == len(b)
    return sum(map(mul, a, b))


@functools.cache
def frequencies() -> list[int]:
    """F of every logit, from -LOGIT_LIMIT."""
    one = 1 << 96
    base, term, k = 0, one, 0
    while term > 0:
        base += term
        k += 1
        term //= 256 * k
    upper, power = [], one
    for _ in range(LOGIT_LIMIT + 1):
        upper.append(min((131072 * power // (one + power) + 1) // 2, 65535))
        power = power * base >> 96
    return [65536 - frequency for frequency in reversed(upper[1:])] + upper


def frequency_of(logit: int) -> int:
    return frequencies()[LOGIT_LIMIT + logit]


def tanh_of(scaled_sum: int) -> int:
    """T of a clamped sum."""
    return rounded(127 * (2 * frequency_of(2 * scaled_sum) - 65536), 16)


def strides(channels: int) -> tuple[int, int, int]:
    """Column stride, row stride and layer lag."""
    column_stride = math.ceil(channels / 2)
    row_stride = column_stride + math.ceil(channels / 4)
    return column_stride, row_stride, row_stride + channels


def untrained(layers: int, channels: int) -> dict[str, Any]:
    """The start of a container without a model."""
    block = block_size(channels)
    groups = [min(layer, 2) + (layer >= 4) + (layer >= 8) for layer in range(layers)]
    shared = [START_WEIGHTS[min(layer, 3)] for layer in range(layers)]
    mixer = [1 << 15, 1 << 15, 0, 0, 0, 0]
    return {
        "units": [[[[0] * (2 * block + 10)] * 2] * channels] * layers,
        "shared": [[[weight << 2 for weight in row]] * 2 for row in shared],
        "around": [[[[0] * block] * len(AROUND_TAPS)] * channels] * layers,
        "mixers": [[mixer] * channels] * layers,
        "sets": [[[0] * len(mixer)] * 7] * layers,
        "rates": [[row[group] for row in RATES] for group in groups],
        "half_lives": [[row[group] for row in HALF_LIVES] for group in groups],
    }


def block_size(channels: int) -> int:
    return math.ceil(channels / math.ceil(channels / BLOCK))


def network_taps(reach: int, earlier_layers: int) -> list[Tap]:
    taps = [(0, 0, 0)]
    taps += [(0, 0, right) for right in range(-reach, 0)]
    for down in range(-reach, 0):
        taps += [(0, down, right) for right in range(-reach, reach + 1)]
    if earlier_layers > 0:
        taps += [(1, -1, 0), (1, 0, -1), (1, 0, 1), (1, 1, 0)]
    return taps + [(back, 0, 0) for back in range(1, earlier_layers + 1)]


def network_places(taps: Iterable[Tap]) -> list[tuple[int, int]]:
    return sorted({(down, right) for _, down, right in taps} - {(0, 0)})
