"""Codes that are trained on: packed in memory, or left in their files.

Training draws a few pictures at a time of thousands of files. In memory a bit of them takes a bit;
files that even so have no room there are read again whenever one of their pictures is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nncodec.format.code_tensor import ABSENT, Codes, Coverage, mark_absent, split_absent

MEMORY_BYTES = 1 << 30
"""How much memory the packed codes of a training may take."""


class PackedCodes:
    """The codes of a file, of which pictures are unpacked when they are needed.

    Attributes:
        shape: (layers, batch, height, width, layer_depth).
        axes: of the code file that they come from; "" if they come from none.
    """

    def __init__(
        self, codes: Codes, *, read: Callable[[], Codes] | None = None, axes: str = ""
    ) -> None:
        """Packs codes.

        Args:
            codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth], or ABSENT.
            read: gives the same codes again; then none are kept.
            axes: see above.
        """
        self.shape = codes.shape
        self.axes = axes
        self._read = read
        self._rows: npt.NDArray[np.uint8] | None = None  # packed bits, a row a picture
        self._coverage: Coverage | None = None
        if not read:
            codes, coverage = split_absent(codes)
            self._coverage = coverage  # small beside the codes, even so
            pictures = np.moveaxis(codes, 1, 0).reshape(codes.shape[1], -1)
            self._rows = np.packbits(pictures, axis=1)

    def images(self, start: int, stop: int) -> Codes:
        """Unpacks pictures of the batch.

        Returns:
            uint8 {0, 1}, or ABSENT, C-contiguous, [layers, stop - start, height, width,
            layer_depth].

        Raises:
            CodesError: the codes are read again, and cannot be, or are no longer the same.
        """
        if self._rows is None:
            assert self._read
            return np.ascontiguousarray(self._read()[:, start:stop])
        layers, _, *place = self.shape
        bits = np.unpackbits(self._rows[start:stop], axis=1, count=layers * math.prod(place))
        codes = np.ascontiguousarray(np.moveaxis(bits.reshape(-1, layers, *place), 0, 1))
        return codes if self._coverage is None else mark_absent(codes, self._coverage[start:stop])


class FramesBefore:
    """Of every picture of a sequence the one before it, which the first has not: ABSENT.

    Attributes:
        shape: of the sequence.
    """

    def __init__(self, frames: StoredCodes) -> None:
        self._frames = frames
        self.shape: tuple[int, ...] = frames.shape

    def images(self, start: int, stop: int) -> Codes:
        """Gives the pictures before some of the batch, as `PackedCodes.images`."""
        before = images_of(self._frames, max(0, start - 1), max(0, stop - 1))
        layers, _, *place = self.shape
        missing = stop - start - before.shape[1]
        absent = np.full((layers, missing, *place), ABSENT, dtype=before.dtype)
        return np.concatenate([absent, before], axis=1)


StoredCodes = Codes | PackedCodes | FramesBefore


def images_of(codes: StoredCodes, start: int, stop: int) -> Codes:
    """Gives pictures of the batch, [layers, stop - start, ...], in whatever way they are stored."""
    return codes[:, start:stop] if isinstance(codes, np.ndarray) else codes.images(start, stop)
