"""The operations that a network is a list of, FORMAT.md section 10.

A network reads and writes *planes*: a plane holds, for every position of a layer, so many numbers
of 8 fractional bits. Plane 0 are the bits, as -1 and +1; every operation but the head writes the
next one, an LSTM the next two.

    convolve   taps ── weights ── scale, shift ── activation ── plane
    lstm       gates ── one step over rows, or over layers ── plane, cells
    head       taps, bits of lower channels ── units ── logits
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar, NamedTuple, get_type_hints

import numpy as np
import numpy.typing as npt

from nncodec.errors import ModelError
from nncodec.format.limits import MAX_TAPS
from nncodec.model.fixed_point import LOGIT_BITS, LOGIT_LIMIT

Arrays = dict[str, npt.NDArray[np.integer]]

VALUE_BITS = LOGIT_BITS
"""Fractional bits of the numbers of a plane."""
BIT_ONE = 1 << VALUE_BITS
"""A bit as the number of a plane; also the largest value of tanh, and of what an LSTM writes."""
VALUE_LIMIT = LOGIT_LIMIT
"""All other numbers of planes are clamped to this, either way."""
CELL_BITS = 11
"""Fractional bits of an LSTM's cells, which are 16 bits wide."""
SCALE_BITS = 24
"""Fractional bits of scales, and of shifts beside VALUE_BITS."""
WEIGHT_ONE = 127
"""The largest weight."""

ACTIVATIONS = ("linear", "relu", "tanh")
STEPS = ("rows", "layers")


class Tap(NamedTuple):
    """What an operation sees.

    Attributes:
        plane: its number; 0 for the bits.
        frames: how many pictures back, in a sequence.
        layers: how many layers back.
        down, right: rows and columns from the position.
    """

    plane: int
    frames: int
    layers: int
    down: int
    right: int


