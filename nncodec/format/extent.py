"""How large codes are: layers, pictures with a height and width of their own, channels.

Adjacent pictures of one size are a *run*, so that many equal ones take no more room than one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from nncodec.errors import BitstreamError, CodesError
from nncodec.format.fields import DAMAGED, Fields, varint

Shape = tuple[int, int, int, int, int]
"""Layers, batch, height, width, layer_depth of a code tensor."""


class Run(NamedTuple):
    """Adjacent pictures of one size: how many, their rows, and the columns of each."""

    pictures: int
    height: int
    width: int


@dataclass(frozen=True)
class Extent:
    """The sizes of codes whose pictures may differ in height and width.

    Attributes:
        layers: of every picture.
        runs: the pictures in order; no two adjacent runs are of one size.
        channels: bits of a layer at a position.
    """

    layers: int
    runs: tuple[Run, ...]
    channels: int

    @classmethod
    def of_shape(cls, shape: Sequence[int]) -> Extent:
        """That of a code tensor, [layers, batch, height, width, layer_depth]."""
        layers, batch, height, width, channels = shape
        return cls(layers, (Run(batch, height, width),), channels)

    @classmethod
    def of_shapes(cls, shapes: Iterable[Sequence[int]]) -> Extent:
        """That of the pictures of some code tensors, one after another.

        Raises:
            CodesError: their layers or channels differ, or there are none.
        """
        runs: list[Run] = []
        first: tuple[int, int] | None = None
        for shape in shapes:
            layers, batch, height, width, channels = shape
            first = first or (layers, channels)
            if (layers, channels) != first:
                raise CodesError(
                    f"{layers} layers of {channels} bits among others of {first[0]} of {first[1]}; "
                    "put what differs into another container"
                )
            append_run(runs, Run(batch, height, width))
        if not first:
            raise CodesError("there are no codes; give at least one array of them")
        return cls(first[0], tuple(runs), first[1])

    @cached_property
    def pictures(self) -> int:
        """How many there are."""
        return sum(run.pictures for run in self.runs)

    @cached_property
    def positions(self) -> int:
        """The positions of a layer, over all pictures."""
        return sum(run.pictures * run.height * run.width for run in self.runs)

    @property
    def bits_per_layer(self) -> int:
        return self.positions * self.channels

    @property
    def bits(self) -> int:
        return self.layers * self.bits_per_layer

    @property
    def shape(self) -> Shape:
        """The sizes of the one tensor that it is.

        Raises:
            CodesError: its pictures are of several sizes.
        """
        if len(self.runs) != 1:
            raise CodesError("the pictures are of several sizes; use decode_many")
        ((batch, height, width),) = self.runs
        return self.layers, batch, height, width, self.channels

    def first_layers(self, layers: int) -> Extent:
        """The same pictures with fewer layers."""
        return Extent(layers, self.runs, self.channels)

    def cut(self, counts: Iterable[int]) -> Iterator[Extent]:
        """Cuts the pictures into some adjacent ones after another.

        Args:
            counts: how many pictures each has, together not more than there are.
        """
        rest = iter(self.runs)
        left = height = width = 0
        for count in counts:
            runs: list[Run] = []
            while count:
                if not left:
                    left, height, width = next(rest)
                taken = min(count, left)
                runs.append(Run(taken, height, width))
                left -= taken
                count -= taken
            yield Extent(self.layers, tuple(runs), self.channels)

    def __str__(self) -> str:
        """The shape, or what stands for it."""
        if len(self.runs) == 1:
            return str(self.shape)
        return f"({self.layers}, {self.pictures} of several sizes, {self.channels})"


def append_run(runs: list[Run], run: Run) -> None:
    """Appends pictures to those of the last run, if they are of its size, else as a new one."""
    if runs and runs[-1][1:] == run[1:]:
        run = run._replace(pictures=runs.pop().pictures + run.pictures)
    runs.append(run)


def pack_extent(extent: Extent) -> bytes:
    """Packs sizes into their fields of a header (FORMAT.md, section 3)."""
    fields = varint(extent.layers) + varint(extent.pictures)
    for run in extent.runs:
        if len(extent.runs) > 1:
            fields += varint(run.pictures)
        fields += varint(run.height) + varint(run.width)
    return fields + varint(extent.channels)


def unpack_extent(fields: Fields, *, several: bool) -> Extent:
    """Undoes `pack_extent`.

    Args:
        fields: of the header.
        several: whether the pictures are of several sizes.

    Raises:
        BitstreamError: the fields are not what `pack_extent` gives.
    """
    layers, pictures = fields.varint(), fields.varint()
    runs: list[Run] = []
    if several:
        rest = pictures
        while rest > 0:
            runs.append(Run(fields.varint(), fields.varint(), fields.varint()))
            rest -= runs[-1].pictures
            if not runs[-1].pictures or (len(runs) > 1 and runs[-2][1:] == runs[-1][1:]):
                raise BitstreamError(f"sizes are not counted in the one way allowed; {DAMAGED}")
        if rest or len(runs) < 2:
            raise BitstreamError(f"the sizes are not those of {pictures} pictures; {DAMAGED}")
    else:
        runs.append(Run(pictures, fields.varint(), fields.varint()))
    return Extent(layers, tuple(runs), fields.varint())
