"""Codes in memory, and the batches that a training draws of them.

A batch is a function of its step and of a seed alone, so that a run that goes on after an
interruption, or shares its batches among several processes, sees what any other run sees.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nncodec.format.code_tensor import Codes
from nncodec.training.data import synthetic

Logits = npt.NDArray[Any]

# Random numbers for different purposes come from different seeds.
_ORDER, _CROP = 0, 1
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
            uint8 {0, 1}, [samples, height, width, depth], layer k at depth k * layer_depth ...;
            without a sample where there are fewer than processes.
        """


class CodeSet:
    """Codes in memory, a byte a bit.

    Attributes:
        files: uint8 {0, 1}, each [layers, batch, height, width, layer_depth]; only layer_depth is
            the same for all.
        samples: how many images there are in all.
        bits: how many code bits there are in all.
        beside: the logits of all bits under a model beside the network, if there is one: a set
            with logits in place of bits, whose batches are drawn alike.
    """

    def __init__(self, files: Sequence[Codes], beside: Sequence[Logits] | None = None) -> None:
        """Takes codes, and float16 logits of the same shapes, if there are any."""
        self.files = files
        self.beside: CodeSet | None = None if beside is None else CodeSet(beside)
        self.samples = sum(codes.shape[1] for codes in files)
        self.bits = sum(codes.size for codes in files)

    def batches(self, batch_size: int, *, seed: int = 0, crop: int = 0) -> Batches:
        """Gives the batches of a training on these codes, with every sample once an epoch.

        A batch has samples of one size and number of layers. Those of an epoch are as equal as they
        can be, and come in random order.

        Args:
            batch_size: the most samples of a batch, for all processes together.
            seed: of the order and the crops.
            crop: height and width of the random piece that is taken of each sample; 0 for whole
                samples.
        """
        return _Epochs(self.files, batch_size, seed, crop)

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
            crc = zlib.crc32(np.packbits(codes).tobytes(), crc)
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

    def batches(self, batch_size: int, *, seed: int = 0, crop: int = 0) -> Batches:
        """Gives batches of samples of which none comes twice; `seed` and `crop` change nothing."""
        return _FreshSamples(self._key, self._depth, batch_size)


class _Epochs:
    def __init__(self, files: Sequence[Codes], batch_size: int, seed: int, crop: int) -> None:
        self._files, self._batch_size, self._seed, self._crop = files, batch_size, seed, crop
        groups: dict[tuple[int, ...], list[tuple[int, int]]] = defaultdict(list)
        for number, codes in enumerate(files):
            layers, images, *size = codes.shape[:4]
            extent = (min(length, crop or length) for length in size)
            groups[(layers, *extent)] += [(number, image) for image in range(images)]
        self._groups = [np.array(samples) for samples in groups.values()]
        self._steps = sum(map(self._batch_count, self._groups))  # of an epoch
        self._epoch: int | None = None
        self._plan: list[npt.NDArray[Any]] = []

    def size(self, step: int) -> int:
        return len(self._samples(step))

    def draw(self, step: int, rank: int = 0, count: int = 1) -> Codes:
        samples = self._samples(step)
        offsets = np.random.default_rng((self._seed, _CROP, step)).random((len(samples), 2))
        codes = [
            self._cropped(self._files[number][:, image : image + 1], offset)
            for (number, image), offset in zip(samples, offsets, strict=True)
        ]
        return _network_order(np.concatenate(codes, axis=1)[:, rank::count])

    def _samples(self, step: int) -> npt.NDArray[Any]:
        """Gives the samples of a batch: [samples, 2], numbers of a file and of an image in it."""
        epoch, batch_of_epoch = divmod(step, self._steps)
        if epoch != self._epoch:
            random = np.random.default_rng((self._seed, _ORDER, epoch))
            plan = [
                batch
                for group in self._groups
                for batch in np.array_split(random.permutation(group), self._batch_count(group))
            ]
            self._plan = [plan[number] for number in random.permutation(len(plan))]
            self._epoch = epoch
        return self._plan[batch_of_epoch]

    def _cropped(self, codes: Codes, offset: npt.NDArray[np.float64]) -> Codes:
        """Crops height and width; an offset of 0 to 1 is a share of what is cut off."""
        for axis, share in zip((2, 3), offset, strict=True):
            length = codes.shape[axis]
            extent = min(length, self._crop or length)
            start = int(share * (length - extent + 1))
            codes = codes[(slice(None),) * axis + (slice(start, start + extent),)]
        return codes

    def _batch_count(self, group: npt.NDArray[Any]) -> int:
        return -(-len(group) // self._batch_size)


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
