"""Networks that several tests draw: of any operations, and a few of special ones."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec.errors import ModelError
from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.model.network.operations import (
    ACTIVATIONS,
    BIT_ONE,
    SCALE_BITS,
    VALUE_LIMIT,
    WEIGHT_ONE,
    Convolve,
    Head,
    Lstm,
    Operation,
    Tap,
)

Draft = Callable[[], Operation]

SomeTap = tuple[int, int, int, int, int]
"""Plane, frames, layers, down, right."""


class NetworkMaker:
    """Makes a network operation by operation; every weight that may be is drawn.

    Attributes:
        widths: of the planes so far.
    """

    def __init__(self, layers: int, channels: int, seed: int, *, gain: float = 1.0) -> None:
        """Starts a network.

        Args:
            layers, channels: of the codes.
            seed: of the numbers.
            gain: of all scales: far above 1, numbers are at their limits.
        """
        self.layers, self.channels, self.widths = layers, channels, [channels]
        self._gain, self._random = gain, np.random.default_rng(seed)
        self._drafts: list[Draft] = []

    def convolve(
        self,
        width: int,
        *taps: SomeTap,
        earlier: bool = False,
        skip: int = 0,
        activation: str = "tanh",
        shared: bool = True,
    ) -> int:
        """Adds a convolve, with one set of weights if it is `shared`; gives its plane."""

        def draft() -> Operation:
            inputs, sets = self._inputs(taps, earlier), 1 if shared else self.layers
            return Convolve(
                taps=tuple(Tap(*tap) for tap in taps),
                earlier=earlier,
                skip=skip,
                activation=activation,
                weights=self._weights(sets, width, inputs),
                scale=self._scale(inputs, width),
                shift=self._shift(width),
            )

        return self._add(draft, width)

    def lstm(self, gates: int, over: str) -> int:
        """Adds an LSTM; gives the plane of its outputs."""
        width = self.widths[gates] // 4
        return self._add(lambda: Lstm(gates, over, width), width, width)

    def head(
        self,
        *taps: SomeTap,
        units: int = 1,
        earlier: bool = False,
        skip: int = 0,
        activation: str = "tanh",
        limit: int = VALUE_LIMIT,
        shared: bool = True,
    ) -> IntegerNetwork:
        """Adds the head, with so many units for each channel; gives the network."""
        channels, all_units = self.channels, units * self.channels
        channel, of_unit = np.arange(channels), np.arange(all_units) // max(1, units)
        inputs, sets = self._inputs(taps, earlier), 1 if shared else self.layers
        head = Head(
            taps=tuple(Tap(*tap) for tap in taps),
            earlier=earlier,
            skip=skip,
            activation=activation,
            limit=limit,
            unit_weights=self._weights(sets, all_units, inputs),
            unit_lower=self._weights(sets, all_units, channels) * (channel < of_unit[:, None]),
            unit_scale=self._scale(inputs + channels // 2, all_units),
            unit_shift=self._shift(all_units),
            weights=self._weights(sets, channels, inputs),
            lower=self._weights(sets, channels, channels) * (channel < channel[:, None]),
            output=self._weights(self.layers, channels, all_units) * (of_unit <= channel[:, None]),
            scale=self._scale(inputs + channels // 2, channels),
            output_scale=self._scale(all_units, channels),
            shift=self._shift(channels),
        )
        operations = [draft() for draft in self._drafts]
        return IntegerNetwork(self.layers, channels, (*operations, head))

    def _add(self, draft: Draft, *widths: int) -> int:
        self._drafts.append(draft)
        self.widths += widths
        return len(self.widths) - len(widths)

    def _inputs(self, taps: tuple[SomeTap, ...], earlier: bool) -> int:
        inputs = sum(self.widths[tap[0]] for tap in taps)
        return inputs + (self.layers - 1) * self.channels * earlier

    def _weights(self, *shape: int) -> npt.NDArray[np.int8]:
        return self._random.integers(-WEIGHT_ONE, WEIGHT_ONE, shape, np.int8, endpoint=True)

    def _scale(self, inputs: int, width: int) -> npt.NDArray[np.int32]:
        """Brings sums of so many products to about 1."""
        one = self._gain * (1 << SCALE_BITS) / (0.6 * WEIGHT_ONE * max(inputs, 1) ** 0.5)
        drawn = self._random.normal(1, 0.3, (self.layers, width)) * one
        return np.asarray(np.round(drawn), dtype=np.int32)

    def _shift(self, width: int) -> npt.NDArray[np.int64]:
        drawn = self._random.normal(0, 0.5, (self.layers, width)) * (BIT_ONE << SCALE_BITS)
        return np.asarray(np.round(drawn * self._gain), dtype=np.int64)


def random_network(layers: int, channels: int, seed: int, *, gain: float = 1.0) -> IntegerNetwork:
    """A network of operations of all kinds, as many as the seed says.

    Args:
        layers, channels: of the codes.
        seed: of the operations and their numbers.
        gain: of all scales.
    """
    for attempt in range(1000):
        random = np.random.default_rng([seed, attempt])
        try:
            return _drawn(NetworkMaker(layers, channels, seed, gain=gain), random)
        except ModelError as error:
            if "rows below" not in str(error):  # whatever else is drawn is right
                raise
    raise AssertionError("no network could be drawn")


def _drawn(maker: NetworkMaker, random: np.random.Generator) -> IntegerNetwork:
    """Draws operations, all of which see only what is known, but maybe too many rows below."""
    kinds = random.choice(
        ["early", "late", "layers", "early rows", "late rows"], draw(random, 0, 4)
    )
    readable: list[int] = []  # all planes but cells, later ones too
    over_layers: list[int] = []
    written = 1
    for kind in kinds:
        single = kind in ("early", "late")
        readable += [written] if single else [written, written + 1]
        over_layers += [written + 1] if kind == "layers" else []
        written += 1 if single else 3
    early: list[int] = []
    late: list[int] = []

    def place(most_down: int) -> tuple[int, int]:
        return draw(random, -3, most_down), draw(random, -3, 3)

    def known_place() -> tuple[int, int]:
        """Up, or to the left in the row."""
        down, right = place(0)
        return (down, right) if down else (0, -1 - abs(right) % 3)

    def early_tap(after: list[int]) -> SomeTap:
        """What an operation may see if it is early; such LSTMs over layers come after it."""
        kind = draw(random, 0, 5)
        if kind == 0:
            return 0, draw(random, 1, 2), draw(random, 0, 1), *place(3)
        if kind == 1 and after:
            return one_of(random, after), 0, 1, 0, 0
        if kind < 4 and early:
            return one_of(random, early), 0, 0, *place(2)
        return 0, 0, draw(random, 1, 3), *place(2)

    def any_tap() -> SomeTap:
        """What any other one may see."""
        kind = draw(random, 0, 3)
        if kind == 0 and readable:
            return one_of(random, readable), 0, 0, draw(random, -3, -1), draw(random, -3, 3)
        if kind == 1 and late:
            return one_of(random, late), 0, 0, 0, draw(random, -3, 0)
        return early_tap([]) if kind == 2 else (0, 0, 0, *known_place())

    def options(width: int, planes: list[int]) -> dict[str, Any]:
        fitting = [plane for plane in planes if maker.widths[plane] == width]
        return {
            "earlier": random.random() < 0.3,
            "skip": one_of(random, [0, *fitting]),
            "activation": ACTIVATIONS[draw(random, 0, 2)],
            "shared": random.random() < 0.5,
        }

    for kind in kinds:
        is_early, single = kind not in ("late", "late rows"), kind in ("early", "late")
        plane, own = len(maker.widths), early if is_early else late
        after = [other for other in over_layers if other > plane]
        taps = [early_tap(after) if is_early else any_tap() for _ in range(draw(random, 0, 4))]
        if kind == "layers":  # what the LSTM writes, in the layer before
            taps.append((plane + 1, 0, 1, 0, 0))
        elif not is_early:
            taps.append((0, 0, 0, *known_place()))
        width = one_of(random, [1, 4, 5, maker.channels]) if single else 4 * draw(random, 1, 3)
        planes = early if is_early else early + late
        own.append(maker.convolve(width, *taps, **options(width, planes)))
        if not single:
            own.append(maker.lstm(plane, "layers" if kind == "layers" else "rows"))
    return maker.head(
        *(any_tap() for _ in range(draw(random, 0, 4))),
        units=one_of(random, [0, 1, 1, 3]),
        limit=one_of(random, [100, 500, VALUE_LIMIT, VALUE_LIMIT]),
        **options(maker.channels, early + late),
    )


def draw(random: np.random.Generator, least: int, most: int) -> int:
    return int(random.integers(least, most, endpoint=True))


def one_of(random: np.random.Generator, numbers: Sequence[int]) -> int:
    return numbers[draw(random, 0, len(numbers) - 1)]


def causal_network(
    layers: int, channels: int, seed: int = 0, *, rows: int = 2, gain: float = 1.0
) -> IntegerNetwork:
    """A network of every kind of operation, each of which sees what it sees in real ones.

    Args:
        layers, channels: of the codes.
        seed: of the numbers.
        rows: how many it sees below the position.
        gain: of all scales.
    """
    maker = NetworkMaker(layers, channels, seed, gain=gain)
    square = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    around = [(0, 0, 1, *place) for place in square]
    gates = maker.convolve(8, *around, (2, 0, 1, 0, 0), earlier=True, activation="linear")
    over_layers = maker.lstm(gates, "layers")
    summary = maker.convolve(4, (over_layers, 0, 0, rows - 1, 0), (0, 1, 0, 1, -1), shared=False)
    own = [(0, 0, 0, *place) for place in ((0, -1), (-1, -1), (-1, 0), (-1, 1))]
    gates = maker.convolve(8, *own, (summary, 0, 0, 0, 0), activation="relu")
    over_rows = maker.lstm(gates, "rows")
    hidden = maker.convolve(5, (over_rows, 0, 0, 0, 0), (over_rows, 0, 0, 0, -1), *own[:1])
    more = maker.convolve(5, (hidden, 0, 0, 0, 0), skip=hidden, activation="relu")
    logits = maker.convolve(channels, (more, 0, 0, -1, 2), activation="linear")
    return maker.head((more, 0, 0, 0, 0), *own[:2], units=2, skip=logits, earlier=True)


def small_network(
    layers: int, channels: int, seed: int = 0, *, gain: float = 1.0
) -> IntegerNetwork:
    """A network of few numbers, which sees the layer before, and the bit to the left."""
    maker = NetworkMaker(layers, channels, seed, gain=gain)
    early = maker.convolve(2, (0, 0, 1, 0, 0), activation="relu")
    return maker.head((early, 0, 0, 1, 0), (0, 0, 0, 0, -1), shared=False)


def still_network(layers: int, channels: int) -> IntegerNetwork:
    """A network that sees nothing."""
    return NetworkMaker(layers, channels, 0).head(units=0)


def lagging_network(layers: int, channels: int, seed: int = 0, *, rows: int = 3) -> IntegerNetwork:
    """A network that sees, so many rows below, what an LSTM wrote in the layer before."""
    maker = NetworkMaker(layers, channels, seed)
    seen = maker.convolve(2, (3, 0, 1, 0, 0))
    gates = maker.convolve(4, (0, 0, 1, 0, 0), (3, 0, 1, 0, 0))
    outputs = maker.lstm(gates, "layers")
    return maker.head((seen, 0, 0, rows, 0), (outputs, 0, 0, 0, 0))
