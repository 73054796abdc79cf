"""The one traversal of a code tensor, for encoding and decoding alike.

It asks the model for the frequencies of some bits, their coder for the bits, and shows them to the
model. Encoding and decoding differ in the coders they pass, and in nothing else. Segments are
visited side by side by several threads (threads.py).
"""

from collections.abc import Callable
from functools import partial

from nncodec.coding.range_coder import Coders, code
from nncodec.coding.segments import Segments
from nncodec.coding.threads import Progress, run
from nncodec.errors import ModelError
from nncodec.format.limits import most_threads
from nncodec.model.adaptive.stage import AdaptiveStage, Stage, learn_from, predict
from nncodec.model.kernels.compilation import compiled
from nncodec.model.model import Model
from nncodec.model.schedule import Schedule, bits_of

CALL_BITS, LEAST_CALL_BITS = 1 << 14, 1 << 11
"""About so many bits are coded by one call of the compiled loop, all threads together. With fewer
they wait less for each other; each call costs as much as fifty bits."""


def traverse(
    schedule: Schedule,
    segments: Segments,
    coders: Coders,
    model: Model | None,
    finish: Callable[[int], object],
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> AdaptiveStage:
    """Visits every bit once, in coding order.

    Args:
        schedule: of the code tensor.
        segments: of the code tensor.
        coders: of the segments.
        model: what to predict with; None for the adaptive stage alone.
        finish: is called with the number of each segment when its coder has all its bits: of one
            after the other, but by any thread.
        threads: the most that work side by side.
        progress: is told of the bits as they are coded.

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
    stage = AdaptiveStage(schedule, start, network)
    steps = [schedule.steps_of_layers(layers) for layers in segments.layers]
    threads = min(threads, len(steps), most_threads(schedule.shape))
    most = max(LEAST_CALL_BITS, CALL_BITS // threads)

    def work(parts: Stage, segment: int, begin: int, end: int) -> tuple[int, int]:
        layers = segments.layers[segment]
        held = layers.start, layers.stop
        step, bits = _code_steps(begin, end, held, most, parts, coders, segment)
        if step == steps[segment].stop:
            finish(segment)
        return step, bits

    rooms = [stage.parts, *(stage.parts_of_another_thread() for _ in range(1, threads))]
    run(steps, [partial(work, parts) for parts in rooms], progress)
    return stage


@compiled
def _code_steps(
    step: int,
    end: int,
    layers: tuple[int, int],
    most: int,
    stage: Stage,
    coders: Coders,
    segment: int,
) -> tuple[int, int]:
    """Codes steps of a segment, from one to before another.

    Args:
        step, end: these.
        layers: the first of the segment, and the end of them.
        most: after so many bits it stops earlier.
        stage: the model, which learns.
        coders: that of the segment moves on.
        segment: its number.

    Returns:
        The step that is next, and how many bits there were.
    """
    bits, (first, last), room = 0, layers, stage.room
    while step < end and bits < most:
        for layer in range(first, last):
            count = predict(step, layer, stage)
            some = bits_of(room.runs, count)
            code(coders, segment, room.frequencies, room.bits, some)
            learn_from(layer, count, stage)
            bits += some
        step += 1
    return step, bits
