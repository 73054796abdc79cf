"""What a layer hands over to the next, where positions end early: FORMAT.md, section 9.

Where few positions have a layer, its units have few bits to learn from. So they begin with what
those of the layer before have learned: with a part of most weights, since layers of some encoders
are much alike and those of others little.
"""

import numpy as np
import numpy.typing as npt

from nncodec.model.adaptive.weights import SETS, Matrix, Weights
from nncodec.model.contexts import BLOCKS, OF_BLOCK, Grid
from nncodec.model.kernels.compilation import inlined

LARGEST = (1 << 15) - 1
"""Weights of matrices have 16 bits, and saturate."""

Sizes = npt.NDArray[np.int64]


@inlined
def hand_over(weights: Weights, grid: Grid, layer: int) -> None:
    """Makes the units of the next layer begin with what those of a layer have learned.

    Args:
        weights: of which the next layer has used none.
        grid: that they are for.
        layer: the one that hands over.
    """
    units = grid.sizes[BLOCKS] * grid.sizes[OF_BLOCK]
    _hand_over_matrix(weights.around, grid.sizes, layer)
    _hand_over_matrix(weights.before, grid.sizes, layer)
    for unit in range(layer * units, (layer + 1) * units):
        weights.constant[unit + units] = weights.constant[unit]
        for rank in range(weights.known.shape[1]):
            weights.known[unit + units, rank] = 3 * weights.known[unit, rank] >> 2
            weights.surprise[unit + units, rank] = weights.surprise[unit, rank] >> 1
    for row in range(layer * SETS, (layer + 1) * SETS):
        for number in range(weights.sets.shape[1]):
            weights.sets[row + SETS, number] = weights.sets[row, number]


@inlined
def _hand_over_matrix(matrix: Matrix, sizes: Sizes, layer: int) -> None:
    """Hands over the weights that a layer uses, with what they have not learned yet."""
    blocks, block = sizes[BLOCKS], sizes[OF_BLOCK]
    for group in range(layer * blocks, (layer + 1) * blocks):
        for rank in range(block):
            unit, move = group * block + rank, int(matrix.moves[group, rank])
            for column in range(matrix.taps.counts[layer] * block):
                weight = matrix.weights[unit, column] + move * matrix.inputs[group, column]
                weight = min(max(weight, -LARGEST - 1), LARGEST)
                matrix.weights[unit + blocks * block, column] = weight >> 2
