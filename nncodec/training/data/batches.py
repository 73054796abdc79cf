"""The codes of a training, and the batches that are drawn of them.

A batch is a function of its step and of a seed alone, so that a run that goes on after an
interruption, or shares its batches among several processes, sees what any other run sees.
"""

import math
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, overload

import numpy as np
import numpy.typing as npt

from nncodec.format.code_tensor import Codes, split_absent
from nncodec.training.data import synthetic
from nncodec.training.data.epochs import Epochs
from nncodec.training.data.packed_codes import (
    FramesBefore,
    PackedCodes,
    StoredCodes,
    images_of,
)

Logits = npt.NDArray[Any]

# Random numbers for different purposes come from different seeds.
_BATCHES, _FILES = 0, 1
_CHUNK_SAMPLES = 256  # drawn together, which takes little longer than a few


class Batches(Protocol):
    """The batches of a training."""

    def size(self, step: int) -> int:
        """Counts the samples of the batch of a step."""

    def draw(self, step: int, rank: int = 0, count: int = 1) -> Codes:
        """Draws one process's share of the batch of a step.

        Args:
            step: from 0, without an end.
            rank: the process, from 0.
            count: how many processes share the batch, as evenly as it goes.

        Returns:
            uint8 {0, 1}, or ABSENT, [samples, height, width, depth], layer k at depth
            k * layer_depth ...; without a sample where there are fewer than processes.
        """


class CodeSet:
    """The codes of a training, packed or a byte a bit.

    Attributes:
        files: uint8 {0, 1}, or ABSENT (code_tensor.py), each [layers, batch, height, width,
            layer_depth]; only layer_depth is the same for all. Packed ones are unpacked whenever
            they are asked for.
        shapes: theirs.
        samples: how many images there are in all.
        bits: how many code bits there are in all.
        sequence: whether the pictures of every file are frames.
        beside: the logits of all bits under a model beside the network, if there is one: a set
            with logits in place of bits, whose batches are drawn alike.
    """

    def __init__(
        self,
        files: Sequence[StoredCodes],
        beside: Sequence[Logits] | None = None,
        *,
        sequence: bool = False,
    ) -> None:
        """Takes codes, and float16 logits of the same shapes, if there are any."""
        self._stored = files
        self.sequence = sequence
        self.files: Sequence[Codes] = _Unpacked(files)
        self.shapes = [codes.shape for codes in files]
        self.beside: CodeSet | None = None if beside is None else CodeSet(beside)
        self.samples = sum(shape[1] for shape in self.shapes)
        self.bits = sum(map(math.prod, self.shapes))

    def with_logits(self, logits: Sequence[Logits]) -> "CodeSet":
        """Gives the same codes with logits of a model beside the network."""
        return CodeSet(self._stored, logits, sequence=self.sequence)

    @property
    def frames_before(self) -> "CodeSet | None":
        """Of a sequence, the frame before each, all ABSENT before the first; drawn alike."""
        if not self.sequence:
            return None
        return CodeSet([FramesBefore(codes) for codes in self._stored])

    @property
    def axes(self) -> str:
        """The axes of the code files, for people."""
        found = {codes.axes for codes in self._stored if isinstance(codes, PackedCodes)}
        return ", ".join(sorted(found - {""}))

    def some(self, bits: int, seed: int) -> "CodeSet":
        """Gives files at random, in order, that have at most so many bits, or a single one."""
        numbers: list[int] = []
        left = bits
        for number in np.random.default_rng(seed).permutation(len(self.shapes)).tolist():
            size = math.prod(self.shapes[number])
            if size <= left or not numbers:
                numbers.append(number)
                left -= size
        numbers.sort()
        beside = [self.beside.files[number] for number in numbers] if self.beside else None
        files = [self._stored[number] for number in numbers]
        return CodeSet(files, beside, sequence=self.sequence)

    def batches(
        self, batch_size: int, *, batch_bits: int = 0, seed: int = 0, crop: int = 0
    ) -> Batches:
        """Gives the batches of a training on these codes, with every sample once an epoch.

        A batch has samples of one size and number of layers. By default, those of an epoch are as
        equal as they can be, and come in random order.

        Args:
            batch_size: the most samples of a batch, for all processes together.
            batch_bits: in place of `batch_size`, about how many bits a batch has; its samples are
                of similar sizes, and cropped at random to the smallest (epochs.py).
            seed: of the order and the crops.
            crop: height and width of the random piece that is taken of each sample; 0 for whole
                samples.
        """
        return _Drawn(self._stored, Epochs(self.shapes, batch_size, batch_bits, seed, crop))

    def in_order(self, batch_size: int) -> Iterator[Codes]:
        """Gives every sample once, in batches [samples, height, width, depth] of one size each."""
        for codes in self.files:
            for start in range(0, codes.shape[1], batch_size):
                yield _network_order(codes[:, start : start + batch_size])

    def checksum(self) -> int:
        """Computes the CRC-32 of all sizes and codes, by which a run knows its codes again."""
        crc = 0
        for codes in self.files:
            crc = zlib.crc32(repr(codes.shape).encode(), crc)
            bits, coverage = split_absent(codes)
            crc = zlib.crc32(np.packbits(bits).tobytes(), crc)
            if coverage is not None:
                crc = zlib.crc32(coverage.astype(np.int64).tobytes(), crc)
        return crc


