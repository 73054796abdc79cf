"""The plain way to decode: the same model, bit by bit in raster order, with numpy.

Layer, row, column, channel: every bit is predicted by a few vector operations, decoded by a call of
`constriction`, and learned from, before the next. Contexts, tables, weights and arithmetic are the
adaptive stage's own, untrained and without a network; in this order a bit sees more of its
neighbours, and learning comes earlier, so that payloads are others than nncodec's.
"""

import itertools
import math
from collections.abc import Callable, Iterator

import constriction
import numpy as np
import numpy.typing as npt

from nncodec.coding.range_coder import payload
from nncodec.model.adaptive import learning_rates as rates
from nncodec.model.adaptive.learners import MIXER_CONSTANT
from nncodec.model.adaptive.learning_rates import FAST, LEARNERS, RATE_BITS, SHARE_BITS, SLOW
from nncodec.model.adaptive.mixer import AGREES, MIXING_BITS, RESEMBLES, SURE, VERY_SURE
from nncodec.model.adaptive.start import (
    LARGEST_MIXER_WEIGHT,
    LARGEST_WEIGHT,
    MIXER_BITS,
    START_BITS,
    untrained,
)
from nncodec.model.adaptive.weights import PREDICTION_BITS, WEIGHT_BITS
from nncodec.model.contexts import (
    CHANNEL_TAPS,
    LAYER_INPUTS,
    LAYER_TAPS,
    UNIT,
    UNIT_BITS,
    block_size,
    empty_grid,
)
from nncodec.model.fixed_point import (
    FREQUENCY_BITS,
    FREQUENCY_ONE,
    LOGIT_BITS,
    LOGIT_LIMIT,
    falling_share,
    logistic_table,
)
from nncodec.model.schedule import Schedule

Codes = npt.NDArray[np.uint8]
Int64 = npt.NDArray[np.int64]

_NEAR, _FAR = len(CHANNEL_TAPS), len(LAYER_TAPS)
_LIMIT, _MIXER_LIMIT = LARGEST_WEIGHT << WEIGHT_BITS, LARGEST_MIXER_WEIGHT << MIXING_BITS


