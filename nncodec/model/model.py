"""A model: what the adaptive stage starts from, a network if there is one, and who they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nncodec.errors import ModelError
from nncodec.format.header import MODEL_ID_BYTES
from nncodec.model.adaptive.start import Start
from nncodec.model.network.integer_network import IntegerNetwork


@dataclass(frozen=True, eq=False)
class Model:
    """Everything that decides a frequency before the first bit is coded.

    Attributes:
        start: of the adaptive stage.
        network: in integers, if there is one.
        facts: how it was made, for people; JSON values.

    Raises:
        ModelError: start and network do not fit each other.
    """

    start: Start
    network: IntegerNetwork | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.start.with_network != (self.network is not None):
            raise ModelError("the start of the adaptive stage is not one for this network")
        network = self.network
        if network and (network.layers, network.channels) != (self.layers, self.channels):
            raise ModelError(
                f"the network has {network.layers} layers of {network.channels} bits, the start "
                f"{self.layers} of {self.channels}"
            )

    @property
    def layers(self) -> int:
        """The most layers of codes that it fits."""
        return self.start.layers

    @property
    def channels(self) -> int:
        """The bits of a layer at a position, `layer_depth`."""
        return self.start.channels

    def fits(self, layers: int, channels: int) -> bool:
        """Whether it can code so many layers of so many bits at a position."""
        return layers <= self.layers and channels == self.channels

    def arrays(self) -> dict[str, npt.NDArray[np.integer]]:
        """All its numbers by name."""
        arrays = {f"start.{name}": array for name, array in self.start.arrays().items()}
        if self.network:
            arrays |= {f"network.{name}": array for name, array in self.network.arrays().items()}
        return arrays

    @cached_property
    def model_id(self) -> bytes:
        """8 bytes by content: equal for models of the same numbers, `id_of_numbers`."""
        return id_of_numbers(self.arrays(), self.network.text() if self.network else "")


def id_of_numbers(arrays: Mapping[str, npt.NDArray[Any]], network: str) -> bytes:
    """The id of a model by its arrays and the text of its network.

    The first bytes of the SHA-256 of every array: name, type, sizes, values, little-endian; and
    before them of the text, if there is a network.
    """
    digest = hashlib.sha256(b"nncodec model 1")
    if network:
        digest.update(f"\n{network}".encode())
    for name, array in sorted(arrays.items()):
        little = array.astype(array.dtype.newbyteorder("<"))
        digest.update(f"\n{name} {little.dtype.str} {list(little.shape)}\n".encode())
        digest.update(little.tobytes())
    return digest.digest()[:MODEL_ID_BYTES]
