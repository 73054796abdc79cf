"""How a tensor is coded: as was asked for, or as it is cheapest.

With which model, of those that fit, and whether its pictures are a sequence.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nncodec.coding.codec import code_lengths, traverse_known
from nncodec.coding.many import Coding
from nncodec.coding.range_coder import code_lengths as code_lengths_of_bits
from nncodec.coding.segments import CodedSegment
from nncodec.coding.threads import map_side_by_side
from nncodec.errors import BitstreamError, ModelError
from nncodec.files.model_files import (
    ADAPTIVE,
    FoundModel,
    find_model,
    list_models,
    load_model,
)
from nncodec.format.code_tensor import Codes
from nncodec.format.container import Container, ContainerReader
from nncodec.model.model import Model
from nncodec.model.packing import pack_embedded, unpack_embedded

AUTO = "auto"

ModelChoice = str | os.PathLike[str] | Model
"""AUTO, ADAPTIVE, the name of a model, the path of a model file, or a model."""

SAMPLE_BITS = 1 << 16
"""The most bits of a tensor that each model is tried on."""
MANY_BITS = 1 << 19
"""About how many bits of many tensors are looked at to choose for all of them."""
SAMPLE_FRAMES = 8
"""The fewest pictures, if there are as many, on which a sequence is tried."""
SEQUENCE_GAIN = 0.01
"""What part of a sample a sequence must save to be taken for one: where it saves less, either will
do. Where pictures have nothing to do with each other, it costs 0.2 to 2 % more."""
SEQUENCE_BITS = 32
"""How many bits it must save at least, a word of a payload: constant codes take few of these."""


@dataclass(frozen=True)
class Effort:
    """Which networks AUTO takes.

    Attributes:
        products: the most multiply-accumulates of a network for each bit.
        gain: what part of the codes' size a network must save.
        whole: whether each model is tried on the whole tensor, not on a sample.
    """

    products: float
    gain: float
    whole: bool


EFFORTS = {
    "fast": Effort(products=0, gain=0, whole=False),
    "standard": Effort(products=10_000, gain=0.01, whole=False),
    "best": Effort(products=math.inf, gain=0, whole=True),
}
STANDARD = "standard"


@dataclass(frozen=True)
class Predictor:
    """What predicts the bits of a tensor.

    Attributes:
        model: the model; None for the adaptive stage alone.
        sequence: whether the pictures are frames, each predicted from those before.
        warnings: of models that would fit, and cannot be read.
    """

    model: Model | None
    sequence: bool
    warnings: tuple[str, ...] = ()

    def coding(self, embed: bool, group: int | None) -> Coding:
        """Says how members are put into a container, with the model in it or not."""
        return Coding(self.model, self.embedded(embed), self.sequence, group)

    def embedded(self, asked: bool) -> bytes:
        """Gives the model as it shall lie in a container; nothing without one, or if not asked."""
        return pack_embedded(self.model) if asked and self.model else b""


def choose_predictor(
    codes: Codes,
    choice: ModelChoice = AUTO,
    sequence: bool | None = None,
    *,
    effort: str = STANDARD,
    embed: bool = False,
    threads: int = 1,
) -> Predictor:
    """Chooses what predicts the bits of a tensor.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        choice: the model that was asked for.
        sequence: whether its pictures are frames; None to find out.
        effort: one of EFFORTS: what a network may cost if AUTO is to take it.
        embed: whether the container will hold the model, whose bytes then count too.
        threads: the most that try side by side.

    Raises:
        ModelError: there is no such model, or it cannot be read.
        ValueError: there is no such effort.
    """
    if effort not in EFFORTS:
        raise ValueError(f"effort must be one of {', '.join(EFFORTS)}, not {effort!r}")
    if sequence is None:
        sequence = _is_sequence(codes, threads)
    if isinstance(choice, Model):
        return Predictor(choice, sequence)
    if choice == ADAPTIVE:
        return Predictor(None, sequence)
    if choice != AUTO:
        return Predictor(load_model(choice), sequence)
    most = EFFORTS[effort]
    fitting, warnings = _fitting_models(codes, most)
    if not fitting:
        return Predictor(None, sequence, warnings)
    candidates: list[Model | None] = [None, *fitting]
    sample = codes if most.whole else _sample(codes, len(candidates))

    def cost(model: Model | None) -> float:
        length = _expected_length(sample, codes.shape, model, sequence=sequence)
        if model and model.network:
            length /= 1 - most.gain
        if model:
            length += 8 * (len(model.model_id) + (len(pack_embedded(model)) if embed else 0))
        return length

    costs = map_side_by_side(cost, candidates, threads)
    return Predictor(candidates[int(np.argmin(costs))], sequence, warnings)


def _expected_length(
    sample: Codes, shape: tuple[int, ...], model: Model | None, *, sequence: bool
) -> float:
    """Expects the code length of a tensor from that of a part, in bits.

    What a model saves, it saves more at the beginning than later, when the adaptive stage has
    learned as much: what the part lacks of every layer is expected to be as its second half.
    """
    halves = [0.0, 0.0]
    positions = math.prod(sample.shape[1:4])
    middle = positions // 2

    def measure(segment: CodedSegment) -> None:
        lengths = code_lengths_of_bits(segment.codes, segment.frequencies)
        by_position = lengths.reshape(len(lengths), positions, -1).sum(axis=(0, 2), dtype=float)
        halves[0] += float(by_position[:middle].sum())
        halves[1] += float(by_position[middle:].sum())

    traverse_known(sample, model, measure, sequence=sequence)
    missing = math.prod(shape[1:4]) - positions
    length = sum(halves) + halves[1] * missing / (positions - middle)
    return length * shape[0] / len(sample)


def _is_sequence(codes: Codes, threads: int) -> bool:
    """Whether adjacent pictures predict each other, in their first layer."""
    batch, height = codes.shape[1:3]
    if batch < 2:
        return False
    frames = min(batch, max(SAMPLE_FRAMES, SAMPLE_BITS // codes[0, 0].size))
    rows = max(1, min(height, SAMPLE_BITS * height // (frames * codes[0, 0].size)))
    frame, row = (batch - frames) // 2, (height - rows) // 2
    sample = codes[:1, frame : frame + frames, row : row + rows]

    def cost(sequence: bool) -> float:
        return float(code_lengths(sample, sequence=sequence).sum())

    apart, together = map_side_by_side(cost, [False, True], threads)
    return apart - together > max(SEQUENCE_GAIN * apart, SEQUENCE_BITS)


def _fitting_models(codes: Codes, effort: Effort) -> tuple[list[Model], tuple[str, ...]]:
    """The models that are found, fit the codes, and cost no more than they may.

    And what is wrong with those that seem to fit, and cannot be read.
    """
    layers, channels = codes.shape[0], codes.shape[4]
    claims = ((found, found.claims()) for found in list_models())
    fitting: list[Model] = []
    warnings: list[str] = []
    for found, claim in claims:
        if claim and claim["channels"] == channels and layers <= claim["layers"]:
            model = _loaded(found, warnings)
            if model is None:
                continue
            products = model.network.products() if model.network else 0
            # It may have been replaced meanwhile.
            if model.fits(layers, channels) and products <= effort.products:
                fitting.append(model)
    return fitting, tuple(warnings)


def _loaded(found: FoundModel, warnings: list[str]) -> Model | None:
    try:
        return found.load()
    except ModelError as error:
        warnings.append(f"{error}; it is not tried")
        return None


def model_to_decode(
    container: Container | ContainerReader, choice: ModelChoice | None = None
) -> Model | None:
    """Finds the model that a container names; None stands for the adaptive stage alone.

    Args:
        container: what was read of it.
        choice: a model, its name or its path, where the container's is not to be looked for.

    Raises:
        BitstreamError: the model in the container is damaged.
        ModelError: the model is nowhere to be found.
    """
    model_id = container.header.model_id
    if not model_id:
        return None
    if container.model:
        model = unpack_embedded(container.model)
        if model.model_id != model_id:
            raise BitstreamError(
                "the file holds another model than it names; get another copy of the file"
            )
        return model
    if choice is None:
        return find_model(model_id)
    return choice if isinstance(choice, Model) else load_model(choice)


def _sample(codes: Codes, candidates: int) -> Codes:
    """Takes a part of a tensor that costs about half as much to try as the tensor to code.

    A small tensor is tried as it is.

    The part has fewer pictures, adjacent ones; if one picture is too large, its first layers; if
    one layer is too large, rows from its middle.
    """
    if codes.size <= SAMPLE_BITS:
        return codes
    share = min(SAMPLE_BITS / codes.size, 0.5 / candidates)
    pictures = max(1, math.floor(codes.shape[1] * share))
    share = min(1.0, share * codes.shape[1] / pictures)
    layers = max(1, math.floor(len(codes) * share))
    share = min(1.0, share * len(codes) / layers)
    rows = max(1, math.floor(codes.shape[2] * share))
    first = (codes.shape[2] - rows) // 2
    picture = (codes.shape[1] - pictures) // 2
    return codes[:layers, picture : picture + pictures, first : first + rows]


def sample_of_many(tensors: Sequence[Codes]) -> Codes:
    """Takes some of many tensors, to choose by them what predicts all of them.

    Args:
        tensors: at least one, [layers, batch, height, width, layer_depth]. Few of them are asked
            for, those from the middle on.

    Returns:
        Adjacent pictures of one size, as one tensor.
    """
    some = [tensors[len(tensors) // 2]]
    for number in range(len(tensors) // 2 + 1, len(tensors)):
        codes = tensors[number]
        layers, _, *sizes = codes.shape
        like = layers == len(some[0]) and sizes == list(some[0].shape[2:])
        if not like or sum(one.size for one in some) >= MANY_BITS:
            break
        some.append(codes)
    return some[0] if len(some) == 1 else np.concatenate(some, axis=1)
