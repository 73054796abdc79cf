"""Positions that end early: which layers a position has, and how likely it has the next.

A *coverage* says how many layers every position has. Before the bits of a layer, a *decision* is
coded at each position that has the layer before: whether it has this one. A logistic regression for
every layer predicts it from what is known of the neighbours. FORMAT.md, section 8.

What positions have is marked like the bits of a code tensor: 1 and -1, and 0 outside.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nncodec.model.contexts import (
    BLOCKS,
    FIRST_POSITION,
    FIRST_ROW,
    HEIGHT,
    MARGIN,
    OF_BLOCK,
    OF_LAYER,
    OF_LINE,
    OF_PICTURE,
    WIDTH,
    Grid,
    Spot,
    Tap,
    Taps,
    first_sign,
    place_taps,
)
from nncodec.model.fixed_point import FREQUENCY_BITS, LOGIT_LIMIT, to_logit
from nncodec.model.kernels.compilation import inlined
from nncodec.model.kernels.integers import clamped, rounded
from nncodec.model.schedule import Schedule

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

DECISION_TAPS: tuple[Tap, ...] = (
    *((0, 0, 0, -1), (0, 0, -1, 0), (0, 0, -1, 1), (0, 0, 0, -2), (0, 0, -2, 0)),
    *((0, 0, -1, 2), (0, 0, -2, 1), (0, 0, -2, -1), (0, 0, -1, -2)),
    *((0, 1, 0, 1), (0, 1, 1, 0), (0, 1, 1, 1)),
    (1, 0, 0, 0),
)
"""Whose marks a decision is predicted from; after them comes a constant, 1."""

DECISION_START = (24, 15, 10, -2, -1, 5, -6, -4, -4, -1, 1, 4, 8, 0)
"""What the weights of these start from, with 3 fractional bits: fitted to maps of local detail."""

_WEIGHT_BITS = 24
_WEIGHT_LIMIT = 4 << _WEIGHT_BITS
DECISION_RATE = round(0.05 * (1 << _WEIGHT_BITS))
"""How fast they learn, with as many fractional bits as they have."""

_LINE = 16  # numbers of a layer: a line of a processor's cache, which threads would else fight for


class CoverageStage(NamedTuple):
    """What is known of a coverage, and the weights of its decisions.

    Attributes:
        marks: int8, for every row of the grid that is the first of a position.
        decided: bool (layers,), whether a layer has decisions; else every position that has the
            layer before has it.
        weights: int32 (layers, 16), one for each of the taps, and of the constant.
        inputs: int8 (layers, 16), what a decision was predicted from.
        seen: int64 (layers, 16), how many positions of a layer had bits, in the first column.
        taps: where the DECISION_TAPS lie in the grid.
        inherits: bool (layers,), whether a layer begins with what the one before has learned.
        handover: the last position before that one hands over.
        of_bits: whether that is so of the bits, too, and not of decisions alone.
    """

    marks: Int8
    decided: npt.NDArray[np.bool_]
    weights: Int32
    inputs: Int8
    seen: Int64
    taps: Taps
    inherits: npt.NDArray[np.bool_]
    handover: int
    of_bits: bool


def make_coverage_stage(grid: Grid, schedule: Schedule, *, of_bits: bool) -> CoverageStage:
    """Makes the stage of a schedule with decisions, before the first of them is known.

    Args:
        grid: of the schedule.
        schedule: what is coded.
        of_bits: whether layers hand over what they have learned of bits.
    """
    layers = schedule.layers
    weights = np.zeros((layers, _LINE), dtype=np.int32)
    weights[:, : len(DECISION_START)] = np.array(DECISION_START) << _WEIGHT_BITS - 3
    inherits = np.logical_or.accumulate(np.array(schedule.decisions, dtype=np.bool_))
    inherits[:1] = False
    inputs = np.zeros((layers, _LINE), dtype=np.int8)
    inputs[:, len(DECISION_TAPS)] = 1
    return CoverageStage(
        marks=np.zeros((layers + 1) * _marks_of_layer(grid), dtype=np.int8),
        decided=np.array(schedule.decisions, dtype=np.bool_),
        weights=weights,
        inputs=inputs,
        seen=np.zeros((layers, _LINE), dtype=np.int64),
        taps=place_taps(DECISION_TAPS, schedule),
        inherits=inherits,
        handover=schedule.handover - 1,
        of_bits=of_bits,
    )


def show_marks(stage: CoverageStage, grid: Grid, marks: npt.NDArray[np.uint8]) -> None:
    """Marks what all positions have, ahead of their turn: where bits are known from the first.

    Args:
        stage: of the grid.
        grid: whose positions they are.
        marks: {0, 1}, [layers, positions].
    """
    for places, of_layer in zip(_places(grid, len(marks)), marks, strict=True):
        stage.marks[places] = 2 * of_layer.astype(np.int8) - 1


def _marks_of_layer(grid: Grid) -> int:
    return int(grid.sizes[OF_LAYER] // grid.sizes[BLOCKS])


def _places(grid: Grid, layers: int) -> Iterator[Int64]:
    """Gives the indices of the marks of all positions, in their order, layer after layer."""
    blocks, first = grid.sizes[BLOCKS], []
    for run, after in itertools.pairwise(grid.runs):
        positions = after[FIRST_POSITION] - run[FIRST_POSITION]
        pictures = positions // (run[HEIGHT] * run[WIDTH])
        picture, row, column = np.ogrid[:pictures, : run[HEIGHT], : run[WIDTH]]
        rows = run[FIRST_ROW] + picture * run[OF_PICTURE] + (row + MARGIN) * run[OF_LINE]
        first.append((rows // blocks + column + MARGIN).reshape(-1))
    of_layer = np.concatenate(first)
    for layer in range(layers):
        yield of_layer + (layer + 1) * _marks_of_layer(grid)


@inlined
def mark_of(grid: Grid, spot: Spot) -> int:
    """Gives the index of the mark of a position."""
    mark: int = spot.first // grid.sizes[BLOCKS]
    return mark


@inlined
def has_layer(coverage: CoverageStage, grid: Grid, spot: Spot, back: int, row: int) -> int:
    """Whether a position has the layer that is `back` before a spot's: 0 or 1.

    Args:
        coverage: as far as it is known.
        grid: whose rows they are.
        spot: what is coded.
        back: 0, or 1; before the first layer, every position has all.
        row: of the grid, the first of the position in the layer of the spot.
    """
    if back > spot.layer:
        return 1
    first = row - back * grid.sizes[OF_LAYER]
    return int(coverage.marks[first // grid.sizes[BLOCKS]] > 0)


@inlined
def predict_decision(coverage: CoverageStage, grid: Grid, squash: Int32, spot: Spot) -> int:
    """Gives the frequency of it that a position has a layer."""
    inputs, weights, total = coverage.inputs, coverage.weights, 0
    of_position = grid.sizes[OF_BLOCK] * grid.sizes[BLOCKS]
    for tap in range(len(DECISION_TAPS)):
        sign = first_sign(grid, coverage.taps, spot.layer, tap, spot.first, spot.picture)
        inputs[spot.layer, tap] = coverage.marks[sign // of_position]
    for number in range(len(DECISION_START)):
        total += int(weights[spot.layer, number]) * inputs[spot.layer, number]
    frequency: int = squash[LOGIT_LIMIT + to_logit(total, _WEIGHT_BITS)]
    return frequency


@inlined
def learn_decision(coverage: CoverageStage, layer: int, frequency: int, has: int) -> None:
    """Moves the weights of a decision, along the gradient of its code length."""
    error = (has << FREQUENCY_BITS) - frequency
    move = rounded(error * DECISION_RATE, FREQUENCY_BITS)
    for number in range(len(DECISION_START)):
        weight = coverage.weights[layer, number] + move * coverage.inputs[layer, number]
        coverage.weights[layer, number] = clamped(weight, _WEIGHT_LIMIT)


@inlined
def hand_over_decisions(coverage: CoverageStage, layer: int) -> None:
    """Makes the decisions of the next layer begin with what those of a layer have learned."""
    for number in range(len(DECISION_START)):
        coverage.weights[layer + 1, number] = coverage.weights[layer, number]
