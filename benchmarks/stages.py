"""Where the time of the model goes: its phases, each compiled by itself.

The whole traversal is one compiled function, in which no stopwatch can be placed. Here every phase
of a step is compiled by itself and called in the same order, over the known bits of a file. What is
timed stays the model: its frequencies are compared with those of `AdaptiveStage`.
"""

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nncodec.adaptive import AdaptiveStage, Stage, ask, look_up, record_all, reveal
from nncodec.compiled import compiled
from nncodec.contexts import see
from nncodec.learners import learn_units, predict_units
from nncodec.mixer import learn_mixing, mix
from nncodec.models import Model
from nncodec.range_coder import Coders, code
from nncodec.schedule import Schedule, list_runs

Codes = npt.NDArray[np.uint8]
Phase = Callable[[int, int, int, Stage], int]
"""Takes the number of runs, the step, the layer and the stage; gives the number of runs."""

CALLS = "calls"


@compiled
def _nothing(count: int, step: int, layer: int, stage: Stage) -> int:
    return count


@compiled
def _contexts(count: int, step: int, layer: int, stage: Stage) -> int:
    count = list_runs(stage.plan, step, layer, stage.runs)
    see(stage.plan, stage.grid, layer, stage.runs, stage.contexts, count)
    return count


@compiled
def _network(count: int, step: int, layer: int, stage: Stage) -> int:
    runs, grid = stage.runs, stage.grid
    ask(stage.plan, stage.network, grid, layer, runs, stage.contexts, stage.seen, count)
    return count


@compiled
def _predict_units(count: int, step: int, layer: int, stage: Stage) -> int:
    predict_units(stage.weights, stage.grid, layer, stage.runs, stage.contexts, stage.seen, count)
    return count


@compiled
def _mix(count: int, step: int, layer: int, stage: Stage) -> int:
    mix(stage.mixers, stage.grid, layer, stage.runs, stage.contexts, stage.seen, count)
    look_up(stage.squash, stage.runs, stage.seen, stage.frequencies, count)
    return count


@compiled
def _learn_units(count: int, step: int, layer: int, stage: Stage) -> int:
    runs, seen = stage.runs, stage.seen
    reveal(stage.bits, runs, seen, count)
    learn_units(stage.weights, stage.speeds, stage.grid, layer, runs, stage.contexts, seen, count)
    return count


@compiled
def _learn_mixing(count: int, step: int, layer: int, stage: Stage) -> int:
    learn_mixing(stage.mixers, stage.speeds, layer, stage.runs, stage.seen, count)
    return count


@compiled
def _record(count: int, step: int, layer: int, stage: Stage) -> int:
    record_all(stage.bits, stage.grid, layer, stage.runs, stage.contexts, stage.seen, count)
    return count


@compiled
def read(coders: Coders, frequencies: npt.NDArray[np.int32], bits: Codes) -> bool:
    """Codes all bits of the first segment at once; see `nncodec.range_coder.code`."""
    return code(coders, 0, frequencies, bits, len(bits))


PREDICTION: dict[str, Phase] = {
    "model: list bits, contexts": _contexts,
    "model: network": _network,
    "model: learners predict": _predict_units,
    "model: mix, tables": _mix,
}
LEARNING: dict[str, Phase] = {
    "model: learners learn": _learn_units,
    "model: mixer learns": _learn_mixing,
    "model: record bits": _record,
}


def walk(codes: Codes, model: Model | None) -> dict[str, float]:
    """Drives the phases of the model over known bits.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        model: what to predict with; None for the adaptive stage alone.

    Returns:
        The seconds of every phase, without those of a call that does nothing.
    """
    schedule = Schedule(*codes.shape)
    start, network = (model.start, model.network) if model else (None, None)
    stage = AdaptiveStage(schedule, start, network).parts
    prediction = dict(PREDICTION)
    if network is None:
        del prediction["model: network"]
    for phase in (_nothing, *LEARNING.values(), *prediction.values()):
        phase(0, 0, 0, stage)  # compiles it
    spent = dict.fromkeys((CALLS, *prediction, *LEARNING), 0.0)
    known = codes.reshape(-1)[schedule.order()]

    def timed(name: str, phase: Phase, count: int, step: int, layer: int) -> int:
        begin = time.perf_counter()
        count = phase(count, step, layer, stage)
        spent[name] += time.perf_counter() - begin
        return count

    again = AdaptiveStage(schedule, start, network)
    first = 0
    for step, layer in schedule.parts():
        count = timed(CALLS, _nothing, 0, step, layer)
        for name, phase in prediction.items():
            count = timed(name, phase, count, step, layer)
        expected = again.frequencies(step, layer)
        last = first + len(expected)
        assert np.array_equal(stage.frequencies[: len(expected)], expected), "not the same model"
        stage.bits[: len(expected)] = known[first:last]
        again.learn(known[first:last])
        for name, phase in LEARNING.items():
            timed(name, phase, count, step, layer)
        first = last
    calls = spent.pop(CALLS)
    return {name: max(0.0, seconds - calls) for name, seconds in spent.items()}


def scaled(parts: dict[str, float], seconds: float) -> dict[str, float]:
    """The parts, so that they sum to what the whole traversal was measured to take."""
    total = sum(parts.values())
    return {name: part / total * seconds for name, part in parts.items()}
