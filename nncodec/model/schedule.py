"""The order of coding: layer after layer, picture after picture, position after position.

Within a layer, positions are coded in raster order, the pictures of a batch one after the other;
at a position all of its channels, one after the other. That is the order in which the bits lie in
the tensor [layers, batch, height, width, channels]: whoever knows it can read them as they come.

    layer 0    picture 0          picture 1                 ■  known: all channels of the position
               ■ ■ ■ ■ ■ ■        ■ ■ ■ ■ ■ ■               ▣  being coded, by one thread
               ■ ■ ■ ■ ■ ■        ■ ■ ■ ▣ · ·               ·  not known yet
               ■ ■ ■ ■ ■ ■        · · · · · ·
    layer 1    ■ ■ ■ ■ ■ ■        ■ ▣ · · · ·               by another, behind the first
               ■ ■ ■ ■ ■ ■        · · · · · ·
               ■ ■ ■ ■ ■ ■        · · · · · ·

A bit sees whole positions before its own in its layer, and of the layers before nothing below the
next row. Layers learn nothing together. So each may be coded behind the one before it, by a thread
of its own (coding/threads.py), as soon as that is a row ahead.

The channels of a position are cut into equal *blocks* of at most BLOCK. A bit sees the bits of its
own block, here and elsewhere; layers of more bits than that are predicted block by block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

BLOCK = 64
"""The most channels of a block."""


def block_size(channels: int) -> int:
    """The channels of a block: all of a position, or equal parts of at most BLOCK.

    The last block may have fewer; it counts as if more channels without a bit followed.
    """
    return -(-channels // block_count(channels))


def block_count(channels: int) -> int:
    """How many blocks the channels of a position are cut into."""
    return -(-channels // BLOCK)


@dataclass(frozen=True)
class Schedule:
    """The order in which a code tensor is coded, FORMAT.md section 6.

    Attributes:
        layers, batch, height, width, channels: the axes of the code tensor, in its order.
        sequence: whether the pictures of the batch are frames, each predicted from those before.
    """

    layers: int
    batch: int
    height: int
    width: int
    channels: int
    sequence: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """The sizes of the code tensor."""
        return self.layers, self.batch, self.height, self.width, self.channels

    @property
    def positions(self) -> int:
        """The positions of a layer, over all pictures."""
        return prod(self.shape[1:4])

    def steps(self, segments: Sequence[range], rows_below: int | None = None) -> list[range]:
        """Numbers the positions that each segment has in all of its layers.

        A segment may code a step once the segment before it has finished that step, or all it has.

        Args:
            segments: the layers of each of them, adjacent ones, in order.
            rows_below: how many rows below its own a network sees of earlier layers, whole rows of
                which it needs; None where there is no network.
        """
        # A row behind the last layer; that its other layers are finished follows.
        behind = self.width if self.height > 1 else 1
        if rows_below is not None:
            rows = min(rows_below, self.height - 1) + 1
            behind = max(behind, rows * self.width - 1)
        steps, begin = [], 0
        for layers in segments:
            end = begin + len(layers) * self.positions
            steps.append(range(begin, end))
            begin = end - self.positions + behind
        return steps
