"""Groups of pictures -> payloads, several of them side by side.

A group knows nothing of any other, so that threads take one each; where there are fewer groups than
threads, several work on the layers of a group (traversal.py). The pictures of a group are of any
sizes: its codes are the bits of a layer after those of the layer before, [layers, bits of a layer].
What decodes a group is in group_decoder.py.
"""

import itertools
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np

from nncodec.coding.range_coder import encoders, payload
from nncodec.coding.segments import CodedSegment, segment_checksum, segment_layers
from nncodec.coding.threads import ONE_THREAD, Threads, each_side_by_side
from nncodec.coding.traversal import Calls, traverse
from nncodec.format.code_tensor import ABSENT, Codes, pack_bits
from nncodec.format.extent import Extent
from nncodec.format.groups import Group, Segment
from nncodec.format.limits import check_limits
from nncodec.model.adaptive.stage import AdaptiveStage
from nncodec.model.model import Model
from nncodec.model.schedule import Schedule

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class CodedGroup:
    """A group that was encoded.

    Attributes:
        group: what its header says.
        payloads: of its segments.
        bits: how many each layer has.
        lengths: the sum of -log2 of the probability of every bit of each layer, in bits.
    """

    group: Group
    payloads: list[bytes]
    bits: list[int]
    lengths: list[float]

    def layer_bytes(self) -> list[int]:
        """Gives the payload bytes of each layer; layers of one segment share its bytes."""
        sizes = [0] * len(self.bits)
        for segment, layers in zip(self.group.segments, self.group.segment_layers(), strict=True):
            costs = self.bits if segment.stored else self.lengths
            part = slice(layers.start, layers.stop)
            sizes[part] = share_bytes(segment.byte_length, costs[part])
        return sizes


def share_bytes(size: int, costs: Sequence[float]) -> list[int]:
    """Shares the bytes of a payload among its layers.

    Args:
        size: how many they are.
        costs: of each layer: its code length, or of stored bits how many it has.
    """
    total = sum(costs)
    ends = [round(size * cost / total) for cost in itertools.accumulate(costs, initial=0.0)]
    return [end - begin for begin, end in itertools.pairwise(ends)]


def encode_group(
    codes: Codes,
    extent: Extent,
    model: Model | None,
    *,
    sequence: bool,
    threads: Threads = ONE_THREAD,
) -> CodedGroup:
    """Compresses a group.

    Args:
        codes: uint8 {0, 1}, or ABSENT, [layers, ...], the bits of a layer in the order of its
            pictures.
        extent: their sizes.
        model: what to predict with; None for the adaptive stage alone.
        sequence: whether the pictures are frames, each predicted from those before.
        threads: that work side by side; what they make is the same for any number.

    Raises:
        CodesError: the group is above a limit of the format.
        ModelError: the model does not fit the codes.
    """
    check_limits(extent)
    segments: list[Segment] = []
    payloads: list[bytes] = []
    lengths, bits = [0.0] * extent.layers, [0] * extent.layers

    def write(segment: CodedSegment) -> None:
        coded, stored = shortest_payload(segment)
        first = sum(one.layers for one in segments)
        payloads.append(coded)
        checksum = segment_checksum(segment.codes, segment.marks, coded)
        segments.append(Segment(len(segment.codes), stored, len(coded), checksum))
        layers = slice(first, first + len(segment.codes))
        lengths[layers], bits[layers] = segment.code_lengths(), segment.bits()

    schedule = traverse_group(codes, Schedule(extent, sequence), model, write, threads).schedule
    held = sum(bits) // extent.channels if any(schedule.decisions or ()) else 0
    group = Group(extent.pictures, tuple(segments), schedule.decisions, held)
    return CodedGroup(group, payloads, bits, lengths)


