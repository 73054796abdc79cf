"""The numbers of version 1, written from FORMAT.md alone: parameters, tables, rounding.

Plain Python integers, slow and obvious, with the names of that page. The tables of section 11 are
its blocks as they stand: `python -m tests.golden.page` copies them here.
"""

import functools
import math
from collections.abc import Sequence
from operator import mul
from typing import Any

LOGIT_LIMIT = 3072
BLOCK = 64
LAYER_GATE = 128
EARLIER_GATE = 64
MIXER_CONSTANT = 77
DOUBT = 4
FRAME_TRUST = 16
NEW_FRAME = 5033165
DECISION_RATE = 838861
HANDOVER = 4096

FRAME_TENTHS = (-1, 2, 4, 6, 8, 9)

Tap = tuple[int, int, int, int]
"""A neighbour: frames back, layers back, rows down, columns right."""

DECISION_TAPS: list[Tap] = [
    *((0, 0, 0, -1), (0, 0, -1, 0), (0, 0, -1, 1), (0, 0, 0, -2), (0, 0, -2, 0)),
    *((0, 0, -1, 2), (0, 0, -2, 1), (0, 0, -2, -1), (0, 0, -1, -2)),
    *((0, 1, 0, 1), (0, 1, 1, 0), (0, 1, 1, 1), (1, 0, 0, 0)),
]
DECISION_START = (24, 15, 10, -2, -1, 5, -6, -4, -4, -1, 1, 4, 8, 0)

PAIRS: list[Tap] = [
    *((0, 0, 0, -1), (0, 0, -1, 0), (0, 0, -1, 1), (0, 0, -1, -1), (0, 0, 0, -2), (0, 0, -2, 0)),
    *((1, 0, 0, 0), (2, 0, 0, 0)),
]
CHANNEL_TAPS: list[Tap] = [
    *PAIRS,
    *((0, 1, 0, 0), (0, 2, 0, 0), (0, 3, 0, 0)),
    *((0, 0, -1, -2), (0, 0, -2, 1), (0, 0, -2, -1), (0, 0, 0, -3), (0, 0, -3, 0)),
    *((0, 4, 0, 0), (0, 5, 0, 0), (0, 6, 0, 0), (0, 7, 0, 0), (0, 8, 0, 0)),
]
AROUND_TAPS: list[Tap] = [
    *((0, 0, 0, -1), (0, 0, -1, 0), (0, 0, -1, 1), (0, 0, -1, -1)),
    *((0, 1, 0, -1), (0, 1, -1, 0), (0, 1, 0, 1), (0, 1, 1, 0)),
    *((0, 2, 0, 0), (0, 3, 0, 0), (0, 4, 0, 0), (0, 5, 0, 0), (0, 6, 0, 0), (0, 7, 0, 0)),
    (0, 8, 0, 0),
]
AROUND_STEPS = [3, 3, 1, 1, *[2] * 11]
MOTION_TAPS: list[Tap] = [(1, 0, 0, 0), (1, 1, 0, 0)]

HALF_LIFE_OF_KIND = (0, 0, 1, 0, 0, 0, 0, 2, 3, 3)
LARGEST_RATES = (*(1 << 22,) * 8, *(1 << 20,) * 2)

START_WEIGHTS = """
4688 2976 1488 352 2128 1104 0 0 0 624 688 480 2384 1168 0 0 0 0 0
2848 2480 1040 768 2032 1600 1152 1152 1152 1152 1152 1152

272 -48 32 -400 128 -160 3648 0 0 192 224 304 992 576 0 0 0 0 0
880 928 192 64 528 400 1952 1472 656 416 1088 720

880 640 128 -64 496 112 3680 1344 0 208 256 224 768 352 0 0 0 0 0
480 368 -224 -16 144 96 1376 1136 304 240 896 448

688 480 176 16 448 320 1440 3440 800 96 64 144 352 352 240 160 -208 1216 656
-176 -160 -256 -288 -240 -144 640 512 224 208 368 304
"""
RATES = """
 587203  654311  570425  603980    2684
 654311  369099  436208  503316  144284
 134218  536871  218104  201327   10905
 654311  872415 1157628 1509949  503316
 125829  125829  125829  125829  125829
 109052   77175   70464   53687   30199
  93952   23488   46976   23488   33554
 100663   22649   20133   25166   10402
 129185  150995  218104  268435  603980
 184549  553648  318767  452985  905970
"""
HALF_LIVES = """
   51    28    24    21   100
  200    35   130   130   800
  200 25600  6400  1000  2100
  920    62    50    14    22
"""


class FormatError(ValueError):
    """The file breaks a rule of the format."""


def require(rule: bool, what: str) -> None:
    if not rule:
        raise FormatError(what)


def rounded(value: int, bits: int) -> int:
    """value / 2^bits, halves rounded up."""
    return (value + (1 << (bits - 1))) >> bits


def clamped(value: int, limit: int) -> int:
    return min(max(value, -limit), limit)


def saturated(value: int) -> int:
    """sat of a number."""
    return -32768 if value < -32768 else 32767 if value > 32767 else value


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
    """F of a logit."""
    assert -LOGIT_LIMIT <= logit <= LOGIT_LIMIT
    return frequencies()[LOGIT_LIMIT + logit]


def tanh_of(z: int) -> int:
    """The function t."""
    return 2 * frequency_of(2 * clamped(z, LOGIT_LIMIT // 2)) - 65536


def block_size(channels: int) -> int:
    """B."""
    return math.ceil(channels / math.ceil(channels / BLOCK))


def unit_inputs(channels: int) -> int:
    """How many numbers `start.units` has for a channel, without a network."""
    block = block_size(channels)
    return 3 * block + (block if channels > BLOCK else 0) + 1


def untrained(layers: int, channels: int) -> dict[str, Any]:
    """The start of a container without a model, by the names of a model file's arrays."""
    block = block_size(channels)
    weights = [int(number) for number in START_WEIGHTS.split()]
    rows = [weights[at : at + 31] for at in range(0, len(weights), 31)]
    groups = [min(layer, 2) + (layer >= 4) + (layer >= 8) for layer in range(layers)]
    rates, half_lives = (
        [[int(number) for number in line.split()] for line in text.strip().splitlines()]
        for text in (RATES, HALF_LIVES)
    )
    return {
        "units": [[[0] * unit_inputs(channels)] * channels] * layers,
        "shared": [rows[min(layer, 3)] for layer in range(layers)],
        "around": [[[[0] * block] * len(AROUND_TAPS)] * channels] * layers,
        "mixers": [[[1 << 16, 0, 0, 0, 0, 0]] * channels] * layers,
        "sets": [[0] * 6] * layers,
        "rates": [[row[group] for row in rates] for group in groups],
        "half_lives": [[row[group] for row in half_lives] for group in groups],
    }
