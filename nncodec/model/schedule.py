"""The order of coding: layer after layer, picture after picture, position after position.

Within a layer, positions are coded in raster order, the pictures of a group one after the other; at
a position all of its channels, one after the other. Where the pictures are of one size, that is the
order in which the bits lie in the tensor [layers, batch, height, width, channels]: whoever knows it
can read them as they come.

    layer 0    picture 0          picture 1                 ■  known: all channels of the position
               ■ ■ ■ ■ ■ ■        ■ ■ ■ ■ ■ ■               ▣  being coded, by one thread
               ■ ■ ■ ■ ■ ■        ■ ■ ■ ▣ · ·               ·  not known yet
               ■ ■ ■ ■ ■ ■        · · · · · ·
    layer 1    ■ ■ ■ ■ ■ ■        ■ ▣ · · · ·               by another, behind the first
               ■ ■ ■ ■ ■ ■        · · · · · ·
               ■ ■ ■ ■ ■ ■        · · · · · ·

A bit sees whole positions before its own in its layer, and of the layers before nothing below the
next row. Layers learn nothing together. So each may be coded behind the one before it, by a thread
of its own (coding/threads.py), as soon as that is a row ahead. Where positions end early, a layer
begins with what the one before has learned from its first positions, and waits for these.

The channels of a position are cut into equal *blocks* of at most BLOCK. A bit sees the bits of its
own block, here and elsewhere; layers of more bits than that are predicted block by block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from nncodec.format.extent import Extent, Run

BLOCK = 64
"""The most channels of a block."""

HANDOVER = 4096
"""Where positions end early, a layer hands over what it has learned to the next after so many
positions: enough to have learned most, and few where threads are worth while."""


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
    """The order in which a group of codes is coded, FORMAT.md section 6.

    Attributes:
        extent: its layers, pictures and channels.
        sequence: whether the pictures are frames, each predicted from those before.
        decisions: for every layer, whether positions may end right before it; None where every
            position has all layers.
    """

    extent: Extent
    sequence: bool = False
    decisions: tuple[bool, ...] | None = None

    @property
    def layers(self) -> int:
        return self.extent.layers

    @property
    def channels(self) -> int:
        return self.extent.channels

    @property
    def positions(self) -> int:
        """The positions of a layer, over all pictures."""
        return self.extent.positions

    @property
    def handover(self) -> int:
        """After how many positions a layer hands over what it has learned, where positions end."""
        return min(HANDOVER, self.positions)

    @cached_property
    def height(self) -> int:
        """The rows of the tallest picture."""
        return max(run.height for run in self.extent.runs)

    @cached_property
    def width(self) -> int:
        """The columns of the widest picture."""
        return max(run.width for run in self.extent.runs)

    def steps(self, segments: Sequence[range], rows_below: int | None = None) -> list[range]:
        """Numbers the positions that each segment has in all of its layers.

        A segment may code a step once the segment before it has finished that step, or all it has.

        Args:
            segments: the layers of each of them, adjacent ones, in order.
            rows_below: how many rows below its own a network sees of earlier layers, whole rows of
                which it needs; None where there is no network.
        """
        behind = max(_behind(run, rows_below) for run in self.extent.runs)
        if self.decisions is not None:  # a decision sees one position more
            behind = max(behind + 1, self.handover)
        steps, begin = [], 0
        for layers in segments:
            end = begin + len(layers) * self.positions
            steps.append(range(begin, end))
            begin = end - self.positions + behind
        return steps


def _behind(run: Run, rows_below: int | None) -> int:
    """How many positions a layer of a picture must be behind the layer before."""
    # A row behind the last layer; that its other layers are finished follows.
    behind = run.width if run.height > 1 else 1
    if rows_below is not None:
        rows = min(rows_below, run.height - 1) + 1
        behind = max(behind, rows * run.width - 1)
    return behind