class RasterModel:
    """Predicts the bits of a code tensor one by one, in raster order, and learns from each."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        schedule = Schedule(*shape)
        start = untrained(schedule.layers, schedule.channels)
        self._squash, self._grid = logistic_table(), empty_grid(schedule)
        self._rows = np.empty_like(self._grid.rows)
        self._rows[schedule.positions] = self._grid.rows
        self._block = block = block_size(schedule.channels)
        shift = WEIGHT_BITS - START_BITS
        self._units = start.units.astype(np.int64) << shift
        self._shared = start.shared.astype(np.int64) << shift
        self._around = start.around.astype(np.int64) << shift
        shift = MIXING_BITS - MIXER_BITS
        self._mixers = start.mixers.astype(np.int64) << shift
        self._sets = start.sets.astype(np.int64) << shift
        kinds = [rates.KNOWN] * block + [rates.OWN] * block + [rates.TAPS] * _NEAR
        shared = [rates.SHARED_TAPS] * _FAR + [rates.SHARED_GATES] * (LAYER_INPUTS - _FAR)
        first = np.arange(LEARNERS)[:, None] * rates.KINDS
        self._rates = start.rates.astype(np.int64)
        self._unit_rates = self._rates[:, first + np.array([*kinds, rates.CONSTANT])]
        self._shared_rates = self._rates[:, first + np.array(shared)]
        seen = np.arange(len(self._rows))
        of_layers = [
            [falling_share(life, seen, SHARE_BITS) for life in lives]
            for lives in start.half_lives.tolist()
        ]
        self._shares = np.array(of_layers)

    def predict(self, layer: int, position: int, channel: int) -> int:
        """The frequency of a 1 for the next bit; positions count over the images of the batch."""
        grid, block = self._grid, self._block
        number, rank = divmod(channel, block)
        row = (layer + 1) * grid.layer_rows + int(self._rows[position]) + number
        before = row - grid.layer_rows
        self._place = layer, position, channel, rank, row

        here, earlier_here = row * block, before * block
        offsets = grid.around[layer, : grid.around_counts[layer], None]
        self._around_inputs = grid.signs[here + offsets + np.arange(block)].astype(np.int64)
        taps = UNIT * grid.signs[here + grid.taps[layer] + rank].astype(np.int64)
        pairs = taps[: grid.agreement.shape[1]] >> UNIT_BITS
        gates = grid.layer_gates[rank, block + grid.agreement[row].astype(np.int64)]
        earlier = grid.earlier_gates[block + grid.agreement[before].astype(np.int64)]
        self._shared_inputs = np.concatenate([taps, pairs * gates, pairs * earlier])
        self._unit_inputs = np.empty((LEARNERS, 2 * block + _NEAR + 1), dtype=np.int64)
        known = grid.signs[here : here + block].astype(np.int64)
        known_before = grid.signs[earlier_here : earlier_here + block].astype(np.int64)
        self._unit_inputs[:, :block] = UNIT * known
        self._unit_inputs[FAST, block : 2 * block] = grid.surprise[here : here + block]
        self._unit_inputs[SLOW, block : 2 * block] = UNIT * known_before
        self._unit_inputs[:, 2 * block : -1] = taps[:_NEAR]
        self._unit_inputs[:, -1] = UNIT

        products = _weights(self._units[layer, channel]) * self._unit_inputs
        parts = np.add.reduceat(products, (0, block, 2 * block, 2 * block + _NEAR), axis=1)
        parts[:, 2] += _weights(self._shared[layer]) @ self._shared_inputs
        weights = _weights(self._around[layer, channel, : len(offsets)])
        around = int((weights * self._around_inputs).sum()) << UNIT_BITS
        inputs = [*(parts.sum(axis=1) + around), parts[SLOW, 2], parts[SLOW, 1], 0, around]
        self._logits = _to_logit(np.array(inputs), PREDICTION_BITS + UNIT_BITS)
        self._logits[LEARNERS + 2] = MIXER_CONSTANT

        sure, agreement = abs(int(self._logits[SLOW])), 10 * int(grid.agreement[row, 0])
        second = 4 + (agreement > AGREES * rank) + (agreement > RESEMBLES * rank)
        self._chosen = [0, 1 + (sure > SURE) + (sure > VERY_SURE), second]
        mixing = self._mixers[layer, channel] + self._sets[layer, self._chosen].sum(axis=0)
        mixed = _to_logit(mixing @ self._logits, LOGIT_BITS + MIXING_BITS)
        outputs = np.append(self._logits[:LEARNERS], mixed)
        self._frequencies = self._squash[LOGIT_LIMIT + outputs].astype(np.int64)
        return int(self._frequencies[LEARNERS])

    def learn(self, bit: int) -> None:
        """Learns from the bit that was predicted last, and records it."""
        layer, position, channel, rank, row = self._place
        grid, speeds, shares = self._grid, self._rates[layer], self._shares[layer, :, position]
        errors = (bit << FREQUENCY_BITS) - self._frequencies
        both, pace = errors[:LEARNERS, None], shares[:LEARNERS, None]
        moves = _moves(both, self._unit_rates[layer], pace) * self._unit_inputs
        _learn(self._units[layer, channel], _rounded(moves, UNIT_BITS), _LIMIT)
        moves = _moves(both, self._shared_rates[layer], pace) * self._shared_inputs
        _learn(self._shared[layer], _rounded(moves, UNIT_BITS), _LIMIT)
        around = self._around[layer, channel, : len(self._around_inputs)]
        moves = _moves(errors[LEARNERS], speeds[rates.AROUND], shares[rates.AROUND_LIFE])
        moves = moves * self._around_inputs
        forgotten = _rounded((around + moves) * speeds[rates.FORGETTING], RATE_BITS)
        _learn(around, moves - forgotten, _LIMIT)

        gradient, bits = _rounded(errors[LEARNERS] * self._logits, LOGIT_BITS), FREQUENCY_BITS
        kinds = [rates.MIXER_OF_UNIT, rates.MIXER_OF_LAYER, rates.MIXER_OF_SET, rates.MIXER_OF_SET]
        of_kind = (speeds[kinds] * shares[rates.MIXER_LIFE] >> SHARE_BITS)[:, None]
        moves = _rounded(gradient * of_kind, bits + RATE_BITS - MIXING_BITS)
        _learn(self._mixers[layer, channel], moves[0], _MIXER_LIMIT)
        for number, move in zip(self._chosen, moves[1:], strict=True):
            _learn(self._sets[layer, number], move, _MIXER_LIMIT)

        sign, pairs = 1 if bit else -1, grid.agreement.shape[1]
        here = row * grid.block + rank
        grid.signs[here] = sign
        grid.surprise[here] = _rounded(errors[FAST], bits - UNIT_BITS - 1)
        grid.agreement[row] += sign * grid.signs[here + grid.taps[layer, :pairs]]


def crop(codes: Codes, bits: int) -> Codes:
    """A corner of the first image with about so many bits, of all layers and channels."""
    positions = max(1, bits // (codes.shape[0] * codes.shape[4]))
    width = min(codes.shape[3], math.isqrt(positions))
    return np.ascontiguousarray(codes[:, :1, : positions // width, :width])


def encode_raster(codes: Codes) -> bytes:
    """The payload of a code tensor; nothing but the range coder's words."""
    bits = codes.reshape(-1)
    frequencies = np.empty(len(bits), dtype=np.uint16)
    known = iter(bits.tolist())
    for index, (_, frequency) in enumerate(_walk(codes.shape, lambda _: next(known))):
        frequencies[index] = frequency
    return payload(bits, frequencies)


