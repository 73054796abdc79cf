"""The one traversal of a group of codes, for encoding and decoding alike.

It asks the model for the frequency of a bit, the coder for the bit, and shows it to the model.
Encoding and decoding differ in the coders they pass, and in nothing else. Segments are visited side
by side by several threads (threads.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from nncodec.coding.range_coder import Coders, code_bit, code_decision
from nncodec.coding.threads import ONE_THREAD, Threads, run
from nncodec.errors import ModelError
from nncodec.format.limits import most_threads
from nncodec.model.adaptive.handover import hand_over
from nncodec.model.adaptive.learner import begin_block
from nncodec.model.adaptive.learning import finish_block
from nncodec.model.adaptive.stage import AdaptiveStage, Stage, learn, place_of, predict
from nncodec.model.contexts import (
    BLOCKS,
    CHANNELS,
    FIRST_POSITION,
    OF_BLOCK,
    Spot,
    run_of,
    spot_of,
)
from nncodec.model.coverage import (
    CoverageStage,
    hand_over_decisions,
    has_layer,
    learn_decision,
    mark_of,
    predict_decision,
    show_marks,
)
from nncodec.model.fixed_point import FREQUENCY_ONE
from nncodec.model.kernels.compilation import compiled, inlined, linked
from nncodec.model.model import Model
from nncodec.model.network.planes import NetworkStage
from nncodec.model.network.stage import begin_position, predict_network
from nncodec.model.schedule import Schedule

CALL_BITS, LEAST_CALL_BITS = 1 << 15, 1 << 12
"""About so many bits are coded by one call of the compiled loop, all threads together. With fewer
they wait less for each other; each call costs as much as several hundred bits."""


@dataclass(frozen=True)
class Calls:
    """What is called, by any thread, with the number of a segment.

    Attributes:
        finish: when its coder has all its bits: of one segment after the other.
        begin: before its first bit.
    """

    finish: Callable[[int], object]
    begin: Callable[[int], object] | None = None


def traverse(
    schedule: Schedule,
    segments: Sequence[range],
    coders: Coders,
    model: Model | None,
    calls: Calls,
    threads: Threads = ONE_THREAD,
) -> AdaptiveStage:
    """Visits every bit once, in coding order.

    Args:
        schedule: of the group.
        segments: the layers of each of them.
        coders: of the segments.
        model: what to predict with; None for the adaptive stage alone.
        calls: what is called with the number of each segment.
        threads: that work side by side.

    Returns:
        The adaptive stage, as it has become.

    Raises:
        ModelError: the model does not fit the codes.
    """
    if model and not model.fits(schedule.layers, schedule.channels):
        raise ModelError(
            f"the model is for up to {model.layers} layers of {model.channels} bits, the codes "
            f"have {schedule.layers} of {schedule.channels}; use another, or adaptive"
        )
    start, network = (model.start, model.network) if model else (None, None)
    adaptive = AdaptiveStage(schedule, start, network)
    if adaptive.coverage and schedule.decisions is not None:
        marks = coders.marks.reshape(schedule.layers, -1)
        if not len(coders.decisions):  # decoding, all that is known are the layers that all have
            marks = marks[: [*schedule.decisions, True].index(True)]
        show_marks(adaptive.coverage, adaptive.stage.grid, marks)
    steps = schedule.steps(segments, network.rows_below if network else None)
    count = min(threads.count, len(steps), most_threads(schedule.extent))
    most = max(LEAST_CALL_BITS, CALL_BITS // count) // schedule.channels + 1

    def work(
        model: tuple[Stage, NetworkStage | None], segment: int, begin: int, end: int
    ) -> tuple[int, int]:
        end, first = min(end, begin + most), steps[segment].start
        base = segments[segment].start * schedule.positions - first
        span = base + begin, base + end
        if begin == first and calls.begin:
            calls.begin(segment)
        _code_positions(*model, adaptive.coverage, coders, segment, span)
        if end == steps[segment].stop:
            calls.finish(segment)
        return end, (end - begin) * schedule.channels

    models = [(adaptive.stage, adaptive.network)]
    models += [adaptive.of_another_thread() for _ in range(1, count)]
    run(steps, [partial(work, one) for one in models], threads.progress)
    return adaptive


@compiled
def _code_positions(
    stage: Stage,
    network: NetworkStage | None,
    coverage: CoverageStage | None,
    coders: Coders,
    segment: int,
    span: tuple[int, int],
) -> None:
    """Codes positions of a segment.

    Args:
        stage: the adaptive stage, which learns.
        network: what it is beside; without one, nothing of networks is compiled.
        coverage: which layers positions have; likewise.
        coders: that of the segment moves on.
        segment: its number.
        span: the first position, and the one before which it stops, over all layers.
    """
    grid, weights, workspace = stage.grid, stage.weights, stage.workspace
    sizes, (begin, end) = grid.sizes, span
    positions = len(coders.bits) // sizes[CHANNELS] // len(weights.taps)
    index = begin * sizes[CHANNELS]
    run = run_of(grid, begin % positions)
    for number in range(begin, end):
        layer = number // positions
        position = number - layer * positions
        if position == 0:
            run = 0
        elif position == grid.runs[run + 1, FIRST_POSITION]:
            run += 1
        spot = spot_of(grid, run, layer, position)
        seen = position
        if coverage is not None:
            seen = _decide(stage, coverage, coders, segment, spot, number)
        if network is not None:
            shown = index if coders.known[segment] else -1
            begin_position(network, grid, coverage, spot, coders.bits, shown)
        if coverage is not None and seen < 0:
            index += sizes[CHANNELS]
        else:
            for block in range(sizes[BLOCKS]):
                place = place_of(stage, spot, block, seen)
                begin_block(weights, grid, workspace, place)
                for rank in range(place.channels):
                    logit = 0
                    if network is not None:
                        channel = block * sizes[OF_BLOCK] + rank
                        logit = predict_network(network, grid, spot, channel)
                    frequency = predict(stage, place, rank, logit)
                    if coverage is not None and coders.plain[segment]:
                        frequency = FREQUENCY_ONE >> 1
                    bit = code_bit(coders, segment, index, frequency)
                    learn(stage, place, rank, bit)
                    index += 1
                finish_block(weights, grid, workspace, place)
        if coverage is not None and position == coverage.handover:
            _hand_over(stage, coverage, layer)


@inlined
def _hand_over(stage: Stage, coverage: CoverageStage, layer: int) -> None:
    """Makes the next layer begin with what this one has learned, where it does."""
    if layer + 1 < len(coverage.inherits) and coverage.inherits[layer + 1]:
        hand_over_decisions(coverage, layer)
        if coverage.of_bits:
            hand_over(stage.weights, stage.grid, layer)


@linked
def _decide(
    stage: Stage, coverage: CoverageStage, coders: Coders, segment: int, spot: Spot, number: int
) -> int:
    """Codes the decision whether a position has a layer, if there is one.

    Args:
        stage: has the grid, and the table of frequencies.
        coverage: which learns.
        coders: that of the segment moves on.
        segment: its number.
        spot: the position.
        number: of the position, over all layers.

    Returns:
        How many positions of the layer had bits so far; -1 if this one has none.
    """
    grid, layer, mark = stage.grid, spot.layer, mark_of(stage.grid, spot)
    has = has_layer(coverage, grid, spot, 1, spot.first)
    if has and coverage.decided[layer]:
        frequency = predict_decision(coverage, grid, stage.squash, spot)
        has = code_decision(coders, segment, number, frequency)
        learn_decision(coverage, layer, frequency, has)
    coders.marks[number], coverage.marks[mark] = has, 2 * has - 1
    seen = -1
    if has:
        seen = coverage.seen[layer, 0]
        coverage.seen[layer, 0] = seen + 1
    return seen
