"""Where the time of the model goes: the phases that `AdaptiveStage` runs as one, each on its own.

The whole model is one compiled function, in which no stopwatch can be placed. Here every phase of
it is compiled by itself and called in the same order, over the known bits of a file; nothing
outside the private parts of `AdaptiveStage` would show these phases. What
is timed stays the model: its frequencies are compared with those of `AdaptiveStage`.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec.adaptive import AdaptiveStage, ask, look_up, record_all, reveal, see
from nncodec.compiled import compiled
from nncodec.contexts import Grid
from nncodec.learners import Seen, Speeds, Weights, learn_units, predict_units
from nncodec.mixer import Mixers, learn_mixing, mix
from nncodec.models import Model
from nncodec.network_stage import NetworkStage
from nncodec.schedule import Bits, Plan, Schedule, list_bits

Codes = npt.NDArray[np.uint8]
Phase = Callable[[int, Codes, int, Any], int]
"""Takes the arguments of `_advance`: how many bits there are, the bits, the step, the parts."""

CALLS = "model: calls"

# Indices into the parts, which compiled functions must know when they are compiled.
_PLAN, _BITS, _GRID, _WEIGHTS, _SPEEDS, _MIXERS, _NETWORK, _SQUASH, _ROOM, _FREQUENCIES = range(10)


@compiled
def _nothing(count: int, values: Codes, step: int, parts: Any) -> int:
    return count


@compiled
def _contexts(count: int, values: Codes, step: int, parts: Any) -> int:
    bits = Bits(*parts[_BITS])
    count = list_bits(Plan(*parts[_PLAN]), step, bits)
    see(Grid(*parts[_GRID]), bits, Seen(*parts[_ROOM]), count)
    return count


@compiled
def _network(count: int, values: Codes, step: int, parts: Any) -> int:
    network, grid = NetworkStage(*parts[_NETWORK]), Grid(*parts[_GRID])
    ask(network, grid, Bits(*parts[_BITS]), Seen(*parts[_ROOM]), count)
    return count


@compiled
def _predict_units(count: int, values: Codes, step: int, parts: Any) -> int:
    weights, grid = Weights(*parts[_WEIGHTS]), Grid(*parts[_GRID])
    predict_units(weights, grid, Bits(*parts[_BITS]), Seen(*parts[_ROOM]), count)
    return count


@compiled
def _mix(count: int, values: Codes, step: int, parts: Any) -> int:
    seen = Seen(*parts[_ROOM])
    mix(Mixers(*parts[_MIXERS]), Grid(*parts[_GRID]), Bits(*parts[_BITS]), seen, count)
    look_up(parts[_SQUASH], seen, parts[_FREQUENCIES], count)
    return count


@compiled
def _learn_units(count: int, values: Codes, step: int, parts: Any) -> int:
    seen = Seen(*parts[_ROOM])
    reveal(values, seen, count)
    weights, speeds = Weights(*parts[_WEIGHTS]), Speeds(*parts[_SPEEDS])
    learn_units(weights, speeds, Grid(*parts[_GRID]), Bits(*parts[_BITS]), seen, count)
    return count


@compiled
def _learn_mixing(count: int, values: Codes, step: int, parts: Any) -> int:
    mixers, speeds = Mixers(*parts[_MIXERS]), Speeds(*parts[_SPEEDS])
    learn_mixing(mixers, speeds, Bits(*parts[_BITS]), Seen(*parts[_ROOM]), count)
    return count


@compiled
def _record(count: int, values: Codes, step: int, parts: Any) -> int:
    grid, bits, seen = Grid(*parts[_GRID]), Bits(*parts[_BITS]), Seen(*parts[_ROOM])
    record_all(values, grid, bits, seen, count)
    return count


_LEARNING: dict[str, Phase] = {
    "model: learners learn": _learn_units,
    "model: mixer learns": _learn_mixing,
    "model: record bits": _record,
}
_PREDICTION: dict[str, Phase] = {
    "model: list bits, contexts": _contexts,
    "model: network": _network,
    "model: learners predict": _predict_units,
    "model: mix, tables": _mix,
}
PARTS = (*_PREDICTION, *_LEARNING, CALLS)
"""What the time of the model is divided into."""


def walk(codes: Codes, model: Model | None) -> dict[str, float]:
    """Drives the phases of the model over known bits.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        model: what to predict with; None for the adaptive stage alone.

    Returns:
        The seconds of every part. What a call costs that does nothing is taken from each phase,
        and counted once a step, as often as there is one in `AdaptiveStage`.
    """
    schedule = Schedule(*codes.shape)
    start, network = (model.start, model.network) if model else (None, None)
    stage = AdaptiveStage(schedule, start, network)
    values, parts = stage._values, stage._parts
    prediction = dict(_PREDICTION)
    if network is None:
        del prediction["model: network"]
    for phase in (_nothing, *_LEARNING.values(), *prediction.values()):
        phase(0, values, 0, parts)  # compiles it
    spent = dict.fromkeys(PARTS, 0.0)
    known = codes.reshape(-1)[schedule.order()]
    frequencies = np.empty(len(known), dtype=np.int32)

    def timed(name: str, phase: Phase, count: int, step: int) -> int:
        begin = time.perf_counter()
        count = phase(count, values, step, parts)
        spent[name] += time.perf_counter() - begin
        return count

    count, first = 0, 0
    for step in range(schedule.step_count):
        timed(CALLS, _nothing, count, step)
        for name, phase in _LEARNING.items():
            timed(name, phase, count, step)
        for name, phase in prediction.items():
            count = timed(name, phase, count, step)
        frequencies[first : first + count] = stage._frequencies[:count]
        values[:count] = known[first : first + count]
        first += count
    _check(AdaptiveStage(schedule, start, network), schedule.step_count, known, frequencies)
    for name in (*_LEARNING, *prediction):
        spent[name] = max(0.0, spent[name] - spent[CALLS])
    return spent


def scaled(parts: dict[str, float], seconds: float) -> dict[str, float]:
    """The parts, so that they sum to what the whole model was measured to take."""
    total = sum(parts.values())
    return {name: part / total * seconds for name, part in parts.items()}


def _check(
    stage: AdaptiveStage, steps: int, known: Codes, frequencies: npt.NDArray[np.int32]
) -> None:
    first = 0
    for step in range(steps):
        expected = stage.frequencies(step)
        last = first + len(expected)
        assert np.array_equal(frequencies[first:last], expected), "the phases are not the model"
        stage.learn(known[first:last])
        first = last