class Operation:
    """The base of all operations. What is no array of numbers stands in a model file's texts."""

    kind: ClassVar[str]

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths of the planes that it writes."""
        return ()

    def form(self) -> dict[str, Any]:
        """What stands in the texts of a model file: values of JSON, by name."""
        form: dict[str, Any] = {"operation": self.kind}
        for name in self._texts():
            value = getattr(self, name)
            form[name] = [list(tap) for tap in value] if name == "taps" else value
        return form

    def arrays(self) -> Arrays:
        """The numbers, by name."""
        texts = self._texts()
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in texts}  # type: ignore[arg-type]  # all are dataclasses

    @classmethod
    def _texts(cls) -> list[str]:
        hints = _types(cls.kind)
        return [one.name for one in fields(cls) if hints[one.name] in _TEXTS]  # type: ignore[arg-type]


_TEXTS = (int, bool, str, tuple[Tap, ...])


@dataclass(frozen=True, eq=False)
class Convolve(Operation):
    """Sums of what the taps see, times weights, scaled and put through a function.

    Attributes:
        taps: what is seen, in the order of the weights' inputs.
        earlier: whether the bits of the position in all earlier layers follow, from layer 0 on.
        skip: a plane of the same width whose numbers are added before the function; 0 for none.
        activation: one of ACTIVATIONS.
        weights: int8 [1 or layers, width, inputs]; of the earlier layers, all but the last count
            as inputs.
        scale: int32 [layers, width], with SCALE_BITS.
        shift: int64 [layers, width], with SCALE_BITS + VALUE_BITS.
    """

    kind: ClassVar[str] = "convolve"
    taps: tuple[Tap, ...]
    earlier: bool
    skip: int
    activation: str
    weights: npt.NDArray[np.int8]
    scale: npt.NDArray[np.int32]
    shift: npt.NDArray[np.int64]

    @property
    def widths(self) -> tuple[int, ...]:
        return (int(self.weights.shape[1]),)


@dataclass(frozen=True, eq=False)
class Lstm(Operation):
    """A step of a long short-term memory over rows, or over layers, at every position.

    Attributes:
        gates: the plane of its gates: forget, input, candidate, output, one after another.
        over: one of STEPS.
        width: of what it writes, a quarter of the gates'.
    """

    kind: ClassVar[str] = "lstm"
    gates: int
    over: str
    width: int

    @property
    def widths(self) -> tuple[int, ...]:
        return self.width, self.width


@dataclass(frozen=True, eq=False)
class Head(Operation):
    """The logits of a position's bits, each of which sees the bits of lower channels.

    Attributes:
        taps, earlier, activation: as of Convolve; the activation is that of the units.
        skip: a plane of a number for every channel, which are added to the logits; 0 for none.
        limit: logits are clamped to this, either way.
        unit_weights: int8 [1 or layers, units * channels, inputs]; a channel's units are adjacent.
        unit_lower: int8 [as many, units * channels, channels]: of the bits of the position; 0 but
            for channels lower than the unit's.
        unit_scale, unit_shift: as of Convolve, [layers, units * channels].
        weights: int8 [1 or layers, channels, inputs], from what is seen to the logits.
        lower: int8 [as many, channels, channels]; 0 but for lower channels.
        output: int8 [layers, channels, units * channels], from the units; 0 for units of higher
            channels.
        scale, output_scale: int32 [layers, channels], with SCALE_BITS.
        shift: int64 [layers, channels], with SCALE_BITS + VALUE_BITS.
    """

    kind: ClassVar[str] = "head"
    taps: tuple[Tap, ...]
    earlier: bool
    skip: int
    activation: str
    limit: int
    unit_weights: npt.NDArray[np.int8]
    unit_lower: npt.NDArray[np.int8]
    unit_scale: npt.NDArray[np.int32]
    unit_shift: npt.NDArray[np.int64]
    weights: npt.NDArray[np.int8]
    lower: npt.NDArray[np.int8]
    output: npt.NDArray[np.int8]
    scale: npt.NDArray[np.int32]
    output_scale: npt.NDArray[np.int32]
    shift: npt.NDArray[np.int64]

    @property
    def units(self) -> int:
        """How many a channel has."""
        return int(self.unit_weights.shape[1]) // int(self.weights.shape[1])


@cache
def _types(kind: str) -> dict[str, Any]:
    """The types of an operation's fields, which take Python long to find."""
    return get_type_hints(_KINDS[kind])


_KINDS: dict[str, type[Operation]] = {kind.kind: kind for kind in (Convolve, Lstm, Head)}


def make_operation(form: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Operation:
    """Makes an operation of what a model file holds.

    Args:
        form: as `Operation.form` gives it.
        arrays: by name.

    Raises:
        ModelError: there is no such operation, or it lacks something, or has a wrong value.
    """
    if not isinstance(form, dict) or form.get("operation") not in list(_KINDS):
        raise ModelError(f"there is no such operation; there are {', '.join(_KINDS)}")
    kind = _KINDS[form["operation"]]
    texts = kind._texts()
    names = {one.name for one in fields(kind)} - set(texts)  # type: ignore[arg-type]
    if set(form) != {"operation", *texts} or set(arrays) != names:
        raise ModelError(f"a {kind.kind} lacks texts or arrays, or has others")
    values: dict[str, Any] = {name: form[name] for name in texts}
    hints = _types(kind.kind)
    for name, value in values.items():
        if name == "taps":
            values[name] = _taps(value)
        elif type(value) is not hints[name]:
            raise ModelError(f"the {name} of a {kind.kind} is {value!r}")
    return kind(**values, **arrays)


def _taps(value: Any) -> tuple[Tap, ...]:
    if not isinstance(value, list) or len(value) > MAX_TAPS:
        raise ModelError(f"the taps of an operation are no list of at most {MAX_TAPS}")
    for tap in value:
        if not (
            isinstance(tap, list)
            and len(tap) == len(Tap._fields)
            and all(type(number) is int for number in tap)
        ):
            raise ModelError(f"a tap is five whole numbers, not {tap!r}")
    return tuple(Tap(*tap) for tap in value)
