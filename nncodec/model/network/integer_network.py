"""A network in integers: a list of operations, checked before it runs.

`IntegerNetwork` holds that every operation sees only what is known when it is due, that the arrays
have the sizes that they must have, and, by the network's own numbers, that no sum outgrows its
integer. FORMAT.md, section 10.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec.errors import ModelError
from nncodec.format.limits import MAX_OPERATIONS, MAX_PLANES, MAX_UNITS
from nncodec.model.contexts import MARGIN
from nncodec.model.network.checks import check_operation, check_planes, check_widths
from nncodec.model.network.operations import (
    Convolve,
    Head,
    Lstm,
    Operation,
    make_operation,
)
from nncodec.model.network.structure import Structure


@dataclass(frozen=True, eq=False)
class IntegerNetwork(Structure):
    """A network that is checked: attributes as of a `Structure`.

    Raises:
        ModelError: an operation sees what is not known when it is due, arrays do not have the sizes
            that they must have, or a sum could outgrow its integer.
    """

    def __post_init__(self) -> None:
        if not (type(self.layers) is int and type(self.channels) is int):
            raise ModelError("the network's sizes are no whole numbers")
        if not (self.layers >= 1 and self.channels >= 1):
            raise ModelError("the network's sizes contradict each other")
        if self.layers * self.channels > MAX_UNITS or len(self.operations) > MAX_OPERATIONS:
            raise ModelError(
                f"a network has at most {MAX_UNITS} bits at a position and {MAX_OPERATIONS} "
                "operations"
            )
        kinds = [type(one) for one in self.operations]
        if kinds.count(Head) != 1 or kinds[-1] is not Head:
            raise ModelError("a network's last operation, and no other, is a head")
        for check in (check_widths, check_planes, check_operation):
            self._check(check)
        if sum(plane.width for plane in self.planes[1:]) > MAX_PLANES:
            raise ModelError(f"a network's planes have at most {MAX_PLANES} numbers a position")
        if self.rows_below > MARGIN:
            raise ModelError(f"the network sees more than {MARGIN} rows below the position")

    def _check(self, check: Callable[[Structure, int, Operation], None]) -> None:
        number = 0
        try:
            for number, operation in enumerate(self.operations):
                check(self, number, operation)
        except ModelError as error:
            raise ModelError(f"operation {number} of the network: {error}") from None

    def sizes(self) -> dict[str, Any]:
        """What is no array, as JSON has it."""
        operations = [operation.form() for operation in self.operations]
        return {"layers": self.layers, "channels": self.channels, "operations": operations}

    def text(self) -> str:
        """The sizes as they stand in a model file, and count for the id of a model."""
        return json.dumps(self.sizes(), separators=(",", ":"), sort_keys=True)

    def arrays(self) -> dict[str, npt.NDArray[np.integer]]:
        """The arrays of all operations: `2.weights` is the third one's."""
        return {
            f"{number}.{name}": array
            for number, operation in enumerate(self.operations)
            for name, array in operation.arrays().items()
        }

    def products(self) -> float:
        """Counts the multiply-accumulates of a bit, in the mean over layers."""
        total = 0.0
        for operation in self.operations:
            if isinstance(operation, Lstm):
                continue
            assert isinstance(operation, Convolve | Head)
            earlier = self.channels * (self.layers - 1) / 2 if operation.earlier else 0
            inputs = sum(self.planes[tap.plane].width for tap in operation.taps) + earlier
            if isinstance(operation, Convolve):
                total += inputs * operation.widths[0]
            else:
                units = operation.unit_weights.shape[1]
                outputs = units + self.channels
                total += outputs * (inputs + self.channels / 2) + units * self.channels / 2
        return total / self.channels


def make_network(
    parsed: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
) -> IntegerNetwork:
    """Makes a network of what a model file holds.

    Args:
        parsed: as `IntegerNetwork.sizes` gives it.
        arrays: as `IntegerNetwork.arrays` gives it.

    Raises:
        ModelError: as the network itself; or something is missing or left over.
    """
    if set(parsed) != {"layers", "channels", "operations"} or not isinstance(
        parsed["operations"], list
    ):
        raise ModelError("the model's network lacks arrays or sizes, or has others")
    own: list[dict[str, npt.NDArray[Any]]] = [{} for _ in parsed["operations"]]
    numbers = set(map(str, range(len(own))))
    for name, array in arrays.items():
        number, _, rest = name.partition(".")
        if number not in numbers:
            raise ModelError("the model's network lacks arrays or sizes, or has others")
        own[int(number)][rest] = array
    operations = map(make_operation, parsed["operations"], own)
    return IntegerNetwork(parsed["layers"], parsed["channels"], tuple(operations))
