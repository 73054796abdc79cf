"""The networks of version 1, written from FORMAT.md alone: section 10.

Plain Python integers, slow and obvious, with the names of that page. A network is what its text
says, with the arrays of every operation in its object, as nested lists. A number of a plane is
computed when it is asked for, and kept.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tests.reference_numbers import LOGIT_LIMIT, clamped, dot, frequency_of, rounded, tanh_of

Place = tuple[int, int, int, int]
"""A layer, and a position of it: picture, row, column."""

Picture = tuple[int, int]
"""The rows and columns of a picture."""

Signs = Mapping[Place, Sequence[int]]
"""Those of the channels of every place of which a bit is known; 0 for those that are not."""

Operation = Mapping[str, Any]


class ReferenceNetwork:
    """A network that predicts one bit after another."""

    def __init__(
        self,
        network: Mapping[str, Any],
        signs: Signs,
        pictures: Sequence[Picture],
        *,
        sequence: bool,
        has: Callable[[Place], bool] | None = None,
    ) -> None:
        """Takes the signs as far as they are known, and the pictures.

        Where positions may end early, `has` says whether one has a layer.
        """
        self._has = has
        self._signs, self._pictures, self._sequence = signs, pictures, sequence
        self.layers: int = network["layers"]
        self.channels: int = network["channels"]
        operations: list[Operation] = network["operations"]
        self._head = operations[-1]
        self._written_by: list[tuple[Operation, int]] = [({}, 0)]
        self._widths = [self.channels]
        for operation in operations:
            for output, width in enumerate(widths_written(operation)):
                self._written_by.append((operation, output))
                self._widths.append(width)
        self._early: list[bool] = [False]  # of every plane
        for operation in operations[:-1]:
            early = self._is_early(operation)
            self._early += [early] * len(widths_written(operation))
        self._kept: dict[tuple[int, Place], list[int]] = {}
        self._seen_of_head: dict[Place, list[int]] = {}
        self._units: dict[Place, list[int]] = {}

    def logit(self, place: Place, channel: int) -> int:
        """The logit of a bit, with 8 fractional bits."""
        layer, head, skip = place[0], self._head, self._head["skip"]
        if place not in self._seen_of_head:
            self._seen_of_head[place] = list(self._seen(head, place))
        seen, units = self._seen_of_head[place], self._units.setdefault(place, [])
        lower = [256 * sign for sign in self._signs.get(place, [])[:channel]]
        known = len(lower) == channel and 0 not in lower
        assert known, "a lower channel is not known"
        of_channel = len(head["unit_weights"][0]) // self.channels
        while len(units) < (channel + 1) * of_channel:
            unit = len(units)
            z = dot(of_layer(head["unit_weights"], layer)[unit], seen)
            bits = lower[: unit // of_channel]
            z += dot(of_layer(head["unit_lower"], layer)[unit][: len(bits)], bits)
            z = z * head["unit_scale"][layer][unit] + head["unit_shift"][layer][unit]
            units.append(active(rounded(z, 24), head["activation"]))
        z = dot(of_layer(head["weights"], layer)[channel], seen)
        z += dot(of_layer(head["lower"], layer)[channel][:channel], lower)
        more = dot(head["output"][layer][channel][: len(units)], units)
        total = z * head["scale"][layer][channel] + more * head["output_scale"][layer][channel]
        total += self.numbers(skip, place)[channel] << 24 if skip else 0
        return clamped(rounded(total + head["shift"][layer][channel], 24), head["limit"])

    def numbers(self, plane: int, place: Place) -> list[int]:
        """All numbers of a plane at a place, 0 outside."""
        layer, picture, row, column = place
        rows, columns = self._pictures[picture]
        if layer < 0 or not (0 <= row < rows and 0 <= column < columns):
            return [0] * self._widths[plane]
        needed = (layer - 1, picture, row, column) if self._early[plane] else place
        if self._has and not self._has(needed):
            return [0] * self._widths[plane]
        if plane == 0:
            signs = self._signs[place][: self.channels]
            assert 0 not in signs, "not all channels are known"
            return [256 * sign for sign in signs]
        if (plane, place) not in self._kept:
            operation, output = self._written_by[plane]
            if operation["operation"] == "convolve":
                self._kept[plane, place] = self._convolve(operation, place)
            else:
                written = self._lstm(operation, plane - output, place)
                self._kept[plane - output, place], self._kept[plane - output + 1, place] = written
        return self._kept[plane, place]

    def _is_early(self, operation: Operation) -> bool:
        """Whether all that an operation sees is of another layer or frame, or is early."""
        if operation["operation"] == "lstm":
            return self._early[operation["gates"]]
        known = len(self._early)
        planes = [tap[0] for tap in operation["taps"] if not (tap[1] or tap[2])]
        planes += [operation["skip"]] if operation["skip"] else []
        return all(0 < plane < known and self._early[plane] for plane in planes)

    def _seen(self, operation: Operation, place: Place) -> Iterator[int]:
        layer, picture, row, column = place
        for plane, frames, back, down, right in operation["taps"]:
            if frames > 0 and not (self._sequence and has_frames(self._pictures, picture, frames)):
                yield from [0] * self._widths[plane]
            else:
                at = (layer - back, picture - frames, row + down, column + right)
                yield from self.numbers(plane, at)
        if operation["earlier"]:
            for earlier in range(layer):
                yield from self.numbers(0, (earlier, picture, row, column))
            yield from [0] * self.channels * (self.layers - 1 - layer)

    def _convolve(self, operation: Operation, place: Place) -> list[int]:
        layer, skip = place[0], operation["skip"]
        seen = list(self._seen(operation, place))
        skipped = self.numbers(skip, place) if skip else None
        numbers = []
        for o, weights in enumerate(of_layer(operation["weights"], layer)):
            z = dot(weights, seen) * operation["scale"][layer][o] + operation["shift"][layer][o]
            z += skipped[o] << 24 if skipped else 0
            numbers.append(active(rounded(z, 24), operation["activation"]))
        return numbers

    def _lstm(self, operation: Operation, plane: int, place: Place) -> tuple[list[int], list[int]]:
        """Outputs and cells."""
        layer, picture, row, column = place
        back, up = (1, 0) if operation["over"] == "layers" else (0, 1)
        before = self.numbers(plane + 1, (layer - back, picture, row - up, column))
        gates, width = self.numbers(operation["gates"], place), operation["width"]
        outputs, cells = [], []
        for i in range(width):
            f, a, g, e = gates[i::width]
            cell = frequency_of(f) * before[i] * 32 + frequency_of(a) * tanh_of(g)
            cells.append(clamped(rounded(cell, 21), 32767))
            outputs.append(rounded(frequency_of(e) * tanh_of(rounded(cells[-1], 3)), 24))
        return outputs, cells


def has_frames(pictures: Sequence[Picture], picture: int, frames: int) -> bool:
    """Whether so many pictures before a picture are there, and of its size."""
    first = picture - frames
    return first >= 0 and all(one == pictures[picture] for one in pictures[first:picture])


def widths_written(operation: Operation) -> list[int]:
    """Those of the planes that an operation writes."""
    if operation["operation"] == "convolve":
        return [len(operation["weights"][0])]
    return [operation["width"]] * 2 if operation["operation"] == "lstm" else []


def of_layer(weights: list[list[list[int]]], layer: int) -> list[list[int]]:
    """The set of weights of a layer."""
    return weights[layer if len(weights) > 1 else 0]


def active(z: int, activation: str) -> int:
    """A sum after the function of this name."""
    if activation == "tanh":
        return rounded(tanh_of(z), 8)
    return clamped(z, LOGIT_LIMIT) if z > 0 or activation == "linear" else 0
