"""How fast the codec could be: the model's multiply-accumulates and the coder, and nothing else."""

import time

import numpy as np
import numpy.typing as npt

from nncodec.model.adaptive.learning_rates import LEARNERS
from nncodec.model.adaptive.start import untrained
from nncodec.model.contexts import LAYER_INPUTS, around_taps_of_layer, block_size
from nncodec.model.kernels.compilation import compiled
from nncodec.model.kernels.long_rows import dot
from nncodec.model.model import Model

MATRIX = 512
ROW, ROWS, ROUNDS = 480, 16, 200
"""A row of weights is as long as what a unit sees around; so many lie in the nearest cache."""
REPEATS = 20


def multiply_accumulates(shape: tuple[int, ...], model: Model | None) -> float:
    """How many of them the model takes for a code bit of a tensor, by the shapes of its weights.

    Every weight that a bit sees counts once to predict, and once more to learn; the weights of a
    network do not learn, and those of its hidden units count once a position. Zeros count too:
    bits that are not known yet, neighbours that lie outside.
    """
    layers, channels = shape[0], shape[-1]
    start = model.start if model else untrained(layers, channels)
    around = sum(around_taps_of_layer(layer) for layer in range(layers)) / layers
    units = LEARNERS * (start.units.shape[-1] + LAYER_INPUTS) + around * block_size(channels)
    total = 2 * (units + start.mixers.shape[-1])
    network = model.network if model else None
    if network:
        inputs = len(network.taps.offsets) * channels
        groups = np.arange(channels) // network.group_size + 1
        total += inputs * network.hidden / channels + groups.mean() * network.hidden_of_group
    return float(total)


def rates() -> dict[str, float]:
    """Multiply-accumulates a second of this machine, on one thread, at best: by their kind."""
    random = np.random.default_rng(0)
    left, right = random.random((2, MATRIX, MATRIX), dtype=np.float32)
    product = np.empty_like(left)
    weights = random.integers(-100, 100, (ROWS, ROW), dtype=np.int16)
    signs = random.integers(-1, 2, (ROWS, ROW), dtype=np.int8)
    _sums(weights, signs, 1)  # compiles it
    matrices, integers = [], []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        np.matmul(left, right, out=product)
        middle = time.perf_counter()
        _sums(weights, signs, ROUNDS)
        matrices.append(middle - begin)
        integers.append(time.perf_counter() - middle)
    return {
        "float32 matrices": MATRIX**3 / min(matrices),
        "int16 x int8 sums": ROUNDS * ROWS * ROW / min(integers),
    }


@compiled
def _sums(weights: npt.NDArray[np.int16], signs: npt.NDArray[np.int8], rounds: int) -> int:
    total = 0
    for number in range(rounds):
        for row in range(len(weights)):
            # Other inputs every time, or the compiler would see that the sums are the same.
            total += dot(weights, row, 0, signs, (row + number) % len(signs), 0, weights.shape[1])
    return total
