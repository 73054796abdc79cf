"""Where the time of the traversal goes: its phases, by the processor's clock.

The traversal is one compiled function, in which no stopwatch of Python's can be placed. Here the
phases that it runs are compiled once more, with a look at the clock between any two. What is timed
stays the traversal: its frequencies and its bits are compared with those of the codec's own.
"""

import platform
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils as untyped_cgutils
from numba.core import types
from numba.extending import intrinsic

from nncodec.coding.codec import Part, segment_layers, traverse_known
from nncodec.coding.range_coder import Coders, code, decoders, encoders, payload
from nncodec.coding.segments import Segments
from nncodec.model.adaptive.learners import learn_units, predict_units
from nncodec.model.adaptive.mixer import learn_mixing, mix
from nncodec.model.adaptive.stage import AdaptiveStage, Stage, ask, look_up, record_all, reveal
from nncodec.model.contexts import see
from nncodec.model.kernels.compilation import compiled
from nncodec.model.model import Model
from nncodec.model.schedule import Schedule, bits_of, list_runs

Codes = npt.NDArray[np.uint8]
Int64 = npt.NDArray[np.int64]

PHASES = (
    "model: list bits",
    "model: contexts",
    "model: network",
    "model: learners predict",
    "model: mix, tables",
    "coder",
    "model: learners learn",
    "model: mixer learns",
    "model: record bits",
)
"""What the time of the traversal is divided into. In an encoder, the coder takes bits that it knows
and keeps frequencies; payloads are written afterwards."""

cgutils: Any = untyped_cgutils
_MACHINE = platform.machine().lower()


def _typed_now(context: Any) -> Any:
    def build(context: Any, builder: Any, form: Any, given: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(64), [])
        if _MACHINE in ("x86_64", "amd64"):
            name = "llvm.readcyclecounter"
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])
        if _MACHINE in ("aarch64", "arm64"):
            return builder.asm(kind, "mrs $0, cntvct_el0", "=r", [], True)
        return ir.Constant(ir.IntType(64), 0)

    return types.int64(), build


_now: Callable[[], int] = cast(Any, intrinsic(_typed_now))
"""Ticks of a clock that runs steadily; 0 on processors whose clock is not known here."""


@compiled
def _code_steps(
    stage: Stage,
    coders: Coders,
    segment: int,
    layers: tuple[int, int],
    steps: tuple[int, int],
    spent: Int64,
) -> None:
    """Codes a segment; adds the ticks of every phase to `spent`."""
    grid, (runs, contexts, seen, frequencies, bits) = stage.grid, stage.room
    weights, mixers, speeds = stage.weights, stage.mixers, stage.speeds
    for step in range(steps[0], steps[1]):
        for layer in range(layers[0], layers[1]):
            t0 = _now()
            count = list_runs(stage.plan, step, layer, runs)
            t1 = _now()
            see(stage.plan, grid, layer, runs, contexts, count)
            t2 = _now()
            if stage.network.group_size:
                ask(stage.plan, stage.network, grid, layer, runs, contexts, seen, count)
            t3 = _now()
            predict_units(weights, grid, layer, runs, contexts, seen, count)
            t4 = _now()
            mix(mixers, grid, layer, runs, contexts, seen, count)
            look_up(stage.squash, runs, seen, frequencies, count)
            t5 = _now()
            code(coders, segment, frequencies, bits, bits_of(runs, count))
            t6 = _now()
            reveal(bits, runs, seen, count)
            learn_units(weights, speeds, grid, layer, runs, contexts, seen, count)
            t7 = _now()
            learn_mixing(mixers, speeds, layer, runs, seen, count)
            t8 = _now()
            record_all(bits, grid, layer, runs, contexts, seen, count)
            t9 = _now()
            spent[0] += t1 - t0
            spent[1] += t2 - t1
            spent[2] += t3 - t2
            spent[3] += t4 - t3
            spent[4] += t5 - t4
            spent[5] += t6 - t5
            spent[6] += t7 - t6
            spent[7] += t8 - t7
            spent[8] += t9 - t8


@compiled
def read(coders: Coders, frequencies: npt.NDArray[np.int32], bits: Codes) -> None:
    """Codes all bits of the first segment at once; see `nncodec.coding.range_coder.code`."""
    code(coders, 0, frequencies, bits, len(bits))


def shares(codes: Codes, model: Model | None) -> dict[str, dict[str, float]]:
    """Which share of the traversal every phase takes.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        model: what to predict with; None for the adaptive stage alone.

    Returns:
        By "encode" and "decode", then by phase; they sum to 1. Nothing where no clock is known.
    """
    schedule = Schedule(*codes.shape)
    expected: list[Part] = []
    traverse_known(codes, model, expected.append)
    segments = Segments(schedule, segment_layers(codes))
    known = [part.bits for part in expected]
    parts = {}
    writing = encoders(known)
    parts["encode"] = _timed(schedule, segments, writing, model)
    payloads = [
        payload(*one) for one in zip(known, segments.deal(writing.frequencies), strict=True)
    ]
    reading = decoders([bits.size for bits in known], payloads)
    parts["decode"] = _timed(schedule, segments, reading, model)
    assert np.array_equal(reading.bits, writing.bits), "the phases do not decode"
    frequencies = np.concatenate([part.frequencies for part in expected])
    assert np.array_equal(writing.frequencies, frequencies), "the phases are not the traversal"
    return parts


def _timed(
    schedule: Schedule, segments: Segments, coders: Coders, model: Model | None
) -> dict[str, float]:
    start, network = (model.start, model.network) if model else (None, None)
    stage = AdaptiveStage(schedule, start, network).parts
    spent = np.zeros(len(PHASES), dtype=np.int64)
    for number, layers in enumerate(segments.layers):
        steps = schedule.steps_of_layers(layers)
        held, some = (layers.start, layers.stop), (steps.start, steps.stop)
        _code_steps(stage, coders, number, held, some, spent)
    assert coders.possible.all()
    return {
        name: ticks / spent.sum()
        for name, ticks in zip(PHASES, spent.tolist(), strict=True)
        if ticks and (network or name != "model: network")
    }