class SyntheticSet(CodeSet):
    """Synthetic codes: some in memory, and others for batches without an end."""

    def __init__(
        self, count: int, layer_count: int, layer_depth: int, seed: int, stream: int
    ) -> None:
        """Draws the codes in memory.

        Args:
            count: how many samples.
            layer_count: how many layers they have.
            layer_depth: the bits of a layer.
            seed: of the codes.
            stream: sets of different streams have nothing in common.
        """
        self._key, self._depth = (seed, stream), layer_count * layer_depth
        samples = _synthetic_samples(count, self._depth, *self._key, _FILES)
        layers = samples.reshape(*samples.shape[:3], -1, layer_depth)
        super().__init__([np.ascontiguousarray(np.moveaxis(layers, 3, 0))])

    def batches(
        self, batch_size: int, *, batch_bits: int = 0, seed: int = 0, crop: int = 0
    ) -> Batches:
        """Gives batches of samples of which none comes twice; `seed` and `crop` change nothing."""
        if batch_bits:
            batch_size = max(1, round(batch_bits / math.prod(self.shapes[0]) * self.samples))
        return _FreshSamples(self._key, self._depth, batch_size)


class _Unpacked(Sequence[Codes]):
    """Files that are unpacked whenever they are asked for."""

    def __init__(self, stored: Sequence[StoredCodes]) -> None:
        self._stored = stored

    def __len__(self) -> int:
        return len(self._stored)

    @overload
    def __getitem__(self, number: int) -> Codes: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Codes]: ...
    def __getitem__(self, number: int | slice) -> Codes | Sequence[Codes]:
        if isinstance(number, slice):
            return _Unpacked(self._stored[number])
        return images_of(self._stored[number], 0, self._stored[number].shape[1])


class _Drawn:
    def __init__(self, files: Sequence[StoredCodes], epochs: Epochs) -> None:
        self._files, self._epochs = files, epochs

    def size(self, step: int) -> int:
        return len(self._epochs.crops(step))

    def draw(self, step: int, rank: int = 0, count: int = 1) -> Codes:
        crops = self._epochs.crops(step)
        codes = [
            images_of(self._files[file], image, image + 1)[:, :, rows, columns]
            for file, image, rows, columns in crops[rank::count]
        ]
        if not codes:  # the shape is that of the others' share
            return self.draw(step)[:0]
        return _network_order(np.concatenate(codes, axis=1))


class _FreshSamples:
    def __init__(self, key: tuple[int, int], depth: int, batch_size: int) -> None:
        self._key, self._depth, self._batch_size = key, depth, batch_size
        self._steps = -(-_CHUNK_SAMPLES // batch_size)  # of a chunk
        self._chunk: int | None = None
        self._samples: Codes

    def size(self, step: int) -> int:
        return self._batch_size

    def draw(self, step: int, rank: int = 0, count: int = 1) -> Codes:
        chunk, batch_of_chunk = divmod(step, self._steps)
        if chunk != self._chunk:
            size = self._steps * self._batch_size
            self._samples = _synthetic_samples(size, self._depth, *self._key, _BATCHES, chunk)
            self._chunk = chunk
        start = batch_of_chunk * self._batch_size
        return self._samples[start + rank : start + self._batch_size : count]


def _synthetic_samples(count: int, depth: int, *key: int) -> Codes:
    height, width, _ = synthetic.DATASET_SHAPE
    random = np.random.RandomState(key)  # the generator's, frozen by numpy
    return synthetic.apply_rules(random.random_sample((count, depth, height, width)))


def _network_order(codes: Codes) -> Codes:
    """Brings canonical codes into the order that networks take."""
    layers, *size, layer_depth = codes.shape
    return np.moveaxis(codes, 0, 3).reshape(*size, layers * layer_depth)
