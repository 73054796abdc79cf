"""How the operations of a network hang together: its planes, and when each of them is due.

FORMAT.md, section 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from nncodec.model.network.operations import (
    BIT_ONE,
    VALUE_LIMIT,
    Convolve,
    Head,
    Lstm,
    Operation,
    Tap,
)


@dataclass(frozen=True)
class Plane:
    """What is known of a plane.

    Attributes:
        width: numbers of a position.
        largest: the most that one of them can be, either way.
        writer: the index of the operation that writes it; -1 for the bits.
        cells: whether it holds an LSTM's cells, which no other operation sees.
    """

    width: int
    largest: int
    writer: int
    cells: bool = False


@dataclass(frozen=True, eq=False)
class Structure:
    """A list of operations for layers of so many channels.

    Attributes:
        layers, channels: the layers that it can predict, and their bits at a position.
        operations: in the order in which they work; the last is the head.
    """

    layers: int
    channels: int
    operations: tuple[Operation, ...]

    @cached_property
    def planes(self) -> list[Plane]:
        """All planes by number; the first are the bits."""
        planes = [Plane(self.channels, BIT_ONE, -1)]
        for number, operation in enumerate(self.operations):
            if isinstance(operation, Convolve):
                largest = BIT_ONE if operation.activation == "tanh" else VALUE_LIMIT
                planes.append(Plane(operation.widths[0], largest, number))
            elif isinstance(operation, Lstm):
                planes.append(Plane(operation.width, BIT_ONE, number))
                planes.append(Plane(operation.width, 0, number, cells=True))
        return planes

    @cached_property
    def early(self) -> list[bool]:
        """Of every operation, whether it sees nothing of its own layer: it is due rows before."""
        early: list[bool] = []
        for operation in self.operations:
            if isinstance(operation, Lstm):
                early.append(early[self.planes[operation.gates].writer])
                continue
            assert isinstance(operation, Convolve | Head)
            seen = all(self._tap_is_early(tap, early) for tap in operation.taps)
            if operation.skip:
                seen = seen and early[self.planes[operation.skip].writer]
            early.append(seen and isinstance(operation, Convolve))
        return early

    @cached_property
    def ahead(self) -> list[int]:
        """Of every operation, how many rows before their own position its planes are needed."""
        ahead = [0] * len(self.operations)
        for number in reversed(range(len(self.operations))):
            operation = self.operations[number]
            if isinstance(operation, Lstm):
                needed = {operation.gates: 0}
            else:
                assert isinstance(operation, Convolve | Head)
                needed = {}
                for tap in operation.taps:
                    if tap.plane and tap.layers:  # before it is overwritten
                        writer = self.planes[tap.plane].writer
                        ahead[number] = max(ahead[number], ahead[writer])
                    elif tap.plane:
                        needed[tap.plane] = max(tap.down, needed.get(tap.plane, 0))
                if operation.skip:
                    needed.setdefault(operation.skip, 0)
            for plane, down in needed.items():
                writer = self.planes[plane].writer
                if writer < number:
                    ahead[writer] = max(ahead[writer], ahead[number] + down)
        return ahead

    @cached_property
    def rows_below(self) -> int:
        """How many rows below a position the network sees of earlier layers."""
        below = 0
        for operation, ahead in zip(self.operations, self.ahead, strict=True):
            if isinstance(operation, Convolve | Head):
                downs = [tap.down for tap in operation.taps if not tap.plane and not tap.frames]
                below = max([below, ahead, *(ahead + one for one in downs)])
        return below

    def _tap_is_early(self, tap: Tap, early: Sequence[bool]) -> bool:
        if tap.layers or tap.frames:
            return True
        writer = self.planes[tap.plane].writer
        return 0 <= writer < len(early) and early[writer]
