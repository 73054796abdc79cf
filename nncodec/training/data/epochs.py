"""Which pictures a batch has, and which piece of each: a function of the step and a seed.

Batches of a number of pictures have pictures of one size. Batches of a number of bits have pictures
of similar sizes, cropped to the smallest height and width among them. They are cut from a list of
all pictures that is sorted by size, but for some noise, so that each epoch has other batches:

    all pictures ── shuffled, roughly sorted by size ── cut into batches ── batches, shuffled
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

# Random numbers for different purposes come from different seeds.
_ORDER, _CROP = 0, 1

_NOISE = 0.1  # of the logarithms of sizes by which pictures are sorted
_KEPT = 0.8  # the least share of a batch's positions that its crops may leave

LARGE = 2
"""A picture of more than so many times a batch's bits is cropped."""

Batch = list[int]  # numbers of pictures


class Crop(NamedTuple):
    """A piece of a picture.

    Attributes:
        file: the number of the file.
        image: the number of the picture in it.
        rows, columns: the piece, which lies in the picture.
    """

    file: int
    image: int
    rows: slice
    columns: slice


class Epochs:
    """The batches of a training, epoch after epoch, without an end."""

    def __init__(
        self,
        shapes: Sequence[tuple[int, ...]],
        batch_size: int,
        batch_bits: int,
        seed: int,
        crop: int,
    ) -> None:
        """Prepares to draw.

        Args:
            shapes: of the files: (layers, batch, height, width, layer_depth).
            batch_size: the most pictures of a batch, if it has no number of bits.
            batch_bits: about how many bits a batch has; 0 for batches of `batch_size`.
            seed: of the order and the crops.
            crop: the largest height and width of a piece; 0 for any.
        """
        self._batch_size, self._batch_bits, self._seed = batch_size, batch_bits, seed
        pictures = [
            (number, image, layers, height, width)
            for number, (layers, images, height, width, _) in enumerate(shapes)
            for image in range(images)
        ]
        columns = np.array(pictures, dtype=np.int64).reshape(-1, 5)
        self._pictures, self._layers, self._sizes = columns[:, :2], columns[:, 2], columns[:, 3:]
        self._extents = np.minimum(self._sizes, crop or self._sizes)
        self._depths = self._layers * (shapes[0][-1] if shapes else 1)  # bits of a position
        if batch_bits:
            bits = self._extents.prod(axis=1) * self._depths
            shrink = np.where(bits > LARGE * batch_bits, np.sqrt(batch_bits / bits), 1.0)
            self._extents = np.maximum(1, (self._extents * shrink[:, None]).astype(np.int64))
        self._starts = [0]  # the first step of each epoch so far
        self._plans: dict[int, list[Batch]] = {}  # of the last epoch that was asked for

    def crops(self, step: int) -> list[Crop]:
        """Gives what the batch of a step consists of: pieces of one size."""
        batch = self._batch(step)
        extent = self._extents[batch].min(axis=0)
        shares = np.random.default_rng((self._seed, _CROP, step)).random((len(batch), 2))
        crops = []
        for picture, share in zip(batch, shares, strict=True):
            starts = (share * (self._sizes[picture] - extent + 1)).astype(np.int64)
            rows, columns = (
                slice(start, start + length)
                for start, length in zip(starts.tolist(), extent.tolist(), strict=True)
            )
            file, image = self._pictures[picture].tolist()
            crops.append(Crop(file, image, rows, columns))
        return crops

    def _batch(self, step: int) -> Batch:
        while step >= self._starts[-1]:
            self._starts.append(self._starts[-1] + len(self._plan(len(self._starts) - 1)))
        epoch = int(np.searchsorted(self._starts, step, side="right")) - 1
        return self._plan(epoch)[step - self._starts[epoch]]

    def _plan(self, epoch: int) -> list[Batch]:
        """Gives the batches of an epoch, which has every picture once."""
        if epoch not in self._plans:
            random = np.random.default_rng((self._seed, _ORDER, epoch))
            plan = self._by_bits(random) if self._batch_bits else self._by_count(random)
            order = random.permutation(len(plan)).tolist()
            self._plans = {epoch: [plan[number] for number in order]}
        return self._plans[epoch]

    def _by_count(self, random: np.random.Generator) -> list[Batch]:
        groups: dict[tuple[int, ...], Batch] = defaultdict(list)
        for picture, form in enumerate(zip(self._layers, *self._extents.T, strict=True)):
            groups[form].append(picture)
        return [
            batch.tolist()
            for group in groups.values()
            for batch in np.array_split(
                random.permutation(group), -(-len(group) // self._batch_size)
            )
        ]

    def _by_bits(self, random: np.random.Generator) -> list[Batch]:
        batches: list[Batch] = []
        layers = height = width = area = 0  # of the last batch; the area before cropping
        for picture in self._roughly_sorted(random).tolist():
            own_layers = int(self._layers[picture])
            own_height, own_width = self._extents[picture].tolist()
            if batches and own_layers == layers:
                lowest, narrowest = min(height, own_height), min(width, own_width)
                whole = area + own_height * own_width
                cropped = lowest * narrowest * (len(batches[-1]) + 1)
                # With half a picture more, batches have as many bits as they should in the mean.
                most = self._batch_bits / int(self._depths[picture]) + lowest * narrowest / 2
                if _KEPT * whole <= cropped <= most:
                    batches[-1].append(picture)
                    height, width, area = lowest, narrowest, whole
                    continue
            batches.append([picture])
            layers, height, width, area = own_layers, own_height, own_width, own_height * own_width
        return batches

    def _roughly_sorted(self, random: np.random.Generator) -> npt.NDArray[Any]:
        """Gives all pictures so that neighbours are of similar sizes."""
        logs = np.log(self._extents)
        heights = np.floor(4 * logs[:, 0] + random.random())  # in steps of a fifth, or so
        widths = logs[:, 1] + _NOISE * random.standard_normal(len(logs))
        return np.lexsort((widths, heights, self._layers))
