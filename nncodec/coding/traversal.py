"""The one traversal of a code tensor, for encoding and decoding alike.

It asks the model for the frequency of a bit, the coder for the bit, and shows it to the model.
Encoding and decoding differ in the coders they pass, and in nothing else. Segments are visited side
by side by several threads (threads.py).
"""

from collections.abc import Callable, Sequence
from functools import partial

from nncodec.coding.range_coder import Coders, code_bit
from nncodec.coding.threads import ONE_THREAD, Threads, run
from nncodec.errors import ModelError
from nncodec.format.limits import most_threads
from nncodec.model.adaptive.learner import begin_block
from nncodec.model.adaptive.learning import finish_block
from nncodec.model.adaptive.stage import AdaptiveStage, Stage, learn, place_of, predict
from nncodec.model.contexts import BLOCKS, CHANNELS, OF_BLOCK
from nncodec.model.kernels.compilation import compiled
from nncodec.model.model import Model
from nncodec.model.network.planes import NetworkStage
from nncodec.model.network.stage import begin_position, predict_network, spot_of
from nncodec.model.schedule import Schedule

CALL_BITS, LEAST_CALL_BITS = 1 << 15, 1 << 12
"""About so many bits are coded by one call of the compiled loop, all threads together. With fewer
they wait less for each other; each call costs as much as several hundred bits."""


def traverse(
    schedule: Schedule,
    segments: Sequence[range],
    coders: Coders,
    model: Model | None,
    finish: Callable[[int], object],
    threads: Threads = ONE_THREAD,
) -> AdaptiveStage:
    """Visits every bit once, in coding order.

    Args:
        schedule: of the code tensor.
        segments: the layers of each of them.
        coders: of the segments.
        model: what to predict with; None for the adaptive stage alone.
        finish: is called with the number of each segment when its coder has all its bits: of one
            after the other, but by any thread.
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
    steps = schedule.steps(segments, network.rows_below if network else None)
    count = min(threads.count, len(steps), most_threads(schedule.shape))
    most = max(LEAST_CALL_BITS, CALL_BITS // count) // schedule.channels + 1

    def work(
        model: tuple[Stage, NetworkStage | None], segment: int, begin: int, end: int
    ) -> tuple[int, int]:
        end, first = min(end, begin + most), steps[segment].start
        base = segments[segment].start * schedule.positions - first
        _code_positions(*model, coders, segment, base + begin, base + end)
        if end == steps[segment].stop:
            finish(segment)
        return end, (end - begin) * schedule.channels

    models = [(adaptive.stage, adaptive.network)]
    models += [adaptive.of_another_thread() for _ in range(1, count)]
    run(steps, [partial(work, one) for one in models], threads.progress)
    return adaptive


@compiled
def _code_positions(
    stage: Stage, network: NetworkStage | None, coders: Coders, segment: int, begin: int, end: int
) -> None:
    """Codes positions of a segment.

    Args:
        stage: the adaptive stage, which learns.
        network: what it is beside; without one, nothing of networks is compiled.
        coders: that of the segment moves on.
        segment: its number.
        begin, end: the first position, and the one before which it stops, over all layers.
    """
    grid, weights, workspace = stage.grid, stage.weights, stage.workspace
    sizes = grid.sizes
    positions = len(coders.bits) // sizes[CHANNELS] // len(weights.taps)
    index = begin * sizes[CHANNELS]
    for number in range(begin, end):
        layer = number // positions
        position = number - layer * positions
        spot = spot_of(grid, layer, position)
        if network is not None:
            begin_position(network, grid, spot, coders.bits, index, coders.known[segment])
        for block in range(sizes[BLOCKS]):
            place = place_of(stage, layer, position, block)
            begin_block(weights, grid, workspace, place)
            for rank in range(place.channels):
                logit = 0
                if network is not None:
                    channel = block * sizes[OF_BLOCK] + rank
                    logit = predict_network(network, grid, spot, channel)
                frequency = predict(stage, place, rank, logit)
                bit = code_bit(coders, segment, index, frequency)
                learn(stage, place, rank, bit)
                index += 1
            finish_block(weights, grid, workspace, place)
