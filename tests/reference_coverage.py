"""Positions that end early, written from FORMAT.md alone: the decisions of sections 6, 8 and 9.

Plain Python integers, slow and obvious, with the names of that page.
"""

from collections.abc import Callable, Sequence

from tests.reference_network import Picture, Place, has_frames
from tests.reference_numbers import (
    DECISION_RATE,
    DECISION_START,
    DECISION_TAPS,
    clamped,
    dot,
    frequency_of,
    rounded,
    to_logit,
)


class ReferenceCoverage:
    """Which positions have which layers, as far as that is known.

    Attributes:
        missing: of every layer, how many of its positions so far have it not.
    """

    def __init__(
        self, decided: Sequence[bool], pictures: Sequence[Picture], *, sequence: bool
    ) -> None:
        """Takes for every layer whether it has decisions."""
        self._decided, self._pictures, self._sequence = decided, pictures, sequence
        self._has: dict[Place, bool] = {}
        self._weights = [[weight << 21 for weight in DECISION_START] for _ in decided]
        self.missing = [0] * len(decided)

    def has(self, place: Place) -> bool:
        """Whether a position has a layer; every position has what is before the first."""
        return place[0] < 0 or self._has[place]

    def decide(self, place: Place, value_of: Callable[[int], int]) -> bool:
        """Finds out whether a position has a layer.

        Args:
            place: the layer and the position.
            value_of: takes the frequency of a decision, and gives its value.
        """
        layer, *position = place
        has = self.has((layer - 1, *position))  # type: ignore[arg-type]
        if has and self._decided[layer]:
            inputs = [*(self._mark(place, *tap) for tap in DECISION_TAPS), 1]
            weights = self._weights[layer]
            frequency = frequency_of(to_logit(dot(weights, inputs), 24))
            value = value_of(frequency)
            move = rounded((65536 * value - frequency) * DECISION_RATE, 16)
            for i, number in enumerate(inputs):
                weights[i] = clamped(weights[i] + move * number, 4 << 24)
            has = value == 1
        self._has[place] = has
        self.missing[layer] += not has
        return has

    def inherits(self, layer: int) -> bool:
        """Whether a layer begins with what the one before hands over, if there is that layer."""
        return any(self._decided[: layer + 1]) and 0 < layer < len(self._decided)

    def hand_over(self, layer: int) -> None:
        """Makes the next layer's decisions begin with the weights of a layer's."""
        self._weights[layer + 1] = self._weights[layer].copy()

    def _mark(self, place: Place, frames: int, back: int, down: int, right: int) -> int:
        """1 where the position at a tap has the layer there, -1 where it has not, 0 outside."""
        layer, picture, row, column = place
        if frames and not (self._sequence and has_frames(self._pictures, picture, frames)):
            return 0
        layer, picture, row, column = layer - back, picture - frames, row + down, column + right
        rows, columns = self._pictures[picture]
        if layer < 0 or not (0 <= row < rows and 0 <= column < columns):
            return 0
        return 1 if self._has[layer, picture, row, column] else -1