def shortest_payload(segment: CodedSegment) -> tuple[bytes, bool]:
    """Gives the payload of a segment, and whether it is stored, as it is if that is not longer."""
    coded = payload(*segment.symbols())
    if segment.marks is None or segment.marks.all():
        stored = math.ceil(segment.codes.size / 8) <= len(coded)
        return (pack_bits(segment.codes) if stored else coded), stored
    if segment.bits_length() < sum(segment.bits()):
        return coded, False
    plain = payload(*segment.symbols(plain=True))
    return (plain, True) if len(plain) <= len(coded) else (coded, False)


def traverse_group(
    codes: Codes,
    schedule: Schedule,
    model: Model | None,
    each: Callable[[CodedSegment], object] | None = None,
    threads: Threads = ONE_THREAD,
) -> AdaptiveStage:
    """Visits every bit of a group once, in coding order, and writes nothing.

    Args:
        codes: as for `encode_group`.
        schedule: of the group; where positions end early, the codes say.
        model: what to predict with; None for the adaptive stage alone.
        each: is called with the segments that a container has of the group, in order; their
            arrays have the axes of the codes. Layers that no position has are in none.
        threads: that work side by side.

    Returns:
        The adaptive stage, as it has become.

    Raises:
        ModelError: the model does not fit the codes.
    """
    extent, bits = schedule.extent, [schedule.extent.bits_per_layer] * schedule.layers
    marks = _marks(codes, extent)
    if marks is not None:
        counts = marks.sum(axis=1, dtype=np.int64)
        marks = marks[: np.count_nonzero(counts)]
        ends = tuple((-np.diff(counts, prepend=extent.positions) > 0).tolist())
        schedule = replace(schedule, decisions=ends[: len(marks)])
        if not len(marks):  # there is nothing to learn from
            least = replace(schedule, extent=extent.first_layers(1))
            return AdaptiveStage(least, *(model.start, model.network) if model else ())
        codes, bits = codes[: len(marks)], (counts[: len(marks)] * extent.channels).tolist()
        schedule = replace(schedule, extent=extent.first_layers(len(marks)))
    segments = segment_layers(bits, ending=marks is not None)
    coders = encoders(codes, len(segments), marks)
    frequencies = coders.frequencies.reshape(codes.shape)
    decisions = None if marks is None else coders.decisions.reshape(marks.shape)

    def finish(index: int) -> None:
        if each:
            layers = slice(segments[index].start, segments[index].stop)
            segment = CodedSegment(codes[layers], frequencies[layers])
            if marks is not None and decisions is not None:
                segment = replace(segment, marks=marks[layers], decisions=decisions[layers])
            each(segment)

    return traverse(schedule, segments, coders, model, Calls(finish), threads)


def _marks(codes: Codes, extent: Extent) -> Codes | None:
    """Whether positions have layers: uint8 {0, 1}, [layers, positions]; None if all have all."""
    first = codes.reshape(len(codes), extent.positions, extent.channels)[..., 0]
    present = first != ABSENT
    return None if present.all() else present.view(np.uint8)


def map_groups(
    function: Callable[[Item, Threads], Result], groups: Iterable[Item], threads: Threads
) -> Iterator[Result]:
    """What a function makes of each group, in order; as many at a time as there are threads.

    Args:
        function: takes a group, and who works on it.
        groups: they are taken as they are needed.
        threads: that work side by side.

    Raises:
        Exception: what the function raised, or `groups`, after what comes of the groups before.
    """
    rest, lock = iter(groups), threading.Lock()

    def progress(bits: int) -> None:
        if threads.progress:
            with lock:
                threads.progress(bits)

    failure: Exception | None = None
    while not failure:
        some: list[Item] = []
        try:
            some.extend(islice(rest, threads.count))
        except Exception as error:
            failure = error
        if len(some) == 1:
            yield function(some[0], threads)
        elif some:
            each = Threads(threads.count // len(some), progress)
            yield from each_side_by_side(partial(_call, function, each), some, threads.count)
        elif not failure:
            return
    raise failure


def _call(function: Callable[[Item, Threads], Result], threads: Threads, item: Item) -> Result:
    return function(item, threads)