def decode_raster(data: bytes, shape: tuple[int, ...]) -> Codes:
    """The code tensor of a payload."""
    coder = constriction.stream.queue.RangeDecoder(np.frombuffer(data, "<u4").astype(np.uint32))
    bernoulli = constriction.stream.model.Bernoulli(perfect=False)

    def read(frequency: int) -> int:
        return int(coder.decode(bernoulli, np.array([frequency / FREQUENCY_ONE]))[0])

    bits = [bit for bit, _ in _walk(shape, read)]
    return np.array(bits, dtype=np.uint8).reshape(shape)


def _walk(shape: tuple[int, ...], bit_at: Callable[[int], int]) -> Iterator[tuple[int, int]]:
    """Every bit, as its frequency gives it, and the frequency."""
    layers, batch, height, width, channels = shape
    model = RasterModel(shape)
    for place in itertools.product(range(layers), range(batch * height * width), range(channels)):
        frequency = model.predict(*place)
        bit = bit_at(frequency)
        model.learn(bit)
        yield bit, frequency


def _rounded(values: Int64, bits: int) -> Int64:
    return (values + (1 << bits - 1)) >> bits


def _weights(values: Int64) -> Int64:
    """Weights as they predict."""
    return _rounded(values, WEIGHT_BITS - PREDICTION_BITS)


def _to_logit(values: Int64, bits: int) -> Int64:
    return np.clip(_rounded(values, bits - LOGIT_BITS), -LOGIT_LIMIT, LOGIT_LIMIT)


def _moves(errors: Int64, speeds: Int64, shares: Int64) -> Int64:
    moves = errors * (speeds * shares >> SHARE_BITS)
    return _rounded(moves, FREQUENCY_BITS + RATE_BITS - WEIGHT_BITS)


def _learn(weights: Int64, moves: Int64, limit: int) -> None:
    np.clip(weights + moves, -limit, limit, out=weights)
